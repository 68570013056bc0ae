//! Walks over the records of a segment, reading the file in large pieces. It stops at the first place where no whole
//! record begins, and judges nothing: whether that is the end is for others to say.

use std::io;
use std::sync::Arc;

use super::record::{self, Record};
use crate::disk::{DiskFile, read_full};

/// How much is read at once, unless a record is larger.
const PIECE_BYTES: usize = 256 << 10;

#[derive(Debug)]
pub(super) struct Cursor {
    file: Arc<dyn DiskFile>,
    segment: u64,
    position: u64,
    /// Part of the file, and where it begins there.
    piece: Vec<u8>,
    piece_at: u64,
}

impl Cursor {
    /// A cursor at this place of this segment: a place where a record begins.
    pub(super) fn new(file: Arc<dyn DiskFile>, segment: u64, position: u64) -> Self {
        Self { file, segment, position, piece: Vec::new(), piece_at: position }
    }

    /// Where the next record begins.
    pub(super) const fn position(&self) -> u64 {
        self.position
    }

    /// The next record; none if no whole one begins here. The cursor stands behind it then.
    pub(super) fn next(&mut self) -> io::Result<Option<Record<'_>>> {
        let segment = self.segment;
        let Some(size) = record::size(self.load(record::HEADER_BYTES)?, segment) else { return Ok(None) };
        self.load(size)?;
        let start = usize::try_from(self.position - self.piece_at).unwrap_or(usize::MAX);
        let record = self.piece.get(start..).and_then(|bytes| record::parse(bytes, segment));
        if record.is_some() {
            self.position += size as u64;
        }
        Ok(record)
    }

    /// The file's bytes from the position on: this many, or fewer at the end of the file.
    fn load(&mut self, bytes: usize) -> io::Result<&[u8]> {
        let start = usize::try_from(self.position - self.piece_at).unwrap_or(usize::MAX);
        if self.piece.len() < start.saturating_add(bytes) {
            let room = bytes.max(PIECE_BYTES);
            if self.piece.capacity() < room {
                // Zeros that are new cost nothing before they are read into: most of them never are in a small segment.
                self.piece = vec![0; room];
            }
            self.piece.resize(room, 0);
            self.piece_at = self.position;
            let count = read_full(&*self.file, &mut self.piece, self.position)?;
            self.piece.truncate(count);
        }
        let start = usize::try_from(self.position - self.piece_at).unwrap_or(usize::MAX);
        let loaded = self.piece.get(start..).unwrap_or_default();
        Ok(loaded.get(..bytes).unwrap_or(loaded))
    }
}
