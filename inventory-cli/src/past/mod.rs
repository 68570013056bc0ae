//! Commands on a data directory without a server: what was, whether it can be right, and copies of it. They change nothing
//! in it and take no lock, so a server may be running on it. `snapshot` adds a snapshot, which a server need not know of.

mod backup;
mod copy;
mod history;
mod snapshot;
mod stock;
mod verify;

pub(crate) use backup::{backup, restore};
pub(crate) use history::history;
pub(crate) use snapshot::snapshot;
pub(crate) use stock::stock;
pub(crate) use verify::verify;

use std::ops::ControlFlow;
use std::path::Path;

use inventory_core::journal::{Group, ReplayError, Replayer, Snapshot};
use inventory_core::{Time, Version};
use inventory_store::{OpenError, Report, View};

use crate::parse::UsageError;

/// The keys of hash tables matter where clients choose what is in them while others wait; nobody waits here.
const HASH_SEED: u64 = 0;

/// What was asked for lies outside what the directory still holds, or does not exist yet.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotRetained(String);

/// A view of a directory that has a journal.
fn view(data: &Path) -> Result<View, UsageError> {
    if data.join("journal").is_dir() {
        Ok(View::new(data))
    } else {
        Err(UsageError::new(format!("{} is no data directory: there is no journal in it", data.display())))
    }
}

/// Where a replay begins.
struct Beginning {
    replayer: Replayer,
    /// The version and time before which nothing is known; none if all is.
    known_from: Option<(Version, Time)>,
}

/// Begins at the newest snapshot that will do, else at the first version that can be had.
fn begin(view: &View, will_do: impl Fn(&Snapshot) -> bool) -> anyhow::Result<Beginning> {
    let snapshots = view.snapshots()?.whole;
    let start = undamaged(view.read(Version::ZERO, |_| ControlFlow::Break(()))?)?.start;
    let mut usable = snapshots.iter().filter(|snapshot| snapshot.tip().version >= start);
    let nearest = usable.clone().rev().find(|snapshot| will_do(snapshot));
    let snapshot = match nearest {
        None if start == Version::ZERO => {
            return Ok(Beginning { replayer: Replayer::new(HASH_SEED), known_from: None });
        }
        // There is always one: a journal without its beginning and without a snapshot is damaged.
        nearest => nearest.or_else(|| usable.next()),
    };
    let Some(snapshot) = snapshot else {
        let what = format!("the journal begins after version {start} and no snapshot holds what was before");
        return Err(NotRetained(what).into());
    };
    let known_from = (nearest.is_none()).then(|| (snapshot.tip().version, snapshot.time()));
    Ok(Beginning { replayer: Replayer::after(snapshot, HASH_SEED)?, known_from })
}

/// Shows the replayer each group after where it stands, until there is none or `each` breaks.
fn replay(
    view: &View,
    replayer: &mut Replayer,
    mut each: impl FnMut(&mut Replayer, &Group) -> Result<ControlFlow<()>, ReplayError>,
) -> anyhow::Result<()> {
    let mut failed = None;
    let report = view.read(replayer.tip().version, |group| match each(replayer, group) {
        Ok(flow) => flow,
        Err(why) => {
            failed = Some(why);
            ControlFlow::Break(())
        }
    })?;
    undamaged(report)?;
    failed.map_or(Ok(()), |why| Err(why.into()))
}

fn undamaged(report: Report) -> Result<Report, OpenError> {
    match report.damage {
        Some(damage) => Err(OpenError::Damaged(damage)),
        None => Ok(report),
    }
}
