//! Finding the place of a time in a journal of several segments.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{append_all, open, read_all, small};
use inventory_core::journal::{Group, Journal, JournalError};
use inventory_core::testing::Chain;
use inventory_core::{Time, Version};
use inventory_store::disk::FaultDisk;
use inventory_store::{FileJournal, FileJournalOptions};
use pollster::block_on;
use std::sync::Arc;

fn seconds(count: u64) -> Time {
    Time::from_micros(count * 1_000_000)
}

/// A group at each full second.
fn append_seconds(
    journal: &FileJournal,
    chain: &mut Chain,
    from: u64,
    count: u64,
    bytes: usize,
) -> Vec<Group> {
    let mut groups = Vec::new();
    for second in from..from + count {
        chain.set_time(seconds(second));
        groups.extend(append_all(journal, chain, &[bytes]));
    }
    groups
}

/// How many groups before the one at this second would be read in vain.
fn in_vain(journal: &FileJournal, groups: &[Group], second: u64) -> usize {
    let place = block_on(journal.position(seconds(second))).unwrap();
    let first = groups.iter().position(|group| group.base() == place).unwrap();
    let wanted = groups.iter().position(|group| group.begins_at().unwrap() >= seconds(second)).unwrap();
    wanted.checked_sub(first).expect("nothing is missed")
}

#[test]
fn little_is_read_in_vain_wherever_the_time_lies_also_after_opening_again() {
    let disk = FaultDisk::new();
    let options = FileJournalOptions { segment_bytes: 512 << 10, ..small() };
    let open = || FileJournal::open_on(Arc::new(disk.clone()), options).unwrap();
    let mut journal = open();
    let mut chain = Chain::new(1);
    let groups = append_seconds(&journal, &mut chain, 1, 300, 8_000);
    for _ in 0..2 {
        for second in [1, 2, 64, 65, 66, 150, 299, 300] {
            // A place is known for every 64 KiB of a segment.
            let vain = in_vain(&journal, &groups, second);
            assert!(vain <= 10, "{vain} groups in front of second {second}");
        }
        let behind_all = block_on(journal.position(seconds(10_000))).unwrap();
        assert!(behind_all >= groups[groups.len() - 11].base());
        // With a snapshot at its end, opening looks at the last segment only: the others are looked at when asked for.
        block_on(journal.save_snapshot(chain.snapshot())).unwrap();
        drop(journal);
        journal = open();
    }
}

#[test]
fn a_new_segment_without_groups_is_no_hindrance() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    assert_eq!(block_on(journal.position(seconds(5))), Ok(Version::ZERO));
    let groups = append_seconds(&journal, &mut Chain::new(1), 1, 1, 3_900);
    assert_eq!(block_on(journal.position(seconds(5))), Ok(groups[0].base()));
    assert_eq!(read_all(&journal), groups);
}

#[test]
fn what_is_discarded_while_a_place_is_looked_for_is_told() {
    let disk = FaultDisk::new();
    let journal = Arc::new(open(&disk).unwrap());
    let mut chain = Chain::new(1);
    append_seconds(&journal, &mut chain, 1, 60, 3_000);
    block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| {
            for version in (0..60).step_by(2) {
                block_on(journal.discard_through(Version(version))).unwrap();
            }
        });
        for _ in 0..60 {
            match block_on(journal.position(seconds(30))) {
                Ok(place) => assert!(place < Version(30), "{place}"),
                Err(JournalError::Discarded { start, .. }) => assert!(start >= Version(29), "{start}"),
                Err(other) => panic!("{other}"),
            }
        }
    });
    assert!(matches!(block_on(journal.position(seconds(30))), Err(JournalError::Discarded { .. })));
}
