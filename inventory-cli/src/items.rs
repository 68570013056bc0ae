//! Files of items: CSV with the columns `upc,name,price,units`. The price is an amount such as `3.49` and may be empty;
//! the units are what the main location starts with.

use std::io;

use inventory_core::{Money, Units, Upc};
use serde::Deserialize;

/// The demo shop's items.
pub const DEMO_ITEMS: &str = include_str!("../demo/items.csv");

/// One row of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ItemRow {
    /// The item's code.
    pub upc: Upc,
    /// Its name.
    pub name: String,
    /// Price of one unit.
    pub price: Option<Money>,
    /// Units that the main location starts with.
    pub units: Units,
}

/// Why a file of items cannot be used. Nothing of it was carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemsError {
    /// The text is not CSV with the right columns.
    #[error("not a file of items with the columns upc,name,price,units: {0}")]
    Csv(#[from] csv::Error),
    /// The first line does not name the columns.
    #[error("line 1 must be upc,name,price,units; it is {0:?}")]
    Header(String),
    /// There is no item in it.
    #[error("there are no items behind the first line")]
    Empty,
    /// A value is wrong.
    #[error("line {line}: {column} {value:?}: {why}")]
    Value {
        /// The line in the file, from 1.
        line: u64,
        /// The column.
        column: &'static str,
        /// What stands there.
        value: String,
        /// What is wrong with it.
        why: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    upc: String,
    name: String,
    price: String,
    units: String,
}

/// Reads and checks the whole file.
pub fn read_items(file: impl io::Read) -> Result<Vec<ItemRow>, ItemsError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let headers = reader.headers()?.clone();
    let mut columns: Vec<&str> = headers.iter().collect();
    columns.sort_unstable();
    if columns != ["name", "price", "units", "upc"] {
        return Err(ItemsError::Header(headers.iter().collect::<Vec<_>>().join(",")));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        let line = record.position().map_or(0, csv::Position::line);
        rows.push(item_row(record.deserialize(Some(&headers))?, line)?);
    }
    if rows.is_empty() { Err(ItemsError::Empty) } else { Ok(rows) }
}

fn item_row(raw: Raw, line: u64) -> Result<ItemRow, ItemsError> {
    let wrong =
        |column, value: &str, why: String| ItemsError::Value { line, column, value: value.to_owned(), why };
    let upc: Upc =
        raw.upc.parse().map_err(|e: inventory_core::UpcError| wrong("upc", &raw.upc, e.to_string()))?;
    if !upc.has_valid_check_digit() {
        let why = format!("its check digit should be {}", upc.check_digit());
        return Err(wrong("upc", &raw.upc, why));
    }
    let price = match raw.price.as_str() {
        "" => None,
        text => {
            Some(text.parse().map_err(|e: inventory_core::MoneyError| wrong("price", text, e.to_string()))?)
        }
    };
    let units = raw
        .units
        .parse()
        .map_err(|e: inventory_core::UnitsError| wrong("units", &raw.units, e.to_string()))?;
    Ok(ItemRow { upc, name: raw.name, price, units })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_items_are_real_codes_with_prices() {
        let items = read_items(DEMO_ITEMS.as_bytes()).unwrap();
        assert!(items.len() >= 20);
        for item in &items {
            assert!(item.upc.has_valid_check_digit(), "{}", item.upc);
            assert!(item.price > Some(Money::ZERO), "{}", item.upc);
        }
        let mut codes: Vec<Upc> = items.iter().map(|item| item.upc).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), items.len());
        let units_of =
            |code: &str| items.iter().find(|item| item.upc.to_string() == code).map(|item| item.units.get());
        assert_eq!(units_of("036000291452"), Some(100));
        assert_eq!(units_of("012345678905"), Some(3));
    }

    #[test]
    fn a_wrong_value_is_named_with_its_line() {
        let message = |row: &str| {
            let file = format!("upc,name,price,units\n036000291452,Tissues,2.49,1\n{row}\n");
            read_items(file.as_bytes()).unwrap_err().to_string()
        };
        assert_eq!(
            message("036000291453,Tissues,2.49,1"),
            "line 3: upc \"036000291453\": its check digit should be 2"
        );
        assert!(message("x,Tissues,2.49,1").starts_with("line 3: upc \"x\": a UPC is 1 to 14 digits"));
        assert!(message("036000291452,Tissues,a,1").starts_with("line 3: price \"a\""));
        assert!(message("036000291452,Tissues,,-1").starts_with("line 3: units \"-1\""));
        assert!(message("036000291452,Tissues").starts_with("not a file of items"));
    }

    #[test]
    fn a_file_without_columns_or_items_is_refused() {
        for (file, message) in [
            ("", "line 1 must be upc,name,price,units; it is \"\""),
            (
                "4006381333931;Stabilo;1,20;50\n",
                "line 1 must be upc,name,price,units; it is \"4006381333931;Stabilo;1",
            ),
            ("upc,name,price\n036000291452,Tissues,2.49\n", "line 1 must be"),
            ("upc,name,price,units\n", "there are no items"),
        ] {
            let told = read_items(file.as_bytes()).unwrap_err().to_string();
            assert!(told.starts_with(message), "{told}");
        }
    }

    #[test]
    fn a_price_may_be_missing_and_a_name_quoted() {
        let rows = read_items("upc,name,price,units\n036000291452,\"a, b\",,0\n".as_bytes()).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!((rows[0].name.as_str(), rows[0].price, rows[0].units), ("a, b", None, Units::ZERO));
    }
}
