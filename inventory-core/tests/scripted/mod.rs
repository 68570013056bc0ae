//! A journal that answers as it is told.
#![allow(dead_code, unreachable_pub, reason = "each test uses what it needs")]

use std::future::pending;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use inventory_core::Version;
use inventory_core::journal::{
    Append, Commit, Group, Journal, JournalError, MemoryJournal, Snapshot, Tip, commit,
};
use pollster::block_on;

/// What the journal does with the next append.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Writes it and says so.
    Write,
    /// Writes it and cannot say.
    WriteAndLoseTheAnswer,
    /// Does not write it and cannot say.
    LoseTheRequest,
    /// Does not write it and says so.
    Fail,
    /// Writes it and never answers.
    WriteAndHang,
    /// Does not write it and never answers.
    Hang,
}

/// A memory journal behind a script; past the script's end it writes. Reads fail while `reads_fail` is not used up.
pub struct Scripted {
    pub journal: MemoryJournal,
    steps: Mutex<Vec<Step>>,
    reads_fail: Mutex<usize>,
    readings: AtomicUsize,
}

impl Scripted {
    pub fn new(steps: &[Step], reads_fail: usize) -> Self {
        let steps = steps.iter().rev().copied().collect();
        Self {
            journal: MemoryJournal::new(),
            steps: Mutex::new(steps),
            reads_fail: Mutex::new(reads_fail),
            readings: AtomicUsize::new(0),
        }
    }

    /// Lets the next so many reads fail.
    pub fn fail_reads(&self, count: usize) {
        *self.reads_fail.lock().unwrap() = count;
    }

    /// How often it was read.
    pub fn readings(&self) -> usize {
        self.readings.load(Ordering::Relaxed)
    }

    pub fn commit(&self, group: &Group) -> Commit {
        block_on(commit(self, group))
    }

    pub fn groups(&self) -> Vec<Group> {
        block_on(self.journal.read(Version::ZERO, usize::MAX)).unwrap()
    }
}

#[async_trait]
impl Journal for Scripted {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        self.journal.load_snapshot().await
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        self.readings.fetch_add(1, Ordering::Relaxed);
        let fails = {
            let mut left = self.reads_fail.lock().unwrap();
            let fails = *left > 0;
            *left = left.saturating_sub(1);
            fails
        };
        if fails {
            return Err(JournalError::Unreachable("no line".into()));
        }
        self.journal.read(after, bytes_max).await
    }

    async fn append(&self, group: Group) -> Append {
        let step = self.steps.lock().unwrap().pop().unwrap_or(Step::Write);
        match step {
            Step::Write => self.journal.append(group).await,
            Step::WriteAndLoseTheAnswer => {
                self.journal.append(group).await;
                Append::Unknown("no answer".into())
            }
            Step::LoseTheRequest => Append::Unknown("no answer".into()),
            Step::Fail => Append::Failed("disk full".into()),
            Step::WriteAndHang => {
                self.journal.append(group).await;
                pending().await
            }
            Step::Hang => pending().await,
        }
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        self.journal.tip().await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        self.journal.save_snapshot(snapshot).await
    }

    async fn discard_through(&self, version: Version) -> Result<(), JournalError> {
        self.journal.discard_through(version).await
    }
}
