//! One purchase from a client to a server and back, as a program sees it: from the call to the receipt. Journal in
//! memory; server and client on a thread each.
//!
//! `cargo bench -p inventory-benches --bench round_trip`
#![allow(missing_docs, reason = "the macro of the bench harness makes a public function")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use inventory_benches::server::{TestServer, client, disk_dir, one_unit, runtime};
use inventory_benches::{AnyError, or_exit};
use inventory_core::Order;
use inventory_core::journal::MemoryJournal;
use inventory_net::client::{Client, new_order_key};

const ITEMS: u64 = 1_000;

/// Buys one unit at a time, so many times.
async fn purchases(client: &Client, count: u64) -> Result<Duration, AnyError> {
    let start = Instant::now();
    for sequence in 0..count {
        let order = Order { key: new_order_key()?, lines: one_unit(sequence % ITEMS)?.into(), charge: None };
        client.purchase(&order).await?;
    }
    Ok(start.elapsed())
}

fn run(c: &mut Criterion) -> Result<(), AnyError> {
    let dir = disk_dir()?;
    let unix = format!("unix://{}", dir.path().join("bench.sock").display());
    let addresses = vec!["memory://round-trip".parse()?, unix.parse()?, "tcp://127.0.0.1:0".parse()?];
    let server = TestServer::start(Arc::new(MemoryJournal::new()), ITEMS, addresses)?;
    let runtime = runtime()?;
    let mut group = c.benchmark_group("round_trip");
    for address in server.addresses() {
        let client = runtime.block_on(client(address))?;
        group.bench_function(address.scheme(), |b| {
            b.iter_custom(|count| or_exit(runtime.block_on(purchases(&client, count))));
        });
    }
    group.finish();
    Ok(())
}

fn bench(c: &mut Criterion) {
    or_exit(run(c));
}

criterion_group!(benches, bench);
criterion_main!(benches);
