//! `inventory backup` and `inventory restore`: a checked copy of a data directory, of a running server too, and the way
//! back. Neither needs the server's help.

use anyhow::bail;

use super::copy::{Unfinished, copy_checked, read_manifest, write_manifest};
use super::view;
use crate::args::{BackupArgs, RestoreArgs};
use crate::output::Output;

/// Makes a backup, and shows what it holds.
pub(crate) fn backup(args: &BackupArgs, output: Output) -> anyhow::Result<()> {
    // Before anything is made.
    view(&args.data)?;
    let unfinished = Unfinished::beside(&args.dest)?;
    let backup = copy_checked(&args.data, unfinished.path())?;
    write_manifest(unfinished.path(), &backup)?;
    unfinished.publish()?;
    Ok(output.backup(&backup)?)
}

/// Makes a data directory of a backup, if the backup is whole, and shows what it holds.
pub(crate) fn restore(args: &RestoreArgs, output: Output) -> anyhow::Result<()> {
    let wanted = read_manifest(&args.backup)?;
    let unfinished = Unfinished::beside(&args.data)?;
    let found = copy_checked(&args.backup, unfinished.path())?;
    if found != wanted {
        bail!(
            "{} is not whole, so nothing was restored: it was of version {} with head hash {} and {} bytes, and is of \
             version {} with head hash {} and {} bytes. Use another backup",
            args.backup.display(),
            wanted.version,
            wanted.head_hash,
            wanted.bytes,
            found.version,
            found.head_hash,
            found.bytes
        );
    }
    unfinished.publish()?;
    Ok(output.backup(&found)?)
}
