//! What a purchase costs with more items, more connections and a longer journal: it should stay the same, but for caches
//! that no longer hold everything.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use clap::Args;
use inventory_load::{Plan, Until};
use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use tokio::runtime::{Builder, Runtime};

use crate::peer::ours::{Load, Ours, data_dir};
use crate::plot::{self, Panel};
use crate::prepared;
use crate::process::disk_dir;
use crate::sample::{Sample, median, middle};

/// How far to go.
#[derive(Debug, Args)]
pub(crate) struct Growth {
    /// Most items; a million if `--quick`.
    #[arg(long, value_name = "N", default_value_t = 10_000_000)]
    items_max: u64,
    /// Length of the longest journal, in GB; 0.25 if `--quick`. It lies beside the build and is removed.
    #[arg(long, value_name = "GB", default_value_t = 10.0)]
    journal_gb: f64,
}

/// Connections where something else grows.
const CONNECTIONS: u32 = 50;
/// Items where something else grows.
const ITEMS: u64 = 10_000;
/// Room on the disk that is left to others, in GB.
const LEFT_GB: f64 = 2.0;
/// Rows of a batch by which the journal grows, and about what one takes there, in bytes.
const ROWS: u32 = 8_192;
const BATCH_BYTES: f64 = 65_700.0;
/// Nothing is done behind the back of what is measured.
const NO_UPKEEP: [&str; 2] = ["--snapshot-every", "never"];

/// Something that grows, and what a purchase cost then. The names are those of the JSON.
#[derive(Debug, Serialize)]
struct Table {
    grows: &'static str,
    points: Vec<Point>,
}

#[derive(Debug, Serialize)]
struct Point {
    amount: f64,
    #[serde(flatten)]
    sample: Sample,
    /// Processor time of the server for each purchase, in microseconds.
    server_us: f64,
}

/// All tables.
#[derive(Debug, Serialize)]
pub(crate) struct Grown {
    rounds: u32,
    seconds_a_round: f64,
    tables: Vec<Table>,
}

impl Growth {
    /// Measures everything, a few rounds for each point.
    pub(crate) fn measure(&self, quick: bool) -> anyhow::Result<Grown> {
        let (rounds, length) = if quick { (1, Duration::from_secs(1)) } else { (3, Duration::from_secs(2)) };
        let items_max = self.items_max.min(if quick { 1_000_000 } else { u64::MAX });
        let journal_gb = self.journal_gb.min(if quick { 0.25 } else { f64::INFINITY });
        let meter = Meter { runtime: Builder::new_current_thread().enable_all().build()?, rounds, length };
        let tables = vec![meter.items(items_max)?, meter.connections()?, meter.journal(journal_gb)?];
        Ok(Grown { rounds, seconds_a_round: length.as_secs_f64(), tables })
    }
}

struct Meter {
    runtime: Runtime,
    rounds: u32,
    length: Duration,
}

impl Meter {
    /// A directory and a server of its own for each.
    fn items(&self, most: u64) -> anyhow::Result<Table> {
        let steps = [1_000, 10_000, 100_000, 1_000_000].into_iter().filter(|items| *items < most);
        let mut points = Vec::new();
        for items in steps.chain([most]) {
            let dir = disk_dir()?;
            told(&format!("{items} items: made"), || {
                // It makes the users.
                drop(Ours::start(&self.runtime, dir.path(), 0)?);
                prepared::add_items(&self.runtime, &data_dir(dir.path()), items)
            })?;
            let start = || Ours::start_with(&self.runtime, dir.path(), items, &NO_UPKEEP);
            let mut ours = told("  loaded and counted", start)?;
            points.push(self.point(items as f64, &mut ours, CONNECTIONS)?);
            told("  counted again", || ours.check(&self.runtime))?;
        }
        Ok(Table { grows: "items", points })
    }

    fn connections(&self) -> anyhow::Result<Table> {
        let dir = disk_dir()?;
        let mut ours = Ours::start_with(&self.runtime, dir.path(), ITEMS, &NO_UPKEEP)?;
        let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let mut points = Vec::new();
        // One more is there, which counts what is left; a server takes 10,000.
        for connections in [1, 10, 100, 1_000, 9_999] {
            if u64::from(connections) + 100 > files {
                eprintln!("{connections} connections need more open files than {files}: skipped");
                continue;
            }
            eprintln!("{connections} connections");
            points.push(self.point(f64::from(connections), &mut ours, connections)?);
        }
        ours.check(&self.runtime)?;
        Ok(Table { grows: "connections", points })
    }

    /// Bulk purchases make the journal as long as it is to be, single ones are measured.
    fn journal(&self, most_gb: f64) -> anyhow::Result<Table> {
        let dir = disk_dir()?;
        let data = data_dir(dir.path());
        let mut ours = Ours::start_with(&self.runtime, dir.path(), ITEMS, &NO_UPKEEP)?;
        let mut points = Vec::new();
        for gb in [0.0, 0.1, 1.0].into_iter().filter(|gb| *gb < most_gb).chain([most_gb]) {
            let lacks_gb = gb - file_bytes(&data)? as f64 / 1e9;
            let free = statvfs(dir.path())?;
            let free_gb = (free.f_bavail * free.f_frsize) as f64 / 1e9;
            if lacks_gb + LEFT_GB > free_gb {
                eprintln!("a journal of {gb} GB and {LEFT_GB} GB to spare are more than is free: skipped");
                continue;
            }
            told(&format!("a journal of {gb} GB: written"), || self.lengthen(&mut ours, lacks_gb))?;
            let bytes = file_bytes(&data)?;
            points.push(self.point(bytes as f64 / 1e6, &mut ours, CONNECTIONS)?);
        }
        ours.check(&self.runtime)?;
        Ok(Table { grows: "journal MB", points })
    }

    fn lengthen(&self, ours: &mut Ours, gb: f64) -> anyhow::Result<()> {
        let batches = gb * 1e9 / BATCH_BYTES;
        if batches < 1.0 {
            return Ok(());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be above 1")]
        let until = Until::Count(batches as u64);
        let load = Load { in_flight: 4, batch: ROWS, ..Load::SINGLE };
        let address = ours.tcp().clone();
        self.runtime.block_on(ours.closed(&address, 1, load, until))?;
        Ok(())
    }

    fn point(&self, amount: f64, ours: &mut Ours, connections: u32) -> anyhow::Result<Point> {
        let (address, connections) = (ours.tcp().clone(), usize::try_from(connections)?);
        let plan = Plan { in_flight: 1, until: Until::Elapsed(self.length), rate_per_s: None };
        let (mut samples, mut server_us) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            let measured = self.runtime.block_on(async {
                let lanes = ours.lanes(&address, connections, Load::SINGLE).await?;
                let before = ours.processor_time()?;
                let measured = ours.buy(lanes, &plan).await?;
                let taken = ours.processor_time()?.saturating_sub(before);
                server_us.push(taken.as_secs_f64() * 1e6 / measured.purchases as f64);
                anyhow::Ok(measured)
            })?;
            samples.push(Sample::from(&measured));
        }
        let sample = median(&samples).unwrap_or_default();
        Ok(Point { amount, sample, server_us: middle(server_us).unwrap_or_default() })
    }
}

/// Does it and says how long it took.
fn told<T>(what: &str, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let began = Instant::now();
    let done = work()?;
    eprintln!("{what} in {:.1} s", began.elapsed().as_secs_f64());
    Ok(done)
}

/// Bytes of the journal's files, which are made in pieces of 64 MiB.
fn file_bytes(data: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for file in std::fs::read_dir(data.join("journal"))? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}

impl Point {
    /// Time between two purchases: what one costs server, generator and kernel together.
    fn cost_us(&self) -> f64 {
        1e6 / self.sample.per_s.max(f64::MIN_POSITIVE)
    }
}

impl Grown {
    /// Markdown tables.
    pub(crate) fn tables(&self) -> String {
        let mut text = String::new();
        for Table { grows, points } in &self.tables {
            let _ = writeln!(
                text,
                "| {grows} | purchases/s | µs a purchase | server's processor, µs a purchase | p50 | p99 |\n\
                 |---:|---:|---:|---:|---:|---:|"
            );
            for point in points {
                let us = |us: Option<f64>| us.map_or(String::new(), |us| format!("{us:.0} µs"));
                let _ = writeln!(
                    text,
                    "| {:.0} | {:.0} | {:.2} | {:.2} | {} | {} |",
                    point.amount,
                    point.sample.per_s,
                    point.cost_us(),
                    point.server_us,
                    us(point.sample.p50_us),
                    us(point.sample.p99_us)
                );
            }
            text.push('\n');
        }
        text
    }

    /// Costs over what grows.
    pub(crate) fn plot(&self) -> String {
        let figures = |point: &Point| (point.amount, [point.server_us, point.cost_us()]);
        let panel = |table: &Table| Panel {
            amounts: table.grows,
            points: table.points.iter().map(figures).collect(),
        };
        let panels: Vec<Panel> = self.tables.iter().map(panel).collect();
        let lines = ["processor time of the server", "wall time over purchases"];
        plot::panels("µs a purchase, logarithmic scales", lines, &panels)
    }
}
