//! Which segments are kept. Whatever is said, those that the older of the two kept snapshots needs for its replay are.

use std::io;
use std::time::Duration;

use inventory_core::defect::{self, Defect};
use inventory_core::journal::{Group, JournalError};
use inventory_core::{Time, Version};

use super::{UpkeepError, failed};
use crate::disk::Disk;
use crate::file::cursor::Cursor;
use crate::file::index::Entry;
use crate::file::reader::unreachable;
use crate::file::record::Content;
use crate::file::segment;
use crate::file::shared::Shared;
use crate::file::snapshots;
use crate::file::spare::RECYCLED;

/// How much of the journal is kept for `history` and the like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retain {
    /// All of it.
    #[default]
    Everything,
    /// What happened in this time until now, and the segments that hold the beginning of it.
    For(Duration),
    /// As many of the newest segments as have this many bytes together, as they are on the disk.
    Bytes(u64),
}

/// Discards what need not be kept at this time.
pub(super) fn discard(
    shared: &Shared,
    segment_bytes: u64,
    retain: Retain,
    now: Time,
) -> Result<(), UpkeepError> {
    let segments = kept(shared);
    let through = match retain {
        Retain::Everything => return Ok(()),
        Retain::For(age) => {
            let micros = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
            ended_before(shared, &segments, now.minus_micros(micros))?
        }
        Retain::Bytes(bytes) => exceeding(&segments, bytes),
    };
    match through {
        Some(through) => Ok(discard_through(shared, segment_bytes, through)?),
        None => Ok(()),
    }
}

/// What is kept of a segment, and what it takes.
#[derive(Clone, Copy, Debug)]
struct Kept {
    number: u64,
    base: Version,
    file_bytes: u64,
}

/// The segments, oldest first. Not the whole entries: the writer waits for the index meanwhile.
fn kept(shared: &Shared) -> Vec<Kept> {
    let index = shared.index();
    let kept = |entry: &Entry| Kept { number: entry.number, base: entry.base, file_bytes: entry.file_bytes };
    index.segments.iter().map(kept).collect()
}

/// The end of the last segment that holds only what happened before this time.
fn ended_before(shared: &Shared, segments: &[Kept], time: Time) -> Result<Option<Version>, UpkeepError> {
    let mut end = None;
    // Time never goes back: what a segment holds happened before the first event of the next one.
    for next in segments.iter().skip(1) {
        let first = first_time(&*shared.disk, next.number);
        match first.map_err(|why| failed(shared, &segment::name(next.number), why))? {
            Some(first) if first < time => end = Some(next.base),
            Some(_) if defect::is(Defect::YoungSegmentDiscarded) => return Ok(Some(next.base)),
            _ => break,
        }
    }
    Ok(end)
}

/// When the first event in a segment happened; none if it holds none yet.
fn first_time(disk: &dyn Disk, number: u64) -> io::Result<Option<Time>> {
    let mut cursor = Cursor::new(segment::open(disk, number)?, number, segment::FIRST_RECORD);
    while let Some(record) = cursor.next()? {
        let Content::Groups(mut groups) = record.content else { continue };
        let group = groups.next().and_then(Result::ok);
        return Ok(group.as_ref().and_then(|group: &Group| Some(group.records().next()?.ok()?.1.at)));
    }
    Ok(None)
}

/// The end of the segments in front of the newest ones that have this many bytes together.
fn exceeding(segments: &[Kept], bytes: u64) -> Option<Version> {
    let mut kept = 0u64;
    let too_old = segments.iter().rev().find(|segment| {
        kept = kept.saturating_add(segment.file_bytes);
        kept > bytes
    })?;
    let next = segments.iter().find(|segment| segment.number == too_old.number + 1);
    Some(next.unwrap_or(too_old).base)
}

/// Drops the segments whose every event is at or before `version`, except those that a kept snapshot still needs; see
/// `Journal::discard_through`. Oldest first, each made durable before the next: whatever a crash leaves has no hole.
pub(in crate::file) fn discard_through(
    shared: &Shared,
    segment_bytes: u64,
    version: Version,
) -> Result<(), JournalError> {
    let known = shared.housekeeping();
    let disk = &*shared.disk;
    let covered = version.min(known.newest.unwrap_or_default());
    let is_nothing = |covered| shared.index().segments.get(1).is_none_or(|second| second.base > covered);
    if is_nothing(covered) && !defect::is(Defect::DiscardsUncovered) {
        return Ok(());
    }
    let kept = snapshots::oldest_kept(disk).map_err(|why| unreachable(disk, snapshots::DIR, &why))?;
    let covered = covered.min(kept.unwrap_or_default());
    let covered = if defect::is(Defect::DiscardsUncovered) { version } else { covered };
    if is_nothing(covered) {
        return Ok(());
    }
    // What was found may have its name only until the power fails, if the sync of whoever saved it went wrong.
    disk.sync_dir(snapshots::DIR).map_err(|why| unreachable(disk, snapshots::DIR, &why))?;
    loop {
        let first = {
            let mut index = shared.index();
            match index.segments.get(1) {
                Some(second) if second.base <= covered => index.segments.remove(0),
                _ => return Ok(()),
            }
        };
        let name = segment::name(first.number);
        let recycle = first.is_of_size(segment_bytes) && disk.open_to_read(RECYCLED).is_err();
        let gone = if recycle { disk.rename(&name, RECYCLED) } else { disk.discard(&name) };
        if let Err(why) = gone {
            // It is still the first: were the next one discarded before it, there would be a hole.
            shared.index().segments.insert(0, first);
            return Err(unreachable(disk, &name, &why));
        }
        disk.sync_dir(segment::DIR).map_err(|why| unreachable(disk, &name, &why))?;
    }
}
