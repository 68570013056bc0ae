//! 50 connections, each buying one unit at a time and waiting for the answer; the file journal, durable before the
//! answer; server and clients on one machine, each on one thread.
//!
//! `cargo bench -p inventory-benches --bench closed_loop`
//!
//! The rate is criterion's `thrpt`. `spread` buys one of 10,000 items, `hot` always the same one.
#![allow(missing_docs, reason = "the macro of the bench harness makes a public function")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use inventory_benches::server::{TestServer, client, disk_dir, one_unit, runtime};
use inventory_benches::{AnyError, or_exit};
use inventory_core::Order;
use inventory_net::client::{Client, new_order_key};
use inventory_store::{FileJournal, FileJournalOptions};

const CONNECTIONS: u64 = 50;
const ITEMS: u64 = 10_000;

/// `count` purchases, one after the other, of items spread from `seed` on, or always of item 0.
async fn purchases(client: Client, count: u64, seed: u64, hot: bool) -> Result<(), AnyError> {
    for sequence in 0..count {
        let item = if hot { 0 } else { (seed + sequence).wrapping_mul(0x9e37_79b9_7f4a_7c15) % ITEMS };
        let order = Order { key: new_order_key()?, lines: one_unit(item)?.into() };
        client.purchase(&order).await?;
    }
    Ok(())
}

async fn closed_loop(clients: &[Client], count: u64, hot: bool) -> Result<Duration, AnyError> {
    let start = Instant::now();
    let each = count.div_ceil(CONNECTIONS);
    let tasks: Vec<_> = (0..)
        .zip(clients)
        .map(|(place, client)| tokio::spawn(purchases(client.clone(), each, place * 1_000_003, hot)))
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(start.elapsed())
}

fn run(c: &mut Criterion) -> Result<(), AnyError> {
    let dir = disk_dir()?;
    let journal = FileJournal::open(dir.path(), FileJournalOptions::default())?;
    let unix = format!("unix://{}", dir.path().join("bench.sock").display());
    let addresses = vec!["tcp://127.0.0.1:0".parse()?, unix.parse()?];
    let server = TestServer::start(Arc::new(journal), ITEMS, addresses)?;
    let runtime = runtime()?;
    let mut group = c.benchmark_group("closed_loop_50");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(8));
    for (name, address) in ["tcp", "unix"].into_iter().zip(server.addresses()) {
        let clients = runtime.block_on(async {
            let mut clients = Vec::new();
            for _ in 0..CONNECTIONS {
                clients.push(client(address).await?);
            }
            Ok::<_, AnyError>(clients)
        })?;
        for (case, hot) in [("spread", false), ("hot", true)] {
            group.bench_function(BenchmarkId::new(name, case), |b| {
                b.iter_custom(|count| or_exit(runtime.block_on(closed_loop(&clients, count, hot))));
            });
        }
    }
    group.finish();
    Ok(())
}

fn bench(c: &mut Criterion) {
    or_exit(run(c));
}

criterion_group!(benches, bench);
criterion_main!(benches);
