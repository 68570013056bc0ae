//! What the tests of the file journal share.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::Path;
use std::sync::Arc;

use inventory_core::Version;
use inventory_core::journal::{Append, Group, Journal, Tip};
use inventory_core::testing::Chain;
use inventory_store::disk::FaultDisk;
use inventory_store::{FileJournal, FileJournalOptions, OpenError, Report, inspect_on};
use pollster::block_on;

/// Bytes of a segment's header block, of a record's header, before a group in a record, and of a mark.
pub(crate) const SEGMENT_HEADER: usize = 4096;
pub(crate) const RECORD_HEADER: usize = 32;
pub(crate) const GROUP_PREFIX: usize = 4;
pub(crate) const MARK: usize = 64;

/// Small segments, and every operation in the order of the calls.
pub(crate) fn small() -> FileJournalOptions {
    FileJournalOptions { segment_bytes: 8 << 10, prepare_ahead: false }
}

pub(crate) fn open(disk: &FaultDisk) -> Result<FileJournal, OpenError> {
    FileJournal::open_on(Arc::new(disk.clone()), small())
}

pub(crate) fn open_dir(dir: &Path) -> Result<FileJournal, OpenError> {
    FileJournal::open(dir, small())
}

pub(crate) fn inspected(disk: &FaultDisk) -> Report {
    inspect_on(disk).unwrap()
}

/// The size of a record that holds one group of this size.
pub(crate) fn record_bytes(group_bytes: usize) -> usize {
    (RECORD_HEADER + GROUP_PREFIX + group_bytes).next_multiple_of(8)
}

pub(crate) fn append(journal: &FileJournal, group: Group) -> Append {
    block_on(journal.append(group))
}

/// Appends groups of these sizes, one after the other, each acknowledged.
pub(crate) fn append_all(journal: &FileJournal, chain: &mut Chain, sizes: &[usize]) -> Vec<Group> {
    let groups: Vec<Group> = sizes.iter().map(|bytes| chain.next(*bytes)).collect();
    for group in &groups {
        assert_eq!(append(journal, group.clone()), Append::Done);
    }
    groups
}

pub(crate) fn tip(journal: &FileJournal) -> Tip {
    block_on(journal.tip()).unwrap()
}

/// Everything the journal holds after this version.
pub(crate) fn read_after(journal: &FileJournal, after: Version) -> Vec<Group> {
    block_on(journal.read(after, usize::MAX)).unwrap()
}

pub(crate) fn read_all(journal: &FileJournal) -> Vec<Group> {
    read_after(journal, Version::ZERO)
}

pub(crate) fn segment_name(number: u64) -> String {
    format!("journal/{number:020}.seg")
}
