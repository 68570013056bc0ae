//! What the journal's callers and its writer share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Thread};

use inventory_core::journal::{JournalError, Snapshot};

use super::index::Index;
use super::lock::Lock;
use crate::disk::Disk;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    /// The directory, if the disk is one that other processes can open too.
    pub(super) dir: Option<PathBuf>,
    /// How much was written.
    pub(super) growth: Growth,
    /// Why the journal has stopped.
    poison: OnceLock<String>,
    index: Mutex<Index>,
    /// Held while snapshots or segments come and go, except new segments. Holds the newest snapshot's place.
    housekeeping: Mutex<Snapshots>,
    /// Released with the last who could still write.
    _lock: Option<Lock>,
}

/// How much the journal has grown since its newest snapshot at the opening, in bytes of records, and who wants to know.
#[derive(Debug)]
pub(super) struct Growth {
    bytes: AtomicU64,
    wake_at: AtomicU64,
    sleeper: Mutex<Option<Thread>>,
}

impl Growth {
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::SeqCst)
    }

    /// A record was written.
    pub(super) fn add(&self, bytes: u64) {
        let grown = self.bytes.fetch_add(bytes, Ordering::SeqCst).saturating_add(bytes);
        if grown >= self.wake_at.load(Ordering::SeqCst) {
            self.wake_at.store(u64::MAX, Ordering::SeqCst);
            let sleeper = self.sleeper.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(sleeper) = sleeper {
                sleeper.unpark();
            }
        }
    }

    /// Unparks the calling thread when it has grown to this, also if it has already.
    pub(super) fn wake_at(&self, bytes: u64) {
        *self.sleeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(thread::current());
        self.wake_at.store(bytes, Ordering::SeqCst);
        self.add(0);
    }
}

/// What is known of the snapshots on disk.
#[derive(Debug)]
pub(super) struct Snapshots {
    /// The newest, as it was read when the journal was opened; given away to the first who asks.
    pub(super) opened: Option<Snapshot>,
    /// The version of the newest that is whole.
    pub(super) newest: Option<inventory_core::Version>,
}

impl Shared {
    /// `grown` is how many bytes of records there are behind the newest snapshot.
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        index: Index,
        opened: Option<Snapshot>,
        grown: u64,
        held: Option<(PathBuf, Lock)>,
    ) -> Self {
        let (dir, lock) = held.unzip();
        let growth = Growth {
            bytes: AtomicU64::new(grown),
            wake_at: AtomicU64::new(u64::MAX),
            sleeper: Mutex::new(None),
        };
        let newest = opened.as_ref().map(|snapshot| snapshot.tip().version);
        let housekeeping = Mutex::new(Snapshots { opened, newest });
        Self {
            disk,
            dir,
            growth,
            poison: OnceLock::new(),
            index: Mutex::new(index),
            housekeeping,
            _lock: lock,
        }
    }

    // Nobody panics while holding one of these locks; should it happen, what they guard is whole at every step.

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn housekeeping(&self) -> MutexGuard<'_, Snapshots> {
        self.housekeeping.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn poison(&self) -> Option<String> {
        self.poison.get().cloned()
    }

    /// The first reason stays.
    pub(super) fn set_poison(&self, why: &str) {
        let _ = self.poison.set(why.to_owned());
    }

    pub(super) fn check_poison(&self) -> Result<(), JournalError> {
        self.poison().map_or(Ok(()), |why| Err(JournalError::Poisoned(why)))
    }
}
