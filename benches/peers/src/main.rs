//! The server beside Redis, PostgreSQL and TigerBeetle, and beside what loopback and disk give, measured in one run with the
//! same work: one unit a purchase, the same items, durable before the answer.
//!
//! `scripts/peers` builds and runs it; `scripts/peers --quick` takes one short round. What is not installed is skipped, and
//! said to be. Every case runs several times, in turns, so that what else the machine does falls on all alike;
//! figures are medians.
#![expect(clippy::cast_precision_loss, reason = "figures for people; no count comes near 2^53")]

mod case;
mod growth;
mod peer;
mod plot;
mod process;
mod ratio;
mod report;
mod rig;
mod sample;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use rig::Rig;

/// The inventory server beside its peers and the machine's limits.
#[derive(Debug, Parser)]
#[command(name = "inventory-peers", version, about)]
struct Args {
    /// One round of short cases instead of three of longer ones.
    #[arg(long)]
    quick: bool,
    /// Only cases whose names contain this; may be given several times.
    #[arg(long, value_name = "TEXT")]
    only: Vec<String>,
    /// Items to buy from.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    items: u64,
    /// Write the figures here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write plots into this directory, as SVG.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Something else than the comparison.
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Debug, Subcommand)]
enum Mode {
    /// Show what a purchase costs with more items, more connections and a longer journal.
    Growth(growth::Growth),
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match &args.mode {
        Some(Mode::Growth(growth)) => growth::run(growth, args.plots.as_deref()),
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
    if let Some(path) = &args.json {
        std::fs::write(path, serde_json::to_vec_pretty(&report)?)?;
    }
    if let Some(directory) = &args.plots {
        plot::write(directory, "peers.svg", &plot::bars(&report))?;
    }
    Ok(())
}
