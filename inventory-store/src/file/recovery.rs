//! Recovery: first a survey that only reads and says what is there, then two actions: writing the last record again, and
//! cutting the torn end.
//!
//! Segments are walked in order. Each must follow the one before it by number, version and hash, and each group the group
//! before it. Where no whole record begins, the segment should be at its end:
//!
//! - In a segment that has a successor, the successor's header says where it ended; anything else is damage.
//! - In the last segment, a whole record further on means damage (see `record`). Otherwise what is there, if it is not
//!   zeros, is the torn end of a write that was never answered.
//!
//! What cannot be seen: a change in the last record between a crash and the next opening (see `record`), and the removal
//! of the last segments if no snapshot stands in them.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use inventory_core::Version;
use inventory_core::defect::{self, Defect};
use inventory_core::journal::{Group, Snapshot, Tip};

use super::cursor::Cursor;
use super::damage::{Damage, OpenError};
use super::index::Positions;
use super::record::{self, ALIGNMENT_BYTES, Content};
use super::segment::{self, Header, HeaderError};
use super::snapshots;
use crate::disk::{Disk, DiskFile, read_full, write_full, write_zeros};

/// How far a survey looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// At every header, and at the records of the segments that hold anything after this version.
    After(Version),
    /// The same after the version of the newest snapshot.
    AfterSnapshot,
}

/// What is in a data directory.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) segments: Vec<Segment>,
    pub(super) snapshots: snapshots::Found,
    /// The end of the last whole group.
    pub(super) tip: Tip,
    /// Where the next record goes in the last segment.
    pub(super) position: u64,
    /// Where the last record of the last segment begins, if it holds any.
    pub(super) last_record: Option<u64>,
    /// Whether the last record is a mark, or there is none.
    pub(super) marked: bool,
    /// The version before the last record.
    before_last: Version,
    /// Bytes of the records behind the newest snapshot, as far as they were looked at.
    pub(super) bytes_after_snapshot: u64,
    pub(super) torn: Option<Torn>,
    pub(super) damage: Option<Damage>,
}

/// A segment that was found.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) header: Header,
    /// Where some of its records are; none if they were not looked at.
    pub(super) positions: Option<Positions>,
    /// How many groups it holds; 0 if they were not looked at.
    pub(super) groups: u64,
}

/// What was seen of a segment.
#[derive(Debug, Default)]
struct Walked {
    positions: Positions,
    groups: u64,
}

/// What a write left that was never answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Torn {
    pub(super) offset: u64,
    pub(super) bytes: u64,
}

/// Is shown each group that a survey looks at, and says whether to go on.
pub(super) type Visit<'a> = dyn FnMut(&Group) -> ControlFlow<()> + 'a;

/// Why a survey ends early.
enum Stop {
    Damage(Damage),
    Error(OpenError),
    /// The visitor has seen enough.
    Enough,
}

impl From<OpenError> for Stop {
    fn from(why: OpenError) -> Self {
        match why {
            OpenError::Damaged(damage) => Self::Damage(damage),
            why => Self::Error(why),
        }
    }
}

impl Survey {
    /// The version up to which all is durable for certain, whoever writes meanwhile and however the last writer ended: a record
    /// is begun only when the one in front of it is durable.
    pub(super) fn durable(&self) -> Version {
        if self.marked { self.tip.version } else { self.before_last }
    }
}

/// Says what is in the directory. Changes nothing. Damage is part of the answer.
pub(super) fn survey(disk: &dyn Disk, scope: Scope, visit: &mut Visit<'_>) -> Result<Survey, OpenError> {
    let snapshots = snapshots::find(disk).map_err(|why| failed(disk, snapshots::DIR, why))?;
    survey_with(disk, snapshots, scope, visit)
}

/// As [`survey`], with the snapshots that were found before.
pub(super) fn survey_with(
    disk: &dyn Disk,
    snapshots: snapshots::Found,
    scope: Scope,
    visit: &mut Visit<'_>,
) -> Result<Survey, OpenError> {
    let survey = Survey { snapshots, marked: true, ..Survey::default() };
    let mut surveyor = Surveyor { disk, survey, first: None };
    let looked = surveyor.run(scope, visit);
    match looked.map_err(|stop| surveyor.unless_discarded(stop)) {
        Ok(()) | Err(Stop::Enough) => {}
        Err(Stop::Damage(damage)) => surveyor.survey.damage = Some(damage),
        Err(Stop::Error(why)) => return Err(why),
    }
    Ok(surveyor.survey)
}

/// Writes the bytes from `offset` to `end` again, durably: the last record, whose sync may never have been asked for, or
/// may have failed. In that case the system shows bytes that are not on the disk and that it takes for clean, so that a
/// sync alone would not bring them there. Every record in front of it was synced before the next one was written.
pub(super) fn write_again(file: &dyn DiskFile, offset: u64, end: u64) -> io::Result<()> {
    let bytes = usize::try_from(end.saturating_sub(offset)).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut record = vec![0; bytes];
    if read_full(file, &mut record, offset)? < bytes {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    write_full(file, &record, offset)?;
    file.sync_data()
}

/// Overwrites a torn end with zeros, durably.
pub(super) fn cut(file: &dyn DiskFile, torn: Torn) -> io::Result<()> {
    write_zeros(file, torn.offset, torn.bytes)?;
    file.sync_data()
}

/// What an error of the disk says.
pub(super) fn failed(disk: &dyn Disk, name: &str, why: io::Error) -> OpenError {
    match Damage::within(&why) {
        Some(damage) => OpenError::Damaged(damage.clone()),
        None => OpenError::Io { path: disk.path(name), why },
    }
}

/// As [`failed`], for a segment that was there a moment ago.
fn failed_segment(disk: &dyn Disk, name: &str, why: io::Error) -> OpenError {
    if why.kind() == io::ErrorKind::NotFound {
        return OpenError::Discarded { path: disk.path(name) };
    }
    failed(disk, name, why)
}

struct Surveyor<'a> {
    disk: &'a dyn Disk,
    survey: Survey,
    /// The number of the first segment.
    first: Option<u64>,
}

impl Surveyor<'_> {
    fn run(&mut self, scope: Scope, visit: &mut Visit<'_>) -> Result<(), Stop> {
        self.read_headers()?;
        self.check_start()?;
        let snapshot = self.survey.snapshots.newest.as_ref().map(Snapshot::tip);
        let after = match scope {
            Scope::After(version) => version,
            Scope::AfterSnapshot => snapshot.unwrap_or_default().version,
        };
        let begun = self.survey.segments.partition_point(|segment| segment.header.base.version <= after);
        let first = begun.saturating_sub(1);
        self.survey.tip = self.survey.segments.get(first).map(|s| s.header.base).unwrap_or_default();
        for at in first..self.survey.segments.len() {
            self.walk(at, visit)?;
        }
        self.check_end()
    }

    /// What looks like damage where files were given to other segments meanwhile is none. The first segment is the first to
    /// be discarded, and what is read of it can make the next one look damaged.
    fn unless_discarded(&self, stop: Stop) -> Stop {
        let Some(first) = self.first else { return stop };
        let name = segment::name(first);
        match (stop, self.disk.open_to_read(&name)) {
            (Stop::Damage(_), Err(why)) if why.kind() == io::ErrorKind::NotFound => {
                Stop::Error(OpenError::Discarded { path: self.disk.path(&name) })
            }
            (stop, _) => stop,
        }
    }

    fn read_headers(&mut self) -> Result<(), Stop> {
        let mut numbers = Vec::new();
        for file in self.disk.list(segment::DIR).map_err(|why| failed(self.disk, segment::DIR, why))? {
            match segment::number(&file) {
                Some(number) => numbers.push(number),
                None if super::spare::is_ours(&file) => {}
                None => {
                    let path = self.disk.path(segment::DIR).join(file);
                    tracing::warn!(path = %path.display(), "ignored: this is no segment");
                }
            }
        }
        numbers.sort_unstable();
        self.first = numbers.first().copied();
        for number in numbers {
            let header = self.read_header(number)?;
            if let Some(previous) = self.survey.segments.last().map(|segment| segment.header) {
                if previous.number + 1 != number {
                    let missing = segment::name(previous.number + 1);
                    return Err(self.damage(&missing, 0, "the segment is missing".to_owned()));
                }
                if header.base.version < previous.base.version {
                    let what = "the segment begins before the one in front of it".to_owned();
                    return Err(self.damage(&segment::name(number), 0, what));
                }
            }
            self.survey.segments.push(Segment { header, positions: None, groups: 0 });
        }
        Ok(())
    }

    fn read_header(&self, number: u64) -> Result<Header, Stop> {
        let name = segment::name(number);
        let io = |why| failed_segment(self.disk, &name, why);
        let file = self.disk.open_to_read(&name).map_err(io)?;
        let header = segment::read_header(&*file).map_err(io)?.map_err(|why| match why {
            HeaderError::UnknownFormat(format) => {
                Stop::Error(OpenError::UnknownFormat { path: self.disk.path(&name), format })
            }
            HeaderError::Checksum => self.damage(&name, 0, why.to_string()),
        })?;
        let bytes = file.len().map_err(io)?;
        if header.number != number {
            return Err(self.damage(&name, 0, format!("it is segment {} by its header", header.number)));
        }
        let wanted = header.file_bytes();
        if bytes != wanted {
            let what = format!("the segment has {bytes} bytes instead of {wanted}");
            return Err(self.damage(&name, bytes.min(wanted), what));
        }
        Ok(header)
    }

    /// What the journal no longer holds is in a snapshot.
    fn check_start(&self) -> Result<(), Stop> {
        let covered = self.survey.snapshots.newest.as_ref().map(Snapshot::tip);
        match (self.survey.segments.first().map(|segment| segment.header), covered) {
            (None, None) if self.survey.snapshots.damaged.is_empty() => Ok(()),
            (None, _) => {
                Err(self.damage(segment::DIR, 0, "there are snapshots and no segment at all".to_owned()))
            }
            (Some(first), covered) => {
                let covered = covered.map_or(Version::ZERO, |tip| tip.version);
                if first.base.version <= covered {
                    return Ok(());
                }
                if let Some(damage) = self.survey.snapshots.damaged.first() {
                    return Err(Stop::Damage(damage.clone()));
                }
                let start = first.base.version;
                let what = format!(
                    "the journal begins after version {start}, but its newest snapshot is of {covered}: \
                     what is between is missing"
                );
                Err(self.damage(&segment::name(first.number), 0, what))
            }
        }
    }

    /// Looks at every record of a segment.
    fn walk(&mut self, at: usize, visit: &mut Visit<'_>) -> Result<(), Stop> {
        let Some(header) = self.survey.segments.get(at).map(|segment| segment.header) else { return Ok(()) };
        let name = segment::name(header.number);
        if header.base != self.survey.tip {
            // The segment before it ends where its successor does not begin. Where it ends is where the damage is.
            let damaged = segment::name(header.number - 1);
            let what = format!(
                "the segment ends at version {}, but the next one begins after {}, or after another group",
                self.survey.tip.version, header.base.version
            );
            return Err(self.damage(&damaged, self.survey.position, what));
        }
        self.check_snapshot(&name, segment::FIRST_RECORD)?;
        let file =
            segment::open(self.disk, header.number).map_err(|why| failed_segment(self.disk, &name, why))?;
        let is_last = at + 1 == self.survey.segments.len();
        self.survey.position = segment::FIRST_RECORD;
        self.survey.last_record = None;
        self.survey.marked = true;
        let mut walked = Walked::default();
        let walk = loop {
            let walk = self.walk_records(&file, header, &mut walked, visit);
            let more = walk.and_then(|()| Ok(is_last && self.look_behind_end(&*file, header)?));
            match more {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(stop) => break Err(stop),
            }
        };
        if let Some(segment) = self.survey.segments.get_mut(at) {
            (segment.positions, segment.groups) = (Some(walked.positions), walked.groups);
        }
        walk
    }

    /// Looks at the records from the position on, up to where no whole one begins.
    fn walk_records(
        &mut self,
        file: &Arc<dyn DiskFile>,
        header: Header,
        walked: &mut Walked,
        visit: &mut Visit<'_>,
    ) -> Result<(), Stop> {
        let name = segment::name(header.number);
        let mut cursor = Cursor::new(Arc::clone(file), header.number, self.survey.position);
        while let Some(record) = cursor.next().map_err(|why| failed(self.disk, &name, why))? {
            let offset = self.survey.position;
            let tip = self.survey.tip;
            if record.base != tip.version {
                let what = format!("a record follows version {} instead of {}", record.base, tip.version);
                return Err(self.damage(&name, offset, what));
            }
            match record.content {
                Content::Groups(content) => {
                    walked.positions.push(tip.version, offset);
                    for group in content {
                        let group = group.map_err(|why| self.damage(&name, offset, why.to_string()))?;
                        self.follow(&name, offset, &group)?;
                        walked.groups += 1;
                        if visit(&group).is_break() {
                            return Err(Stop::Enough);
                        }
                    }
                    self.survey.marked = false;
                    self.survey.before_last = record.base;
                    if self.survey.snapshots.newest.as_ref().is_none_or(|s| s.tip().version <= record.base) {
                        self.survey.bytes_after_snapshot += record.bytes as u64;
                    }
                }
                Content::Mark(hash) if hash == tip.hash => self.survey.marked = true,
                Content::Mark(_) => {
                    return Err(self.damage(&name, offset, "a mark follows another group".to_owned()));
                }
            }
            self.survey.position += record.bytes as u64;
            self.survey.last_record = Some(offset);
        }
        Ok(())
    }

    fn follow(&mut self, name: &str, offset: u64, group: &Group) -> Result<(), Stop> {
        let tip = self.survey.tip;
        if group.base() != tip.version || group.previous() != tip.hash {
            let what =
                format!("the group after version {} does not follow the group before it", group.base());
            return Err(self.damage(name, offset, what));
        }
        let end = Tip { version: group.last(), hash: group.hash() };
        let snapshot = self.survey.snapshots.newest.as_ref().map(Snapshot::tip);
        if snapshot.is_some_and(|at| tip.version < at.version && at.version < end.version) {
            return Err(self.foreign_snapshot(name, offset));
        }
        self.survey.tip = end;
        self.check_snapshot(name, offset)
    }

    /// The snapshot stands at the end of a group of this journal.
    fn check_snapshot(&self, name: &str, offset: u64) -> Result<(), Stop> {
        let tip = self.survey.tip;
        match self.survey.snapshots.newest.as_ref().map(Snapshot::tip) {
            Some(at) if at.version == tip.version && at.hash != tip.hash => {
                Err(self.foreign_snapshot(name, offset))
            }
            _ => Ok(()),
        }
    }

    fn foreign_snapshot(&self, name: &str, offset: u64) -> Stop {
        self.damage(name, offset, "the newest snapshot is of another journal".to_owned())
    }

    /// In the last segment, where no whole record begins: is it the end? Gives whether more was written meanwhile, which
    /// happens where the directory is in use.
    fn look_behind_end(&mut self, file: &dyn DiskFile, header: Header) -> Result<bool, Stop> {
        let name = segment::name(header.number);
        let (offset, tip) = (self.survey.position, self.survey.tip);
        let read = || read_up_to_zeros(file, offset).map_err(|why| failed(self.disk, &name, why));
        let whole_at = |bytes: &[u8]| whole_record(bytes, header.number);
        let rest = read()?;
        if rest.is_empty() {
            return Ok(false);
        }
        let whole = (0..rest.len()).step_by(ALIGNMENT_BYTES).find(|at| {
            let base = rest.get(*at..).and_then(whole_at);
            base.is_some_and(|base| base >= tip.version) && !defect::is(Defect::DamageTakenForTornEnd)
        });
        match whole {
            None => {
                self.survey.torn = Some(Torn { offset, bytes: rest.len() as u64 });
                Ok(false)
            }
            Some(0) => Ok(true),
            // A record is begun only when the one in front of it is durable: looked at again, that one is whole, unless it
            // was changed.
            Some(_) if whole_at(&read()?).is_some() => Ok(true),
            Some(at) => {
                let what = format!(
                    "the record after version {} cannot be read, and a whole one follows it at byte {}",
                    tip.version,
                    offset + at as u64
                );
                Err(self.damage(&name, offset, what))
            }
        }
    }

    fn check_end(&self) -> Result<(), Stop> {
        let tip = self.survey.tip;
        if let Some(last) =
            self.survey.segments.last().map(|last| last.header).filter(|last| last.packed.is_some())
        {
            let missing = segment::name(last.number + 1);
            let what = "the segment is missing: the one in front of it was ended and compressed".to_owned();
            return Err(self.damage(&missing, 0, what));
        }
        let Some(snapshot) = self.survey.snapshots.newest.as_ref().map(Snapshot::tip) else { return Ok(()) };
        if snapshot.version <= tip.version {
            return Ok(());
        }
        let last = self.survey.segments.last().map_or(0, |segment| segment.header.number);
        let what = format!(
            "the journal ends at version {}, before its snapshot of version {}: its end is missing",
            tip.version, snapshot.version
        );
        Err(self.damage(&segment::name(last), self.survey.position, what))
    }

    fn damage(&self, name: &str, offset: u64, what: String) -> Stop {
        Stop::Damage(Damage { path: self.disk.path(name), offset, what })
    }
}

/// The base of the whole record of this segment that these bytes begin with. Behind them the file holds zeros only, and a
/// record may end with some.
fn whole_record(bytes: &[u8], segment: u64) -> Option<Version> {
    let size = record::size(bytes, segment)?;
    let mut record = bytes.get(..size.min(bytes.len()))?.to_vec();
    record.resize(size, 0);
    record::parse(&record, segment).map(|record| record.base)
}

/// Where the last byte is that is not zero. Most of a segment is zeros: they are looked at many at a time.
fn last_that_is_not_zero(bytes: &[u8]) -> Option<usize> {
    const BLOCK_BYTES: usize = 512;
    let mut end = bytes.len();
    for block in bytes.rchunks(BLOCK_BYTES) {
        let begin = end - block.len();
        if block.iter().fold(0, |any, byte| any | byte) != 0 {
            return block.iter().rposition(|byte| *byte != 0).map(|last| begin + last);
        }
        end = begin;
    }
    None
}

/// The file's bytes from `offset` to the last one that is not zero, rounded up to whole alignment.
fn read_up_to_zeros(file: &dyn DiskFile, offset: u64) -> io::Result<Vec<u8>> {
    const PIECE_BYTES: usize = 1 << 20;
    let mut end = offset;
    let mut at = offset;
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let count = read_full(file, &mut piece, at)?;
        let read = piece.get(..count).unwrap_or_default();
        if let Some(last) = last_that_is_not_zero(read) {
            end = at + last as u64 + 1;
        }
        at += count as u64;
        if count < PIECE_BYTES {
            break;
        }
    }
    let bytes = usize::try_from(end - offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut rest = vec![0; bytes.next_multiple_of(ALIGNMENT_BYTES)];
    let count = read_full(file, &mut rest, offset)?;
    rest.truncate(count);
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_byte_that_is_not_zero_is_found_wherever_it_is() {
        assert_eq!(last_that_is_not_zero(&[0; 2_000]), None);
        for length in [1, 511, 512, 513, 2_000] {
            for last in 0..length {
                let mut bytes = vec![0; length];
                bytes[0] = 1;
                bytes[last] = 1;
                assert_eq!(last_that_is_not_zero(&bytes), Some(last), "of {length}");
            }
        }
    }
}
