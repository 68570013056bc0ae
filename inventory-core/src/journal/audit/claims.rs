//! What returns claim of the purchases that they are of, held against those purchases themselves.
//!
//! A return names the version that its purchase made. Replay holds it against the purchase as long as the window knows that; here
//! the purchase is read from the journal, however old, and the sums are the audit's own.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::{Breach, Violation, in_replay};
use crate::event::{Event, Line};
use crate::id::{OrderKey, UserId, Version};
use crate::journal::{Group, ReplayError};
use crate::returns::Refund;

/// The claims of all returns that an audit followed: that they are of accepted purchases, of those who bought or of
/// administrators, of no more than was bought, and that the refund is what was paid. They are settled by a second pass
/// over the journal: its groups from [`start`](Self::start) on until [`is_settled`](Self::is_settled).
#[derive(Debug, Default)]
pub struct Claims {
    /// By the version of the purchase.
    open: BTreeMap<Version, Vec<Claim>>,
    settled: Settled,
}

/// How many claims were looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Returns whose purchase was read and is as they say.
    pub checked: u64,
    /// Returns whose purchase the journal no longer holds.
    pub not_kept: u64,
}

/// What a return claims.
#[derive(Debug)]
pub(super) struct Claim {
    /// The version that the return made.
    pub(super) version: Version,
    /// The return's key.
    pub(super) key: OrderKey,
    pub(super) order: OrderKey,
    /// Who must have bought it; anybody if none.
    pub(super) owner: Option<UserId>,
    pub(super) lines: Box<[ClaimedLine]>,
    pub(super) refund: Option<Refund>,
}

/// What came back of a line by one return, and by all up to it.
#[derive(Debug)]
pub(super) struct ClaimedLine {
    pub(super) line: Line,
    pub(super) so_far: u64,
}

impl Claims {
    pub(super) fn add(&mut self, purchased: Version, claim: Claim) {
        self.open.entry(purchased).or_default().push(claim);
    }

    /// Where the second pass begins: at the first group that ends after this version. None if nothing is claimed.
    pub fn start(&self) -> Option<Version> {
        let (first, _) = self.open.first_key_value()?;
        Some(Version(first.0.saturating_sub(1)))
    }

    /// Whether every purchase was looked at.
    pub fn is_settled(&self) -> bool {
        self.open.is_empty()
    }

    /// Holds the claims against the purchases in the next group, none of them left out. Purchases in front of the first one given
    /// are no longer kept.
    pub fn follow(&mut self, group: &Group) -> Result<(), Violation> {
        while let Some((purchased, claims)) = self.open.first_key_value()
            && *purchased <= group.base()
        {
            self.settled.not_kept = self.settled.not_kept.saturating_add(count(claims));
            self.open.pop_first();
        }
        if self.open.first_key_value().is_none_or(|(purchased, _)| *purchased > group.last()) {
            return Ok(());
        }
        for record in group.records() {
            let (version, record) = record.map_err(|why| in_replay(ReplayError::Group(group.base(), why)))?;
            let Some(claims) = self.open.remove(&version) else { continue };
            match claims.iter().find(|claim| !claim.is_true_of(&record.event)) {
                Some(wrong) => return Err(Violation::new(wrong.version, Breach::FalseReturn(wrong.key))),
                None => self.settled.checked = self.settled.checked.saturating_add(count(&claims)),
            }
        }
        Ok(())
    }

    /// How many claims were looked at. Those that are still open at the end of the pass are not kept.
    pub fn settled(&self) -> Settled {
        let open = self.open.values().map(|claims| count(claims)).fold(0, u64::saturating_add);
        Settled { not_kept: self.settled.not_kept.saturating_add(open), ..self.settled }
    }
}

impl Claim {
    fn is_true_of(&self, purchase: &Event) -> bool {
        let (key, user, lines, charge) = match purchase {
            Event::Purchased { key, user, lines, .. } => (key, user, lines, None),
            Event::PurchaseCharged { key, user, lines, charge, .. } => (key, user, lines, Some(charge)),
            _ => return false,
        };
        // What the returned units of each line cost together, in minor units.
        let mut cost = Some(0i128);
        for ClaimedLine { line, so_far } in &self.lines {
            let same = |bought: &Line| (bought.item, bought.location) == (line.item, line.location);
            let Some(place) = lines.iter().position(same) else { return false };
            let bought = lines.get(place).map_or(0, |bought| bought.units.get());
            if *so_far > bought {
                return false;
            }
            let amount = charge.and_then(|charge| match lines.len() {
                1 => Some(charge.total),
                _ => charge.amounts.get(place).copied(),
            });
            let whole = amount.map(|amount| i128::from(amount.minor()));
            let part = whole.and_then(|whole| whole.checked_mul(line.units.get().into()));
            let is_exact = |part: &i128| part.checked_rem(bought.into()) == Some(0);
            let part = part.filter(is_exact).and_then(|part| part.checked_div(bought.into()));
            cost = cost.zip(part).and_then(|(cost, part)| cost.checked_add(part));
        }
        let is_refund_right = match (charge, self.refund) {
            (None, refund) => refund.is_none(),
            (Some(_), None) => false,
            (Some(charge), Some(Refund { account, amount })) => {
                account == charge.account && cost == Some(amount.minor().into())
            }
        };
        *key == self.order && self.owner.is_none_or(|owner| owner == *user) && is_refund_right
    }
}

fn count(claims: &[Claim]) -> u64 {
    u64::try_from(claims.len()).unwrap_or(u64::MAX)
}
