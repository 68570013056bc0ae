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
//! Integers are little-endian. A file gets its segment's name only when its header is durable. Format 2 is that of a
//! segment that was compressed after its end; `packed` owns what follows its header.

use std::io;
use std::sync::Arc;

use bytes::{Buf, BufMut};
use inventory_core::journal::Tip;
use inventory_core::{Hash, Version};

use super::packed::{Packed, Unpacked};
use crate::disk::{Disk, DiskFile, read_full};

/// The directory of the segments.
pub(super) const DIR: &str = "journal";
/// Bytes before the first record.
pub(super) const HEADER_BYTES: usize = 4096;
/// [`HEADER_BYTES`] as an offset.
pub(super) const FIRST_RECORD: u64 = HEADER_BYTES as u64;

const MAGIC: [u8; 8] = *b"INVJRNL\0";
const FORMAT: u16 = 1;
const FORMAT_PACKED: u16 = 2;
const CHECKSUM_OFFSET: usize = HEADER_BYTES - 8;
const NAME_DIGITS: usize = 20;

/// What a segment's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) number: u64,
    /// The end of the journal before its first record.
    pub(super) base: Tip,
    /// Its size; of a compressed one, the size it had.
    pub(super) bytes: u64,
    /// Whether and how it was compressed.
    pub(super) packed: Option<Packed>,
}

/// Why bytes are no header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HeaderError {
    #[error("the segment's header is not what was written")]
    Checksum,
    #[error(
        "the segment is of format {0}; this program knows formats up to {FORMAT_PACKED}: use a newer one"
    )]
    UnknownFormat(u16),
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = Vec::with_capacity(HEADER_BYTES);
        to.put_slice(&MAGIC);
        to.put_u16_le(if self.packed.is_some() { FORMAT_PACKED } else { FORMAT });
        to.put_bytes(0, 6);
        to.put_u64_le(self.number);
        to.put_u64_le(self.base.version.0);
        to.put_slice(&self.base.hash.0);
        to.put_u64_le(self.bytes);
        if let Some(packed) = &self.packed {
            to.put_u64_le(packed.end);
            to.put_u64_le(packed.file_bytes);
            to.put_u64_le(packed.table_checksum);
        }
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
        if !matches!(format, FORMAT | FORMAT_PACKED) {
            return Err(HeaderError::UnknownFormat(format));
        }
        from.advance(6);
        let (number, version) = (from.get_u64_le(), Version(from.get_u64_le()));
        let mut hash = Hash::ZERO;
        from.copy_to_slice(&mut hash.0);
        let bytes = from.get_u64_le();
        let packed = (format == FORMAT_PACKED).then(|| Packed {
            end: from.get_u64_le(),
            file_bytes: from.get_u64_le(),
            table_checksum: from.get_u64_le(),
        });
        Ok(Self { number, base: Tip { version, hash }, bytes, packed })
    }

    /// How large its file is.
    pub(super) fn file_bytes(&self) -> u64 {
        self.packed.map_or(self.bytes, |packed| packed.file_bytes)
    }
}

/// Reads the header block of a file, or as much as there is of it.
pub(super) fn read_header(file: &dyn DiskFile) -> io::Result<Result<Header, HeaderError>> {
    let mut block = vec![0; HEADER_BYTES];
    let count = read_full(file, &mut block, 0)?;
    block.truncate(count);
    Ok(Header::decode(&block))
}

/// Opens the segment with this number for reading. Offsets in it are those that it has, or had, uncompressed. Damage in a
/// compressed one is an error that carries a [`Damage`](super::Damage).
pub(super) fn open(disk: &dyn Disk, number: u64) -> io::Result<Arc<dyn DiskFile>> {
    let name = name(number);
    let file = disk.open_to_read(&name)?;
    // A header that cannot be read is found by whoever looks at it; without one there are no records.
    match read_header(&*file)? {
        Ok(Header { packed: Some(packed), .. }) => {
            Ok(Arc::new(Unpacked::open(file, disk.path(&name), packed)?))
        }
        _ => Ok(file),
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
        Header {
            number: 3,
            base: Tip { version: Version(17), hash: Hash([9; 32]) },
            bytes: 8192,
            packed: None,
        }
    }

    #[test]
    fn a_header_is_read_back() {
        let packed = Some(Packed { end: 5_000, file_bytes: 4_700, table_checksum: 7 });
        for header in [sample(), Header { packed, ..sample() }] {
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
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
