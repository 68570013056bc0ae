//! The entries of one account, read from the journal page by page, are those that a replay shows.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use inventory_core::journal::{AccountScan, Journal, MemoryJournal, Replayer, ScanPlace, ScannedEntry};
use inventory_core::{
    AccountEntry, AccountId, BulkEntries, Entry, Inventory, Money, NameColumn, Order, OrderKey, OrderLine,
    Posting, Role, Time, Units, Upc, Version, entries,
};
use pollster::block_on;

const NOW: Time = Time::from_micros(1_795_219_200_000_000);

fn key(random: u128) -> OrderKey {
    OrderKey::from_parts(NOW, random << 8)
}

fn money(minor: i64) -> Money {
    Money::from_minor(minor)
}

fn batch(random: u128, rows: &[(&str, i64)]) -> BulkEntries {
    let mut names = NameColumn::default();
    assert!(rows.iter().all(|(name, _)| names.push(name.as_bytes())));
    BulkEntries::new(key(random), names, rows.iter().map(|(_, amount)| *amount).collect::<Vec<_>>()).unwrap()
}

/// A journal in which alice's balance changes in every way there is.
fn journal() -> Arc<MemoryJournal> {
    let journal = Arc::new(MemoryJournal::new());
    let mut inventory = block_on(Inventory::open(Arc::clone(&journal), 1)).unwrap();
    let soup = Upc::new(1).unwrap();
    block_on(inventory.define_item(NOW, soup, "soup", Some(money(250)))).unwrap();
    block_on(inventory.set_initial_level(NOW, soup, Units::new(10).unwrap())).unwrap();
    block_on(inventory.add_user(NOW, "alice", "", Role::Buyer)).unwrap();
    let mut post =
        |random, entry| block_on(inventory.post(NOW, Posting { key: key(random), entry })).unwrap();
    post(1, Entry::Credit { account: "bob".into(), amount: money(900) });
    post(2, Entry::Credit { account: "alice".into(), amount: money(1_000) });
    post(3, Entry::Transfer { from: "bob".into(), to: "alice".into(), amount: money(5) });
    post(4, Entry::Transfer { from: "alice".into(), to: "bob".into(), amount: money(7) });
    post(5, Entry::Debit { account: "alice".into(), amount: money(0) });
    let rows: Vec<_> = (1..=20).map(|n| (if n % 2 == 0 { "alice" } else { "bob" }, n)).collect();
    block_on(inventory.post_bulk(NOW, batch(6, &rows))).unwrap();
    let one = OrderLine::new(soup, Units::new(1).unwrap());
    let order = Order { key: key(7), lines: one.into(), charge: Some("alice".into()) };
    let alice = inventory.user("alice").unwrap();
    block_on(inventory.purchase(NOW, alice, order)).unwrap();
    journal
}

/// What a replay shows of this account.
fn replayed(journal: &MemoryJournal, account: &str) -> Vec<AccountEntry> {
    let (mut replayer, mut found) = (Replayer::new(3), Vec::new());
    for group in &block_on(journal.read(Version::ZERO, usize::MAX)).unwrap() {
        let seen = |state: &_, record: &_| found.extend(entries(state, record));
        replayer.follow_each(group, seen).unwrap();
    }
    found.retain(|entry| &*entry.account == account);
    found
}

/// What pages of this many entries hold together, and how many pages there were.
fn scanned(journal: &MemoryJournal, account: AccountId, limit: usize) -> (Vec<ScannedEntry>, usize) {
    let (mut place, mut found, mut pages) = (Some(ScanPlace::default()), Vec::new(), 0);
    while let Some(from) = place {
        let mut scan = AccountScan::new(account, from, limit);
        while !block_on(scan.step(journal)).unwrap() {}
        assert!(scan.entries().len() <= limit);
        found.extend_from_slice(scan.entries());
        place = scan.place();
        pages += 1;
    }
    (found, pages)
}

#[test]
fn pages_of_any_size_hold_each_entry_once_and_in_order() {
    let journal = journal();
    for (id, name) in [(AccountId(0), "bob"), (AccountId(1), "alice")] {
        let expected = replayed(&journal, name);
        for limit in 1..30 {
            let (found, pages) = scanned(&journal, id, limit);
            assert!(pages >= expected.len() / limit, "{pages} pages of {limit}");
            assert_eq!(found.len(), expected.len(), "{name} in pages of {limit}");
            for (found, expected) in found.iter().zip(&expected) {
                assert_eq!(
                    (found.version, found.at, found.reason, found.change, found.key),
                    (expected.version, expected.at, expected.reason, expected.change, expected.key),
                );
            }
        }
    }
    assert_eq!(replayed(&journal, "alice").len(), 15);
}

#[test]
fn an_account_that_nobody_posted_to_has_no_entries() {
    assert_eq!(scanned(&journal(), AccountId(7), 3).0, []);
}

#[test]
fn what_is_no_longer_kept_is_passed_over_and_said() {
    let journal = journal();
    let mut inventory = block_on(Inventory::open(Arc::clone(&journal), 1)).unwrap();
    block_on(inventory.save_snapshot()).unwrap();
    let kept_from = block_on(journal.tip()).unwrap().version;
    block_on(journal.discard_through(kept_from)).unwrap();
    let posting = Posting { key: key(8), entry: Entry::Debit { account: "alice".into(), amount: money(3) } };
    block_on(inventory.post(NOW, posting)).unwrap();
    let mut scan = AccountScan::new(AccountId(1), ScanPlace::default(), 10);
    while !block_on(scan.step(&*journal)).unwrap() {}
    assert_eq!((scan.start(), scan.entries().len()), (Some(kept_from), 1));
}
