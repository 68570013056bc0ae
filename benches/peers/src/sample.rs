//! One measurement, and the median of several.

use std::time::Duration;

use inventory_load::Measured;
use serde::Serialize;

/// What one case measured in one round.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Sample {
    /// Purchases, round trips or writes a second.
    pub(crate) per_s: f64,
    /// Median latency in microseconds; none where it was not measured.
    pub(crate) p50_us: Option<f64>,
    /// 99th percentile of the latency in microseconds.
    pub(crate) p99_us: Option<f64>,
    /// The longest, in microseconds.
    pub(crate) max_us: Option<f64>,
}

impl Sample {
    /// Of a rate without latencies.
    pub(crate) fn rate(per_s: f64) -> Self {
        Self { per_s, ..Self::default() }
    }

    /// Of how long each of many took, without a rate.
    pub(crate) fn of(mut took: Vec<Duration>) -> Self {
        took.sort_unstable();
        let last = took.len().saturating_sub(1);
        let at = |place: usize| took.get(place.min(last)).map(|took| took.as_secs_f64() * 1e6);
        let (p50_us, p99_us, max_us) = (at(took.len() / 2), at(took.len() * 99 / 100), at(last));
        Self { per_s: 0.0, p50_us, p99_us, max_us }
    }
}

impl From<&Measured> for Sample {
    fn from(measured: &Measured) -> Self {
        Self {
            per_s: measured.purchases_per_s(),
            p50_us: Some(measured.latency_us(0.5)),
            p99_us: Some(measured.latency_us(0.99)),
            max_us: Some(measured.latency_us(1.0)),
        }
    }
}

/// The median of each figure; of the longest latencies, the longest.
pub(crate) fn median(samples: &[Sample]) -> Option<Sample> {
    let of = |figure: fn(&Sample) -> Option<f64>| middle(samples.iter().filter_map(figure).collect());
    Some(Sample {
        per_s: of(|sample| Some(sample.per_s))?,
        p50_us: of(|sample| sample.p50_us),
        p99_us: of(|sample| sample.p99_us),
        max_us: samples.iter().filter_map(|sample| sample.max_us).reduce(f64::max),
    })
}

/// The middle of them, or between the two in the middle.
pub(crate) fn middle(mut figures: Vec<f64>) -> Option<f64> {
    figures.sort_by(f64::total_cmp);
    let upper = figures.get(figures.len() / 2)?;
    let lower = figures.get(figures.len().saturating_sub(1) / 2)?;
    Some(f64::midpoint(*lower, *upper))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_one_or_between_the_two_middle_ones() {
        let per_s = |figures: &[f64]| {
            let samples: Vec<Sample> = figures.iter().map(|per_s| Sample::rate(*per_s)).collect();
            median(&samples).map(|sample| sample.per_s)
        };
        assert_eq!(per_s(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(per_s(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(per_s(&[]), None);
    }
}
