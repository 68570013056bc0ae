//! The figures of a run: a contract for JSON, and a page for people.

use std::fmt::Write as _;

use inventory_load::Measured;
use inventory_net::transport::Address;
use serde::Serialize;

use super::OwnServer;
use crate::args::{BenchArgs, Skew};

/// What was asked for and what was measured. The names are those of the JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    server: String,
    /// Where its data was, if it was the bench's own.
    own_data: Option<String>,
    connections: u32,
    in_flight: u32,
    batch: u32,
    items: u64,
    skew: &'static str,
    reads_percent: u32,
    /// None in a closed loop.
    rate_wanted_per_s: Option<f64>,
    seconds: f64,
    requests: u64,
    reads: u64,
    purchases: u64,
    refused: u64,
    turned_away: u64,
    unsent: u64,
    /// Purchases a second.
    rate_per_s: f64,
    requests_per_s: f64,
    mean_us: f64,
    p50_us: f64,
    p90_us: f64,
    p99_us: f64,
    p999_us: f64,
    max_us: f64,
    units_sold: u64,
    units_gone: u64,
    histogram: Vec<Row>,
}

/// Requests that took up to so long, and longer than the row before.
#[derive(Debug, Serialize)]
struct Row {
    up_to_us: f64,
    requests: u64,
}

impl Report {
    pub(super) fn new(
        args: &BenchArgs,
        address: &Address,
        own: Option<&OwnServer>,
        measured: &Measured,
        units_gone: u64,
    ) -> Self {
        let rows = measured.histogram().into_iter();
        Self {
            server: address.to_string(),
            own_data: own.map(|own| own.data().display().to_string()),
            connections: args.connections,
            in_flight: args.in_flight,
            batch: args.batch,
            items: args.items,
            skew: match args.skew {
                Skew::Uniform => "uniform",
                Skew::Zipf => "zipf",
                Skew::Hot => "hot",
            },
            reads_percent: args.reads,
            rate_wanted_per_s: args.rate,
            seconds: measured.elapsed.as_secs_f64(),
            requests: measured.requests,
            reads: measured.reads,
            purchases: measured.purchases,
            refused: measured.refused,
            turned_away: measured.turned_away,
            unsent: measured.unsent,
            rate_per_s: measured.purchases_per_s(),
            requests_per_s: measured.requests_per_s(),
            mean_us: measured.mean_us(),
            p50_us: measured.latency_us(0.5),
            p90_us: measured.latency_us(0.9),
            p99_us: measured.latency_us(0.99),
            p999_us: measured.latency_us(0.999),
            max_us: measured.latency_us(1.0),
            units_sold: measured.units,
            units_gone,
            histogram: rows.map(|(up_to_us, requests)| Row { up_to_us, requests }).collect(),
        }
    }

    /// The page for people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_table(&mut text);
        text
    }

    fn write_table(&self, text: &mut String) -> std::fmt::Result {
        let Self { connections, in_flight, items, skew, .. } = self;
        match &self.own_data {
            Some(data) => writeln!(text, "server     its own, data in {data}, removed afterwards")?,
            None => writeln!(text, "server     {}", self.server)?,
        }
        let pace = self
            .rate_wanted_per_s
            .map_or("closed loop".to_owned(), |rate| format!("{rate} requests/s wanted"));
        writeln!(text, "load       {connections} connections, {in_flight} in flight on each, {pace}")?;
        writeln!(
            text,
            "work       {}, {skew} over {} items, {} % reads",
            self.purchase(),
            grouped(*items),
            self.reads_percent
        )?;
        let rate = whole(self.rate_per_s);
        writeln!(text, "purchases  {} in {:.1} s: {rate}/s", grouped(self.purchases), self.seconds)?;
        for (count, what) in [
            (self.reads, "reads"),
            (self.refused, "purchases refused for want of stock"),
            (self.turned_away, "requests turned away: the server had no room for them"),
            (
                self.unsent,
                "requests due and not sent: the server did not keep up, and latencies grow with the run",
            ),
        ] {
            if count > 0 {
                writeln!(text, "           {} {what}", grouped(count))?;
            }
        }
        writeln!(
            text,
            "latency    p50 {}, p90 {}, p99 {}, p99.9 {}, max {}",
            time(self.p50_us),
            time(self.p90_us),
            time(self.p99_us),
            time(self.p999_us),
            time(self.max_us)
        )?;
        writeln!(text, "units      {} sold, {} gone\n", grouped(self.units_sold), grouped(self.units_gone))?;
        self.write_histogram(text)
    }

    fn purchase(&self) -> String {
        match self.batch {
            1 => "one unit a purchase".to_owned(),
            rows => format!("{} purchases of one unit a request", grouped(rows.into())),
        }
    }

    fn write_histogram(&self, text: &mut String) -> std::fmt::Result {
        let most = self.histogram.iter().map(|row| row.requests).max().unwrap_or(1).max(1);
        writeln!(text, "{:>10}  {:>12}", "up to", "requests")?;
        for Row { up_to_us, requests } in &self.histogram {
            let bar = "█".repeat(usize::try_from(requests.saturating_mul(40).div_ceil(most)).unwrap_or(0));
            writeln!(
                text,
                "{}",
                format!("{:>10}  {:>12}  {bar}", time(*up_to_us), grouped(*requests)).trim_end()
            )?;
        }
        Ok(())
    }
}

/// A length of time that people can read.
fn time(us: f64) -> String {
    if us < 999.5 {
        format!("{us:.0} µs")
    } else if us < 999_500.0 {
        format!("{:.2} ms", us / 1e3)
    } else {
        format!("{:.2} s", us / 1e6)
    }
}

/// A figure without its fraction.
fn whole(figure: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is not negative")]
    grouped(figure.round() as u64)
}

/// A number with its digits in groups of three.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.4, 999.4, 1_500.0, 2_500_000.0].map(time), ["0 µs", "999 µs", "1.50 ms", "2.50 s"]);
    }
}
