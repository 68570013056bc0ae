//! Readers, the writer and those who tidy up do not disturb each other.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::thread;

use inventory_core::Version;
use inventory_core::journal::{Append, Group, Journal, JournalError};
use inventory_core::testing::Chain;
use inventory_store::{FileJournal, FileJournalOptions};
use pollster::block_on;

const GROUPS: usize = 300;
const GROUPS_BETWEEN_SNAPSHOTS: usize = 20;

/// Follows the journal to this version, page by page, and holds every group against what was written.
fn follow(journal: &FileJournal, wanted: &BTreeMap<Version, Group>, end: Version) {
    let mut next = Version::ZERO;
    while next < end {
        match block_on(journal.read(next, 4_000)) {
            Ok(page) => {
                for group in page {
                    assert_eq!(group.base(), next);
                    assert!(wanted[&next] == group, "another group after version {next}");
                    next = group.last();
                }
            }
            Err(JournalError::Discarded { start, .. }) => {
                assert!(start > next);
                next = start;
            }
            Err(why) => panic!("{why}"),
        }
    }
}

#[test]
fn reading_while_segments_are_written_discarded_and_used_again_gives_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let options = FileJournalOptions { segment_bytes: 8 << 10, prepare_ahead: true };
    let journal = FileJournal::open(dir.path(), options).unwrap();
    let mut chain = Chain::new(1);
    let written: Vec<_> = (0..GROUPS).map(|n| (chain.next(100 + n * 37 % 3_000), chain.snapshot())).collect();
    let wanted: BTreeMap<Version, Group> =
        written.iter().map(|(group, _)| (group.base(), group.clone())).collect();
    let end = chain.tip().version;
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| follow(&journal, &wanted, end));
        }
        for (at, (group, snapshot)) in written.iter().enumerate() {
            assert_eq!(block_on(journal.append(group.clone())), Append::Done);
            if at % GROUPS_BETWEEN_SNAPSHOTS == 0 {
                block_on(journal.save_snapshot(snapshot.clone())).unwrap();
                block_on(journal.discard_through(snapshot.tip().version)).unwrap();
            }
        }
    });
}

#[test]
fn dropping_the_journal_writes_every_append_that_was_made() {
    let dir = tempfile::tempdir().unwrap();
    let journal = common::open_dir(dir.path()).unwrap();
    let mut chain = Chain::new(1);
    let groups: Vec<Group> = (0..50).map(|_| chain.next(1_000)).collect();
    for group in &groups {
        // Its place is taken by the call; nobody waits for the answer.
        drop(journal.append(group.clone()));
    }
    drop(journal);
    assert_eq!(common::read_all(&common::open_dir(dir.path()).unwrap()), groups);
}
