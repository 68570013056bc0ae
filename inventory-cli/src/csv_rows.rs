//! Reading CSV files whose first line names the columns. What is wrong is named with its line; nothing of a file that is
//! wrong anywhere is used.

use std::io;

use csv::StringRecord;
use inventory_core::Upc;
use serde::de::DeserializeOwned;

/// Why a file cannot be used. Nothing of it was carried out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CsvError {
    /// The text is not CSV with the right columns.
    #[error("not a file with the columns {columns}: {why}")]
    Csv {
        /// The columns wanted.
        columns: String,
        /// What is wrong.
        why: csv::Error,
    },
    /// The first line does not name the columns.
    #[error("line 1 must be {columns}; it is {found:?}")]
    Header {
        /// The columns wanted.
        columns: String,
        /// What stands there.
        found: String,
    },
    /// There is no row in it.
    #[error("there is nothing behind the first line")]
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

/// Reads and checks the whole file, which has these columns in any order.
pub(crate) fn read<Raw: DeserializeOwned, T>(
    file: impl io::Read,
    columns: &[&str],
    row: impl Fn(Raw, u64) -> Result<T, CsvError>,
) -> Result<Vec<T>, CsvError> {
    let wanted = || columns.join(",");
    let broken = |why| CsvError::Csv { columns: wanted(), why };
    let mut reader = csv::Reader::from_reader(file);
    let headers = trimmed(reader.headers().map_err(broken)?);
    let (mut found, mut sorted): (Vec<&str>, Vec<&str>) = (headers.iter().collect(), columns.to_vec());
    found.sort_unstable();
    sorted.sort_unstable();
    if found != sorted {
        let found = headers.iter().collect::<Vec<_>>().join(",");
        return Err(CsvError::Header { columns: wanted(), found });
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = trimmed(&record.map_err(broken)?);
        let line = record.position().map_or(0, csv::Position::line);
        rows.push(row(record.deserialize(Some(&headers)).map_err(broken)?, line)?);
    }
    if rows.is_empty() { Err(CsvError::Empty) } else { Ok(rows) }
}

/// The record without blanks around its values. Only those of ASCII: any other is part of an account's name, and the
/// reader's own trimming takes it too.
fn trimmed(record: &StringRecord) -> StringRecord {
    let is_blank = |c: char| matches!(c, ' ' | '\t'..='\r');
    let mut trimmed: StringRecord = record.iter().map(|value| value.trim_matches(is_blank)).collect();
    trimmed.set_position(record.position().cloned());
    trimmed
}

/// What makes a value wrong.
pub(crate) fn wrong(line: u64, column: &'static str, value: &str, why: &impl ToString) -> CsvError {
    CsvError::Value { line, column, value: value.to_owned(), why: why.to_string() }
}

/// A code with the right check digit: a wrong one is a typing error.
pub(crate) fn upc(text: &str, line: u64) -> Result<Upc, CsvError> {
    let upc: Upc = text.parse().map_err(|why: inventory_core::UpcError| wrong(line, "upc", text, &why))?;
    if upc.has_valid_check_digit() {
        Ok(upc)
    } else {
        Err(wrong(line, "upc", text, &format!("its check digit should be {}", upc.check_digit())))
    }
}
