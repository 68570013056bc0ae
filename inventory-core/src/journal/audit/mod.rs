//! The audit of a journal: replay that trusts nothing.
//!
//! Replay believes the state it builds. The audit keeps books of its own beside it ([`Ledger`]: plain sums, sharing nothing
//! with the tables but the words) and holds both against each other at every version: each level is the sum of its
//! movements and never negative, each key has one outcome, each receipt adds up at the prices of its time, each refusal for
//! want of stock told the truth, each balance is the sum of its entries and respects its floor, and only who may changes items, levels, users and accounts.
//! Whether returns are of what was bought, a second pass says ([`Claims`]): their purchases may be of any age.

mod accounts;
mod claims;
mod ledger;
mod returns;
#[cfg(test)]
mod tests;
mod violation;

pub use claims::{Claims, Settled};
pub use violation::{Breach, Violation};

use alloc::boxed::Box;

use self::ledger::Ledger;
use super::replay::{follows, step};
use super::{Group, GroupError, ReplayError, Snapshot, Tip};
use crate::event::{Event, Record};
use crate::id::{AccountId, ItemId, LocationId, OrderKey, Version};
use crate::returns::Returned;
use crate::state::{Account, Level, Lookup, State};

/// Follows a journal group by group and names the first version at which something is wrong.
///
/// Keys of the last day are held in memory, about 20 bytes each, and one row for each item, level, user, account and return.
///
/// ```
/// # use inventory_core::{journal::{Auditor, Journal, MemoryJournal}, Inventory, Time, Version};
/// # pollster::block_on(async {
/// # let mut shop = Inventory::open(MemoryJournal::new(), 1).await?;
/// # shop.define_item(Time::ZERO, "036000291452".parse()?, "Tomato soup", None).await?;
/// # let journal = shop.into_journal();
/// let mut auditor = Auditor::new(0);
/// for group in journal.read(Version::ZERO, usize::MAX).await? {
///     auditor.follow(&group)?;
/// }
/// auditor.check_books()?;
/// assert_eq!(auditor.tip(), journal.tip().await?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct Auditor {
    state: State,
    tip: Tip,
    ledger: Ledger,
}

impl Auditor {
    /// Begins before the first event. `hash_seed` is as for [`State::new`].
    pub fn new(hash_seed: u64) -> Self {
        Self { state: State::new(hash_seed), tip: Tip::default(), ledger: Ledger::default() }
    }

    /// Begins at a snapshot, whose levels, prices and outcomes are taken as they are: what made them is not seen.
    pub fn after(snapshot: &Snapshot, hash_seed: u64) -> Result<Self, Violation> {
        let tip = snapshot.tip();
        let restored = snapshot.restore(hash_seed);
        let state = restored.map_err(|why| Violation::new(tip.version, Breach::SnapshotUnreadable(why)))?;
        let ledger = Ledger::of(&state);
        Ok(Self { state, tip, ledger })
    }

    /// Checks and applies the next group. After a violation the audit is over.
    pub fn follow(&mut self, group: &Group) -> Result<(), Violation> {
        follows(&self.tip, group).map_err(in_replay)?;
        for record in group.records() {
            let (version, record) = record.map_err(|why| in_replay(ReplayError::Group(group.base(), why)))?;
            step(&mut self.state, version, &record).map_err(in_replay)?;
            let entered = self.ledger.enter(version, &record);
            entered.and_then(|()| self.compare(&record)).map_err(|breach| Violation::new(version, breach))?;
        }
        self.tip = Tip { version: group.last(), hash: group.hash() };
        Ok(())
    }

    /// Compares every row of the state with the books. After each event only the rows that it names are.
    pub fn check_books(&self) -> Result<(), Violation> {
        self.ledger.balance(&self.state).map_err(|breach| Violation::new(self.tip.version, breach))
    }

    /// Compares a snapshot with the state and the tip that the audit has reached. Both stand at the same version.
    pub fn check_snapshot(&self, snapshot: &Snapshot) -> Result<(), Violation> {
        let at = snapshot.tip();
        let violation = |breach| Err(Violation::new(at.version, breach));
        if at != self.tip {
            return violation(Breach::SnapshotElsewhere);
        }
        match snapshot.restore(0) {
            Ok(state) if state.digest() == self.state.digest() => Ok(()),
            Ok(_) => violation(Breach::SnapshotDiffers),
            Err(why) => violation(Breach::SnapshotUnreadable(why)),
        }
    }

    /// Keeps no [claims](Self::into_claims) from here on: for an audit beside another one that does.
    #[must_use]
    pub fn without_claims(mut self) -> Self {
        self.ledger.leave_claims();
        self
    }

    /// What the returns that were followed claim of their purchases, to be settled by a second pass over the journal.
    pub fn into_claims(self) -> Claims {
        self.ledger.into_claims()
    }

    /// The state at the tip.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The end of the last group that was followed.
    pub const fn tip(&self) -> Tip {
        self.tip
    }

    /// Compares the rows that an event names, after it.
    fn compare(&self, record: &Record) -> Result<(), Breach> {
        match &record.event {
            Event::InitialLevelSet { item, location, .. } => self.compare_level(*item, *location),
            Event::Purchased { key, lines, .. } => {
                lines.iter().try_for_each(|line| self.compare_level(line.item, line.location))?;
                self.compare_outcome(record, *key)
            }
            Event::BulkPurchased { key, location, rows, .. } => {
                rows.accepted().try_for_each(|(item, _)| self.compare_level(item, *location))?;
                self.compare_outcome(record, *key)
            }
            Event::PurchaseCharged { key, lines, charge, .. } => {
                lines.iter().try_for_each(|line| self.compare_level(line.item, line.location))?;
                self.compare_balance(charge.account)?;
                self.compare_outcome(record, *key)
            }
            Event::Returned { key, returned, .. } => {
                let Returned { order, lines, refund, .. } = &**returned;
                lines.iter().try_for_each(|line| self.compare_level(line.item, line.location))?;
                self.ledger.returns().compare(*order, self.state.returns().of(*order))?;
                refund.map_or(Ok(()), |refund| self.compare_balance(refund.account))?;
                self.compare_outcome(record, *key)
            }
            Event::Posted { key, posted, .. } => {
                self.compare_balance(*posted.entry.account())?;
                posted.entry.counterpart().map_or(Ok(()), |account| self.compare_balance(*account))?;
                self.compare_outcome(record, *key)
            }
            Event::BulkPosted { key, rows, .. } => {
                rows.accepted().try_for_each(|(_, account, _)| self.compare_balance(account))?;
                self.compare_outcome(record, *key)
            }
            Event::PostRefused { key, .. }
            | Event::ReturnRefused { key, .. }
            | Event::PurchaseRefused { key, .. } => self.compare_outcome(record, *key),
            Event::ItemDefined { .. }
            | Event::UserAdded { .. }
            | Event::LoggedIn { .. }
            | Event::LoggedOut { .. }
            | Event::FloorSet { .. } => Ok(()),
        }
    }

    fn compare_level(&self, item: ItemId, location: LocationId) -> Result<(), Breach> {
        let (is, should) = (self.state.stock().level(item, location), self.ledger.level(item, location));
        compare_level(item, location, is.unwrap_or_default(), should)
    }

    fn compare_balance(&self, account: AccountId) -> Result<(), Breach> {
        let is = self.state.accounts().account(account).map(Account::balance);
        self.ledger.accounts().compare(account, is)
    }

    /// The outcome just recorded is the key's. A full window may have let it go at once.
    fn compare_outcome(&self, record: &Record, key: OrderKey) -> Result<(), Breach> {
        match self.state.orders().look_up(key, record.at) {
            Lookup::Decided(row) if row.version == self.state.version() => Ok(()),
            Lookup::TooOld => Ok(()),
            Lookup::Decided(_) | Lookup::Undecided => Err(Breach::OutcomeTwice(key)),
        }
    }
}

/// There are no reservations yet, so nothing is reserved.
fn compare_level(item: ItemId, location: LocationId, is: Level, should: u64) -> Result<(), Breach> {
    if is.on_hand.get() == should && is.reserved.is_zero() {
        Ok(())
    } else {
        Err(Breach::Level { item, location, is, should })
    }
}

fn in_replay(why: ReplayError) -> Violation {
    let version = match &why {
        ReplayError::Impossible(version, _) | ReplayError::Snapshot(version, _) => *version,
        ReplayError::BrokenChain(after) | ReplayError::Group(_, GroupError::Event { after, .. }) => {
            after.plus(1)
        }
        ReplayError::Group(base, _) => base.plus(1),
        ReplayError::Journal(_) => Version::ZERO,
    };
    Violation::new(version, Breach::Replay(Box::new(why)))
}
