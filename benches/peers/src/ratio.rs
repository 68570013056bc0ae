//! The ratios that matter, and what each should be.

use serde::Serialize;

use crate::report::Row;

/// A figure that is to be reached.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ratio {
    /// What is compared.
    pub(crate) what: &'static str,
    /// The figure; none if one of its cases was skipped.
    pub(crate) figure: Option<f64>,
    /// What it should be.
    pub(crate) target: Option<Target>,
}

/// Where a figure should lie.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// Here or above.
    AtLeast(f64),
    /// Here or below.
    AtMost(f64),
}

impl Target {
    /// Whether the figure lies there.
    pub(crate) fn is_reached(self, figure: f64) -> bool {
        match self {
            Self::AtLeast(least) => figure >= least,
            Self::AtMost(most) => figure <= most,
        }
    }
}

const SPREAD: &str = "ours: 50 connections, spread, tcp";
const HOT: &str = "ours: 50 connections, hot item, tcp";
const PIPELINED: &str = "ours: 8 connections with 100 in flight";
const BULK: &str = "ours: 1 connection, 4 in flight, 8,192 rows each";
const HALF: &str = "ours: half of the load of 50 connections";
const SYNC: &str = "disk: 4 KiB, fdatasync";

/// All ratios of these rows.
pub(crate) fn all(rows: &[Row]) -> Vec<Ratio> {
    let row = |name: &str| rows.iter().find(|row| row.name == name)?.median;
    let per_s = |name: &'static str| row(name).map(|median| median.per_s);
    // Held back by our generator or by its own: the better one counts.
    let best = |names: &[&'static str]| names.iter().copied().filter_map(per_s).reduce(f64::max);
    let over = |ours: Option<f64>, theirs: Option<f64>| Some(ours? / theirs?);
    let (p50, p99) = (|name| row(name)?.p50_us, |name| row(name)?.p99_us);
    // What an item costs Redis does not depend on which it is, and its own generator knows only one.
    let redis_spread = best(&["redis: 50 connections, spread", "redis-benchmark: hot item"]);
    let redis_hot = best(&["redis: 50 connections, hot item", "redis-benchmark: hot item"]);
    let postgres_spread = best(&["postgres: 50 connections, spread", "pgbench: spread"]);
    let postgres_hot = best(&["postgres: 50 connections, hot item", "pgbench: hot item"]);
    let least = |least| Some(Target::AtLeast(least));
    let most = |most| Some(Target::AtMost(most));
    let ratio = |what, figure, target| Ratio { what, figure, target };
    vec![
        ratio("closed loop: ours / redis", over(per_s(SPREAD), redis_spread), least(2.0)),
        ratio(
            "closed loop: ours / echo",
            over(per_s(SPREAD), per_s("echo: 50 connections, tcp")),
            least(0.7),
        ),
        ratio("closed loop: hot / spread", over(per_s(HOT), per_s(SPREAD)), least(0.95)),
        ratio("closed loop, hot: ours / redis", over(per_s(HOT), redis_hot), None),
        ratio("closed loop: ours / postgres", over(per_s(SPREAD), postgres_spread), None),
        ratio("closed loop, hot: ours / postgres", over(per_s(HOT), postgres_hot), None),
        ratio(
            "closed loop: ours / sqlite, one a transaction",
            over(per_s(SPREAD), per_s("sqlite: one a transaction")),
            None,
        ),
        ratio(
            "closed loop: ours / tigerbeetle, one a request",
            over(per_s(SPREAD), per_s("tigerbeetle: 32 clients, one a request")),
            None,
        ),
        ratio("bulk: purchases/s", per_s(BULK), least(5e6)),
        ratio(
            "bulk: ours / tigerbeetle",
            over(per_s(BULK), per_s("tigerbeetle: its own benchmark")),
            least(10.0),
        ),
        ratio(
            "bulk: ours / the same bytes received, written, synced",
            over(per_s(BULK), per_s("limit: a batch received, written, synced")),
            least(0.5),
        ),
        ratio("bulk: ours / postgres", over(per_s(BULK), per_s("postgres: 1,000 rows a statement")), None),
        ratio("bulk: ours / sqlite", over(per_s(BULK), per_s("sqlite: 8,192 rows a transaction")), None),
        ratio("in flight, 8 × 100: purchases/s", per_s(PIPELINED), least(1e6)),
        ratio(
            "in flight: ours / redis",
            over(per_s(PIPELINED), per_s("redis: 50 connections with 100 in flight")),
            None,
        ),
        ratio("half load: p50 / p50 of a 4 KiB fdatasync", over(p50(HALF), p50(SYNC)), most(1.5)),
        ratio("half load: p99 / p99 of a 4 KiB fdatasync", over(p99(HALF), p99(SYNC)), most(3.0)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;

    fn row(name: &'static str, per_s: f64) -> Row {
        Row { name, note: "", rounds: Vec::new(), median: Some(Sample::rate(per_s)), skipped: None }
    }

    fn figure(rows: &[Row], what: &str) -> Option<f64> {
        all(rows).into_iter().find(|ratio| ratio.what == what).unwrap().figure
    }

    #[test]
    fn a_peer_counts_with_its_better_figure_and_a_skipped_one_not_at_all() {
        let rows =
            [row(SPREAD, 80.0), row("postgres: 50 connections, spread", 10.0), row("pgbench: spread", 20.0)];
        assert_eq!(figure(&rows, "closed loop: ours / postgres"), Some(4.0));
        assert_eq!(figure(&rows, "closed loop: ours / redis"), None);
    }

    #[test]
    fn every_case_that_a_ratio_names_is_there() {
        let mut rows: Vec<Row> = crate::case::all().iter().map(|case| row(case.name, 1.0)).collect();
        for row in &mut rows {
            row.median = Some(Sample { per_s: 1.0, p50_us: Some(1.0), p99_us: Some(1.0), max_us: None });
        }
        for ratio in all(&rows) {
            assert_eq!(ratio.figure, Some(1.0), "{}", ratio.what);
        }
    }

    #[test]
    fn a_target_is_a_least_or_a_most() {
        assert!(Target::AtLeast(2.0).is_reached(2.0) && !Target::AtLeast(2.0).is_reached(1.9));
        assert!(Target::AtMost(1.5).is_reached(1.5) && !Target::AtMost(1.5).is_reached(1.6));
    }
}
