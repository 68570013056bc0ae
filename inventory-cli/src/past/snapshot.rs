//! `inventory snapshot`: saves a snapshot of a data directory, whether a server runs on it or not.

use inventory_store::take_snapshot;

use super::view;
use crate::args::SnapshotArgs;
use crate::notice::note;
use crate::output::Output;

/// Saves a snapshot of what is durable for certain, if that is more than the newest one holds.
pub(crate) fn snapshot(args: &SnapshotArgs, output: Output) -> anyhow::Result<()> {
    view(&args.data)?;
    // A server on the same machine goes first. What is not allowed is not needed either.
    let _lowered = rustix::process::setpriority_process(None, 19);
    if let Some(tip) = take_snapshot(&args.data)? {
        return Ok(output.done("saved a snapshot", tip.version)?);
    }
    note("nothing happened since the newest snapshot: it is left as it is");
    Ok(())
}
