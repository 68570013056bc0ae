//! What the journal's callers and its writer share.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use inventory_core::journal::{JournalError, Snapshot};

use super::index::Index;
use super::lock::Lock;
use crate::disk::Disk;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: Arc<dyn Disk>,
    /// Why the journal has stopped.
    poison: OnceLock<String>,
    index: Mutex<Index>,
    /// Held while snapshots or segments come and go, except new segments. Holds the newest snapshot's place.
    housekeeping: Mutex<Snapshots>,
    /// Released with the last who could still write.
    _lock: Option<Lock>,
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
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        index: Index,
        opened: Option<Snapshot>,
        lock: Option<Lock>,
    ) -> Self {
        let newest = opened.as_ref().map(|snapshot| snapshot.tip().version);
        let housekeeping = Mutex::new(Snapshots { opened, newest });
        Self { disk, poison: OnceLock::new(), index: Mutex::new(index), housekeeping, _lock: lock }
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
