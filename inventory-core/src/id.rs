//! The names of things: items, locations, users, sessions, orders, versions and hashes.
//! Each is a newtype, so that one cannot be passed for another.

use core::fmt;
use core::str::FromStr;

use crate::limits::{UPC_DIGITS_MAX, UPC_MAX};
use crate::time::Time;

/// The code that identifies an item: a UPC, EAN or GTIN as an integer of at most 14 digits.
///
/// Shown with its leading zeros at the shortest GTIN length that holds it (8, 12, 13 or 14 digits), so
/// that UPC-A `036000291452`, EAN-13 `0036000291452` and GTIN-14 `00036000291452` are one item
/// (GS1 General Specifications, section 7.2.1: data is right-aligned and filled with zeros).
///
/// ```
/// # use inventory_core::Upc;
/// let upc: Upc = "036000291452".parse()?;
/// assert_eq!(upc.get(), 36_000_291_452);
/// assert_eq!(upc.to_string(), "036000291452");
/// assert!(upc.has_valid_check_digit());
/// # Ok::<(), inventory_core::UpcError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upc(u64);

/// Why a text or an integer is no [`Upc`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UpcError {
    /// The text is empty.
    #[error("a UPC is 1 to 14 digits; this one is empty")]
    Empty,
    /// The text has a character that is no digit.
    #[error("a UPC is 1 to 14 digits; this one holds {0:?}")]
    NotADigit(char),
    /// The code has more than 14 digits.
    #[error("a UPC is 1 to 14 digits; this one is longer")]
    TooLong,
}

impl Upc {
    /// The code with this value, at most 99,999,999,999,999.
    pub const fn new(value: u64) -> Result<Self, UpcError> {
        if value > UPC_MAX { Err(UpcError::TooLong) } else { Ok(Self(value)) }
    }

    /// The value as an integer.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// How many digits the code is shown with: 8, 12, 13 or 14.
    pub const fn width(self) -> usize {
        match self.0 {
            0..=99_999_999 => 8,
            100_000_000..=999_999_999_999 => 12,
            1_000_000_000_000..=9_999_999_999_999 => 13,
            _ => 14,
        }
    }

    /// The check digit that belongs to the code's other digits
    /// (GS1 General Specifications, section 7.9.1: weights 3 and 1 from the right, modulo 10).
    pub const fn check_digit(self) -> u64 {
        let mut rest = self.0 / 10;
        let mut sum = 0u64;
        let mut weight = 3;
        while rest > 0 {
            // At most 13 digits of at most 9 times 3: far from overflow.
            sum = sum.saturating_add((rest % 10).saturating_mul(weight));
            rest /= 10;
            weight = if weight == 3 { 1 } else { 3 };
        }
        (10u64.saturating_sub(sum % 10)) % 10
    }

    /// Whether the last digit is the right check digit. The engine takes codes without one (house codes);
    /// front ends use this to catch typing errors.
    pub const fn has_valid_check_digit(self) -> bool {
        self.0 % 10 == self.check_digit()
    }
}

impl fmt::Display for Upc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0width$}", self.0, width = self.width())
    }
}

impl fmt::Debug for Upc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Upc({self})")
    }
}

impl FromStr for Upc {
    type Err = UpcError;

    fn from_str(text: &str) -> Result<Self, UpcError> {
        if text.is_empty() {
            return Err(UpcError::Empty);
        }
        if let Some(c) = text.chars().find(|c| !c.is_ascii_digit()) {
            return Err(UpcError::NotADigit(c));
        }
        let digits = u32::try_from(text.len()).map_err(|_| UpcError::TooLong)?;
        if digits > UPC_DIGITS_MAX {
            return Err(UpcError::TooLong);
        }
        text.parse().map_err(|_| UpcError::TooLong).and_then(Self::new)
    }
}

/// The row number of an item in the catalogue: items are numbered from 0 in the order they were defined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(pub u32);

/// The row number of an account: accounts are numbered from 0 in the order they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

impl AccountId {
    /// The row so many rows further on.
    #[must_use]
    pub(crate) fn plus(self, rows: usize) -> Self {
        Self(self.0.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX)))
    }
}

/// Where units are. Location 0 is `main`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocationId(pub u16);

impl LocationId {
    /// Location 0, `main`: where units are unless said otherwise.
    pub const MAIN: Self = Self(0);
}

impl fmt::Display for LocationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::MAIN { f.write_str("main") } else { write!(f, "{}", self.0) }
    }
}

/// The row number of a user: users are numbered from 1 in the order they were added; 0 is the system itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(pub u32);

impl UserId {
    /// The system itself: what the operator or the embedding program does without a user.
    pub const SYSTEM: Self = Self(0);
}

/// What names a session in the engine: the hash of the session's secret token, never the token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub [u8; 32]);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(")?;
        for byte in self.0.iter().take(4) {
            write!(f, "{byte:02x}")?;
        }
        f.write_str("…)")
    }
}

/// The client's 128-bit key of an order: a UUID version 7 (RFC 9562, section 5.7).
///
/// Its first 48 bits are the key's own time in milliseconds, which places it in the outcome window.
///
/// ```
/// # use inventory_core::OrderKey;
/// let key: OrderKey = "019a9d7c-6a00-7abc-8def-0123456789ab".parse()?;
/// assert_eq!(key.to_string(), "019a9d7c-6a00-7abc-8def-0123456789ab");
/// # Ok::<(), inventory_core::OrderKeyError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderKey([u8; 16]);

/// Why bytes or a text are no [`OrderKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderKeyError {
    /// The text is not 32 hexadecimal digits, with or without hyphens at 8-4-4-4-12.
    #[error("an order key is a UUID such as 019a9d7c-6a00-7abc-8def-0123456789ab")]
    NotAUuid,
    /// The UUID is not version 7 of the RFC 9562 variant.
    #[error("an order key is a UUID of version 7; this UUID is of another version")]
    NotVersion7,
}

impl OrderKey {
    /// The key with these bytes, most significant first, if they are a UUID of version 7.
    pub const fn from_bytes(bytes: [u8; 16]) -> Result<Self, OrderKeyError> {
        if bytes[6] >> 4 == 7 && bytes[8] >> 6 == 2 {
            Ok(Self(bytes))
        } else {
            Err(OrderKeyError::NotVersion7)
        }
    }

    /// A key of this time (whole milliseconds are kept; times from the year 10889 on count as its end) with these
    /// random bits, of which 74 are used.
    pub const fn from_parts(time: Time, random: u128) -> Self {
        let mut bytes = random.to_be_bytes();
        let ms = time.as_micros() / 1_000;
        let ms = if ms >> 48 == 0 { ms } else { (1 << 48) - 1 }.to_be_bytes();
        [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]] =
            [ms[2], ms[3], ms[4], ms[5], ms[6], ms[7]];
        bytes[6] = 0x70 | (bytes[6] & 0x0f);
        bytes[8] = 0x80 | (bytes[8] & 0x3f);
        Self(bytes)
    }

    /// The bytes, most significant first.
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The key's own time, in whole milliseconds.
    pub const fn time(self) -> Time {
        let b = self.0;
        let ms = u64::from_be_bytes([0, 0, b[0], b[1], b[2], b[3], b[4], b[5]]);
        // 48 bits of milliseconds times 1,000 fit 58 bits.
        Time::from_micros(ms.saturating_mul(1_000))
    }
}

impl fmt::Display for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for OrderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OrderKey({self})")
    }
}

impl FromStr for OrderKey {
    type Err = OrderKeyError;

    fn from_str(text: &str) -> Result<Self, OrderKeyError> {
        let hyphens_at = |at: usize| matches!(at, 8 | 13 | 18 | 23);
        let digits = match text.len() {
            32 => text.bytes().all(|b| b != b'-'),
            36 => text.bytes().enumerate().all(|(at, b)| hyphens_at(at) == (b == b'-')),
            _ => false,
        };
        if !digits {
            return Err(OrderKeyError::NotAUuid);
        }
        let mut value = 0u128;
        for c in text.chars().filter(|c| *c != '-') {
            let digit = c.to_digit(16).ok_or(OrderKeyError::NotAUuid)?;
            value = (value << 4) | u128::from(digit);
        }
        Self::from_bytes(value.to_be_bytes())
    }
}

/// The number of events applied so far: a position in the journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// Before the first event.
    pub const ZERO: Self = Self(0);

    /// The version after `events` more events.
    #[must_use]
    pub const fn plus(self, events: u64) -> Self {
        // 2^64 events at a billion a second take 584 years.
        Self(self.0.saturating_add(events))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A BLAKE3 hash: the link from a group to the one before it, or a digest of the state.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// The hash before the first group.
    pub const ZERO: Self = Self([0; 32]);

    /// The BLAKE3 hash of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

/// A random number that tells one attempt to write a group from every other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppendId(pub u128);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_upc_is_shown_at_the_shortest_gtin_length() {
        for (text, shown) in [
            ("036000291452", "036000291452"),
            ("00036000291452", "036000291452"),
            ("96385074", "96385074"),
            ("4006381333931", "4006381333931"),
            ("10614141000415", "10614141000415"),
            ("0", "00000000"),
        ] {
            assert_eq!(text.parse::<Upc>().unwrap().to_string(), shown, "{text}");
        }
    }

    #[test]
    fn a_text_that_is_no_upc_says_why() {
        assert_eq!("".parse::<Upc>(), Err(UpcError::Empty));
        assert_eq!("12a".parse::<Upc>(), Err(UpcError::NotADigit('a')));
        assert_eq!("-1".parse::<Upc>(), Err(UpcError::NotADigit('-')));
        assert_eq!("٣".parse::<Upc>(), Err(UpcError::NotADigit('٣')));
        assert_eq!("123456789012345".parse::<Upc>(), Err(UpcError::TooLong));
        assert_eq!(Upc::new(UPC_MAX + 1), Err(UpcError::TooLong));
    }

    #[test]
    fn check_digits_follow_gs1() {
        for valid in ["036000291452", "012345678905", "4006381333931", "96385074"] {
            assert!(valid.parse::<Upc>().unwrap().has_valid_check_digit(), "{valid}");
        }
        assert!(!"036000291453".parse::<Upc>().unwrap().has_valid_check_digit());
    }

    #[test]
    fn an_order_key_keeps_its_time_and_its_text() {
        let time = Time::from_micros(1_763_683_200_123_000);
        let key = OrderKey::from_parts(time, u128::MAX);
        assert_eq!(key.time(), time);
        assert_eq!(key.to_string().parse(), Ok(key));
        assert_eq!(OrderKey::from_bytes(key.to_bytes()), Ok(key));
        let without_hyphens = key.to_string().replace('-', "");
        assert_eq!(without_hyphens.parse(), Ok(key));
    }

    #[test]
    fn a_text_that_is_no_order_key_says_why() {
        for text in ["", "x", "019a9d7c6a007abc8def0123456789a", "019a9d7c_6a00-7abc-8def-0123456789ab"] {
            assert_eq!(text.parse::<OrderKey>(), Err(OrderKeyError::NotAUuid), "{text}");
        }
        let version_4 = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
        assert_eq!(version_4.parse::<OrderKey>(), Err(OrderKeyError::NotVersion7));
    }
}
