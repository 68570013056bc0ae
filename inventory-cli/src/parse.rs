//! What people type, checked: codes, quantities, order lines. What is wrong here never reaches the server.

use std::fmt;
use std::time::Duration;

use bytesize::ByteSize;
use inventory_core::{LocationId, Money, OrderKey, OrderLine, Time, Units, Upc, Version, account_name};
use inventory_net::limits::ACCOUNT_BYTES_MAX;
use inventory_store::Retain;

use crate::serve::MEMORY_BYTES_MIN;

/// What was typed cannot be a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

impl UsageError {
    /// With this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// A code.
pub fn upc(text: &str) -> Result<Upc, UsageError> {
    text.parse().map_err(|e| UsageError::new(format!("{text:?} is no UPC: {e}")))
}

/// A quantity. Zero is one: the server refuses it where it makes no sense.
pub fn units(text: &str) -> Result<Units, UsageError> {
    text.parse().map_err(|e| UsageError::new(format!("{text:?} is no quantity: {e}")))
}

/// An order key.
pub fn order_key(text: &str) -> Result<OrderKey, UsageError> {
    text.parse().map_err(|e| UsageError::new(format!("{text:?} is no order key: {e}")))
}

/// A port to listen on; 0 is for any that is free.
pub fn port(text: &str) -> Result<u16, UsageError> {
    text.parse().map_err(|_| UsageError::new(format!("{text:?} is no port: a number from 0 to 65535")))
}

/// The port of a server.
pub fn port_of_server(text: &str) -> Result<u16, UsageError> {
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or_else(|| UsageError::new(format!("{text:?} is no port of a server: a number from 1 to 65535")))
}

/// A location: `main` or its number.
pub fn location(text: &str) -> Result<LocationId, UsageError> {
    if text == "main" {
        return Ok(LocationId::MAIN);
    }
    let number = text.parse().map(LocationId);
    number.map_err(|_| UsageError::new(format!("{text:?} is no location: main, or a number from 0 to 65535")))
}

/// A size of memory, in bytes: a whole number of MiB or GiB, enough for a server.
pub fn memory(text: &str) -> Result<u64, UsageError> {
    let units = [("MiB", 1 << 20), ("GiB", 1 << 30)];
    let parts = units.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, bytes)));
    let size = parts.and_then(|(number, bytes)| number.trim_end().parse::<u64>().ok()?.checked_mul(*bytes));
    match size {
        Some(size) if size >= MEMORY_BYTES_MIN => Ok(size),
        Some(_) => {
            let least = MEMORY_BYTES_MIN >> 20;
            Err(UsageError::new(format!("{text} is too little for a server: at least {least}MiB")))
        }
        None => Err(UsageError::new(format!("{text:?} is no size: a number of MiB or GiB, such as 512MiB"))),
    }
}

/// What makes a text the name of an account.
pub(crate) const ACCOUNT: &str =
    "a name is 1 to 16384 bytes without white space, 65535 in files and data directories";
/// What makes a text an amount.
pub(crate) const AMOUNT: &str =
    "an amount is digits with at most two decimals, such as 2.50, and not negative";

/// The name of an account in a request of its own: at most 16,384 bytes.
pub fn account(text: &str) -> Result<String, UsageError> {
    let name = stored_account(text)?;
    if name.len() > ACCOUNT_BYTES_MAX {
        let bytes = name.len();
        return Err(UsageError::new(format!(
            "a name of {bytes} bytes is too long here: at most {ACCOUNT_BYTES_MAX}; files of entries, and reading a data \
             directory, take longer ones"
        )));
    }
    Ok(name)
}

/// The name of an account as a journal or a file of entries may hold it: at most 65,535 bytes.
pub fn stored_account(text: &str) -> Result<String, UsageError> {
    let name = account_name(text.as_bytes()).map(str::to_owned);
    name.ok_or_else(|| UsageError::new(format!("{text:?} is no account: {ACCOUNT}")))
}

/// An amount: how much a balance rises or falls.
pub fn amount(text: &str) -> Result<Money, UsageError> {
    let amount = text.parse().ok().filter(|amount| *amount >= Money::ZERO && !text.starts_with('-'));
    amount.ok_or_else(|| UsageError::new(format!("{text:?} is no amount: {AMOUNT}")))
}

/// What a balance never goes below, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor(pub Option<Money>);

/// A floor: an amount, which may be negative, or `none`.
pub fn floor(text: &str) -> Result<Floor, UsageError> {
    if text == "none" {
        return Ok(Floor(None));
    }
    let floor = text.parse().map(|floor| Floor(Some(floor)));
    floor.map_err(|why| UsageError::new(format!("{text:?} is no floor: none, or an amount: {why}")))
}

/// A point in the history of an inventory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// After the event that made this version.
    Version(Version),
    /// After everything up to this time.
    Time(Time),
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "version {version}"),
            Self::Time(time) => write!(f, "{time}"),
        }
    }
}

/// A time.
pub fn time(text: &str) -> Result<Time, UsageError> {
    text.parse().map_err(|e| UsageError::new(format!("{text:?} is no time: {e}")))
}

/// A version or a time.
pub fn moment(text: &str) -> Result<Moment, UsageError> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let version = text.parse().map(|version| Moment::Version(Version(version)));
        return version.map_err(|_| UsageError::new(format!("{text} is too large for a version")));
    }
    time(text).map(Moment::Time)
}

/// A length of time in seconds, such as `2.5`; longer than none, and at most a day.
pub fn seconds(text: &str) -> Result<Duration, UsageError> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 86_400.0);
    let length = seconds.and_then(|seconds: f64| Duration::try_from_secs_f64(seconds).ok());
    length.ok_or_else(|| UsageError::new(format!("{text:?} is no number of seconds above 0 and up to 86400")))
}

/// A number of requests a second, such as `2500`.
pub fn rate(text: &str) -> Result<f64, UsageError> {
    let rate = text.parse().ok().filter(|rate: &f64| (1e-3..=1e9).contains(rate));
    rate.ok_or_else(|| UsageError::new(format!("{text:?} is no rate from 0.001 to 1000000000 a second")))
}

/// After how many bytes of journal a snapshot is made; 0 for never.
pub fn snapshot_every(text: &str) -> Result<u64, UsageError> {
    if text == "never" {
        return Ok(0);
    }
    let size: Result<ByteSize, _> = text.parse();
    size.map(|size| size.as_u64())
        .map_err(|_| UsageError::new(format!("{text:?} is no size: never, or a number such as 256MiB")))
}

/// How much of the journal is kept: all of it, a time or a size.
pub fn retain(text: &str) -> Result<Retain, UsageError> {
    if text == "all" {
        return Ok(Retain::Everything);
    }
    // A number without a unit would be either.
    let has_unit = text.ends_with(|last: char| last.is_ascii_alphabetic());
    let age = humantime::parse_duration(text).ok().map(Retain::For);
    let bytes = || text.parse().ok().map(|size: ByteSize| Retain::Bytes(size.as_u64()));
    age.or_else(bytes).filter(|_| has_unit).ok_or_else(|| {
        UsageError::new(format!(
            "{text:?} says not what to keep: all, a time such as 30d, or a size such as 50GB"
        ))
    })
}

/// The lines of an order from `UPC QTY` pairs, at least one.
pub fn order_lines<T: AsRef<str>>(words: &[T]) -> Result<Vec<OrderLine>, UsageError> {
    if words.is_empty() {
        return Err(UsageError::new(
            "an order needs at least one UPC and its quantity, such as 036000291452 2",
        ));
    }
    let pairs = words.chunks(2).map(|pair| match pair {
        [code, quantity] => Ok(OrderLine::new(upc(code.as_ref())?, units(quantity.as_ref())?)),
        rest => {
            let code = rest.first().map_or("", AsRef::as_ref);
            upc(code)?;
            Err(UsageError::new(format!("{code} has no quantity: give UPC and quantity in pairs")))
        }
    });
    pairs.collect()
}

/// The lines of a return from `UPC QTY` pairs; none for everything.
pub fn returned_lines<T: AsRef<str>>(words: &[T]) -> Result<Vec<OrderLine>, UsageError> {
    if words.is_empty() { Ok(Vec::new()) } else { order_lines(words) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_make_lines() {
        let lines = order_lines(&["036000291452", "2", "12345678905", "0"]).unwrap();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].upc.to_string(), "036000291452");
        assert_eq!((lines[0].units.get(), lines[1].units.get()), (2, 0));
    }

    #[test]
    fn a_size_of_memory_names_its_unit() {
        assert_eq!(memory("512MiB"), Ok(512 << 20));
        assert_eq!(memory("2 GiB"), Ok(2 << 30));
        for (text, message) in [
            ("512", "is no size"),
            ("512MB", "is no size"),
            ("-1GiB", "is no size"),
            ("99999999999GiB", "is no size"),
            ("16MiB", "at least 96MiB"),
        ] {
            let error = memory(text).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn what_is_no_order_says_why() {
        for (words, message) in [
            (&[][..], "at least one UPC"),
            (&["036000291452"], "036000291452 has no quantity"),
            (&["milk", "1"], "\"milk\" is no UPC"),
            (&["milk"], "\"milk\" is no UPC"),
            (&["036000291452", "-1"], "\"-1\" is no quantity: a quantity is a whole number"),
            (&["036000291452", "two"], "\"two\" is no quantity"),
            (&["036000291452", "99999999999999999999"], "a quantity is at most 4611686018427387903 units"),
            (&["036000291452", "1", "012345678905"], "012345678905 has no quantity"),
        ] {
            let error = order_lines(words).unwrap_err().to_string();
            assert!(error.contains(message), "{words:?}: {error}");
        }
    }

    #[test]
    fn what_is_no_account_amount_or_floor_says_why() {
        assert_eq!(account("Zoë"), Ok("Zoë".to_owned()));
        assert!(account(&"n".repeat(16_384)).is_ok() && stored_account(&"n".repeat(65_535)).is_ok());
        assert_eq!(amount("2.5"), Ok(Money::from_minor(250)));
        assert_eq!(
            (floor("none"), floor("-0.05")),
            (Ok(Floor(None)), Ok(Floor(Some(Money::from_minor(-5)))))
        );
        for (told, message) in [
            (account("two words").unwrap_err(), "\"two words\" is no account: a name is 1 to 16384 bytes"),
            (account("").unwrap_err(), "is no account"),
            (
                account(&"n".repeat(16_385)).unwrap_err(),
                "a name of 16385 bytes is too long here: at most 16384",
            ),
            (stored_account(&"n".repeat(65_536)).unwrap_err(), "is no account: a name is 1 to 16384 bytes"),
            (amount("-1").unwrap_err(), "\"-1\" is no amount: an amount is digits"),
            (amount("-0").unwrap_err(), "is no amount"),
            (amount("1.234").unwrap_err(), "is no amount"),
            (
                floor("nothing").unwrap_err(),
                "\"nothing\" is no floor: none, or an amount: an amount is digits",
            ),
        ] {
            assert!(told.to_string().contains(message), "{told}");
        }
    }

    #[test]
    fn a_moment_is_a_version_or_a_time() {
        assert_eq!(moment("53"), Ok(Moment::Version(Version(53))));
        assert_eq!(moment("2026-11-21"), Ok(Moment::Time(Time::from_micros(1_795_219_200_000_000))));
        for text in ["", "yesterday", "-1", "99999999999999999999"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_kept_is_a_time_or_a_size_and_never_a_mere_number() {
        let days = Duration::from_hours(30 * 24);
        assert_eq!(retain("all"), Ok(Retain::Everything));
        assert_eq!(retain("30d"), Ok(Retain::For(days)));
        assert_eq!(retain("30days"), Ok(Retain::For(days)));
        assert_eq!(retain("2w"), Ok(Retain::For(days / 30 * 14)));
        assert_eq!(retain("50GB"), Ok(Retain::Bytes(50_000_000_000)));
        assert_eq!(retain("1GiB"), Ok(Retain::Bytes(1 << 30)));
        for text in ["", "30", "0", "-1d", "much", "GB", "30 parsecs"] {
            assert!(retain(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_size_says_how_often_or_never() {
        assert_eq!(snapshot_every("256MiB"), Ok(256 << 20));
        assert_eq!(snapshot_every("1000000"), Ok(1_000_000));
        assert_eq!((snapshot_every("never"), snapshot_every("0")), (Ok(0), Ok(0)));
        for text in ["", "often", "-1", "1 hour"] {
            assert!(snapshot_every(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_location_is_main_or_a_number() {
        assert_eq!(location("main"), Ok(LocationId::MAIN));
        assert_eq!(location("7"), Ok(LocationId(7)));
        assert!(location("70000").is_err());
    }
}
