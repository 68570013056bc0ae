//! A journal in memory: the reference that shows what the trait means. Nothing survives the process.

use alloc::boxed::Box;
use alloc::vec::Vec;

use async_trait::async_trait;
use spin::Mutex;

use super::{Append, Group, Journal, JournalError, Snapshot, Tip};
use crate::id::Version;
use crate::time::Time;

/// A journal in memory. Share it in an `Arc` to open it again within the process.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    groups: Vec<Group>,
    snapshot: Option<Snapshot>,
    /// Groups up to here were discarded.
    start: Version,
}

impl MemoryJournal {
    /// An empty journal.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Kept {
    fn tip(&self) -> Tip {
        let snapshot = self.snapshot.as_ref().map(Snapshot::tip);
        let last = self.groups.last().map(|group| Tip { version: group.last(), hash: group.hash() });
        last.or(snapshot).unwrap_or_default()
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        Ok(self.kept.lock().snapshot.clone())
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        let kept = self.kept.lock();
        if after < kept.start {
            return Err(JournalError::Discarded { after, start: kept.start });
        }
        let mut bytes = 0usize;
        let fits = |group: &&Group| {
            let first = bytes == 0;
            bytes = bytes.saturating_add(group.bytes().len());
            first || bytes <= bytes_max
        };
        Ok(kept.groups.iter().skip_while(|group| group.base() < after).take_while(fits).cloned().collect())
    }

    async fn position(&self, time: Time) -> Result<Version, JournalError> {
        let kept = self.kept.lock();
        let mut place = (kept.start == Version::ZERO).then_some(Version::ZERO);
        for group in &kept.groups {
            if group.begins_at()? >= time {
                break;
            }
            place = Some(group.base());
        }
        place.ok_or(JournalError::Discarded { after: Version::ZERO, start: kept.start })
    }

    async fn append(&self, group: Group) -> Append {
        let mut kept = self.kept.lock();
        if kept.tip() != (Tip { version: group.base(), hash: group.previous() }) {
            return Append::Conflict;
        }
        kept.groups.push(group);
        Append::Done
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        Ok(self.kept.lock().tip())
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        let mut kept = self.kept.lock();
        let both = kept.snapshot.take().into_iter().chain([snapshot]);
        kept.snapshot = both.max_by_key(|snapshot| snapshot.tip().version);
        Ok(())
    }

    async fn discard_through(&self, version: Version) -> Result<(), JournalError> {
        let mut kept = self.kept.lock();
        let covered = kept.snapshot.as_ref().map_or(Version::ZERO, |snapshot| snapshot.tip().version);
        let through = version.min(covered);
        let drop_count = kept.groups.iter().take_while(|group| group.last() <= through).count();
        let last_dropped = kept.groups.drain(..drop_count).next_back();
        if let Some(last) = last_dropped {
            kept.start = last.last();
        }
        Ok(())
    }
}
