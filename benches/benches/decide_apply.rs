//! The core alone: one-line purchases against shops of three sizes, beside a bare hash-map decrement.
//!
//! `cargo bench -p inventory-benches --bench decide_apply`
//!
//! `decide_apply` is the state machine with undo log and outcome window; `engine` adds the encoding of the event, the
//! group and the reply. Neither writes anything.
#![allow(missing_docs, reason = "the macro of the bench harness makes a public function")]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use inventory_benches::{AnyError, BUYER, NOW, UNITS_PER_ITEM, engine, item_at, or_exit, order, settle, upc};
use inventory_core::machine::{Decision, apply, decide};
use inventory_core::{Command, Record, Time};

const SIZES: [u64; 4] = [1_000, 10_000, 100_000, 10_000_000];
/// Under `cargo test` each bench runs once, to show that it runs at all: the small shop will do.
const SIZES_SMOKE: [u64; 1] = [1_000];
/// Orders between two rounds of durability: about what gathers while a disk writes.
const GROUP: u64 = 64;

fn time_at(sequence: u64) -> Time {
    NOW.plus_micros(sequence * 10)
}

fn purchases(c: &mut Criterion) -> Result<(), AnyError> {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    for items in if measuring { &SIZES[..] } else { &SIZES_SMOKE[..] }.iter().copied() {
        let mut group = c.benchmark_group("purchase");
        group.throughput(Throughput::Elements(1)).sample_size(20).measurement_time(Duration::from_secs(3));

        let mut map: HashMap<u64, u64> = HashMap::new();
        for index in 0..items {
            map.insert(upc(index)?.get(), UNITS_PER_ITEM);
        }
        let codes: Vec<u64> =
            (0..1 << 16).map(|s| Ok(upc(item_at(s, items))?.get())).collect::<Result<_, AnyError>>()?;
        let mut sequence = 0usize;
        group.bench_function(BenchmarkId::new("bare_hash_map", items), |b| {
            b.iter(|| {
                sequence += 1;
                let code = codes.get(sequence % codes.len()).copied().unwrap_or_default();
                if let Some(units) = map.get_mut(&code).filter(|units| **units > 0) {
                    *units -= 1;
                }
            });
        });
        drop(map);

        let mut shop = engine(items)?;
        let mut sequence = 0;
        group.bench_function(BenchmarkId::new("engine", items), |b| {
            b.iter_custom(|count| {
                let orders: Vec<Command> = (sequence..sequence + count)
                    .filter_map(|s| Some(Command::Purchase(order(s, upc(item_at(s, items)).ok()?))))
                    .collect();
                let start = Instant::now();
                for command in orders {
                    sequence += 1;
                    shop.submit(time_at(sequence), sequence, BUYER, command.into());
                    if sequence % GROUP == 0 {
                        settle(&mut shop);
                    }
                }
                start.elapsed()
            });
        });
        settle(&mut shop);
        let mut state = shop.into_state();
        group.bench_function(BenchmarkId::new("decide_apply", items), |b| {
            b.iter_custom(|count| {
                let orders: Vec<Command> = (sequence..sequence + count)
                    .filter_map(|s| Some(Command::Purchase(order(s, upc(item_at(s, items)).ok()?))))
                    .collect();
                let start = Instant::now();
                for command in &orders {
                    sequence += 1;
                    let at = time_at(sequence);
                    if let Decision::Happens(event) = decide(&state, at, BUYER, command) {
                        black_box(apply(&mut state, &Record { at, event }));
                    }
                }
                start.elapsed()
            });
        });
        group.finish();
    }
    Ok(())
}

fn bench(c: &mut Criterion) {
    or_exit(purchases(c));
}

criterion_group!(benches, bench);
criterion_main!(benches);
