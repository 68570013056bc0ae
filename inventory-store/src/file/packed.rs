//! A compressed segment: the records of a segment to which nothing is added any more, in pieces that are compressed each
//! for itself, so that any of them can be read without the others. This file owns its bytes.
//!
//! The first 4096 bytes are the segment's header with format 2, and three more fields:
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 72 | 8 | end: the records were bytes 4096 to here; at most the segment's size |
//! | 80 | 8 | size of this file, in bytes |
//! | 88 | 8 | CRC-64/NVME of the table |
//!
//! From byte 4096 on the table, 12 bytes for each piece, and behind it the pieces:
//!
//! | bytes | what |
//! |---|---|
//! | 4 | length of the piece, compressed |
//! | 8 | CRC-64/NVME of the piece, compressed |
//!
//! A piece is one Zstandard frame (RFC 8878) that holds 262,144 bytes of the segment, the last one what is left. Nothing larger is
//! ever unpacked, whatever a frame says.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Buf, BufMut};
use inventory_core::defect::{self, Defect};

use super::damage::Damage;
use super::segment::{FIRST_RECORD, Header};
use super::snapshots::Pace;
use crate::disk::{DiskFile, read_full, write_full};

/// Bytes of the segment in a piece.
const PIECE_BYTES: u64 = 256 << 10;
const TABLE_ROW_BYTES: u64 = 12;
/// Zstandard's own default: about three times smaller than the records, at some hundred MB a second.
const LEVEL: i32 = 3;
/// No piece is compressed to more: Zstandard's bound is the input, one part in 256 more, and a few bytes.
const PACKED_PIECE_BYTES_MAX: u32 = 300 << 10;

/// What the header of a compressed segment says beyond that of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packed {
    /// Where its records ended.
    pub(super) end: u64,
    /// Size of its file.
    pub(super) file_bytes: u64,
    pub(super) table_checksum: u64,
}

/// Where a piece is.
#[derive(Clone, Copy, Debug)]
struct Piece {
    offset: u64,
    bytes: u32,
    checksum: u64,
}

fn pieces_in(end: u64) -> u64 {
    end.saturating_sub(FIRST_RECORD).div_ceil(PIECE_BYTES)
}

/// How many bytes of the segment the piece with this number holds.
fn piece_bytes(end: u64, piece: u64) -> usize {
    let left = end.saturating_sub(FIRST_RECORD + piece * PIECE_BYTES);
    usize::try_from(left.min(PIECE_BYTES)).unwrap_or(0)
}

/// Writes the segment with this header, whose records end at `end`, compressed into an empty file. `pace` is called after
/// every piece, and ends the work with an error.
pub(super) fn pack(
    header: &Header,
    from: &dyn DiskFile,
    end: u64,
    into: &dyn DiskFile,
    pace: &mut Pace<'_>,
) -> io::Result<()> {
    let mut compressor = zstd::bulk::Compressor::new(LEVEL)?;
    let pieces = pieces_in(end);
    let mut table = Vec::new();
    let mut offset = FIRST_RECORD + pieces * TABLE_ROW_BYTES;
    for piece in 0..pieces {
        let mut records = vec![0; piece_bytes(end, piece)];
        if read_full(from, &mut records, FIRST_RECORD + piece * PIECE_BYTES)? < records.len() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let packed = compressor.compress(&records)?;
        table.put_u32_le(u32::try_from(packed.len()).map_err(io::Error::other)?);
        table.put_u64_le(crc_fast::crc64_nvme(&packed));
        write_full(into, &packed, offset)?;
        // At once: a large write to sync in the end would hold up the journal's.
        if !defect::is(Defect::CompressedNotSynced) {
            into.sync_data()?;
        }
        offset += packed.len() as u64;
        pace()?;
    }
    write_full(into, &table, FIRST_RECORD)?;
    let packed = Packed { end, file_bytes: offset, table_checksum: crc_fast::crc64_nvme(&table) };
    write_full(into, &Header { packed: Some(packed), ..*header }.encode(), 0)?;
    if defect::is(Defect::CompressedNotSynced) { Ok(()) } else { into.sync_data() }
}

/// A compressed segment, read as if it were not: up to its last record, every byte is where it was.
#[derive(Debug)]
pub(super) struct Unpacked {
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    end: u64,
    pieces: Vec<Piece>,
    /// The piece that was read last, and its number.
    last: Mutex<Option<(u64, Arc<Vec<u8>>)>>,
}

impl Unpacked {
    /// Reads and checks the table; `path` is for messages.
    pub(super) fn open(file: Arc<dyn DiskFile>, path: PathBuf, packed: Packed) -> io::Result<Self> {
        let damage = |offset, what: &str| damage(&path, offset, what);
        let (pieces, file_bytes) = (pieces_in(packed.end), file.len()?);
        let first = pieces.checked_mul(TABLE_ROW_BYTES).and_then(|table| table.checked_add(FIRST_RECORD));
        let Some(mut offset) = first.filter(|first| *first <= file_bytes) else {
            return Err(damage(FIRST_RECORD, "the table of a compressed segment is cut off"));
        };
        let mut table = vec![0; usize::try_from(offset - FIRST_RECORD).map_err(io::Error::other)?];
        let count = read_full(&*file, &mut table, FIRST_RECORD)?;
        if count < table.len() || crc_fast::crc64_nvme(&table) != packed.table_checksum {
            return Err(damage(FIRST_RECORD, "the table of a compressed segment is not what was written"));
        }
        let mut rows = table.as_slice();
        let mut pieces = Vec::new();
        while let (Ok(bytes), Ok(checksum)) = (rows.try_get_u32_le(), rows.try_get_u64_le()) {
            pieces.push(Piece { offset, bytes, checksum });
            offset += u64::from(bytes);
        }
        if offset != file_bytes {
            return Err(damage(
                file_bytes.min(offset),
                "a compressed segment has another size than its table says",
            ));
        }
        Ok(Self { file, path, end: packed.end, pieces, last: Mutex::new(None) })
    }

    fn piece(&self, number: u64) -> io::Result<Arc<Vec<u8>>> {
        // What it guards is whole at every step.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, records)) = last.as_ref().filter(|(last, _)| *last == number) {
            return Ok(Arc::clone(records));
        }
        let records = Arc::new(self.unpack(number)?);
        *last = Some((number, Arc::clone(&records)));
        Ok(records)
    }

    fn unpack(&self, number: u64) -> io::Result<Vec<u8>> {
        let piece = usize::try_from(number).ok().and_then(|number| self.pieces.get(number));
        let piece = *piece.ok_or(io::ErrorKind::UnexpectedEof)?;
        let broken = |what: &str| damage(&self.path, piece.offset, what);
        if piece.bytes > PACKED_PIECE_BYTES_MAX {
            return Err(broken("a piece of a compressed segment is too large"));
        }
        let mut packed = vec![0; usize::try_from(piece.bytes).map_err(io::Error::other)?];
        let count = read_full(&*self.file, &mut packed, piece.offset)?;
        if count < packed.len() || crc_fast::crc64_nvme(&packed) != piece.checksum {
            return Err(broken("a piece of a compressed segment is not what was written"));
        }
        let bytes = piece_bytes(self.end, number);
        // It is never given room for more, so a frame that would unpack to more is an error.
        match zstd::bulk::decompress(&packed, bytes) {
            Ok(records) if records.len() == bytes => Ok(records),
            Ok(records) => {
                Err(broken(&format!("a piece unpacks to {} bytes instead of {bytes}", records.len())))
            }
            Err(why) => Err(broken(&format!("a piece does not unpack to {bytes} bytes: {why}"))),
        }
    }
}

fn damage(path: &std::path::Path, offset: u64, what: &str) -> io::Error {
    let damage = Damage { path: path.to_path_buf(), offset, what: what.to_owned() };
    io::Error::new(io::ErrorKind::InvalidData, damage)
}

impl DiskFile for Unpacked {
    fn len(&self) -> io::Result<u64> {
        Ok(self.end)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        if offset >= self.end || into.is_empty() {
            return Ok(0);
        }
        let Some(at) = offset.checked_sub(FIRST_RECORD) else { return self.file.read_at(into, offset) };
        let records = self.piece(at / PIECE_BYTES)?;
        let start = usize::try_from(at % PIECE_BYTES).map_err(io::Error::other)?;
        let from = records.get(start..).unwrap_or_default();
        let count = from.len().min(into.len());
        if let (Some(from), Some(into)) = (from.get(..count), into.get_mut(..count)) {
            into.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}
