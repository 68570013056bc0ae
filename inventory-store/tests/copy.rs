//! Copying a data directory, also while a journal is open on it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use common::{append_all, inspected, open, open_dir, read_all, segment_name};
use inventory_core::journal::{Append, Journal};
use inventory_core::testing::Chain;
use inventory_store::disk::{Disk, DiskFile, Fault, FaultDisk, OsDisk, Survives};
use inventory_store::{CopyError, FileJournal, FileJournalOptions, OpenError, View};
use pollster::block_on;

/// A journal over several segments, with two snapshots, and what it is on.
fn several_segments() -> (FaultDisk, FileJournal, Chain) {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    for _ in 0..2 {
        append_all(&journal, &mut chain, &[3_000; 4]);
        block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    }
    append_all(&journal, &mut chain, &[3_000]);
    (disk, journal, chain)
}

fn view(disk: &FaultDisk) -> View {
    View::on(Arc::new(disk.clone()))
}

#[test]
fn a_copy_holds_every_group_and_snapshot_and_goes_on_where_it_was_made() {
    let (disk, journal, mut chain) = several_segments();
    let copy = FaultDisk::new();
    let copied = view(&disk).copy_to(&copy).unwrap();
    assert_eq!((copied.tip, copied.damaged_snapshots), (chain.tip(), Vec::new()));
    let bytes: usize = copy.names().iter().map(|name| copy.bytes(name).unwrap().len()).sum();
    assert_eq!(copied.bytes, bytes as u64);
    let journals_and_snapshots = |disk: &FaultDisk| -> Vec<String> {
        disk.names().into_iter().filter(|name| !name.ends_with("spare")).collect()
    };
    assert_eq!(journals_and_snapshots(&copy), journals_and_snapshots(&disk));
    let groups = read_all(&journal);
    // All of it is durable, names too.
    let copy = open(&copy.after_power_loss(Survives::Nothing)).unwrap();
    assert_eq!(read_all(&copy), groups);
    append_all(&copy, &mut chain, &[2_000; 3]);
}

#[test]
fn a_record_that_is_being_written_is_left_out() {
    let (disk, journal, chain) = several_segments();
    drop(journal);
    let last = inspected(&disk).segments.len() as u64;
    let used = disk.bytes(&segment_name(last)).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    let torn = vec![0xee; 40];
    let file = disk.open_to_write(&segment_name(last)).unwrap();
    file.write_at(&torn, (used as u64 + 1).next_multiple_of(8)).unwrap();
    assert!(inspected(&disk).torn_tail.is_some());
    let copy = FaultDisk::new();
    assert_eq!(view(&disk).copy_to(&copy).unwrap().tip, chain.tip());
    assert_eq!(inspected(&copy).torn_tail, None);
}

#[test]
fn copies_made_while_segments_change_hold_all_that_was_acknowledged_before() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let options = FileJournalOptions { segment_bytes: 128 << 10, prepare_ahead: true };
    let journal = FileJournal::open(&dir, options).unwrap();
    let (acknowledged, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let (mut count, mut segments) = (0, std::collections::BTreeSet::new());
    thread::scope(|threads| {
        threads.spawn(|| {
            let mut chain = Chain::new(1);
            for round in 0..600usize {
                let appended = block_on(journal.append(chain.next(100 + round % 50 * 97)));
                assert_eq!(appended, Append::Done);
                acknowledged.store(chain.tip().version.0, Ordering::Release);
            }
            done.store(true, Ordering::Release);
        });
        while !done.load(Ordering::Acquire) || count == 0 {
            let before = acknowledged.load(Ordering::Acquire);
            let to = parent.path().join(format!("copy-{count}"));
            let copied = View::new(&dir).copy_to(&OsDisk::create(&to).unwrap()).unwrap();
            assert!(copied.tip.version.0 >= before, "{copied:?} lacks {before}");
            let report = inventory_store::inspect(&to).unwrap();
            assert_eq!((report.tip, report.damage, report.torn_tail), (copied.tip, None, None));
            segments.insert(report.segments.len());
            count += 1;
        }
    });
    assert!(segments.len() > 1, "{count} copies of {segments:?} segments saw no change of segment");
    drop(journal);
    let last = View::new(&dir).copy_to(&OsDisk::create(&parent.path().join("last")).unwrap()).unwrap();
    assert_eq!(last.tip.version.0, acknowledged.into_inner());
    let copy = open_dir(&parent.path().join("last")).unwrap();
    assert_eq!(read_all(&copy).len(), 600);
}

#[test]
fn no_operation_of_the_destination_may_fail_unnoticed() {
    let (disk, _journal, _) = several_segments();
    let operations = {
        let copy = FaultDisk::new();
        view(&disk).copy_to(&copy).unwrap();
        copy.operations()
    };
    assert!(operations > 10);
    for at in 0..operations {
        for fault in [Fault::Error(io::ErrorKind::Other), Fault::Short(7), Fault::PowerLoss] {
            let copy = FaultDisk::new();
            copy.fail_at(at, fault);
            let copied = view(&disk).copy_to(&copy);
            assert!(matches!(copied, Err(CopyError::Destination { .. })), "{at} {fault:?}: {copied:?}");
        }
    }
}

#[test]
fn a_full_destination_is_told_and_the_source_goes_on() {
    let (disk, journal, mut chain) = several_segments();
    let copy = FaultDisk::new();
    copy.set_capacity(20_000);
    let told = view(&disk).copy_to(&copy).unwrap_err();
    assert!(matches!(told, CopyError::Destination { .. }), "{told}");
    append_all(&journal, &mut chain, &[500]);
}

#[test]
fn damage_at_the_end_of_the_source_is_told() {
    let (disk, journal, mut chain) = several_segments();
    append_all(&journal, &mut chain, &[200; 2]);
    let last = inspected(&disk).segments.len() as u64;
    let file = disk.open_to_write(&segment_name(last)).unwrap();
    file.write_at(&[0xff], 4_096 + 8).unwrap();
    let told = view(&disk).copy_to(&FaultDisk::new()).unwrap_err();
    assert!(matches!(told, CopyError::Source(OpenError::Damaged(_))), "{told}");
}

#[test]
fn a_damaged_snapshot_is_left_out_and_named() {
    let (disk, journal, chain) = several_segments();
    let name = disk.names().into_iter().rfind(|name| name.starts_with("snapshots/")).unwrap();
    disk.open_to_write(&name).unwrap().write_at(&[0xff], 60).unwrap();
    let copy = FaultDisk::new();
    let copied = view(&disk).copy_to(&copy).unwrap();
    assert!(copied.damaged_snapshots[0].path.ends_with(&name));
    assert_eq!((copied.tip, copy.bytes(&name)), (chain.tip(), None));
    assert_eq!(read_all(&open(&copy).unwrap()), read_all(&journal));
}

type Meanwhile = Box<dyn FnMut() + Send>;

/// A disk on which something happens whenever a segment is opened after its header was looked at.
struct Meddled {
    disk: FaultDisk,
    segment: String,
    openings: AtomicU64,
    meanwhile: Mutex<Meanwhile>,
}

impl std::fmt::Debug for Meddled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meddled").finish_non_exhaustive()
    }
}

impl Disk for Meddled {
    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.make_dir(dir)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn open_to_read(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        if name == self.segment && self.openings.fetch_add(1, Ordering::Relaxed) % 2 == 1 {
            (self.meanwhile.lock().unwrap())();
        }
        self.disk.open_to_read(name)
    }

    fn open_to_write(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open_to_write(name)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.create(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
}

#[test]
fn a_copy_from_which_segments_are_discarded_is_begun_anew() {
    let (disk, journal, chain) = several_segments();
    let journal = Arc::new(journal);
    let meanwhile: Meanwhile = Box::new({
        let journal = Arc::clone(&journal);
        move || block_on(journal.discard_through(inventory_core::Version(4))).unwrap()
    });
    let openings = AtomicU64::new(0);
    let source =
        Meddled { disk: disk.clone(), segment: segment_name(1), openings, meanwhile: Mutex::new(meanwhile) };
    let copy = FaultDisk::new();
    let copied = View::on(Arc::new(source)).copy_to(&copy).unwrap();
    assert!(disk.bytes(&segment_name(1)).is_none(), "a segment was discarded while it was copied");
    assert_eq!((copied.tip, inspected(&copy).damage), (chain.tip(), None));
    assert_eq!(copy.bytes(&segment_name(1)), None, "the first attempt left nothing");
}
