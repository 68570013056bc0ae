//! Naive accounts: balances and floors in plain maps, worked out again from what was asked. They share no code with the
//! engine, only its words.

use std::collections::BTreeMap;

use inventory_core::{BalanceRow, BulkEntries, Entry, Money, Refusal};

/// The balance of each account of an entry after it: that of a transfer's giver first.
pub(super) type Balances = Vec<i64>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Account {
    balance: i64,
    floor: Option<i64>,
}

/// The accounts at one version.
#[derive(Clone, Debug, Default)]
pub(super) struct Accounts {
    /// Names in the order in which the accounts were made: the engine's row numbers.
    rows: Vec<Box<str>>,
    by_name: BTreeMap<Box<str>, Account>,
    /// Credits and refunds less debits and charges. A transfer adds nothing.
    came_in: i128,
    /// What the event that is followed has changed so far.
    changes: Vec<(Box<str>, i64)>,
}

impl Accounts {
    pub(super) fn name(&self, row: u32) -> Option<&str> {
        self.rows.get(usize::try_from(row).ok()?).map(|name| &**name)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn row(&self, name: &str) -> Option<BalanceRow> {
        self.by_name.get(name).map(|account| BalanceRow {
            account: name.into(),
            balance: Money::from_minor(account.balance),
            floor: account.floor.map(Money::from_minor),
        })
    }

    /// All of them, in the order in which they were made.
    pub(super) fn made(&self) -> impl Iterator<Item = BalanceRow> {
        self.rows.iter().filter_map(|name| self.row(name))
    }

    /// All of them, by the bytes of their names.
    pub(super) fn sorted(&self) -> impl Iterator<Item = BalanceRow> {
        self.by_name.keys().filter_map(|name| self.row(name))
    }

    /// At most `limit` accounts after this one, and where the next page begins.
    pub(super) fn page(&self, after: Option<&str>, limit: usize) -> (Vec<BalanceRow>, Option<Box<str>>) {
        let behind = |row: &BalanceRow| after.is_none_or(|after| &*row.account > after);
        let mut rows: Vec<BalanceRow> = self.sorted().filter(behind).collect();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| (*row.account).into());
        (rows, next)
    }

    /// Whether the balances add up to what came in, and none is below its floor.
    pub(super) fn add_up(&self) -> bool {
        let sum: i128 = self.by_name.values().map(|account| i128::from(account.balance)).sum();
        let keeps_floor = |account: &Account| account.floor.is_none_or(|floor| account.balance >= floor);
        sum == self.came_in && self.by_name.values().all(keeps_floor)
    }

    /// What an entry does: the balances after it. The accounts stay as they are.
    pub(super) fn decide(&self, entry: &Entry) -> Result<Balances, Refusal> {
        changes(entry).into_iter().map(|(name, change)| self.balance_with(name, change)).collect()
    }

    /// Posts an entry, and gives the names of the accounts that it makes.
    pub(super) fn post(&mut self, entry: &Entry) -> Vec<Box<str>> {
        let before = self.rows.len();
        for (name, change) in changes(entry) {
            self.change(name, change);
        }
        self.rows.get(before..).unwrap_or_default().to_vec()
    }

    /// Posts row by row; gives the code of each.
    pub(super) fn post_rows(&mut self, batch: &BulkEntries) -> Vec<u8> {
        let code = |(name, amount): (&[u8], i64)| {
            let Some(name) = std::str::from_utf8(name).ok().filter(|name| is_name(name)) else { return 42 };
            match self.balance_with(name, amount.into()) {
                Ok(_) => {
                    self.change(name, amount.into());
                    0
                }
                Err(Refusal::InsufficientFunds { .. }) => 26,
                Err(_) => 27,
            }
        };
        batch.rows().map(code).collect()
    }

    /// What becomes of an account that pays this.
    pub(super) fn can_pay(&self, name: &str, total: Money) -> Result<(), Refusal> {
        if !self.by_name.contains_key(name) {
            return Err(Refusal::UnknownAccount { account: name.into() });
        }
        self.balance_with(name, -i128::from(total.minor())).map(|_| ())
    }

    pub(super) fn pay(&mut self, name: &str, total: Money) {
        self.change(name, -i128::from(total.minor()));
    }

    /// What becomes of an account to which this comes back.
    pub(super) fn can_get(&self, name: &str, amount: Money) -> Result<(), Refusal> {
        self.balance_with(name, amount.minor().into()).map(|_| ())
    }

    pub(super) fn refund(&mut self, name: &str, amount: Money) {
        self.change(name, amount.minor().into());
    }

    /// Sets a floor; false if it may not be set, or is there.
    pub(super) fn set_floor(&mut self, name: &str, floor: Option<Money>) -> bool {
        let Some(account) = self.by_name.get_mut(name) else { return false };
        let floor = floor.map(Money::minor);
        let may = floor.is_none_or(|floor| floor <= account.balance) && floor != account.floor;
        account.floor = floor;
        may
    }

    fn balance_with(&self, name: &str, change: i128) -> Result<i64, Refusal> {
        let Account { balance, floor } = self.by_name.get(name).copied().unwrap_or_default();
        let after = i128::from(balance) + change;
        let account = name.into();
        match floor.map(i128::from) {
            Some(floor) if after < floor => {
                let short_by = Money::from_minor(i64::try_from(floor - after).unwrap_or(i64::MAX));
                Err(Refusal::InsufficientFunds { account, short_by })
            }
            _ => i64::try_from(after).map_err(|_| Refusal::BalanceOutOfRange { account }),
        }
    }

    fn change(&mut self, name: &str, change: i128) {
        let Ok(balance) = self.balance_with(name, change) else { return };
        if !self.by_name.contains_key(name) {
            self.rows.push(name.into());
        }
        self.by_name.entry(name.into()).or_default().balance = balance;
        self.came_in += change;
        self.changes.push((name.into(), i64::try_from(change).unwrap_or(i64::MAX)));
    }

    /// What was changed since this was asked the last time.
    pub(super) fn take_changes(&mut self) -> Vec<(Box<str>, i64)> {
        std::mem::take(&mut self.changes)
    }
}

/// Whether an account may be called so.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains([' ', '\t', '\n', '\r', '\u{b}', '\u{c}'])
}

fn changes(entry: &Entry) -> Vec<(&str, i128)> {
    let amount = i128::from(entry.amount().minor());
    match entry {
        Entry::Credit { account, .. } => vec![(account, amount)],
        Entry::Debit { account, .. } => vec![(account, -amount)],
        Entry::Transfer { from, to, .. } => vec![(from, -amount), (to, amount)],
    }
}
