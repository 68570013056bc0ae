//! What is measured: a name, what it stands for, and how it is run.

use std::rc::Rc;

use anyhow::Context as _;
use inventory_load::workload::Skew;
use inventory_load::{Plan, Until};

use crate::peer::disk::{self, How};
use crate::peer::ours::Load;
use crate::peer::{echo, postgres, receive_and_sync, tigerbeetle};
use crate::report::Figures;
use crate::rig::Rig;
use crate::sample::Sample;

/// One thing to measure.
pub(crate) struct Case {
    /// By which ratios refer to it.
    pub(crate) name: &'static str,
    /// What it is, and what it does otherwise than the others.
    pub(crate) note: &'static str,
    /// Measures it once. The figures so far are there for what depends on them.
    pub(crate) run: fn(&mut Rig, &Figures) -> anyhow::Result<Sample>,
}

const OURS: &str =
    "durable before the answer; exactly once by order key; a receipt with version, time and total, kept";
const BULK: &str = "ours: 1 connection, 4 in flight, 8,192 rows each";
const OURS_BULK: &str = "durable before the answer; exactly once by one key a batch, kept; an outcome for each row; latency of a batch";
const REDIS: &str =
    "appendfsync always; exactly once by a script that keeps the order's id; no receipt, no user, no money";
const POSTGRES: &str =
    "fsync and synchronous_commit on; exactly once by the primary key of orders; an outcome, no receipt";
const SQLITE: &str = "WAL, synchronous FULL; in this process: no server, no wire, one writer; exactly once by the \
                      primary key of orders; how many rows were accepted, no outcome for each";

/// Every case, in the order of a round: what a ratio compares stands close together.
pub(crate) fn all() -> Vec<Case> {
    let case = |name, note, run| Case { name, note, run };
    vec![
        case("ours: 50 connections, spread, tcp", OURS, |rig, _| ours(rig, 50, Load::SINGLE, false)),
        case("redis: 50 connections, spread", REDIS, |rig, _| redis(rig, Skew::Uniform, 50, 1)),
        case("echo: 50 connections, tcp", "64 bytes there and back; nothing else", |rig, _| {
            echo(rig, 1, false)
        }),
        case("ours: 50 connections, hot item, tcp", OURS, |rig, _| {
            ours(rig, 50, Load { skew: Skew::Hot, ..Load::SINGLE }, false)
        }),
        case("redis: 50 connections, hot item", REDIS, |rig, _| redis(rig, Skew::Hot, 50, 1)),
        case("redis-benchmark: hot item", "the same script by Redis's own generator", |rig, figures| {
            let requests = figures.per_s("redis: 50 connections, hot item").unwrap_or(30_000.0);
            let requests = requests * rig.length.as_secs_f64();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of requests"
            )]
            let requests = requests as u64;
            let runtime = Rc::clone(&rig.runtime);
            rig.redis()?.own_benchmark(&runtime, requests)
        }),
        case("ours: 50 connections, spread, unix", OURS, |rig, _| ours(rig, 50, Load::SINGLE, true)),
        case("echo: 50 connections, unix", "64 bytes there and back; nothing else", |rig, _| {
            echo(rig, 1, true)
        }),
        case("ours: 8 connections with 100 in flight", OURS, |rig, _| {
            ours(rig, 8, Load { in_flight: 100, ..Load::SINGLE }, false)
        }),
        case("redis: 50 connections with 100 in flight", REDIS, |rig, _| redis(rig, Skew::Uniform, 50, 100)),
        case("echo: 50 connections with 100 in flight, tcp", "many messages in one system call", |rig, _| {
            echo(rig, 100, false)
        }),
        case(
            "echo: 50 connections with 100 in flight, unix",
            "many messages in one system call",
            |rig, _| echo(rig, 100, true),
        ),
        case("postgres: 50 connections, spread", POSTGRES, |rig, _| postgres(rig, Skew::Uniform, 50, 1)),
        case("pgbench: spread", "the same function by PostgreSQL's own generator", |rig, _| {
            pgbench(rig, false)
        }),
        case("postgres: 50 connections, hot item", POSTGRES, |rig, _| postgres(rig, Skew::Hot, 50, 1)),
        case("pgbench: hot item", "the same function by PostgreSQL's own generator", |rig, _| {
            pgbench(rig, true)
        }),
        case(
            "postgres: 1,000 rows a statement",
            "one connection; one sum an item; all rows or none, no outcome for each",
            |rig, _| postgres(rig, Skew::Uniform, 1, postgres::ROWS),
        ),
        case("sqlite: one a transaction", SQLITE, |rig, _| sqlite(rig, 1)),
        case("sqlite: 8,192 rows a transaction", SQLITE, |rig, _| sqlite(rig, receive_and_sync::ROWS)),
        case(
            "tigerbeetle: its own benchmark",
            "transfers between two accounts in batches of 8,190, by its own generator on one replica",
            |rig, _| tigerbeetle::benchmark(rig.dir.path(), tigerbeetle::FULL),
        ),
        case(
            "tigerbeetle: 32 clients, one a request",
            "transfers between two accounts, one replica; its own generator, whose latencies are whole milliseconds",
            |rig, _| tigerbeetle::benchmark(rig.dir.path(), tigerbeetle::SINGLE),
        ),
        case(BULK, OURS_BULK, |rig, _| {
            let batch = u32::try_from(receive_and_sync::ROWS)?;
            ours(rig, 1, Load { in_flight: 4, batch, ..Load::SINGLE }, false)
        }),
        case(
            "limit: a batch received, written, synced",
            "98,368 bytes over loopback, 4 in flight; counted as 8,192 rows",
            |rig, _| receive_and_sync(rig),
        ),
        case("disk: 4 KiB, fdatasync", "one durable write after the other", |rig, _| {
            disk::writes(rig.dir.path(), 4 << 10, How::Fdatasync, rig.length / 2)
        }),
        case(
            "ours: half of the load of 50 connections",
            "an open loop; latency from the intended start",
            half_load,
        ),
        case("disk: 128 KiB, fdatasync", "one durable write after the other", |rig, _| {
            disk::writes(rig.dir.path(), 128 << 10, How::Fdatasync, rig.length / 2)
        }),
        case("disk: 4 KiB, O_DIRECT and O_DSYNC", "one durable write after the other", |rig, _| {
            disk::writes(rig.dir.path(), 4 << 10, How::Direct, rig.length / 2)
        }),
        case("disk: 128 KiB, O_DIRECT and O_DSYNC", "one durable write after the other", |rig, _| {
            disk::writes(rig.dir.path(), 128 << 10, How::Direct, rig.length / 2)
        }),
    ]
}

fn ours(rig: &mut Rig, connections: usize, load: Load, unix: bool) -> anyhow::Result<Sample> {
    let (runtime, until) = (Rc::clone(&rig.runtime), Until::Elapsed(rig.length));
    let ours = rig.ours()?;
    let address = if unix { ours.unix() } else { ours.tcp() }.clone();
    let measured = runtime.block_on(ours.closed(&address, connections, load, until))?;
    Ok(Sample::from(&measured))
}

fn half_load(rig: &mut Rig, figures: &Figures) -> anyhow::Result<Sample> {
    let full =
        figures.per_s("ours: 50 connections, spread, tcp").context("the whole load was not measured")?;
    let (runtime, until) = (Rc::clone(&rig.runtime), Until::Elapsed(rig.length));
    let ours = rig.ours()?;
    let address = ours.tcp().clone();
    // Room for what comes while a write takes long: a rate must not become a closed loop.
    let load = Load { in_flight: 100, ..Load::SINGLE };
    let plan = Plan { in_flight: load.in_flight, until, rate_per_s: Some(full / 2.0) };
    let measured = runtime.block_on(async {
        let lanes = ours.lanes(&address, 50, load).await?;
        ours.buy(lanes, &plan).await
    })?;
    Ok(Sample::from(&measured))
}

fn redis(rig: &mut Rig, skew: Skew, connections: usize, in_flight: u32) -> anyhow::Result<Sample> {
    let runtime = Rc::clone(&rig.runtime);
    let redis = rig.redis()?;
    let lanes = runtime.block_on(redis.lanes(connections, skew))?;
    let measured = rig.closed(lanes, in_flight)?;
    rig.redis()?.sold += measured.units;
    Ok(Sample::from(&measured))
}

fn postgres(rig: &mut Rig, skew: Skew, connections: usize, rows: u32) -> anyhow::Result<Sample> {
    let runtime = Rc::clone(&rig.runtime);
    let postgres = rig.postgres()?;
    let lanes = runtime.block_on(postgres.lanes(connections, skew, rows))?;
    let measured = rig.closed(lanes, 1)?;
    rig.postgres()?.sold += measured.units;
    Ok(Sample::from(&measured))
}

fn pgbench(rig: &mut Rig, hot: bool) -> anyhow::Result<Sample> {
    // It takes whole seconds.
    let seconds = rig.length.as_secs().max(1);
    rig.postgres()?.own_benchmark(seconds, hot)
}

fn sqlite(rig: &mut Rig, rows: u64) -> anyhow::Result<Sample> {
    let length = rig.length;
    rig.sqlite()?.buy(rows, length)
}

fn echo(rig: &mut Rig, in_flight: u32, unix: bool) -> anyhow::Result<Sample> {
    let runtime = Rc::clone(&rig.runtime);
    let echo = rig.echo()?;
    let address = if unix { echo.unix() } else { echo.tcp() };
    let lanes = runtime.block_on(echo::lanes(address, 50))?;
    Ok(Sample::from(&rig.closed(lanes, in_flight)?))
}

fn receive_and_sync(rig: &mut Rig) -> anyhow::Result<Sample> {
    let lane = rig.runtime.block_on(receive_and_sync::lane(rig.dir.path()))?;
    Ok(Sample::from(&rig.closed(vec![lane], 4)?))
}
