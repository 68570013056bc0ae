//! Snapshots without the engine, retention and compression: what they leave is what was there, wherever they are cut off.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{append_all, open, read_after, segment_name, tip};
use inventory_core::journal::{Group, Journal, JournalError, Replayer, Snapshot, replay};
use inventory_core::testing::Chain;
use inventory_core::{
    Hash, Inventory, Money, Order, OrderKey, OrderLine, Role, Time, Units, Upc, UserId, Version,
};
use inventory_store::disk::{Disk, Fault, FaultDisk, Survives};
use inventory_store::{FileJournal, OpenError, Retain, Upkeep, UpkeepError, View, take_snapshot};
use pollster::block_on;

const NOW: Time = Time::from_micros(1_795_219_200_000_000);

/// A shop that sells one unit a second.
struct Shop {
    journal: Arc<FileJournal>,
    inventory: Inventory<Arc<FileJournal>>,
    alice: UserId,
    sold: u64,
}

impl Shop {
    fn open(disk: &FaultDisk) -> Self {
        Self::on(Arc::new(open(disk).unwrap()))
    }

    fn on(journal: Arc<FileJournal>) -> Self {
        let mut inventory = block_on(Inventory::open(Arc::clone(&journal), 7)).unwrap();
        let alice = block_on(async {
            inventory.define_item(NOW, item(), "soup", Some(Money::from_minor(200))).await?;
            inventory.set_initial_level(NOW, item(), Units::new(1_000_000).unwrap()).await?;
            inventory.add_user(NOW, "alice", "", Role::Buyer).await
        });
        Self { journal, inventory, alice: alice.unwrap(), sold: 0 }
    }

    /// Each sale is a group. Stops at the first that fails.
    fn sell(&mut self, count: u64) -> bool {
        for _ in 0..count {
            let now = NOW.plus_micros((self.sold + 1) * 1_000_000);
            let lines = OrderLine::new(item(), Units::new(1).unwrap()).into();
            let order = Order { key: OrderKey::from_parts(now, 1), lines, charge: None };
            if block_on(self.inventory.purchase(now, self.alice, order)).is_err() {
                return false;
            }
            self.sold += 1;
        }
        true
    }
}

fn item() -> Upc {
    Upc::new(36_000_291_452).unwrap()
}

fn view(disk: &FaultDisk) -> View {
    View::on(Arc::new(disk.clone()))
}

fn groups_of(disk: &FaultDisk) -> Vec<Group> {
    let mut groups = Vec::new();
    let report = view(disk).read(Version::ZERO, |group| {
        groups.push(group.clone());
        ControlFlow::Continue(())
    });
    assert_eq!(report.unwrap().damage, None);
    groups
}

/// The digest of the state at this version, by these groups.
fn digest_at(groups: &[Group], version: Version) -> Hash {
    let mut replayer = Replayer::new(3);
    groups.iter().filter(|group| group.last() <= version).for_each(|group| replayer.follow(group).unwrap());
    assert_eq!(replayer.tip().version, version);
    replayer.state().digest()
}

fn is_packed(disk: &FaultDisk, number: u64) -> Option<bool> {
    disk.bytes(&segment_name(number)).map(|bytes| bytes[8] == 2)
}

fn snapshots(disk: &FaultDisk) -> Vec<Snapshot> {
    let found = view(disk).snapshots().unwrap();
    assert_eq!(found.damaged, []);
    found.whole
}

#[test]
fn a_snapshot_by_replay_holds_the_state_that_the_engine_has() {
    let disk = FaultDisk::new();
    let mut shop = Shop::open(&disk);
    for count in [5, 60, 1] {
        shop.sell(count);
        assert_eq!(shop.journal.take_snapshot().unwrap(), Some(tip(&shop.journal)));
    }
    assert_eq!(shop.journal.take_snapshot().unwrap(), None, "nothing is new");
    let groups = groups_of(&disk);
    let kept = snapshots(&disk);
    assert_eq!(kept.iter().map(|kept| kept.tip().version.0).collect::<Vec<_>>(), [68, 69]);
    for snapshot in kept {
        let digest = snapshot.restore(9).unwrap().digest();
        assert_eq!(digest, digest_at(&groups, snapshot.tip().version));
    }
    drop(shop);
    let journal = open(&disk).unwrap();
    let (state, _) = block_on(replay(&journal, 1)).unwrap();
    assert_eq!(state.digest(), digest_at(&groups, Version(69)));
}

#[test]
fn what_a_snapshot_does_not_cover_cannot_be_discarded_nor_what_the_older_one_needs() {
    let disk = FaultDisk::new();
    let mut shop = Shop::open(&disk);
    shop.sell(100);
    let older = shop.journal.take_snapshot().unwrap().unwrap();
    shop.sell(100);
    shop.journal.take_snapshot().unwrap().unwrap();
    shop.sell(20);
    let groups = groups_of(&disk);
    let end = tip(&shop.journal);
    block_on(shop.journal.discard_through(end.version)).unwrap();
    let Err(JournalError::Discarded { start, .. }) = block_on(shop.journal.read(Version::ZERO, 1)) else {
        panic!("nothing was discarded");
    };
    assert!(start <= older.version, "{start}");
    drop(shop);
    for name in disk.names().iter().filter(|name| name.starts_with("snapshots/")) {
        let one_less = disk.after_power_loss(Survives::Everything);
        one_less.remove(name).unwrap();
        let journal = open(&one_less).unwrap();
        let (state, tip) = block_on(replay(&journal, 1)).unwrap();
        assert_eq!((tip, state.digest()), (end, digest_at(&groups, end.version)), "without {name}");
    }
}

#[test]
fn a_damaged_snapshot_is_not_one_of_the_two_that_are_kept() {
    let disk = FaultDisk::new();
    let mut shop = Shop::open(&disk);
    let mut taken = Vec::new();
    for round in 0..3 {
        shop.sell(100);
        taken.push(shop.journal.take_snapshot().unwrap().unwrap());
        if round == 1 {
            spoil(&disk, taken[1].version);
        }
    }
    shop.sell(20);
    let end = tip(&shop.journal);
    block_on(shop.journal.discard_through(end.version)).unwrap();
    drop(shop);
    // The newest goes bad as well: what the first needs is still there.
    spoil(&disk, taken[2].version);
    let journal = open(&disk).unwrap();
    assert_eq!(tip(&journal), end);
    let (state, _) = block_on(replay(&journal, 1)).unwrap();
    assert_eq!(state.version(), end.version);
    let Err(JournalError::Discarded { start, .. }) = block_on(journal.read(Version::ZERO, 1)) else {
        panic!("nothing was discarded");
    };
    assert!(start <= taken[0].version);
}

fn spoil(disk: &FaultDisk, snapshot: Version) {
    let file = disk.open_to_write(&format!("snapshots/{:020}.snap", snapshot.0)).unwrap();
    file.write_at(&[0xff], 60).unwrap();
}

#[test]
fn segments_are_kept_for_as_long_or_as_many_as_was_said() {
    let disk = FaultDisk::new();
    let mut shop = Shop::open(&disk);
    for _ in 0..3 {
        shop.sell(100);
        shop.journal.take_snapshot().unwrap().unwrap();
    }
    let now = NOW.plus_micros(300_000_000);
    let start = |shop: &Shop| match block_on(shop.journal.read(Version::ZERO, 1)) {
        Ok(_) => 0,
        Err(JournalError::Discarded { start, .. }) => start.0,
        Err(why) => panic!("{why}"),
    };
    for retain in [Retain::Everything, Retain::For(Duration::from_hours(1)), Retain::Bytes(u64::MAX)] {
        shop.journal.tidy(retain, now).unwrap();
        assert_eq!(start(&shop), 0, "{retain:?}");
    }
    // The sale of version n happened n − 3 seconds after the beginning.
    shop.journal.tidy(Retain::For(Duration::from_secs(250)), now).unwrap();
    let first = start(&shop);
    assert!((20..=53).contains(&first), "{first}");
    shop.journal.tidy(Retain::Bytes(50_000), now).unwrap();
    let second = start(&shop);
    assert!(second > first, "{second}");
    let bytes: u64 = inventory_store::inspect_on(&disk).unwrap().segments.iter().map(|s| s.bytes).sum();
    assert!(bytes <= 50_000, "{bytes}");
    shop.journal.tidy(Retain::Bytes(0), now).unwrap();
    let third = start(&shop);
    assert!(third > second && third <= 203, "{third}: the older snapshot is that of version 203");
}

#[test]
fn compressed_segments_hold_what_they_held_for_every_reader() {
    let disk = FaultDisk::new();
    let mut shop = Shop::open(&disk);
    shop.sell(300);
    let groups = groups_of(&disk);
    shop.journal.tidy(Retain::Everything, NOW).unwrap();
    assert_eq!(is_packed(&disk, 1), Some(false), "no snapshot covers it");
    let covered = shop.journal.take_snapshot().unwrap().unwrap();
    shop.sell(100);
    let before: usize = disk.names().iter().map(|name| disk.bytes(name).unwrap().len()).sum();
    shop.journal.tidy(Retain::Everything, NOW).unwrap();
    let after: usize = disk.names().iter().map(|name| disk.bytes(name).unwrap().len()).sum();
    assert!(after < before, "{after} of {before} bytes");
    let report = inventory_store::inspect_on(&disk).unwrap();
    for pair in report.segments.windows(2) {
        let is_covered = pair[1].base <= covered.version;
        assert_eq!(is_packed(&disk, pair[0].number), Some(is_covered), "segment {}", pair[0].number);
    }
    assert_eq!(groups_of(&disk)[..groups.len()], groups);
    let read = |journal: &FileJournal| {
        for (at, group) in groups.iter().enumerate() {
            let page = block_on(journal.read(group.base(), 2_000)).unwrap();
            let count = page.len().min(groups.len() - at);
            assert_eq!(page[..count], groups[at..][..count]);
        }
    };
    read(&shop.journal);
    drop(shop);
    // Without snapshots everything is replayed, through the compressed segments.
    disk.names()
        .iter()
        .filter(|name| name.starts_with("snapshots/"))
        .for_each(|name| disk.remove(name).unwrap());
    let journal = open(&disk).unwrap();
    read(&journal);
    let (state, tip) = block_on(replay(&journal, 1)).unwrap();
    assert_eq!(state.digest(), digest_at(&groups_of(&disk), tip.version));
}

#[test]
fn any_changed_byte_of_a_compressed_segment_is_found_and_named() {
    let disk = FaultDisk::new();
    let mut shop = Shop::open(&disk);
    shop.sell(60);
    shop.journal.take_snapshot().unwrap();
    shop.journal.tidy(Retain::Everything, NOW).unwrap();
    drop(shop);
    let name = segment_name(1);
    let bytes = disk.bytes(&name).unwrap();
    assert_eq!(is_packed(&disk, 1), Some(true));
    let found = |damaged: &FaultDisk, what: &str| {
        let report = view(damaged).read(Version::ZERO, |_| ControlFlow::Continue(()));
        let damage = report.unwrap().damage.unwrap_or_else(|| panic!("{what} was not seen"));
        assert!(damage.path.ends_with(&name), "{what}: {damage}");
        damage
    };
    let changed = |bytes: Vec<u8>| {
        let damaged = disk.after_power_loss(Survives::Everything);
        damaged.put(&name, bytes);
        damaged
    };
    for at in (0..4_096).step_by(97).chain(4_088..bytes.len()) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x04;
        // Another format than 2 would be a newer program's, and the header's checksum says that it is not.
        found(&changed(damaged), &format!("byte {at}"));
    }
    for kept in [4_096, 4_100, 4_110, bytes.len() - 1] {
        found(&changed(bytes[..kept].to_vec()), &format!("{kept} bytes kept"));
    }
    // Also by a journal that was opened without looking there: the snapshot covers it.
    let mut damaged = bytes.clone();
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let journal = open(&changed(damaged)).unwrap();
    let why = block_on(journal.read(Version::ZERO, usize::MAX)).unwrap_err();
    assert!(matches!(&why, JournalError::Damaged(what) if what.contains(&name)), "{why}");
}

#[test]
fn a_damaged_segment_is_not_compressed_but_named() {
    let disk = FaultDisk::new();
    let mut shop = Shop::open(&disk);
    shop.sell(60);
    shop.journal.take_snapshot().unwrap();
    let file = disk.open_to_write(&segment_name(1)).unwrap();
    file.write_at(&[0xff; 8], 4_200).unwrap();
    let why = shop.journal.tidy(Retain::Everything, NOW).unwrap_err();
    assert!(matches!(why, UpkeepError::Read(OpenError::Damaged(_))), "{why}");
    assert_eq!(is_packed(&disk, 1), Some(false));
    assert!(!disk.names().iter().any(|name| name.contains("compressed")), "nothing is left behind");
}

/// Records of an earlier segment, left in a file that was used again, are neither read nor taken for damage.
#[test]
fn records_of_an_earlier_use_of_the_same_file_never_come_back() {
    let disk = FaultDisk::new();
    let journal = open(&disk).unwrap();
    let mut chain = Chain::new(1);
    let mut groups = append_all(&journal, &mut chain, &[300; 9]);
    groups.extend(append_all(&journal, &mut chain, &[300; 4]));
    drop(journal);
    let (first, second) = (disk.bytes(&segment_name(1)).unwrap(), disk.bytes(&segment_name(2)).unwrap());
    let end = second.iter().rposition(|byte| *byte != 0).unwrap().next_multiple_of(8);
    for shift in [0, 8, 336] {
        let mut used_again = second.clone();
        used_again[end..].copy_from_slice(&first[end - shift..first.len() - shift]);
        let stale = disk.after_power_loss(Survives::Everything);
        stale.put(&segment_name(2), used_again);
        assert_eq!(inventory_store::inspect_on(&stale).unwrap().damage, None);
        let journal = open(&stale).unwrap();
        assert_eq!(read_after(&journal, Version::ZERO), groups);
        append_all(&journal, &mut chain.clone(), &[500]);
        drop(journal);
        assert_eq!(read_after(&open(&stale).unwrap(), Version::ZERO)[..groups.len()], groups);
    }
}

#[test]
fn a_journal_that_grows_gets_snapshots_by_itself_and_is_compressed_behind_them() {
    let dir = tempfile::tempdir().unwrap();
    let journal = common::open_dir(dir.path()).unwrap();
    journal.keep_up(Upkeep { snapshot_every_bytes: 20_000, retain: Retain::Everything }).unwrap();
    let mut shop = Shop::on(Arc::new(journal));
    let view = View::new(dir.path());
    let first = dir.path().join(segment_name(1));
    let is_kept_up = || {
        let found = view.snapshots().unwrap().whole.len();
        found == 2 && std::fs::read(&first).unwrap()[8] == 2
    };
    while !is_kept_up() {
        assert!(shop.sell(1) && shop.sold < 100_000, "the thread never came to it");
    }
    let (state, tip) = block_on(replay(&*shop.journal, 1)).unwrap();
    assert_eq!(tip.version.0, shop.sold + 3);
    drop(shop);
    let (again, _) = block_on(replay(&common::open_dir(dir.path()).unwrap(), 2)).unwrap();
    assert_eq!(again.digest(), state.digest());
}

/// Segments are compressed, discarded and used again under the eyes of who reads them.
#[test]
fn who_looks_at_a_journal_that_is_kept_up_sees_what_was_written_or_is_told_that_it_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let journal = common::open_dir(dir.path()).unwrap();
    journal.keep_up(Upkeep { snapshot_every_bytes: 8_000, retain: Retain::Bytes(30_000) }).unwrap();
    let mut shop = Shop::on(Arc::new(journal));
    let view = View::new(dir.path());
    let is_discarded = |shop: &Shop| {
        matches!(block_on(shop.journal.read(Version::ZERO, 1)), Err(JournalError::Discarded { .. }))
    };
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            while !done.load(Ordering::Acquire) {
                let mut next = None;
                let report = view.read(Version::ZERO, |group| {
                    assert!(next.is_none_or(|next| next == group.base()));
                    next = Some(group.last());
                    ControlFlow::Continue(())
                });
                match report {
                    Ok(report) => assert_eq!(report.damage, None),
                    Err(OpenError::Discarded { .. }) => {}
                    Err(why) => panic!("{why}"),
                }
            }
        });
        shop.sell(1_500);
        while !is_discarded(&shop) && shop.sold < 100_000 && shop.sell(1) {}
        done.store(true, Ordering::Release);
    });
    assert!(is_discarded(&shop), "the thread never came to it");
}

#[test]
fn another_process_takes_snapshots_of_a_journal_in_use_up_to_what_is_durable_for_certain() {
    let dir = tempfile::tempdir().unwrap();
    let mut shop = Shop::on(Arc::new(common::open_dir(dir.path()).unwrap()));
    for round in 1..4 {
        shop.sell(40);
        let taken = take_snapshot(dir.path()).unwrap().unwrap();
        assert_eq!(taken.version.0, 40 * round + 2, "all but the last write");
        assert_eq!(take_snapshot(dir.path()).unwrap(), None);
    }
    // The journal's own process goes on with what it finds.
    let own = shop.journal.take_snapshot().unwrap().unwrap();
    assert_eq!(own, tip(&shop.journal));
    drop(shop);
    assert_eq!(take_snapshot(dir.path()).unwrap(), None, "it was closed, and all of it is in the last one");
    assert_eq!(View::new(dir.path()).snapshots().unwrap().whole.len(), 2);
}

#[test]
fn two_who_save_a_snapshot_at_once_do_not_harm_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut shop = Shop::on(Arc::new(common::open_dir(dir.path()).unwrap()));
    let others = || {
        for _ in 0..20 {
            match take_snapshot(dir.path()) {
                Ok(_) | Err(UpkeepError::Busy { .. }) => {}
                Err(why) => panic!("{why}"),
            }
        }
    };
    thread::scope(|threads| {
        threads.spawn(others);
        threads.spawn(others);
        for _ in 0..20 {
            assert!(shop.sell(5));
            match shop.journal.take_snapshot() {
                Ok(_) | Err(UpkeepError::Busy { .. }) => {}
                Err(why) => panic!("{why}"),
            }
        }
    });
    let found = View::new(dir.path()).snapshots().unwrap();
    assert_eq!((found.damaged.len(), found.whole.len()), (0, 2));
}

/// Sales, snapshots, compression and discarding, until something fails; gives how many sales were acknowledged, and which
/// operations were not those of sales.
fn workload(disk: &FaultDisk) -> (u64, Vec<u64>) {
    let mut shop = Shop::open(disk);
    let mut upkeep = Vec::new();
    for round in 0..4 {
        if !shop.sell(25) {
            break;
        }
        let begun = disk.operations();
        let retain = if round < 3 { Retain::Everything } else { Retain::Bytes(0) };
        let taken = shop.journal.take_snapshot().and_then(|_| shop.journal.tidy(retain, NOW));
        upkeep.extend(begun..disk.operations());
        // What fails is tried again, and the shop goes on.
        if taken.is_err() {
            let _ = shop.journal.take_snapshot().and_then(|_| shop.journal.tidy(retain, NOW));
        }
    }
    (shop.sold, upkeep)
}

/// What the shop is without any fault: its groups, and its digest after each.
struct Wanted {
    groups: Vec<Group>,
    digests: BTreeMap<Version, Hash>,
}

impl Wanted {
    fn new() -> Self {
        let disk = FaultDisk::new();
        Shop::open(&disk).sell(110);
        let (groups, mut replayer) = (groups_of(&disk), Replayer::new(3));
        let digests = groups.iter().map(|group| {
            replayer.follow(group).unwrap();
            (group.last(), replayer.state().digest())
        });
        let digests = digests.collect();
        Self { groups, digests }
    }
}

fn check(disk: &FaultDisk, sold: u64, wanted: &Wanted, context: &str) {
    let Wanted { groups, digests } = wanted;
    let found = view(disk).snapshots().unwrap();
    assert_eq!(found.damaged, [], "{context}: a snapshot has its name and is not whole");
    let journal = open(disk).unwrap_or_else(|why| panic!("{context}: {why}"));
    let (state, tip) = block_on(replay(&journal, 1)).unwrap_or_else(|why| panic!("{context}: {why}"));
    assert!(tip.version.0 >= sold + 3, "{context}: {} instead of {} sales", tip.version.0, sold);
    assert_eq!(state.digest(), digests[&tip.version], "{context}");
    let kept = groups_of(disk);
    let start = kept.first().map_or(tip.version, Group::base);
    let from = groups.iter().position(|group| group.base() == start).unwrap_or(groups.len());
    assert_eq!(kept, groups[from..][..kept.len()], "{context}");
    // A third may have come back whose removal was not durable.
    for snapshot in found.whole.into_iter().rev().take(2) {
        assert!(snapshot.tip().version >= start, "{context}: a snapshot that is kept is of no use");
        let digest = snapshot.restore(1).unwrap().digest();
        assert_eq!(digest, digests[&snapshot.tip().version], "{context}");
    }
    journal.take_snapshot().unwrap_or_else(|why| panic!("{context}: {why}"));
    journal.tidy(Retain::Bytes(0), NOW).unwrap_or_else(|why| panic!("{context}: {why}"));
    drop(journal);
    let journal = open(disk).unwrap_or_else(|why| panic!("{context}, after upkeep: {why}"));
    let (state, _) = block_on(replay(&journal, 1)).unwrap_or_else(|why| panic!("{context}: {why}"));
    assert_eq!(state.digest(), digests[&tip.version], "{context}");
}

/// Every operation of snapshots, compression and discarding goes wrong once.
fn at_every_operation(fault: Fault) {
    let whole = FaultDisk::new();
    let (sold, operations) = workload(&whole);
    assert!(sold == 100 && operations.len() > 50, "{sold} sales, {} operations", operations.len());
    let wanted = Wanted::new();
    for operation in operations {
        let disk = FaultDisk::new();
        disk.fail_at(operation, fault);
        let (sold, _) = workload(&disk);
        let some = [operation, !operation].map(Survives::Some);
        for survives in [Survives::Nothing, Survives::Everything].into_iter().chain(some) {
            let found = disk.after_power_loss(survives);
            check(&found, sold, &wanted, &format!("{fault:?} at operation {operation}, {survives:?}"));
        }
    }
}

#[test]
fn power_loss_at_any_operation_of_the_upkeep_leaves_a_directory_that_opens_with_all_that_was_acknowledged() {
    at_every_operation(Fault::PowerLoss);
}

#[test]
fn an_error_at_any_operation_of_the_upkeep_leaves_all_as_it_was_or_as_it_was_to_be() {
    at_every_operation(Fault::Error(ErrorKind::Other));
}
