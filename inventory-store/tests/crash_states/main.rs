//! What a loss of power can leave of the file journal, enumerated: a workload is recorded operation by operation, and
//! every state that the disk can be in after each of them is opened, read, continued and opened again.
//!
//! `recorder` writes down what the journal does to its disk, `leftover` says what a crash can leave of that, `workload` is
//! what the journal is asked for and what it answered, `verdict` holds a state against it.
//!
//! `INVENTORY_CRASH_STATES=all` (`scripts/crash-states`) takes larger sets and looks at crashes during recovery from every state.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;
mod leftover;
mod recorder;
mod verdict;
mod workload;

use std::collections::HashSet;
use std::sync::Arc;

use inventory_store::disk::FaultDisk;
use inventory_store::{FileJournal, FileJournalOptions};

use self::leftover::{Disk as Leftover, Image, Limits};
use self::recorder::{Operation, RecordingDisk};
use self::workload::Told;

/// Whether everything is asked for.
fn everything() -> bool {
    std::env::var("INVENTORY_CRASH_STATES").is_ok_and(|wanted| wanted == "all")
}

fn limits() -> Limits {
    if everything() { Limits { all_subsets: 12 } } else { Limits { all_subsets: 7 } }
}

/// How many states were looked at.
#[derive(Default)]
struct Count {
    operations: usize,
    /// Different states, or the same with other promises.
    states: usize,
    torn: usize,
    /// States after a crash during the recovery from one of those.
    during_recovery: usize,
}

/// Looks at every state that these operations can leave.
fn enumerate(start: &Image, operations: &[Operation], told: &Told, count: &mut Count) {
    let mut seen = HashSet::new();
    let mut disk = Leftover::new(start);
    for done in 0..=operations.len() {
        if let Some(operation) = done.checked_sub(1).map(|last| &operations[last]) {
            disk.apply(operation);
        }
        let promise = told.promise(done);
        for (what, image) in disk.states(limits()) {
            if !seen.insert((image.hash(), promise.clone())) {
                continue;
            }
            let context = || format!("after {done} of {} operations, left: {what}", operations.len());
            let torn = verdict::check(&image, told, &promise, &context);
            count.states += 1;
            count.torn += usize::from(torn);
            // Recovery writes most where something is torn.
            if everything() || (torn && count.torn % 64 == 1) {
                during_recovery(&image, told, &promise, count, &context());
            }
        }
    }
    count.operations += operations.len();
}

/// Opens a state, and looks at what a crash at any moment of that leaves.
fn during_recovery(
    start: &Image,
    told: &Told,
    promise: &workload::Promise,
    count: &mut Count,
    context: &str,
) {
    let disk = RecordingDisk::new(start.to_disk());
    drop(FileJournal::open_on(Arc::new(disk.clone()), common::small()).unwrap());
    let mut seen = HashSet::new();
    let mut left = Leftover::new(start);
    for (done, operation) in disk.operations().iter().enumerate() {
        left.apply(operation);
        for (what, image) in left.states(Limits { all_subsets: 4 }) {
            if seen.insert(image.hash()) {
                let context = || format!("{context}; then after {} of recovery, left: {what}", done + 1);
                verdict::check(&image, told, promise, &context);
                count.during_recovery += 1;
            }
        }
    }
}

fn recorded(options: FileJournalOptions) -> (Vec<Operation>, Told) {
    let disk = RecordingDisk::new(FaultDisk::new());
    let told = workload::run(&disk, options);
    (disk.operations(), told)
}

fn look_at_all(options: FileJournalOptions) {
    let (operations, told) = recorded(options);
    let mut count = Count::default();
    enumerate(&Image::default(), &operations, &told, &mut count);
    println!(
        "{} operations; {} states, {} of them torn; {} states after a crash during recovery",
        count.operations, count.states, count.torn, count.during_recovery
    );
    assert!(count.operations > 150 && count.torn > 1_000, "the workload has become too small");
}

#[test]
fn every_state_that_a_crash_can_leave_opens_with_all_that_was_acknowledged() {
    look_at_all(common::small());
}

#[test]
fn the_same_where_segments_are_prepared_in_another_thread() {
    look_at_all(FileJournalOptions { prepare_ahead: true, ..common::small() });
}

/// The enumeration finds a journal that syncs less than this one does.
fn without(left_out: impl Fn(&Operation) -> bool) {
    let (mut operations, told) = recorded(common::small());
    for operation in &mut operations {
        if left_out(operation) {
            // Keeps the places of all others.
            *operation = Operation::SyncDir { dir: "nowhere".to_owned() };
        }
    }
    enumerate(&Image::default(), &operations, &told, &mut Count::default());
}

#[test]
#[should_panic(expected = "operations, left:")]
fn a_journal_that_never_synced_its_files_would_be_found() {
    without(|operation| matches!(operation, Operation::SyncData { .. }));
}

#[test]
#[should_panic(expected = "operations, left:")]
fn a_journal_that_never_synced_its_segments_directory_would_be_found() {
    without(|operation| matches!(operation, Operation::SyncDir { dir } if dir == "journal"));
}

#[test]
#[should_panic(expected = "operations, left:")]
fn a_journal_that_never_synced_its_snapshots_directory_would_be_found() {
    without(|operation| matches!(operation, Operation::SyncDir { dir } if dir == "snapshots"));
}

#[test]
#[should_panic(expected = "operations, left:")]
fn a_journal_that_answered_before_its_last_operation_would_be_found() {
    let (operations, mut told) = recorded(common::small());
    told.answer_early();
    enumerate(&Image::default(), &operations, &told, &mut Count::default());
}
