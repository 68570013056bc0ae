//! Looking at a data directory without changing it.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use inventory_core::Version;
use inventory_core::journal::{Snapshot, Tip};

use super::damage::{Damage, OpenError};
use super::recovery::{self, Scope, Visit};
use super::segment;
use crate::disk::{Disk, OsDisk};

/// What is in a data directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The version before the first group that is kept.
    pub start: Version,
    /// The end of the last whole group; with damage, of the last one before it.
    pub tip: Tip,
    /// The segments, in order.
    pub segments: Vec<SegmentReport>,
    /// The end of the journal at which the newest whole snapshot was taken.
    pub snapshot: Option<Tip>,
    /// Snapshots that are newer than that one and not whole. Alone they do not keep the journal from opening.
    pub damaged_snapshots: Vec<Damage>,
    /// What a write that was never answered left. Opening the journal cuts it.
    pub torn_tail: Option<TornTail>,
    /// The first durable bytes that were changed or are missing. The journal does not open.
    pub damage: Option<Damage>,
}

/// A segment of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentReport {
    /// The file.
    pub path: PathBuf,
    /// Its number.
    pub number: u64,
    /// The version before its first group.
    pub base: Version,
    /// The size of its file.
    pub bytes: u64,
    /// How many groups it holds, as far as it was read.
    pub groups: u64,
}

/// What a write that was never answered left at the end of the last segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The file.
    pub path: PathBuf,
    /// Where it begins.
    pub offset: u64,
    /// Up to the last byte that is not zero.
    pub bytes: u64,
}

/// Reads every record in this directory and checks it. Changes nothing and takes no lock; of a journal that is in use
/// the end may look torn.
pub fn inspect(dir: &Path) -> Result<Report, OpenError> {
    inspect_on(&OsDisk::new(dir))
}

/// As [`inspect`], on this disk.
pub fn inspect_on(disk: &dyn Disk) -> Result<Report, OpenError> {
    visit_on(disk, Version::ZERO, &mut |_| ControlFlow::Continue(()))
}

/// Reads what follows this version, from the beginning of the segment that holds it, and shows each group.
pub(super) fn visit_on(disk: &dyn Disk, after: Version, visit: &mut Visit<'_>) -> Result<Report, OpenError> {
    let survey = recovery::survey(disk, Scope::After(after), visit)?;
    let report = |segment: &recovery::Segment| SegmentReport {
        path: disk.path(&segment::name(segment.header.number)),
        number: segment.header.number,
        base: segment.header.base.version,
        bytes: segment.header.file_bytes(),
        groups: segment.groups,
    };
    let segments: Vec<SegmentReport> = survey.segments.iter().map(report).collect();
    let torn_tail = survey.torn.and_then(|torn| {
        let path = segments.last()?.path.clone();
        Some(TornTail { path, offset: torn.offset, bytes: torn.bytes })
    });
    Ok(Report {
        start: segments.first().map_or(Version::ZERO, |segment| segment.base),
        tip: survey.tip,
        segments,
        snapshot: survey.snapshots.newest.as_ref().map(Snapshot::tip),
        damaged_snapshots: survey.snapshots.damaged,
        torn_tail,
        damage: survey.damage,
    })
}
