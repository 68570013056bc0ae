//! Lines of all clients on their way into batches: columns that fill while batches before them are decided and written.

use std::collections::VecDeque;
use std::mem;

use inventory_core::limits::{ENTRIES_BATCH_MAX, ENTRIES_NAME_BYTES_MAX};
use inventory_core::{BulkEntries, BulkEntriesError, NameColumn, OrderKey};

use super::line::{Discard, Entered};

/// Full batches that may wait to be posted; with so many, nothing more is read from clients.
pub(super) const FULL_MAX: usize = 8;
/// Room for names that a new batch begins with, in bytes.
const NAMES_BYTES: usize = 64 << 10;
/// What a batch takes at most, in bytes: for each row an amount and where its name ends.
pub(super) const BATCH_BYTES_MAX: usize =
    ENTRIES_BATCH_MAX * (size_of::<i64>() + size_of::<u32>()) + ENTRIES_NAME_BYTES_MAX;

/// The rows of one batch. They are 1 to [`ENTRIES_BATCH_MAX`] once something was put in.
#[derive(Debug)]
pub(super) struct Columns {
    names: NameColumn,
    amounts: Vec<i64>,
}

impl Columns {
    fn new() -> Self {
        Self {
            names: NameColumn::with_capacity(ENTRIES_BATCH_MAX, NAMES_BYTES),
            amounts: Vec::with_capacity(ENTRIES_BATCH_MAX),
        }
    }

    fn has_room_for(&self, name: &[u8]) -> bool {
        self.amounts.len() < ENTRIES_BATCH_MAX
            && self.names.bytes().len().saturating_add(name.len()) <= ENTRIES_NAME_BYTES_MAX
    }

    /// The batch under this key.
    pub(super) fn entries(self, key: OrderKey) -> Result<BulkEntries, BulkEntriesError> {
        BulkEntries::new(key, self.names, self.amounts)
    }
}

/// What became of lines, so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LineCounts {
    /// Lines whose entries were posted.
    pub accepted: u64,
    discarded: [u64; Discard::ALL.len()],
    /// Lines that were read, and neither accepted nor discarded yet.
    pub waiting: u64,
    /// Clients that have connected.
    pub clients: u64,
    /// Clients that are connected.
    pub connected: u64,
    /// Clients whose connections were reset to make room for others: they sent nothing, or a line without an end.
    pub sent_away: u64,
}

impl LineCounts {
    /// Lines that were discarded for this reason.
    pub fn discarded(&self, why: Discard) -> u64 {
        let place = Discard::ALL.iter().position(|reason| *reason == why);
        place.and_then(|place| self.discarded.get(place)).copied().unwrap_or_default()
    }

    /// Lines that were discarded.
    pub fn discarded_in_all(&self) -> u64 {
        self.discarded.iter().sum()
    }

    fn count_discarded(&mut self, why: Discard, lines: u64) {
        let place = Discard::ALL.iter().position(|reason| *reason == why);
        if let Some(count) = place.and_then(|place| self.discarded.get_mut(place)) {
            *count = count.saturating_add(lines);
        }
    }
}

/// Gathers the lines of all clients. Batches are numbered from 1 in the order in which they fill.
#[derive(Debug)]
pub(super) struct Gatherer {
    open: Columns,
    open_number: u64,
    full: VecDeque<Columns>,
    counts: LineCounts,
}

impl Gatherer {
    pub(super) fn new() -> Self {
        Self { open: Columns::new(), open_number: 1, full: VecDeque::new(), counts: LineCounts::default() }
    }

    /// Takes a line.
    pub(super) fn put(&mut self, line: Result<Entered<'_>, Discard>) {
        let (name, amount) = match line {
            Ok(entered) => entered,
            Err(why) => return self.counts.count_discarded(why, 1),
        };
        if !self.open.has_room_for(name) {
            self.close_open();
        }
        // A name of one line and those of an unfinished batch are far from 4 GiB.
        if self.open.names.push(name) {
            self.open.amounts.push(amount);
        }
    }

    /// Counts a batch whose rows were decided.
    pub(super) fn count_decided(&mut self, rows: u32, accepted: u32) {
        let (rows, accepted) = (u64::from(rows), u64::from(accepted));
        self.counts.waiting = self.counts.waiting.saturating_sub(rows);
        self.counts.accepted = self.counts.accepted.saturating_add(accepted);
        self.counts.count_discarded(Discard::Refused, rows.saturating_sub(accepted));
    }

    pub(super) fn count_connected(&mut self) {
        self.counts.clients = self.counts.clients.saturating_add(1);
        self.counts.connected = self.counts.connected.saturating_add(1);
    }

    pub(super) fn count_disconnected(&mut self) {
        self.counts.connected = self.counts.connected.saturating_sub(1);
    }

    pub(super) fn count_sent_away(&mut self, clients: u64) {
        self.counts.sent_away = self.counts.sent_away.saturating_add(clients);
    }

    pub(super) fn counts(&self) -> LineCounts {
        LineCounts { waiting: self.waiting(), ..self.counts }
    }

    /// Those of the batch that is filling are not counted one by one.
    fn waiting(&self) -> u64 {
        let open = u64::try_from(self.open.amounts.len()).unwrap_or(u64::MAX);
        self.counts.waiting.saturating_add(open)
    }

    fn close_open(&mut self) {
        self.counts.waiting = self.waiting();
        self.full.push_back(mem::replace(&mut self.open, Columns::new()));
        self.open_number = self.open_number.saturating_add(1);
    }

    /// Whether more may be put in.
    pub(super) fn has_room(&self) -> bool {
        self.full.len() < FULL_MAX
    }

    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.amounts.is_empty()
    }

    /// The number of the batch with the newest row; 0 if there was none.
    pub(super) fn newest(&self) -> u64 {
        if self.open.amounts.is_empty() { self.open_number.saturating_sub(1) } else { self.open_number }
    }

    /// The oldest full batch, with its number; or, if wanted, the one that is filling.
    pub(super) fn take(&mut self, unfilled_too: bool) -> Option<(u64, Columns)> {
        if self.full.is_empty() && unfilled_too && !self.open.amounts.is_empty() {
            self.close_open();
        }
        let behind = u64::try_from(self.full.len()).unwrap_or(u64::MAX);
        let columns = self.full.pop_front()?;
        Some((self.open_number.saturating_sub(behind), columns))
    }
}

#[cfg(test)]
mod tests {
    use inventory_core::Time;

    use super::*;

    fn rows((_, columns): (u64, Columns)) -> Vec<(Vec<u8>, i64)> {
        let entries = columns.entries(OrderKey::from_parts(Time::ZERO, 1)).unwrap();
        entries.rows().map(|(name, amount)| (name.to_vec(), amount)).collect()
    }

    #[test]
    fn rows_leave_in_their_order_in_batches_that_can_be_posted() {
        let mut gatherer = Gatherer::new();
        let total = ENTRIES_BATCH_MAX * 2 + 3;
        let amounts: Vec<i64> = (0..).take(total).collect();
        for amount in &amounts {
            gatherer.put(Ok((b"a", *amount)));
        }
        let mut taken = Vec::new();
        for number in 1..=2 {
            let batch = gatherer.take(false).unwrap();
            assert_eq!(batch.0, number);
            taken.extend(rows(batch));
        }
        assert!(gatherer.take(false).is_none());
        assert_eq!(gatherer.newest(), 3);
        let last = gatherer.take(true).unwrap();
        assert_eq!(last.0, 3);
        taken.extend(rows(last));
        assert!(taken.iter().map(|(_, amount)| amount).eq(&amounts));
        assert!(gatherer.is_empty() && gatherer.take(true).is_none());
        assert_eq!(gatherer.newest(), 3);
    }

    #[test]
    fn long_names_close_a_batch_before_they_are_too_many() {
        let mut gatherer = Gatherer::new();
        let name = vec![b'n'; 60_000];
        (0..10).for_each(|amount| gatherer.put(Ok((&name, amount))));
        let mut taken = 0;
        while let Some(batch) = gatherer.take(true) {
            taken += rows(batch).len();
        }
        assert_eq!(taken, 10);
    }

    #[test]
    fn a_gatherer_with_enough_full_batches_says_so() {
        let mut gatherer = Gatherer::new();
        while gatherer.has_room() {
            gatherer.put(Ok((b"a", 1)));
            assert!(gatherer.full.len() <= FULL_MAX);
        }
        assert!(gatherer.take(false).is_some());
        assert!(gatherer.has_room());
    }

    #[test]
    fn lines_wait_until_they_are_decided() {
        let mut gatherer = Gatherer::new();
        (0..10_000).for_each(|_| gatherer.put(Ok((b"a", 1))));
        gatherer.put(Err(Discard::Fields));
        assert_eq!(gatherer.counts().waiting, 10_000);
        let (_, first) = gatherer.take(true).unwrap();
        assert_eq!(gatherer.counts().waiting, 10_000);
        gatherer.count_decided(first.amounts.len().try_into().unwrap(), 8_000);
        let counts = gatherer.counts();
        assert_eq!(
            (counts.waiting, counts.accepted, counts.discarded(Discard::Refused)),
            (1_808, 8_000, 192)
        );
    }

    #[test]
    fn each_reason_is_counted_apart() {
        let mut gatherer = Gatherer::new();
        for (lines, why) in (1..).zip(Discard::ALL) {
            (0..lines).for_each(|_| gatherer.put(Err(why)));
        }
        let counts = gatherer.counts();
        assert!((1..=7).eq(Discard::ALL.map(|why| counts.discarded(why))));
        assert_eq!(counts.discarded_in_all(), 28);
        assert!(gatherer.is_empty());
    }
}
