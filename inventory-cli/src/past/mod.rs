//! Commands on a data directory without a server: what was, whether it can be right, and copies of it. They change nothing
//! in it and take no lock, so a server may be running on it. `snapshot` adds a snapshot, which a server need not know of.

mod accounts;
mod backup;
mod copy;
mod history;
mod snapshot;
mod stock;
mod verify;

pub(crate) use accounts::{balances, entries_of};
pub(crate) use backup::{backup, restore};
pub(crate) use copy::expect_no_backup;
pub(crate) use history::{check_times, history};
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
    let report = undamaged(view.read(Version::ZERO, |_| ControlFlow::Break(()))?)?;
    let start = report.start;
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
        // They were read before: newer ones have taken their place.
        return Err(discarded(&report).into());
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
    let begin = replayer.tip().version;
    let report = view.read(begin, |group| match each(replayer, group) {
        Ok(flow) => flow,
        Err(why) => {
            failed = Some(why);
            ControlFlow::Break(())
        }
    })?;
    let report = undamaged(report)?;
    if report.start > begin {
        return Err(discarded(&report).into());
    }
    failed.map_or(Ok(()), |why| Err(why.into()))
}

/// Looks at a directory whose server may discard segments meanwhile: if it did, looks again.
fn steadily<T>(mut look: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
    const ATTEMPTS: usize = 5;
    for _ in 1..ATTEMPTS {
        match look() {
            Err(why) if matches!(why.downcast_ref(), Some(OpenError::Discarded { .. })) => {}
            looked => return looked,
        }
    }
    look()
}

/// What is in front of the first segment was discarded since the snapshots were read.
fn discarded(report: &Report) -> OpenError {
    let path = report.segments.first().map(|segment| segment.path.clone()).unwrap_or_default();
    OpenError::Discarded { path }
}

fn undamaged(report: Report) -> Result<Report, OpenError> {
    match report.damage {
        Some(damage) => Err(OpenError::Damaged(damage)),
        None => Ok(report),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use inventory_core::journal::{Append, GroupBuilder, Journal as _};
    use inventory_core::{
        AppendId, Inventory, Order, OrderKey, OrderLine, Record, Return, Role, Units, Upc, UserId,
    };
    use inventory_store::{FileJournal, FileJournalOptions, Retain};
    use pollster::block_on;

    const NOW: Time = Time::from_micros(1_795_219_200_000_000);

    /// A journal of several segments, whose first ones can be discarded.
    pub(super) struct Kept {
        dir: tempfile::TempDir,
        journal: Arc<FileJournal>,
        inventory: Inventory<Arc<FileJournal>>,
        users: u64,
    }

    impl Kept {
        pub(super) fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let options = FileJournalOptions { segment_bytes: 8 << 10, prepare_ahead: false };
            let journal = Arc::new(FileJournal::open(dir.path(), options).unwrap());
            let inventory = block_on(Inventory::open(Arc::clone(&journal), 7)).unwrap();
            let mut kept = Self { dir, journal, inventory, users: 0 };
            kept.grow();
            kept
        }

        pub(super) fn view(&self) -> View {
            View::new(self.dir.path())
        }

        pub(super) fn grow(&mut self) {
            for _ in 0..150 {
                self.users += 1;
                let name = format!("user-{}", self.users);
                block_on(self.inventory.add_user(NOW, &name, "", Role::Buyer)).unwrap();
            }
            self.journal.take_snapshot().unwrap().unwrap();
        }

        /// The first user buys two units and gives one back. The item is the first one, the purchase the version given.
        pub(super) fn buy_and_give_back(&mut self) -> u64 {
            let upc = Upc::new(1).unwrap();
            let [order, key] = [1, 2].map(|random| OrderKey::from_parts(NOW, random << 8));
            let line = |number| OrderLine::new(upc, Units::new(number).unwrap());
            let shop = &mut self.inventory;
            block_on(async {
                shop.define_item(NOW, upc, "soup", None).await.unwrap();
                shop.set_initial_level(NOW, upc, Units::new(9).unwrap()).await.unwrap();
                let bought = Order { key: order, lines: line(2).into(), charge: None };
                let receipt = shop.purchase(NOW, UserId(1), bought).await.unwrap();
                let wanted = Return { key, order, lines: [line(1)].into(), evidence: None };
                shop.return_units(NOW, UserId(1), wanted).await.unwrap();
                receipt.version.0
            })
        }

        /// Writes a group of one event, whatever it says.
        pub(super) fn write(&self, record: &Record) {
            let tip = block_on(self.journal.tip()).unwrap();
            let mut group = GroupBuilder::new(tip.version);
            group.push(record);
            let group = group.seal(AppendId(1), tip.hash).unwrap();
            assert_eq!(block_on(self.journal.append(group)), Append::Done);
        }

        /// Discards all but what the two newest snapshots need; none of the earlier ones is left.
        pub(super) fn discard(&mut self) {
            self.grow();
            self.grow();
            self.journal.tidy(Retain::Bytes(0), NOW).unwrap();
        }
    }

    fn is_discarded(why: &anyhow::Error) -> bool {
        matches!(why.downcast_ref(), Some(OpenError::Discarded { .. }))
    }

    #[test]
    fn a_replay_whose_beginning_is_discarded_before_it_is_read_is_not_called_a_broken_chain() {
        for will_do in [true, false] {
            let mut kept = Kept::new();
            let Beginning { mut replayer, .. } = begin(&kept.view(), |_| will_do).unwrap();
            kept.discard();
            let follow = |replayer: &mut Replayer, group: &Group| {
                replayer.follow(group)?;
                Ok(ControlFlow::Continue(()))
            };
            let why = replay(&kept.view(), &mut replayer, follow).unwrap_err();
            assert!(is_discarded(&why), "{why}");
        }
    }

    #[test]
    fn what_was_discarded_meanwhile_is_looked_at_again_but_not_for_ever() {
        fn gone() -> anyhow::Result<u32> {
            Err(OpenError::Discarded { path: "a segment".into() }.into())
        }
        let mut looks = 0;
        let looked = steadily(|| {
            looks += 1;
            if looks < 3 { gone() } else { Ok(looks) }
        });
        assert_eq!(looked.unwrap(), 3);
        assert!(is_discarded(&steadily(gone).unwrap_err()));
    }
}
