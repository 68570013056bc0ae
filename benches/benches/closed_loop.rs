//! 50 connections, each buying one unit at a time and waiting for the answer; the file journal, durable before the
//! answer; server and load on one machine, each on one thread. The load is that of `inventory bench`.
//!
//! `cargo bench -p inventory-benches --bench closed_loop`
//!
//! The rate is criterion's `thrpt`. `spread` buys one of 10,000 items, `hot` always the same one. `bulk_4_in_flight` is one
//! connection with four batches of the largest size in flight; its rate counts rows.
#![allow(missing_docs, reason = "the macro of the bench harness makes a public function")]

use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use inventory_benches::server::{TestServer, disk_dir, runtime, session};
use inventory_benches::{AnyError, BULK_ROWS, or_exit};
use inventory_load::shop::{Buying, connect};
use inventory_load::workload::Skew;
use inventory_load::{Plan, Until};
use inventory_net::message::Token;
use inventory_net::transport::Address;
use inventory_store::{FileJournal, FileJournalOptions};

const ITEMS: u64 = 10_000;
const SINGLE: Loop = Loop { connections: 50, in_flight: 1, batch: 1 };
const BULK: Loop = Loop { connections: 1, in_flight: 4, batch: BULK_ROWS };

/// How the clients buy in a group of benches.
struct Loop {
    connections: usize,
    in_flight: u32,
    /// Rows of a request.
    batch: u64,
}

impl Loop {
    /// So many requests.
    async fn run(
        &self,
        address: &Address,
        session: &Token,
        skew: Skew,
        requests: u64,
    ) -> Result<Duration, AnyError> {
        let Self { connections, in_flight, batch } = *self;
        let buying = Buying { in_flight, items: ITEMS, skew, batch: u32::try_from(batch)?, reads_percent: 0 };
        let lanes = connect(address, session, connections, &buying).await?;
        let plan = Plan { in_flight, until: Until::Count(requests), rate_per_s: None };
        let measured = inventory_load::run(lanes, &plan, |_| {}).await?;
        let all_bought = measured.units == requests * batch;
        if all_bought { Ok(measured.elapsed) } else { Err("not everything was bought".into()) }
    }
}

fn run(c: &mut Criterion) -> Result<(), AnyError> {
    let dir = disk_dir()?;
    let journal = FileJournal::open(dir.path(), FileJournalOptions::default())?;
    let unix = format!("unix://{}", dir.path().join("bench.sock").display());
    let addresses = vec!["tcp://127.0.0.1:0".parse()?, unix.parse()?];
    let server = TestServer::start(Arc::new(journal), ITEMS, addresses)?;
    let runtime = runtime()?;
    for (name, shape) in [("closed_loop_50", SINGLE), ("bulk_4_in_flight", BULK)] {
        let mut group = c.benchmark_group(name);
        group
            .throughput(Throughput::Elements(shape.batch))
            .sample_size(10)
            .measurement_time(Duration::from_secs(8));
        for (name, address) in ["tcp", "unix"].into_iter().zip(server.addresses()) {
            let session = runtime.block_on(session(address))?;
            for (case, skew) in [("spread", Skew::Uniform), ("hot", Skew::Hot)] {
                group.bench_function(BenchmarkId::new(name, case), |b| {
                    b.iter_custom(|count| {
                        or_exit(runtime.block_on(shape.run(address, &session, skew, count)))
                    });
                });
            }
        }
        group.finish();
    }
    Ok(())
}

fn bench(c: &mut Criterion) {
    or_exit(run(c));
}

criterion_group!(benches, bench);
criterion_main!(benches);
