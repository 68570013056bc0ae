//! A group: the events that one durable write carries, and its bytes.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 2 | format: 4; 3 had no returns, 2 no accounts, 1 no bulk purchases |
//! | 2 | 2 | zero |
//! | 4 | 4 | number of events, at least 1 |
//! | 8 | 8 | base: the version before the first event |
//! | 16 | 16 | append id, random |
//! | 32 | 32 | BLAKE3 hash of the bytes of the group before it; zeros for the first |
//! | 64 | … | the events, one after the other |
//!
//! Integers are little-endian. The hash of a group is the BLAKE3 hash of all its bytes. The storage that
//! carries a group adds its own framing and checksum.

use alloc::vec::Vec;

use ::bytes::{Buf, BufMut, Bytes};

use super::bytes::{Malformed, decode_record, encode_record};
use crate::event::Record;
use crate::id::{AppendId, Hash, Version};
use crate::limits::GROUP_BYTES_MAX;
use crate::time::Time;

/// The format that [`GroupBuilder`] writes; those before it are read too.
pub const GROUP_FORMAT: u16 = 4;

const HEADER_BYTES: usize = 64;
const APPEND_ID_OFFSET: usize = 16;

/// The events that one durable write carries. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    bytes: Bytes,
    base: Version,
    events: u32,
    append_id: AppendId,
    previous: Hash,
    hash: Hash,
}

/// Why bytes are no group.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// They are of a format this program does not know.
    #[error("the group is of format {0}; this program knows those up to {GROUP_FORMAT}: use a newer one")]
    UnknownFormat(u16),
    /// They are too few or too many, or hold no event.
    #[error("the group of {0} bytes is too short, too long or empty")]
    Size(usize),
    /// They say that there are more events than versions are left.
    #[error("the group after version {0} says that it goes beyond the last version that can be")]
    BeyondLast(Version),
    /// An event in them cannot be read.
    #[error("the event after version {after} cannot be read: {why}")]
    Event {
        /// The version before the event.
        after: Version,
        /// What is wrong with it.
        why: Malformed,
    },
}

impl Group {
    /// The group with these bytes. Checks the header; the events are checked as they are read.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, GroupError> {
        let size = GroupError::Size(bytes.len());
        if bytes.len() <= HEADER_BYTES || bytes.len() > GROUP_BYTES_MAX {
            return Err(size);
        }
        let mut header = bytes.get(..HEADER_BYTES).ok_or(size.clone())?;
        let mut previous = [0; 32];
        let (format, zero, events) = (header.get_u16_le(), header.get_u16_le(), header.get_u32_le());
        let (base, append_id) = (header.get_u64_le(), header.get_u128_le());
        header.copy_to_slice(&mut previous);
        if !(1..=GROUP_FORMAT).contains(&format) {
            return Err(GroupError::UnknownFormat(format));
        }
        if zero != 0 || events == 0 {
            return Err(size);
        }
        if base.checked_add(u64::from(events)).is_none() {
            return Err(GroupError::BeyondLast(Version(base)));
        }
        let hash = Hash::of(&bytes);
        let (base, append_id, previous) = (Version(base), AppendId(append_id), Hash(previous));
        Ok(Self { bytes, base, events, append_id, previous, hash })
    }

    /// The bytes, as a journal stores them.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The version before the first event: the journal must end here for the group to be appended.
    pub const fn base(&self) -> Version {
        self.base
    }

    /// How many events it carries; at least one.
    pub const fn events(&self) -> u32 {
        self.events
    }

    /// The version after the last event.
    pub fn last(&self) -> Version {
        self.base.plus(u64::from(self.events))
    }

    /// What tells this attempt to write from every other.
    pub const fn append_id(&self) -> AppendId {
        self.append_id
    }

    /// The hash of the group before it.
    pub const fn previous(&self) -> Hash {
        self.previous
    }

    /// The hash of this group's bytes.
    pub const fn hash(&self) -> Hash {
        self.hash
    }

    /// When its first event happened: none of it before, and all groups in front of it at that time or before.
    pub fn begins_at(&self) -> Result<Time, GroupError> {
        match self.records().next() {
            Some(record) => record.map(|(_, record)| record.at),
            None => Err(GroupError::Size(self.bytes.len())),
        }
    }

    /// The events, each with the version it makes. After an error there are no more.
    pub fn records(&self) -> impl Iterator<Item = Result<(Version, Record), GroupError>> {
        let mut rest = self.bytes.get(HEADER_BYTES..).unwrap_or_default();
        let mut version = self.base;
        let last = self.last();
        core::iter::from_fn(move || {
            if version >= last {
                let trailing = !rest.is_empty();
                rest = &[];
                let why = Malformed::TrailingBytes;
                return trailing.then_some(Err(GroupError::Event { after: version, why }));
            }
            match decode_record(&mut rest) {
                Ok(record) => {
                    version = version.plus(1);
                    Some(Ok((version, record)))
                }
                Err(why) => {
                    let after = version;
                    (version, rest) = (last, &[]);
                    Some(Err(GroupError::Event { after, why }))
                }
            }
        })
    }
}

/// Collects events into the bytes of a group.
#[derive(Debug)]
pub struct GroupBuilder {
    bytes: Vec<u8>,
    base: Version,
    events: u32,
}

impl GroupBuilder {
    /// A group that follows this version.
    pub fn new(base: Version) -> Self {
        let mut bytes = Vec::with_capacity(4 << 10);
        bytes.put_u16_le(GROUP_FORMAT);
        bytes.put_bytes(0, HEADER_BYTES.saturating_sub(2));
        Self { bytes, base, events: 0 }
    }

    /// Adds an event.
    pub fn push(&mut self, record: &Record) {
        encode_record(&mut self.bytes, record);
        self.events = self.events.saturating_add(1);
    }

    /// Whether no event was added.
    pub const fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Its size so far, in bytes.
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The version after the last event added.
    pub fn last(&self) -> Version {
        self.base.plus(u64::from(self.events))
    }

    /// The group, to be written as this attempt after the group with this hash. None if no event was added.
    pub fn seal(mut self, append_id: AppendId, previous: Hash) -> Option<Group> {
        if self.is_empty() {
            return None;
        }
        let Self { base, events, .. } = self;
        let (mut counts, mut links) = self.bytes.get_mut(4..HEADER_BYTES)?.split_at_mut(APPEND_ID_OFFSET - 4);
        counts.put_u32_le(events);
        counts.put_u64_le(base.0);
        links.put_u128_le(append_id.0);
        links.put_slice(&previous.0);
        let bytes = Bytes::from(self.bytes);
        let hash = Hash::of(&bytes);
        Some(Group { bytes, base, events, append_id, previous, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Chain;

    #[test]
    fn a_group_that_says_more_events_than_versions_are_left_is_refused() {
        let mut bytes = Chain::new(1).next(100).bytes().to_vec();
        let base = u64::MAX - 1;
        bytes[8..16].copy_from_slice(&base.to_le_bytes());
        assert!(Group::from_bytes(bytes.clone().into()).is_ok());
        bytes[4..8].copy_from_slice(&2_u32.to_le_bytes());
        assert_eq!(Group::from_bytes(bytes.into()), Err(GroupError::BeyondLast(Version(base))));
    }
}
