//! Planted defects: what the simulator must catch. Some live in the simulator's own layer (the cable to the disk, a wrapper
//! of the journal, the server's loop); those inside the crates are named in `inventory_core::defect`.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use inventory_core::Version;
use inventory_core::defect::Defect as Inside;
use inventory_core::journal::{Append, Group, Journal, JournalError, Snapshot, Tip};
use inventory_store::FileJournal;

/// Something that is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Files are never made durable.
    NoSync,
    /// Directories are never made durable.
    NoDirectorySync,
    /// A group is acknowledged when it is taken, and written when the next one comes.
    AcknowledgeBeforeAppend,
    /// A group that was not written counts as written.
    FailureIsSuccess,
    /// A group that was written counts as not written.
    SuccessIsFailure,
    /// An append whose outcome is unknown counts as not written, and the server goes on.
    UnknownIsFailure,
    /// The last group is not read back.
    LoseLastGroup,
    /// The server gives every purchase that arrives a key of its own, and answers with the client's.
    ForgetKeys,
    /// Reads are answered from a copy that is refreshed seldom.
    StaleReads,
    /// Receipts name the version before their own.
    VersionOffByOne,
    /// A logout is answered and not carried out.
    ForgetLogout,
    /// One inside the crates.
    Inside(Inside),
}

impl Defect {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let around = [
            Self::NoSync,
            Self::NoDirectorySync,
            Self::AcknowledgeBeforeAppend,
            Self::FailureIsSuccess,
            Self::SuccessIsFailure,
            Self::UnknownIsFailure,
            Self::LoseLastGroup,
            Self::ForgetKeys,
            Self::StaleReads,
            Self::VersionOffByOne,
            Self::ForgetLogout,
        ];
        around.into_iter().chain(Inside::ALL.iter().copied().map(Self::Inside))
    }

    /// What is to be planted inside the crates.
    pub(crate) fn inside(self) -> Option<Inside> {
        match self {
            Self::Inside(defect) => Some(defect),
            _ => None,
        }
    }
}

/// The file journal, with a defect between it and its caller.
#[derive(Debug)]
pub(crate) struct DefectiveJournal {
    pub(crate) journal: FileJournal,
    pub(crate) defect: Option<Defect>,
    /// What [`Defect::AcknowledgeBeforeAppend`] has yet to write.
    pub(crate) late: Mutex<Option<Group>>,
}

#[async_trait]
impl Journal for DefectiveJournal {
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

    async fn append(&self, group: Group) -> Append {
        if self.defect != Some(Defect::AcknowledgeBeforeAppend) {
            return self.journal.append(group).await;
        }
        let before = self.late.lock().unwrap_or_else(PoisonError::into_inner).replace(group);
        match before {
            Some(before) => self.journal.append(before).await,
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
