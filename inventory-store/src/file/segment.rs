//! A segment: a file of fixed size that holds a part of the journal. This file owns its name and its header.
//!
//! A segment is `journal/NNNNNNNNNNNNNNNNNNNN.seg`, its number in 20 decimal digits. It begins with a header block of 4096
//! bytes; records follow, one after the other; the rest is zeros, written when the file was made, so that no append
//! ever changes the file's size or blocks.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `INVJRNL` and a zero |
//! | 8 | 2 | format, 1 |
//! | 10 | 6 | zeros |
//! | 16 | 8 | number of the segment: one more than that of the segment before it, never used twice |
//! | 24 | 8 | base: the version before its first record |
//! | 32 | 32 | hash of the group that ends at the base; zeros if there is none |
//! | 64 | 8 | size of the segment, in bytes |
//! | 72 | 4016 | zeros |
//! | 4088 | 8 | CRC-64/NVME of everything above |
//!
//! Integers are little-endian. A file gets its segment's name only when its header is durable.

use bytes::{Buf, BufMut};
use inventory_core::journal::Tip;
use inventory_core::{Hash, Version};

/// The directory of the segments.
pub(super) const DIR: &str = "journal";
/// Bytes before the first record.
pub(super) const HEADER_BYTES: usize = 4096;
/// [`HEADER_BYTES`] as an offset.
pub(super) const FIRST_RECORD: u64 = HEADER_BYTES as u64;

const MAGIC: [u8; 8] = *b"INVJRNL\0";
const FORMAT: u16 = 1;
const CHECKSUM_OFFSET: usize = HEADER_BYTES - 8;
const NAME_DIGITS: usize = 20;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    /// The end of the journal before its first record.
    pub(super) base: Tip,
    /// Its size.
    pub(super) bytes: u64,
}

/// Why bytes are no header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("the segment's header is not what was written")]
    Checksum,
    #[error("the segment is of format {0}; this program knows format {FORMAT}: use a newer one")]
    UnknownFormat(u16),
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(HEADER_BYTES);
        to.put_slice(&MAGIC);
        to.put_u16_le(FORMAT);
        to.put_bytes(0, 6);
        to.put_u64_le(self.number);
        to.put_u64_le(self.base.version.0);
        to.put_slice(&self.base.hash.0);
        to.put_u64_le(self.bytes);
        to.resize(CHECKSUM_OFFSET, 0);
        to.put_u64_le(crc_fast::crc64_nvme(&to));
        to
    }

    pub(super) fn decode(block: &[u8]) -> Result<Self, HeaderError> {
        let (content, mut checksum) = block.split_at_checked(CHECKSUM_OFFSET).ok_or(HeaderError::Checksum)?;
        if checksum.try_get_u64_le() != Ok(crc_fast::crc64_nvme(content)) || !content.starts_with(&MAGIC) {
            return Err(HeaderError::Checksum);
        }
        let mut from = content.get(MAGIC.len()..).ok_or(HeaderError::Checksum)?;
        let format = from.get_u16_le();
        if format != FORMAT {
            return Err(HeaderError::UnknownFormat(format));
        }
        from.advance(6);
        let (number, version) = (from.get_u64_le(), Version(from.get_u64_le()));
        let mut hash = Hash::ZERO;
        from.copy_to_slice(&mut hash.0);
        Ok(Self { number, base: Tip { version, hash }, bytes: from.get_u64_le() })
    }
}

/// The file of the segment with this number.
pub(super) fn name(number: u64) -> String {
    format!("{DIR}/{number:0NAME_DIGITS$}.seg")
}

/// The number of the segment in the file with this name, without the directory.
pub(super) fn number(file_name: &str) -> Option<u64> {
    parse_numbered(file_name, ".seg")
}

/// The number in a name of 20 digits and this ending.
pub(super) fn parse_numbered(file_name: &str, ending: &str) -> Option<u64> {
    let digits = file_name.strip_suffix(ending)?;
    let numbered = digits.len() == NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
    numbered.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Header {
        Header { number: 3, base: Tip { version: Version(17), hash: Hash([9; 32]) }, bytes: 8192 }
    }

    #[test]
    fn a_header_is_read_back() {
        assert_eq!(Header::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn a_header_with_any_changed_byte_is_refused() {
        for at in 0..HEADER_BYTES {
            let mut block = sample().encode();
            block[at] ^= 0x10;
            assert_eq!(Header::decode(&block), Err(HeaderError::Checksum), "byte {at}");
        }
    }

    #[test]
    fn names_and_numbers_are_the_same() {
        assert_eq!(name(42), "journal/00000000000000000042.seg");
        for number_in in [1, 42, u64::MAX] {
            assert_eq!(number(name(number_in).strip_prefix("journal/").unwrap()), Some(number_in));
        }
        for other in ["42.seg", "00000000000000000042.seg.bak", "+0000000000000000042.seg", "spare", ""] {
            assert_eq!(number(other), None, "{other}");
        }
    }
}
