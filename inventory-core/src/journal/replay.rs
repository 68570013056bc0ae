//! From the journal to the state: the newest snapshot, then every group after it.

use super::{Group, GroupError, Journal, JournalError, Snapshot, SnapshotError, Tip};
use crate::event::Record;
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

/// Replays groups onto a state: every event is checked and applied, each group follows the one before it.
#[derive(Debug)]
pub struct Replayer {
    state: State,
    tip: Tip,
}

impl Replayer {
    /// Begins before the first event. `hash_seed` is as for [`State::new`].
    pub fn new(hash_seed: u64) -> Self {
        Self { state: State::new(hash_seed), tip: Tip::default() }
    }

    /// Begins at a snapshot. `hash_seed` is as for [`State::new`].
    pub fn after(snapshot: &Snapshot, hash_seed: u64) -> Result<Self, ReplayError> {
        let tip = snapshot.tip();
        let state = snapshot.restore(hash_seed).map_err(|why| ReplayError::Snapshot(tip.version, why))?;
        Ok(Self { state, tip })
    }

    /// Applies the next group. After an error the state is that before the event it names.
    pub fn follow(&mut self, group: &Group) -> Result<(), ReplayError> {
        apply_group(&mut self.state, &mut self.tip, group)
    }

    /// Applies the events of the next group one by one and shows each with the state it made.
    pub fn follow_each(
        &mut self,
        group: &Group,
        seen: impl FnMut(&State, &Record),
    ) -> Result<(), ReplayError> {
        apply_while(&mut self.state, &mut self.tip, group, |_, _| true, seen).map(drop)
    }

    /// Applies the events of the next group as long as they are wanted; gives whether all were. If not, the state is that
    /// before the first one that was not, and replay ends there.
    pub fn follow_while(
        &mut self,
        group: &Group,
        wanted: impl FnMut(Version, &Record) -> bool,
    ) -> Result<bool, ReplayError> {
        apply_while(&mut self.state, &mut self.tip, group, wanted, |_, _| {})
    }

    /// The state after the last event applied.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The state after the last event applied, to keep.
    pub fn into_state(self) -> State {
        self.state
    }

    /// The end of the last group applied in full.
    pub const fn tip(&self) -> Tip {
        self.tip
    }
}

/// The state at the journal's tip, and the tip. `hash_seed` is as for [`State::new`].
pub async fn replay(journal: &(impl Journal + ?Sized), hash_seed: u64) -> Result<(State, Tip), ReplayError> {
    let mut replayer = match journal.load_snapshot().await? {
        Some(snapshot) => Replayer::after(&snapshot, hash_seed)?,
        None => Replayer::new(hash_seed),
    };
    let mut page = journal.read(replayer.tip.version, READ_BYTES);
    loop {
        let groups = page.await?;
        let Some(last) = groups.last() else { return Ok((replayer.state, replayer.tip)) };
        // Asked for before it is needed: a journal that reads on a thread of its own does so while these are applied.
        page = journal.read(last.last(), READ_BYTES);
        for group in &groups {
            replayer.follow(group)?;
        }
    }
}

/// Applies one group that follows `tip` and moves `tip` behind it.
pub(crate) fn apply_group(state: &mut State, tip: &mut Tip, group: &Group) -> Result<(), ReplayError> {
    apply_while(state, tip, group, |_, _| true, |_, _| {}).map(drop)
}

/// Applies the events of a group that follows `tip` as long as they are wanted, and shows each with the state it made.
/// Gives whether all were wanted, and moves `tip` behind the group then.
fn apply_while(
    state: &mut State,
    tip: &mut Tip,
    group: &Group,
    mut wanted: impl FnMut(Version, &Record) -> bool,
    mut seen: impl FnMut(&State, &Record),
) -> Result<bool, ReplayError> {
    follows(tip, group)?;
    for record in group.records() {
        let (version, record) = record.map_err(|why| ReplayError::Group(group.base(), why))?;
        if !wanted(version, &record) {
            return Ok(false);
        }
        step(state, version, &record)?;
        seen(state, &record);
    }
    *tip = Tip { version: group.last(), hash: group.hash() };
    Ok(true)
}

/// Whether a group is the one after this tip.
pub(super) fn follows(tip: &Tip, group: &Group) -> Result<(), ReplayError> {
    if group.base() == tip.version && group.previous() == tip.hash {
        Ok(())
    } else {
        Err(ReplayError::BrokenChain(tip.version))
    }
}

/// Applies one event from outside, if it can have happened.
pub(super) fn step(state: &mut State, version: Version, record: &Record) -> Result<(), ReplayError> {
    verify(state, record).map_err(|why| ReplayError::Impossible(version, why))?;
    apply(state, record);
    Ok(())
}
