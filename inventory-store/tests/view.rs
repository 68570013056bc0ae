//! Looking at a data directory from outside, also while a journal is open on it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use common::{append, append_all, open, open_dir, read_all, segment_name};
use inventory_core::Version;
use inventory_core::journal::{Append, Group, Journal, Tip};
use inventory_core::testing::Chain;
use inventory_store::disk::{Disk, FaultDisk};
use inventory_store::{FileJournal, FileJournalOptions, OpenError, View};
use pollster::block_on;

fn groups_after(view: &View, after: Version) -> Vec<Group> {
    let mut groups = Vec::new();
    let report = view
        .read(after, |group| {
            groups.push(group.clone());
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(report.damage, None);
    groups
}

#[test]
fn groups_are_seen_from_any_version_on_without_the_lock() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let journal = open_dir(&dir).unwrap();
    append_all(&journal, &mut Chain::new(1), &[3_000; 7]);
    let view = View::new(&dir);
    let all = read_all(&journal);
    assert_eq!(groups_after(&view, Version::ZERO), all);
    for (at, group) in all.iter().enumerate() {
        assert_eq!(groups_after(&view, group.last()), all[at + 1..]);
    }
}

#[test]
fn a_visitor_may_stop_early() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let journal = open_dir(&dir).unwrap();
    append_all(&journal, &mut Chain::new(1), &[3_000; 4]);
    let mut seen = 0;
    let stop_at_second = |_: &Group| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let report = View::new(&dir).read(Version::ZERO, stop_at_second).unwrap();
    assert_eq!((seen, report.tip.version, report.damage), (2, Version(2), None));
}

#[test]
fn a_directory_in_use_is_seen_up_to_what_was_acknowledged_or_further_and_never_as_damaged() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    let options = FileJournalOptions { segment_bytes: 256 << 10, prepare_ahead: true };
    let journal = FileJournal::open(&dir, options).unwrap();
    let (acknowledged, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let view = View::new(&dir);
    let looks = thread::scope(|threads| {
        threads.spawn(|| {
            let mut chain = Chain::new(1);
            for round in 0..600usize {
                // Several at once share a record.
                let groups: Vec<Group> =
                    (0..3).map(|n| chain.next(100 + (round * 3 + n) % 50 * 97)).collect();
                let appends: Vec<_> = groups.iter().map(|group| journal.append(group.clone())).collect();
                assert!(appends.into_iter().all(|append| block_on(append) == Append::Done));
                acknowledged.store(chain.tip().version.0, Ordering::Release);
            }
            done.store(true, Ordering::Release);
        });
        let mut looks = 0;
        while !done.load(Ordering::Acquire) {
            let before = acknowledged.load(Ordering::Acquire);
            let report = view.read(Version(before), |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(report.damage, None);
            assert!(report.tip.version.0 >= before, "{report:?}");
            looks += 1;
        }
        looks
    });
    assert!(looks > 0);
}

/// Shows the journal's last segment as it was a moment ago, for its first so many readings.
#[derive(Debug)]
struct Growing {
    disk: FaultDisk,
    stale: Vec<u8>,
    name: String,
    readings: Arc<AtomicU64>,
}

#[derive(Debug)]
struct GrowingFile {
    file: Arc<dyn inventory_store::disk::DiskFile>,
    stale: Vec<u8>,
    readings: Arc<AtomicU64>,
}

impl inventory_store::disk::DiskFile for GrowingFile {
    fn len(&self) -> std::io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> std::io::Result<usize> {
        let count = self.file.read_at(into, offset)?;
        let stale = self
            .readings
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1))
            .is_ok();
        let start = usize::try_from(offset).unwrap();
        if stale && count > 0 {
            // What was read first is of a moment ago; the rest was read after it.
            let end = (start + count).min(self.stale.len());
            into[..end - start].copy_from_slice(&self.stale[start..end]);
        }
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> std::io::Result<usize> {
        panic!("a view writes nothing")
    }

    fn sync_data(&self) -> std::io::Result<()> {
        panic!("a view syncs nothing")
    }
}

impl Disk for Growing {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.disk.path(name)
    }

    fn make_dir(&self, _: &str) -> std::io::Result<()> {
        panic!("a view makes nothing")
    }

    fn list(&self, dir: &str) -> std::io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn open_to_read(&self, name: &str) -> std::io::Result<Arc<dyn inventory_store::disk::DiskFile>> {
        let file = self.disk.open_to_read(name)?;
        if name != self.name {
            return Ok(file);
        }
        Ok(Arc::new(GrowingFile { file, stale: self.stale.clone(), readings: Arc::clone(&self.readings) }))
    }

    fn open_to_write(&self, _: &str) -> std::io::Result<Arc<dyn inventory_store::disk::DiskFile>> {
        panic!("a view opens nothing to write")
    }

    fn create(&self, _: &str) -> std::io::Result<Arc<dyn inventory_store::disk::DiskFile>> {
        panic!("a view creates nothing")
    }

    fn rename(&self, _: &str, _: &str) -> std::io::Result<()> {
        panic!("a view renames nothing")
    }

    fn remove(&self, _: &str) -> std::io::Result<()> {
        panic!("a view removes nothing")
    }

    fn sync_dir(&self, _: &str) -> std::io::Result<()> {
        panic!("a view syncs nothing")
    }
}

/// The second of four records is read in the middle of its write, the later ones whole: their write came after.
#[test]
fn a_record_that_was_being_written_when_it_was_read_is_not_damage() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    assert_eq!(append(&journal, chain.next(500)), Append::Done);
    let name = segment_name(1);
    let image = || {
        let file = disk.open_to_read(&name).unwrap();
        let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
        file.read_at(&mut bytes, 0).unwrap();
        bytes
    };
    let before = image();
    let end = before.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(8);
    append_all(&journal, &mut chain, &[500; 3]);
    let mut stale = image();
    // Half of the second record has not arrived.
    stale[end + 200..end + 400].fill(0);
    let look = |readings| {
        let (disk, stale, name) = (disk.clone(), stale.clone(), name.clone());
        let readings = Arc::new(AtomicU64::new(readings));
        let view = View::on(Arc::new(Growing { disk, stale, name, readings }));
        view.read(Version::ZERO, |_| ControlFlow::Continue(())).unwrap()
    };
    // The header, the records, and what is behind the last whole one: six readings, any of which may come too early.
    for readings in 0..=6 {
        let report = look(readings);
        assert_eq!((report.damage, report.tip), (None, chain.tip()), "{readings} stale readings");
    }
    assert!(look(u64::MAX).damage.is_some(), "what stays broken is damage");
}

#[test]
fn every_snapshot_is_seen_and_a_damaged_one_is_named() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    let mut tips: Vec<Tip> = Vec::new();
    for _ in 0..3 {
        append_all(&journal, &mut chain, &[500]);
        block_on(journal.save_snapshot(chain.snapshot())).unwrap();
        tips.push(chain.tip());
    }
    let view = View::on(Arc::new(disk.clone()));
    let seen = view.snapshots().unwrap();
    assert_eq!(seen.whole.iter().map(inventory_core::journal::Snapshot::tip).collect::<Vec<_>>(), tips[1..]);
    assert_eq!(seen.damaged, []);
    let name = format!("snapshots/{:020}.snap", tips[1].version.0);
    let file = disk.open_to_write(&name).unwrap();
    file.write_at(&[0xff], 60).unwrap();
    let seen = view.snapshots().unwrap();
    assert_eq!((seen.whole.len(), seen.damaged.len()), (1, 1));
    assert!(seen.damaged[0].path.ends_with(&name));
}

/// The first segment is discarded under the eyes of the view, and its file filled with zeros for the next one. The second
/// stays: that it does not follow what was read of the first is no damage.
#[test]
fn a_segment_that_is_used_anew_while_it_is_read_is_told_as_discarded_not_as_damaged() {
    let disk = FaultDisk::new();
    let options = FileJournalOptions { segment_bytes: 1 << 20, prepare_ahead: false };
    let journal = FileJournal::open_on(Arc::new(disk.clone()), options).unwrap();
    let mut chain = Chain::new(1);
    append_all(&journal, &mut chain, &[100_000; 15]);
    block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    append_all(&journal, &mut chain, &[100_000; 10]);
    let mut meanwhile = Some(|| {
        block_on(journal.discard_through(chain.tip().version)).unwrap();
        append_all(&journal, &mut chain, &[100_000; 10]);
    });
    let looked = View::on(Arc::new(disk.clone())).read(Version::ZERO, |_| {
        if let Some(mut meanwhile) = meanwhile.take() {
            meanwhile();
        }
        ControlFlow::Continue(())
    });
    assert!(disk.bytes(&segment_name(1)).is_none() && disk.bytes(&segment_name(2)).is_some());
    assert!(matches!(looked, Err(OpenError::Discarded { .. })), "{looked:?}");
}
