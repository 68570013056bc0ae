//! 50 connections, each buying one unit at a time and waiting for the answer; the file journal, durable before the
//! answer; server and clients on one machine, each on one thread.
//!
//! `cargo bench -p inventory-benches --bench closed_loop`
//!
//! The rate is criterion's `thrpt`. `spread` buys one of 10,000 items, `hot` always the same one. `bulk_4_in_flight` is one
//! connection with four batches of the largest size in flight; its rate counts rows.
#![allow(missing_docs, reason = "the macro of the bench harness makes a public function")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::stream::{StreamExt, TryStreamExt};
use inventory_benches::server::{TestServer, client, disk_dir, one_unit, runtime};
use inventory_benches::{AnyError, BULK_ROWS, or_exit, upc};
use inventory_core::{BulkOrder, LocationId, Order, Upc};
use inventory_net::client::{Client, new_order_key};
use inventory_store::{FileJournal, FileJournalOptions};

const CONNECTIONS: u64 = 50;
const ITEMS: u64 = 10_000;
const BATCHES_IN_FLIGHT: usize = 4;

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

/// So many batches, four of them under way at any time, spread over the items or all of item 0.
async fn bulk_loop(client: &Client, count: u64, hot: bool) -> Result<Duration, AnyError> {
    let batch = |first: u64| -> Result<Vec<Upc>, AnyError> {
        let item = |row: u64| if hot { 0 } else { row.wrapping_mul(0x9e37_79b9_7f4a_7c15) % ITEMS };
        (first..first + BULK_ROWS).map(|row| upc(item(row))).collect()
    };
    // Made ahead: what is in a batch is the user's work, not the library's.
    let columns = (0..16).map(|place| batch(place * BULK_ROWS)).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    let buy = |upcs: Vec<Upc>| async move {
        let units = vec![1; upcs.len()];
        let order = BulkOrder::new(new_order_key()?, LocationId::MAIN, upcs, units)?;
        let receipt = client.purchase_bulk(&order).await?;
        if receipt.outcome.codes.are_all_accepted() {
            Ok(())
        } else {
            Err(AnyError::from("a row was refused"))
        }
    };
    let count = usize::try_from(count)?;
    futures_util::stream::iter(columns.iter().cycle().take(count).cloned().map(buy))
        .buffer_unordered(BATCHES_IN_FLIGHT)
        .try_for_each(|()| async { Ok(()) })
        .await?;
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

    let mut group = c.benchmark_group("bulk_4_in_flight");
    group
        .throughput(Throughput::Elements(BULK_ROWS))
        .sample_size(10)
        .measurement_time(Duration::from_secs(8));
    for (name, address) in ["tcp", "unix"].into_iter().zip(server.addresses()) {
        let client = runtime.block_on(client(address))?;
        for (case, hot) in [("spread", false), ("hot", true)] {
            group.bench_function(BenchmarkId::new(name, case), |b| {
                b.iter_custom(|count| or_exit(runtime.block_on(bulk_loop(&client, count, hot))));
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
