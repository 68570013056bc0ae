//! What can be wrong with a data directory, said so that a person can act on it.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Stored bytes that are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in the file, in bytes from its beginning.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {}", self.path.display(), self.offset, self.what)
    }
}

impl std::error::Error for Damage {}

impl Damage {
    /// The damage that an error of reading carries, if it carries one.
    pub(super) fn within(why: &io::Error) -> Option<&Self> {
        why.get_ref()?.downcast_ref()
    }
}

/// Why a file journal cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another journal is open on this directory.
    #[error(
        "the data directory {} is in use by {}: stop it, or use another directory", dir.display(), shown(*holder)
    )]
    InUse {
        /// The directory.
        dir: PathBuf,
        /// The process that holds it, if that is known; it may be this one.
        holder: Option<u32>,
    },
    /// A file cannot be read or written.
    #[error("cannot open the journal: {}: {why}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        why: io::Error,
    },
    /// A segment was written by a newer program.
    #[error("{} is of format {format}, which this program does not know: use a newer one", path.display())]
    UnknownFormat {
        /// The segment.
        path: PathBuf,
        /// Its format.
        format: u16,
    },
    /// A segment was discarded while it was read.
    #[error("{} is no longer kept: it was discarded while it was read; look again", path.display())]
    Discarded {
        /// The segment.
        path: PathBuf,
    },
    /// Durable bytes were changed or are missing. Nothing was changed by trying to open it.
    #[error(
        "the journal is damaged and was left as it is: {0}. Look closer with `inventory verify`, and restore the directory from a copy"
    )]
    Damaged(Damage),
}

fn shown(holder: Option<u32>) -> String {
    match holder {
        Some(pid) if pid == std::process::id() => "this same process".to_owned(),
        Some(pid) => format!("process {pid}"),
        None => "another process".to_owned(),
    }
}
