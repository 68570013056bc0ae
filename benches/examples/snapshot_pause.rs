//! How long purchases take while snapshots are made, beside how long they take while none is.
//!
//! `cargo run -p inventory-benches --release --example snapshot_pause [SECONDS]`
//!
//! 50 buyers, each buying one unit at a time and waiting until it is durable, in the process of the service; the file journal.
//! A quiet round and one in which a snapshot is begun as soon as the one before it is saved, in turn, so that whatever
//! else the machine does meets both.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use inventory_benches::server::{disk_dir, fill, one_unit, runtime};
use inventory_benches::{AnyError, BUYER, or_exit};
use inventory_core::{Answer, Command, Order, Reply};
use inventory_net::client::new_order_key;
use inventory_net::service::{Service, ServiceOptions};
use inventory_store::{FileJournal, FileJournalOptions, Retain, Upkeep};

const BUYERS: u64 = 50;
const ITEMS: u64 = 20_000;
const ROUNDS: u32 = 3;

/// One purchase after the other until the time is over; gives how long each took.
async fn buy(service: Service, buyer: u64, until: Instant) -> Result<Vec<Duration>, AnyError> {
    let mut took = Vec::new();
    for sequence in buyer.. {
        let item = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) % ITEMS;
        let order = Order { key: new_order_key()?, lines: one_unit(item)?.into(), charge: None };
        let asked = Instant::now();
        match service.call(BUYER, Command::Purchase(order)).await {
            Reply::Answered(Answer::Receipt(_)) => took.push(asked.elapsed()),
            other => return Err(format!("no receipt: {other:?}").into()),
        }
        if asked >= until {
            break;
        }
    }
    Ok(took)
}

async fn round(service: &Service, seconds: u64) -> Result<Vec<Duration>, AnyError> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let buyers: Vec<_> =
        (0..BUYERS).map(|buyer| tokio::spawn(buy(service.clone(), buyer * 1_000_003, until))).collect();
    let mut took = Vec::new();
    for buyer in buyers {
        took.extend(buyer.await??);
    }
    Ok(took)
}

async fn open(dir: &Path, snapshot_every_bytes: u64) -> Result<Service, AnyError> {
    let journal = FileJournal::open(dir, FileJournalOptions::default())?;
    journal.keep_up(Upkeep { snapshot_every_bytes, retain: Retain::Everything })?;
    let service = Service::open(Arc::new(journal), ServiceOptions::default()).await?;
    fill(&service, ITEMS).await?;
    Ok(service)
}

fn show(name: &str, mut took: Vec<Duration>, seconds: u64) {
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 1_000).copied().unwrap_or_default();
    let max = took.last().copied().unwrap_or_default();
    let rate = took.len() as u64 / seconds.max(1);
    println!(
        "{name:<10} {rate:>8}/s  p50 {:>10.1?}  p99 {:>10.1?}  p99.9 {:>10.1?}  max {max:>10.1?}",
        at(500),
        at(990),
        at(999)
    );
}

async fn run(seconds: u64) -> Result<(), AnyError> {
    let (quiet_dir, busy_dir) = (disk_dir()?, disk_dir()?);
    let quiet = open(quiet_dir.path(), 0).await?;
    let busy = open(busy_dir.path(), 1).await?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.extend(round(&quiet, seconds).await?);
        with.extend(round(&busy, seconds).await?);
    }
    let total = seconds * u64::from(ROUNDS);
    show("quiet", without, total);
    show("snapshots", with, total);
    let saved = std::fs::read_dir(busy_dir.path().join("snapshots"))?.count();
    if saved < 2 {
        return Err("no snapshot was saved in that time: give more seconds".into());
    }
    quiet.close().await?;
    Ok(busy.close().await?)
}

fn main() {
    let seconds = std::env::args().nth(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(10);
    or_exit(runtime().and_then(|runtime| runtime.block_on(run(seconds))));
}
