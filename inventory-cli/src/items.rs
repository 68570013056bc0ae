//! Files of items: CSV with the columns `upc,name,price,units`. The price is an amount such as `3.49` and may be empty;
//! the units are what the main location starts with.

use std::io;

use inventory_core::{Money, MoneyError, Units, UnitsError, Upc};
use serde::Deserialize;

use crate::csv_rows::{self, CsvError, wrong};

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    upc: String,
    name: String,
    price: String,
    units: String,
}

/// Reads and checks the whole file.
pub fn read_items(file: impl io::Read) -> Result<Vec<ItemRow>, CsvError> {
    csv_rows::read(file, &["upc", "name", "price", "units"], |raw: Raw, line| {
        let upc = csv_rows::upc(&raw.upc, line)?;
        let price = match raw.price.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|why: MoneyError| wrong(line, "price", text, &why))?),
        };
        let units = raw.units.parse().map_err(|why: UnitsError| wrong(line, "units", &raw.units, &why))?;
        Ok(ItemRow { upc, name: raw.name, price, units })
    })
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
        assert!(
            message("036000291452,Tissues").starts_with("not a file with the columns upc,name,price,units")
        );
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
            ("upc,name,price,units\n", "there is nothing behind the first line"),
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
