//! What a run measured.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::error::internal;
use crate::exchange::Outcome;

/// Figures of a run.
#[derive(Clone, Debug)]
pub struct Measured {
    /// From the start to the last answer.
    pub elapsed: Duration,
    /// Requests that were answered, those that were turned away left out.
    pub requests: u64,
    /// Of these, reads.
    pub reads: u64,
    /// Purchases carried out, each row of a batch counted.
    pub purchases: u64,
    /// Units of these.
    pub units: u64,
    /// Purchases refused for want of stock, each row of a batch counted.
    pub refused: u64,
    /// Requests that the server had no room for.
    pub turned_away: u64,
    /// Requests of an open loop that were due and never sent, because too many waited for their answers.
    pub unsent: u64,
    /// Latencies in nanoseconds: of each request that was answered, and of each that was not sent the time that it had
    /// waited at the end.
    latency: Histogram<u64>,
}

/// Significant digits of a latency.
const DIGITS: u8 = 3;
/// Largest latency that is told from larger ones: an hour, in nanoseconds.
const LATENCY_NS_MAX: u64 = 3_600 * 1_000_000_000;

impl Measured {
    pub(crate) fn new() -> Result<Self, crate::LoadError> {
        let latency = Histogram::new_with_max(LATENCY_NS_MAX, DIGITS);
        Ok(Self {
            elapsed: Duration::ZERO,
            requests: 0,
            reads: 0,
            purchases: 0,
            units: 0,
            refused: 0,
            turned_away: 0,
            unsent: 0,
            latency: latency.map_err(internal)?,
        })
    }

    pub(crate) fn answered(&mut self, outcome: Outcome, latency: Duration) {
        match outcome {
            Outcome::Bought { purchases, units, refused } => {
                self.purchases = self.purchases.saturating_add(purchases);
                self.units = self.units.saturating_add(units);
                self.refused = self.refused.saturating_add(refused);
            }
            Outcome::Read => self.reads = self.reads.saturating_add(1),
            Outcome::TurnedAway => {
                self.turned_away = self.turned_away.saturating_add(1);
                return;
            }
        }
        self.requests = self.requests.saturating_add(1);
        self.waited(latency);
    }

    pub(crate) fn unsent(&mut self, waited: Duration) {
        self.unsent = self.unsent.saturating_add(1);
        self.waited(waited);
    }

    fn waited(&mut self, latency: Duration) {
        self.latency.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Answers so far of any kind.
    pub(crate) const fn answers(&self) -> u64 {
        self.requests.saturating_add(self.turned_away)
    }

    /// Purchases a second.
    pub fn purchases_per_s(&self) -> f64 {
        per_s(self.purchases, self.elapsed)
    }

    /// Answered requests a second.
    pub fn requests_per_s(&self) -> f64 {
        per_s(self.requests, self.elapsed)
    }

    /// The latency in microseconds that this share of the requests (0 to 1) did not exceed; 1 for the longest.
    pub fn latency_us(&self, share: f64) -> f64 {
        micros(self.latency.value_at_quantile(share))
    }

    /// The mean latency in microseconds.
    pub fn mean_us(&self) -> f64 {
        self.latency.mean() / 1e3
    }

    /// How many requests took up to so many microseconds and longer than the row before, in rows that double.
    pub fn histogram(&self) -> Vec<(f64, u64)> {
        let rows = self.latency.iter_log(1_000, 2.0);
        let rows = rows.map(|row| (micros(row.value_iterated_to()), row.count_since_last_iteration()));
        rows.skip_while(|(_, count)| *count == 0).collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people and plots")]
fn per_s(count: u64, elapsed: Duration) -> f64 {
    if elapsed.is_zero() { 0.0 } else { count as f64 / elapsed.as_secs_f64() }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people and plots")]
fn micros(ns: u64) -> f64 {
    ns as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_and_rows_count_every_request_that_was_sent_or_should_have_been() {
        let mut measured = Measured::new().unwrap();
        let bought = Outcome::Bought { purchases: 1, units: 1, refused: 0 };
        for micros in 1..=99 {
            measured.answered(bought, Duration::from_micros(micros));
        }
        measured.unsent(Duration::from_secs(1));
        measured.answered(Outcome::TurnedAway, Duration::from_secs(9));
        measured.elapsed = Duration::from_secs(2);
        assert_eq!((measured.requests, measured.unsent, measured.turned_away), (99, 1, 1));
        assert!((49.5..50.5).contains(&measured.purchases_per_s()));
        assert!((49.0..51.0).contains(&measured.latency_us(0.5)), "{}", measured.latency_us(0.5));
        assert!((0.99e6..1.01e6).contains(&measured.latency_us(1.0)));
        assert_eq!(measured.histogram().iter().map(|(_, count)| count).sum::<u64>(), 100);
    }
}
