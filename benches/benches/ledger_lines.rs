//! Reading lines of credits and debits: bytes to names and amounts.
#![allow(missing_docs, reason = "the macro makes the main function")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use inventory_benches::ledger_lines;
use inventory_net::ledger_lines::LineReader;

const LINES: u64 = 10_000;

fn read(c: &mut Criterion) {
    let mut group = c.benchmark_group("ledger_lines");
    group.throughput(Throughput::Elements(LINES));
    let ascii = ledger_lines(LINES);
    let texts = [("ascii", ascii.clone()), ("unicode", ascii.replace("customer", "größer"))];
    for (name, text) in &texts {
        group.bench_function(*name, |bencher| {
            bencher.iter(|| {
                let mut sum = 0i64;
                LineReader::default().push(black_box(text.as_bytes()), |line| {
                    sum = sum.wrapping_add(line.map_or(0, |(_, minor)| minor));
                });
                sum
            });
        });
    }
    group.finish();
}

criterion_group!(benches, read);
criterion_main!(benches);
