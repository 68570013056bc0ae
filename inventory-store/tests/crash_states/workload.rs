//! What the journal is asked for, and what it has promised at each moment.

use std::sync::Arc;

use inventory_core::Version;
use inventory_core::journal::{Append, Group, Journal, Snapshot};
use inventory_core::testing::Chain;
use inventory_store::{FileJournal, FileJournalOptions};
use pollster::block_on;

use super::recorder::RecordingDisk;

/// Something that was asked for, and when: by the number of operations recorded.
#[derive(Debug)]
struct Asked<T> {
    what: T,
    begun: usize,
    answered: usize,
}

/// What was asked for and answered.
#[derive(Debug, Default)]
pub(crate) struct Told {
    groups: Vec<Asked<Group>>,
    snapshots: Vec<Asked<Snapshot>>,
    discards: Vec<Asked<Version>>,
}

/// What must and what may be there after a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Promise {
    /// So many groups were acknowledged,
    pub(crate) groups: usize,
    /// and so many asked for.
    pub(crate) groups_asked: usize,
    /// The newest snapshot that was saved, and the newest asked for.
    pub(crate) snapshot: Version,
    pub(crate) snapshot_asked: Version,
    /// Groups up to here may be gone.
    pub(crate) discarded: Version,
}

impl Told {
    /// What holds when this many operations are done and the next one is not.
    pub(crate) fn promise(&self, done: usize) -> Promise {
        let snapshots = |wanted: &dyn Fn(&Asked<Snapshot>) -> bool| {
            let versions = self.snapshots.iter().filter(|asked| wanted(asked));
            versions.map(|asked| asked.what.tip().version).max().unwrap_or_default()
        };
        let discards = self.discards.iter().filter(|asked| asked.begun < done);
        Promise {
            groups: self.groups.iter().filter(|asked| asked.answered <= done).count(),
            groups_asked: self.groups.iter().filter(|asked| asked.begun < done).count(),
            snapshot: snapshots(&|asked| asked.answered <= done),
            snapshot_asked: snapshots(&|asked| asked.begun < done),
            discarded: discards.map(|asked| asked.what).max().unwrap_or_default(),
        }
    }

    /// As if each group had been acknowledged one operation before it was.
    pub(crate) fn answer_early(&mut self) {
        for asked in &mut self.groups {
            asked.answered -= 1;
        }
    }

    /// All groups, in order.
    pub(crate) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().map(|asked| &asked.what)
    }

    /// The snapshot of this version.
    pub(crate) fn snapshot(&self, version: Version) -> Option<&Snapshot> {
        self.snapshots.iter().map(|asked| &asked.what).find(|snapshot| snapshot.tip().version == version)
    }
}

/// Groups of all sizes over many segments, alone and together, snapshots, discarding, and opening again.
pub(crate) fn run(disk: &RecordingDisk, options: FileJournalOptions) -> Told {
    let mut told = Told::default();
    let mut chain = Chain::new(1);
    for round in 0..4 {
        let journal = FileJournal::open_on(Arc::new(disk.clone()), options).unwrap();
        for bytes in [700, 90, 2_500] {
            told.append(disk, &journal, vec![chain.next(bytes)]);
        }
        // Three that wait together; then one that no usual segment holds.
        told.append(disk, &journal, vec![chain.next(200), chain.next(1_700), chain.next(90)]);
        if round == 1 {
            told.append(disk, &journal, vec![chain.next(9_000)]);
        }
        told.save(disk, &journal, chain.snapshot());
        told.append(disk, &journal, vec![chain.next(1_800)]);
        if round > 0 {
            told.discard(disk, &journal, chain.tip().version);
        }
        told.append(disk, &journal, vec![chain.next(3_000)]);
    }
    told
}

impl Told {
    fn append(&mut self, disk: &RecordingDisk, journal: &FileJournal, groups: Vec<Group>) {
        let begun = disk.recorded();
        let answers: Vec<_> = groups.iter().map(|group| journal.append(group.clone())).collect();
        for (answer, what) in answers.into_iter().zip(groups) {
            assert_eq!(block_on(answer), Append::Done);
            self.groups.push(Asked { what, begun, answered: disk.recorded() });
        }
    }

    fn save(&mut self, disk: &RecordingDisk, journal: &FileJournal, what: Snapshot) {
        let begun = disk.recorded();
        block_on(journal.save_snapshot(what.clone())).unwrap();
        self.snapshots.push(Asked { what, begun, answered: disk.recorded() });
    }

    fn discard(&mut self, disk: &RecordingDisk, journal: &FileJournal, what: Version) {
        let begun = disk.recorded();
        block_on(journal.discard_through(what)).unwrap();
        self.discards.push(Asked { what, begun, answered: disk.recorded() });
    }
}
