//! Holds what is found on a disk against what was promised.

use inventory_core::Version;
use inventory_core::journal::{Group, Journal};
use inventory_core::testing::Chain;
use inventory_store::disk::{FaultDisk, Survives};
use pollster::block_on;

use super::common::{append_all, inspected, open, read_after, tip};
use super::leftover::Image;
use super::workload::{Promise, Told};

/// Opens what a crash left: it holds what was promised and nothing that was never asked for; it goes on from there, through
/// another loss of power and another opening. Gives whether anything was torn.
pub(crate) fn check(image: &Image, told: &Told, promise: &Promise, context: &dyn Fn() -> String) -> bool {
    let disk = image.to_disk();
    let report = inspected(&disk);
    let whole = report.damage.is_none() && report.start <= promise.discarded;
    assert!(whole, "{}: {report:?}, {promise:?}", context());
    let journal = open(&disk).unwrap_or_else(|why| panic!("{}: {why}", context()));

    let snapshot = block_on(journal.load_snapshot()).unwrap();
    let version = snapshot.as_ref().map_or(Version::ZERO, |snapshot| snapshot.tip().version);
    let promised = promise.snapshot <= version && version <= promise.snapshot_asked;
    assert!(promised, "{}: a snapshot of {version}, {promise:?}", context());
    assert!(snapshot.as_ref() == told.snapshot(version), "{}: another snapshot", context());

    let mut found = read_after(&journal, report.start);
    let gone = told.groups().take_while(|group| group.last() <= report.start).count();
    let end = gone + found.len();
    assert!(
        promise.groups <= end && end <= promise.groups_asked,
        "{}: groups up to {end}, {promise:?}",
        context()
    );
    assert!(found.iter().eq(told.groups().skip(gone).take(found.len())), "{}: other groups", context());

    // One that fits the last segment, and one that begins the next.
    found.extend(append_all(&journal, &mut Chain::after(tip(&journal), 77), &[600, 3_500]));
    let crashed = disk.after_power_loss(Survives::Nothing);
    drop(journal);
    for (disk, when) in [(&crashed, "after another loss of power"), (&disk, "once closed")] {
        assert!(reopened(disk, report.start) == found, "{}, {when}: other groups", context());
    }
    let report_after = inspected(&disk);
    assert!(
        report_after.damage.is_none() && report_after.torn_tail.is_none(),
        "{}: {report_after:?}",
        context()
    );
    report.torn_tail.is_some()
}

fn reopened(disk: &FaultDisk, start: Version) -> Vec<Group> {
    read_after(&open(disk).unwrap(), start)
}
