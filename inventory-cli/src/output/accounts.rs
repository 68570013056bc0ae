//! Accounts: their balances, entries and receipts.

use comfy_table::CellAlignment;
use inventory_core::{
    AccountEntry, BalanceRow as Balance, BulkEntries, BulkPostingReceipt, Entry, Money, PostingReceipt,
};
use serde::Serialize;

use super::table::render;
use crate::legible::legible_lines;
use crate::shop::{BulkPosting, KnownEntry};

const LEFT: CellAlignment = CellAlignment::Left;
const RIGHT: CellAlignment = CellAlignment::Right;

#[derive(Debug, Serialize)]
pub(crate) struct BalanceRow {
    account: String,
    balance: i64,
    floor: Option<i64>,
}

impl From<&Balance> for BalanceRow {
    fn from(row: &Balance) -> Self {
        let Balance { account, balance, floor } = row;
        Self { account: account.to_string(), balance: balance.minor(), floor: floor.map(Money::minor) }
    }
}

pub(super) fn balances(rows: &[Balance]) -> String {
    if rows.is_empty() {
        return "no accounts\n".to_owned();
    }
    let columns = [("account", LEFT), ("balance", RIGHT), ("floor", RIGHT)];
    let amount = |amount: Option<Money>| amount.map(|amount| amount.to_string()).unwrap_or_default();
    let rows =
        rows.iter().map(|row| vec![row.account.to_string(), row.balance.to_string(), amount(row.floor)]);
    render(&columns, rows)
}

/// One change of a balance.
#[derive(Debug, Serialize)]
pub(crate) struct EntryRow {
    version: u64,
    at: String,
    reason: String,
    account: String,
    change: i64,
    /// None if it is not known.
    balance: Option<i64>,
    user: Option<String>,
    key: String,
}

impl From<&AccountEntry> for EntryRow {
    fn from(entry: &AccountEntry) -> Self {
        Self {
            version: entry.version.0,
            at: entry.at.to_string(),
            reason: entry.reason.name().to_owned(),
            account: entry.account.to_string(),
            change: entry.change.minor(),
            balance: Some(entry.balance.minor()),
            user: entry.user.as_deref().map(str::to_owned),
            key: entry.key.to_string(),
        }
    }
}

impl From<(&str, &KnownEntry)> for EntryRow {
    fn from((account, KnownEntry { entry, balance }): (&str, &KnownEntry)) -> Self {
        Self {
            version: entry.version.0,
            at: entry.at.to_string(),
            reason: entry.reason.to_string(),
            account: account.to_owned(),
            change: entry.change.minor(),
            balance: balance.map(Money::minor),
            user: entry.user.as_deref().map(str::to_owned),
            key: entry.key.to_string(),
        }
    }
}

pub(super) fn entries(rows: &[EntryRow]) -> String {
    if rows.is_empty() {
        return "no entries\n".to_owned();
    }
    let columns = [
        ("version", RIGHT),
        ("at", LEFT),
        ("reason", LEFT),
        ("change", RIGHT),
        ("balance", RIGHT),
        ("user", LEFT),
        ("key", LEFT),
    ];
    let rows = rows.iter().map(|row| {
        let sign = if row.change < 0 { "" } else { "+" };
        let balance = row.balance.map(|balance| Money::from_minor(balance).to_string());
        vec![
            row.version.to_string(),
            row.at.clone(),
            row.reason.clone(),
            format!("{sign}{}", Money::from_minor(row.change)),
            balance.unwrap_or_default(),
            // No user's name has a space in it.
            row.user.clone().unwrap_or_else(|| "the system".to_owned()),
            row.key.clone(),
        ]
    });
    render(&columns, rows)
}

#[derive(Debug, Serialize)]
pub(crate) struct PostingRow {
    key: String,
    version: u64,
    user: String,
    at: String,
    r#type: &'static str,
    account: String,
    to: Option<String>,
    amount: i64,
    balance: i64,
    to_balance: Option<i64>,
}

impl From<&PostingReceipt> for PostingRow {
    fn from(receipt: &PostingReceipt) -> Self {
        Self {
            key: receipt.key.to_string(),
            version: receipt.version.0,
            user: receipt.user.to_string(),
            at: receipt.at.to_string(),
            r#type: match receipt.entry {
                Entry::Credit { .. } => "credit",
                Entry::Debit { .. } => "debit",
                Entry::Transfer { .. } => "transfer",
            },
            account: receipt.entry.account().to_string(),
            to: receipt.entry.counterpart().map(ToString::to_string),
            amount: receipt.entry.amount().minor(),
            balance: receipt.balance.minor(),
            to_balance: receipt.counterpart_balance.map(Money::minor),
        }
    }
}

pub(super) fn posting(receipt: &PostingReceipt) -> String {
    let PostingReceipt { key, version, user, at, entry, balance, counterpart_balance } = receipt;
    let (what, after) = match entry {
        Entry::Credit { account, amount } => (format!("credited {account} with {amount}"), String::new()),
        Entry::Debit { account, amount } => (format!("debited {account} by {amount}"), String::new()),
        Entry::Transfer { from, to, amount } => (
            format!("transferred {amount} from {from} to {to}"),
            counterpart_balance.map(|balance| format!("{to} has {balance}, ")).unwrap_or_default(),
        ),
    };
    // The system has no name.
    let who = if user.is_empty() { "the system" } else { user };
    format!(
        "{who} {what}, key {key}\n{} has {balance}, {after}at {at} (version {version})\n",
        entry.account()
    )
}

#[derive(Debug, Serialize)]
pub(crate) struct BulkPostingRow {
    key: String,
    version: u64,
    user: String,
    at: String,
    rows: u32,
    accepted: u32,
}

impl From<&BulkPostingReceipt> for BulkPostingRow {
    fn from(receipt: &BulkPostingReceipt) -> Self {
        Self {
            key: receipt.key.to_string(),
            version: receipt.version.0,
            user: receipt.user.to_string(),
            at: receipt.at.to_string(),
            rows: receipt.outcome.rows,
            accepted: receipt.outcome.accepted_rows,
        }
    }
}

pub(super) fn bulk_posting_receipt(receipt: &BulkPostingReceipt) -> String {
    let BulkPostingReceipt { key, version, user, at, outcome } = receipt;
    let who = if user.is_empty() { "the system" } else { user };
    format!(
        "{who} posted {} of {} entries, key {key}\nat {at} (version {version})\n",
        outcome.accepted_rows, outcome.rows
    )
}

/// One row of entries of many, and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct PostedRow {
    key: String,
    row: usize,
    account: String,
    amount: i64,
    outcome: &'static str,
    code: u8,
}

impl PostedRow {
    /// The rows of a batch, counted from 1.
    pub(super) fn of_batch(
        (batch, receipt): &(BulkEntries, BulkPostingReceipt),
    ) -> impl Iterator<Item = Self> + '_ {
        let key = batch.key().to_string();
        (0..).zip(batch.rows()).map(move |(row, (name, amount))| Self {
            key: key.clone(),
            row: row + 1,
            account: String::from_utf8_lossy(name).into_owned(),
            amount,
            outcome: receipt.outcome.codes.name(row),
            code: receipt.outcome.codes.get(row),
        })
    }
}

/// What became of each row, and the receipts.
pub(super) fn bulk_posting(posted: &BulkPosting) -> String {
    let columns = [("account", LEFT), ("amount", RIGHT), ("outcome", LEFT)];
    let rows = posted.done.iter().flat_map(PostedRow::of_batch);
    let rows = rows.map(|row| {
        vec![row.account, Money::from_minor(row.amount).to_string(), row.outcome.replace('_', " ")]
    });
    let receipts: Vec<String> =
        posted.done.iter().map(|(_, receipt)| bulk_posting_receipt(receipt)).collect();
    render(&columns, rows) + &legible_lines(&receipts.concat())
}
