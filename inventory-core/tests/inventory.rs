//! The embedding API over a journal that fails: what was not done is told apart from what nobody can know.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod scripted;

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use inventory_core::journal::{Journal, JournalError};
use inventory_core::{
    Inventory, InventoryError, Order, OrderKey, OrderLine, Role, Time, Units, Upc, UserId, Version,
};
use pollster::block_on;

use scripted::{Scripted, Step};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);

fn open(journal: &Arc<Scripted>) -> Inventory<Arc<Scripted>> {
    block_on(Inventory::open(Arc::clone(journal), 1)).unwrap()
}

fn add(inventory: &mut Inventory<Arc<Scripted>>, name: &str) -> Result<UserId, InventoryError> {
    block_on(inventory.add_user(NOW, name, "", Role::Buyer))
}

#[test]
fn a_user_is_found_by_name_once_added() {
    let mut inventory = open(&Arc::new(Scripted::new(&[], 0)));
    assert_eq!(inventory.user("alice"), None);
    let alice = add(&mut inventory, "alice").unwrap();
    assert_eq!(inventory.user("alice"), Some(alice));
}

#[test]
fn a_journal_of_small_groups_is_opened_in_two_readings() {
    let journal = Arc::new(Scripted::new(&[], 0));
    let mut inventory = open(&journal);
    for name in ["alice", "bob", "carol"] {
        add(&mut inventory, name).unwrap();
    }
    let before = journal.readings();
    open(&journal);
    assert_eq!(journal.readings() - before, 2, "all groups, then none");
}

#[test]
fn a_write_that_failed_for_certain_was_not_done_and_may_be_tried_again() {
    let journal = Arc::new(Scripted::new(&[Step::Fail], 0));
    let mut inventory = open(&journal);
    assert_eq!(add(&mut inventory, "alice"), Err(InventoryError::NotWritten("disk full".into())));
    assert_eq!(inventory.user("alice"), None);
    let alice = add(&mut inventory, "alice").unwrap();
    assert_eq!(inventory.user("alice"), Some(alice));
    assert_eq!(journal.groups().len(), 1);
}

#[test]
fn after_a_write_of_which_nobody_knows_nothing_is_acknowledged_until_it_is_opened_again() {
    let journal = Arc::new(Scripted::new(&[Step::WriteAndLoseTheAnswer, Step::Fail, Step::Fail], 0));
    let mut inventory = open(&journal);
    journal.fail_reads(3);
    assert_eq!(add(&mut inventory, "alice"), Err(InventoryError::Poisoned("disk full".into())));
    assert!(matches!(add(&mut inventory, "bob"), Err(InventoryError::Poisoned(_))));
    let inventory = open(&journal);
    assert!(inventory.user("alice").is_some(), "it was written after all");
    assert_eq!(inventory.user("bob"), None);
}

#[test]
fn a_call_after_one_that_was_dropped_gets_its_own_answer() {
    for step in [Step::WriteAndHang, Step::Hang] {
        let journal = Arc::new(Scripted::new(&[Step::Write, Step::Write, Step::Write, step], 0));
        let mut inventory = open(&journal);
        let soup = Upc::new(1).unwrap();
        block_on(inventory.define_item(NOW, soup, "soup", None)).unwrap();
        block_on(inventory.set_initial_level(NOW, soup, Units::new(10).unwrap())).unwrap();
        let alice = add(&mut inventory, "alice").unwrap();
        let order = |random| {
            let lines = OrderLine::new(soup, Units::new(2).unwrap()).into();
            Order { key: OrderKey::from_parts(NOW, random), lines, charge: None }
        };
        {
            let call = pin!(inventory.purchase(NOW, alice, order(1)));
            assert!(call.poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        let second = block_on(inventory.purchase(NOW, alice, order(2))).unwrap();
        let first = block_on(inventory.purchase(NOW, alice, order(1))).unwrap();
        assert_eq!((first.key, second.key), (order(1).key, order(2).key));
        assert_eq!((first.version, second.version), (Version(4), Version(5)), "finished by the next call");
        assert_eq!(journal.groups().len(), 5);
    }
}

#[test]
fn a_snapshot_is_kept_in_the_journal_and_opened_from() {
    let journal = Arc::new(Scripted::new(&[], 0));
    let mut inventory = open(&journal);
    let alice = add(&mut inventory, "alice").unwrap();
    block_on(inventory.save_snapshot()).unwrap();
    let tip = block_on(journal.tip()).unwrap();
    assert_eq!(block_on(journal.load_snapshot()).unwrap().map(|snapshot| snapshot.tip()), Some(tip));
    block_on(journal.discard_through(tip.version)).unwrap();
    let gone = JournalError::Discarded { after: Version::ZERO, start: tip.version };
    assert_eq!(block_on(journal.read(Version::ZERO, usize::MAX)), Err(gone));
    assert_eq!(open(&journal).user("alice"), Some(alice));
}
