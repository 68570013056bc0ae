//! One line: what it enters into which account, or why it is discarded. It knows nothing of where lines begin and end.

/// Most bytes of a line, without the LF that ends it: 64 KiB.
pub const LINE_BYTES_MAX: usize = 64 << 10;

/// So many digits and two decimals always fit 63 bits.
const SAFE_DIGITS: usize = 16;

/// Why a line is discarded. The first that applies, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Discard {
    /// It is longer than [`LINE_BYTES_MAX`].
    TooLong,
    /// It is not UTF-8.
    NotUtf8,
    /// It has not exactly three fields.
    Fields,
    /// Its second field is neither `credit` nor `debit`.
    Type,
    /// Its third field is no amount: an optional `$`, digits, and optionally `.` with one or two digits.
    Amount,
    /// Its amount does not fit 63 bits of minor units.
    TooLarge,
    /// The account did not take it: the balance would not fit, or would be below the account's floor; or there is no room for
    /// another account.
    Refused,
}

impl Discard {
    /// Every reason, in order.
    pub const ALL: [Self; 7] =
        [Self::TooLong, Self::NotUtf8, Self::Fields, Self::Type, Self::Amount, Self::TooLarge, Self::Refused];

    /// What was wrong, in a few words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooLong => "too long",
            Self::NotUtf8 => "not UTF-8",
            Self::Fields => "not three fields",
            Self::Type => "neither credit nor debit",
            Self::Amount => "no amount",
            Self::TooLarge => "amount too large",
            Self::Refused => "refused by the account",
        }
    }
}

/// What a valid line says: the account's name, and minor units to add to its balance; a debit's are negative.
pub type Entered<'a> = (&'a [u8], i64);

/// Reads a line, which is UTF-8, not too long, and has no LF.
///
/// ```
/// # use inventory_net::ledger_lines::{Discard, read_line};
/// assert_eq!(read_line(b"Marc credit $2"), Ok((&b"Marc"[..], 200)));
/// assert_eq!(read_line(b"\tMarc  debit 0.5\r"), Ok((&b"Marc"[..], -50)));
/// assert_eq!(read_line(b"Marc Credit $2"), Err(Discard::Type));
/// ```
pub fn read_line(line: &[u8]) -> Result<Entered<'_>, Discard> {
    let (name, rest) = first_field(line);
    let (kind, rest) = first_field(rest);
    let (amount, rest) = first_field(rest);
    if amount.is_empty() || !rest.iter().all(|byte| is_white_space(*byte)) {
        return Err(Discard::Fields);
    }
    match kind {
        b"credit" => Ok((name, minor_units(amount)?)),
        // What fits is at most `i64::MAX`, which has a negative.
        b"debit" => Ok((name, minor_units(amount)?.wrapping_neg())),
        _ => Err(Discard::Type),
    }
}

/// The first field, empty if there is none, and what follows it.
#[inline]
fn first_field(line: &[u8]) -> (&[u8], &[u8]) {
    let start = line.iter().position(|byte| !is_white_space(*byte)).unwrap_or(line.len());
    let line = line.get(start..).unwrap_or_default();
    let end = line.iter().position(|byte| is_white_space(*byte)).unwrap_or(line.len());
    line.split_at_checked(end).unwrap_or_default()
}

/// Space, tab, VT, FF, CR; LF is in no line.
const fn is_white_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}

fn minor_units(text: &[u8]) -> Result<i64, Discard> {
    let (major, tens, ones) = match text.strip_prefix(b"$").unwrap_or(text) {
        [major @ .., b'.', tens] => (major, tens, &b'0'),
        [major @ .., b'.', tens, ones] => (major, tens, ones),
        major => (major, &b'0', &b'0'),
    };
    let digits = major.iter().chain([tens, ones]);
    if major.is_empty() || !digits.clone().all(u8::is_ascii_digit) {
        return Err(Discard::Amount);
    }
    let mut digits = digits.map(|byte| i64::from(byte.wrapping_sub(b'0')));
    if major.len() <= SAFE_DIGITS {
        return Ok(digits.fold(0i64, |sum, digit| sum.wrapping_mul(10).wrapping_add(digit)));
    }
    let sum = digits.try_fold(0i64, |sum, digit| sum.checked_mul(10)?.checked_add(digit));
    sum.ok_or(Discard::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn reads(line: &str, name: &str, minor: i64) {
        assert_eq!(read_line(line.as_bytes()), Ok((name.as_bytes(), minor)), "{line:?}");
    }

    #[track_caller]
    fn is_discarded(line: &str, why: Discard) {
        assert_eq!(read_line(line.as_bytes()), Err(why), "{line:?}");
    }

    #[test]
    fn a_line_is_three_fields_between_runs_of_white_space() {
        reads("Marc credit $2", "Marc", 200);
        reads("Marc debit $1", "Marc", -100);
        reads(" \t\r\u{b}\u{c}Marc\t \u{b}credit\u{c}\r$2 \r", "Marc", 200);
        for line in
            ["", " ", "\r", "Marc", "Marc credit", "credit $2", "Marc credit $2 x", "Marc  Polo credit $2"]
        {
            is_discarded(line, Discard::Fields);
        }
    }

    #[test]
    fn the_type_is_exact() {
        for kind in ["Credit", "DEBIT", "credits", "debi", "$2", "-", "cre\u{a0}dit"] {
            is_discarded(&format!("Marc {kind} $2"), Discard::Type);
        }
    }

    #[test]
    fn an_amount_has_an_optional_dollar_digits_and_at_most_two_decimals() {
        for (text, minor) in [
            ("$2", 200),
            ("2", 200),
            ("0", 0),
            ("$0.01", 1),
            ("2.5", 250),
            ("$2.50", 250),
            ("00002.05", 205),
            ("$000000000000000000000000000003", 300),
            ("92233720368547758.07", i64::MAX),
            ("00000000000092233720368547758.07", i64::MAX),
        ] {
            reads(&format!("a credit {text}"), "a", minor);
            reads(&format!("a debit {text}"), "a", -minor);
        }
        for text in [
            "$",
            ".",
            "$.",
            ".5",
            "$.50",
            "2.",
            "2.555",
            "2.5.0",
            "2..5",
            "$$2",
            "2$",
            "-2",
            "+2",
            "$-2",
            "1e3",
            "1,000",
            "0x10",
            "1_000",
            "two",
            "٣",
            "2\u{a0}",
            "2.a",
            "2.5a",
            "NaN",
            "inf",
            "999999999999999999999999999999x",
        ] {
            is_discarded(&format!("a credit {text}"), Discard::Amount);
        }
        for text in ["92233720368547758.08", "92233720368547759", "$999999999999999999999999999999"] {
            is_discarded(&format!("a credit {text}"), Discard::TooLarge);
            is_discarded(&format!("a debit {text}"), Discard::TooLarge);
        }
    }

    #[test]
    fn a_name_is_any_text_without_ascii_white_space() {
        for name in [
            "marc",
            "MARC",
            "$5",
            "credit",
            "Zoë",
            "名前",
            "a\u{a0}b",
            "a\u{2003}b",
            "\u{85}",
            "\0",
            "\u{1c}",
            "🦀",
        ] {
            reads(&format!("{name} debit 1"), name, -100);
        }
    }
}
