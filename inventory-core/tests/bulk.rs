//! What a bulk purchase does to its rows, and that its key has one outcome wherever it is asked for.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use inventory_core::journal::{
    Auditor, Breach, GroupBuilder, Journal, MemoryJournal, Snapshot, Tip, Violation,
};
use inventory_core::limits::{BULK_ROWS_MAX, EVENT_BYTES_MAX};
use inventory_core::machine::{Impossible, apply, verify};
use inventory_core::state::State;
use inventory_core::{
    AppendId, BulkOrder, BulkOrderError, BulkReceipt, BulkRows, Event, Hash, Inventory, InventoryError,
    ItemId, LocationId, Money, Movement, Order, OrderDigest, OrderKey, OrderLine, Record, Refusal, Role,
    RowCodes, Time, Units, Upc, UserId, Version, movements,
};
use pollster::block_on;

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const ALICE: UserId = UserId(1);
const BOB: UserId = UserId(2);

fn upc(code: u64) -> Upc {
    Upc::new(code).unwrap()
}

fn units(number: u64) -> Units {
    Units::new(number).unwrap()
}

fn key(random: u128) -> OrderKey {
    OrderKey::from_parts(NOW, random << 8)
}

fn batch(random: u128, rows: &[(u64, u32)]) -> BulkOrder {
    let upcs: Vec<Upc> = rows.iter().map(|(code, _)| upc(*code)).collect();
    let units: Vec<u32> = rows.iter().map(|(_, units)| *units).collect();
    BulkOrder::new(key(random), LocationId::MAIN, upcs, units).unwrap()
}

/// Items 1 (10 units at 2.50), 2 (5 units at 1.00), 3 (7 units, no price) and 4 (1,000 units, each at most of what
/// money can be), alice and bob.
struct Shop {
    inventory: Inventory<Arc<MemoryJournal>>,
    journal: Arc<MemoryJournal>,
}

impl Shop {
    fn open() -> Self {
        let journal = Arc::new(MemoryJournal::new());
        let mut inventory = block_on(Inventory::open(Arc::clone(&journal), 1)).unwrap();
        let items = [(1, 10, Some(250)), (2, 5, Some(100)), (3, 7, None), (4, 1_000, Some(i64::MAX))];
        for (code, number, price) in items {
            let price = price.map(Money::from_minor);
            block_on(inventory.define_item(NOW, upc(code), "item", price)).unwrap();
            block_on(inventory.set_initial_level(NOW, upc(code), units(number))).unwrap();
        }
        for name in ["alice", "bob"] {
            block_on(inventory.add_user(NOW, name, "", Role::Buyer)).unwrap();
        }
        Self { inventory, journal }
    }

    fn reopen(&mut self) {
        self.inventory = block_on(Inventory::open(Arc::clone(&self.journal), 2)).unwrap();
    }

    fn buy_as(&mut self, user: UserId, order: BulkOrder) -> Result<BulkReceipt, Refusal> {
        match block_on(self.inventory.purchase_bulk(NOW, user, order)) {
            Ok(receipt) => Ok(receipt),
            Err(InventoryError::Refused(refusal)) => Err(refusal),
            Err(other) => panic!("{other}"),
        }
    }

    fn buy(&mut self, order: BulkOrder) -> BulkReceipt {
        self.buy_as(ALICE, order).unwrap()
    }

    fn on_hand(&mut self, code: u64) -> u64 {
        block_on(self.inventory.levels_of(upc(code))).unwrap()[0].on_hand.get()
    }
}

fn codes(receipt: &BulkReceipt) -> Vec<u8> {
    let rows = usize::try_from(receipt.outcome.rows).unwrap();
    (0..rows).map(|row| receipt.outcome.codes.get(row)).collect()
}

#[test]
fn each_row_is_accepted_or_refused_for_itself() {
    let mut shop = Shop::open();
    let receipt = shop.buy(batch(1, &[(1, 2), (9, 1), (2, 6), (2, 0), (2, 5)]));
    assert_eq!(codes(&receipt), [0, 20, 21, 22, 0]);
    assert_eq!((receipt.outcome.accepted_rows, receipt.outcome.units), (2, units(7)));
    assert_eq!(receipt.outcome.total, Some(Money::from_minor(2 * 250 + 5 * 100)));
    assert_eq!((&*receipt.user, receipt.key, receipt.at), ("alice", key(1), NOW));
    assert_eq!((shop.on_hand(1), shop.on_hand(2)), (8, 0));
}

#[test]
fn a_row_sees_what_the_rows_before_it_took() {
    let mut shop = Shop::open();
    let receipt = shop.buy(batch(1, &[(1, 6), (1, 5), (1, 4), (1, 1)]));
    assert_eq!(codes(&receipt), [0, 21, 0, 21]);
    assert_eq!(shop.on_hand(1), 0);
}

#[test]
fn no_code_is_kept_if_every_row_was_accepted() {
    let receipt = Shop::open().buy(batch(1, &[(1, 6), (2, 5)]));
    assert!(receipt.outcome.codes.are_all_accepted() && receipt.outcome.codes.bytes().is_empty());
    assert_eq!(codes(&receipt), [0, 0]);
}

#[test]
fn there_is_no_total_once_a_row_without_a_price_is_accepted() {
    let mut shop = Shop::open();
    assert_eq!(shop.buy(batch(1, &[(1, 1), (3, 8)])).outcome.total, Some(Money::from_minor(250)));
    assert_eq!(shop.buy(batch(2, &[(1, 1), (3, 7)])).outcome.total, None);
}

#[test]
fn a_row_that_costs_too_much_to_add_up_is_refused_alone() {
    let mut shop = Shop::open();
    let receipt = shop.buy(batch(1, &[(4, 2), (4, 1), (1, 1), (3, 1), (1, 1)]));
    assert_eq!(codes(&receipt), [23, 0, 23, 0, 0], "from the row without a price on there is no total");
    assert_eq!(receipt.outcome.total, None);
}

#[test]
fn a_row_that_also_asks_for_more_than_is_left_is_short_whatever_it_costs() {
    let receipt = Shop::open().buy(batch(1, &[(4, 1_001), (4, 1), (4, 1_000), (4, 999)]));
    assert_eq!(codes(&receipt), [21, 0, 21, 23], "one unit alone costs all that money can be");
}

#[test]
fn units_may_come_from_another_location() {
    let mut shop = Shop::open();
    let elsewhere = BulkOrder::new(key(1), LocationId(2), vec![upc(1), upc(1)], vec![1, u32::MAX]).unwrap();
    assert_eq!(codes(&shop.buy(elsewhere)), [21, 21]);
    assert_eq!(shop.on_hand(1), 10);
}

#[test]
fn a_batch_has_between_one_row_and_the_most_there_may_be() {
    let order = |upcs: usize, units: usize| {
        BulkOrder::new(key(1), LocationId::MAIN, vec![upc(1); upcs], vec![1; units])
    };
    assert_eq!(order(0, 0), Err(BulkOrderError::Rows(0)));
    assert_eq!(order(BULK_ROWS_MAX + 1, BULK_ROWS_MAX + 1), Err(BulkOrderError::Rows(BULK_ROWS_MAX + 1)));
    assert_eq!(order(2, 1), Err(BulkOrderError::Uneven { upcs: 2, units: 1 }));
    assert!(order(BULK_ROWS_MAX, BULK_ROWS_MAX).is_ok());
}

#[test]
fn a_batch_of_the_largest_size_and_nothing_but_strange_rows_is_recorded_and_read_back() {
    let mut shop = Shop::open();
    let rows: Vec<(u64, u32)> = (0..BULK_ROWS_MAX).map(|row| (50_000 + row as u64, 1)).collect();
    let receipt = shop.buy(batch(1, &rows));
    assert_eq!((receipt.outcome.accepted_rows, receipt.outcome.codes.get(BULK_ROWS_MAX - 1)), (0, 20));
    let groups = block_on(shop.journal.read(Version(receipt.version.0 - 1), usize::MAX)).unwrap();
    assert!(groups[0].bytes().len() <= EVENT_BYTES_MAX);
    shop.reopen();
    assert_eq!(shop.buy(batch(1, &rows)), receipt);
}

#[test]
fn a_retry_gets_the_same_receipt_from_the_window_after_a_crash_and_from_a_snapshot() {
    let mut shop = Shop::open();
    let order = batch(1, &[(1, 6), (1, 5), (9, 1)]);
    let receipt = shop.buy(order.clone());
    assert_eq!(shop.buy(order.clone()), receipt, "from the window");
    shop.reopen();
    assert_eq!(shop.buy(order.clone()), receipt, "after a crash");
    block_on(shop.inventory.save_snapshot()).unwrap();
    block_on(shop.journal.discard_through(receipt.version)).unwrap();
    shop.reopen();
    assert_eq!(shop.buy(order), receipt, "from a snapshot");
    assert_eq!(block_on(shop.inventory.bulk_receipt(NOW, ALICE, key(1))), Ok(receipt));
    assert_eq!(shop.on_hand(1), 4);
}

#[test]
fn a_key_is_for_one_batch_of_one_user() {
    let mut shop = Shop::open();
    shop.buy(batch(1, &[(1, 1), (2, 1)]));
    assert_eq!(shop.buy_as(ALICE, batch(1, &[(2, 1), (1, 1)])), Err(Refusal::KeyReused));
    assert_eq!(shop.buy_as(ALICE, batch(1, &[(1, 2), (2, 1)])), Err(Refusal::KeyReused));
    assert_eq!(shop.buy_as(BOB, batch(1, &[(1, 1), (2, 1)])), Err(Refusal::KeyReused));
    let elsewhere = BulkOrder::new(key(1), LocationId(1), vec![upc(1), upc(2)], vec![1, 1]).unwrap();
    assert_eq!(shop.buy_as(ALICE, elsewhere), Err(Refusal::KeyReused));
}

#[test]
fn a_key_is_for_a_batch_or_for_an_order() {
    let mut shop = Shop::open();
    let refused = Err(InventoryError::Refused(Refusal::KeyReused));
    let order =
        |random| Order { key: key(random), lines: OrderLine::new(upc(1), units(1)).into(), charge: None };
    shop.buy(batch(1, &[(1, 1)]));
    assert_eq!(block_on(shop.inventory.purchase(NOW, ALICE, order(1))), refused);
    assert_eq!(block_on(shop.inventory.receipt(NOW, ALICE, key(1))), refused);
    block_on(shop.inventory.purchase(NOW, ALICE, order(2))).unwrap();
    assert_eq!(shop.buy_as(ALICE, batch(2, &[(1, 1)])), Err(Refusal::KeyReused));
    assert!(block_on(shop.inventory.bulk_receipt(NOW, ALICE, key(2))).is_err());
}

fn state_of(events: &[Event]) -> State {
    let mut state = State::new(1);
    for event in events {
        apply(&mut state, &Record { at: NOW, event: event.clone() });
    }
    state
}

/// Ten units of soup at 2.00, and alice.
fn opening() -> [Event; 3] {
    opening_at(200)
}

/// The same at another price.
fn opening_at(price: i64) -> [Event; 3] {
    let (by, price) = (UserId::SYSTEM, Some(Money::from_minor(price)));
    [
        Event::ItemDefined { by, upc: upc(1), name: "soup".into(), price },
        Event::InitialLevelSet { by, item: ItemId(0), location: LocationId::MAIN, units: units(10) },
        Event::UserAdded { by, name: "alice".into(), password_hash: "".into(), role: Role::Buyer },
    ]
}

/// A batch: item row, units and code of each of its rows.
fn bought(rows: &[(u32, u32, u8)], unknown: &[u64], total: Option<i64>) -> Event {
    let items: Vec<ItemId> = rows.iter().map(|row| ItemId(row.0)).collect();
    let units: Vec<u32> = rows.iter().map(|row| row.1).collect();
    let codes = RowCodes::new(rows.iter().map(|row| row.2).collect::<Vec<_>>()).unwrap();
    let unknown: Vec<Upc> = unknown.iter().map(|code| upc(*code)).collect();
    let rows = BulkRows::new(items, units, codes, unknown).unwrap();
    let (location, total) = (LocationId::MAIN, total.map(Money::from_minor));
    let (key, digest) = (key(1), OrderDigest(0));
    Event::BulkPurchased { key, user: ALICE, digest, location, total, rows: rows.into() }
}

const NOTHING: u32 = BulkRows::NO_ITEM.0;

#[test]
fn columns_that_do_not_fit_each_other_are_no_rows() {
    let rows = |items: &[u32], units: &[u32], codes: &[u8], unknown: &[u64]| {
        let items: Vec<ItemId> = items.iter().map(|item| ItemId(*item)).collect();
        let unknown: Vec<Upc> = unknown.iter().map(|code| upc(*code)).collect();
        BulkRows::new(items, units, RowCodes::new(codes.to_vec())?, unknown)
    };
    let counted = |rows: Option<BulkRows>| rows.map(|rows| (rows.accepted_rows(), rows.accepted_units()));
    assert_eq!(counted(rows(&[0, NOTHING], &[3, 1], &[0, 20], &[9])), Some((1, units(3))));
    assert_eq!(counted(rows(&[0, 1], &[3, 4], &[], &[])), Some((2, units(7))));
    assert!(rows(&[NOTHING, 0], &[0, 0], &[22, 22], &[9]).is_some());
    for (what, wrong) in [
        ("no row", rows(&[], &[], &[], &[])),
        ("a row without units", rows(&[0, 0], &[1], &[], &[])),
        ("a row without a code", rows(&[0, 0], &[1, 1], &[21], &[])),
        ("an accepted row without an item", rows(&[NOTHING], &[1], &[], &[9])),
        ("an accepted row of zero units", rows(&[0], &[0], &[], &[])),
        ("an unknown item that is known", rows(&[0], &[1], &[20], &[])),
        ("an unknown item of zero units", rows(&[NOTHING], &[0], &[20], &[9])),
        ("an unknown item without its code", rows(&[NOTHING], &[1], &[20], &[])),
        ("a code too many", rows(&[NOTHING], &[1], &[20], &[8, 9])),
        ("a code that no row has", rows(&[0], &[1], &[24], &[])),
        ("zero units that are none", rows(&[0], &[1], &[22], &[])),
    ] {
        assert_eq!(wrong, None, "{what}");
    }
}

#[test]
fn what_no_correct_engine_writes_is_impossible() {
    let state = state_of(&opening());
    let verified = |event| verify(&state, &Record { at: NOW, event });
    assert_eq!(verified(bought(&[(0, 6, 0), (0, 4, 0)], &[], Some(2_000))), Ok(()));
    let oversold = Err(Impossible::Oversold(ItemId(0)));
    assert_eq!(verified(bought(&[(0, 6, 0), (0, 5, 0)], &[], Some(2_200))), oversold);
    assert_eq!(verified(bought(&[(0, 11, 0)], &[], Some(2_200))), oversold);
    assert_eq!(verified(bought(&[(1, 1, 21)], &[], Some(0))), Err(Impossible::Item(ItemId(1))));
    let mut state = state_of(&opening());
    apply(&mut state, &Record { at: NOW, event: bought(&[(0, 1, 0)], &[], Some(200)) });
    let again = verify(&state, &Record { at: NOW, event: bought(&[(0, 1, 0)], &[], Some(200)) });
    assert_eq!(again, Err(Impossible::Decided(key(1))));
}

/// What an audit says of an opening and a batch behind it.
fn audited_behind(opening: [Event; 3], event: Event) -> Result<(), Violation> {
    let mut group = GroupBuilder::new(Version::ZERO);
    for event in opening.into_iter().chain([event]) {
        group.push(&Record { at: NOW, event });
    }
    let mut auditor = Auditor::new(1);
    auditor.follow(&group.seal(AppendId(1), Hash::ZERO).unwrap())?;
    auditor.check_books()
}

fn audited(event: Event) -> Result<(), Violation> {
    audited_behind(opening(), event)
}

#[test]
fn the_audit_believes_no_row_that_costs_too_much() {
    const DEAR: i64 = i64::MAX / 2;
    let audited = |rows, total| audited_behind(opening_at(DEAR), bought(rows, &[], Some(total)));
    assert_eq!(audited(&[(0, 2, 0), (0, 8, 23), (0, 9, 21)], 2 * DEAR), Ok(()));
    for (what, found) in [
        ("accepted", audited(&[(0, 2, 0), (0, 1, 0)], 2 * DEAR)),
        ("too dear, and short", audited(&[(0, 2, 0), (0, 9, 23)], 2 * DEAR)),
    ] {
        let breach = found.unwrap_err().breach;
        assert_eq!(breach, Breach::FalseRow { key: key(1), row: 1 }, "{what}");
    }
}

#[test]
fn the_audit_believes_no_row() {
    let right = bought(&[(0, 6, 0), (NOTHING, 1, 20), (0, 5, 21), (0, 0, 22), (0, 4, 0)], &[9], Some(2_000));
    assert_eq!(audited(right), Ok(()));
    for (what, event, row) in [
        ("a shortage that was none", bought(&[(0, 6, 0), (0, 4, 21)], &[], Some(1_200)), 1),
        ("an unknown item that is known", bought(&[(NOTHING, 1, 20)], &[1], Some(0)), 0),
        ("a price that fits", bought(&[(0, 1, 23)], &[], Some(0)), 0),
    ] {
        let breach = audited(event).unwrap_err().breach;
        assert_eq!(breach, Breach::FalseRow { key: key(1), row }, "{what}");
    }
    let wrong_total = audited(bought(&[(0, 1, 0)], &[], Some(199))).unwrap_err().breach;
    let (is, should) = (Some(Money::from_minor(199)), Some(Money::from_minor(200)));
    assert_eq!(wrong_total, Breach::Total { key: key(1), is, should });
}

#[test]
fn every_accepted_row_is_a_movement_of_its_own() {
    let event = bought(&[(0, 3, 0), (0, 9, 21), (0, 2, 0)], &[], Some(1_000));
    let record = Record { at: NOW, event };
    let mut state = state_of(&opening());
    apply(&mut state, &record);
    let seen = |movement: &Movement| (movement.change, movement.on_hand.get(), movement.order);
    let moved: Vec<_> = movements(&state, &record).iter().map(seen).collect();
    assert_eq!(moved, [(-3, 7, Some(key(1))), (-2, 5, Some(key(1)))]);
}

#[test]
fn a_snapshot_with_a_count_of_rows_that_is_not_that_of_its_codes_is_refused() {
    let mut state = state_of(&opening());
    apply(&mut state, &Record { at: NOW, event: bought(&[(0, 3, 0), (0, 9, 21)], &[], Some(600)) });
    let tip = Tip { version: state.version(), hash: Hash::ZERO };
    let bytes = Snapshot::of(&state, tip.hash).bytes().to_vec();
    // From the end: hash, total, units, accepted rows.
    let place = bytes.len() - 32 - 8 - 8 - 4;
    assert_eq!(bytes[place..place + 4], [1, 0, 0, 0]);
    let restored = |bytes: &[u8]| {
        let content = &bytes[..bytes.len() - 32];
        let bytes = [content, &Hash::of(content).0].concat();
        Snapshot::from_bytes(bytes.into()).unwrap().restore(1)
    };
    assert_eq!(restored(&bytes).unwrap().digest(), state.digest());
    let mut wrong = bytes;
    wrong[place] = 2;
    assert!(restored(&wrong).is_err());
}
