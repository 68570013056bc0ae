//! A data directory copied, checked, and put in its place in one step: what `backup` and `restore` have in common.

use std::fs::{self, File};
use std::io;
use std::path::{self, Path, PathBuf};

use anyhow::{Context as _, bail};
use inventory_store::disk::OsDisk;
use inventory_store::{Damage, View};
use tempfile::TempDir;

use super::verify::check;
use super::view;
use crate::notice::note;
use crate::output::BackupRow;
use crate::parse::UsageError;

/// A directory on its way: it is made beside its place, under another name, and gets its own when it is whole. Removed if
/// that does not come about.
pub(super) struct Unfinished {
    dir: TempDir,
    place: PathBuf,
    parent: PathBuf,
}

impl Unfinished {
    /// Begins a directory for a place where there is nothing yet, or an empty directory.
    pub(super) fn beside(place: &Path) -> anyhow::Result<Self> {
        check_vacant(place)?;
        let place = path::absolute(place)?;
        let (Some(parent), Some(name)) = (place.parent(), place.file_name()) else {
            return Err(UsageError::new(format!("{} cannot be made: name another", place.display())).into());
        };
        OsDisk::create(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        let prefix = format!("{}.unfinished-", name.to_string_lossy());
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir_in(parent);
        let dir = dir.with_context(|| format!("cannot write to {}", parent.display()))?;
        let parent = parent.to_path_buf();
        Ok(Self { dir, place, parent })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Puts the directory, whose files are durable, in its place, durably.
    pub(super) fn publish(self) -> anyhow::Result<()> {
        let Self { dir, place, parent } = self;
        let sync = |dir: &Path| File::open(dir)?.sync_all();
        sync(dir.path())
            .and_then(|()| fs::rename(dir.path(), &place))
            .with_context(|| format!("cannot put the finished copy in place as {}", place.display()))?;
        let _ = dir.keep();
        sync(&parent).with_context(|| {
            format!("{} is there, but may be gone after a loss of power: repeat this", place.display())
        })
    }
}

fn check_vacant(place: &Path) -> anyhow::Result<()> {
    let occupied = |what| {
        UsageError::new(format!(
            "{} {what}: name a directory that is empty or not there yet",
            place.display()
        ))
    };
    match fs::read_dir(place).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Ok(false) => Err(occupied("is not empty").into()),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(why) if why.kind() == io::ErrorKind::NotADirectory => Err(occupied("is no directory").into()),
        Err(why) => Err(why).with_context(|| format!("cannot look into {}", place.display())),
    }
}

/// Copies a data directory, reads the copy back, checks every byte and event and compares its snapshots with what the
/// events add up to; says what it holds.
pub(super) fn copy_checked(from: &Path, to: &Path) -> anyhow::Result<BackupRow> {
    let source = view(from)?;
    let copied =
        source.copy_to(&OsDisk::new(to)).with_context(|| format!("{} was not copied", from.display()))?;
    for Damage { path, what, .. } in &copied.damaged_snapshots {
        note(format_args!("left out a damaged snapshot, {}: {what}", path.display()));
    }
    let copy = check(&View::new(to))?;
    let same_end = copy.head_hash == copied.tip.hash.to_string();
    match copy.state_digest {
        Some(state_digest) if copy.violations.is_empty() && same_end => Ok(BackupRow {
            format: BackupRow::FORMAT,
            version: copy.version,
            time: copy.time,
            head_hash: copy.head_hash,
            state_digest,
            bytes: copied.bytes,
        }),
        _ => Err(not_whole(&source, from)?),
    }
}

/// Why a copy is not what it should be: because of what was copied, or on its way.
fn not_whole(source: &View, from: &Path) -> anyhow::Result<anyhow::Error> {
    let from = from.display();
    let Some(violation) = check(source)?.violations.into_iter().next() else {
        return Ok(anyhow::anyhow!(
            "the copy does not hold what was read from {from}, which is well: check the disk that was written to"
        ));
    };
    Ok(anyhow::anyhow!(
        "{from} is damaged, so nothing was copied: {violation}. Look closer with `inventory verify {from}`; another backup may \
         be whole"
    ))
}

/// The file in a backup that says what the backup holds.
const MANIFEST: &str = "backup.json";

/// That a directory is no backup: whoever wrote into one would make its description false.
pub(crate) fn expect_no_backup(dir: &Path) -> Result<(), UsageError> {
    if !dir.join(MANIFEST).exists() {
        return Ok(());
    }
    let dir = dir.display();
    Err(UsageError::new(format!(
        "{dir} is a backup, and a server would write into it: make a data directory of it first, with \
         `inventory restore {dir} --data DIR`"
    )))
}

/// Completes a backup: says in it what it holds.
pub(super) fn write_manifest(dir: &Path, backup: &BackupRow) -> anyhow::Result<()> {
    let path = dir.join(MANIFEST);
    let write = || {
        let mut file = File::create_new(&path)?;
        serde_json::to_writer_pretty(&mut file, backup).map_err(io::Error::from)?;
        file.sync_all()
    };
    write().with_context(|| format!("cannot write {}", path.display()))
}

/// What a backup should hold.
pub(super) fn read_manifest(dir: &Path) -> anyhow::Result<BackupRow> {
    let path = dir.join(MANIFEST);
    let bytes = match fs::read(&path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => bail!(
            "{} is no whole backup: there is no {MANIFEST} in it. Name a directory that `inventory backup` has finished",
            dir.display()
        ),
        read => read.with_context(|| format!("cannot read {}", path.display()))?,
    };
    let backup: BackupRow = serde_json::from_slice(&bytes).with_context(|| {
        format!("{} is not what `inventory backup` wrote: use another backup", path.display())
    })?;
    if backup.format != BackupRow::FORMAT {
        bail!("{} is of format {}: use a newer program", dir.display(), backup.format);
    }
    Ok(backup)
}
