//! A record: what one durable write adds to a segment. This file owns its bytes and never touches a file.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | CRC-64/NVME of everything behind this field, padding included |
//! | 8 | 4 | payload bytes, without padding |
//! | 12 | 2 | kind: 1 groups, 2 mark |
//! | 14 | 2 | zero |
//! | 16 | 8 | number of the segment it was written to |
//! | 24 | 8 | base: the version before it |
//! | 32 | … | payload |
//! | … | 0–7 | zeros up to a multiple of 8 |
//!
//! Integers are little-endian. The payload of kind 1 is one or more groups, each its length in 4 bytes, then its bytes.
//! The payload of kind 2 is the 32-byte hash of the group that ends at the base (zeros if there is none).
//!
//! # Why all groups of a write are one record
//!
//! Groups that wait together are written and synced together. If the power fails before the sync ends, any of their
//! pages may be on the disk and any may not, in no order. Were each group a record, a whole record could stand behind
//! a torn one without any damage having happened. One checksum over all of them makes the write all or nothing; and
//! because the next record is written only after the sync of this one has ended, a whole record behind a broken one
//! **always** means that durable bytes were changed. So there are only two cases: a broken record with nothing whole behind
//! it is the torn end of a write that was never answered, and is cut; anything else is damage, and is refused.
//!
//! # Why there are marks
//!
//! A changed bit in the very last record looks like a torn write: there is nothing behind it. So a mark is written behind
//! the last groups when the journal is closed and when it is opened. From then on a change in those groups is seen. What
//! stays unseen is a change in the last record between a crash and the next opening.
//!
//! # Why old bytes cannot come back
//!
//! The number of the segment is in every record and under its checksum, and no number is used twice. What an earlier
//! segment left in a reused file, or on the blocks of a new one, is therefore no record of this segment.

use bytes::{Buf, BufMut, Bytes};
use inventory_core::defect::{self, Defect};
use inventory_core::journal::{Group, GroupError, Tip};
use inventory_core::limits::GROUP_BYTES_MAX;
use inventory_core::{Hash, Version};

/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 32;
/// Bytes of a mark.
pub(super) const MARK_BYTES: usize = HEADER_BYTES + 32;
/// Bytes before each group in a payload.
pub(super) const GROUP_PREFIX_BYTES: usize = 4;
/// Size at which a record takes no further group, in bytes of payload.
pub(super) const PAYLOAD_BYTES_TARGET: usize = 4 << 20;
/// Largest payload, in bytes: one just below its target takes one more group.
const PAYLOAD_BYTES_MAX: usize = PAYLOAD_BYTES_TARGET + GROUP_PREFIX_BYTES + GROUP_BYTES_MAX;
/// Records begin at multiples of this.
pub(super) const ALIGNMENT_BYTES: usize = 8;

const CHECKSUM_BYTES: usize = 8;
const KIND_GROUPS: u16 = 1;
const KIND_MARK: u16 = 2;

/// Bytes of a record with this payload, padding included.
pub(super) const fn record_bytes(payload_bytes: usize) -> usize {
    (HEADER_BYTES + payload_bytes).next_multiple_of(ALIGNMENT_BYTES)
}

/// Begins a record of groups in this buffer; what was there is dropped, its room is used again.
pub(super) fn begin(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.put_bytes(0, HEADER_BYTES);
}

/// Adds a group.
pub(super) fn push_group(buffer: &mut Vec<u8>, group: &Group) {
    // Groups are at most GROUP_BYTES_MAX, far below 2^32 bytes.
    buffer.put_u32_le(u32::try_from(group.bytes().len()).unwrap_or(u32::MAX));
    buffer.put_slice(group.bytes());
}

/// Ends the record of groups that was begun in this buffer.
pub(super) fn seal_groups(buffer: &mut Vec<u8>, segment: u64, base: Version) {
    seal(buffer, KIND_GROUPS, segment, base);
}

/// Puts a mark into this buffer.
pub(super) fn write_mark(buffer: &mut Vec<u8>, segment: u64, tip: Tip) {
    begin(buffer);
    buffer.put_slice(&tip.hash.0);
    seal(buffer, KIND_MARK, segment, tip.version);
}

fn seal(buffer: &mut Vec<u8>, kind: u16, segment: u64, base: Version) {
    let payload_bytes = buffer.len().saturating_sub(HEADER_BYTES);
    buffer.resize(record_bytes(payload_bytes), 0);
    if let Some(mut header) = buffer.get_mut(CHECKSUM_BYTES..HEADER_BYTES) {
        header.put_u32_le(u32::try_from(payload_bytes).unwrap_or(u32::MAX));
        header.put_u16_le(kind);
        header.put_u16_le(0);
        header.put_u64_le(segment);
        header.put_u64_le(base.0);
    }
    let checksum = crc_fast::crc64_nvme(buffer.get(CHECKSUM_BYTES..).unwrap_or_default());
    if let Some(mut field) = buffer.get_mut(..CHECKSUM_BYTES) {
        field.put_u64_le(checksum);
    }
}

/// A whole record.
#[derive(Debug)]
pub(super) struct Record<'a> {
    /// The version before it.
    pub(super) base: Version,
    /// Its size, padding included.
    pub(super) bytes: usize,
    pub(super) content: Content<'a>,
}

/// What a record holds.
#[derive(Debug)]
pub(super) enum Content<'a> {
    Groups(Groups<'a>),
    /// The journal ended here with this hash when it was opened or closed.
    Mark(Hash),
}

/// The size of the record that begins with these bytes, if they can be the header of a record of this segment.
pub(super) fn size(header: &[u8], segment: u64) -> Option<usize> {
    let mut fields = header.get(CHECKSUM_BYTES..HEADER_BYTES)?;
    let payload_bytes = usize::try_from(fields.get_u32_le()).ok()?;
    let (kind, zero, number) = (fields.get_u16_le(), fields.get_u16_le(), fields.get_u64_le());
    let possible = payload_bytes > 0
        && payload_bytes <= PAYLOAD_BYTES_MAX
        && matches!(kind, KIND_GROUPS | KIND_MARK)
        && zero == 0
        && number == segment;
    possible.then(|| record_bytes(payload_bytes))
}

/// The record that these bytes begin with, if it is whole and of this segment.
pub(super) fn parse(bytes: &[u8], segment: u64) -> Option<Record<'_>> {
    let record = bytes.get(..size(bytes, segment)?)?;
    let (mut checksum, mut checked) = record.split_at_checked(CHECKSUM_BYTES)?;
    if checksum.get_u64_le() != crc_fast::crc64_nvme(checked) && !defect::is(Defect::ChecksumIgnored) {
        return None;
    }
    let payload_bytes = usize::try_from(checked.get_u32_le()).ok()?;
    let (kind, _, _) = (checked.get_u16_le(), checked.get_u16_le(), checked.get_u64_le());
    let base = Version(checked.get_u64_le());
    let payload = checked.get(..payload_bytes)?;
    let content = match kind {
        KIND_MARK => Content::Mark(Hash(payload.try_into().ok()?)),
        _ => Content::Groups(Groups(payload)),
    };
    Some(Record { base, bytes: record.len(), content })
}

/// The groups in a payload, in order.
#[derive(Debug)]
pub(super) struct Groups<'a>(&'a [u8]);

impl Iterator for Groups<'_> {
    type Item = Result<Group, GroupError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let rest = std::mem::take(&mut self.0);
        let split = rest.split_first_chunk().and_then(|(length, rest)| {
            rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)
        });
        let Some((group, rest)) = split else { return Some(Err(GroupError::Size(rest.len()))) };
        self.0 = rest;
        Some(Group::from_bytes(Bytes::copy_from_slice(group)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use inventory_core::testing::Chain;

    fn sample(segment: u64) -> (Vec<u8>, Vec<Group>) {
        let mut chain = Chain::new(1);
        let groups = vec![chain.next(101), chain.next(82)];
        let mut buffer = vec![7; 3];
        begin(&mut buffer);
        for group in &groups {
            push_group(&mut buffer, group);
        }
        seal_groups(&mut buffer, segment, Version(9));
        (buffer, groups)
    }

    #[test]
    fn groups_are_read_back() {
        let (buffer, groups) = sample(5);
        let record = parse(&buffer, 5).unwrap();
        assert_eq!(
            (record.base, record.bytes, buffer.len() % ALIGNMENT_BYTES),
            (Version(9), buffer.len(), 0)
        );
        let Content::Groups(read) = record.content else { panic!("{:?}", record.content) };
        assert_eq!(read.collect::<Result<Vec<_>, _>>().unwrap(), groups);
    }

    #[test]
    fn a_record_of_another_segment_is_none() {
        assert!(parse(&sample(5).0, 6).is_none());
    }

    #[test]
    fn a_record_with_any_changed_bit_is_none() {
        let (buffer, _) = sample(5);
        for bit in 0..buffer.len() * 8 {
            let mut changed = buffer.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert!(parse(&changed, 5).is_none(), "bit {bit}");
        }
    }

    #[test]
    fn a_record_cut_anywhere_is_none() {
        let (buffer, _) = sample(5);
        for end in 0..buffer.len() {
            assert!(parse(&buffer[..end], 5).is_none(), "cut at {end}");
        }
    }
}
