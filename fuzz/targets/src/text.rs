//! What people type: a value that is read is shown as a text that reads as the same value.

use std::fmt::Display;
use std::str::FromStr;

use inventory_cli::items::read_items;
use inventory_cli::parse;
use inventory_core::{LocationId, Money, OrderKey, Role, Time, Units, Upc, account_name};
use inventory_net::ledger_lines::{Discard, LineReader};

pub(crate) fn text(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    round_trip::<Upc>(text);
    round_trip::<Units>(text);
    round_trip::<Money>(text);
    round_trip::<OrderKey>(text);
    round_trip::<Time>(text);
    round_trip::<Role>(text);
    if let Ok(location) = parse::location(text) {
        assert_eq!(parse::location(&location.to_string()), Ok::<LocationId, _>(location));
    }
    if let Ok(moment) = parse::moment(text) {
        let shown = moment.to_string();
        assert_eq!(parse::moment(shown.strip_prefix("version ").unwrap_or(&shown)), Ok(moment));
    }
    let words: Vec<&str> = text.split_whitespace().collect();
    if let Ok(lines) = parse::order_lines(&words) {
        assert_eq!(lines.len().saturating_mul(2), words.len());
    }
}

fn round_trip<T: FromStr<Err: Display> + Display + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => {
            let shown = value.to_string();
            assert!(shown.parse::<T>().is_ok_and(|again| again == value), "{text:?} is shown as {shown:?}");
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

pub(crate) fn items(bytes: &[u8]) {
    match read_items(bytes) {
        Ok(items) => assert!(!items.is_empty()),
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

/// The first byte says how long the pieces are in which the lines arrive.
pub(crate) fn lines(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let size = usize::from(*size).saturating_add(1);
    let found = lines_in([bytes].into_iter());
    assert_eq!(lines_in(bytes.chunks(size)), found, "pieces of {size} bytes");
    assert_eq!(found.len(), bytes.split_inclusive(|byte| *byte == b'\n').count());
    for (name, minor) in found.into_iter().flatten() {
        assert!(account_name(&name).is_some() && minor != i64::MIN);
    }
}

fn lines_in<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Vec<Result<(Vec<u8>, i64), Discard>> {
    let (mut reader, mut found) = (LineReader::default(), Vec::new());
    for piece in pieces {
        reader.push(piece, |line| found.push(line.map(|(name, minor)| (name.to_vec(), minor))));
    }
    reader.finish(|line| found.push(line.map(|(name, minor)| (name.to_vec(), minor))));
    found
}
