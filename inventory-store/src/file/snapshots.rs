//! The snapshots: one file each, `snapshots/NNNNNNNNNNNNNNNNNNNN.snap`, its version in 20 decimal digits, its bytes those
//! of the core's snapshot, which carry their own hash. A snapshot gets its name only when it is durable.

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use inventory_core::defect::{self, Defect};
use inventory_core::journal::Snapshot;
use inventory_core::{Hash, Version};

use super::damage::Damage;
use super::segment::parse_numbered;
use crate::disk::{Disk, DiskFile, read_full, write_full};

/// The directory of the snapshots.
pub(super) const DIR: &str = "snapshots";
/// How many are kept: the newest, and one to fall back to.
const KEPT: usize = 2;
/// A snapshot on its way; what a crash left of one is overwritten by the next.
const UNFINISHED: &str = "snapshots/unfinished";

/// How much is written between two syncs.
const PIECE_BYTES: usize = 256 << 10;

/// Is called between two steps of what takes long; an error ends it.
pub(super) type Pace<'a> = dyn FnMut() -> io::Result<()> + 'a;

/// The snapshots found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The newest whole one.
    pub(super) newest: Option<Snapshot>,
    /// Those that are newer than it and not whole.
    pub(super) damaged: Vec<Damage>,
}

/// Looks for the newest whole snapshot.
pub(super) fn find(disk: &dyn Disk) -> io::Result<Found> {
    let mut found = Found::default();
    for version in versions(disk)?.into_iter().rev() {
        match load_version(disk, version)? {
            Ok(snapshot) => {
                found.newest = Some(snapshot);
                if !defect::is(Defect::OldestSnapshotLoaded) {
                    break;
                }
            }
            Err(damage) => found.damaged.push(damage),
        }
    }
    Ok(found)
}

/// Reads every snapshot that is whole, oldest first, and names the others. One that is removed meanwhile is left out: a
/// newer one has taken its place.
pub(super) fn all(disk: &dyn Disk) -> io::Result<(Vec<Snapshot>, Vec<Damage>)> {
    let (mut whole, mut damaged) = (Vec::new(), Vec::new());
    for version in versions(disk)? {
        match load_version(disk, version) {
            Ok(Ok(snapshot)) => whole.push(snapshot),
            Ok(Err(damage)) => damaged.push(damage),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
    }
    Ok((whole, damaged))
}

/// Saves a snapshot and removes those that are no longer needed. It gets its name, and counts, only when what was read back
/// is what was written; if a digest is given, only if that is also the digest of the state that it restores.
///
/// `pace` is called after every piece that was written, and ends the work with an error.
pub(super) fn save(
    disk: &dyn Disk,
    snapshot: &Snapshot,
    digest: Option<Hash>,
    pace: &mut Pace<'_>,
) -> io::Result<()> {
    let name = name(snapshot.tip().version);
    let saved = write(disk, snapshot, pace)
        .and_then(|()| check(disk, snapshot, digest))
        .and_then(|()| disk.rename(UNFINISHED, &name));
    if saved.is_err() {
        // Gives the room back; the error that matters is the first.
        let _ = disk.remove(UNFINISHED);
    }
    saved?;
    disk.sync_dir(DIR)?;
    let kept = oldest_kept(disk)?.unwrap_or_default();
    let mut old = versions(disk)?;
    old.retain(|version| *version < kept);
    if old.is_empty() {
        return Ok(());
    }
    let discarded = old.iter().try_for_each(|old| disk.discard(&self::name(*old)));
    // Also after a failure: the room of those that went before it is given back.
    disk.sync_dir(DIR).and(discarded)
}

/// In pieces, each durable before the next: a large write to sync at once would hold up the journal's.
fn write(disk: &dyn Disk, snapshot: &Snapshot, pace: &mut Pace<'_>) -> io::Result<()> {
    let file = disk.create(UNFINISHED)?;
    let mut offset = 0;
    for piece in snapshot.bytes().chunks(PIECE_BYTES) {
        write_full(&*file, piece, offset)?;
        if !defect::is(Defect::SnapshotNotSynced) {
            file.sync_data()?;
        }
        offset += piece.len() as u64;
        pace()?;
    }
    Ok(())
}

fn check(disk: &dyn Disk, snapshot: &Snapshot, digest: Option<Hash>) -> io::Result<()> {
    let broken = |what: String| io::Error::other(format!("the snapshot was not saved: {what}"));
    let read_back = load(disk, UNFINISHED)?.map_err(|damage| broken(damage.what))?;
    if read_back != *snapshot {
        return Err(broken("what was read back is not what was written".to_owned()));
    }
    let Some(digest) = digest else { return Ok(()) };
    let state = read_back.restore(hash_seed()).map_err(|why| broken(why.to_string()))?;
    if state.digest() == digest {
        Ok(())
    } else {
        Err(broken("the state that it restores is not the one it was made from".to_owned()))
    }
}

/// A seed for the keys of a state's tables that nobody outside knows.
pub(super) fn hash_seed() -> u64 {
    RandomState::new().hash_one(0)
}

/// The version of the oldest snapshot that is kept: one that is not whole is nothing to fall back to, and does not count. None
/// if none is whole.
pub(super) fn oldest_kept(disk: &dyn Disk) -> io::Result<Option<Version>> {
    let (mut oldest, mut whole) = (None, 0);
    for version in versions(disk)?.into_iter().rev() {
        if load_version(disk, version)?.is_ok() {
            (oldest, whole) = (Some(version), whole + 1);
        }
        if whole == KEPT {
            break;
        }
    }
    Ok(oldest)
}

/// The version of the newest snapshot, whether it is whole or not; none if there is none.
pub(super) fn newest(disk: &dyn Disk) -> io::Result<Option<Version>> {
    Ok(versions(disk)?.last().copied())
}

fn load(disk: &dyn Disk, name: &str) -> io::Result<Result<Snapshot, Damage>> {
    let file = disk.open_to_read(name)?;
    let length = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    let count = read_halves(&*file, &mut bytes)?;
    bytes.truncate(count);
    let damage = |what: String| Damage { path: disk.path(name), offset: 0, what };
    Ok(Snapshot::from_bytes(Bytes::from(bytes)).map_err(|why| damage(why.to_string())))
}

/// As [`read_full`] from the beginning; a large file's halves in two threads. Most of the time goes into memory that is new.
fn read_halves(file: &dyn DiskFile, into: &mut [u8]) -> io::Result<usize> {
    const LARGE_BYTES: usize = 16 << 20;
    if into.len() < LARGE_BYTES {
        return read_full(file, into, 0);
    }
    let (first, second) = into.split_at_mut(into.len() / 2);
    let (wanted, middle) = (first.len(), first.len() as u64);
    let second = Mutex::new(second);
    let read_second = || read_full(file, &mut second.lock().unwrap_or_else(PoisonError::into_inner), middle);
    let (first, second) =
        thread::scope(|scope| match thread::Builder::new().spawn_scoped(scope, read_second) {
            Ok(thread) => {
                let first = read_full(file, first, 0);
                (
                    first,
                    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that reads panicked"))),
                )
            }
            // Where there is no room for a thread, this one reads it all.
            Err(_) => (read_full(file, first, 0), read_second()),
        });
    let second = second?;
    match first? {
        first if first < wanted => Ok(first),
        first => Ok(first + second),
    }
}

/// The snapshot of this version.
fn load_version(disk: &dyn Disk, version: Version) -> io::Result<Result<Snapshot, Damage>> {
    let name = name(version);
    Ok(load(disk, &name)?.and_then(|snapshot| match snapshot.tip().version {
        found if found == version => Ok(snapshot),
        found => {
            let what = format!("it holds the snapshot of version {found}");
            Err(Damage { path: disk.path(&name), offset: 0, what })
        }
    }))
}

/// The versions that there are snapshots of, oldest first.
fn versions(disk: &dyn Disk) -> io::Result<Vec<Version>> {
    let mut versions = Vec::new();
    for file in disk.list(DIR)? {
        match parse_numbered(&file, ".snap") {
            Some(version) => versions.push(Version(version)),
            None if UNFINISHED.ends_with(&file) => {}
            None => {
                tracing::warn!(path = %disk.path(DIR).join(file).display(), "ignored: this is no snapshot");
            }
        }
    }
    versions.sort_unstable();
    Ok(versions)
}

/// The file of the snapshot of this version.
pub(super) fn name(version: Version) -> String {
    format!("{DIR}/{:020}.snap", version.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FaultDisk;
    use inventory_core::testing::Chain;

    #[test]
    fn a_snapshot_that_is_read_back_otherwise_than_it_was_written_never_counts() {
        let mut chain = Chain::new(1);
        chain.next(100);
        let snapshot = chain.snapshot();
        let digest = snapshot.restore(1).unwrap().digest();
        for (at, byte) in (0..).zip(snapshot.bytes()) {
            let disk = FaultDisk::new();
            let mut spoil = || disk.open_to_write(UNFINISHED)?.write_at(&[byte ^ 1], at).map(drop);
            save(&disk, &snapshot, Some(digest), &mut spoil).unwrap_err();
            assert_eq!(disk.names(), Vec::<String>::new(), "byte {at}");
        }
    }

    #[test]
    fn a_large_file_is_read_as_it_is() {
        let disk = FaultDisk::new();
        let mut bytes: Vec<u8> = (0..(16_u64 << 20) / 8).flat_map(u64::to_le_bytes).collect();
        bytes.push(1);
        write_full(&*disk.create("large").unwrap(), &bytes, 0).unwrap();
        let file = disk.open_to_read("large").unwrap();
        for longer in [0, 1] {
            let mut read = vec![0; bytes.len() + longer];
            assert_eq!(read_halves(&*file, &mut read).unwrap(), bytes.len());
            assert!(read.starts_with(&bytes));
        }
        let mut beyond_twice = vec![0; bytes.len() * 2 + 2];
        assert_eq!(read_halves(&*file, &mut beyond_twice).unwrap(), bytes.len());
    }

    #[test]
    fn a_snapshot_of_another_state_than_was_replayed_never_counts() {
        let (disk, mut chain) = (FaultDisk::new(), Chain::new(1));
        chain.next(100);
        let snapshot = chain.snapshot();
        let another = Some(Hash([1; 32]));
        save(&disk, &snapshot, another, &mut || Ok(())).unwrap_err();
        assert_eq!(disk.names(), Vec::<String>::new());
        let digest = snapshot.restore(1).unwrap().digest();
        save(&disk, &snapshot, Some(digest), &mut || Ok(())).unwrap();
        assert_eq!(find(&disk).unwrap().newest, Some(snapshot));
    }
}
