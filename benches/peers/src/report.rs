//! The figures of a run, as a table for people and as JSON.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::case::Case;
use crate::ratio::{self, Ratio, Target};
use crate::sample::{Sample, median};

/// The figures so far.
pub(crate) struct Figures(Vec<Row>);

/// What one case measured.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) note: &'static str,
    pub(crate) rounds: Vec<Sample>,
    /// Of the rounds.
    pub(crate) median: Option<Sample>,
    /// Why there are no figures.
    pub(crate) skipped: Option<String>,
}

impl Figures {
    pub(crate) fn new(cases: &[Case]) -> Self {
        let row = |case: &Case| Row {
            name: case.name,
            note: case.note,
            rounds: Vec::new(),
            median: None,
            skipped: None,
        };
        Self(cases.iter().map(row).collect())
    }

    /// Takes in what a case measured, or why it did not.
    pub(crate) fn add(&mut self, name: &str, sample: anyhow::Result<Sample>) {
        let Some(row) = self.0.iter_mut().find(|row| row.name == name) else { return };
        match sample {
            Ok(sample) => {
                row.rounds.push(sample);
                row.median = median(&row.rounds);
            }
            Err(error) => {
                eprintln!("  skipped: {error:#}");
                // Rounds that went well before do not count either.
                row.median = None;
                row.skipped = Some(format!("{error:#}"));
            }
        }
    }

    pub(crate) fn is_skipped(&self, name: &str) -> bool {
        self.0.iter().any(|row| row.name == name && row.skipped.is_some())
    }

    /// The rate of a case so far.
    pub(crate) fn per_s(&self, name: &str) -> Option<f64> {
        self.0.iter().find(|row| row.name == name)?.median.map(|median| median.per_s)
    }

    pub(crate) fn into_report(self, items: u64, rounds: u32, length: Duration) -> Report {
        let ratios = ratio::all(&self.0);
        Report { items, rounds, seconds_a_case: length.as_secs_f64(), rows: self.0, ratios }
    }
}

/// All of a run. The names are those of the JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    items: u64,
    rounds: u32,
    seconds_a_case: f64,
    pub(crate) rows: Vec<Row>,
    ratios: Vec<Ratio>,
}

impl Report {
    /// A Markdown table of ratios, and one of figures.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_table(&mut text);
        text
    }

    fn write_table(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "| ratio | figure | target | |\n|---|---:|---:|---|")?;
        for Ratio { what, figure, target } in &self.ratios {
            let told = target.map_or(String::new(), |target| match target {
                Target::AtLeast(least) => format!("≥ {}", short(least)),
                Target::AtMost(most) => format!("≤ {}", short(most)),
            });
            let reached = match (figure, target) {
                (Some(figure), Some(target)) if target.is_reached(*figure) => "reached",
                (Some(_), Some(_)) => "not reached",
                (None, _) => "skipped",
                (Some(_), None) => "",
            };
            let figure = figure.map_or(String::new(), short);
            writeln!(text, "| {what} | {figure} | {told} | {reached} |")?;
        }
        writeln!(
            text,
            "\n| case | per second | p50 | p99 | longest | notes |\n|---|---:|---:|---:|---:|---|"
        )?;
        for row in &self.rows {
            match (&row.median, &row.skipped) {
                (Some(median), None) => {
                    let us = |us: Option<f64>| us.map_or(String::new(), |us| format!("{us:.0} µs"));
                    let (p50, p99, max) = (us(median.p50_us), us(median.p99_us), us(median.max_us));
                    let per_s = short(median.per_s);
                    writeln!(text, "| {} | {per_s} | {p50} | {p99} | {max} | {} |", row.name, row.note)?;
                }
                (_, why) => {
                    let why = why.as_deref().unwrap_or("not run");
                    writeln!(text, "| {} | | | | | skipped: {} |", row.name, why.replace('\n', " "))?;
                }
            }
        }
        writeln!(
            text,
            "\n{} items, one unit a purchase, {} rounds of {} s a case, medians; the generator runs on the same machine.",
            self.items, self.rounds, self.seconds_a_case
        )
    }
}

/// Three digits of a figure, or all before the point, in groups of three.
fn short(figure: f64) -> String {
    if figure < 1_000.0 {
        let decimals = if figure < 10.0 { 2 } else { 0 };
        return format!("{figure:.decimals$}");
    }
    let digits = format!("{figure:.0}");
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| str::from_utf8(group).ok()).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!([0.5, 1.234, 56.7, 1_234_567.8].map(short), ["0.50", "1.23", "57", "1,234,568"]);
    }

    #[test]
    fn a_case_that_fails_in_a_later_round_has_no_figure() {
        let mut figures = Figures::new(&crate::case::all());
        let name = crate::case::all()[0].name;
        figures.add(name, Ok(Sample::rate(5.0)));
        assert_eq!(figures.per_s(name), Some(5.0));
        figures.add(name, Err(anyhow::anyhow!("it broke")));
        assert_eq!(figures.per_s(name), None);
        assert!(figures.is_skipped(name));
        let table = figures.into_report(1, 1, Duration::from_secs(1)).table();
        assert!(table.contains("skipped: it broke"), "{table}");
    }
}
