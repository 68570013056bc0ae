//! Reads groups from the segments, on the caller's thread, with files of its own. Only what is durable is given.

use std::io;
use std::sync::Arc;

use inventory_core::Version;
use inventory_core::journal::{Group, JournalError};

use super::cursor::Cursor;
use super::damage::Damage;
use super::index::{Entry, Positions};
use super::record::Content;
use super::segment;
use super::shared::Shared;
use crate::disk::Disk;

/// See `Journal::read`.
pub(super) fn read(shared: &Shared, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
    let mut page = Page { next: after, bytes: 0, bytes_max, groups: Vec::new() };
    while !page.is_full() {
        let (entry, end) = {
            let index = shared.index();
            let (start, end) = (index.start(), index.tip.version);
            if page.next < start {
                return Err(JournalError::Discarded { after, start });
            }
            if page.next == end {
                break;
            }
            if page.next > end {
                let what = format!("version {after} was asked for, but the journal ends at {end}");
                return Err(JournalError::Damaged(what));
            }
            let Some(entry) = index.segment_of(page.next).cloned() else { break };
            (entry, end)
        };
        let read = read_segment(shared, &entry, end, &mut page);
        let discarded = shared.index().segment(entry.number).is_none();
        match read {
            Ok(()) => {}
            // The file may have become another segment's meanwhile: it is the index that counts.
            Err(_) if discarded => {}
            Err(why) => return Err(why),
        }
    }
    Ok(page.groups)
}

/// The groups collected so far.
struct Page {
    next: Version,
    bytes: usize,
    bytes_max: usize,
    groups: Vec<Group>,
}

impl Page {
    fn is_full(&self) -> bool {
        !self.groups.is_empty() && self.bytes >= self.bytes_max
    }

    /// Takes the group, if it is the next and fits; gives whether to go on.
    fn take(&mut self, group: Group) -> bool {
        let bytes = self.bytes.saturating_add(group.bytes().len());
        if !self.groups.is_empty() && bytes > self.bytes_max {
            self.bytes = self.bytes_max;
            return false;
        }
        (self.bytes, self.next) = (bytes, group.last());
        self.groups.push(group);
        !self.is_full()
    }
}

/// Adds what a segment holds from the page's next version on, up to the durable `end` of the journal.
fn read_segment(shared: &Shared, entry: &Entry, end: Version, page: &mut Page) -> Result<(), JournalError> {
    let name = segment::name(entry.number);
    let unreachable = |why: io::Error| unreachable(&*shared.disk, &name, &why);
    let damaged = |offset, what: String| {
        JournalError::Damaged(Damage { path: shared.disk.path(&name), offset, what }.to_string())
    };
    let file = segment::open(&*shared.disk, entry.number).map_err(unreachable)?;
    let position = if entry.positions.is_some() {
        entry.position_before(page.next)
    } else {
        let walk = Cursor::new(Arc::clone(&file), entry.number, segment::FIRST_RECORD);
        let positions = find_positions(walk).map_err(unreachable)?;
        let entry = Entry { positions: Some(positions.clone()), ..entry.clone() };
        shared.index().learn(entry.number, positions);
        entry.position_before(page.next)
    };
    let mut cursor = Cursor::new(file, entry.number, position.unwrap_or(segment::FIRST_RECORD));
    // Where this segment ends and the next begins, or the journal ends.
    let next_base = shared.index().segment(entry.number + 1).map_or(end, |next| next.base.min(end));
    while page.next < next_base {
        let offset = cursor.position();
        let Some(record) = cursor.next().map_err(unreachable)? else {
            let what = format!("no whole record follows version {}", page.next);
            return Err(damaged(offset, what));
        };
        let Content::Groups(groups) = record.content else { continue };
        for group in groups {
            let group = group.map_err(|why| damaged(offset, why.to_string()))?;
            if group.last() <= page.next {
                continue;
            }
            if group.base() != page.next {
                let what = format!("no group begins at version {}", page.next);
                return Err(damaged(offset, what));
            }
            if !page.take(group) {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What an error of the disk says.
pub(super) fn unreachable(disk: &dyn Disk, name: &str, why: &io::Error) -> JournalError {
    match Damage::within(why) {
        Some(damage) => JournalError::Damaged(damage.to_string()),
        None => JournalError::Unreachable(format!("{}: {why}", disk.path(name).display())),
    }
}

/// Notes where a segment's records are.
fn find_positions(mut cursor: Cursor) -> io::Result<Positions> {
    let mut positions = Positions::default();
    loop {
        let offset = cursor.position();
        let Some(record) = cursor.next()? else { return Ok(positions) };
        if let Content::Groups(_) = record.content {
            positions.push(record.base, offset);
        }
    }
}
