//! The books of the accounts: what each balance adds up to, kept the plain way.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::Breach;
use crate::bulk::RowCodes;
use crate::entry::{EntryRows, PostedEntry, account_name};
use crate::id::{AccountId, OrderKey};
use crate::limits::{ACCOUNT_NAME_BYTES_MAX, ACCOUNTS_MAX, ACCOUNTS_NAME_BYTES_MAX};
use crate::money::Money;
use crate::refusal::Refusal;
use crate::state::State;

#[derive(Debug, Default)]
pub(super) struct Books {
    ids: BTreeMap<Box<str>, AccountId>,
    rows: Vec<Row>,
    /// Of all names together.
    name_bytes: usize,
}

#[derive(Debug, Default)]
struct Row {
    balance: i64,
    floor: Option<i64>,
}

impl Books {
    /// Books that begin with this state.
    pub(super) fn of(state: &State) -> Self {
        let rows = state.accounts().iter().map(|(_, account)| Row {
            balance: account.balance().minor(),
            floor: account.floor().map(Money::minor),
        });
        let ids = state.accounts().iter().map(|(id, account)| ((**account.name()).into(), id));
        let name_bytes = state.accounts().iter().map(|(_, account)| account.name().len()).sum();
        Self { ids: ids.collect(), rows: rows.collect(), name_bytes }
    }

    pub(super) fn id(&self, name: &str) -> Option<AccountId> {
        self.ids.get(name).copied()
    }

    /// What the entries of an account add up to.
    pub(super) fn balance(&self, id: AccountId) -> Option<i64> {
        self.row(id).map(|row| row.balance)
    }

    /// Makes an account.
    pub(super) fn add(&mut self, name: &str) -> Result<(), Breach> {
        let id = AccountId(u32::try_from(self.rows.len()).unwrap_or(u32::MAX));
        self.name_bytes = self.name_bytes.saturating_add(name.len());
        let fits = account_name(name.as_bytes()).is_some() && self.name_bytes <= ACCOUNTS_NAME_BYTES_MAX;
        if !fits || self.ids.insert(name.into(), id).is_some() {
            return Err(Breach::Rows("accounts"));
        }
        self.rows.push(Row::default());
        Ok(())
    }

    /// Enters a change of a balance.
    pub(super) fn enter(&mut self, account: AccountId, change: i64) -> Result<(), Breach> {
        let row = usize::try_from(account.0).ok().and_then(|at| self.rows.get_mut(at));
        let row = row.ok_or(Breach::Rows("accounts"))?;
        let after = row.balance.checked_add(change).ok_or(Breach::BalanceOutOfBounds(account))?;
        if change < 0 && row.floor.is_some_and(|floor| after < floor) {
            return Err(Breach::BalanceOutOfBounds(account));
        }
        row.balance = after;
        Ok(())
    }

    /// Enters an entry and compares the balances that it says it made.
    pub(super) fn post(&mut self, posted: &PostedEntry, added: &[Box<str>]) -> Result<(), Breach> {
        added.iter().try_for_each(|name| self.add(name))?;
        let PostedEntry { entry, balance, counterpart_balance } = posted;
        self.enter(*entry.account(), entry.change().minor())?;
        if let Some(counterpart) = entry.counterpart() {
            self.enter(*counterpart, entry.amount().minor())?;
        }
        self.compare(*entry.account(), Some(*balance))?;
        entry.counterpart().map_or(Ok(()), |counterpart| self.compare(*counterpart, *counterpart_balance))
    }

    /// Enters the rows of a batch in their order, each judged by what those before it left.
    pub(super) fn post_rows(&mut self, key: OrderKey, rows: &EntryRows) -> Result<(), Breach> {
        for name in rows.added().iter() {
            self.add(account_name(name).ok_or(Breach::Rows("accounts"))?)?;
        }
        for (place, account, amount) in rows.rows() {
            let row = self.row(account);
            let after = row.map(|row| i128::from(row.balance).saturating_add(amount.into()));
            let is_below =
                after.zip(row.and_then(|row| row.floor)).is_some_and(|(after, floor)| after < floor.into());
            let is_too_much = after.is_some_and(|after| i64::try_from(after).is_err());
            let is_true = match rows.codes().get(place) {
                RowCodes::INSUFFICIENT_FUNDS => is_below,
                RowCodes::BALANCE_OUT_OF_RANGE => is_too_much && !is_below,
                RowCodes::INVALID_NAME => account == EntryRows::NO_ACCOUNT,
                RowCodes::TABLE_FULL => account == EntryRows::NO_ACCOUNT && self.can_be_full(),
                _ => {
                    self.enter(account, amount)?;
                    true
                }
            };
            if !is_true {
                return Err(Breach::FalseRow { key, row: place });
            }
        }
        Ok(())
    }

    /// Sets a floor, or none.
    pub(super) fn set_floor(&mut self, account: AccountId, floor: Option<Money>) -> Result<(), Breach> {
        let row = usize::try_from(account.0).ok().and_then(|at| self.rows.get_mut(at));
        let row = row.ok_or(Breach::Rows("accounts"))?;
        row.floor = floor.map(Money::minor);
        if row.floor.is_some_and(|floor| row.balance < floor) {
            return Err(Breach::BalanceOutOfBounds(account));
        }
        Ok(())
    }

    /// Whether a refusal that is about an account can be true. By how much an entry asked is known by its digest only.
    pub(super) fn can_refuse(&self, refusal: &Refusal) -> bool {
        let named = |name: &str| self.id(name).and_then(|id| self.row(id));
        match refusal {
            Refusal::InsufficientFunds { account, short_by } => {
                named(account).is_some_and(|row| row.floor.is_some()) && *short_by > Money::ZERO
            }
            // From zero, every amount fits.
            Refusal::BalanceOutOfRange { account } => named(account).is_some_and(|row| row.balance != 0),
            Refusal::UnknownAccount { account } => named(account).is_none(),
            _ => true,
        }
    }

    /// Compares one account's balance with the books.
    pub(super) fn compare(&self, account: AccountId, is: Option<Money>) -> Result<(), Breach> {
        let should = self.balance(account).map(Money::from_minor);
        if is.is_some() && is == should { Ok(()) } else { Err(Breach::Balance { account, is, should }) }
    }

    /// Compares every account of the state with the books.
    pub(super) fn compare_all(&self, state: &State) -> Result<(), Breach> {
        let is_same = |(id, account): (AccountId, &crate::state::Account)| {
            let floor = account.floor().map(Money::minor);
            self.id(account.name()) == Some(id) && self.row(id).is_some_and(|row| row.floor == floor)
        };
        let counts = [self.ids.len(), self.rows.len()];
        if counts != [state.accounts().len(); 2] || !state.accounts().iter().all(is_same) {
            return Err(Breach::Rows("accounts"));
        }
        state.accounts().iter().try_for_each(|(id, account)| self.compare(id, Some(account.balance())))
    }

    /// Whether there may have been no room for an account. Its name is not recorded: it can have been the longest.
    fn can_be_full(&self) -> bool {
        self.rows.len() >= ACCOUNTS_MAX
            || self.name_bytes.saturating_add(ACCOUNT_NAME_BYTES_MAX) > ACCOUNTS_NAME_BYTES_MAX
    }

    fn row(&self, id: AccountId) -> Option<&Row> {
        self.rows.get(usize::try_from(id.0).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::NameColumn;
    use crate::time::Time;
    use alloc::vec;

    fn with_names_of(name_bytes: usize) -> Books {
        Books { name_bytes, ..Books::default() }
    }

    #[test]
    fn a_row_finds_no_room_only_where_the_longest_name_would_not_fit() {
        let key = OrderKey::from_parts(Time::ZERO, 1 << 8);
        let codes = || RowCodes::of_entries(vec![RowCodes::TABLE_FULL]).unwrap();
        let rows = || EntryRows::new([EntryRows::NO_ACCOUNT], [1], codes(), NameColumn::default()).unwrap();
        let fits = ACCOUNTS_NAME_BYTES_MAX - ACCOUNT_NAME_BYTES_MAX;
        let enter = |name_bytes| with_names_of(name_bytes).post_rows(key, &rows());
        assert_eq!(enter(fits), Err(Breach::FalseRow { key, row: 0 }));
        assert_eq!(enter(fits + 1), Ok(()));
    }

    #[test]
    fn the_books_count_the_names_bytes_by_themselves() {
        let mut books = with_names_of(ACCOUNTS_NAME_BYTES_MAX - 4);
        assert_eq!(books.add("Zoë"), Ok(()));
        assert_eq!(books.add("B"), Err(Breach::Rows("accounts")));
        let mut state = State::new(1);
        state.accounts.add("Zoë");
        state.accounts.add("B");
        assert_eq!(Books::of(&state).name_bytes, 5);
    }
}
