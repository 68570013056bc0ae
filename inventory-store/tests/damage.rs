//! What a torn write leaves is cut; whatever else is wrong is refused, and the file named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use common::{
    SEGMENT_HEADER, append, append_all, inspected, open, read_after, read_all, record_bytes, segment_name,
    tip,
};
use inventory_core::journal::{Append, Group, GroupBuilder, Journal, JournalError};
use inventory_core::testing::Chain;
use inventory_core::{AppendId, Event, ItemId, LocationId, Record, Time, Units, UserId, Version};
use inventory_store::OpenError;
use inventory_store::disk::{FaultDisk, Survives};
use pollster::block_on;

/// A disk whose journal holds these groups and was never closed: no mark is at its end.
fn crashed_with(sizes: &[usize]) -> (FaultDisk, Vec<Group>) {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let groups = append_all(&journal, &mut Chain::new(1), sizes);
    (disk.after_power_loss(Survives::Nothing), groups)
}

/// A disk whose journal holds these groups and was closed.
fn closed_with(sizes: &[usize]) -> (FaultDisk, Vec<Group>) {
    let disk = FaultDisk::new();
    let groups = append_all(&open(&disk).unwrap(), &mut Chain::new(1), sizes);
    (disk, groups)
}

fn with_bytes(disk: &FaultDisk, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> FaultDisk {
    let disk = disk.after_power_loss(Survives::Nothing);
    let mut bytes = disk.bytes(name).unwrap();
    change(&mut bytes);
    disk.put(name, bytes);
    disk
}

fn refusal(disk: &FaultDisk) -> String {
    let before: Vec<_> = disk.names().into_iter().map(|name| (disk.bytes(&name), name)).collect();
    let why = open(disk).unwrap_err();
    assert!(matches!(why, OpenError::Damaged(_)), "{why}");
    let after: Vec<_> = disk.names().into_iter().map(|name| (disk.bytes(&name), name)).collect();
    assert!(before == after, "refusing changed the files");
    why.to_string()
}

#[test]
fn a_torn_tail_is_cut_at_every_byte_and_everything_acknowledged_stays() {
    let (disk, groups) = crashed_with(&[200, 300, 400]);
    let name = segment_name(1);
    let start = SEGMENT_HEADER + record_bytes(200) + record_bytes(300);
    let size = record_bytes(400);
    let whole = disk.bytes(&name).unwrap();
    for kept in 0..size {
        let torn = with_bytes(&disk, &name, |bytes| bytes[start + kept..].fill(0));
        if torn.bytes(&name).unwrap() == whole {
            break; // Only zeros are missing.
        }
        let report = inspected(&torn);
        assert_eq!(report.damage, None, "{kept} bytes kept");
        assert_eq!(report.torn_tail.map(|tail| tail.offset), (kept > 0).then_some(start as u64), "{kept}");
        let journal = open(&torn).unwrap();
        assert_eq!(read_all(&journal), groups[..2], "{kept} bytes kept");
        let mut again = Chain::after(tip(&journal), 2);
        let next = append_all(&journal, &mut again, &[100]);
        drop(journal);
        assert_eq!(inspected(&torn).torn_tail, None);
        assert_eq!(read_after(&open(&torn).unwrap(), groups[1].last()), next);
    }
}

#[test]
fn a_changed_record_is_refused_also_if_the_one_behind_it_ends_with_zeros() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    append_all(&journal, &mut chain, &[200]);
    let (by, item, location, units) = (UserId::SYSTEM, ItemId(0), LocationId::MAIN, Units::ZERO);
    let event = Event::InitialLevelSet { by, item, location, units };
    let mut zeros = GroupBuilder::new(chain.tip().version);
    zeros.push(&Record { at: Time::ZERO, event });
    let zeros = zeros.seal(AppendId(9), chain.tip().hash).unwrap();
    assert_eq!(append(&journal, zeros), Append::Done);
    let crashed = disk.after_power_loss(Survives::Nothing);
    let flipped = with_bytes(&crashed, &segment_name(1), |bytes| bytes[SEGMENT_HEADER + 100] ^= 1);
    assert!(refusal(&flipped).contains("a whole one follows it"));
}

#[test]
fn an_out_of_order_torn_batch_is_cut_whole() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    let groups = append_all(&journal, &mut chain, &[200]);
    let clean = disk.after_power_loss(Survives::Nothing);
    append_all(&journal, &mut chain, &[3_000]);
    drop(journal);
    let name = segment_name(1);
    let whole = disk.bytes(&name).unwrap();
    let start = SEGMENT_HEADER + record_bytes(200);
    // All of the record but its first sector reached the disk.
    let torn = with_bytes(&clean, &name, |bytes| {
        let first_sector_end = (start / 512 + 1) * 512;
        let end = start + record_bytes(3_000);
        bytes[first_sector_end..end].copy_from_slice(&whole[first_sector_end..end]);
    });
    assert_eq!(read_all(&open(&torn).unwrap()), groups);
}

#[test]
fn a_flipped_bit_anywhere_in_a_closed_journal_is_refused_or_changes_nothing() {
    let (disk, groups) = closed_with(&[100, 150, 120]);
    let name = segment_name(1);
    let records = record_bytes(100) + record_bytes(150) + record_bytes(120);
    let marked = SEGMENT_HEADER + records;
    for at in 0..marked + common::MARK {
        let flipped = with_bytes(&disk, &name, |bytes| bytes[at] ^= 1 << (at % 8));
        if at < marked {
            let why = refusal(&flipped);
            assert!(why.contains(&name), "byte {at}: {why}");
        } else {
            // The mark itself is the last record: without it nothing is lost.
            assert_eq!(read_all(&open(&flipped).unwrap()), groups, "byte {at}");
        }
    }
}

#[test]
fn a_flipped_bit_in_the_last_record_is_seen_once_the_journal_was_opened_after_a_crash() {
    let (disk, groups) = crashed_with(&[100, 150]);
    let in_last = SEGMENT_HEADER + record_bytes(100) + 50;
    let name = segment_name(1);
    // The limit: between the crash and the next opening it looks like a torn write.
    let unseen = with_bytes(&disk, &name, |bytes| bytes[in_last] ^= 1);
    assert_eq!(read_all(&open(&unseen).unwrap()), groups[..1]);

    let journal = open(&disk).unwrap();
    let crashed_again = disk.after_power_loss(Survives::Nothing);
    drop(journal);
    let seen = with_bytes(&crashed_again, &name, |bytes| bytes[in_last] ^= 1);
    let why = refusal(&seen);
    assert!(why.contains(&format!("byte {}", SEGMENT_HEADER + record_bytes(100))), "{why}");
}

#[test]
fn a_flipped_bit_in_a_closed_segment_is_refused() {
    let (disk, _) = closed_with(&[3_000; 4]);
    for at in [0, 20, 70, 4090, SEGMENT_HEADER, SEGMENT_HEADER + 40, SEGMENT_HEADER + 3_000] {
        for number in [1, 2, 3] {
            let flipped = with_bytes(&disk, &segment_name(number), |bytes| bytes[at] ^= 0x20);
            let why = refusal(&flipped);
            assert!(why.contains(&segment_name(number)), "segment {number} byte {at}: {why}");
        }
    }
}

#[test]
fn a_missing_or_shortened_segment_is_refused() {
    let (disk, _) = closed_with(&[3_000; 4]);
    let renamed = |number| {
        let disk = disk.after_power_loss(Survives::Nothing);
        inventory_store::disk::Disk::rename(&disk, &segment_name(number), "journal/elsewhere").unwrap();
        disk
    };
    let why = refusal(&renamed(2));
    assert!(why.contains(&segment_name(2)) && why.contains("missing"), "{why}");
    let why = refusal(&renamed(1));
    assert!(why.contains(&segment_name(2)) && why.contains("missing"), "{why}");
    let why = refusal(&with_bytes(&disk, &segment_name(2), |bytes| bytes.truncate(5_000)));
    assert!(why.contains("5000 bytes instead of 8192"), "{why}");
}

#[test]
fn a_journal_shorter_than_its_snapshot_is_refused() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    append_all(&journal, &mut chain, &[3_000, 3_000]);
    block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    drop(journal);
    inventory_store::disk::Disk::remove(&disk, &segment_name(2)).unwrap();
    let why = refusal(&disk);
    assert!(why.contains("its end is missing"), "{why}");
    inventory_store::disk::Disk::remove(&disk, &segment_name(1)).unwrap();
    let why = refusal(&disk);
    assert!(why.contains("no segment"), "{why}");
}

#[test]
fn a_snapshot_of_another_journal_is_refused() {
    let (disk, _) = closed_with(&[100, 200]);
    let mut elsewhere = Chain::new(9);
    elsewhere.next(100);
    let snapshot = elsewhere.snapshot();
    disk.put("snapshots/00000000000000000001.snap", snapshot.bytes().to_vec());
    let why = refusal(&disk);
    assert!(why.contains("of another journal"), "{why}");
}

#[test]
fn a_damaged_snapshot_is_never_served_and_the_journal_covers_it() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    append_all(&journal, &mut chain, &[200]);
    let older = chain.snapshot();
    block_on(journal.save_snapshot(older.clone())).unwrap();
    let groups = append_all(&journal, &mut chain, &[200]);
    block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    drop(journal);
    let damaged = with_bytes(&disk, "snapshots/00000000000000000002.snap", |bytes| bytes[60] ^= 1);
    assert_eq!(inspected(&damaged).damaged_snapshots.len(), 1);
    let journal = open(&damaged).unwrap();
    assert_eq!(block_on(journal.load_snapshot()), Ok(Some(older.clone())));
    assert_eq!(block_on(journal.load_snapshot()), Ok(Some(older.clone())));
    assert_eq!(read_after(&journal, older.tip().version), groups);
}

#[test]
fn a_damaged_snapshot_that_nothing_covers_is_refused_by_name() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    append_all(&journal, &mut chain, &[3_000, 3_000, 3_000]);
    block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    block_on(journal.discard_through(chain.tip().version)).unwrap();
    drop(journal);
    let name = "snapshots/00000000000000000003.snap";
    let why = refusal(&with_bytes(&disk, name, |bytes| bytes[60] ^= 1));
    assert!(why.contains(name), "{why}");
}

#[test]
fn damage_is_refused_when_it_is_read_and_not_served() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let groups = append_all(&journal, &mut Chain::new(1), &[200, 300]);
    let name = segment_name(1);
    let file = inventory_store::disk::Disk::open_to_write(&disk, &name).unwrap();
    file.write_at(&[0xff], (SEGMENT_HEADER + record_bytes(200) + 60) as u64).unwrap();
    assert_eq!(block_on(journal.read(Version::ZERO, 1)).unwrap(), groups[..1]);
    let why = block_on(journal.read(Version::ZERO, usize::MAX)).unwrap_err();
    assert!(matches!(&why, JournalError::Damaged(what) if what.contains(&name)), "{why}");
}

#[test]
fn names_that_are_not_ours_are_left_alone() {
    let (disk, groups) = closed_with(&[100]);
    for name in
        ["journal/1.seg", "journal/notes.txt", "journal/00000000000000000002.seg~", "snapshots/x.snap"]
    {
        disk.put(name, b"garbage".to_vec());
    }
    let journal = open(&disk).unwrap();
    assert_eq!(read_all(&journal), groups);
    assert_eq!(disk.bytes("journal/notes.txt"), Some(b"garbage".to_vec()));
}

#[test]
fn bytes_of_an_earlier_segment_in_a_reused_file_cannot_replay() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    append_all(&journal, &mut chain, &[100; 10]);
    // A spare as it would be if its zeros had never reached the disk: full of valid records of segment 1.
    disk.put("journal/spare", disk.bytes(&segment_name(1)).unwrap());
    drop(journal);
    let journal = open(&disk).unwrap();
    append_all(&journal, &mut chain, &[3_500]);
    let crashed = disk.after_power_loss(Survives::Nothing);
    let bytes = crashed.bytes(&segment_name(2)).unwrap();
    assert!(bytes[SEGMENT_HEADER..].iter().any(|byte| *byte != 0), "the file was reused");
    let journal = open(&crashed).unwrap();
    assert_eq!(tip(&journal), chain.tip());
    let next = chain.next(100);
    assert_eq!(append(&journal, next), Append::Done);
}

#[test]
fn a_discarded_segment_is_used_again() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    append_all(&journal, &mut chain, &[3_000; 3]);
    let early = chain.tip().version;
    block_on(journal.save_snapshot(chain.snapshot())).unwrap();
    block_on(journal.discard_through(early)).unwrap();
    assert!(disk.names().contains(&"journal/recycled".to_owned()));
    let why = block_on(journal.read(Version::ZERO, 1)).unwrap_err();
    assert_eq!(why, JournalError::Discarded { after: Version::ZERO, start: Version(2) });
    let groups = append_all(&journal, &mut chain, &[3_000; 3]);
    assert!(!disk.names().contains(&"journal/recycled".to_owned()));
    drop(journal);
    let journal = open(&disk).unwrap();
    assert_eq!(read_after(&journal, early), groups);
}
