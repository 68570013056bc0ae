//! The decision on a bulk purchase: row by row, each against what the rows before it left.

use alloc::sync::Arc;
use alloc::vec::Vec;

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use xxhash_rust::xxh3::Xxh3;

use super::Decision;
use super::once::{buyer, once};
use crate::bulk::{BulkOrder, BulkRows, RowCodes};
use crate::column;
use crate::command::Actor;
use crate::event::{Event, OrderDigest};
use crate::id::{ItemId, LocationId};
use crate::money::Money;
use crate::quantity::Units;
use crate::refusal::Refusal;
use crate::state::{State, Stock};
use crate::time::Time;

/// Keeps the digest of a batch apart from that of an order.
const DIGEST_SEED: u64 = 1;

pub(super) fn decide(state: &State, now: Time, actor: Actor, order: &BulkOrder) -> Result<Decision, Refusal> {
    let user = buyer(state, actor)?;
    let (key, digest) = (order.key(), OrderDigest::of_bulk(order));
    once(state, now, user, (key, digest), || {
        let (rows, total) = fill(state, order);
        let (location, rows) = (order.location(), Arc::new(rows));
        Ok(Decision::Happens(Event::BulkPurchased { key, user, digest, location, total, rows }))
    })
}

impl OrderDigest {
    /// The digest of a bulk order: XXH3-64 with seed 1 over its location (2 bytes), its column of UPCs (8 bytes each) and its
    /// column of units (4 bytes each), little-endian.
    pub fn of_bulk(order: &BulkOrder) -> Self {
        let mut hash = Xxh3::with_seed(DIGEST_SEED);
        hash.update(&order.location().0.to_le_bytes());
        column::write(order.upcs(), |upc| upc.get().to_le_bytes(), |block| hash.update(block));
        column::write(order.units(), u32::to_le_bytes, |block| hash.update(block));
        Self(hash.digest())
    }
}

/// What becomes of each row, and what the accepted ones cost.
fn fill(state: &State, order: &BulkOrder) -> (BulkRows, Option<Money>) {
    let items: Vec<ItemId> =
        order.upcs().iter().map(|upc| state.catalogue.id(*upc).unwrap_or(BulkRows::NO_ITEM)).collect();
    let whole = order.units().iter().fold(Units::ZERO, |sum, units| sum.saturating_add(Units::from(*units)));
    let mut shelf = Shelf::new(&state.stock, order.location(), whole);
    let mut total = Some(Money::ZERO);
    let rows = items.iter().zip(order.units());
    let codes: Vec<u8> = rows
        .map(|(item, units)| {
            let units = Units::from(*units);
            if units.is_zero() {
                return RowCodes::ZERO_QUANTITY;
            }
            if *item == BulkRows::NO_ITEM {
                return RowCodes::UNKNOWN_ITEM;
            }
            let with_row = match (total, state.catalogue.price(*item)) {
                (Some(before), Some(price)) => {
                    price.checked_times(units).and_then(|amount| before.checked_add(amount)).map(Some)
                }
                _ => Some(None),
            };
            match with_row {
                Some(with_row) if shelf.take(*item, units) => {
                    total = with_row;
                    RowCodes::ACCEPTED
                }
                None if shelf.has(*item, units) => RowCodes::OVERFLOW,
                _ => RowCodes::INSUFFICIENT_STOCK,
            }
        })
        .collect();
    let unknown = items.iter().zip(order.upcs()).filter(|(item, _)| **item == BulkRows::NO_ITEM);
    let unknown = unknown.map(|(_, upc)| *upc).collect();
    (BulkRows::of(items, order.units(), codes, unknown), total)
}

/// What is left at one location while a batch takes from it, beside the levels, which stay as they are.
///
/// An item that has enough for all units of the batch has enough for each row, whatever the others take. So only
/// scarce items need an account.
#[derive(Debug)]
pub(super) struct Shelf<'a> {
    stock: &'a Stock,
    location: LocationId,
    whole: Units,
    left: HashMap<ItemId, Units, FixedState>,
}

impl<'a> Shelf<'a> {
    /// The shelf from which a batch is to take `whole` units at most, over all its rows.
    pub(super) fn new(stock: &'a Stock, location: LocationId, whole: Units) -> Self {
        Self { stock, location, whole, left: HashMap::default() }
    }

    /// Takes units, if so many are left.
    #[inline]
    pub(super) fn take(&mut self, item: ItemId, units: Units) -> bool {
        let available = self.stock.available(item, self.location);
        available >= self.whole || (units <= available && self.take_scarce(item, units, available))
    }

    /// Whether so many units of this item are left.
    fn has(&self, item: ItemId, units: Units) -> bool {
        let left = self.left.get(&item).copied();
        units <= left.unwrap_or_else(|| self.stock.available(item, self.location))
    }

    fn take_scarce(&mut self, item: ItemId, units: Units, available: Units) -> bool {
        let left = self.left.entry(item).or_insert(available);
        let rest = left.checked_sub(units);
        *left = rest.unwrap_or(*left);
        rest.is_some()
    }
}
