//! Upkeep: what keeps a data directory small and quick to open, off the path of the appends, in a thread of low priority.
//!
//! | file | what it does |
//! |---|---|
//! | `snapshot` | replays what is durable onto the newest snapshot |
//! | `retention` | discards segments that no longer need be kept |
//! | `compression` | compresses segments that a start no longer reads |
//! | `thread` | when |
//!
//! It holds no lock while it reads, replays or compresses, and the engine knows nothing of it. Whatever it does can be cut off
//! anywhere: files get their names when they are whole, durable and read back.

mod compression;
mod retention;
mod snapshot;
mod thread;

pub use retention::Retain;
pub use snapshot::take_snapshot;

pub(super) use retention::discard_through;
pub(super) use snapshot::save_snapshot;
pub(super) use thread::Keeper;

use std::io;
use std::path::PathBuf;
use std::sync::PoisonError;

use inventory_core::Time;
use inventory_core::journal::{JournalError, ReplayError, Tip};

use super::FileJournal;
use super::damage::OpenError;
use super::shared::Shared;

/// What is done for a journal by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// A snapshot is made when the journal has grown by this many bytes since the last one; 0 for never.
    pub snapshot_every_bytes: u64,
    /// Which segments are kept.
    pub retain: Retain,
}

impl Default for Upkeep {
    /// A snapshot for every 256 MiB, and all segments.
    fn default() -> Self {
        Self { snapshot_every_bytes: 256 << 20, retain: Retain::Everything }
    }
}

/// Why upkeep was not done. The journal works all the same, and whatever was not done can be tried again.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpkeepError {
    /// Another process is saving a snapshot.
    #[error("another process is saving a snapshot in {}: wait for its end", dir.display())]
    Busy {
        /// The data directory.
        dir: PathBuf,
    },
    /// The directory cannot be read, or is damaged.
    #[error(transparent)]
    Read(#[from] OpenError),
    /// What the journal holds cannot be replayed.
    #[error("the journal cannot be replayed: {0}")]
    Replay(#[from] ReplayError),
    /// The journal has stopped, or cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A file cannot be read or written.
    #[error("{}: {why}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The system's error.
        why: io::Error,
    },
    /// The journal is being closed.
    #[error("the journal is being closed")]
    Closing,
}

impl FileJournal {
    /// Looks after the journal from now on, in a thread of its own of low priority, until the journal is dropped. What fails is
    /// logged and tried again.
    pub fn keep_up(&self, upkeep: Upkeep) -> io::Result<()> {
        // The thread that was there ends first: there is one.
        self.stop_upkeep();
        let keeper = Keeper::start(&self.shared, self.segment_bytes, upkeep)?;
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(keeper);
        Ok(())
    }

    pub(super) fn stop_upkeep(&self) {
        let keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(keeper);
    }

    /// Makes a snapshot of everything durable, on this thread, by replaying what follows the newest one; gives where it
    /// stands, or none if nothing follows.
    pub fn take_snapshot(&self) -> Result<Option<Tip>, UpkeepError> {
        snapshot::take(&self.shared, &mut || Ok(()))
    }

    /// Discards the segments that need not be kept at this time, then compresses those that a start no longer reads; on this
    /// thread.
    pub fn tidy(&self, retain: Retain, now: Time) -> Result<(), UpkeepError> {
        tidy(&self.shared, self.segment_bytes, retain, now, &mut || Ok(()))
    }
}

fn tidy(
    shared: &Shared,
    segment_bytes: u64,
    retain: Retain,
    now: Time,
    pace: &mut super::snapshots::Pace<'_>,
) -> Result<(), UpkeepError> {
    shared.check_poison()?;
    retention::discard(shared, segment_bytes, retain, now)?;
    compression::compress(shared, pace)
}

/// What an error of the disk says.
fn failed(shared: &Shared, name: &str, why: io::Error) -> UpkeepError {
    match super::damage::Damage::within(&why) {
        Some(damage) => OpenError::Damaged(damage.clone()).into(),
        None if thread::is_closing(&why) => UpkeepError::Closing,
        None => UpkeepError::Io { path: shared.disk.path(name), why },
    }
}
