//! The rows of JSON and CSV. Their names are a contract: snapshot tests hold them.

use inventory_core::{
    BulkOrder, BulkReceipt, LevelRow as Level, OrderLine, Receipt, Refusal, ReturnReceipt, Shortage, Upc,
};
use serde::Serialize;

use crate::holdings::Held;
use crate::import::Imported;

#[derive(Debug, Serialize)]
pub(crate) struct LevelRow {
    upc: String,
    name: String,
    location: String,
    on_hand: u64,
    reserved: u64,
    available: u64,
    price: Option<i64>,
}

impl From<&Level> for LevelRow {
    fn from(level: &Level) -> Self {
        Self {
            upc: level.upc.to_string(),
            name: level.name.to_string(),
            location: level.location.to_string(),
            on_hand: level.on_hand.get(),
            reserved: level.reserved.get(),
            available: level.available().get(),
            price: level.price.map(inventory_core::Money::minor),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct HoldingRow {
    pub(super) upc: String,
    pub(super) name: String,
    pub(super) units: u64,
}

impl From<(Upc, &Held)> for HoldingRow {
    fn from((upc, held): (Upc, &Held)) -> Self {
        Self { upc: upc.to_string(), name: held.name.clone(), units: held.units.get() }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ReceiptRow {
    key: String,
    version: u64,
    user: String,
    at: String,
    lines: Vec<LineRow>,
    total: Option<i64>,
    charged: Option<String>,
}

#[derive(Debug, Serialize)]
struct LineRow {
    upc: String,
    location: String,
    units: u64,
}

impl From<&OrderLine> for LineRow {
    fn from(line: &OrderLine) -> Self {
        Self { upc: line.upc.to_string(), location: line.location.to_string(), units: line.units.get() }
    }
}

/// A receipt line as a CSV row: what belongs to the receipt stands in each.
#[derive(Debug, Serialize)]
pub(crate) struct FlatReceiptRow<'a> {
    key: &'a str,
    version: u64,
    user: &'a str,
    at: &'a str,
    upc: &'a str,
    location: &'a str,
    units: u64,
    total: Option<i64>,
    charged: Option<&'a str>,
}

impl From<&Receipt> for ReceiptRow {
    fn from(receipt: &Receipt) -> Self {
        Self {
            key: receipt.key.to_string(),
            version: receipt.version.0,
            user: receipt.user.to_string(),
            at: receipt.at.to_string(),
            lines: receipt.lines.iter().map(LineRow::from).collect(),
            total: receipt.total.map(inventory_core::Money::minor),
            charged: receipt.charged.as_deref().map(str::to_owned),
        }
    }
}

impl ReceiptRow {
    pub(super) fn flat(&self) -> impl Iterator<Item = FlatReceiptRow<'_>> {
        self.lines.iter().map(|line| FlatReceiptRow {
            key: &self.key,
            version: self.version,
            user: &self.user,
            at: &self.at,
            upc: &line.upc,
            location: &line.location,
            units: line.units,
            total: self.total,
            charged: self.charged.as_deref(),
        })
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct ReturnRow {
    key: String,
    version: u64,
    user: String,
    at: String,
    order: String,
    lines: Vec<LineRow>,
    /// None if no account had paid.
    refund: Option<i64>,
    refunded: Option<String>,
}

/// A line of a return's receipt as a CSV row: what belongs to the receipt stands in each.
#[derive(Debug, Serialize)]
pub(crate) struct FlatReturnRow<'a> {
    key: &'a str,
    version: u64,
    user: &'a str,
    at: &'a str,
    order: &'a str,
    upc: &'a str,
    location: &'a str,
    units: u64,
    refund: Option<i64>,
    refunded: Option<&'a str>,
}

impl From<&ReturnReceipt> for ReturnRow {
    fn from(receipt: &ReturnReceipt) -> Self {
        let ReturnReceipt { key, version, user, at, order, lines, refund } = receipt;
        Self {
            key: key.to_string(),
            version: version.0,
            user: user.to_string(),
            at: at.to_string(),
            order: order.to_string(),
            lines: lines.iter().map(LineRow::from).collect(),
            refund: refund.as_ref().map(|refund| refund.amount.minor()),
            refunded: refund.as_ref().map(|refund| refund.account.to_string()),
        }
    }
}

impl ReturnRow {
    pub(super) fn flat(&self) -> impl Iterator<Item = FlatReturnRow<'_>> {
        self.lines.iter().map(|line| FlatReturnRow {
            key: &self.key,
            version: self.version,
            user: &self.user,
            at: &self.at,
            order: &self.order,
            upc: &line.upc,
            location: &line.location,
            units: line.units,
            refund: self.refund,
            refunded: self.refunded.as_deref(),
        })
    }
}

/// One row of a purchase of many, and what became of it.
#[derive(Debug, Serialize)]
pub(crate) struct BoughtRow {
    key: String,
    row: usize,
    pub(super) upc: String,
    pub(super) units: u32,
    pub(super) outcome: &'static str,
    code: u8,
}

impl BoughtRow {
    /// The rows of a batch, counted from 1.
    pub(super) fn of_batch((order, receipt): &(BulkOrder, BulkReceipt)) -> impl Iterator<Item = Self> + '_ {
        let key = order.key().to_string();
        (0..).zip(order.rows()).map(move |(row, (upc, units))| Self {
            key: key.clone(),
            row: row + 1,
            upc: upc.to_string(),
            units,
            outcome: receipt.outcome.codes.name(row),
            code: receipt.outcome.codes.get(row),
        })
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct BulkReceiptRow {
    key: String,
    version: u64,
    user: String,
    at: String,
    rows: u32,
    accepted: u32,
    units: u64,
    total: Option<i64>,
}

impl From<&BulkReceipt> for BulkReceiptRow {
    fn from(receipt: &BulkReceipt) -> Self {
        Self {
            key: receipt.key.to_string(),
            version: receipt.version.0,
            user: receipt.user.to_string(),
            at: receipt.at.to_string(),
            rows: receipt.outcome.rows,
            accepted: receipt.outcome.accepted_rows,
            units: receipt.outcome.units.get(),
            total: receipt.outcome.total.map(inventory_core::Money::minor),
        }
    }
}

#[derive(Debug, Serialize)]
pub(crate) struct LoggedInRow {
    pub(crate) user: String,
    pub(crate) role: String,
    pub(crate) server: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct LoggedOutRow {
    pub(crate) user: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct VersionRow {
    pub(crate) version: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct ImportedRow {
    items: usize,
    levels_set: usize,
    levels_left: usize,
}

impl From<&Imported> for ImportedRow {
    fn from(imported: &Imported) -> Self {
        Self {
            items: imported.items,
            levels_set: imported.levels_set,
            levels_left: imported.levels_left.len(),
        }
    }
}

#[derive(Debug, Serialize)]
pub(super) struct RefusalRow<'a> {
    refusal: &'a str,
    code: u16,
    message: &'a str,
    lines: Vec<ShortRow>,
}

#[derive(Debug, Serialize)]
struct ShortRow {
    upc: String,
    location: String,
    requested: u64,
    available: u64,
}

/// What is shown of a refusal beside its message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RefusalView<'a> {
    /// Its permanent name.
    pub(crate) name: &'a str,
    /// Its permanent code.
    pub(crate) code: u16,
    /// The short lines, if it is about units that are not there.
    pub(crate) shortages: &'a [Shortage],
}

impl<'a> From<&'a Refusal> for RefusalView<'a> {
    fn from(refusal: &'a Refusal) -> Self {
        let shortages: &[Shortage] = match refusal {
            Refusal::InsufficientStock { shortages } | Refusal::ExceedsPurchase { shortages } => shortages,
            _ => &[],
        };
        Self { name: refusal.name(), code: refusal.code(), shortages }
    }
}

impl<'a> RefusalRow<'a> {
    pub(super) fn new(refusal: &RefusalView<'a>, message: &'a str) -> Self {
        let short = |short: &Shortage| ShortRow {
            upc: short.upc.to_string(),
            location: short.location.to_string(),
            requested: short.requested.get(),
            available: short.available.get(),
        };
        Self {
            refusal: refusal.name,
            code: refusal.code,
            message,
            lines: refusal.shortages.iter().map(short).collect(),
        }
    }
}
