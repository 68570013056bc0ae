//! The items that a load buys: made where they are missing, and counted before and after.

use std::collections::HashSet;

use futures_util::future::try_join_all;
use inventory_core::{Command, LocationId, Money, Units, Upc, UpcError};
use inventory_net::client::Client;

use crate::LoadError;
use crate::error::internal;

/// Units of each item at the start: no run uses them up.
pub const UNITS_PER_ITEM: u64 = 1 << 40;

/// Codes begin here: EAN-13 with the prefix 200, which GS1 leaves to each company for its own use.
const FIRST_CODE: u64 = 2_000_000_000_000;
/// What a unit of each costs.
const PRICE: Money = Money::from_minor(199);
/// Requests on their way at once: enough to share durable writes.
const AT_ONCE: usize = 512;

/// The code of item number `index`, below 2^32: spread over the digits, so that neighbours are not neighbours in memory.
///
/// ```
/// let upc = inventory_load::shop::upc(7)?;
/// assert!(upc.has_valid_check_digit());
/// # Ok::<(), inventory_core::UpcError>(())
/// ```
pub fn upc(index: u64) -> Result<Upc, UpcError> {
    // An odd multiplier permutes the integers below 2^32.
    let spread = index.wrapping_mul(0x9e37_79b1) & 0xffff_ffff;
    let without_check_digit = Upc::new(FIRST_CODE.saturating_add(spread.saturating_mul(10)))?;
    Upc::new(without_check_digit.get().saturating_add(without_check_digit.check_digit()))
}

/// What makes item number `index` as [`ItemsForSale::prepare`] does, for data directories that are filled without a server.
pub fn making(index: u64) -> Result<[Command; 2], UpcError> {
    let upc = upc(index)?;
    let units = Units::new(UNITS_PER_ITEM).unwrap_or_default();
    Ok([
        Command::DefineItem { upc, name: name(upc).into(), price: Some(PRICE) },
        Command::SetInitialLevel { upc, location: LocationId::MAIN, units },
    ])
}

/// The items of a load on a server.
#[derive(Debug)]
pub struct ItemsForSale {
    codes: Vec<Upc>,
}

/// What the server knows of the items.
struct Found {
    known: HashSet<Upc>,
    on_hand: u64,
}

impl ItemsForSale {
    /// Makes sure that the server has this many items, each with [`UNITS_PER_ITEM`] units at first. The client is an
    /// administrator's. An item that an earlier run made is used as it is; one that somebody else made is an error.
    pub async fn prepare(client: &Client, count: u64) -> Result<Self, LoadError> {
        let codes = (0..count).map(upc).collect::<Result<_, _>>();
        let items = Self { codes: codes.map_err(internal)? };
        let known = items.find(client).await?.known;
        let missing: Vec<Upc> = items.codes.iter().filter(|code| !known.contains(code)).copied().collect();
        let units = Units::new(UNITS_PER_ITEM).unwrap_or_default();
        for codes in missing.chunks(AT_ONCE) {
            let define = |code: &Upc| {
                let (code, name) = (*code, name(*code));
                async move { client.define_item(code, &name, Some(PRICE)).await }
            };
            try_join_all(codes.iter().map(define)).await?;
            let set = codes.iter().map(|code| client.set_initial_level(*code, LocationId::MAIN, units));
            try_join_all(set).await?;
        }
        Ok(items)
    }

    /// Units on hand of all the items together.
    pub async fn on_hand(&self, client: &Client) -> Result<u64, LoadError> {
        Ok(self.find(client).await?.on_hand)
    }

    async fn find(&self, client: &Client) -> Result<Found, LoadError> {
        let ours: HashSet<Upc> = self.codes.iter().copied().collect();
        let last = self.codes.iter().max().copied();
        let mut found = Found { known: HashSet::new(), on_hand: 0 };
        let mut after = Upc::new(FIRST_CODE.saturating_sub(1)).ok();
        while after < last {
            let page = client.levels(after, None).await?;
            for level in page.levels.iter().filter(|level| ours.contains(&level.upc)) {
                if *level.name != *name(level.upc) {
                    let name = level.name.to_string();
                    return Err(LoadError::ForeignItem { upc: level.upc, name });
                }
                found.known.insert(level.upc);
                found.on_hand = found.on_hand.saturating_add(level.on_hand.get());
            }
            match page.next {
                // A page that does not get ahead is the last, whatever the server says.
                Some(next) if Some(next) > after => after = Some(next),
                _ => break,
            }
        }
        Ok(found)
    }
}

/// By which an item is known as one of a load's.
fn name(code: Upc) -> String {
    format!("load test {code}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_all_different_and_in_the_range_for_own_use() {
        let codes: HashSet<Upc> = (0..100_000).map(|index| upc(index).unwrap()).collect();
        assert_eq!(codes.len(), 100_000);
        assert!(codes.iter().all(|code| code.has_valid_check_digit()));
        assert!(codes.iter().all(|code| code.to_string().starts_with("20") && code.width() == 13));
    }
}
