//! What the journal answers when the disk fails, and what is left of it when the power does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::io::ErrorKind;
use std::sync::Arc;

use common::{append, append_all, open, read_after, read_all, segment_name, tip};
use inventory_core::Version;
use inventory_core::journal::{Append, Group, Journal, JournalError, Snapshot, Tip};
use inventory_core::testing::Chain;
use inventory_store::disk::{Fault, FaultDisk, Survives};
use inventory_store::{FileJournal, FileJournalOptions};
use pollster::block_on;

#[test]
fn a_full_disk_is_a_definite_failure_and_a_retry_works_once_there_is_room() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    let mut groups = append_all(&journal, &mut chain, &[3_000]);
    disk.set_full(true);
    let (next, behind) = (chain.next(3_000), chain.next(100));
    for _ in 0..2 {
        let answer = append(&journal, next.clone());
        assert!(matches!(answer, Append::Failed(_)), "{answer:?}");
    }
    assert_eq!(append(&journal, behind.clone()), Append::Conflict);
    assert_eq!(read_all(&journal), groups);
    disk.set_full(false);
    groups.extend([next, behind]);
    for group in &groups[1..] {
        assert_eq!(append(&journal, group.clone()), Append::Done);
    }
    drop(journal);
    assert_eq!(read_all(&open(&disk).unwrap()), groups);
}

#[test]
fn a_disk_without_room_for_a_usual_segment_is_used_up_with_small_ones() {
    const MIB: usize = 1 << 20;
    let disk = FaultDisk::new();
    disk.set_capacity(14 * MIB);
    let options = FileJournalOptions { prepare_ahead: false, ..FileJournalOptions::default() };
    let journal = FileJournal::open_on(Arc::new(disk.clone()), options).unwrap();
    let mut chain = Chain::new(1);
    let mut groups = Vec::new();
    let refused = loop {
        let group = chain.next(MIB);
        match append(&journal, group.clone()) {
            Append::Done => groups.push(group),
            Append::Failed(_) => break group,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(groups.len(), 9, "three to a segment of 4 MiB, and three segments");
    let written = disk.operations();
    assert!(matches!(append(&journal, refused.clone()), Append::Failed(_)));
    assert!(disk.operations() - written < 10, "what is known to lack room is not filled again");
    disk.set_capacity(100 * MIB);
    let last = groups.last().unwrap();
    let end = Tip { version: last.last(), hash: last.hash() };
    append_all(&journal, &mut Chain::after(end, 2), &[MIB; 4]);
    drop(journal);
    assert_eq!(read_all(&open(&disk).unwrap())[..9], groups);
    let bytes = disk.bytes(&segment_name(5)).map(|bytes| bytes.len());
    assert_eq!(bytes, Some(64 * MIB), "with room again, segments have their usual size");
}

#[test]
fn a_group_still_fits_in_the_last_segment_of_a_full_disk() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    disk.set_full(true);
    append_all(&journal, &mut Chain::new(1), &[1_000, 1_000, 1_000]);
}

#[test]
fn a_write_that_fails_in_the_middle_is_taken_back() {
    for fault in
        [Fault::Error(ErrorKind::QuotaExceeded), Fault::Short(0), Fault::Short(40), Fault::Short(900)]
    {
        let disk = FaultDisk::new();
        let journal = open(&disk).unwrap();
        let mut chain = Chain::new(1);
        let mut groups = append_all(&journal, &mut chain, &[200]);
        let failing = chain.clone().next(1_000);
        disk.fail_at(disk.operations(), fault);
        let answer = append(&journal, failing);
        assert!(matches!(answer, Append::Failed(_)), "{fault:?}: {answer:?}");
        let crashed = disk.after_power_loss(Survives::Everything);
        assert_eq!(read_all(&open(&crashed).unwrap()), groups, "{fault:?}: after a crash nobody sees it");
        groups.extend(append_all(&journal, &mut Chain::after(chain.tip(), 2), &[150, 160]));
        let crashed = disk.after_power_loss(Survives::Nothing);
        assert_eq!(read_all(&open(&crashed).unwrap()), groups, "{fault:?}");
    }
}

#[test]
fn a_sync_that_fails_stops_the_journal_and_opening_it_again_finds_out() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    let groups = append_all(&journal, &mut chain, &[200]);
    // The write, then the sync.
    disk.fail_at(disk.operations() + 1, Fault::Error(ErrorKind::Other));
    let next = chain.next(300);
    let answer = append(&journal, next.clone());
    assert!(matches!(answer, Append::Unknown(_)), "{answer:?}");
    let operations = disk.operations();
    assert!(matches!(append(&journal, next), Append::Unknown(_)));
    assert!(matches!(block_on(journal.tip()), Err(JournalError::Poisoned(_))));
    assert!(matches!(block_on(journal.read(Version::ZERO, 1)), Err(JournalError::Poisoned(_))));
    assert!(matches!(block_on(journal.load_snapshot()), Err(JournalError::Poisoned(_))));
    drop(journal);
    assert_eq!(disk.operations(), operations, "a stopped journal writes nothing more");
    let crashed = disk.after_power_loss(Survives::Nothing);
    assert_eq!(read_all(&open(&crashed).unwrap()), groups);
}

#[test]
fn what_is_read_after_a_failure_and_a_restart_survives_a_power_loss() {
    for step in 0.. {
        let disk = FaultDisk::new();
        let journal = open(&disk).unwrap();
        let mut chain = Chain::new(1);
        append_all(&journal, &mut chain, &[3_500]);
        // This one needs a new segment, the next one does not; then the journal is closed, which leaves a mark.
        let failing = disk.operations() + step;
        disk.fail_at(failing, Fault::Error(ErrorKind::Other));
        for bytes in [3_000, 100] {
            let group = chain.clone().next(bytes);
            if append(&journal, group) == Append::Done {
                chain.next(bytes);
            }
        }
        drop(journal);
        // The process starts anew on a machine that was not: the kernel still has what it never wrote.
        let journal = open(&disk).or_else(|_| open(&disk)).unwrap();
        if disk.operations() <= failing {
            assert!(step > 15, "only {step} steps");
            return;
        }
        let mut found = read_all(&journal);
        let crashed = disk.after_power_loss(Survives::Nothing);
        assert_eq!(read_all(&open(&crashed).unwrap()), found, "step {step}");
        found.extend(append_all(&journal, &mut Chain::after(tip(&journal), 2), &[100]));
        let crashed = disk.after_power_loss(Survives::Nothing);
        assert_eq!(read_all(&open(&crashed).unwrap()), found, "step {step}");
    }
}

#[test]
fn a_write_that_fails_and_cannot_be_taken_back_stops_the_journal() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    append_all(&journal, &mut chain, &[200]);
    disk.fail_at(disk.operations(), Fault::Short(500));
    disk.fail_at(disk.operations() + 1, Fault::Error(ErrorKind::Other));
    assert!(matches!(append(&journal, chain.next(600)), Append::Unknown(_)));
    assert!(matches!(block_on(journal.tip()), Err(JournalError::Poisoned(_))));
}

#[test]
fn a_snapshot_that_cannot_be_saved_leaves_the_old_one() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    append_all(&journal, &mut chain, &[200]);
    let old = chain.snapshot();
    block_on(journal.save_snapshot(old.clone())).unwrap();
    append_all(&journal, &mut chain, &[200]);
    for step in 0..4 {
        disk.fail_at(disk.operations() + step, Fault::Error(ErrorKind::Other));
        assert!(matches!(
            block_on(journal.save_snapshot(chain.snapshot())),
            Err(JournalError::Unreachable(_))
        ));
        let crashed = disk.after_power_loss(Survives::Nothing);
        assert_eq!(block_on(open(&crashed).unwrap().load_snapshot()), Ok(Some(old.clone())));
    }
    block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    assert_eq!(block_on(journal.load_snapshot()), Ok(Some(chain.snapshot())));
}

#[test]
fn the_two_newest_snapshots_are_kept() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    for _ in 0..5 {
        append_all(&journal, &mut chain, &[200]);
        block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    }
    let kept: Vec<String> = disk.names().into_iter().filter(|name| name.starts_with("snapshots/")).collect();
    assert_eq!(kept, ["snapshots/00000000000000000004.snap", "snapshots/00000000000000000005.snap"]);
}

#[test]
fn a_segment_whose_discarding_is_not_durable_is_not_overwritten() {
    for operation in 0..30 {
        let disk = FaultDisk::new();
        let journal = open(&disk).unwrap();
        let mut chain = Chain::new(1);
        append_all(&journal, &mut chain, &[3_000; 3]);
        block_on(journal.save_snapshot(chain.snapshot())).unwrap();
        // A sync of the snapshots' directory, the new name, then the directory's sync.
        disk.fail_at(disk.operations() + 2, Fault::Error(ErrorKind::Other));
        assert!(block_on(journal.discard_through(chain.tip().version)).is_err());
        disk.fail_at(disk.operations() + operation, Fault::PowerLoss);
        let acknowledged = (0..3).take_while(|_| {
            let group = chain.clone().next(3_000);
            let done = append(&journal, group) == Append::Done;
            if done {
                chain.next(3_000);
            }
            done
        });
        let acknowledged = acknowledged.count();
        for survives in [Survives::Nothing, Survives::Everything, Survives::Some(1), Survives::Some(2)] {
            let context = format!("{survives:?} at operation {operation}, {acknowledged} acknowledged");
            let journal =
                open(&disk.after_power_loss(survives)).unwrap_or_else(|why| panic!("{context}: {why}"));
            assert!(tip(&journal).version >= chain.tip().version, "{context}");
        }
    }
}

#[test]
fn a_segment_that_could_not_be_discarded_stays_the_first() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    let groups = append_all(&journal, &mut chain, &[3_000; 4]);
    block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    // The snapshots' directory is synced, then the first segment gets another name.
    disk.fail_at(disk.operations() + 1, Fault::Error(ErrorKind::Other));
    assert!(block_on(journal.discard_through(chain.tip().version)).is_err());
    assert_eq!(read_all(&journal), groups);
    block_on(journal.discard_through(chain.tip().version)).unwrap();
    drop(journal);
    assert_eq!(tip(&open(&disk).unwrap()), chain.tip());
    assert!(disk.bytes(&segment_name(1)).is_none() && disk.bytes(&segment_name(2)).is_none());
}

/// What a run of the workload was told.
#[derive(Default)]
struct Told {
    acknowledged: Vec<Group>,
    /// Sent and not acknowledged: may be there, may be not.
    in_doubt: Option<Group>,
    snapshot: Option<Snapshot>,
    snapshot_in_doubt: Option<Snapshot>,
    discarded: bool,
}

/// Groups over several segments, a snapshot in the middle, a discard, opening again, more groups; until something fails.
fn workload(disk: &FaultDisk) -> Told {
    let mut told = Told::default();
    let mut chain = Chain::new(1);
    for round in 0..3 {
        let Ok(journal) = open(disk) else { return told };
        for bytes in [700, 2_500, 90, 1_800] {
            let group = chain.next(bytes);
            if append(&journal, group.clone()) != Append::Done {
                told.in_doubt = Some(group);
                return told;
            }
            told.acknowledged.push(group);
        }
        if round < 2 {
            let snapshot = chain.snapshot();
            if block_on(journal.save_snapshot(snapshot.clone())).is_err() {
                told.snapshot_in_doubt = Some(snapshot);
                return told;
            }
            told.snapshot = Some(snapshot);
        }
        if round == 1 {
            told.discarded = true;
            if block_on(journal.discard_through(chain.tip().version)).is_err() {
                return told;
            }
        }
    }
    told
}

/// Whatever was acknowledged is there, and nothing that was never sent.
fn check_recovered(disk: &FaultDisk, told: &Told, context: &str) {
    let journal = open(disk).unwrap_or_else(|why| panic!("{context}: {why}"));
    let snapshot = block_on(journal.load_snapshot()).unwrap();
    let known = [&told.snapshot, &told.snapshot_in_doubt];
    assert!(snapshot.is_none() || known.contains(&&snapshot), "{context}: another snapshot");
    assert!(told.snapshot.is_none() || snapshot.is_some(), "{context}: the snapshot is lost");
    let from = snapshot.as_ref().map_or(Tip::default(), Snapshot::tip).version;
    let mut wanted: Vec<Group> =
        told.acknowledged.iter().filter(|group| group.base() >= from).cloned().collect();
    let groups = read_after(&journal, from);
    if groups.len() > wanted.len() {
        wanted.extend(told.in_doubt.clone());
    }
    assert!(groups == wanted, "{context}: {} groups instead of {}", groups.len(), wanted.len());
    if !told.discarded {
        let all = read_all(&journal);
        assert!(all.starts_with(&told.acknowledged), "{context}: history is lost");
    }
    let mut chain = Chain::after(tip(&journal), 77);
    append_all(&journal, &mut chain, &[600, 2_500]);
    drop(journal);
    assert_eq!(tip(&open(disk).unwrap()), chain.tip(), "{context}: goes on after it");
}

#[test]
fn power_loss_at_any_operation_loses_nothing_acknowledged() {
    let whole = FaultDisk::new();
    let told = workload(&whole);
    assert_eq!(told.acknowledged.len(), 12, "without a fault all is acknowledged");
    let operations = whole.operations();
    assert!(operations >= 80, "{operations}");
    for operation in 0..operations {
        let (disk, told) = workload_with(operation, Fault::PowerLoss);
        let mut outcomes = vec![Survives::Nothing, Survives::Everything];
        outcomes.extend((0..6).map(|seed| Survives::Some(seed * 1_000 + operation)));
        for survives in outcomes {
            let found = disk.after_power_loss(survives);
            check_recovered(&found, &told, &format!("power loss at operation {operation}, {survives:?}"));
        }
    }
}

#[test]
fn an_error_at_any_operation_is_answered_and_loses_nothing_acknowledged() {
    let whole = FaultDisk::new();
    workload(&whole);
    for operation in 0..whole.operations() {
        let (disk, told) = workload_with(operation, Fault::Error(ErrorKind::Other));
        for survives in [Survives::Nothing, Survives::Everything, Survives::Some(operation)] {
            let found = disk.after_power_loss(survives);
            check_recovered(&found, &told, &format!("an error at operation {operation}, {survives:?}"));
        }
    }
}

#[test]
fn power_loss_while_recovering_from_a_power_loss_loses_nothing_either() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    let groups = append_all(&journal, &mut chain, &[300, 400]);
    disk.fail_at(disk.operations() + 1, Fault::PowerLoss);
    assert!(matches!(append(&journal, chain.next(3_000)), Append::Unknown(_)));
    drop(journal);
    for seed in 0..40 {
        let torn = disk.after_power_loss(Survives::Some(seed));
        for operation in 0..9 {
            let recovering = torn.after_power_loss(Survives::Nothing);
            recovering.fail_at(operation, Fault::PowerLoss);
            let _ = open(&recovering);
            let found = recovering.after_power_loss(Survives::Some(seed));
            let read = read_all(&open(&found).unwrap());
            assert_eq!(read[..2], groups, "seed {seed}, operation {operation}");
        }
    }
}

/// The workload on a disk of its own, on which this operation goes wrong.
fn workload_with(operation: u64, fault: Fault) -> (FaultDisk, Told) {
    let disk = FaultDisk::new();
    disk.fail_at(operation, fault);
    let told = workload(&disk);
    (disk, told)
}

/// Opens a disk again without loss of power, goes on, and only then loses the power: what was read at the opening
/// counts as much as what was acknowledged.
fn check_restarted(disk: &FaultDisk, told: &Told, context: &str) {
    check_recovered(&disk.after_kill(), told, context);
    let restarted = disk.after_kill();
    let journal = open(&restarted).unwrap_or_else(|why| panic!("{context}: {why}"));
    let from = block_on(journal.load_snapshot()).unwrap().map_or(Tip::default(), |found| found.tip()).version;
    let mut seen = read_after(&journal, from);
    // A record that fills a sector or two: one that shares no sector with the last of the process before.
    seen.extend(append_all(&journal, &mut Chain::after(tip(&journal), 88), &[1_200]));
    for survives in [Survives::Nothing, Survives::Some(1), Survives::Some(2)] {
        let found = restarted.after_power_loss(survives);
        let journal = open(&found).unwrap_or_else(|why| panic!("{context}, {survives:?}: {why}"));
        assert!(read_after(&journal, from) == seen, "{context}, {survives:?}: groups are lost");
    }
}

#[test]
fn power_loss_after_a_process_was_killed_at_any_operation_loses_nothing_that_the_next_one_saw() {
    let whole = FaultDisk::new();
    workload(&whole);
    for operation in 0..whole.operations() {
        let (disk, told) = workload_with(operation, Fault::PowerLoss);
        check_restarted(&disk, &told, &format!("killed at operation {operation}"));
    }
}

#[test]
fn power_loss_after_an_error_at_any_operation_and_a_restart_loses_nothing_that_the_next_process_saw() {
    let whole = FaultDisk::new();
    workload(&whole);
    for operation in 0..whole.operations() {
        let (disk, told) = workload_with(operation, Fault::Error(ErrorKind::Other));
        check_restarted(&disk, &told, &format!("an error at operation {operation}"));
    }
}
