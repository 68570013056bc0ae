//! Locks on a data directory: one process at a time. The kernel releases them when the process ends, however it ends.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

/// The file that is locked by whoever writes the journal.
pub(super) const JOURNAL: &str = "lock";

/// Held as long as it lives.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

/// Why the lock was not taken.
#[derive(Debug)]
pub(super) enum LockError {
    /// It is held, by this process if that is known.
    Held(Option<u32>),
    Io(io::Error),
}

impl Lock {
    /// Takes a lock on this directory by locking the file of this name in it, which then holds the process id.
    pub(super) fn take(dir: &Path, name: &str) -> Result<Self, LockError> {
        Self::take_by(dir, name, FlockOperation::NonBlockingLockExclusive)
    }

    /// As [`take`](Self::take), and waits for its holder.
    pub(super) fn wait(dir: &Path, name: &str) -> Result<Self, LockError> {
        Self::take_by(dir, name, FlockOperation::LockExclusive)
    }

    fn take_by(dir: &Path, name: &str, operation: FlockOperation) -> Result<Self, LockError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let mut file = options.open(dir.join(name)).map_err(LockError::Io)?;
        match flock(&file, operation) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(LockError::Held(holder(&mut file))),
            Err(why) => return Err(LockError::Io(why.into())),
        }
        // Only for the message of the next who wants it: the kernel knows the holder without it.
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        if let Err(why) = written {
            tracing::warn!(dir = %dir.display(), %why, "cannot write the process id into the lock file");
        }
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
