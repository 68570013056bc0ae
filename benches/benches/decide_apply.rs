//! The core alone: one-line purchases and rows of bulk purchases against shops of several sizes, beside a bare hash-map
//! decrement.
//!
//! `cargo bench -p inventory-benches --bench decide_apply`
//!
//! `decide_apply` is the state machine with undo log and outcome window; `engine` adds the encoding of the event, the
//! group and the reply. Neither writes anything. Times of `bulk` are those of a batch; per row, they are what its throughput
//! says.
#![allow(missing_docs, reason = "the macro of the bench harness makes a public function")]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use inventory_benches::{
    AnyError, BULK_ROWS, BUYER, NOW, UNITS_PER_ITEM, bulk_order, engine, item_at, or_exit, order, settle, upc,
};
use inventory_core::limits::BULK_ROWS_MAX;
use inventory_core::machine::{Decision, apply, decide};
use inventory_core::state::State;
use inventory_core::{Command, Engine, Record, Time};

const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 10_000_000];
/// Under `cargo test` each bench runs once, to show that it runs at all: the small shop will do.
const SIZES_SMOKE: [u64; 1] = [1_000];
/// Orders between two rounds of durability: about what gathers while a disk writes.
const GROUP: u64 = 64;

fn time_at(sequence: u64) -> Time {
    NOW.plus_micros(sequence * 10)
}

fn sizes() -> &'static [u64] {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    if measuring { &SIZES } else { &SIZES_SMOKE }
}

/// The codes of a walk over the items.
fn walk(items: u64) -> Result<Vec<u64>, AnyError> {
    (0..1 << 16).map(|sequence| Ok(upc(item_at(sequence, items))?.get())).collect()
}

fn take(map: &mut HashMap<u64, u64>, code: u64) {
    if let Some(units) = map.get_mut(&code).filter(|units| **units > 0) {
        *units -= 1;
    }
}

/// Decides these orders, applies what happens, and says how long that took.
fn decide_and_apply(state: &mut State, sequence: &mut u64, orders: &[Command]) -> Duration {
    let start = Instant::now();
    for command in orders {
        *sequence += 1;
        let at = time_at(*sequence);
        if let Decision::Happens(event) = decide(state, at, BUYER, command) {
            black_box(apply(state, &Record { at, event }));
        }
    }
    start.elapsed()
}

fn bare_hash_map(c: &mut Criterion, items: u64) -> Result<(), AnyError> {
    let mut map: HashMap<u64, u64> = HashMap::new();
    for index in 0..items {
        map.insert(upc(index)?.get(), UNITS_PER_ITEM);
    }
    let codes = walk(items)?;
    let mut codes = codes.iter().copied().cycle();
    let mut group = group(c, "purchase", 1);
    group.bench_function(BenchmarkId::new("bare_hash_map", items), |b| {
        b.iter(|| codes.next().into_iter().for_each(|code| take(&mut map, code)));
    });
    group.finish();
    let mut group = group_of_batches(c);
    group.bench_function(BenchmarkId::new("bare_hash_map", items), |b| {
        b.iter(|| codes.by_ref().take(BULK_ROWS_MAX).for_each(|code| take(&mut map, code)));
    });
    group.finish();
    Ok(())
}

fn group<'a>(c: &'a mut Criterion, name: &str, elements: u64) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(elements)).sample_size(20);
    group.measurement_time(Duration::from_secs(3));
    group
}

fn group_of_batches(c: &mut Criterion) -> BenchmarkGroup<'_, WallTime> {
    group(c, "bulk", BULK_ROWS)
}

fn purchases(c: &mut Criterion) -> Result<(), AnyError> {
    for items in sizes().iter().copied() {
        bare_hash_map(c, items)?;
        let mut sequence = 0;
        let mut shop = engine(items)?;
        one_line(c, items, &mut shop, &mut sequence);
        settle(&mut shop);
        batches_in_engine(c, items, &mut shop, &mut sequence);
        let mut state = shop.into_state();
        let mut group = group(c, "purchase", 1);
        group.bench_function(BenchmarkId::new("decide_apply", items), |b| {
            b.iter_custom(|count| {
                let orders = orders(sequence, count, items);
                decide_and_apply(&mut state, &mut sequence, &orders)
            });
        });
        group.finish();
        let mut group = group_of_batches(c);
        group.bench_function(BenchmarkId::new("decide_apply", items), |b| {
            b.iter_custom(|count| {
                let batches = or_exit(batches(sequence, count, items));
                decide_and_apply(&mut state, &mut sequence, &batches)
            });
        });
        group.finish();
    }
    Ok(())
}

fn orders(first: u64, count: u64, items: u64) -> Vec<Command> {
    (first..first + count)
        .filter_map(|s| Some(Command::Purchase(order(s, upc(item_at(s, items)).ok()?))))
        .collect()
}

fn batches(first: u64, count: u64, items: u64) -> Result<Vec<Command>, AnyError> {
    (first..first + count)
        .map(|sequence| {
            let rows = sequence * BULK_ROWS..(sequence + 1) * BULK_ROWS;
            let upcs = rows.map(|row| upc(item_at(row, items))).collect::<Result<Vec<_>, _>>()?;
            Ok(Command::PurchaseBulk(bulk_order(sequence, upcs)?))
        })
        .collect()
}

fn one_line(c: &mut Criterion, items: u64, shop: &mut Engine<u64>, sequence: &mut u64) {
    let mut group = group(c, "purchase", 1);
    group.bench_function(BenchmarkId::new("engine", items), |b| {
        b.iter_custom(|count| {
            let orders = orders(*sequence, count, items);
            let start = Instant::now();
            for command in orders {
                *sequence += 1;
                shop.submit(time_at(*sequence), *sequence, BUYER, command.into());
                if sequence.is_multiple_of(GROUP) {
                    settle(shop);
                }
            }
            start.elapsed()
        });
    });
    group.finish();
}

/// Without what makes a batch durable: that is hashing its group, which `journal_append` measures.
fn batches_in_engine(c: &mut Criterion, items: u64, shop: &mut Engine<u64>, sequence: &mut u64) {
    let mut group = group_of_batches(c);
    group.bench_function(BenchmarkId::new("engine", items), |b| {
        b.iter_custom(|count| {
            let mut elapsed = Duration::ZERO;
            for command in or_exit(batches(*sequence, count, items)) {
                *sequence += 1;
                let start = Instant::now();
                shop.submit(time_at(*sequence), *sequence, BUYER, command.into());
                elapsed += start.elapsed();
                settle(shop);
            }
            elapsed
        });
    });
    group.finish();
}

fn bench(c: &mut Criterion) {
    or_exit(purchases(c));
}

criterion_group!(benches, bench);
criterion_main!(benches);
