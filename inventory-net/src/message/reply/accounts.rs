//! The bodies of replies about accounts: see `bodies`.

use inventory_core::journal::ScanPlace;
use inventory_core::{BalanceRow, BalancesPage, Money, OrderKey, Time, Version};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use crate::message::entries::{EntriesPage, EntryRow};
use crate::message::value::{Row, valid, valid_if_present};

#[derive(Serialize)]
pub(super) struct BalanceOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<i64>,
    account: &'a str,
    balance: i64,
}

impl<'a> From<&'a BalanceRow> for BalanceOut<'a> {
    fn from(row: &'a BalanceRow) -> Self {
        let BalanceRow { account, balance, floor } = row;
        Self { floor: floor.map(Money::minor), account, balance: balance.minor() }
    }
}

#[derive(Deserialize)]
pub(super) struct BalanceIn {
    #[serde(default, deserialize_with = "valid_if_present")]
    floor: Option<Money>,
    account: Box<str>,
    #[serde(deserialize_with = "valid")]
    balance: Money,
}

impl BalanceIn {
    pub(super) fn get(self) -> BalanceRow {
        BalanceRow { account: self.account.into(), balance: self.balance, floor: self.floor }
    }
}

#[derive(Serialize)]
pub(super) struct BalancesOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    balances: BalanceRows<'a>,
}

struct BalanceRows<'a>(&'a [BalanceRow]);

impl Serialize for BalanceRows<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|BalanceRow { account, balance, floor }| {
            (&**account, balance.minor(), floor.map(Money::minor))
        }))
    }
}

impl<'a> From<&'a BalancesPage> for BalancesOut<'a> {
    fn from(page: &'a BalancesPage) -> Self {
        Self { next: page.next.as_deref(), balances: BalanceRows(&page.balances) }
    }
}

#[derive(Deserialize)]
pub(super) struct BalancesIn {
    #[serde(default)]
    next: Option<Box<str>>,
    balances: Vec<Row<BalanceRowIn>>,
}

#[derive(Deserialize)]
struct BalanceRowIn(Box<str>, #[serde(deserialize_with = "valid")] Money, Option<i64>);

impl BalancesIn {
    pub(super) fn get(self) -> BalancesPage {
        let row = |Row(BalanceRowIn(account, balance, floor))| BalanceRow {
            account: account.into(),
            balance,
            floor: floor.map(Money::from_minor),
        };
        BalancesPage {
            balances: self.balances.into_iter().map(row).collect(),
            next: self.next.map(Into::into),
        }
    }
}

#[derive(Serialize)]
pub(super) struct EntriesOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<(u64, u32)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<u64>,
    entries: EntryRows<'a>,
}

struct EntryRows<'a>(&'a [EntryRow]);

impl Serialize for EntryRows<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|row| {
            let EntryRow { version, at, reason, change, user, key } = row;
            let key = ByteArray::new(key.to_bytes());
            (version.0, at.as_micros(), reason, change.minor(), user.as_deref(), key)
        }))
    }
}

impl<'a> From<&'a EntriesPage> for EntriesOut<'a> {
    fn from(page: &'a EntriesPage) -> Self {
        let EntriesPage { entries, next, start } = page;
        Self {
            next: next.map(|ScanPlace { after, skip }| (after.0, skip)),
            start: start.map(|start| start.0),
            entries: EntryRows(entries),
        }
    }
}

#[derive(Deserialize)]
pub(super) struct EntriesIn {
    #[serde(default)]
    next: Option<Row<PlaceIn>>,
    #[serde(default, deserialize_with = "valid_if_present")]
    start: Option<Version>,
    entries: Vec<Row<EntryRowIn>>,
}

#[derive(Deserialize)]
struct PlaceIn(#[serde(deserialize_with = "valid")] Version, #[serde(deserialize_with = "valid")] u32);

#[derive(Deserialize)]
struct EntryRowIn(
    #[serde(deserialize_with = "valid")] Version,
    #[serde(deserialize_with = "valid")] Time,
    Box<str>,
    #[serde(deserialize_with = "valid")] Money,
    Option<Box<str>>,
    #[serde(deserialize_with = "valid")] OrderKey,
);

impl EntriesIn {
    pub(super) fn get(self) -> EntriesPage {
        let row = |Row(row)| {
            let EntryRowIn(version, at, reason, change, user, key) = row;
            EntryRow { version, at, reason, change, user, key }
        };
        EntriesPage {
            entries: self.entries.into_iter().map(row).collect(),
            next: self.next.map(|Row(PlaceIn(after, skip))| ScanPlace { after, skip }),
            start: self.start,
        }
    }
}
