//! The kit passes a right journal and catches wrong ones.

use alloc::sync::Arc;
use alloc::vec;

use async_trait::async_trait;
use spin::Mutex;

use super::*;
use crate::journal::{MemoryJournal, Snapshot};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    IgnoresPreviousHash,
    IgnoresBase,
    LosesLastGroupOnOpening,
    DiscardsWithoutSnapshot,
    KeepsOldestSnapshot,
    ReadsNothingThatIsTooLarge,
    PassesOverWhatHappenedThen,
    KnowsNotWhatItDiscarded,
}

/// A journal that does what the memory journal does, but for one fault.
struct Faulty {
    fault: Option<Fault>,
    groups: Mutex<Vec<Group>>,
    snapshot: Mutex<Option<Snapshot>>,
    start: Mutex<Version>,
}

impl Faulty {
    fn new(fault: Option<Fault>) -> Self {
        let (groups, snapshot, start) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { fault, groups, snapshot, start }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn end(&self) -> Tip {
        let last = self.groups.lock().last().map(|g| Tip { version: g.last(), hash: g.hash() });
        last.or(self.snapshot.lock().as_ref().map(Snapshot::tip)).unwrap_or_default()
    }
}

#[async_trait]
impl Journal for Faulty {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        Ok(self.snapshot.lock().clone())
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        let start = *self.start.lock();
        if after < start {
            return Err(JournalError::Discarded { after, start });
        }
        let (mut bytes, mut page) = (0usize, vec![]);
        for group in self.groups.lock().iter().filter(|group| group.base() >= after) {
            bytes = bytes.saturating_add(group.bytes().len());
            if bytes > bytes_max && (!page.is_empty() || self.has(Fault::ReadsNothingThatIsTooLarge)) {
                break;
            }
            page.push(group.clone());
        }
        Ok(page)
    }

    async fn position(&self, time: Time) -> Result<Version, JournalError> {
        let start = *self.start.lock();
        let groups = self.groups.lock();
        let at_or_before = self.has(Fault::PassesOverWhatHappenedThen);
        let in_front = |group: &&Group| {
            let begins = group.begins_at().unwrap();
            begins < time || (at_or_before && begins == time)
        };
        match groups.iter().take_while(in_front).last() {
            Some(last) => Ok(last.base()),
            None if start == Version::ZERO || self.has(Fault::KnowsNotWhatItDiscarded) => Ok(start),
            None => Err(JournalError::Discarded { after: Version::ZERO, start }),
        }
    }

    async fn append(&self, group: Group) -> Append {
        let end = self.end();
        let base_fits = self.has(Fault::IgnoresBase) || end.version == group.base();
        let hash_fits = self.has(Fault::IgnoresPreviousHash) || end.hash == group.previous();
        if !(base_fits && hash_fits) {
            return Append::Conflict;
        }
        self.groups.lock().push(group);
        Append::Done
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        Ok(self.end())
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        let mut kept = self.snapshot.lock();
        let newer = kept.as_ref().is_none_or(|old| {
            old.tip().version < snapshot.tip().version && !self.has(Fault::KeepsOldestSnapshot)
        });
        if newer {
            *kept = Some(snapshot);
        }
        Ok(())
    }

    async fn discard_through(&self, version: Version) -> Result<(), JournalError> {
        let covered = self.snapshot.lock().as_ref().map_or(Version::ZERO, |s| s.tip().version);
        let through = if self.has(Fault::DiscardsWithoutSnapshot) { version } else { version.min(covered) };
        self.groups.lock().retain(|group| group.last() > through);
        *self.start.lock() = through;
        Ok(())
    }
}

fn checked(fault: Option<Fault>) -> Option<&'static str> {
    let fresh = || {
        let storage = Arc::new(Faulty::new(fault));
        async move || {
            if storage.has(Fault::LosesLastGroupOnOpening) {
                storage.groups.lock().pop();
            }
            Ok(Arc::clone(&storage))
        }
    };
    pollster::block_on(check(fresh)).err().map(|violation| violation.obligation)
}

#[test]
fn the_memory_journal_conforms() {
    let fresh = || {
        let storage = Arc::new(MemoryJournal::new());
        async move || Ok(Arc::clone(&storage))
    };
    assert_eq!(pollster::block_on(check(fresh)), Ok(()));
}

#[test]
fn a_journal_with_a_fault_is_caught_and_the_obligation_named() {
    assert_eq!(checked(None), None);
    for (fault, obligation) in [
        (Fault::IgnoresBase, "a group is written only behind the version it names"),
        (Fault::IgnoresPreviousHash, "a group is written only behind the hash it names"),
        (Fault::LosesLastGroupOnOpening, "opening again gives everything"),
        (Fault::DiscardsWithoutSnapshot, "nothing is discarded without a snapshot"),
        (Fault::KeepsOldestSnapshot, "the newest snapshot is loaded"),
        (Fault::PassesOverWhatHappenedThen, "reading from a time on misses nothing"),
        (Fault::KnowsNotWhatItDiscarded, "what was discarded is not passed over by time"),
        (Fault::ReadsNothingThatIsTooLarge, "what was appended is read back, byte for byte"),
    ] {
        assert_eq!(checked(Some(fault)), Some(obligation), "{fault:?}");
    }
}
