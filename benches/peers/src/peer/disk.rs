//! What the disk gives at most: one durable write after the other, in a file that was filled with zeros.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::sample::Sample;

/// As large as a segment of the journal.
const FILE_BYTES: usize = 64 << 20;
/// What `O_DIRECT` wants memory and offsets to be multiples of, at most.
const ALIGNMENT: usize = 4_096;

/// How a write becomes durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// A write to the page cache, then `fdatasync`.
    Fdatasync,
    /// Past the page cache, durable when the write returns.
    Direct,
}

/// Writes so many bytes at a time, for so long.
pub(crate) fn writes(dir: &Path, bytes: usize, how: How, length: Duration) -> anyhow::Result<Sample> {
    let path = dir.join("disk");
    let file = zero_filled(&path)?;
    let file = match how {
        How::Fdatasync => file,
        How::Direct => {
            let flags = (OFlags::DIRECT | OFlags::DSYNC).bits();
            OpenOptions::new().write(true).custom_flags(i32::try_from(flags)?).open(&path)?
        }
    };
    let memory = vec![7; bytes + ALIGNMENT];
    let aligned = memory.as_ptr().align_offset(ALIGNMENT);
    let memory = memory.get(aligned..).and_then(|rest| rest.get(..bytes)).unwrap_or_default();
    let (began, mut offset, mut took) = (Instant::now(), 0, Vec::new());
    while began.elapsed() < length {
        if offset + bytes > FILE_BYTES {
            offset = 0;
        }
        let start = Instant::now();
        file.write_all_at(memory, offset as u64)?;
        if how == How::Fdatasync {
            file.sync_data()?;
        }
        took.push(start.elapsed());
        offset += bytes;
    }
    let elapsed = began.elapsed();
    Ok(Sample { per_s: took.len() as f64 / elapsed.as_secs_f64(), ..Sample::of(took) })
}

/// A file of this size whose blocks are there: a write changes no metadata.
pub(crate) fn zero_filled(path: &Path) -> anyhow::Result<File> {
    if path.metadata().is_ok_and(|file| file.len() == FILE_BYTES as u64) {
        return Ok(OpenOptions::new().write(true).open(path)?);
    }
    let file = File::create(path)?;
    let piece = vec![0; 1 << 20];
    for offset in (0..FILE_BYTES).step_by(piece.len()) {
        file.write_all_at(&piece, offset as u64)?;
    }
    file.sync_all()?;
    Ok(file)
}
