//! Copying what a data directory holds into another one, also while a journal is open on it. It writes into the copy only,
//! and leaves it durable; whether the copy is what it should be is for the caller to verify.
//!
//! Everything in front of the last whole record is final, so it can be read while records are added. What is behind it, a
//! record that is being written, is left out: the copy ends at that record, and is zeros from there. Only discarding can
//! take something away meanwhile; then the copy is begun anew.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;

use inventory_core::Version;
use inventory_core::journal::{Snapshot, Tip};

use super::damage::{Damage, OpenError};
use super::recovery::{self, Scope, failed};
use super::{segment, snapshots};
use crate::disk::{Disk, DiskFile, read_full, write_full, write_zeros};

/// How often a copy is made before it is given up because segments go away too fast.
const ATTEMPTS: usize = 5;
const PIECE_BYTES: usize = 1 << 20;

/// What was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The end of the journal in the copy.
    pub tip: Tip,
    /// The size of the files in the copy, in bytes.
    pub bytes: u64,
    /// Snapshots that are not what was written. They were left out.
    pub damaged_snapshots: Vec<Damage>,
}

/// Why a data directory was not copied. What there is of the copy is worth nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CopyError {
    /// What was to be copied cannot be read, or is damaged.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// The copy cannot be written.
    #[error("cannot write the copy: {}: {why}", path.display())]
    Destination {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        why: io::Error,
    },
    /// Segments were discarded again and again before they were copied.
    #[error("the journal is discarded faster than it can be copied: try again at a quieter time")]
    Unsteady,
}

/// Copies what is on `from` to `to`, which is empty, and makes it durable there.
pub(super) fn copy(from: &dyn Disk, to: &dyn Disk) -> Result<Copied, CopyError> {
    for dir in [segment::DIR, snapshots::DIR] {
        to.make_dir(dir).map_err(|why| unwritten(to, dir, why))?;
    }
    for _ in 0..ATTEMPTS {
        let before = segments(from)?;
        let attempted = attempt(from, to);
        // A discarded segment may have been used anew while it was read, so success counts as little as damage.
        let after = segments(from)?;
        if before.iter().all(|name| after.contains(name)) {
            return attempted;
        }
        clear(to)?;
    }
    Err(CopyError::Unsteady)
}

/// The names of the segments' files.
fn segments(disk: &dyn Disk) -> Result<Vec<String>, OpenError> {
    let mut names = disk.list(segment::DIR).map_err(|why| failed(disk, segment::DIR, why))?;
    names.retain(|name| segment::number(name).is_some());
    Ok(names)
}

fn attempt(from: &dyn Disk, to: &dyn Disk) -> Result<Copied, CopyError> {
    // Before the journal, which then goes at least as far as they do.
    let (whole, damaged_snapshots) = snapshots::all(from).map_err(|why| failed(from, snapshots::DIR, why))?;
    let end = Scope::After(Version(u64::MAX));
    let survey = recovery::survey(from, end, &mut |_| ControlFlow::Continue(()))?;
    if let Some(damage) = survey.damage {
        return Err(OpenError::Damaged(damage).into());
    }
    let mut bytes = 0;
    for snapshot in &whole {
        bytes += copy_snapshot(snapshot, to)?;
    }
    // The last one first, while its end is where it was found; the others are copied as they are.
    let mut end = survey.position;
    for segment in survey.segments.iter().rev() {
        bytes += copy_segment(from, to, segment.header.number, end)?;
        end = u64::MAX;
    }
    for dir in [segment::DIR, snapshots::DIR] {
        to.sync_dir(dir).map_err(|why| unwritten(to, dir, why))?;
    }
    Ok(Copied { tip: survey.tip, bytes, damaged_snapshots })
}

fn copy_snapshot(snapshot: &Snapshot, to: &dyn Disk) -> Result<u64, CopyError> {
    let name = snapshots::name(snapshot.tip().version);
    let written = to.create(&name).and_then(|file| {
        write_full(&*file, snapshot.bytes(), 0)?;
        file.sync_data()
    });
    written.map_err(|why| unwritten(to, &name, why))?;
    Ok(snapshot.bytes().len() as u64)
}

/// Copies a segment's file up to `end`, whatever is in it; the rest of the copy is zeros. Gives its size.
fn copy_segment(from: &dyn Disk, to: &dyn Disk, number: u64, end: u64) -> Result<u64, CopyError> {
    let name = segment::name(number);
    let unread = |why| CopyError::Source(failed(from, &name, why));
    let unwritten = |why| unwritten(to, &name, why);
    let source = from.open_to_read(&name).map_err(unread)?;
    let bytes = source.len().map_err(unread)?;
    let used = end.min(bytes);
    let copy = to.create(&name).map_err(unwritten)?;
    let mut piece = vec![0; PIECE_BYTES];
    let mut offset = 0;
    while offset < used {
        let wanted = usize::try_from(used - offset).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        piece.resize(wanted, 0);
        fill(&*source, &mut piece, offset).map_err(unread)?;
        write_full(&*copy, &piece, offset).map_err(unwritten)?;
        offset += wanted as u64;
    }
    write_zeros(&*copy, used, bytes - used).map_err(unwritten)?;
    copy.sync_data().map_err(unwritten)?;
    Ok(bytes)
}

fn fill(file: &dyn DiskFile, piece: &mut [u8], offset: u64) -> io::Result<()> {
    if read_full(file, piece, offset)? < piece.len() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Removes what an attempt left.
fn clear(to: &dyn Disk) -> Result<(), CopyError> {
    for dir in [segment::DIR, snapshots::DIR] {
        for file in to.list(dir).map_err(|why| unwritten(to, dir, why))? {
            let name = format!("{dir}/{file}");
            to.remove(&name).map_err(|why| unwritten(to, &name, why))?;
        }
    }
    Ok(())
}

fn unwritten(to: &dyn Disk, name: &str, why: io::Error) -> CopyError {
    CopyError::Destination { path: to.path(name), why }
}
