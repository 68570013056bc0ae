//! One durable commit at a time: the file journal beside a bare write and sync of as many bytes.
//!
//! `raw` is what the disk gives: pwrite and fdatasync, one after the other, on a file that was filled with zeros. The
//! difference is what the journal costs: two hand-overs between threads, the checksum and one copy.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    reason = "a bench fails by panicking, and its functions are made by a macro"
)]

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use inventory_core::journal::{Append, Journal};
use inventory_core::testing::Chain;
use inventory_store::{FileJournal, FileJournalOptions};

/// As large as a segment, so that both go round files of one size.
const FILE_BYTES: u64 = 64 << 20;

fn journal_append(c: &mut Criterion) {
    // Beside the build's other files: a temporary directory may be in memory.
    let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let mut benches = c.benchmark_group("journal_append");
    for group_bytes in [1 << 10, 200 << 10] {
        benches.throughput(Throughput::Elements(1));
        benches.bench_function(BenchmarkId::new("raw", group_bytes), |bencher| {
            let file = zero_filled(&parent.path().join("raw"));
            let bytes = vec![7; group_bytes];
            let mut offset = 0;
            bencher.iter(|| {
                if offset + group_bytes as u64 > FILE_BYTES {
                    offset = 0;
                }
                file.write_all_at(&bytes, offset).unwrap();
                file.sync_data().unwrap();
                offset += group_bytes as u64;
            });
        });
        benches.bench_function(BenchmarkId::new("file", group_bytes), |bencher| {
            let dir = tempfile::tempdir_in(parent.path()).unwrap();
            let options = FileJournalOptions { segment_bytes: FILE_BYTES, ..FileJournalOptions::default() };
            let journal = FileJournal::open(dir.path(), options).unwrap();
            let mut chain = Chain::new(1);
            bencher.iter_batched(
                || chain.next(group_bytes),
                |group| assert_eq!(pollster::block_on(journal.append(group)), Append::Done),
                criterion::BatchSize::PerIteration,
            );
        });
    }
    benches.finish();
}

fn zero_filled(path: &Path) -> File {
    let file = File::create(path).unwrap();
    let piece = vec![0; 1 << 20];
    for offset in (0..FILE_BYTES).step_by(piece.len()) {
        file.write_all_at(&piece, offset).unwrap();
    }
    file.sync_all().unwrap();
    file
}

criterion_group!(benches, journal_append);
criterion_main!(benches);
