//! What a purchase does and why it may be refused, one scenario each.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use inventory_core::journal::MemoryJournal;
use inventory_core::limits::{ORDER_KEY_FUTURE_US_MAX, ORDER_LINES_MAX, ORDER_WINDOW_AGE_US, UNITS_MAX};
use inventory_core::{
    Actor, Answer, Command, Credential, Inventory, InventoryError, LocationId, Money, OneOrMany, Order,
    OrderKey, OrderLine, Query, Receipt, Refusal, Role, SessionId, Shortage, Time, Units, Upc, UserId,
};
use pollster::block_on;

const NOW: Time = Time::from_micros(1_795_219_200_000_000);

fn units(number: u64) -> Units {
    Units::new(number).unwrap()
}

fn upc(code: u64) -> Upc {
    Upc::new(code).unwrap()
}

fn key(random: u128) -> OrderKey {
    OrderKey::from_parts(NOW, random)
}

fn lines(lines: &[(u64, u64)]) -> OneOrMany<OrderLine> {
    lines.iter().map(|(code, number)| OrderLine::new(upc(*code), units(*number))).collect()
}

/// A shop with items 1 (10 units at 2.50), 2 (5 units at 1.00) and 3 (7 units, no price), alice and bob.
struct Shop {
    inventory: Inventory<Arc<MemoryJournal>>,
    journal: Arc<MemoryJournal>,
    alice: UserId,
    bob: UserId,
}

impl Shop {
    fn open() -> Self {
        let journal = Arc::new(MemoryJournal::new());
        let mut inventory = block_on(Inventory::open(Arc::clone(&journal), 1)).unwrap();
        for (code, number, price) in [(1, 10, Some(250)), (2, 5, Some(100)), (3, 7, None)] {
            let price = price.map(Money::from_minor);
            block_on(inventory.define_item(NOW, upc(code), "item", price)).unwrap();
            block_on(inventory.set_initial_level(NOW, upc(code), units(number))).unwrap();
        }
        let alice = block_on(inventory.add_user(NOW, "alice", "", Role::Buyer)).unwrap();
        let bob = block_on(inventory.add_user(NOW, "bob", "", Role::Buyer)).unwrap();
        Self { inventory, journal, alice, bob }
    }

    fn buy_as(&mut self, user: UserId, at: Time, order: Order) -> Result<Receipt, Refusal> {
        match block_on(self.inventory.purchase(at, user, order)) {
            Ok(receipt) => Ok(receipt),
            Err(InventoryError::Refused(refusal)) => Err(refusal),
            Err(other) => panic!("{other}"),
        }
    }

    fn buy(&mut self, key: OrderKey, wanted: &[(u64, u64)]) -> Result<Receipt, Refusal> {
        self.buy_as(self.alice, NOW, Order { key, lines: lines(wanted), charge: None })
    }

    fn on_hand(&mut self, code: u64) -> u64 {
        block_on(self.inventory.levels_of(upc(code))).unwrap()[0].on_hand.get()
    }

    fn reopen(self) -> Self {
        let inventory = block_on(Inventory::open(Arc::clone(&self.journal), 2)).unwrap();
        Self { inventory, ..self }
    }
}

#[test]
fn a_purchase_takes_the_units_and_gives_a_receipt() {
    let mut shop = Shop::open();
    let receipt = shop.buy(key(1), &[(1, 2), (2, 3)]).unwrap();
    assert_eq!(receipt.key, key(1));
    assert_eq!(&*receipt.user, "alice");
    assert_eq!(receipt.at, NOW);
    assert_eq!(receipt.lines, lines(&[(1, 2), (2, 3)]));
    assert_eq!(receipt.total, Some(Money::from_minor(800)));
    assert_eq!((shop.on_hand(1), shop.on_hand(2)), (8, 2));
}

#[test]
fn a_total_with_an_item_that_has_no_price_is_none() {
    let mut shop = Shop::open();
    assert_eq!(shop.buy(key(1), &[(1, 1), (3, 1)]).unwrap().total, None);
}

#[test]
fn all_lines_or_none_and_every_short_line_is_told() {
    let mut shop = Shop::open();
    let refusal = shop.buy(key(1), &[(1, 11), (2, 1), (3, 8)]).unwrap_err();
    let Refusal::InsufficientStock { shortages } = refusal else { panic!("{refusal:?}") };
    let told: Vec<_> =
        shortages.iter().map(|s| (s.upc.get(), s.requested.get(), s.available.get())).collect();
    assert_eq!(told, [(1, 11, 10), (3, 8, 7)]);
    assert_eq!(shop.on_hand(2), 5);
}

#[test]
fn lines_of_one_item_are_summed_before_they_are_checked() {
    let mut shop = Shop::open();
    let refusal = shop.buy(key(1), &[(1, 6), (2, 1), (1, 6)]).unwrap_err();
    let Refusal::InsufficientStock { shortages } = refusal else { panic!("{refusal:?}") };
    assert_eq!((shortages.len(), shortages[0].requested.get()), (1, 12));
    let receipt = shop.buy(key(2), &[(1, 3), (2, 1), (1, 4)]).unwrap();
    assert_eq!(receipt.lines, lines(&[(1, 7), (2, 1)]));
    assert_eq!(shop.on_hand(1), 3);
}

#[test]
fn the_last_unit_is_sold_once() {
    let mut shop = Shop::open();
    assert!(shop.buy(key(1), &[(2, 5)]).is_ok());
    assert!(matches!(shop.buy(key(2), &[(2, 1)]), Err(Refusal::InsufficientStock { .. })));
    assert_eq!(shop.on_hand(2), 0);
}

#[test]
fn orders_that_make_no_sense_are_refused() {
    let mut shop = Shop::open();
    assert_eq!(shop.buy(key(1), &[]), Err(Refusal::EmptyOrder));
    assert_eq!(shop.buy(key(2), &[(1, 1), (2, 0)]), Err(Refusal::ZeroQuantity { upc: upc(2) }));
    assert_eq!(shop.buy(key(3), &[(9, 1)]), Err(Refusal::UnknownItem { upc: upc(9) }));
    assert_eq!(shop.buy(key(4), &[(1, 1), (9, 1)]), Err(Refusal::UnknownItem { upc: upc(9) }));
    let overflow = Err(Refusal::Overflow { upc: upc(1) });
    assert_eq!(shop.buy(key(5), &[(1, UNITS_MAX), (1, 1)]), overflow);
    let many = vec![(1, 1); ORDER_LINES_MAX + 1];
    let lines = u32::try_from(many.len()).unwrap();
    assert_eq!(shop.buy(key(6), &many), Err(Refusal::TooManyLines { lines }));
    assert_eq!(shop.on_hand(1), 10);
}

#[test]
fn what_is_wrong_with_an_order_is_looked_for_in_the_sequence_of_the_contract() {
    let mut shop = Shop::open();
    let dear = Some(Money::from_minor(i64::MAX));
    block_on(shop.inventory.define_item(NOW, upc(2), "gold", dear)).unwrap();
    // Each order lacks what the one before was refused for, and has all that comes behind it.
    let mut many = vec![(1, 0), (9, 1), (1, UNITS_MAX), (1, 1)];
    many.resize(ORDER_LINES_MAX + 1, (1, 1));
    let wrong: [(&[(u64, u64)], u16); 6] = [
        (&many, 24),
        (&[(2, 0), (9, 1), (1, UNITS_MAX), (1, 1)], 22),
        (&[(9, 1), (1, UNITS_MAX), (1, 1)], 23),
        (&[(2, 4), (9, 1), (1, 11)], 20),
        (&[(2, 4), (1, 11)], 21),
        (&[(2, 4), (1, 10)], 23),
    ];
    for (number, (lines, code)) in (1..).zip(wrong) {
        assert_eq!(shop.buy(key(number), lines).unwrap_err().code(), code, "{number}");
    }
}

#[test]
fn an_item_defined_again_without_a_price_has_none() {
    let mut shop = Shop::open();
    block_on(shop.inventory.define_item(NOW, upc(1), "item", None)).unwrap();
    assert_eq!(shop.buy(key(1), &[(1, 1)]).unwrap().total, None);
}

#[test]
fn a_location_that_nobody_uses_has_nothing() {
    let mut shop = Shop::open();
    let line = OrderLine { location: LocationId(77), ..OrderLine::new(upc(1), units(2)) };
    let refused = shop.buy_as(shop.alice, NOW, Order { key: key(1), lines: line.into(), charge: None });
    let short =
        Shortage { upc: upc(1), location: LocationId(77), requested: units(2), available: Units::ZERO };
    assert_eq!(refused, Err(Refusal::InsufficientStock { shortages: Box::new([short]) }));
}

#[test]
fn a_total_price_that_does_not_fit_is_refused() {
    let mut shop = Shop::open();
    let price = Some(Money::from_minor(i64::MAX / 2));
    block_on(shop.inventory.define_item(NOW, upc(1), "gold", price)).unwrap();
    assert_eq!(shop.buy(key(1), &[(1, 3)]), Err(Refusal::Overflow { upc: upc(1) }));
}

#[test]
fn a_retry_gets_the_same_receipt_also_after_a_restart() {
    let mut shop = Shop::open();
    let receipt = shop.buy(key(1), &[(1, 2)]).unwrap();
    assert_eq!(shop.buy(key(1), &[(1, 2)]).unwrap(), receipt);
    let mut shop = shop.reopen();
    assert_eq!(shop.buy(key(1), &[(1, 2)]).unwrap(), receipt);
    assert_eq!(block_on(shop.inventory.receipt(NOW, shop.alice, key(1))).unwrap(), receipt);
    assert_eq!(shop.on_hand(1), 8);
}

#[test]
fn a_refused_order_stays_refused_also_when_it_could_be_filled_now() {
    let mut shop = Shop::open();
    let refusal = shop.buy(key(1), &[(9, 1)]).unwrap_err();
    block_on(shop.inventory.define_item(NOW, upc(9), "late", None)).unwrap();
    block_on(shop.inventory.set_initial_level(NOW, upc(9), units(1))).unwrap();
    assert_eq!(shop.buy(key(1), &[(9, 1)]), Err(refusal));
    assert_eq!(shop.reopen().on_hand(9), 1);
}

#[test]
fn a_key_serves_one_order_of_one_user() {
    let mut shop = Shop::open();
    shop.buy(key(1), &[(1, 2)]).unwrap();
    assert_eq!(shop.buy(key(1), &[(1, 3)]), Err(Refusal::KeyReused));
    let bob = shop.bob;
    let same = Order { key: key(1), lines: lines(&[(1, 2)]), charge: None };
    assert_eq!(shop.buy_as(bob, NOW, same), Err(Refusal::KeyReused));
    let looked_up = block_on(shop.inventory.receipt(NOW, bob, key(1)));
    assert_eq!(looked_up, Err(InventoryError::Refused(Refusal::UnknownOrder)));
}

#[test]
fn the_same_order_has_the_same_lines_in_the_same_sequence() {
    let mut shop = Shop::open();
    shop.buy(key(1), &[(1, 2), (1, 1), (2, 1)]).unwrap();
    assert!(shop.buy(key(1), &[(1, 2), (1, 1), (2, 1)]).is_ok());
    let added_up: &[(u64, u64)] = &[(1, 3), (2, 1)];
    let other_sequence: &[(u64, u64)] = &[(2, 1), (1, 2), (1, 1)];
    for lines in [added_up, other_sequence] {
        assert_eq!(shop.buy(key(1), lines), Err(Refusal::KeyReused));
    }
    let advice = Refusal::KeyReused.to_string();
    assert!(advice.contains("ask for its receipt first"), "a new key may buy twice: {advice}");
}

#[test]
fn keys_outside_the_window_are_refused_and_leave_no_trace() {
    let mut shop = Shop::open();
    let at = |time: Time| Order { key: OrderKey::from_parts(time, 1), lines: lines(&[(1, 1)]), charge: None };
    let alice = shop.alice;
    let second = 1_000_000;
    let old = at(NOW.minus_micros(ORDER_WINDOW_AGE_US + second));
    assert_eq!(shop.buy_as(alice, NOW, old), Err(Refusal::KeyTooOld));
    let early = at(NOW.plus_micros(ORDER_KEY_FUTURE_US_MAX + second));
    assert_eq!(shop.buy_as(alice, NOW, early.clone()), Err(Refusal::KeyFromFuture));
    assert!(shop.buy_as(alice, NOW.plus_micros(second), early).is_ok(), "its time has come");
    assert!(shop.buy_as(alice, NOW, at(NOW.minus_micros(ORDER_WINDOW_AGE_US - second))).is_ok());
}

#[test]
fn a_key_that_left_the_window_is_never_executed_again() {
    let mut shop = Shop::open();
    let receipt = shop.buy(key(1), &[(1, 1)]).unwrap();
    let later = NOW.plus_micros(ORDER_WINDOW_AGE_US + 2_000_000);
    let alice = shop.alice;
    let order = Order { key: OrderKey::from_parts(later, 2), lines: lines(&[(1, 1)]), charge: None };
    shop.buy_as(alice, later, order).unwrap();
    let again = Order { key: key(1), lines: lines(&[(1, 1)]), charge: None };
    assert_eq!(shop.buy_as(alice, later, again), Ok(receipt));
    assert_eq!(shop.reopen().on_hand(1), 8);
}

#[test]
fn only_who_is_known_may_buy_and_only_administrators_may_define() {
    let mut shop = Shop::open();
    let order = || Order { key: key(1), lines: lines(&[(1, 1)]), charge: None };
    for (actor, refusal) in [
        (Actor::Anonymous, Refusal::NotLoggedIn),
        (Actor::User(UserId(99)), Refusal::NotLoggedIn),
        (Actor::Session(SessionId([1; 32])), Refusal::NotLoggedIn),
        (Actor::System, Refusal::NotPermitted),
    ] {
        let refused = block_on(shop.inventory.execute(NOW, actor, Command::Purchase(order())));
        assert_eq!(refused, Err(InventoryError::Refused(refusal)), "{actor:?}");
    }
    let define = Command::DefineItem { upc: upc(9), name: "nine".into(), price: None };
    let refused = block_on(shop.inventory.execute(NOW, Actor::User(shop.alice), define));
    assert_eq!(refused, Err(InventoryError::Refused(Refusal::NotPermitted)));
}

#[test]
fn a_password_hash_is_for_the_system_alone() {
    let mut shop = Shop::open();
    let mut ask = |actor, name: &str| {
        let query = Query::Credential { name: name.into() };
        block_on(shop.inventory.execute(NOW, actor, query))
    };
    let alice = Credential { user: UserId(1), password_hash: "".into() };
    assert_eq!(ask(Actor::System, "alice"), Ok(Answer::Credential(Some(alice))));
    assert_eq!(ask(Actor::System, "nobody"), Ok(Answer::Credential(None)));
    for actor in [Actor::Anonymous, Actor::User(UserId(1)), Actor::Session(SessionId([1; 32]))] {
        assert_eq!(ask(actor, "alice"), Err(InventoryError::Refused(Refusal::NotPermitted)), "{actor:?}");
    }
}

#[test]
fn a_session_serves_until_it_is_ended_and_survives_a_restart() {
    let mut shop = Shop::open();
    let session = SessionId([7; 32]);
    let log_in = Command::LogIn { user: shop.alice, session };
    let answer = block_on(shop.inventory.execute(NOW, Actor::Anonymous, log_in.clone())).unwrap();
    assert!(matches!(answer, Answer::Identity(identity) if &*identity.name == "alice"));
    let twice = block_on(shop.inventory.execute(NOW, Actor::Anonymous, log_in));
    assert_eq!(twice, Err(InventoryError::Refused(Refusal::AlreadyLoggedIn)));
    let mut shop = shop.reopen();
    let actor = Actor::Session(session);
    assert!(block_on(shop.inventory.execute(NOW, actor, Query::WhoAmI)).is_ok());
    assert!(block_on(shop.inventory.execute(NOW, actor, Command::LogOut)).is_ok());
    let refused = Err(InventoryError::Refused(Refusal::NotLoggedIn));
    assert_eq!(block_on(shop.inventory.execute(NOW, actor, Query::WhoAmI)), refused);
    assert_eq!(block_on(shop.inventory.execute(NOW, actor, Command::LogOut)), refused);
    assert_eq!(block_on(shop.reopen().inventory.execute(NOW, actor, Query::WhoAmI)), refused);
}

#[test]
fn units_at_another_location_are_bought_there_only() {
    let mut shop = Shop::open();
    let cellar = LocationId(4);
    let set = Command::SetInitialLevel { upc: upc(1), location: cellar, units: units(3) };
    block_on(shop.inventory.execute(NOW, Actor::System, set.clone())).unwrap();
    let again = block_on(shop.inventory.execute(NOW, Actor::System, set));
    assert_eq!(again, Err(InventoryError::Refused(Refusal::LevelAlreadySet)));
    let line = OrderLine { upc: upc(1), location: cellar, units: units(3) };
    let alice = shop.alice;
    shop.buy_as(alice, NOW, Order { key: key(1), lines: line.into(), charge: None }).unwrap();
    let levels = block_on(shop.inventory.levels_of(upc(1))).unwrap();
    let seen: Vec<_> = levels.iter().map(|row| (row.location, row.on_hand.get())).collect();
    assert_eq!(seen, [(LocationId::MAIN, 10), (cellar, 0)]);
}

#[test]
fn levels_come_in_pages_sorted_by_upc() {
    let mut shop = Shop::open();
    let first = block_on(shop.inventory.levels(None, 2)).unwrap();
    assert_eq!(first.levels.iter().map(|row| row.upc.get()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(first.next, Some(upc(2)));
    let second = block_on(shop.inventory.levels(first.next, 2)).unwrap();
    assert_eq!(second.levels.iter().map(|row| row.upc.get()).collect::<Vec<_>>(), [3]);
    assert_eq!(second.next, None);
}

#[test]
fn defining_an_item_again_changes_its_name_and_price_and_keeps_its_level() {
    let mut shop = Shop::open();
    block_on(shop.inventory.define_item(NOW, upc(1), "renamed", Some(Money::from_minor(1)))).unwrap();
    let row = block_on(shop.inventory.levels_of(upc(1))).unwrap().remove(0);
    assert_eq!((&*row.name, row.price, row.on_hand.get()), ("renamed", Some(Money::from_minor(1)), 10));
}

#[test]
fn names_and_prices_are_checked() {
    let mut shop = Shop::open();
    for (name, price, refusal) in [
        ("", None, Refusal::InvalidName),
        ("a\nb", None, Refusal::InvalidName),
        (&*"x".repeat(257), None, Refusal::InvalidName),
        ("x", Some(Money::from_minor(-2)), Refusal::InvalidPrice),
    ] {
        let refused = block_on(shop.inventory.define_item(NOW, upc(9), name, price));
        assert_eq!(refused, Err(InventoryError::Refused(refusal)), "{name:?}");
    }
    for (name, refusal) in
        [("", Refusal::InvalidName), ("a b", Refusal::InvalidName), ("alice", Refusal::UserExists)]
    {
        let refused = block_on(shop.inventory.add_user(NOW, name, "", Role::Buyer));
        assert_eq!(refused, Err(InventoryError::Refused(refusal)), "{name:?}");
    }
}

#[test]
fn a_snapshot_taken_days_after_the_last_order_opens_again() {
    let mut shop = Shop::open();
    let receipt = shop.buy(key(1), &[(1, 2)]).unwrap();
    let later = NOW.plus_micros(2 * ORDER_WINDOW_AGE_US);
    block_on(shop.inventory.define_item(later, upc(9), "late", None)).unwrap();
    block_on(shop.inventory.save_snapshot()).unwrap();
    let mut shop = shop.reopen();
    assert_eq!(shop.on_hand(1), 8);
    let again = Order { key: key(1), lines: lines(&[(1, 2)]), charge: None };
    let alice = shop.alice;
    assert_eq!(shop.buy_as(alice, later, again), Ok(receipt));
}
