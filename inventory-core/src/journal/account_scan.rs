//! The entries of one account, read from the journal: without the state that each event made, so without a replay.

use alloc::vec::Vec;

use super::{Group, Journal, JournalError};
use crate::entries::{Cause, EntryReason, balance_changes};
use crate::id::{AccountId, OrderKey, UserId, Version};
use crate::money::Money;
use crate::time::Time;

/// How many bytes of groups one step reads.
const STEP_BYTES: usize = 256 << 10;

/// A place in a journal to go on from: behind a version at which a group ends, and behind so many of the account's entries that
/// follow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanPlace {
    /// The version: zero for the beginning, or the end of a group.
    pub after: Version,
    /// How many entries that follow it are left out.
    pub skip: u32,
}

/// One change of the account's balance, as its event tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScannedEntry {
    /// The version that it made, or was part of.
    pub version: Version,
    /// When.
    pub at: Time,
    /// Why.
    pub reason: EntryReason,
    /// By how much the balance rose, or fell if negative.
    pub change: Money,
    /// Who.
    pub user: UserId,
    /// The posting or order that it belongs to; for a refund, the order that was paid for.
    pub key: OrderKey,
}

/// Looks for the entries of one account, oldest first, in steps: between two of them others may use the journal's thread.
///
/// ```
/// use inventory_core::journal::{AccountScan, MemoryJournal, ScanPlace};
/// use inventory_core::AccountId;
///
/// # pollster::block_on(async {
/// let journal = MemoryJournal::new();
/// let mut scan = AccountScan::new(AccountId(0), ScanPlace::default(), 100);
/// while !scan.step(&journal).await? {}
/// assert!(scan.entries().is_empty() && scan.place().is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug)]
pub struct AccountScan {
    account: AccountId,
    place: ScanPlace,
    /// How many entries are wanted at most.
    limit: usize,
    entries: Vec<ScannedEntry>,
    start: Option<Version>,
    is_at_end: bool,
}

impl AccountScan {
    /// Begins to look for at most `limit` entries of this account, from this place on.
    pub const fn new(account: AccountId, place: ScanPlace, limit: usize) -> Self {
        Self { account, place, limit, entries: Vec::new(), start: None, is_at_end: false }
    }

    /// Goes on by one reading of the journal, of about 256 KiB. Gives whether it is over: as many entries were found as are
    /// wanted, or there is no more to read.
    pub async fn step(&mut self, journal: &(impl Journal + ?Sized)) -> Result<bool, JournalError> {
        let groups = match journal.read(self.place.after, STEP_BYTES).await {
            Err(JournalError::Discarded { start, .. }) if self.place.after < start => {
                self.place = ScanPlace { after: start, skip: 0 };
                self.start = Some(start);
                return Ok(false);
            }
            read => read?,
        };
        self.is_at_end = groups.is_empty();
        for group in &groups {
            if self.is_full() {
                break;
            }
            self.look_at(group)?;
        }
        Ok(self.is_at_end || self.is_full())
    }

    /// What was found so far.
    pub fn entries(&self) -> &[ScannedEntry] {
        &self.entries
    }

    /// Where to go on; none if the journal was read to its end.
    pub fn place(&self) -> Option<ScanPlace> {
        (!self.is_at_end).then_some(self.place)
    }

    /// The first version that was looked behind, if the journal no longer holds what was asked for before it.
    pub const fn start(&self) -> Option<Version> {
        self.start
    }

    fn is_full(&self) -> bool {
        self.entries.len() >= self.limit
    }

    fn look_at(&mut self, group: &Group) -> Result<(), JournalError> {
        let (mut skip, mut given) = (self.place.skip, self.place.skip);
        for record in group.records() {
            let (version, record) = record?;
            let Some((Cause { reason, user, key }, changes)) = balance_changes(&record.event) else {
                continue;
            };
            for (_, change) in changes.filter(|(account, _)| *account == self.account) {
                let change = Money::from_minor(change);
                if skip > 0 {
                    skip = skip.saturating_sub(1);
                } else if self.is_full() {
                    self.place.skip = given;
                    return Ok(());
                } else {
                    given = given.saturating_add(1);
                    self.entries.push(ScannedEntry { version, at: record.at, reason, change, user, key });
                }
            }
        }
        self.place = ScanPlace { after: group.last(), skip };
        Ok(())
    }
}
