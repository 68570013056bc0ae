//! Amounts of money in minor units, with checked arithmetic.

use core::fmt;
use core::str::FromStr;

use crate::quantity::Units;

/// An amount in minor units (cents), signed. No currency is kept: a shop has one.
///
/// ```
/// # use inventory_core::Money;
/// let price: Money = "3.49".parse()?;
/// assert_eq!(price, Money::from_minor(349));
/// assert_eq!(price.to_string(), "3.49");
/// # Ok::<(), inventory_core::MoneyError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(i64);

/// Why a text is no amount of money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MoneyError {
    /// The text is not digits with, after a point, one or two decimals.
    #[error("an amount is digits with at most two decimals, such as 3.49")]
    NotAnAmount,
    /// The amount does not fit 64 bits of minor units.
    #[error("an amount is at most {max}", max = Money(i64::MAX))]
    TooLarge,
}

impl Money {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// This many minor units (cents).
    pub const fn from_minor(minor: i64) -> Self {
        Self(minor)
    }

    /// The amount in minor units (cents).
    pub const fn minor(self) -> i64 {
        self.0
    }

    /// The sum, if it fits.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(Self(sum)),
            None => None,
        }
    }

    /// The price of this many units at this price each, if it fits.
    pub fn checked_times(self, units: Units) -> Option<Self> {
        i64::try_from(units.get()).ok().and_then(|units| self.0.checked_mul(units)).map(Self)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let minor = self.0.unsigned_abs();
        write!(f, "{sign}{}.{:02}", minor / 100, minor % 100)
    }
}

/// Digits, then optionally a point and one or two decimals, after an optional minus sign.
impl FromStr for Money {
    type Err = MoneyError;

    fn from_str(text: &str) -> Result<Self, MoneyError> {
        let (negative, amount) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (major, decimals) = amount.split_once('.').unwrap_or((amount, "00"));
        let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(major) || !all_digits(decimals) || decimals.len() > 2 {
            return Err(MoneyError::NotAnAmount);
        }
        let cents: i64 = decimals.parse().map_err(|_| MoneyError::NotAnAmount)?;
        let cents = if decimals.len() == 1 { cents.saturating_mul(10) } else { cents };
        let signed = |value: i64| if negative { value.checked_neg() } else { Some(value) };
        major
            .parse::<i64>()
            .ok()
            .and_then(signed)
            .and_then(|major| major.checked_mul(100))
            .and_then(|minor| minor.checked_add(signed(cents)?))
            .map(Self)
            .ok_or(MoneyError::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn amounts_are_read_and_shown_exactly() {
        for (text, minor, shown) in [
            ("3.49", 349, "3.49"),
            ("3.4", 340, "3.40"),
            ("3", 300, "3.00"),
            ("-0.05", -5, "-0.05"),
            ("92233720368547758.07", i64::MAX, "92233720368547758.07"),
        ] {
            let money: Money = text.parse().unwrap();
            assert_eq!(money.minor(), minor, "{text}");
            assert_eq!(money.to_string(), shown);
        }
    }

    #[test]
    fn a_text_that_is_no_amount_says_why() {
        for text in ["", ".", "3.", ".5", "3.491", "1e3", "+1", "$1", "--1", "1,00"] {
            assert_eq!(text.parse::<Money>(), Err(MoneyError::NotAnAmount), "{text}");
        }
        for text in ["92233720368547758.08", "999999999999999999999"] {
            assert_eq!(text.parse::<Money>(), Err(MoneyError::TooLarge), "{text}");
        }
    }

    #[test]
    fn a_product_that_does_not_fit_is_seen() {
        let price = Money::from_minor(i64::MAX / 2);
        assert!(price.checked_times(Units::new(2).unwrap()).is_some());
        assert_eq!(price.checked_times(Units::new(3).unwrap()), None);
    }
}
