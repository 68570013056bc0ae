//! The file journal is held to every obligation of a journal, on a real disk and on the simulated one.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::cell::RefCell;
use std::path::PathBuf;
use std::sync::Arc;

use inventory_core::testing::conformance;
use inventory_store::disk::FaultDisk;
use inventory_store::{FileJournal, FileJournalOptions};
use pollster::block_on;

fn check_in_files(options: FileJournalOptions) {
    let parent = tempfile::tempdir().unwrap();
    let count = RefCell::new(0);
    let fresh = || {
        *count.borrow_mut() += 1;
        let dir: PathBuf = parent.path().join(count.borrow().to_string());
        async move || FileJournal::open(&dir, options).map_err(|why| why.to_string())
    };
    block_on(conformance::check(fresh)).unwrap();
}

#[test]
fn the_file_journal_conforms_with_small_segments() {
    check_in_files(FileJournalOptions { segment_bytes: 0, prepare_ahead: true });
}

#[test]
fn the_file_journal_conforms_with_segments_of_a_megabyte() {
    check_in_files(FileJournalOptions { segment_bytes: 1 << 20, prepare_ahead: true });
}

#[test]
fn the_file_journal_conforms_on_the_simulated_disk() {
    let fresh = || {
        let disk = FaultDisk::new();
        async move || {
            FileJournal::open_on(Arc::new(disk.clone()), common::small()).map_err(|why| why.to_string())
        }
    };
    block_on(conformance::check(fresh)).unwrap();
}
