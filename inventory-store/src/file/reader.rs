//! Reads groups from the segments, with files of its own, so that it disturbs nobody. Only what is durable is given.

use std::borrow::Cow;
use std::io;

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
    let position = if page.next == entry.base { None } else { positions(shared, entry)?.before(page.next) };
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

/// Where some of a segment's records are; looked for in the file the first time.
pub(super) fn positions<'entry>(
    shared: &Shared,
    entry: &'entry Entry,
) -> Result<Cow<'entry, Positions>, JournalError> {
    if let Some(known) = &entry.positions {
        return Ok(Cow::Borrowed(known));
    }
    let name = segment::name(entry.number);
    let file = segment::open(&*shared.disk, entry.number);
    let walk = file.map(|file| Cursor::new(file, entry.number, segment::FIRST_RECORD));
    let found = walk.and_then(find_positions).map_err(|why| unreachable(&*shared.disk, &name, &why))?;
    shared.index().learn(entry.number, found.clone());
    Ok(Cow::Owned(found))
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
