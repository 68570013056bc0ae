//! The bits of a journal and its snapshots flipped in turn: it is refused, or named and not served, or nothing rests on it.
//!
//! One bit of each byte, with `INVENTORY_BIT_FLIPS=all` (`scripts/crash-states`) every bit.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use common::{MARK, SEGMENT_HEADER, append_all, inspected, open, read_after, record_bytes, segment_name};
use inventory_core::Version;
use inventory_core::journal::{Group, Journal, JournalError, Snapshot, Tip};
use inventory_core::testing::Chain;
use inventory_store::disk::{Disk, DiskFile, FaultDisk, Survives};
use inventory_store::{OpenError, View};
use pollster::block_on;

/// A closed journal of several segments with two snapshots, the older one at the end of the second segment.
fn sample() -> FaultDisk {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    append_all(&journal, &mut chain, &[300, 3_500, 200]);
    block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    append_all(&journal, &mut chain, &[3_600]);
    block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    append_all(&journal, &mut chain, &[3_500, 150, 90]);
    drop(journal);
    disk
}

/// The files that a program of the newest format wrote. Changed bytes of compressed segments are a test of their own
/// (`upkeep.rs`).
fn kept_files() -> FaultDisk {
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    let written = fs::read_dir(formats).unwrap().map(|entry| entry.unwrap().path());
    let newest = written.filter(|format| !format.ends_with("2-compressed")).max().unwrap();
    let disk = FaultDisk::new();
    for part in ["journal", "snapshots"] {
        for entry in fs::read_dir(newest.join(part)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(&newest).unwrap().to_str().unwrap();
            disk.put(name, fs::read(&path).unwrap());
        }
    }
    disk
}

/// What a journal holds that nothing is wrong with.
struct Content {
    start: Version,
    tip: Tip,
    groups: Vec<Group>,
    snapshots: Vec<Snapshot>,
}

fn content(disk: &FaultDisk) -> Content {
    let report = inspected(disk);
    assert_eq!((report.damage, report.damaged_snapshots.len()), (None, 0));
    let snapshots = View::on(Arc::new(disk.clone())).snapshots().unwrap().whole;
    let groups = read_after(&open(&disk.after_kill()).unwrap(), report.start);
    Content { start: report.start, tip: report.tip, groups, snapshots }
}

/// Bits of a file of this size that are flipped: one in every so many bytes.
fn bits(bytes: usize, one_in: usize) -> impl Iterator<Item = usize> {
    let all = std::env::var("INVENTORY_BIT_FLIPS").is_ok_and(|wanted| wanted == "all");
    (0..bytes * 8).filter(move |bit| {
        let byte = bit / 8;
        all || (byte % one_in == 0 && bit % 8 == byte / one_in % 8)
    })
}

fn flip(file: &dyn DiskFile, bit: usize) {
    let (offset, mut byte) = ((bit / 8) as u64, [0]);
    assert_eq!(file.read_at(&mut byte, offset).unwrap(), 1);
    byte[0] ^= 1 << (bit % 8);
    assert_eq!(file.write_at(&byte, offset).unwrap(), 1);
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// The journal does not open.
    refused: usize,
    /// The journal opens without it, and whoever looks for damage or reads there is told.
    named: usize,
    /// All is there all the same.
    nothing: usize,
}

/// Flips each bit of a closed journal.
fn flip_each(disk: &FaultDisk, one_in: usize) -> Seen {
    let written = content(disk);
    let mut seen = Seen::default();
    for name in disk.names() {
        let places = Places::of(disk, &name);
        let file = disk.open_to_write(&name).unwrap();
        for bit in bits(disk.bytes(&name).unwrap().len(), one_in) {
            flip(&*file, bit);
            let context = format!("{name}, byte {}, bit {}", bit / 8, bit % 8);
            let outcome = look(disk, &name, &written, &context);
            assert_eq!(outcome, places.expected(bit / 8), "{context}");
            match outcome {
                Outcome::Refused => seen.refused += 1,
                Outcome::Named => seen.named += 1,
                Outcome::Nothing => seen.nothing += 1,
            }
            flip(&*file, bit);
        }
    }
    seen
}

/// What is where in a file.
struct Places {
    is_segment: bool,
    /// Whether its records are read when the journal is opened: nothing is behind the newest snapshot in those before.
    is_read: bool,
    unused: Range<usize>,
}

impl Places {
    fn of(disk: &FaultDisk, name: &str) -> Self {
        let report = inspected(disk);
        let newest = report.snapshot.unwrap().version;
        let first_read = report.segments.iter().rfind(|segment| segment.base <= newest).unwrap();
        let segment = report.segments.iter().find(|segment| segment.path.ends_with(name));
        let is_last = segment == report.segments.last();
        Self {
            is_segment: segment.is_some(),
            is_read: segment.is_some_and(|segment| segment.number >= first_read.number),
            unused: segment.map_or(0..0, |_| unused_end(&disk.bytes(name).unwrap(), is_last)),
        }
    }

    fn expected(&self, byte: usize) -> Outcome {
        match self {
            Self { unused, .. } if unused.contains(&byte) => Outcome::Nothing,
            // The other snapshot and the journal are whole.
            Self { is_segment: false, .. } => Outcome::Named,
            Self { is_read, .. } if *is_read || byte < SEGMENT_HEADER => Outcome::Refused,
            _ => Outcome::Named,
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Refused,
    Named,
    Nothing,
}

/// Opens what was changed in this file, holds what is served against what was written, and says what was seen of the change.
fn look(disk: &FaultDisk, name: &str, written: &Content, context: &str) -> Outcome {
    let report = inspected(disk);
    let snapshots = View::on(Arc::new(disk.clone())).snapshots().unwrap();
    let mut told = report.damage.iter().chain(&report.damaged_snapshots).chain(&snapshots.damaged);
    let named = told.clone().count() > 0;
    assert!(told.all(|damage| damage.path.ends_with(name)), "{context}: {report:?}");
    let after = disk.after_kill();
    let journal = match open(&after) {
        Ok(journal) => journal,
        Err(OpenError::Damaged(damage)) => {
            assert!(named && damage.path.ends_with(name), "{context}: {damage}");
            return Outcome::Refused;
        }
        Err(other) => panic!("{context}: {other}"),
    };
    assert_eq!(block_on(journal.tip()), Ok(written.tip), "{context}");
    let snapshot = block_on(journal.load_snapshot()).unwrap();
    assert!(snapshot.is_none_or(|snapshot| written.snapshots.contains(&snapshot)), "{context}");
    match block_on(journal.read(written.start, usize::MAX)) {
        Ok(groups) => assert!(groups == written.groups, "{context}: other groups"),
        Err(JournalError::Damaged(what)) => assert!(named && what.contains(name), "{context}: {what}"),
        Err(other) => panic!("{context}: {other}"),
    }
    if named { Outcome::Named } else { Outcome::Nothing }
}

/// The bytes of a segment behind its last record. In the last segment, its mark is among them: with or without it, all groups
/// are there. A compressed segment has none.
fn unused_end(bytes: &[u8], is_last: bool) -> Range<usize> {
    const FORMAT_AT: usize = 8;
    const COMPRESSED: u8 = 2;
    if bytes[FORMAT_AT] == COMPRESSED {
        return 0..0;
    }
    let mut at = SEGMENT_HEADER;
    let mut last = at;
    loop {
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap());
        if length == 0 {
            break;
        }
        last = at;
        at += (common::RECORD_HEADER + usize::try_from(length).unwrap()).next_multiple_of(8);
    }
    assert!(!is_last || at - last == MARK, "the journal is closed by a mark");
    if is_last { last..bytes.len() } else { at..bytes.len() }
}

#[test]
fn no_flipped_bit_of_a_closed_journal_is_served_or_makes_it_shorter() {
    let seen = flip_each(&sample(), 1);
    println!("{seen:?}");
    assert!(seen.refused > 3_000 && seen.named > 3_000 && seen.nothing > 500, "{seen:?}");
}

#[test]
fn no_flipped_bit_of_the_files_of_the_newest_format_is_served_or_makes_them_shorter() {
    // Compressed segments among them take long.
    let seen = flip_each(&kept_files(), 5);
    println!("{seen:?}");
    assert!(seen.refused > 3_000 && seen.named > 2_000 && seen.nothing > 300, "{seen:?}");
}

/// The limit of what can be seen: until the journal is opened again, a changed bit in the last write before a crash is like
/// a torn write. It costs that write, never another, and is reported as a torn tail.
#[test]
fn a_flipped_bit_in_the_last_write_before_a_crash_costs_that_write_alone() {
    let sizes = [90, 200, 150];
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let groups = append_all(&journal, &mut Chain::new(1), &sizes);
    let crashed = disk.after_power_loss(Survives::Nothing);
    let last = SEGMENT_HEADER + record_bytes(sizes[0]) + record_bytes(sizes[1]);
    let end = last + record_bytes(sizes[2]);
    let file = crashed.open_to_write(&segment_name(1)).unwrap();
    for bit in SEGMENT_HEADER * 8..end * 8 {
        flip(&*file, bit);
        let report = inspected(&crashed);
        let opened = open(&crashed.after_kill());
        if bit < last * 8 {
            assert!(matches!(opened, Err(OpenError::Damaged(_))), "bit {bit}: {report:?}");
            assert!(report.damage.is_some(), "bit {bit}");
        } else {
            assert_eq!(report.torn_tail.map(|tail| tail.offset), Some(last as u64), "bit {bit}");
            assert_eq!(read_after(&opened.unwrap(), Version::ZERO), groups[..2], "bit {bit}");
        }
        flip(&*file, bit);
    }
}
