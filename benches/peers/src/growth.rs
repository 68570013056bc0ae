//! What a purchase costs with more items, more connections and a longer journal: it should stay the same, but for caches
//! that no longer hold everything.

use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use inventory_load::{Measured, Until};
use rustix::process::{Resource, getrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::peer::ours::{Load, Ours};
use crate::plot;
use crate::process::disk_dir;

/// How far to go.
#[derive(Debug, Args)]
pub(crate) struct Growth {
    /// Also 10 million items; making them takes minutes.
    #[arg(long)]
    many_items: bool,
    /// Length of the longest journal, in GB.
    #[arg(long, value_name = "GB", default_value_t = 0.25)]
    journal_gb: f64,
    /// Seconds for each measurement.
    #[arg(long, value_name = "S", default_value_t = 3.0)]
    seconds: f64,
}

/// Rough bytes that a purchase of one line takes in the journal.
const PURCHASE_BYTES: f64 = 90.0;

/// One row of a table: how much of something there was, and what was measured then.
type Point = (f64, Measured);

/// Prints the tables, and writes the plots if there is a place for them.
pub(crate) fn run(growth: &Growth, plots: Option<&Path>) -> anyhow::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let length = Duration::from_secs_f64(growth.seconds);
    let items = items(growth, &runtime, length)?;
    show("items", &items, plots)?;
    let connections = connections(&runtime, length)?;
    show("connections", &connections, plots)?;
    let journal = journal(growth, &runtime, length)?;
    show("journal MB", &journal, plots)
}

/// Cost of a purchase: processor time of server and generator is what a closed loop on few cores spends.
fn cost_us(measured: &Measured) -> f64 {
    1e6 / measured.purchases_per_s().max(f64::MIN_POSITIVE)
}

fn show(what: &str, points: &[Point], plots: Option<&Path>) -> anyhow::Result<()> {
    println!("| {what} | purchases/s | µs a purchase | p50 | p99 |\n|---:|---:|---:|---:|---:|");
    for (amount, measured) in points {
        println!(
            "| {amount:.0} | {:.0} | {:.2} | {:.0} µs | {:.0} µs |",
            measured.purchases_per_s(),
            cost_us(measured),
            measured.latency_us(0.5),
            measured.latency_us(0.99)
        );
    }
    println!();
    let Some(directory) = plots else { return Ok(()) };
    let line: Vec<(f64, f64)> =
        points.iter().map(|(amount, measured)| (*amount, cost_us(measured))).collect();
    let name = format!("growth-{}.svg", what.split(' ').next().unwrap_or(what));
    plot::write(directory, &name, &plot::line("growth", what, "µs a purchase", &line))
}

/// A server of its own for each: the journal is as long as the items make it.
fn items(growth: &Growth, runtime: &Runtime, length: Duration) -> anyhow::Result<Vec<Point>> {
    let mut points = Vec::new();
    let most = if growth.many_items { 10_000_000 } else { 100_000 };
    for items in [1_000, 10_000, 100_000, 1_000_000, 10_000_000].into_iter().filter(|items| *items <= most) {
        eprintln!("{items} items");
        let dir = disk_dir()?;
        let mut ours = Ours::start(runtime, dir.path(), items)?;
        points.push((items as f64, measure(runtime, &mut ours, 50, Until::Elapsed(length))?));
        ours.check(runtime)?;
    }
    Ok(points)
}

fn connections(runtime: &Runtime, length: Duration) -> anyhow::Result<Vec<Point>> {
    let dir = disk_dir()?;
    let mut ours = Ours::start(runtime, dir.path(), 10_000)?;
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let mut points = Vec::new();
    for connections in [1u32, 10, 100, 1_000, 9_900] {
        if u64::from(connections) + 100 > files {
            eprintln!("{connections} connections need more open files than {files}: skipped");
            continue;
        }
        eprintln!("{connections} connections");
        let measured = measure(runtime, &mut ours, connections, Until::Elapsed(length))?;
        points.push((f64::from(connections), measured));
    }
    ours.check(runtime)?;
    Ok(points)
}

/// Buys until the journal is about so long, and measures on the way.
fn journal(growth: &Growth, runtime: &Runtime, length: Duration) -> anyhow::Result<Vec<Point>> {
    let dir = disk_dir()?;
    let mut ours = Ours::start(runtime, dir.path(), 10_000)?;
    let steps = [0.0, 0.01, 0.1, 1.0, 10.0].into_iter().filter(|gb| *gb < growth.journal_gb);
    let mut points = Vec::new();
    let mut bought = 0.0;
    for gb in steps.chain([growth.journal_gb]) {
        eprintln!("a journal of {gb} GB");
        let wanted = gb * 1e9 / PURCHASE_BYTES - bought;
        let began = Instant::now();
        if wanted >= 1.0 {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be above 1"
            )]
            let until = Until::Count(wanted as u64);
            let address = ours.tcp().clone();
            runtime.block_on(ours.closed(&address, 8, Load { in_flight: 100, ..Load::SINGLE }, until))?;
            bought += wanted;
            eprintln!("  written in {:.1} s", began.elapsed().as_secs_f64());
        }
        let measured = measure(runtime, &mut ours, 50, Until::Elapsed(length))?;
        let more = measured.purchases as f64;
        bought += more;
        points.push(((bought * PURCHASE_BYTES / 1e6).max(1.0), measured));
    }
    ours.check(runtime)?;
    Ok(points)
}

fn measure(runtime: &Runtime, ours: &mut Ours, connections: u32, until: Until) -> anyhow::Result<Measured> {
    let address = ours.tcp().clone();
    let connections = usize::try_from(connections)?;
    runtime.block_on(ours.closed(&address, connections, Load::SINGLE, until))
}
