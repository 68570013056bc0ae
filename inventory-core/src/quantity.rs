//! Quantities of units, with checked arithmetic.

use core::fmt;
use core::str::FromStr;

use crate::limits::UNITS_MAX;

/// A number of units in the item's smallest unit, from 0 to [`UNITS_MAX`].
///
/// ```
/// # use inventory_core::Units;
/// let two: Units = "2".parse()?;
/// assert_eq!(two.checked_add(two), Units::new(4));
/// assert_eq!(two.checked_sub(Units::new(3).unwrap()), None);
/// # Ok::<(), inventory_core::UnitsError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Units(u64);

/// Why a text is no number of units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UnitsError {
    /// The text is not made of decimal digits only.
    #[error("a quantity is a whole number of units, written in digits only")]
    NotANumber,
    /// The number is above [`UNITS_MAX`].
    #[error("a quantity is at most {UNITS_MAX} units")]
    TooLarge,
}

impl Units {
    /// No units.
    pub const ZERO: Self = Self(0);

    /// This many units, if at most [`UNITS_MAX`].
    pub const fn new(value: u64) -> Option<Self> {
        if value <= UNITS_MAX { Some(Self(value)) } else { None }
    }

    /// The number of units.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether there are none.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, if at most [`UNITS_MAX`].
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        Self::new(self.0.saturating_add(other.0))
    }

    /// The sum, or [`UNITS_MAX`] if it would be more.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        match self.checked_add(other) {
            Some(sum) => sum,
            None => Self(UNITS_MAX),
        }
    }

    /// The difference, if not negative.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(value) => Some(Self(value)),
            None => None,
        }
    }

    /// The difference, or zero if it would be negative.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// 32 bits always fit.
impl From<u32> for Units {
    fn from(units: u32) -> Self {
        Self(u64::from(units))
    }
}

impl fmt::Display for Units {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Units {
    type Err = UnitsError;

    fn from_str(text: &str) -> Result<Self, UnitsError> {
        if text.is_empty() || text.bytes().any(|b| !b.is_ascii_digit()) {
            return Err(UnitsError::NotANumber);
        }
        text.parse().ok().and_then(Self::new).ok_or(UnitsError::TooLarge)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_make_a_quantity() {
        assert_eq!("007".parse(), Ok(Units(7)));
        for text in ["", "-1", "+1", "1.5", "two", " 1"] {
            assert_eq!(text.parse::<Units>(), Err(UnitsError::NotANumber), "{text:?}");
        }
        for text in ["4611686018427387904", "99999999999999999999999999"] {
            assert_eq!(text.parse::<Units>(), Err(UnitsError::TooLarge), "{text}");
        }
        assert_eq!("4611686018427387903".parse(), Ok(Units(UNITS_MAX)));
    }

    #[test]
    fn sums_and_differences_stay_in_range() {
        let most = Units(UNITS_MAX);
        assert_eq!(most.checked_add(Units(1)), None);
        assert_eq!(most.checked_add(Units::ZERO), Some(most));
        assert_eq!(Units::ZERO.checked_sub(Units(1)), None);
    }
}
