//! Files of what to buy: CSV with the columns `upc,units`, each row for itself.

use std::io;

use inventory_core::Upc;
use serde::Deserialize;

use crate::csv_rows::{self, CsvError, wrong};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    upc: String,
    units: String,
}

/// Reads and checks the whole file.
pub(crate) fn read_order_rows(file: impl io::Read) -> Result<Vec<(Upc, u32)>, CsvError> {
    csv_rows::read(file, &["upc", "units"], |raw: Raw, line| {
        let digits_only = raw.units.bytes().all(|byte| byte.is_ascii_digit());
        let units = raw.units.parse().ok().filter(|_| digits_only);
        let why = "a row asks for a whole number of units, at most 4294967295";
        Ok((csv_rows::upc(&raw.upc, line)?, units.ok_or_else(|| wrong(line, "units", &raw.units, &why))?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_keep_their_order_and_may_repeat() {
        let rows = read_order_rows("units,upc\n2,036000291452\n1, 012345678905\n0,036000291452\n".as_bytes());
        let (tissues, bananas) = ("036000291452".parse().unwrap(), "012345678905".parse().unwrap());
        assert_eq!(rows.unwrap(), [(tissues, 2), (bananas, 1), (tissues, 0)]);
    }

    #[test]
    fn a_wrong_row_is_named_with_its_line() {
        for (file, message) in [
            ("036000291452,2\n", "line 1 must be upc,units"),
            ("upc,units\n", "there is nothing behind the first line"),
            ("upc,units\n036000291452,2\n036000291453,1\n", "line 3: upc \"036000291453\": its check digit"),
            ("upc,units\n036000291452,-1\n", "line 2: units \"-1\": a row asks for"),
            ("upc,units\n036000291452,+1\n", "line 2: units \"+1\": a row asks for"),
            ("upc,units\n036000291452,4294967296\n", "line 2: units \"4294967296\": a row asks for"),
            ("upc,units\n036000291452\n", "not a file with the columns upc,units"),
        ] {
            let told = read_order_rows(file.as_bytes()).unwrap_err().to_string();
            assert!(told.starts_with(message), "{told}");
        }
    }
}
