//! Bytes as the file journal finds them on its disk.

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use arbitrary::{Arbitrary, Unstructured};
use inventory_core::Version;
use inventory_core::journal::Group;
use inventory_store::disk::FaultDisk;
use inventory_store::{FileJournal, FileJournalOptions, OpenError, Report, View, inspect_on};

/// See docs/journal-format.md.
const SEGMENT_HEADER_BYTES: usize = 4096;
const RECORD_HEADER_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 8;

macro_rules! sample {
    ($name:literal) => {
        include_bytes!(concat!("../../../inventory-store/tests/formats/1/", $name))
    };
}
/// A journal that was closed, as format 1 writes it.
const FILES: [(&str, &[u8]); 7] = [
    ("journal/00000000000000000001.seg", sample!("journal/00000000000000000001.seg")),
    ("journal/00000000000000000002.seg", sample!("journal/00000000000000000002.seg")),
    ("journal/00000000000000000003.seg", sample!("journal/00000000000000000003.seg")),
    ("journal/00000000000000000004.seg", sample!("journal/00000000000000000004.seg")),
    ("journal/00000000000000000005.seg", sample!("journal/00000000000000000005.seg")),
    ("snapshots/00000000000000000084.snap", sample!("snapshots/00000000000000000084.snap")),
    ("snapshots/00000000000000000115.snap", sample!("snapshots/00000000000000000115.snap")),
];

/// The records of a first segment. If the first byte is odd, their checksums are made right.
pub(crate) fn record(bytes: &[u8]) {
    let Some((kind, records)) = bytes.split_first() else { return };
    let size = SEGMENT_HEADER_BYTES.saturating_add(records.len()).next_multiple_of(4096).saturating_add(4096);
    let mut segment = header(1, size);
    segment.extend_from_slice(records);
    segment.resize(size, 0);
    if kind & 1 == 1 {
        repair_records(&mut segment);
    }
    let disk = FaultDisk::new();
    disk.put("journal/00000000000000000001.seg", segment);
    look(&disk);
}

fn header(number: u64, size: usize) -> Vec<u8> {
    let mut header = b"INVJRNL\0\x01\0\0\0\0\0\0\0".to_vec();
    header.extend_from_slice(&number.to_le_bytes());
    header.extend_from_slice(&[0; 40]);
    header.extend_from_slice(&u64::try_from(size).unwrap_or(u64::MAX).to_le_bytes());
    header.resize(SEGMENT_HEADER_BYTES - CHECKSUM_BYTES, 0);
    let checksum = crc_fast::crc64_nvme(&header);
    header.extend_from_slice(&checksum.to_le_bytes());
    header
}

/// Gives each record the checksum of its bytes, as far as there seem to be records.
fn repair_records(segment: &mut [u8]) {
    let mut rest = segment.get_mut(SEGMENT_HEADER_BYTES..).unwrap_or_default();
    while let Some(length) = rest.get(8..12).and_then(|length| length.first_chunk()) {
        let length = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
        let size = RECORD_HEADER_BYTES.saturating_add(length).next_multiple_of(8);
        if length == 0 || size > rest.len() {
            return;
        }
        let (record, behind) = rest.split_at_mut(size);
        let (checksum, checked) = record.split_at_mut(CHECKSUM_BYTES);
        checksum.copy_from_slice(&crc_fast::crc64_nvme(checked).to_le_bytes());
        rest = behind;
    }
}

/// A change of a file.
#[derive(Debug, Arbitrary)]
struct Change {
    file: u8,
    offset: u16,
    how: How,
}

#[derive(Debug, Arbitrary)]
enum How {
    Flip(u8),
    Zero {
        bytes: u16,
    },
    Put(Vec<u8>),
    /// From the same place of another file.
    Copy {
        file: u8,
        bytes: u16,
    },
    Truncate,
    Remove,
}

/// Changes of a journal that was closed. What is still served is what was written, from the beginning.
pub(crate) fn segment(bytes: &[u8]) {
    let Ok(changes) = Vec::<Change>::arbitrary(&mut Unstructured::new(bytes)) else { return };
    let mut files = FILES.map(|(_, bytes)| Some(bytes.to_vec()));
    for change in &changes {
        change.apply(&mut files);
    }
    let disk = FaultDisk::new();
    for ((name, _), changed) in FILES.iter().zip(files) {
        if let Some(changed) = changed {
            disk.put(name, changed);
        }
    }
    let written = WRITTEN.get_or_init(written);
    let found = look(&disk);
    let start = found.first().map_or(Version::ZERO, Group::base);
    let same = written.iter().skip_while(|group| group.base() < start);
    assert!(
        same.zip(&found).all(|(written, found)| written == found),
        "other groups are served: {changes:?}"
    );
    assert!(found.len() <= written.len(), "more groups are served: {changes:?}");
}

/// The groups in the files as they are.
static WRITTEN: OnceLock<Vec<Group>> = OnceLock::new();

fn written() -> Vec<Group> {
    let disk = FaultDisk::new();
    for (name, bytes) in FILES {
        disk.put(name, bytes.to_vec());
    }
    groups(&disk).1
}

impl Change {
    fn apply(&self, files: &mut [Option<Vec<u8>>; FILES.len()]) {
        let at = |file: u8| usize::from(file) % FILES.len();
        let offset = usize::from(self.offset);
        let other = match self.how {
            How::Copy { file, .. } => files.get(at(file)).cloned().flatten().unwrap_or_default(),
            _ => Vec::new(),
        };
        let Some(file) = files.get_mut(at(self.file)) else { return };
        let Some(bytes) = file else { return };
        let put = |bytes: &mut Vec<u8>, from: &[u8]| {
            bytes.iter_mut().skip(offset).zip(from).for_each(|(byte, from)| *byte = *from);
        };
        match &self.how {
            How::Flip(bits) => bytes.iter_mut().skip(offset).take(1).for_each(|byte| *byte ^= bits),
            How::Zero { bytes: count } => put(bytes, &vec![0; usize::from(*count)]),
            How::Put(from) => put(bytes, from),
            How::Copy { bytes: count, .. } => {
                let from = other.get(offset..).unwrap_or_default();
                put(bytes, from.get(..usize::from(*count)).unwrap_or(from));
            }
            How::Truncate => bytes.truncate(offset),
            How::Remove => *file = None,
        }
    }
}

/// Looks at a disk, opens it, goes over it again; gives what it serves.
fn look(disk: &FaultDisk) -> Vec<Group> {
    let report = inspect_on(disk);
    let opened = FileJournal::open_on(
        Arc::new(disk.clone()),
        FileJournalOptions { segment_bytes: 8 << 10, prepare_ahead: false },
    );
    let journal = match (&report, opened) {
        (Ok(_), Ok(journal)) => journal,
        (Ok(report), Err(OpenError::Damaged(_))) => {
            assert!(report.damage.is_some(), "what does not open is damaged: {report:?}");
            return Vec::new();
        }
        (Err(_), Err(_)) => return Vec::new(),
        (report, opened) => panic!("{report:?}, but {opened:?}"),
    };
    drop(journal);
    let (after, groups) = groups(disk);
    assert_eq!(after.torn_tail, None, "opening cuts what is torn");
    assert!(groups.windows(2).all(|pair| match pair {
        [first, second] => first.hash() == second.previous() && first.last() == second.base(),
        _ => true,
    }));
    groups
}

/// Whatever is on this disk, up to the first damage.
fn groups(disk: &FaultDisk) -> (Report, Vec<Group>) {
    let mut groups = Vec::new();
    let report = View::on(Arc::new(disk.clone())).read(Version::ZERO, |group| {
        groups.push(group.clone());
        ControlFlow::Continue(())
    });
    (report.expect("a disk that opened can be read"), groups)
}
