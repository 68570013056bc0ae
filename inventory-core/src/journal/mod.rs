//! The journal: where events are kept. This crate knows the trait, the bytes of a group and of a snapshot,
//! how to replay them, and a journal in memory; adapters that keep them on disk or in a database live in
//! other crates and prove themselves with the conformance kit of `testing`.

mod account_scan;
mod audit;
mod bytes;
mod commit;
mod group;
mod memory;
mod past_order;
mod replay;
mod snapshot;
mod volatile;

pub use account_scan::{AccountScan, ScanPlace, ScannedEntry};
pub use audit::{Auditor, Breach, Claims, Settled, Violation};
pub use bytes::Malformed;
pub use commit::{Commit, commit, commit_again};
pub use group::{GROUP_FORMAT, Group, GroupBuilder, GroupError};
pub use memory::MemoryJournal;
pub use past_order::{PastOrder, PastOrderSearch, PastOutcome};
pub(crate) use replay::apply_group;
pub use replay::{ReplayError, Replayer, replay};
pub use snapshot::{SNAPSHOT_FORMAT, Snapshot, SnapshotError};
pub use volatile::Volatile;

use alloc::boxed::Box;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;

use async_trait::async_trait;

use crate::id::{Hash, Version};
use crate::time::Time;

/// The end of a journal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tip {
    /// The last version it holds.
    pub version: Version,
    /// The hash of its last group; [`Hash::ZERO`] if it holds none.
    pub hash: Hash,
}

/// What became of an append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Append {
    /// The group is on durable storage: it survives the loss of power from now on.
    Done,
    /// The journal does not end where the group begins: another group is there. Nothing was written.
    Conflict,
    /// Nothing was written, for certain, and nothing of this group will ever be read. The journal still works.
    Failed(String),
    /// It cannot be said whether the group was written.
    Unknown(String),
}

/// Why a journal cannot be read or managed. The text says what happened, to what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JournalError {
    /// The storage answered with an error. Another attempt may go through.
    #[error("the journal cannot be reached: {0}")]
    Unreachable(String),
    /// The stored bytes are not what was written, or were written by another program.
    #[error("the journal is damaged: {0}")]
    Damaged(String),
    /// The wanted groups are no longer kept: a snapshot covers them.
    #[error("the journal no longer holds what follows version {after}: it starts after {start}")]
    Discarded {
        /// Groups after this version were asked for.
        after: Version,
        /// The journal's first group follows this version.
        start: Version,
    },
    /// An earlier write failed in a way that leaves the end of the journal unclear; it must be opened anew.
    #[error("the journal has stopped after a failed write; restart to recover: {0}")]
    Poisoned(String),
}

/// A stored group that cannot be read is not what was written.
impl From<GroupError> for JournalError {
    fn from(why: GroupError) -> Self {
        Self::Damaged(why.to_string())
    }
}

/// An append-only log of [`Group`]s with a compare-and-set at its end, and the snapshots that shorten replay.
///
/// # What an implementation owes
///
/// - **Durable before done.** [`append`](Self::append) answers [`Append::Done`] only when the group would survive
///   the loss of power. It never answers `Done` twice for two groups with the same base.
/// - **Compare and set.** A group is written only if the journal ends exactly at the group's base and the hash of its
///   last group is the one the group names as previous; otherwise the answer is [`Append::Conflict`].
/// - **In order.** Appends take effect in the order in which `append` was called, also when several are awaited at
///   once: a group whose predecessor failed is answered [`Append::Conflict`] or [`Append::Failed`].
/// - **Definite means definite.** After [`Append::Failed`] no reader ever sees the group, also after a crash. Where
///   that cannot be promised the answer is [`Append::Unknown`].
/// - **No holes.** [`read`](Self::read) gives consecutive groups, each once, in order, starting with the one whose base
///   is the version asked for. What was once read as durable is never changed.
/// - **Damage is loud.** Bytes that differ from what was written give [`JournalError::Damaged`], never other groups
///   and never a shorter journal. Only the torn end of a write that was never answered may be cut.
/// - **Snapshots are atomic.** A crash while saving leaves the old one. [`load_snapshot`](Self::load_snapshot) gives the
///   newest whole one.
///
/// # What a caller owes
///
/// One writer at a time for exclusive journals (the file journal enforces it with a lock). After [`Append::Unknown`]
/// the caller finds out with [`read`](Self::read) before it appends anything else: its own group there means done;
/// another's means that its own never happens; an error or nothing there means still unknown.
///
/// The kit in `inventory_core::testing` (feature `testing`) checks these obligations on any implementation.
#[async_trait]
pub trait Journal: Send + Sync {
    /// The newest snapshot; none if there is none.
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError>;

    /// Consecutive groups, the first with base `after`. At least one if the journal goes on after that version, and
    /// then as many more as fit `bytes_max` bytes; none at the tip.
    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError>;

    /// Where to read for what happened at `time` or later: the base of a group, or the tip, such that every event at or
    /// before it happened before `time`. The further on, the less is read in vain; the journal's start is right too, and
    /// what this gives unless an implementation knows better.
    ///
    /// [`JournalError::Discarded`] if groups were discarded in which something may have happened at `time` or later. If a
    /// group that is kept begins before `time`, none were: times never go back in a journal.
    async fn position(&self, time: Time) -> Result<Version, JournalError> {
        let start = match self.read(Version::ZERO, 0).await {
            Err(JournalError::Discarded { start, .. }) => start,
            read => return read.map(|_| Version::ZERO),
        };
        match self.read(start, 0).await?.first() {
            Some(group) if group.begins_at()? < time => Ok(start),
            _ => Err(JournalError::Discarded { after: Version::ZERO, start }),
        }
    }

    /// Writes a group if the journal ends at its base. See the trait for what each answer promises.
    async fn append(&self, group: Group) -> Append;

    /// The end of the journal.
    async fn tip(&self) -> Result<Tip, JournalError>;

    /// Saves a snapshot. Its version is at or before the tip.
    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError>;

    /// Drops the groups whose every event is at or before `version`, as far as a saved snapshot covers them. A
    /// journal may keep more than it must.
    async fn discard_through(&self, version: Version) -> Result<(), JournalError>;
}

/// A shared journal is a journal.
#[async_trait]
impl<J: Journal + ?Sized> Journal for alloc::sync::Arc<J> {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        (**self).load_snapshot().await
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        (**self).read(after, bytes_max).await
    }

    async fn position(&self, time: Time) -> Result<Version, JournalError> {
        (**self).position(time).await
    }

    async fn append(&self, group: Group) -> Append {
        (**self).append(group).await
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        (**self).tip().await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        (**self).save_snapshot(snapshot).await
    }

    async fn discard_through(&self, version: Version) -> Result<(), JournalError> {
        (**self).discard_through(version).await
    }
}
