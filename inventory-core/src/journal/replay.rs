//! From the journal to the state: the newest snapshot, then every group after it.

use super::{Group, GroupError, Journal, JournalError, SnapshotError, Tip};
use crate::id::Version;
use crate::machine::{Impossible, apply, verify};
use crate::state::State;

/// How many bytes of groups replay asks for at once.
const READ_BYTES: usize = 4 << 20;

/// Why a journal cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// It cannot be read.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Its snapshot cannot be restored.
    #[error("the snapshot at version {0} cannot be restored: {1}")]
    Snapshot(Version, SnapshotError),
    /// A group cannot be read.
    #[error("the group after version {0} cannot be read: {1}")]
    Group(Version, GroupError),
    /// A group does not follow the one before it.
    #[error(
        "the group after version {0} does not follow the group before it: the journal was changed or mixed up"
    )]
    BrokenChain(Version),
    /// An event cannot have happened.
    #[error("the event that makes version {0} cannot have happened: {1}")]
    Impossible(Version, Impossible),
}

/// The state at the journal's tip, and the tip. `hash_seed` is as for [`State::new`].
pub async fn replay(journal: &(impl Journal + ?Sized), hash_seed: u64) -> Result<(State, Tip), ReplayError> {
    let (mut state, mut tip) = match journal.load_snapshot().await? {
        Some(snapshot) => {
            let version = snapshot.tip().version;
            let state = snapshot.restore(hash_seed).map_err(|why| ReplayError::Snapshot(version, why))?;
            (state, snapshot.tip())
        }
        None => (State::new(hash_seed), Tip::default()),
    };
    loop {
        let groups = journal.read(tip.version, READ_BYTES).await?;
        if groups.is_empty() {
            return Ok((state, tip));
        }
        for group in &groups {
            apply_group(&mut state, &mut tip, group)?;
        }
    }
}

/// Applies one group that follows `tip` and moves `tip` behind it.
pub(crate) fn apply_group(state: &mut State, tip: &mut Tip, group: &Group) -> Result<(), ReplayError> {
    if group.base() != tip.version || group.previous() != tip.hash {
        return Err(ReplayError::BrokenChain(tip.version));
    }
    for record in group.records() {
        let (version, record) = record.map_err(|why| ReplayError::Group(group.base(), why))?;
        verify(state, &record).map_err(|why| ReplayError::Impossible(version, why))?;
        apply(state, &record);
    }
    *tip = Tip { version: group.last(), hash: group.hash() };
    Ok(())
}
