//! A snapshot without the engine: the newest one is restored, what is durable behind it is replayed, and the result is saved.
//! The files are only read, by their names, so this works beside the journal's writer and in another process.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use inventory_core::journal::{Group, JournalError, Replayer, Snapshot, Tip};
use inventory_core::{Hash, Version};

use super::{UpkeepError, failed};
use crate::disk::{Disk, OsDisk};
use crate::file::damage::OpenError;
use crate::file::lock::{Lock, LockError};
use crate::file::recovery::{self, Scope};
use crate::file::shared::Shared;
use crate::file::snapshots::{self, Pace};

/// Held by whoever saves a snapshot, for as long as that takes: the journal's own process, or another.
const LOCK: &str = "snapshots.lock";

/// A state that was replayed, as a snapshot.
struct Taken {
    snapshot: Snapshot,
    /// The digest of the state, not of the bytes.
    digest: Hash,
}

/// Makes a snapshot of what is durable in a data directory and gives where it stands; none if nothing is new. The directory may be
/// in use by a server: everything but its last write is then known to be durable.
///
/// All but the two newest snapshots are removed; segments are left to the server.
///
/// ```
/// use inventory_core::{Inventory, Role, Time};
/// use inventory_store::{FileJournal, FileJournalOptions, take_snapshot};
/// # let parent = tempfile::tempdir()?;
/// # let dir = &parent.path().join("data");
/// let journal = FileJournal::open(dir, FileJournalOptions::default())?;
/// let mut shop = pollster::block_on(Inventory::open(journal, 7))?;
/// for name in ["alice", "bob"] {
///     pollster::block_on(shop.add_user(Time::from_micros(1), name, "", Role::Buyer))?;
/// }
/// let tip = take_snapshot(dir)?.ok_or("nothing new")?;
/// assert_eq!(tip.version.0, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn take_snapshot(dir: &Path) -> Result<Option<Tip>, UpkeepError> {
    let disk = OsDisk::new(dir);
    let end = recovery::survey(&disk, Scope::After(Version(u64::MAX)), &mut |_| ControlFlow::Continue(()))?;
    if let Some(damage) = end.damage {
        return Err(OpenError::Damaged(damage).into());
    }
    let Some(taken) = replay(&disk, end.durable(), &mut || Ok(()))? else { return Ok(None) };
    let _lock = lock(Some(dir), Lock::take)?;
    let saved = snapshots::save(&disk, &taken.snapshot, Some(taken.digest), &mut || Ok(()));
    saved.map_err(|why| UpkeepError::Io { path: disk.path(snapshots::DIR), why })?;
    Ok(Some(taken.snapshot.tip()))
}

/// Makes a snapshot of everything durable in an open journal; gives where it stands, or none if nothing is new.
pub(super) fn take(shared: &Shared, pace: &mut Pace<'_>) -> Result<Option<Tip>, UpkeepError> {
    shared.check_poison()?;
    let end = shared.index().tip.version;
    let Some(taken) = replay(&*shared.disk, end, pace)? else { return Ok(None) };
    save(shared, &taken.snapshot, Some(taken.digest), Lock::take, pace)?;
    Ok(Some(taken.snapshot.tip()))
}

/// Saves a snapshot of an open journal, unless there is one as new; see `Journal::save_snapshot`.
pub(in crate::file) fn save_snapshot(shared: &Shared, snapshot: &Snapshot) -> Result<(), JournalError> {
    let (version, end) = (snapshot.tip().version, shared.index().tip.version);
    if version > end {
        let what = format!("the snapshot is of version {version}, but the journal ends at {end}");
        return Err(JournalError::Damaged(what));
    }
    save(shared, snapshot, None, Lock::wait, &mut || Ok(())).map_err(|why| match why {
        UpkeepError::Journal(why) => why,
        UpkeepError::Read(OpenError::Damaged(damage)) => JournalError::Damaged(damage.to_string()),
        other => JournalError::Unreachable(other.to_string()),
    })
}

fn save(
    shared: &Shared,
    snapshot: &Snapshot,
    digest: Option<Hash>,
    take_lock: TakeLock,
    pace: &mut Pace<'_>,
) -> Result<(), UpkeepError> {
    let mut known = shared.housekeeping();
    let version = snapshot.tip().version;
    if known.newest.is_some_and(|newest| version <= newest) {
        return Ok(());
    }
    let _lock = lock(shared.dir.as_deref(), take_lock)?;
    snapshots::save(&*shared.disk, snapshot, digest, pace)
        .map_err(|why| failed(shared, snapshots::DIR, why))?;
    (known.opened, known.newest) = (None, Some(version));
    Ok(())
}

/// How the lock is taken: at once or not at all, or after waiting for its holder.
type TakeLock = fn(&Path, &str) -> Result<Lock, LockError>;

/// Takes the snapshots' lock in this directory. A disk that is no directory has one user, who needs none.
fn lock(dir: Option<&Path>, take: TakeLock) -> Result<Option<Lock>, UpkeepError> {
    let Some(dir) = dir else { return Ok(None) };
    take(dir, LOCK).map(Some).map_err(|why| match why {
        LockError::Held(_) => UpkeepError::Busy { dir: dir.to_path_buf() },
        LockError::Io(why) => UpkeepError::Io { path: dir.join(LOCK), why },
    })
}

/// The state at this version, or at the last group before it, if it is newer than the newest snapshot.
fn replay(disk: &dyn Disk, end: Version, pace: &mut Pace<'_>) -> Result<Option<Taken>, UpkeepError> {
    let found = snapshots::find(disk).map_err(|why| recovery::failed(disk, snapshots::DIR, why))?;
    let seed = snapshots::hash_seed();
    let (mut replayer, begin) = match &found.newest {
        Some(snapshot) => (Replayer::after(snapshot, seed)?, snapshot.tip().version),
        None => (Replayer::new(seed), Version::ZERO),
    };
    if begin >= end {
        return Ok(None);
    }
    let mut stopped = None;
    let mut visit = |group: &Group| {
        if group.last() <= begin {
            return ControlFlow::Continue(());
        }
        if group.last() > end {
            return ControlFlow::Break(());
        }
        let followed = replayer.follow(group).map_err(UpkeepError::from);
        let paced = followed.and_then(|()| pace().map_err(|why| halted(disk.path(snapshots::DIR), why)));
        match paced {
            Ok(()) if group.last() < end => ControlFlow::Continue(()),
            paced => {
                stopped = paced.err();
                ControlFlow::Break(())
            }
        }
    };
    let survey = recovery::survey_with(disk, found, Scope::AfterSnapshot, &mut visit)?;
    if let Some(why) = stopped {
        return Err(why);
    }
    if let Some(damage) = survey.damage {
        return Err(OpenError::Damaged(damage).into());
    }
    let tip = replayer.tip();
    if tip.version <= begin {
        return Ok(None);
    }
    let state = replayer.into_state();
    let snapshot = Snapshot::of(&state, tip.hash);
    Ok(Some(Taken { digest: state.digest(), snapshot }))
}

fn halted(path: PathBuf, why: io::Error) -> UpkeepError {
    if super::thread::is_closing(&why) { UpkeepError::Closing } else { UpkeepError::Io { path, why } }
}
