//! Finding the place of a time: first the segment, by the first group of each, then the stretch of it, by the records whose
//! places the index knows. Times never go back in a journal, so both are sorted; a handful of groups are read.

use inventory_core::journal::JournalError;
use inventory_core::{Time, Version};

use super::reader;
use super::shared::Shared;

/// See `Journal::position`.
pub(super) fn position(shared: &Shared, time: Time) -> Result<Version, JournalError> {
    loop {
        let start = shared.index().start();
        match look_up(shared, start, time) {
            // Discarded meanwhile: the next attempt begins behind it.
            Err(JournalError::Discarded { .. }) if shared.index().start() > start => {}
            found => return found,
        }
    }
}

fn look_up(shared: &Shared, start: Version, time: Time) -> Result<Version, JournalError> {
    let bases: Vec<Version> = shared.index().segments.iter().map(|segment| segment.base).collect();
    let Some(base) = last_begun(shared, &bases, time)? else {
        let unknown = JournalError::Discarded { after: Version::ZERO, start };
        return if start == Version::ZERO { Ok(start) } else { Err(unknown) };
    };
    let Some(segment) = shared.index().segment_of(base).cloned() else { return Ok(base) };
    let records = reader::positions(shared, &segment)?.versions();
    Ok(last_begun(shared, &records, time)?.unwrap_or(base))
}

/// The last of these versions, which are in order, whose next group begins before this time.
fn last_begun(shared: &Shared, versions: &[Version], time: Time) -> Result<Option<Version>, JournalError> {
    let mut found = None;
    let mut rest = versions;
    while let Some((front, [middle, behind @ ..])) = rest.split_at_checked(rest.len() / 2) {
        rest = match reader::read(shared, *middle, 0)?.first() {
            Some(group) if group.begins_at()? < time => {
                found = Some(*middle);
                behind
            }
            _ => front,
        };
    }
    Ok(found)
}
