//! The seam to the operating system: every file operation of the file journal goes through [`Disk`], so that a test
//! can fail it, tear it or cut the power behind it. Only the lock on the directory is outside.

#[cfg(any(test, feature = "testing"))]
mod fault;
mod os;

#[cfg(any(test, feature = "testing"))]
pub use fault::{Fault, FaultDisk, Survives};
pub use os::OsDisk;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A directory and what can be done with the files in it. Names are relative to it, parts separated by `/`.
///
/// What is written is durable after [`DiskFile::sync_data`]; a name that was made, changed or removed is after
/// [`sync_dir`](Self::sync_dir) on the directory that holds it. Before that either may be lost, or kept in part.
pub trait Disk: Send + Sync + Debug {
    /// Where a person finds this file, for messages.
    fn path(&self, name: &str) -> PathBuf;

    /// Makes a directory, durably and for its owner only, if it is not there.
    fn make_dir(&self, dir: &str) -> io::Result<()>;

    /// The names in a directory, in no order; none if there is no such directory.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Opens a file that is there, for reading.
    fn open_to_read(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens a file that is there, for reading and writing.
    fn open_to_write(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Makes an empty file for its owner only, in place of what was there, for reading and writing.
    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>>;

    /// Gives a file another name in the same directory, in one step, in place of what had that name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// As [`remove`](Self::remove), for what is large and in no hurry: a disk may give its room back little by little, once
    /// [`sync_dir`](Self::sync_dir) has made it durable that the file is gone.
    fn discard(&self, name: &str) -> io::Result<()> {
        self.remove(name)
    }

    /// Makes the names in a directory durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
}

/// An open file. All reading and writing says where; there is no cursor to share.
pub trait DiskFile: Send + Sync + Debug {
    /// Its length, in bytes.
    fn len(&self) -> io::Result<u64>;

    /// Whether it holds no byte.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Reads at `offset`; gives how many bytes were read, 0 at the end.
    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes at `offset`; gives how many bytes were written.
    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<usize>;

    /// Makes the file's bytes and length durable.
    fn sync_data(&self) -> io::Result<()>;
}

/// Reads until `into` is full or the file ends; gives how many bytes were read.
pub(crate) fn read_full(file: &dyn DiskFile, mut into: &mut [u8], mut offset: u64) -> io::Result<usize> {
    let wanted = into.len();
    while !into.is_empty() {
        match file.read_at(into, offset) {
            Ok(0) => break,
            Ok(count) => {
                into = into.get_mut(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(wanted - into.len())
}

/// Writes all of `from`.
pub(crate) fn write_full(file: &dyn DiskFile, mut from: &[u8], mut offset: u64) -> io::Result<()> {
    while !from.is_empty() {
        match file.write_at(from, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                from = from.get(count..).unwrap_or_default();
                offset += count as u64;
            }
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(why),
        }
    }
    Ok(())
}

/// Writes zeros from `offset` on, in pieces.
pub(crate) fn write_zeros(file: &dyn DiskFile, mut offset: u64, mut bytes: u64) -> io::Result<()> {
    const PIECE_BYTES: usize = 1 << 20;
    let zeros = vec![0; PIECE_BYTES.min(usize::try_from(bytes).unwrap_or(PIECE_BYTES))];
    while bytes > 0 {
        let piece = zeros.get(..usize::try_from(bytes).unwrap_or(usize::MAX)).unwrap_or(&zeros);
        write_full(file, piece, offset)?;
        offset += piece.len() as u64;
        bytes -= piece.len() as u64;
    }
    Ok(())
}
