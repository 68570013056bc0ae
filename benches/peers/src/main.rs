//! The server beside Redis, PostgreSQL and TigerBeetle, and beside what loopback and disk give, measured in one run with the
//! same work: one unit a purchase, the same items, durable before the answer.
//!
//! `scripts/peers` builds and runs it; `scripts/peers --quick` takes one short round. What is not installed is skipped, and
//! said to be. Every case runs several times, in turns, so that what else the machine does falls on all alike;
//! figures are medians.
#![expect(clippy::cast_precision_loss, reason = "figures for people; no count comes near 2^53")]

mod case;
mod growth;
mod ledger;
mod peer;
mod plot;
mod prepared;
mod process;
mod ratio;
mod report;
mod rig;
mod sample;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde::Serialize;

use rig::Rig;

/// The inventory server beside its peers and the machine's limits.
#[derive(Debug, Parser)]
#[command(name = "inventory-peers", version, about)]
struct Args {
    /// One round of short cases instead of three of longer ones.
    #[arg(long, global = true)]
    quick: bool,
    /// Only cases whose names contain this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Items to buy from.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    items: u64,
    /// Write the figures here, as JSON.
    #[arg(long, global = true, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write plots into this directory, as SVG.
    #[arg(long, global = true, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Something else than the comparison.
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Show what a purchase costs with more items, more connections and a longer journal.
    Growth(growth::Growth),
    /// Compare the taking of lines of credits and debits with the same exercise in Python.
    Ledger(ledger::Ledger),
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.mode {
        Some(Mode::Growth(growth)) => {
            let grown = growth.measure(args.quick)?;
            println!("{}", grown.tables());
            write_json(args.json.as_deref(), &grown)?;
            write_plot(args.plots.as_deref(), "growth.svg", &grown.plot())
        }
        Some(Mode::Ledger(ledger)) => {
            let figures = ledger.measure()?;
            print!("{}", figures.table());
            write_json(args.json.as_deref(), &figures)
        }
        None => compare(&args),
    }
}

fn compare(args: &Args) -> anyhow::Result<()> {
    let (rounds, length) =
        if args.quick { (1, Duration::from_millis(1_200)) } else { (3, Duration::from_secs(2)) };
    let wanted =
        |name: &str| args.only.is_empty() || args.only.iter().any(|part| name.contains(part.as_str()));
    let cases: Vec<_> = case::all().into_iter().filter(|case| wanted(case.name)).collect();
    let mut rig = Rig::new(args.items, length)?;
    let mut figures = report::Figures::new(&cases);
    for round in 1..=rounds {
        for case in &cases {
            if figures.is_skipped(case.name) {
                continue;
            }
            eprintln!("round {round} of {rounds}: {}", case.name);
            let sample = (case.run)(&mut rig, &figures);
            figures.add(case.name, sample);
        }
    }
    rig.close()?;
    let report = figures.into_report(args.items, rounds, length);
    println!("{}", report.table());
    write_json(args.json.as_deref(), &report)?;
    write_plot(args.plots.as_deref(), "peers.svg", &plot::bars(&report))
}

/// Writes figures, if there is a place for them.
fn write_json(path: Option<&Path>, figures: &impl Serialize) -> anyhow::Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut text = serde_json::to_vec_pretty(figures)?;
    text.push(b'\n');
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Writes a plot into a directory, if there is one for it; it is made if it is not there yet.
fn write_plot(directory: Option<&Path>, name: &str, svg: &str) -> anyhow::Result<()> {
    let Some(directory) = directory else { return Ok(()) };
    std::fs::create_dir_all(directory)?;
    let path = directory.join(name);
    std::fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))
}
