//! Accounts and the entries to them: credits, debits and transfers, one by one or in batches of independent rows.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::bulk::RowCodes;
use crate::id::{AccountId, OrderKey};
use crate::limits::{ACCOUNT_NAME_BYTES_MAX, ENTRIES_BATCH_MAX, ENTRIES_NAME_BYTES_MAX};
use crate::money::Money;

/// The account name that these bytes are: UTF-8, 1 to [`ACCOUNT_NAME_BYTES_MAX`] bytes, no ASCII white space (space, TAB, LF,
/// VT, FF, CR). None if they are no name. Names are the same if their bytes are.
///
/// ```
/// # use inventory_core::account_name;
/// assert_eq!(account_name("Zoë".as_bytes()), Some("Zoë"));
/// assert_eq!(account_name(b"two words"), None);
/// ```
pub fn account_name(bytes: &[u8]) -> Option<&str> {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    if bytes.is_empty() || bytes.len() > ACCOUNT_NAME_BYTES_MAX || bytes.iter().any(is_space) {
        return None;
    }
    core::str::from_utf8(bytes).ok()
}

/// A change of one balance, or of two at once. Amounts are never negative; zero is an entry too: it makes the account.
///
/// `A` is how accounts are named: by their names in a command and a receipt, by their rows in an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry<A = Box<str>> {
    /// The balance rises.
    Credit {
        /// Whose.
        account: A,
        /// By how much.
        amount: Money,
    },
    /// The balance falls.
    Debit {
        /// Whose.
        account: A,
        /// By how much.
        amount: Money,
    },
    /// The balance of one account falls and that of another rises, or neither changes.
    Transfer {
        /// Whose balance falls.
        from: A,
        /// Whose rises: another one's.
        to: A,
        /// By how much.
        amount: Money,
    },
}

impl<A> Entry<A> {
    /// The amount; never negative.
    pub const fn amount(&self) -> Money {
        match self {
            Self::Credit { amount, .. } | Self::Debit { amount, .. } | Self::Transfer { amount, .. } => {
                *amount
            }
        }
    }

    /// The account of a credit or debit, or the one that a transfer takes from.
    pub const fn account(&self) -> &A {
        match self {
            Self::Credit { account, .. }
            | Self::Debit { account, .. }
            | Self::Transfer { from: account, .. } => account,
        }
    }

    /// The account that a transfer gives to.
    pub const fn counterpart(&self) -> Option<&A> {
        match self {
            Self::Credit { .. } | Self::Debit { .. } => None,
            Self::Transfer { to, .. } => Some(to),
        }
    }

    /// The change of the balance of [`account`](Self::account): negative if it falls.
    pub const fn change(&self) -> Money {
        match self {
            Self::Credit { amount, .. } => *amount,
            Self::Debit { amount, .. } | Self::Transfer { amount, .. } => {
                // Amounts are not negative: every one has an opposite.
                Money::from_minor(amount.minor().saturating_neg())
            }
        }
    }

    /// The same entry with its accounts named another way; none if one of them cannot be.
    pub fn map<B>(&self, mut name: impl FnMut(&A) -> Option<B>) -> Option<Entry<B>> {
        Some(match self {
            Self::Credit { account, amount } => Entry::Credit { account: name(account)?, amount: *amount },
            Self::Debit { account, amount } => Entry::Debit { account: name(account)?, amount: *amount },
            Self::Transfer { from, to, amount } => {
                Entry::Transfer { from: name(from)?, to: name(to)?, amount: *amount }
            }
        })
    }
}

/// An entry to be posted, at most once for its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The entry's idempotency key: as an order's, from the same keys. A retry carries the same key and the same entry.
    pub key: OrderKey,
    /// The entry.
    pub entry: Entry,
}

/// Account names one after the other, without an allocation for each. They are bytes: whether they are names is asked where
/// an account is made ([`account_name`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameColumn {
    bytes: Vec<u8>,
    /// Where each name ends.
    ends: Vec<u32>,
}

impl NameColumn {
    /// A column without names and with room for so many names of so many bytes together.
    pub fn with_capacity(names: usize, bytes: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(names) }
    }

    /// The column of these bytes, of which each name ends where `ends` says. None if the ends fall, or the last one is not
    /// that of the bytes.
    pub fn from_parts(bytes: Vec<u8>, ends: Vec<u32>) -> Option<Self> {
        let end = ends.last().copied().unwrap_or_default();
        (ends.is_sorted() && usize::try_from(end) == Ok(bytes.len())).then_some(Self { bytes, ends })
    }

    /// Adds a name. Gives whether it fits: all names together are of fewer than 4 GiB.
    #[must_use]
    pub fn push(&mut self, name: &[u8]) -> bool {
        let Ok(end) = u32::try_from(self.bytes.len().saturating_add(name.len())) else { return false };
        self.bytes.extend_from_slice(name);
        self.ends.push(end);
        true
    }

    /// How many names there are.
    pub const fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The names' bytes, one after the other.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where each name ends in [`bytes`](Self::bytes).
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The names.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let end = usize::try_from(*end).unwrap_or(usize::MAX);
            let name = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            name
        })
    }
}

/// A batch of entries: 1 to [`ENTRIES_BATCH_MAX`] rows, each for itself, all of them at most once for its key. A row is an account's
/// name and an amount in minor units: a credit, or a debit if it is negative.
///
/// ```
/// # use inventory_core::{BulkEntries, NameColumn, OrderKey, Time};
/// let key = OrderKey::from_parts(Time::ZERO, 7);
/// let mut names = NameColumn::default();
/// assert!(names.push(b"Marc") && names.push(b"Marc"));
/// let batch = BulkEntries::new(key, names, vec![200, -100])?;
/// assert_eq!(batch.rows().collect::<Vec<_>>(), [(&b"Marc"[..], 200), (b"Marc", -100)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkEntries {
    key: OrderKey,
    /// Apart, so that every other command is no larger for it.
    columns: Box<Columns>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Columns {
    names: NameColumn,
    amounts: Box<[i64]>,
}

/// Why columns are no [`BulkEntries`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BulkEntriesError {
    /// There is no row, or more than [`ENTRIES_BATCH_MAX`].
    #[error("a batch has 1 to {ENTRIES_BATCH_MAX} entries; this one has {0}")]
    Rows(usize),
    /// One column is longer than the other.
    #[error("the columns of a batch are equally long; these are of {names} names and {amounts} amounts")]
    Uneven {
        /// How many names there are.
        names: usize,
        /// How many amounts there are.
        amounts: usize,
    },
    /// The names together have more bytes than [`ENTRIES_NAME_BYTES_MAX`].
    #[error("the names of a batch have at most {ENTRIES_NAME_BYTES_MAX} bytes; these have {0}")]
    NameBytes(usize),
    /// An amount is −2⁶³: it has no opposite.
    #[error("the amount of row {0} is too large")]
    Amount(usize),
}

impl BulkEntries {
    /// The batch of these rows: name by name, this much.
    pub fn new(
        key: OrderKey,
        names: NameColumn,
        amounts: impl Into<Box<[i64]>>,
    ) -> Result<Self, BulkEntriesError> {
        let amounts = amounts.into();
        if names.len() != amounts.len() {
            return Err(BulkEntriesError::Uneven { names: names.len(), amounts: amounts.len() });
        }
        if amounts.is_empty() || amounts.len() > ENTRIES_BATCH_MAX {
            return Err(BulkEntriesError::Rows(amounts.len()));
        }
        if names.bytes.len() > ENTRIES_NAME_BYTES_MAX {
            return Err(BulkEntriesError::NameBytes(names.bytes.len()));
        }
        match amounts.iter().position(|amount| *amount == i64::MIN) {
            Some(row) => Err(BulkEntriesError::Amount(row)),
            None => Ok(Self { key, columns: Box::new(Columns { names, amounts }) }),
        }
    }

    /// The batch's idempotency key. A retry carries the same key and rows.
    pub const fn key(&self) -> OrderKey {
        self.key
    }

    /// The accounts' names, row by row.
    pub fn names(&self) -> &NameColumn {
        &self.columns.names
    }

    /// The amounts in minor units, row by row; negative for a debit.
    pub fn amounts(&self) -> &[i64] {
        &self.columns.amounts
    }

    /// Each row's name and amount.
    pub fn rows(&self) -> impl Iterator<Item = (&[u8], i64)> {
        self.names().iter().zip(self.amounts().iter().copied())
    }
}

/// An entry as it was posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostedEntry {
    /// The entry.
    pub entry: Entry<AccountId>,
    /// The balance of [`Entry::account`] after it.
    pub balance: Money,
    /// The balance of [`Entry::counterpart`] after it; only a transfer has one.
    pub counterpart_balance: Option<Money>,
}

/// The rows of a batch of entries as the engine decided them: columns of one length, and the accounts that they made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRows {
    accounts: Box<[AccountId]>,
    amounts: Box<[i64]>,
    codes: RowCodes,
    added: NameColumn,
    accepted_rows: u32,
}

impl EntryRows {
    /// The row number that stands for an account that does not exist and was not made: the row names none, or the table
    /// is full.
    pub const NO_ACCOUNT: AccountId = AccountId(u32::MAX);

    /// Rows of these columns; none if they do not fit each other. `added` names the accounts that the rows made, in the order of
    /// the first accepted rows that name them.
    pub fn new(
        accounts: impl Into<Box<[AccountId]>>,
        amounts: impl Into<Box<[i64]>>,
        codes: RowCodes,
        added: NameColumn,
    ) -> Option<Self> {
        let rows = Self::of(accounts.into(), amounts.into(), codes, added);
        rows.fit().then_some(rows)
    }

    /// The rows of these columns, which are known to fit each other.
    pub(crate) fn of(
        accounts: Box<[AccountId]>,
        amounts: Box<[i64]>,
        codes: RowCodes,
        added: NameColumn,
    ) -> Self {
        let refused = codes.bytes().iter().filter(|code| **code != RowCodes::ACCEPTED).count();
        let accepted_rows = u32::try_from(accounts.len().saturating_sub(refused)).unwrap_or(u32::MAX);
        Self { accounts, amounts, codes, added, accepted_rows }
    }

    fn fit(&self) -> bool {
        let count = self.accounts.len();
        let nameless = |code| matches!(code, RowCodes::INVALID_NAME | RowCodes::TABLE_FULL);
        let row_fits = |(row, account, amount): (usize, AccountId, i64)| {
            amount != i64::MIN && nameless(self.codes.get(row)) == (account == Self::NO_ACCOUNT)
        };
        (1..=ENTRIES_BATCH_MAX).contains(&count)
            && self.amounts.len() == count
            && self.codes.fit(count)
            && self.added.bytes.len() <= ENTRIES_NAME_BYTES_MAX
            && self.rows().all(row_fits)
    }

    /// Each row's place, account and amount in minor units.
    pub fn rows(&self) -> impl Iterator<Item = (usize, AccountId, i64)> {
        let rows = self.accounts.iter().zip(&self.amounts).enumerate();
        rows.map(|(row, (account, amount))| (row, *account, *amount))
    }

    /// The accounts' rows.
    pub const fn accounts(&self) -> &[AccountId] {
        &self.accounts
    }

    /// The amounts that were asked for, in minor units; negative for a debit.
    pub const fn amounts(&self) -> &[i64] {
        &self.amounts
    }

    /// What became of them.
    pub const fn codes(&self) -> &RowCodes {
        &self.codes
    }

    /// The names of the accounts that the rows made: they get the next rows of the table, in this order.
    pub const fn added(&self) -> &NameColumn {
        &self.added
    }

    /// How many rows were accepted.
    pub const fn accepted_rows(&self) -> u32 {
        self.accepted_rows
    }

    /// Does something with the account and amount of each accepted row. If all were, there is no code to look at.
    pub(crate) fn for_each_accepted(&self, mut act: impl FnMut(AccountId, i64)) {
        if self.codes.are_all_accepted() {
            let rows = self.accounts.iter().zip(&self.amounts);
            rows.for_each(|(account, amount)| act(*account, *amount));
        } else {
            self.accepted().for_each(|(_, account, amount)| act(account, amount));
        }
    }

    /// The accepted rows: place, account and amount in minor units.
    pub fn accepted(&self) -> impl DoubleEndedIterator<Item = (usize, AccountId, i64)> {
        let rows = self.accounts.iter().zip(&self.amounts).enumerate();
        rows.map(|(row, (account, amount))| (row, *account, *amount))
            .filter(|(row, ..)| self.codes.get(*row) == RowCodes::ACCEPTED)
    }
}

/// What became of a batch of entries: small, whatever its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntriesOutcome {
    /// How many rows it had.
    pub rows: u32,
    /// How many of them were accepted.
    pub accepted_rows: u32,
    /// What became of each row.
    pub codes: RowCodes,
}

impl EntriesOutcome {
    /// The outcome that these rows are.
    pub fn of(rows: &EntryRows) -> Self {
        Self {
            rows: u32::try_from(rows.accounts.len()).unwrap_or(u32::MAX),
            accepted_rows: rows.accepted_rows,
            codes: rows.codes.clone(),
        }
    }
}
