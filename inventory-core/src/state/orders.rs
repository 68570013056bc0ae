//! The outcome window: what became of recent orders, by order key.
//!
//! Outcomes lie in buckets, one for each second of the keys' own time, and leave the window a whole bucket
//! at a time, oldest first: when keys of that second have become too old, or when there are too many outcomes, or too
//! many bytes of their lists.
//! `floor` is the first second that is still kept. So for every key at or above the floor it is certain
//! whether it was decided, and every key below it is refused unseen.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::bulk::BulkOutcome;
use crate::defect::{self, Defect};
use crate::entry::{EntriesOutcome, PostedEntry};
use crate::event::{Charge, Event, Line, OrderDigest, Record};
use crate::id::{OrderKey, UserId, Version};
use crate::limits::{
    ORDER_WINDOW_AGE_US, ORDER_WINDOW_AGE_US_MIN, ORDER_WINDOW_BYTES_MAX, ORDER_WINDOW_COUNT_MAX,
};
use crate::money::Money;
use crate::one_or_many::OneOrMany;
use crate::refusal::Refusal;
use crate::returns::{Found, Returned};
use crate::time::Time;

/// Most seconds that leave at one event because they are too old: more than one, so that the window catches up.
const SECONDS_LEAVING_MAX: usize = 4;

/// What the parts of an outcome count as, in bytes: about what they take in memory. They decide when outcomes leave the window, so
/// replay must count as the engine did that wrote the journal: these are numbers of the journal's format and not the sizes of
/// types, which change with the types, the compiler and the libraries.
mod counted {
    /// A line, where there are several.
    pub(super) const LINE: usize = 16;
    /// What an account paid.
    pub(super) const CHARGE: usize = 40;
    /// What one of several lines cost.
    pub(super) const AMOUNT: usize = 8;
    /// A return.
    pub(super) const RETURNED: usize = 72;
    /// A batch, without the codes of its rows, which are a byte each.
    pub(super) const BULK: usize = 64;
    /// An entry.
    pub(super) const POSTED: usize = 48;
    /// A batch of entries, without the codes of its rows.
    pub(super) const ENTRIES: usize = 40;
    /// A line of a refusal that was short.
    pub(super) const SHORTAGE: usize = 32;
}

/// What became of an order, return or posting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was accepted.
    Accepted {
        /// What was taken.
        lines: OneOrMany<Line>,
        /// The price of it all.
        total: Option<Money>,
    },
    /// It was accepted and an account paid.
    Charged {
        /// What was taken.
        lines: OneOrMany<Line>,
        /// The account that paid, and what.
        charge: Box<Charge>,
    },
    /// Units came back.
    Returned(Box<Returned>),
    /// Each row of the batch was accepted or refused.
    Bulk(Box<BulkOutcome>),
    /// The entry was posted.
    Posted(Box<PostedEntry>),
    /// Each row of the batch of entries was posted or refused.
    Entries(Box<EntriesOutcome>),
    /// It was refused.
    Refused(Box<Refusal>),
}

impl Outcome {
    /// What it counts as beyond its row.
    fn list_bytes(&self) -> usize {
        let lines_bytes = |lines: &OneOrMany<Line>| match lines {
            OneOrMany::One(_) => 0,
            OneOrMany::Many(lines) => lines.len().saturating_mul(counted::LINE),
        };
        match self {
            Self::Accepted { lines, .. } => lines_bytes(lines),
            Self::Charged { lines, charge } => charge
                .amounts
                .len()
                .saturating_mul(counted::AMOUNT)
                .saturating_add(lines_bytes(lines))
                .saturating_add(counted::CHARGE),
            Self::Returned(returned) => lines_bytes(&returned.lines).saturating_add(counted::RETURNED),
            Self::Bulk(bulk) => bulk.codes.bytes().len().saturating_add(counted::BULK),
            Self::Posted(_) => counted::POSTED,
            Self::Entries(entries) => entries.codes.bytes().len().saturating_add(counted::ENTRIES),
            Self::Refused(refusal) => match &**refusal {
                Refusal::InsufficientStock { shortages } | Refusal::ExceedsPurchase { shortages } => {
                    shortages.len().saturating_mul(counted::SHORTAGE)
                }
                Refusal::InsufficientFunds { account, .. }
                | Refusal::BalanceOutOfRange { account }
                | Refusal::UnknownAccount { account } => account.len(),
                _ => 0,
            },
        }
    }
}

/// The outcome of one order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRow {
    /// The order's key.
    pub key: OrderKey,
    /// Digest of the order as it was sent.
    pub digest: OrderDigest,
    /// The version the outcome made.
    pub version: Version,
    /// When.
    pub at: Time,
    /// Whose order.
    pub user: UserId,
    /// What became of it.
    pub outcome: Outcome,
}

impl OutcomeRow {
    /// What is remembered of the event that made this version; none if it is no order's outcome.
    pub fn of(version: Version, record: &Record) -> Option<Self> {
        let (key, user, digest, outcome) = match &record.event {
            Event::Purchased { key, user, digest, lines, total } => {
                (key, user, digest, Outcome::Accepted { lines: lines.clone(), total: *total })
            }
            Event::BulkPurchased { key, user, digest, total, rows, .. } => {
                (key, user, digest, Outcome::Bulk(Box::new(BulkOutcome::of(rows, *total))))
            }
            Event::PurchaseCharged { key, user, digest, lines, charge } => {
                (key, user, digest, Outcome::Charged { lines: lines.clone(), charge: charge.clone() })
            }
            Event::Returned { key, user, digest, returned } => {
                (key, user, digest, Outcome::Returned(returned.clone()))
            }
            Event::Posted { key, user, digest, posted, .. } => {
                (key, user, digest, Outcome::Posted(posted.clone()))
            }
            Event::BulkPosted { key, user, digest, rows } => {
                (key, user, digest, Outcome::Entries(Box::new(EntriesOutcome::of(rows))))
            }
            Event::PurchaseRefused { key, user, digest, refusal }
            | Event::PostRefused { key, user, digest, refusal }
            | Event::ReturnRefused { key, user, digest, refusal } => {
                (key, user, digest, Outcome::Refused(Box::new(refusal.clone())))
            }
            Event::ItemDefined { .. }
            | Event::InitialLevelSet { .. }
            | Event::UserAdded { .. }
            | Event::LoggedIn { .. }
            | Event::LoggedOut { .. }
            | Event::FloorSet { .. } => return None,
        };
        Some(Self { key: *key, digest: *digest, version, at: record.at, user: *user, outcome })
    }
}

impl OutcomeRow {
    /// What a return of the order has to know.
    pub(crate) fn found(&self) -> Found<'_> {
        let (lines, charge) = match &self.outcome {
            Outcome::Accepted { lines, .. } => (lines, None),
            Outcome::Charged { lines, charge } => (lines, Some(Cow::Borrowed(&**charge))),
            Outcome::Bulk(_)
            | Outcome::Returned(_)
            | Outcome::Posted(_)
            | Outcome::Entries(_)
            | Outcome::Refused(_) => return Found::Other { user: self.user },
        };
        Found::Bought { version: self.version, user: self.user, lines: Cow::Borrowed(lines), charge }
    }
}

/// What the window knows of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lookup<'a> {
    /// The order was decided, with this outcome.
    Decided(&'a OutcomeRow),
    /// The order was not decided.
    Undecided,
    /// The key is older than the window.
    TooOld,
}

/// The outcomes of recent orders.
#[derive(Debug)]
pub struct Orders {
    buckets: BTreeMap<u64, Bucket>,
    count: usize,
    /// [`ORDER_WINDOW_COUNT_MAX`], or fewer in tests.
    count_max: usize,
    /// Bytes of the outcomes' lists.
    bytes: usize,
    /// [`ORDER_WINDOW_BYTES_MAX`], or fewer in tests.
    bytes_max: usize,
    /// Keys of earlier seconds have left the window.
    floor: u64,
    hasher: FixedState,
}

/// The outcomes whose keys are of one second.
#[derive(Debug)]
struct Bucket {
    rows: Vec<OutcomeRow>,
    /// Bytes of their lists.
    bytes: usize,
    by_key: HashTable<u32>,
}

/// The window as it was before its oldest buckets left.
#[derive(Debug)]
pub(crate) struct WindowBefore {
    floor: u64,
    evicted: Vec<(u64, Bucket)>,
}

impl Orders {
    pub(super) fn new(hash_seed: u64) -> Self {
        Self {
            buckets: BTreeMap::new(),
            count: 0,
            count_max: ORDER_WINDOW_COUNT_MAX,
            bytes: 0,
            bytes_max: ORDER_WINDOW_BYTES_MAX,
            floor: 0,
            hasher: FixedState::with_seed(hash_seed),
        }
    }

    /// How many outcomes the window holds.
    pub const fn len(&self) -> usize {
        self.count
    }

    /// Whether it holds none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first time of a key that is still in the window at `now`.
    pub fn start(&self, now: Time) -> Time {
        Time::from_micros(self.floor_at(now).saturating_mul(1_000_000))
    }

    /// Whether one more outcome can be recorded at `now`: there is room, or the oldest second may leave to make it.
    pub fn has_room(&self, now: Time) -> bool {
        let oldest = self.buckets.first_key_value();
        let is_room = self.count < self.count_max && self.bytes < self.bytes_max;
        is_room || oldest.is_some_and(|(second, _)| may_leave(*second, now))
    }

    /// What became of the order with this key, as known at `now`.
    pub fn look_up(&self, key: OrderKey, now: Time) -> Lookup<'_> {
        let second = second_of(key.time());
        if second < self.floor_at(now) {
            return Lookup::TooOld;
        }
        let Some(bucket) = self.buckets.get(&second) else { return Lookup::Undecided };
        bucket.find(key, self.hasher.hash_one(key)).map_or(Lookup::Undecided, Lookup::Decided)
    }

    /// The outcomes by second of their keys, and in the order they were decided within one.
    pub fn iter(&self) -> impl Iterator<Item = &OutcomeRow> {
        self.buckets.values().flat_map(|bucket| &bucket.rows)
    }

    /// The first second that is still kept, for a snapshot.
    pub(crate) const fn floor(&self) -> u64 {
        self.floor
    }

    /// Holds fewer outcomes than [`ORDER_WINDOW_COUNT_MAX`]: a test cannot fill that.
    #[cfg(test)]
    pub(crate) fn hold_at_most(&mut self, count_max: usize) {
        self.count_max = count_max;
    }

    /// Sets the first second that is kept, from a snapshot.
    pub(crate) fn set_floor(&mut self, floor: u64) {
        self.floor = floor;
    }

    /// Records an outcome. The caller has made sure that the window holds the key's second and not the key.
    pub(crate) fn record(&mut self, row: OutcomeRow) {
        let second = second_of(row.key.time());
        let bucket = match self.buckets.entry(second) {
            Entry::Occupied(bucket) => bucket.into_mut(),
            Entry::Vacant(_) => {
                // A second holds about as many orders as the one before it: growing would copy them again and again.
                // Not more than one second looks at any other, or keys of many seconds could claim room many times.
                let before = second.checked_sub(1).and_then(|before| self.buckets.get(&before));
                let capacity = before.map_or(0, |bucket| bucket.rows.len());
                self.buckets.entry(second).or_insert_with(|| Bucket::with_capacity(capacity))
            }
        };
        let Ok(place) = u32::try_from(bucket.rows.len()) else {
            debug_assert!(false, "the window's bound is far below 2^32");
            return;
        };
        let list_bytes = row.outcome.list_bytes();
        let Bucket { rows, bytes, by_key } = bucket;
        *bytes = bytes.saturating_add(list_bytes);
        self.bytes = self.bytes.saturating_add(list_bytes);
        by_key.insert_unique(self.hasher.hash_one(row.key), place, |place| {
            row_at(rows, *place).map_or(0, |row| self.hasher.hash_one(row.key))
        });
        rows.push(row);
        self.count = self.count.saturating_add(1);
    }

    pub(super) fn undo_record(&mut self, key: OrderKey) {
        let second = second_of(key.time());
        let Some(bucket) = self.buckets.get_mut(&second) else { return };
        let Some(row) = bucket.rows.pop() else { return };
        debug_assert_eq!(row.key, key, "the newest outcome of its second is undone first");
        let list_bytes = row.outcome.list_bytes();
        bucket.bytes = bucket.bytes.saturating_sub(list_bytes);
        self.bytes = self.bytes.saturating_sub(list_bytes);
        let place = u32::try_from(bucket.rows.len()).unwrap_or(u32::MAX);
        let hash = self.hasher.hash_one(row.key);
        if let Ok(entry) = bucket.by_key.find_entry(hash, |other| *other == place) {
            entry.remove();
        }
        if bucket.rows.is_empty() {
            self.buckets.remove(&second);
        }
        self.count = self.count.saturating_sub(1);
    }

    /// Lets the oldest buckets leave: a few of those that are too old at `now`, so that no call pays for a whole night, and
    /// as many as it takes while there are too many outcomes or bytes. None if nothing changed.
    pub(crate) fn advance(&mut self, now: Time) -> Option<WindowBefore> {
        let before_floor = self.floor;
        let mut evicted = Vec::new();
        let early = defect::is(Defect::OutcomesLeaveEarly);
        let start = if early { second_of(now).saturating_sub(1) } else { self.floor_at(now) };
        while let Some(oldest) = self.buckets.first_entry() {
            let second = *oldest.key();
            let too_old = second < start && evicted.len() < SECONDS_LEAVING_MAX;
            let too_full = self.count > self.count_max || self.bytes > self.bytes_max;
            let too_many = too_full && may_leave(second, now);
            if !too_old && !too_many {
                break;
            }
            // Not further: what is too old and has not left yet lies above the floor.
            self.floor = if early { self.floor } else { second.saturating_add(1) };
            let bucket = oldest.remove();
            self.count = self.count.saturating_sub(bucket.rows.len());
            self.bytes = self.bytes.saturating_sub(bucket.bytes);
            evicted.push((second, bucket));
        }
        if evicted.is_empty() { None } else { Some(WindowBefore { floor: before_floor, evicted }) }
    }

    pub(super) fn undo_advance(&mut self, before: WindowBefore) {
        self.floor = before.floor;
        for (second, bucket) in before.evicted {
            self.count = self.count.saturating_add(bucket.rows.len());
            self.bytes = self.bytes.saturating_add(bucket.bytes);
            self.buckets.insert(second, bucket);
        }
    }

    fn floor_at(&self, now: Time) -> u64 {
        self.floor.max(second_of(now.minus_micros(ORDER_WINDOW_AGE_US)))
    }
}

impl Bucket {
    fn with_capacity(capacity: usize) -> Self {
        Self { rows: Vec::with_capacity(capacity), bytes: 0, by_key: HashTable::with_capacity(capacity) }
    }

    fn find(&self, key: OrderKey, hash: u64) -> Option<&OutcomeRow> {
        let place =
            self.by_key.find(hash, |place| row_at(&self.rows, *place).is_some_and(|row| row.key == key))?;
        row_at(&self.rows, *place)
    }
}

fn row_at(rows: &[OutcomeRow], place: u32) -> Option<&OutcomeRow> {
    rows.get(usize::try_from(place).ok()?)
}

/// Whether keys of this second are old enough at `now` to leave for want of room.
const fn may_leave(second: u64, now: Time) -> bool {
    second < second_of(now.minus_micros(ORDER_WINDOW_AGE_US_MIN))
}

const fn second_of(time: Time) -> u64 {
    time.as_micros() / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::RowCodes;
    use crate::entry::Entry;
    use crate::id::{AccountId, ItemId, LocationId, Upc};
    use crate::quantity::Units;
    use crate::refusal::Shortage;

    const NOW: Time = Time::from_micros(1_795_219_200_000_000);

    fn row(key: OrderKey) -> OutcomeRow {
        let outcome = Outcome::Refused(Box::new(Refusal::EmptyOrder));
        OutcomeRow { key, digest: OrderDigest(1), version: Version(1), at: NOW, user: UserId(1), outcome }
    }

    /// A window with an outcome of every second from `NOW` on, this many seconds.
    fn window(seconds: u64) -> (Orders, Vec<OrderKey>) {
        let mut orders = Orders::new(1);
        let key = |second: u64| {
            OrderKey::from_parts(NOW.plus_micros(second.saturating_mul(1_000_000)), second.into())
        };
        let keys: Vec<OrderKey> = (0..seconds).map(key).collect();
        for key in &keys {
            orders.record(row(*key));
        }
        (orders, keys)
    }

    #[test]
    fn a_second_leaves_when_its_keys_are_too_old() {
        let (mut orders, keys) = window(3);
        assert!(orders.advance(NOW.plus_micros(ORDER_WINDOW_AGE_US)).is_none());
        let later = NOW.plus_micros(ORDER_WINDOW_AGE_US + 1_000_000);
        assert!(orders.advance(later).is_some());
        assert_eq!(orders.look_up(keys[0], later), Lookup::TooOld);
        assert!(matches!(orders.look_up(keys[1], later), Lookup::Decided(_)));
        assert_eq!(orders.len(), 2);
    }

    #[test]
    fn a_night_without_orders_leaves_a_few_seconds_at_a_time() {
        let (mut orders, keys) = window(10);
        let later = NOW.plus_micros(2 * ORDER_WINDOW_AGE_US);
        let mut left = Vec::new();
        while orders.advance(later).is_some() {
            assert!(keys.iter().all(|key| orders.look_up(*key, later) == Lookup::TooOld));
            left.push(orders.len());
        }
        assert_eq!(left, [6, 2, 0]);
    }

    #[test]
    fn what_left_stays_away_when_the_clock_is_asked_about_an_earlier_time() {
        let (mut orders, keys) = window(3);
        orders.advance(NOW.plus_micros(ORDER_WINDOW_AGE_US + 1_000_000));
        assert_eq!(orders.look_up(keys[0], NOW), Lookup::TooOld);
    }

    #[test]
    fn the_oldest_second_leaves_when_there_are_too_many_outcomes_but_never_a_young_one() {
        let (mut orders, keys) = window(2);
        orders.hold_at_most(100);
        let third = NOW.plus_micros(2_000_000);
        for random in 0..98 {
            orders.record(row(OrderKey::from_parts(third, random << 8)));
        }
        let later = NOW.plus_micros(ORDER_WINDOW_AGE_US_MIN + 1_000_000);
        assert!(!orders.has_room(NOW) && orders.has_room(later));
        assert!(orders.advance(later).is_none());
        orders.record(row(OrderKey::from_parts(third, u128::MAX)));
        assert!(orders.advance(NOW).is_none());
        let before = orders.advance(later).unwrap();
        assert_eq!(orders.len(), 100);
        assert_eq!(orders.look_up(keys[0], later), Lookup::TooOld);
        assert!(matches!(orders.look_up(keys[1], later), Lookup::Decided(_)));
        assert!(!orders.has_room(later), "the next second is young still");
        orders.undo_advance(before);
        assert!(matches!(orders.look_up(keys[0], later), Lookup::Decided(_)));
        assert_eq!(orders.len(), 101);
    }

    #[test]
    fn the_oldest_second_leaves_when_the_lists_of_outcomes_take_too_many_bytes_but_never_a_young_one() {
        let (mut orders, keys) = window(2);
        let before_bytes = orders.bytes;
        let refused = |key| OutcomeRow { outcome: batch_of_refused_rows(1_000), ..row(key) };
        orders.bytes_max = before_bytes + 2 * batch_of_refused_rows(1_000).list_bytes();
        let third = NOW.plus_micros(2_000_000);
        orders.record(refused(OrderKey::from_parts(third, 1 << 8)));
        assert!(orders.has_room(NOW));
        orders.record(refused(OrderKey::from_parts(third, 2 << 8)));
        let later = NOW.plus_micros(ORDER_WINDOW_AGE_US_MIN + 1_000_000);
        assert!(!orders.has_room(NOW) && orders.has_room(later), "as many bytes as there may be");
        assert!(orders.advance(later).is_none());
        orders.record(refused(OrderKey::from_parts(third, 3 << 8)));
        assert!(orders.advance(NOW).is_none());
        let full_bytes = orders.bytes;
        let before = orders.advance(later).unwrap();
        assert_eq!(orders.look_up(keys[0], later), Lookup::TooOld);
        assert!(!orders.has_room(later), "the next second is young still");
        orders.undo_advance(before);
        assert_eq!(orders.bytes, full_bytes);
        for random in [3, 2, 1] {
            orders.undo_record(OrderKey::from_parts(third, random << 8));
        }
        assert_eq!(orders.bytes, before_bytes);
    }

    #[test]
    fn lists_of_any_outcome_count() {
        let line = Line { item: ItemId(0), location: LocationId::MAIN, units: Units::ZERO };
        let short = Shortage {
            upc: Upc::new(0).unwrap(),
            location: line.location,
            requested: Units::ZERO,
            available: Units::ZERO,
        };
        let accepted = |lines: usize| {
            let lines = core::iter::repeat_n(line, lines).collect();
            Outcome::Accepted { lines, total: None }.list_bytes()
        };
        let refusal = Refusal::InsufficientStock { shortages: [short; 3].into() };
        assert_eq!((accepted(1), accepted(3)), (0, 48));
        assert_eq!(Outcome::Refused(Box::new(refusal)).list_bytes(), 96);
    }

    /// The numbers decide where the window begins when it is full, and so what replay of a journal gives: a directory that was
    /// written with these must be read with these, whatever the types become.
    #[test]
    fn what_an_outcome_counts_as_is_part_of_the_format_and_not_of_the_layout_of_types() {
        let line = |item| Line { item: ItemId(item), location: LocationId::MAIN, units: Units::ZERO };
        let lines = |count: u32| (0..count).map(line).collect::<OneOrMany<Line>>();
        let charged = |count: u32, amounts: usize| {
            let amounts = core::iter::repeat_n(Money::ZERO, amounts).collect();
            let charge = Box::new(Charge { account: AccountId(0), total: Money::ZERO, amounts });
            Outcome::Charged { lines: lines(count), charge }.list_bytes()
        };
        assert_eq!((charged(1, 0), charged(3, 0)), (40, 40 + 3 * 16), "as before format 4");
        assert_eq!(charged(3, 3), 40 + 3 * (16 + 8));
        let returned = |count: u32| {
            let (order, purchased) = (OrderKey::from_parts(NOW, 1), Version(1));
            Outcome::Returned(Box::new(Returned { order, purchased, lines: lines(count), refund: None }))
                .list_bytes()
        };
        assert_eq!((returned(1), returned(2)), (72, 72 + 2 * 16));
        assert_eq!(batch_of_refused_rows(10).list_bytes(), 64 + 10);
        let codes = RowCodes::of([21].repeat(10));
        let entries = EntriesOutcome { rows: 10, accepted_rows: 0, codes };
        assert_eq!(Outcome::Entries(Box::new(entries)).list_bytes(), 40 + 10);
        let entry = Entry::Credit { account: AccountId(0), amount: Money::ZERO };
        let posted = PostedEntry { entry, balance: Money::ZERO, counterpart_balance: None };
        assert_eq!(Outcome::Posted(Box::new(posted)).list_bytes(), 48);
    }

    fn batch_of_refused_rows(rows: u32) -> Outcome {
        let codes = RowCodes::of([21].repeat(usize::try_from(rows).unwrap()));
        let (units, total) = (Units::ZERO, Some(Money::ZERO));
        Outcome::Bulk(Box::new(BulkOutcome { rows, accepted_rows: 0, units, total, codes }))
    }

    #[test]
    fn room_is_claimed_once_whatever_the_order_of_the_keys() {
        let mut orders = Orders::new(1);
        for random in 0..1_000u128 {
            orders.record(row(OrderKey::from_parts(NOW, random << 8)));
        }
        for second in (1..=100).rev() {
            orders.record(row(OrderKey::from_parts(NOW.plus_micros(second * 1_000_000), 0)));
        }
        let room: usize = orders.buckets.values().map(|bucket| bucket.rows.capacity()).sum();
        assert!(room < 3_000, "room for {room} outcomes, and there are {}", orders.len());
    }

    #[test]
    fn an_undone_outcome_is_undecided_again() {
        let (mut orders, keys) = window(2);
        let again = OrderKey::from_parts(NOW, 99);
        orders.record(row(again));
        orders.undo_record(again);
        assert_eq!(orders.look_up(again, NOW), Lookup::Undecided);
        assert!(orders.buckets.values().all(|bucket| bucket.by_key.len() == bucket.rows.len()));
        assert!(matches!(orders.look_up(keys[0], NOW), Lookup::Decided(_)));
        orders.undo_record(keys[1]);
        assert_eq!((orders.len(), orders.iter().count()), (1, 1));
    }
}
