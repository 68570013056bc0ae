//! A journal that keeps nothing.

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;
use spin::Mutex;

use super::{Append, Group, Journal, JournalError, Snapshot, Tip};
use crate::id::Version;
use crate::time::Time;

/// A journal that **keeps nothing**: it takes every group, forgets it at once and knows only where the last one ended. Its memory
/// is bounded, whatever is written.
///
/// For programs that want no durability at all. **It breaks the first obligation of [`Journal`] on purpose**: what it says is
/// done does not survive the process, nor a second opening; there is no history to read, no snapshot to begin at, no backup and
/// nothing to audit. An outcome that has left the window can no longer be looked up. Where any of that matters, take
/// another one; [`MemoryJournal`](super::MemoryJournal) keeps everything within the process.
///
/// To read what was appended is an error, [`JournalError::Discarded`], never an empty answer.
///
/// ```
/// # use inventory_core::{Inventory, Time, Version, journal::{Journal, JournalError, Volatile}};
/// # pollster::block_on(async {
/// let mut shop = Inventory::open(Volatile::new(), 1).await?;
/// shop.define_item(Time::ZERO, "036000291452".parse()?, "Tomato soup", None).await?;
/// let journal = shop.into_journal();
/// assert_eq!(journal.tip().await?.version, Version(1));
/// assert!(matches!(journal.read(Version::ZERO, 1).await, Err(JournalError::Discarded { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct Volatile {
    tip: Mutex<Tip>,
}

impl Volatile {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl Journal for Volatile {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        Ok(None)
    }

    async fn read(&self, after: Version, _bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        let start = self.tip.lock().version;
        if after < start { Err(JournalError::Discarded { after, start }) } else { Ok(Vec::new()) }
    }

    async fn position(&self, _time: Time) -> Result<Version, JournalError> {
        let start = self.tip.lock().version;
        let after = Version::ZERO;
        if after < start { Err(JournalError::Discarded { after, start }) } else { Ok(after) }
    }

    async fn append(&self, group: Group) -> Append {
        let mut tip = self.tip.lock();
        if *tip != (Tip { version: group.base(), hash: group.previous() }) {
            return Append::Conflict;
        }
        *tip = Tip { version: group.last(), hash: group.hash() };
        Append::Done
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        Ok(*self.tip.lock())
    }

    /// Nothing is saved: there is no place.
    async fn save_snapshot(&self, _snapshot: Snapshot) -> Result<(), JournalError> {
        Err(JournalError::Unreachable("a volatile journal keeps no snapshot".into()))
    }

    /// Everything is discarded already.
    async fn discard_through(&self, _version: Version) -> Result<(), JournalError> {
        Ok(())
    }
}
