//! Instants. The core has no clock: time comes in as an argument.

use core::fmt;
use core::str::FromStr;

/// An instant: microseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The Unix epoch.
    pub const ZERO: Self = Self(0);

    /// The instant this many microseconds after the Unix epoch.
    pub const fn from_micros(us: u64) -> Self {
        Self(us)
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// This instant, `us` microseconds later; the last instant there is, if that is past it.
    #[must_use]
    pub const fn plus_micros(self, us: u64) -> Self {
        Self(self.0.saturating_add(us))
    }

    /// This instant, `us` microseconds earlier; the epoch, if that is before it.
    #[must_use]
    pub const fn minus_micros(self, us: u64) -> Self {
        Self(self.0.saturating_sub(us))
    }
}

/// RFC 3339 in UTC with microseconds, such as `2026-11-21T08:15:00.000000Z`.
///
/// The civil date follows from the day number by the proleptic Gregorian rule of 146,097 days in 400 years
/// (ISO 8601).
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, us) = (self.0 / 1_000_000, self.0 % 1_000_000);
        let (days, second_of_day) = (seconds / 86_400, seconds % 86_400);
        let (hour, minute, second) = (second_of_day / 3_600, second_of_day / 60 % 60, second_of_day % 60);
        let (year, month, day) = civil_date(days);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{us:06}Z")
    }
}

/// Why a text is no [`Time`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a time is a date in UTC such as 2026-11-21 or 2026-11-21T08:15:00Z, with up to six decimals of a second"
)]
pub struct TimeError;

/// Reads what [`Display`](fmt::Display) writes, with fewer decimals or none; a date alone is its first instant.
impl FromStr for Time {
    type Err = TimeError;

    fn from_str(text: &str) -> Result<Self, TimeError> {
        let (date, clock) = match text.strip_suffix('Z') {
            Some(text) => text.split_once('T').ok_or(TimeError)?,
            None => (text, "00:00:00"),
        };
        let [year, month, day] = numbers(date, '-', [4, 2, 2]).ok_or(TimeError)?;
        let (clock, decimals) = clock.split_once('.').unwrap_or((clock, "0"));
        let [hour, minute, second] = numbers(clock, ':', [2, 2, 2]).ok_or(TimeError)?;
        let us = fraction_us(decimals).ok_or(TimeError)?;
        let days = days_of(year, month, day).ok_or(TimeError)?;
        if hour > 23 || minute > 59 || second > 59 {
            return Err(TimeError);
        }
        // Years have four digits: far from overflow.
        let seconds = [(days, 86_400), (hour, 3_600), (minute, 60), (second, 1)]
            .into_iter()
            .fold(0u64, |sum, (count, seconds)| sum.saturating_add(count.saturating_mul(seconds)));
        Ok(Self(seconds.saturating_mul(1_000_000).saturating_add(us)))
    }
}

/// Three numbers of so many digits each, and what separates them.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[u64; 3]> {
    let mut parts = text.split(separator);
    let mut next = |digits: usize| {
        let part = parts.next().filter(|part| part.len() == digits)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse().ok())?
    };
    let [first, second, third] = digits;
    let read = [next(first)?, next(second)?, next(third)?];
    parts.next().is_none().then_some(read)
}

/// One to six decimals of a second, in microseconds.
fn fraction_us(decimals: &str) -> Option<u64> {
    let fits = (1..=6).contains(&decimals.len()) && decimals.bytes().all(|byte| byte.is_ascii_digit());
    let missing = u32::try_from(6usize.checked_sub(decimals.len())?).ok()?;
    fits.then(|| decimals.parse::<u64>().ok())?.map(|number| number.saturating_mul(10u64.pow(missing)))
}

/// Days from 1970-01-01 to this date; none if there is no such date or it is before.
fn days_of(year: u64, month: u64, day: u64) -> Option<u64> {
    let year_from_march = if month > 2 { year } else { year.checked_sub(1)? };
    let month_from_march = if month > 2 { month.checked_sub(3)? } else { month.saturating_add(9) };
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let days = era
        .saturating_mul(146_097)
        .saturating_add(year_of_era.saturating_mul(365))
        .saturating_add(year_of_era / 4)
        .saturating_sub(year_of_era / 100)
        .saturating_add(month_from_march.saturating_mul(153).saturating_add(2) / 5)
        .saturating_add(day)
        .checked_sub(DAYS_FROM_YEAR_0_MARCH.saturating_add(1))?;
    // The way back finds the 30th of February and the like.
    (civil_date(days) == (year, month, day)).then_some(days)
}

const DAYS_FROM_YEAR_0_MARCH: u64 = 719_468;

/// Year, month and day of the day this many days after 1970-01-01.
///
/// Years are counted from 1 March of year 0, so that the leap day comes last in a year.
fn civil_date(days: u64) -> (u64, u64, u64) {
    // 2^64 microseconds are 213 million days: no sum or product here comes near 2^64.
    let days = days.saturating_add(DAYS_FROM_YEAR_0_MARCH);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days =
        (day_of_era / 1_460).saturating_add(day_of_era / 146_096).saturating_sub(day_of_era / 36_524);
    let year_of_era = day_of_era.saturating_sub(leap_days) / 365;
    let days_before_year =
        year_of_era.saturating_mul(365).saturating_add(year_of_era / 4).saturating_sub(year_of_era / 100);
    let day_of_year = day_of_era.saturating_sub(days_before_year);
    let month_from_march = day_of_year.saturating_mul(5).saturating_add(2) / 153;
    let days_before_month = month_from_march.saturating_mul(153).saturating_add(2) / 5;
    let day = day_of_year.saturating_sub(days_before_month).saturating_add(1);
    let month = if month_from_march < 10 {
        month_from_march.saturating_add(3)
    } else {
        month_from_march.saturating_sub(9)
    };
    let year = era.saturating_mul(400).saturating_add(year_of_era).saturating_add(u64::from(month <= 2));
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn instants_are_shown_as_rfc_3339() {
        for (us, shown) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_400_000_000, "2000-02-29T00:00:00.000000Z"),
            (951_868_799_999_999, "2000-02-29T23:59:59.999999Z"),
            (951_868_800_000_000, "2000-03-01T00:00:00.000000Z"),
            (1_795_219_200_000_001, "2026-11-21T00:00:00.000001Z"),
            (4_107_542_399_000_000, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400_000_000, "2100-03-01T00:00:00.000000Z"),
        ] {
            assert_eq!(Time::from_micros(us).to_string(), shown);
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for us in (0..4_000_000_000_000_000).step_by(77_777_777_777_777) {
            let time = Time::from_micros(us);
            assert_eq!(time.to_string().parse(), Ok(time));
        }
        assert_eq!("2026-11-21".parse(), Ok(Time::from_micros(1_795_219_200_000_000)));
        assert_eq!("2026-11-21T00:00:01.5Z".parse(), Ok(Time::from_micros(1_795_219_201_500_000)));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "now",
            "2026",
            "2026-02-30",
            "2025-02-29",
            "2026-13-01",
            "2026-00-01",
            "1969-12-31",
            "0000-01-01",
            "2026-11-21T24:00:00Z",
            "2026-11-21T00:60:00Z",
            "2026-11-21T00:00:00",
            "2026-11-21T00:00:00.Z",
            "2026-11-21T00:00:00.1234567Z",
            "2026-11-21T00:00:00+01:00",
            "2026-+1-21",
        ] {
            assert_eq!(text.parse::<Time>(), Err(TimeError), "{text}");
        }
    }
}
