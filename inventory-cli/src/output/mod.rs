//! Results on standard output: tables for people, JSON and CSV for programs.
//!
//! The rows are one contract for JSON and CSV: the same names, the same values. Money is an integer of minor units
//! there, and an amount such as `3.49` in tables.

mod accounts;
mod past;
mod rows;
mod table;

pub(crate) use accounts::EntryRow;
pub(crate) use past::{BackupRow, Moved, MovementRow, VerifiedRow, ViolationRow};
pub(crate) use rows::{
    BoughtRow, BulkReceiptRow, HoldingRow, ImportedRow, LevelRow, LoggedInRow, LoggedOutRow, ReceiptRow,
    RefusalView, ReturnRow, VersionRow,
};

use std::io::{self, Write};

use clap::ValueEnum;
use inventory_core::{
    BalanceRow as Balance, LevelRow as Level, PostingReceipt, Receipt, ReturnReceipt, Upc, Version,
};
use inventory_net::client::AnyReceipt;
use serde::Serialize;

use crate::bench::Report;
use crate::holdings::Held;
use crate::import::Imported;
use crate::legible::{legible, legible_lines};
use crate::shop::{BulkPosting, BulkPurchase};
use accounts::{BalanceRow, BulkPostingRow, PostedRow, PostingRow};
use rows::RefusalRow;

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns for people.
    #[default]
    Table,
    /// JSON (RFC 8259).
    Json,
    /// Comma-separated values with a header (RFC 4180).
    Csv,
}

/// Where and how results go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    format: Format,
}

impl Output {
    /// Results to standard output in this format.
    pub const fn new(format: Format) -> Self {
        Self { format }
    }

    /// The format.
    pub(crate) const fn format(self) -> Format {
        self.format
    }

    /// Levels of items.
    pub(crate) fn levels(self, levels: &[Level]) -> io::Result<()> {
        self.list(levels.iter().map(LevelRow::from), || table::levels(levels))
    }

    /// The local inventory.
    pub(crate) fn holdings<'a>(self, items: impl Iterator<Item = (Upc, &'a Held)>) -> io::Result<()> {
        let rows: Vec<HoldingRow> = items.map(HoldingRow::from).collect();
        self.list(rows.iter(), || table::holdings(&rows))
    }

    /// What was bought.
    pub(crate) fn receipt(self, receipt: &Receipt) -> io::Result<()> {
        let row = ReceiptRow::from(receipt);
        match self.format {
            Format::Table => text(&table::receipt(receipt)),
            Format::Json => json(&row),
            Format::Csv => csv(row.flat()),
        }
    }

    /// What came back.
    pub(crate) fn return_receipt(self, receipt: &ReturnReceipt) -> io::Result<()> {
        let row = ReturnRow::from(receipt);
        match self.format {
            Format::Table => text(&table::return_receipt(receipt)),
            Format::Json => json(&row),
            Format::Csv => csv(row.flat()),
        }
    }

    /// What was bought or came back, in one way or the other.
    pub(crate) fn any_receipt(self, receipt: &AnyReceipt) -> io::Result<()> {
        match receipt {
            AnyReceipt::Order(receipt) => self.receipt(receipt),
            AnyReceipt::Bulk(receipt) => {
                self.one(&BulkReceiptRow::from(receipt), || table::bulk_receipt(receipt))
            }
            AnyReceipt::Return(receipt) => self.return_receipt(receipt),
            AnyReceipt::Posting(receipt) => self.posting(receipt),
            AnyReceipt::BulkPosting(receipt) => {
                self.one(&BulkPostingRow::from(receipt), || accounts::bulk_posting_receipt(receipt))
            }
        }
    }

    /// An entry that was posted.
    pub(crate) fn posting(self, receipt: &PostingReceipt) -> io::Result<()> {
        self.one(&PostingRow::from(receipt), || accounts::posting(receipt))
    }

    /// What became of each row of entries of many.
    pub(crate) fn bulk_posting(self, posted: &BulkPosting) -> io::Result<()> {
        let rows = posted.done.iter().flat_map(PostedRow::of_batch);
        self.list(rows, || accounts::bulk_posting(posted))
    }

    /// Balances of accounts.
    pub(crate) fn balances(self, balances: &[Balance]) -> io::Result<()> {
        self.list(balances.iter().map(BalanceRow::from), || accounts::balances(balances))
    }

    /// Entries of an account, oldest first.
    pub(crate) fn entries(self, entries: impl Iterator<Item = EntryRow>) -> io::Result<()> {
        let rows: Vec<EntryRow> = entries.collect();
        self.list(rows.iter(), || accounts::entries(&rows))
    }

    /// What became of each row of a purchase of many.
    pub(crate) fn bulk_purchase(self, purchase: &BulkPurchase) -> io::Result<()> {
        let rows = purchase.done.iter().flat_map(BoughtRow::of_batch);
        self.list(rows, || table::bulk_purchase(purchase))
    }

    /// A login that worked.
    pub(crate) fn logged_in(self, row: &LoggedInRow) -> io::Result<()> {
        self.one(row, || format!("logged in as {} ({}) at {}\n", row.user, row.role, row.server))
    }

    /// A logout.
    pub(crate) fn logged_out(self, row: &LoggedOutRow) -> io::Result<()> {
        self.one(row, || format!("{} is logged out\n", row.user))
    }

    /// A command that says nothing but that it happened.
    pub(crate) fn done(self, what: &str, version: Version) -> io::Result<()> {
        self.one(&VersionRow { version: version.0 }, || format!("{what} (version {version})\n"))
    }

    /// What became of a file of items.
    pub(crate) fn imported(self, imported: &Imported) -> io::Result<()> {
        self.one(&ImportedRow::from(imported), || table::imported(imported))
    }

    /// Movements, oldest first.
    pub(crate) fn movements(self, movements: &[Moved]) -> io::Result<()> {
        self.list(movements.iter().map(MovementRow::from), || table::movements(movements))
    }

    /// What a check of a data directory found: a few lines, or an object.
    pub(crate) fn verified(self, row: &VerifiedRow) -> io::Result<()> {
        match self.format {
            Format::Json => json(row),
            Format::Table | Format::Csv => text(&legible_lines(&past::verified(row))),
        }
    }

    /// What a backup holds.
    pub(crate) fn backup(self, row: &BackupRow) -> io::Result<()> {
        self.one(row, || past::backup(row))
    }

    /// The figures of a bench: a page, or an object.
    pub(crate) fn measured(self, report: &Report) -> io::Result<()> {
        match self.format {
            Format::Json => json(report),
            Format::Table | Format::Csv => text(&report.table()),
        }
    }

    /// A refusal, on standard error: as a sentence, or as an object if JSON was asked for.
    pub(crate) fn refusal(self, refusal: &RefusalView<'_>, message: &str) {
        let mut err = anstream::stderr().lock();
        let written = match self.format {
            Format::Json => serde_json::to_writer(&mut err, &RefusalRow::new(refusal, message))
                .map_err(io::Error::from)
                .and_then(|()| err.write_all(b"\n")),
            Format::Table | Format::Csv => writeln!(err, "inventory: refused: {}", legible(message)),
        };
        // A refusal that cannot be written still shows in the exit code.
        let _ = written;
    }

    fn list<R: Serialize>(
        self,
        rows: impl Iterator<Item = R>,
        table: impl FnOnce() -> String,
    ) -> io::Result<()> {
        match self.format {
            Format::Table => text(&table()),
            Format::Json => json(&rows.collect::<Vec<R>>()),
            Format::Csv => csv(rows),
        }
    }

    fn one<R: Serialize>(self, row: &R, sentence: impl FnOnce() -> String) -> io::Result<()> {
        match self.format {
            Format::Table => text(&legible_lines(&sentence())),
            Format::Json => json(row),
            Format::Csv => csv([row]),
        }
    }
}

/// Writes text at once; colours in it are dropped where they are not wanted.
pub(crate) fn text(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn json<T: Serialize>(value: &T) -> io::Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    plain(&bytes)
}

fn csv<R: Serialize>(rows: impl IntoIterator<Item = R>) -> io::Result<()> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    for row in rows {
        writer.serialize(row).map_err(io::Error::other)?;
    }
    plain(&writer.into_inner().map_err(|e| io::Error::other(e.to_string()))?)
}

fn plain(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}
