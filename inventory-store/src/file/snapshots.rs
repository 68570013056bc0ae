//! The snapshots: one file each, `snapshots/NNNNNNNNNNNNNNNNNNNN.snap`, its version in 20 decimal digits, its bytes those
//! of the core's snapshot, which carry their own hash. A snapshot gets its name only when it is durable.

use std::io;

use bytes::Bytes;
use inventory_core::Version;
use inventory_core::defect::{self, Defect};
use inventory_core::journal::Snapshot;

use super::damage::Damage;
use super::segment::parse_numbered;
use crate::disk::{Disk, read_full, write_full};

/// The directory of the snapshots.
pub(super) const DIR: &str = "snapshots";
/// How many are kept: the newest, and one to fall back to.
const KEPT: usize = 2;
/// A snapshot on its way; what a crash left of one is overwritten by the next.
const UNFINISHED: &str = "snapshots/unfinished";

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
        match load(disk, version)? {
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
        match load(disk, version) {
            Ok(Ok(snapshot)) => whole.push(snapshot),
            Ok(Err(damage)) => damaged.push(damage),
            Err(why) if why.kind() == io::ErrorKind::NotFound => {}
            Err(why) => return Err(why),
        }
    }
    Ok((whole, damaged))
}

/// Saves a snapshot and removes those that are no longer needed.
pub(super) fn save(disk: &dyn Disk, snapshot: &Snapshot) -> io::Result<()> {
    let file = disk.create(UNFINISHED)?;
    let written = write_full(&*file, snapshot.bytes(), 0)
        .and_then(|()| if defect::is(Defect::SnapshotNotSynced) { Ok(()) } else { file.sync_data() })
        .and_then(|()| disk.rename(UNFINISHED, &name(snapshot.tip().version)));
    if written.is_err() {
        // Gives the room back; the error that matters is the first.
        let _ = disk.remove(UNFINISHED);
    }
    written?;
    disk.sync_dir(DIR)?;
    let versions = versions(disk)?;
    for old in versions.iter().rev().skip(KEPT) {
        disk.remove(&name(*old))?;
    }
    Ok(())
}

fn load(disk: &dyn Disk, version: Version) -> io::Result<Result<Snapshot, Damage>> {
    let name = name(version);
    let file = disk.open_to_read(&name)?;
    let damage = |what: String| Damage { path: disk.path(&name), offset: 0, what };
    let length = usize::try_from(file.len()?).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut bytes = vec![0; length];
    let count = read_full(&*file, &mut bytes, 0)?;
    bytes.truncate(count);
    Ok(match Snapshot::from_bytes(Bytes::from(bytes)) {
        Ok(snapshot) if snapshot.tip().version == version => Ok(snapshot),
        Ok(snapshot) => Err(damage(format!("it holds the snapshot of version {}", snapshot.tip().version))),
        Err(why) => Err(damage(why.to_string())),
    })
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

fn name(version: Version) -> String {
    format!("{DIR}/{:020}.snap", version.0)
}
