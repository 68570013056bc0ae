//! Where versions are: which segment, and near which byte of it. Kept in memory, derived from the files.

use inventory_core::Version;
use inventory_core::journal::Tip;

/// At most one position is kept for this many bytes of a segment.
const STRIDE_BYTES: u64 = 64 << 10;

/// Where some records of a segment begin, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Positions(Vec<(Version, u64)>);

impl Positions {
    /// Notes that the record after this version begins at this byte; forgets it if another is near.
    pub(super) fn push(&mut self, after: Version, offset: u64) {
        if self.0.last().is_none_or(|(_, last)| offset >= last + STRIDE_BYTES) {
            self.0.push((after, offset));
        }
    }

    /// The versions in front of the records whose places are known, in order.
    pub(super) fn versions(&self) -> Vec<Version> {
        self.0.iter().map(|(version, _)| *version).collect()
    }

    /// The last known place at or before the group after this version.
    pub(super) fn before(&self, after: Version) -> Option<u64> {
        let known = self.0.partition_point(|(version, _)| *version <= after);
        self.0.get(known.checked_sub(1)?).map(|(_, offset)| *offset)
    }
}

/// A segment as the index knows it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) number: u64,
    /// The version before its first record.
    pub(super) base: Version,
    /// The size of its file.
    pub(super) file_bytes: u64,
    /// Whether it is compressed.
    pub(super) is_packed: bool,
    /// None until its records were looked at.
    pub(super) positions: Option<Positions>,
}

/// The segments in order, and the durable end of the journal.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) segments: Vec<Entry>,
    pub(super) tip: Tip,
}

impl Index {
    /// The version before the first group that is kept.
    pub(super) fn start(&self) -> Version {
        self.segments.first().map_or(Version::ZERO, |segment| segment.base)
    }

    /// The last segment that begins at or before this version: the group after it is there, if anywhere.
    pub(super) fn segment_of(&self, after: Version) -> Option<&Entry> {
        let begun = self.segments.partition_point(|segment| segment.base <= after);
        self.segments.get(begun.checked_sub(1)?)
    }

    pub(super) fn segment(&self, number: u64) -> Option<&Entry> {
        self.segments.iter().find(|segment| segment.number == number)
    }

    /// A record was made durable in the last segment.
    pub(super) fn advance(&mut self, offset: u64, tip: Tip) {
        let after = self.tip.version;
        if let Some(positions) = self.segments.last_mut().and_then(|segment| segment.positions.as_mut()) {
            positions.push(after, offset);
        }
        self.tip = tip;
    }

    /// A segment was compressed.
    pub(super) fn pack(&mut self, number: u64, file_bytes: u64) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == number) {
            (segment.is_packed, segment.file_bytes) = (true, file_bytes);
        }
    }

    /// Notes where a segment's records are.
    pub(super) fn learn(&mut self, number: u64, positions: Positions) {
        let segment = self.segments.iter_mut().find(|segment| segment.number == number);
        if let Some(segment) = segment.filter(|segment| segment.positions.is_none()) {
            segment.positions = Some(positions);
        }
    }
}

impl Entry {
    /// Whether its file can become a segment of this size.
    pub(super) fn is_of_size(&self, bytes: u64) -> bool {
        !self.is_packed && self.file_bytes == bytes
    }
}
