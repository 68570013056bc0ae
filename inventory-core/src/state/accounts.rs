//! The accounts: name, balance and floor, found by name and listed in the order of their names.
//!
//! Invariants: one row a name; a row is never removed but by undo; row numbers are dense; no balance is below its floor; at
//! most [`ACCOUNTS_MAX`] rows, with names of at most [`ACCOUNTS_NAME_BYTES_MAX`] bytes together.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use core::ops::Bound;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::entry::EntryRows;
use crate::id::AccountId;
use crate::limits::{ACCOUNTS_MAX, ACCOUNTS_NAME_BYTES_MAX};
use crate::money::Money;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    name: Arc<str>,
    balance: i64,
    /// The least value in 64 bits stands for no floor: no balance is below it.
    floor: i64,
}

impl Account {
    /// Its name.
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Its balance.
    pub const fn balance(&self) -> Money {
        Money::from_minor(self.balance)
    }

    /// What its balance never goes below, if that was set.
    pub fn floor(&self) -> Option<Money> {
        (self.floor != i64::MIN).then_some(Money::from_minor(self.floor))
    }

    /// The lowest balance in minor units that it may have.
    pub(crate) const fn balance_min(&self) -> i64 {
        self.floor
    }
}

/// The accounts.
#[derive(Debug)]
pub struct Accounts {
    rows: Vec<Account>,
    by_name: HashTable<u32>,
    sorted: BTreeMap<Arc<str>, AccountId>,
    /// Of all names together.
    name_bytes: usize,
    /// [`ACCOUNTS_MAX`], or fewer in tests.
    count_max: usize,
    /// [`ACCOUNTS_NAME_BYTES_MAX`], or fewer in tests.
    name_bytes_max: usize,
    hasher: FixedState,
}

impl Accounts {
    pub(super) fn new(hash_seed: u64) -> Self {
        Self {
            rows: Vec::new(),
            by_name: HashTable::new(),
            sorted: BTreeMap::new(),
            name_bytes: 0,
            count_max: ACCOUNTS_MAX,
            name_bytes_max: ACCOUNTS_NAME_BYTES_MAX,
            hasher: FixedState::with_seed(hash_seed),
        }
    }

    /// How many accounts there are.
    pub const fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether so many accounts can be added whose names have so many bytes together.
    pub fn has_room(&self, count: usize, name_bytes: usize) -> bool {
        self.rows.len().saturating_add(count) <= self.count_max
            && self.name_bytes.saturating_add(name_bytes) <= self.name_bytes_max
    }

    /// Holds fewer accounts than [`ACCOUNTS_MAX`] and names of fewer bytes than [`ACCOUNTS_NAME_BYTES_MAX`]: a test cannot
    /// fill those.
    #[cfg(test)]
    pub(crate) fn hold_at_most(&mut self, count_max: usize, name_bytes_max: usize) {
        (self.count_max, self.name_bytes_max) = (count_max, name_bytes_max);
    }

    /// The row of the account whose name these bytes are.
    #[inline]
    pub fn id(&self, name: &[u8]) -> Option<AccountId> {
        self.find(name).map(|(id, _)| id)
    }

    /// The account whose name these bytes are, and its row.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<(AccountId, &Account)> {
        let named = |row: &u32| self.account(AccountId(*row)).is_some_and(|it| it.name.as_bytes() == name);
        let id = AccountId(*self.by_name.find(hash(&self.hasher, name), named)?);
        Some((id, self.account(id)?))
    }

    /// The account in this row.
    #[inline]
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.rows.get(index(id))
    }

    /// The accounts after this name, or all of them, in the order of their names' bytes.
    pub fn sorted_after(&self, after: Option<&str>) -> impl Iterator<Item = &Account> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.sorted.range::<str, _>((start, Bound::Unbounded)).filter_map(|(_, id)| self.account(*id))
    }

    /// The accounts in the order in which they were made.
    pub fn iter(&self) -> impl Iterator<Item = (AccountId, &Account)> {
        (0..).map(AccountId).zip(&self.rows)
    }

    /// The keyed hasher of this table, for another one of the same names.
    pub(crate) fn hasher(&self) -> FixedState {
        self.hasher.clone()
    }

    /// The row that the next account gets.
    pub(crate) fn next_id(&self) -> AccountId {
        AccountId(u32::try_from(self.rows.len()).unwrap_or(u32::MAX))
    }

    /// Makes an account with a balance of zero and without a floor. The caller has made sure that there is none of this name, and
    /// room for it.
    pub(crate) fn add(&mut self, name: &str) {
        let (id, name) = (self.next_id(), Arc::<str>::from(name));
        self.name_bytes = self.name_bytes.saturating_add(name.len());
        self.sorted.insert(Arc::clone(&name), id);
        self.rows.push(Account { name: Arc::clone(&name), balance: 0, floor: i64::MIN });
        let Self { rows, by_name, hasher, .. } = self;
        by_name.insert_unique(hash(hasher, name.as_bytes()), id.0, |row| {
            rows.get(index(AccountId(*row))).map_or(0, |row| hash(hasher, row.name.as_bytes()))
        });
    }

    pub(super) fn undo_add(&mut self) {
        let Some(row) = self.rows.pop() else { return };
        self.name_bytes = self.name_bytes.saturating_sub(row.name.len());
        self.sorted.remove(&row.name);
        let removed = self.next_id();
        if let Ok(entry) =
            self.by_name.find_entry(hash(&self.hasher, row.name.as_bytes()), |id| *id == removed.0)
        {
            entry.remove();
        }
    }

    /// Changes a balance. The caller has made sure that it fits and respects the floor.
    pub(crate) fn change(&mut self, id: AccountId, change: Money) {
        if let Some(row) = self.rows.get_mut(index(id)) {
            row.balance = row.balance.wrapping_add(change.minor());
        }
    }

    /// Takes back a [`change`](Self::change). Sums in 64 bits are exact whatever lies between, so order does not matter.
    pub(super) fn undo_change(&mut self, id: AccountId, change: Money) {
        if let Some(row) = self.rows.get_mut(index(id)) {
            row.balance = row.balance.wrapping_sub(change.minor());
        }
    }

    /// Sets a floor, or none, and gives back what it was.
    pub(crate) fn set_floor(&mut self, id: AccountId, floor: Option<Money>) -> Option<Money> {
        let row = self.rows.get_mut(index(id))?;
        let before = row.floor();
        row.floor = floor.map_or(i64::MIN, Money::minor);
        before
    }

    /// Makes the accounts of a batch and changes balances as its accepted rows say. The caller has made sure that each fits.
    pub(crate) fn post_rows(&mut self, entries: &EntryRows) {
        let names = entries.added().iter().map(|name| core::str::from_utf8(name).unwrap_or_default());
        names.for_each(|name| self.add(name));
        self.change_rows(entries, i64::wrapping_add);
    }

    pub(super) fn undo_post_rows(&mut self, entries: &EntryRows) {
        self.change_rows(entries, i64::wrapping_sub);
        (0..entries.added().len()).for_each(|_| self.undo_add());
    }

    fn change_rows(&mut self, entries: &EntryRows, change: impl Fn(i64, i64) -> i64) {
        let rows = &mut self.rows;
        entries.for_each_accepted(|account, amount| {
            if let Some(row) = rows.get_mut(index(account)) {
                row.balance = change(row.balance, amount);
            }
        });
    }
}

/// In place: it is on the way of every row of a batch.
#[inline]
fn hash(hasher: &FixedState, name: &[u8]) -> u64 {
    let mut hash = hasher.build_hasher();
    hash.write(name);
    hash.finish()
}

fn index(id: AccountId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bulk::RowCodes;
    use crate::entry::NameColumn;
    use alloc::vec;

    #[test]
    fn an_account_that_is_taken_back_leaves_nothing_behind() {
        let mut accounts = Accounts::new(1);
        accounts.add("Marc");
        accounts.add("Anna");
        accounts.undo_add();
        assert_eq!((accounts.len(), accounts.by_name.len(), accounts.sorted.len()), (1, 1, 1));
        assert_eq!((accounts.id(b"Marc"), accounts.id(b"Anna")), (Some(AccountId(0)), None));
    }

    #[test]
    fn there_is_room_up_to_each_bound_and_what_is_taken_back_gives_its_room_back() {
        let mut accounts = Accounts::new(1);
        accounts.hold_at_most(3, 10);
        accounts.add("Marc");
        let rooms =
            |it: &Accounts| [(2, 6), (3, 6), (2, 7), (1, usize::MAX)].map(|(n, bytes)| it.has_room(n, bytes));
        assert_eq!(rooms(&accounts), [true, false, false, false]);
        accounts.add("Zoë");
        assert_eq!((accounts.has_room(1, 2), accounts.has_room(1, 3)), (true, false));
        accounts.undo_add();
        assert_eq!(rooms(&accounts), [true, false, false, false]);
        let mut added = NameColumn::default();
        assert!(added.push(b"Anna") && added.push(b"Li"));
        let rows = EntryRows::new([1, 2].map(AccountId), [1, 1], RowCodes::default(), added).unwrap();
        accounts.post_rows(&rows);
        assert!(!accounts.has_room(0, 1));
        accounts.undo_post_rows(&rows);
        assert_eq!(rooms(&accounts), [true, false, false, false]);
    }

    #[test]
    fn a_batch_is_taken_back_from_its_own_columns() {
        let mut accounts = Accounts::new(1);
        accounts.add("Marc");
        accounts.change(AccountId(0), Money::from_minor(i64::MAX));
        let mut added = NameColumn::default();
        assert!(added.push(b"Anna"));
        let ids = [0, 1, 0, 0].map(AccountId);
        let codes = RowCodes::of_entries(vec![0, 0, 27, 0]).unwrap();
        let rows = EntryRows::new(ids, [-5, 7, i64::MAX, 5], codes, added).unwrap();
        accounts.post_rows(&rows);
        let balances = |accounts: &Accounts| accounts.iter().map(|(_, row)| row.balance).collect::<Vec<_>>();
        assert_eq!(balances(&accounts), [i64::MAX, 7]);
        accounts.undo_post_rows(&rows);
        assert_eq!(balances(&accounts), [i64::MAX]);
    }
}
