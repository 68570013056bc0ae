//! Tables and sentences for people.

use std::fmt::Write as _;

use anstyle::Style;
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, CellAlignment, Table};
use inventory_core::{
    BulkOutcome, BulkReceipt, LevelRow as Level, OrderLine, Receipt, Refund, ReturnReceipt,
};

use super::past::Moved;
use super::rows::{BoughtRow, HoldingRow};
use crate::import::Imported;
use crate::legible::{legible, legible_lines};
use crate::shop::BulkPurchase;

const LEFT: CellAlignment = CellAlignment::Left;
const RIGHT: CellAlignment = CellAlignment::Right;

pub(super) fn levels(levels: &[Level]) -> String {
    if levels.is_empty() {
        return "no items\n".to_owned();
    }
    let columns = [
        ("upc", LEFT),
        ("name", LEFT),
        ("location", LEFT),
        ("on hand", RIGHT),
        ("reserved", RIGHT),
        ("available", RIGHT),
        ("price", RIGHT),
    ];
    let rows = levels.iter().map(|level| {
        vec![
            level.upc.to_string(),
            level.name.to_string(),
            level.location.to_string(),
            level.on_hand.to_string(),
            level.reserved.to_string(),
            level.available().to_string(),
            level.price.map(|price| price.to_string()).unwrap_or_default(),
        ]
    });
    render(&columns, rows)
}

pub(super) fn holdings(rows: &[HoldingRow]) -> String {
    if rows.is_empty() {
        return "nothing held\n".to_owned();
    }
    let columns = [("upc", LEFT), ("name", LEFT), ("units", RIGHT)];
    render(&columns, rows.iter().map(|row| vec![row.upc.clone(), row.name.clone(), row.units.to_string()]))
}

pub(super) fn movements(movements: &[Moved]) -> String {
    if movements.is_empty() {
        return "no movements\n".to_owned();
    }
    let mut columns = vec![
        ("version", RIGHT),
        ("at", LEFT),
        ("reason", LEFT),
        ("upc", LEFT),
        ("location", LEFT),
        ("change", RIGHT),
        ("on hand", RIGHT),
        ("user", LEFT),
        ("order", LEFT),
    ];
    if movements.iter().any(|moved| moved.charged.is_some()) {
        columns.push(("charged", LEFT));
    }
    let rows = movements.iter().map(|Moved { movement, charged }| {
        vec![
            movement.version.to_string(),
            movement.at.to_string(),
            movement.reason.name().replace('_', " "),
            movement.upc.to_string(),
            movement.location.to_string(),
            format!("{:+}", movement.change),
            movement.on_hand.to_string(),
            // No user's name has a space in it.
            movement.user.as_deref().unwrap_or("the system").to_owned(),
            movement.order.map(|order| order.to_string()).unwrap_or_default(),
            charged.as_deref().unwrap_or_default().to_owned(),
        ]
    });
    render(&columns, rows)
}

/// The lines of a receipt.
fn lines(lines: &[OrderLine]) -> String {
    let columns = [("upc", LEFT), ("location", LEFT), ("units", RIGHT)];
    let rows = lines.iter();
    render(&columns, rows.map(|l| vec![l.upc.to_string(), l.location.to_string(), l.units.to_string()]))
}

pub(super) fn receipt(receipt: &Receipt) -> String {
    let mut text =
        format!("{} bought, order {}\n{}", legible(&receipt.user), receipt.key, lines(&receipt.lines));
    // Writing to a string cannot fail.
    if let Some(total) = receipt.total {
        let _ = write!(text, "total {total}, ");
    }
    if let Some(account) = &receipt.charged {
        let _ = write!(text, "charged to {}, ", legible(account));
    }
    let _ = writeln!(text, "at {} (version {})", receipt.at, receipt.version);
    text
}

pub(super) fn return_receipt(receipt: &ReturnReceipt) -> String {
    let ReturnReceipt { key, version, user, at, order, lines: returned, refund } = receipt;
    let mut text = format!("{} returned, return {key}\n{}of order {order}, ", legible(user), lines(returned));
    // Writing to a string cannot fail.
    if let Some(Refund { account, amount }) = refund {
        let _ = write!(text, "refunded {amount} to {}, ", legible(account));
    }
    let _ = writeln!(text, "at {at} (version {version})");
    text
}

pub(super) fn bulk_purchase(purchase: &BulkPurchase) -> String {
    let columns = [("upc", LEFT), ("units", RIGHT), ("outcome", LEFT)];
    let rows = purchase.done.iter().flat_map(BoughtRow::of_batch);
    let rows = rows.map(|row| vec![row.upc, row.units.to_string(), row.outcome.replace('_', " ")]);
    let receipts: Vec<String> = purchase.done.iter().map(|(_, receipt)| bulk_receipt(receipt)).collect();
    render(&columns, rows) + &legible_lines(&receipts.concat())
}

pub(super) fn bulk_receipt(receipt: &BulkReceipt) -> String {
    let BulkReceipt { key, version, user, at, outcome } = receipt;
    let BulkOutcome { rows, accepted_rows, units, total, .. } = outcome;
    let total = total.map(|total| format!("total {total}, ")).unwrap_or_default();
    format!(
        "{user} bought {units} units in {accepted_rows} of {rows} rows, order {key}\n{total}at {at} (version {version})\n"
    )
}

pub(super) fn imported(imported: &Imported) -> String {
    let mut text = String::new();
    for (upc, location) in &imported.levels_left {
        let _ = writeln!(text, "{upc} at {location}: its level was set before and is left as it is");
    }
    let _ = writeln!(
        text,
        "items defined: {}, levels set: {}, levels kept as they were: {}",
        imported.items,
        imported.levels_set,
        imported.levels_left.len()
    );
    text
}

/// Aligned columns without borders, of legible text; the header is bold where styles are shown.
pub(super) fn render(columns: &[(&str, CellAlignment)], rows: impl Iterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let cell = |text: String, alignment: CellAlignment| Cell::new(text).set_alignment(alignment);
    table.set_header(columns.iter().map(|(name, side)| cell((*name).to_owned(), *side)));
    for row in rows {
        table.add_row(
            columns.iter().zip(row).map(|((_, side), text)| cell(legible(&text).into_owned(), *side)),
        );
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    if let Some(last) = columns.len().checked_sub(1).and_then(|last| table.column_mut(last)) {
        last.set_padding((0, 0));
    }
    let mut text = String::new();
    for (at, line) in table.lines().enumerate() {
        // Styled only here, so that no padding stands inside the style, behind the last word.
        let style = if at == 0 { Style::new().bold() } else { Style::new() };
        let _ = writeln!(text, "{style}{}{style:#}", line.trim_end());
    }
    text
}
