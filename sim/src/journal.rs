//! A server's way to the journal, on which requests and answers are lost or come late, as from a database on another machine.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use inventory_core::journal::{Append, Group, Journal, JournalError, Snapshot, Tip};
use inventory_core::{Time, Version};
use inventory_store::FileJournal;

use crate::defect::Defect;

/// What is lost of an append.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loss {
    /// The request.
    Request,
    /// The answer.
    Answer,
    /// The answer, and the request comes only when the next append does.
    Late,
}

/// The file journal as the servers reach it. All of them share it.
#[derive(Debug)]
pub(crate) struct Line {
    journal: FileJournal,
    pub(crate) defect: Option<Defect>,
    /// What [`Defect::AcknowledgeBeforeAppend`] has yet to write.
    kept_back: Mutex<Option<Group>>,
    /// What the next appends lose.
    losses: Mutex<VecDeque<Loss>>,
    late: Mutex<Option<Group>>,
}

impl Line {
    pub(crate) fn new(journal: FileJournal, defect: Option<Defect>) -> Self {
        Self {
            journal,
            defect,
            kept_back: Mutex::default(),
            losses: Mutex::default(),
            late: Mutex::default(),
        }
    }

    /// The journal itself, for what is done beside the servers.
    pub(crate) const fn files(&self) -> &FileJournal {
        &self.journal
    }

    /// Lets the next appends lose this.
    pub(crate) fn lose(&self, losses: impl IntoIterator<Item = Loss>) {
        *lock(&self.losses) = losses.into_iter().collect();
    }

    async fn send(&self, group: Group) -> Append {
        let late = lock(&self.late).take();
        if let Some(late) = late {
            // Nobody waits for this answer any more.
            let _ = self.journal.append(late).await;
        }
        let loss = lock(&self.losses).pop_front();
        match loss {
            None => return self.journal.append(group).await,
            Some(Loss::Request) => {}
            Some(Loss::Answer) => drop(self.journal.append(group).await),
            Some(Loss::Late) => *lock(&self.late) = Some(group),
        }
        Append::Unknown("no answer came from the journal".to_owned())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Journal for Line {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        self.journal.load_snapshot().await
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        let mut groups = self.journal.read(after, bytes_max).await?;
        if self.defect == Some(Defect::LoseLastGroup) {
            let end = self.journal.tip().await?;
            groups.pop_if(|group| group.last() == end.version);
        }
        Ok(groups)
    }

    async fn position(&self, time: Time) -> Result<Version, JournalError> {
        self.journal.position(time).await
    }

    async fn append(&self, group: Group) -> Append {
        if self.defect != Some(Defect::AcknowledgeBeforeAppend) {
            return self.send(group).await;
        }
        let before = lock(&self.kept_back).replace(group);
        match before {
            Some(before) => self.send(before).await,
            None => Append::Done,
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
