//! The holdings against crashes, damage and other processes.

use std::fs;
use std::path::{Path, PathBuf};

use inventory_core::{
    BulkOrder, LocationId, Money, OneOrMany, Order, OrderKey, OrderLine, Receipt, Return, ReturnReceipt,
    Time, Units, Upc, Version,
};
use tempfile::TempDir;

use super::{HoldingsStore, KeptOrder};

const TISSUES: &str = "036000291452";
const BANANAS: &str = "012345678905";

struct Folder {
    dir: TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("alice")
    }

    fn store(&self) -> HoldingsStore {
        HoldingsStore::new(self.path())
    }

    fn log(&self) -> PathBuf {
        self.path().join("orders.log")
    }

    fn summary(&self) -> PathBuf {
        self.path().join("holdings.json")
    }

    /// Names of the files that were set aside.
    fn aside(&self) -> Vec<String> {
        let names = fs::read_dir(self.path()).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut aside: Vec<String> = names.filter(|name| name.contains(".damaged-")).collect();
        aside.sort();
        aside
    }

    /// What is held, as code and units.
    fn held(&self) -> Vec<(String, u64)> {
        let holdings = self.store().load().unwrap();
        holdings.items().map(|(upc, held)| (upc.to_string(), held.units.get())).collect()
    }

    fn open(&self) -> Vec<OrderKey> {
        self.store().load().unwrap().open().keys().copied().collect()
    }

    fn buy(&self, n: u64, upc: &str, units: u64) {
        assert!(self.store().record_order(&order(n, upc, units), name).unwrap());
        assert!(self.store().record_receipt(&receipt(n, upc, units), name).unwrap());
    }
}

fn key(n: u64) -> OrderKey {
    OrderKey::from_parts(Time::from_micros(1_795_223_744_000_000 + n * 1_000), u128::from(n))
}

fn line(upc: &str, units: u64) -> OneOrMany<OrderLine> {
    OrderLine::new(upc.parse().unwrap(), Units::new(units).unwrap()).into()
}

fn order(n: u64, upc: &str, units: u64) -> KeptOrder {
    KeptOrder::Lines(Order { key: key(n), lines: line(upc, units), charge: None })
}

fn receipt(n: u64, upc: &str, units: u64) -> Receipt {
    Receipt {
        key: key(n),
        version: Version(n),
        user: "alice".into(),
        at: Time::from_micros(n),
        lines: line(upc, units),
        total: Some(Money::from_minor(100)),
        charged: None,
    }
}

/// A return of so many units of an order.
fn wanted(n: u64, of: u64, upc: &str, units: u64) -> KeptOrder {
    let lines = line(upc, units).to_vec().into();
    KeptOrder::Return(Return { key: key(n), order: key(of), lines, evidence: None })
}

fn returned(n: u64, of: u64, upc: &str, units: u64) -> ReturnReceipt {
    let (version, at, lines) = (Version(n), Time::from_micros(n), line(upc, units));
    ReturnReceipt { key: key(n), version, user: "alice".into(), at, order: key(of), lines, refund: None }
}

fn name(upc: Upc) -> String {
    if upc.to_string() == TISSUES { "Tissues".into() } else { "Bananas".into() }
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_was_bought_is_summed_by_item_and_kept() {
    let folder = Folder::new();
    assert_eq!(folder.held(), []);
    folder.buy(1, TISSUES, 2);
    folder.buy(2, BANANAS, 1);
    folder.buy(3, TISSUES, 3);
    assert_eq!(folder.held(), [(BANANAS.into(), 1), (TISSUES.into(), 5)]);
    let holdings = folder.store().load().unwrap();
    assert_eq!(holdings.name(TISSUES.parse().unwrap()), Some("Tissues"));
    assert!(holdings.open().is_empty());
}

#[test]
fn an_order_is_open_until_its_outcome_is_known() {
    let folder = Folder::new();
    folder.store().record_order(&order(1, TISSUES, 2), name).unwrap();
    folder.store().record_order(&order(2, BANANAS, 9), name).unwrap();
    assert_eq!(folder.open(), [key(1), key(2)]);
    assert!(folder.store().record_not_bought(key(2), "insufficient_stock").unwrap());
    assert!(!folder.store().record_not_bought(key(2), "insufficient_stock").unwrap());
    assert_eq!(folder.open(), [key(1)]);
    assert!(folder.store().record_receipt(&receipt(1, TISSUES, 2), name).unwrap());
    assert_eq!((folder.open(), folder.held()), (vec![], vec![(TISSUES.into(), 2)]));
}

#[test]
fn a_receipt_that_comes_twice_counts_once() {
    let folder = Folder::new();
    folder.buy(1, TISSUES, 2);
    assert!(!folder.store().record_receipt(&receipt(1, TISSUES, 2), name).unwrap());
    assert!(!folder.store().record_order(&order(1, TISSUES, 2), name).unwrap());
    assert!(!folder.store().record_receipt(&receipt(1, TISSUES, 2), name).unwrap());
    assert_eq!(folder.held(), [(TISSUES.into(), 2)]);
}

#[test]
fn what_came_back_is_taken_off_once_and_nothing_falls_below_zero() {
    let folder = Folder::new();
    folder.buy(1, TISSUES, 5);
    folder.buy(2, BANANAS, 1);
    assert!(folder.store().record_order(&wanted(3, 1, TISSUES, 2), name).unwrap());
    assert_eq!(
        (folder.open(), folder.held()),
        (vec![key(3)], vec![(BANANAS.into(), 1), (TISSUES.into(), 5)])
    );
    assert!(folder.store().record_returned(&returned(3, 1, TISSUES, 2), true).unwrap());
    assert!(!folder.store().record_returned(&returned(3, 1, TISSUES, 2), true).unwrap());
    assert!(!folder.store().record_order(&wanted(3, 1, TISSUES, 2), name).unwrap());
    assert_eq!((folder.open(), folder.held()), (vec![], vec![(BANANAS.into(), 1), (TISSUES.into(), 3)]));
    assert!(folder.store().record_returned(&returned(4, 2, BANANAS, 9), true).unwrap());
    assert_eq!(folder.held(), [(TISSUES.into(), 3)], "what is not held is not shown");
    fs::remove_file(folder.summary()).unwrap();
    assert_eq!(folder.held(), [(TISSUES.into(), 3)]);
}

#[test]
fn what_was_bought_elsewhere_takes_nothing_off_when_it_comes_back() {
    let folder = Folder::new();
    folder.buy(1, TISSUES, 5);
    assert!(folder.store().record_order(&wanted(3, 2, TISSUES, 2), name).unwrap());
    assert!(folder.store().record_returned(&returned(3, 2, TISSUES, 2), true).unwrap());
    assert_eq!((folder.open(), folder.held()), (vec![], vec![(TISSUES.into(), 5)]));
}

#[test]
fn an_open_return_and_what_came_back_survive_damage_to_either_file() {
    for damage in [Folder::log, Folder::summary] {
        for at in (0..180).step_by(7) {
            let folder = Folder::new();
            folder.buy(1, TISSUES, 5);
            folder.store().record_returned(&returned(2, 1, TISSUES, 2), true).unwrap();
            let open = wanted(3, 1, TISSUES, 1);
            folder.store().record_order(&open, name).unwrap();
            folder.store().record_order(&wanted(4, 1, TISSUES, 1), name).unwrap();
            folder.store().record_not_bought(key(4), "unsent").unwrap();
            flip(&damage(&folder), at);
            let kept = folder.store().load().unwrap().open().get(&key(3)).and_then(|open| open.kept.clone());
            assert_eq!((kept, folder.held()), (Some(open), vec![(TISSUES.into(), 3)]), "byte {at}");
            // The line of the purchase may be gone: its units are still held.
            folder.store().record_returned(&returned(3, 1, TISSUES, 1), true).unwrap();
            assert_eq!(folder.held(), [(TISSUES.into(), 2)], "byte {at}");
        }
    }
}

#[test]
fn after_damage_a_return_of_what_another_bought_takes_nothing_off() {
    let folder = Folder::new();
    folder.buy(1, TISSUES, 5);
    folder.buy(2, BANANAS, 1);
    flip(&folder.log(), 40);
    assert!(!folder.store().may_have_lost(key(2)).unwrap());
    assert!(folder.store().may_have_lost(key(9)).unwrap());
    folder.store().record_returned(&returned(3, 9, TISSUES, 2), false).unwrap();
    assert_eq!(folder.held(), [(BANANAS.into(), 1), (TISSUES.into(), 5)]);
    folder.store().record_returned(&returned(4, 1, TISSUES, 2), false).unwrap();
    assert_eq!(folder.held(), [(BANANAS.into(), 1), (TISSUES.into(), 3)]);
}

#[test]
fn an_outcome_whose_line_was_damaged_is_not_counted_again() {
    let folder = Folder::new();
    folder.buy(1, TISSUES, 5);
    folder.store().record_order(&wanted(2, 1, TISSUES, 2), name).unwrap();
    folder.store().record_returned(&returned(2, 1, TISSUES, 2), true).unwrap();
    let log = fs::read(folder.log()).unwrap();
    for at in (0..log.len()).filter(|at| log[*at] != b'\n') {
        let damaged = Folder::new();
        fs::create_dir_all(damaged.path()).unwrap();
        fs::copy(folder.log(), damaged.log()).unwrap();
        fs::copy(folder.summary(), damaged.summary()).unwrap();
        flip(&damaged.log(), at);
        // Also from the mended log alone.
        for _ in 0..2 {
            assert!(!damaged.store().record_order(&order(1, TISSUES, 5), name).unwrap(), "byte {at}");
            assert!(!damaged.store().record_receipt(&receipt(1, TISSUES, 5), name).unwrap(), "byte {at}");
            assert!(!damaged.store().record_order(&wanted(2, 1, TISSUES, 2), name).unwrap(), "byte {at}");
            assert!(
                !damaged.store().record_returned(&returned(2, 1, TISSUES, 2), true).unwrap(),
                "byte {at}"
            );
            assert_eq!((damaged.open(), damaged.held()), (vec![], vec![(TISSUES.into(), 3)]), "byte {at}");
            let _ = fs::remove_file(damaged.summary());
        }
    }
}

#[test]
fn what_was_not_bought_stays_so_through_damage() {
    let folder = Folder::new();
    folder.store().record_order(&order(1, TISSUES, 5), name).unwrap();
    folder.store().record_not_bought(key(1), "unsent").unwrap();
    flip(&folder.log(), 40);
    assert!(folder.store().record_order(&order(1, TISSUES, 5), name).unwrap());
    assert!(folder.store().record_receipt(&receipt(1, TISSUES, 5), name).unwrap());
    assert_eq!(folder.held(), [(TISSUES.into(), 5)]);
}

/// A crash leaves the log cut anywhere, and the summary as it was before or as it became.
#[test]
fn a_crash_at_any_byte_of_the_log_loses_and_doubles_nothing() {
    let folder = Folder::new();
    folder.buy(1, TISSUES, 2);
    let (log_1, summary_1) = (fs::read(folder.log()).unwrap(), fs::read(folder.summary()).unwrap());
    folder.buy(2, BANANAS, 1);
    let log_2 = fs::read(folder.log()).unwrap();
    let ordered_at = log_1.len() + log_2[log_1.len()..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let near_a_line_end = |n: usize| n.abs_diff(ordered_at) < 3 || n + 3 > log_2.len() || n < log_1.len() + 3;
    for length in (log_1.len()..=log_2.len()).filter(|n| n % 9 == 0 || near_a_line_end(*n)) {
        let crashed = Folder::new();
        fs::create_dir_all(crashed.path()).unwrap();
        fs::write(crashed.log(), &log_2[..length]).unwrap();
        fs::write(crashed.summary(), &summary_1).unwrap();
        let expected = if length == log_2.len() {
            (vec![(BANANAS.to_owned(), 1), (TISSUES.to_owned(), 2)], vec![])
        } else if length >= ordered_at {
            (vec![(TISSUES.to_owned(), 2)], vec![key(2)])
        } else {
            (vec![(TISSUES.to_owned(), 2)], vec![])
        };
        assert_eq!((crashed.held(), crashed.open()), expected, "cut at {length}");
        assert_eq!(crashed.aside(), Vec::<String>::new(), "cut at {length}");
        // Life goes on after it, and the torn end is gone.
        crashed.buy(3, TISSUES, 1);
        assert_eq!(crashed.held().last(), Some(&(TISSUES.to_owned(), 3)), "cut at {length}");
    }
}

#[test]
fn a_damaged_summary_is_kept_aside_and_rebuilt_from_the_log() {
    for at in [0, 5, 40] {
        let folder = Folder::new();
        folder.buy(1, TISSUES, 2);
        folder.store().record_order(&order(2, BANANAS, 1), name).unwrap();
        flip(&folder.summary(), at);
        assert_eq!(folder.held(), [(TISSUES.into(), 2)]);
        assert_eq!(folder.open(), [key(2)]);
        assert_eq!(folder.aside().len(), 1);
        assert!(folder.aside()[0].starts_with("holdings.json.damaged-"));
    }
}

#[test]
fn a_damaged_log_is_kept_aside_and_the_sums_stay() {
    let folder = Folder::new();
    folder.buy(1, TISSUES, 2);
    folder.buy(2, BANANAS, 1);
    let before = fs::read(folder.log()).unwrap();
    for at in (0..before.len()).step_by(13) {
        let damaged = Folder::new();
        fs::create_dir_all(damaged.path()).unwrap();
        fs::copy(folder.log(), damaged.log()).unwrap();
        fs::copy(folder.summary(), damaged.summary()).unwrap();
        flip(&damaged.log(), at);
        assert_eq!(damaged.held(), [(BANANAS.into(), 1), (TISSUES.into(), 2)], "byte {at}");
        assert_eq!(damaged.open(), [], "byte {at}");
        assert_eq!(damaged.aside().len(), 1, "byte {at}");
        // It is whole again: nothing more is set aside, and it goes on.
        damaged.buy(3, TISSUES, 1);
        fs::remove_file(damaged.summary()).unwrap();
        assert_eq!(damaged.held(), [(BANANAS.into(), 1), (TISSUES.into(), 3)], "byte {at}");
        assert_eq!(damaged.aside().len(), 1, "byte {at}");
    }
}

#[test]
fn a_lost_log_is_begun_anew_from_the_sums() {
    let folder = Folder::new();
    folder.buy(1, TISSUES, 2);
    fs::remove_file(folder.log()).unwrap();
    assert_eq!(folder.held(), [(TISSUES.into(), 2)]);
    fs::remove_file(folder.summary()).unwrap();
    assert_eq!(folder.held(), [(TISSUES.into(), 2)]);
}

#[test]
fn with_both_files_damaged_the_server_is_asked_about_what_is_unclear() {
    let folder = Folder::new();
    folder.buy(1, TISSUES, 2);
    folder.buy(2, BANANAS, 1);
    flip(&folder.summary(), 3);
    // Both lines of the second order: only its key is left.
    let log = fs::read_to_string(folder.log()).unwrap();
    let damaged = log.replace(BANANAS, "012345678900");
    fs::write(folder.log(), damaged).unwrap();
    assert_eq!(folder.held(), [(TISSUES.into(), 2)]);
    let holdings = folder.store().load().unwrap();
    let open: Vec<_> = holdings.open().iter().map(|(key, order)| (*key, order.kept.is_some())).collect();
    assert_eq!(open, [(key(2), false)]);
    assert_eq!(folder.aside().len(), 2);
    assert!(folder.store().record_receipt(&receipt(2, BANANAS, 1), name).unwrap());
    assert_eq!(folder.held(), [(BANANAS.into(), 1), (TISSUES.into(), 2)]);
}

#[test]
fn an_open_batch_keeps_its_rows_through_damage_to_either_file() {
    let upcs: Vec<Upc> = [TISSUES, BANANAS, TISSUES].map(|upc| upc.parse().unwrap()).to_vec();
    let batch = BulkOrder::new(key(1), LocationId(3), upcs, vec![2, u32::MAX, 0]).unwrap();
    let kept = KeptOrder::Bulk(batch);
    for damage in [Folder::log, Folder::summary] {
        let folder = Folder::new();
        assert!(folder.store().record_order(&kept, name).unwrap());
        assert!(!folder.store().record_order(&kept, name).unwrap());
        folder.buy(2, TISSUES, 1);
        flip(&damage(&folder), 40);
        let open = folder.store().load().unwrap().open().get(&key(1)).cloned();
        assert_eq!(open.and_then(|open| open.kept), Some(kept.clone()));
        assert_eq!(folder.aside().len(), 1);
    }
}

#[test]
fn many_orders_are_kept_and_closed_together() {
    let folder = Folder::new();
    folder.buy(1, TISSUES, 2);
    let orders = [1, 2, 3, 4].map(|n| order(n, BANANAS, 1));
    assert_eq!(folder.store().record_orders(&orders, name).unwrap(), [false, true, true, true]);
    assert_eq!(folder.store().record_orders(&orders, name).unwrap(), [false; 4]);
    assert_eq!(folder.open(), [key(2), key(3), key(4)]);
    assert_eq!(folder.store().record_none_bought(&[key(1), key(3), key(4)], "unsent").unwrap(), 2);
    assert_eq!((folder.open(), folder.held()), (vec![key(2)], vec![(TISSUES.into(), 2)]));
    fs::remove_file(folder.summary()).unwrap();
    assert_eq!((folder.open(), folder.held()), (vec![key(2)], vec![(TISSUES.into(), 2)]));
    // What was closed so is new again.
    assert_eq!(folder.store().record_orders(&orders, name).unwrap(), [false, false, true, true]);
}

#[test]
fn many_clients_at_once_count_every_order_once() {
    let folder = Folder::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let folder = &folder;
            scope.spawn(move || {
                for n in 0..10 {
                    folder.buy(thread * 100 + n, TISSUES, 1);
                }
            });
        }
    });
    assert_eq!(folder.held(), [(TISSUES.into(), 40)]);
    assert_eq!(folder.open(), []);
}
