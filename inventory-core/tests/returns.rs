//! Returns: what comes back, what is refunded, and every refusal.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use inventory_core::limits::{ORDER_KEY_FUTURE_US_MAX, ORDER_LINES_MAX, ORDER_WINDOW_AGE_US, UNITS_MAX};
use inventory_core::machine::{Decision, apply, decide, verify};
use inventory_core::state::State;
use inventory_core::{
    Action, Actor, Answer, BulkOrder, Command, Entry, EntryReason, Event, LocationId, Money, Order,
    OrderDigest, OrderKey, OrderLine, Posting, Query, Reason, Record, Refund, Refusal, Reply, Return,
    ReturnReceipt, Role, Shortage, Time, Unavailable, Units, Upc, UserId, entries, movements, query,
};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const ALICE: UserId = UserId(1);
const BOB: UserId = UserId(2);
const ROOT: UserId = UserId(3);
const BACK_ROOM: LocationId = LocationId(7);

fn upc(number: u64) -> Upc {
    Upc::new(number).unwrap()
}

/// Priced 2.00, 3.00 and not at all.
fn soup() -> Upc {
    upc(1)
}
fn bread() -> Upc {
    upc(2)
}
fn gift() -> Upc {
    upc(3)
}

fn units(number: u64) -> Units {
    Units::new(number).unwrap()
}

fn line(upc: Upc, number: u64) -> OrderLine {
    OrderLine::new(upc, units(number))
}

fn key(number: u128) -> OrderKey {
    OrderKey::from_parts(NOW, number << 8)
}

fn money(minor: i64) -> Money {
    Money::from_minor(minor)
}

fn back(number: u128, order: u128, lines: &[OrderLine]) -> Return {
    Return { key: key(number), order: key(order), lines: lines.into(), evidence: None }
}

fn short(upc: Upc, requested: u64, available: u64) -> Shortage {
    let (requested, available) = (units(requested), units(available));
    Shortage { upc, location: LocationId::MAIN, requested, available }
}

fn exceeds(shortages: &[Shortage]) -> Refusal {
    Refusal::ExceedsPurchase { shortages: shortages.into() }
}

/// A hundred of each item, also of soup in the back room; alice and bob, who buy, and root, an administrator; 50.00 on an
/// account of alice's.
struct Shop {
    state: State,
    now: Time,
    records: Vec<Record>,
}

impl Shop {
    fn new() -> Self {
        let mut shop = Self { state: State::new(1), now: NOW, records: Vec::new() };
        for (item, price) in [(soup(), Some(200)), (bread(), Some(300)), (gift(), None)] {
            let price = price.map(money);
            shop.happens(Actor::System, Command::DefineItem { upc: item, name: "item".into(), price });
            shop.set_level(item, LocationId::MAIN, 100);
        }
        shop.set_level(soup(), BACK_ROOM, 100);
        for (name, role) in [("alice", Role::Buyer), ("bob", Role::Buyer), ("root", Role::Administrator)] {
            let command = Command::AddUser { name: name.into(), password_hash: "".into(), role };
            shop.happens(Actor::System, command);
        }
        let entry = Entry::Credit { account: "alice".into(), amount: money(5_000) };
        shop.happens(Actor::System, Command::Post(Posting { key: key(1_000), entry }));
        shop
    }

    fn set_level(&mut self, upc: Upc, location: LocationId, number: u64) {
        let units = units(number);
        self.happens(Actor::System, Command::SetInitialLevel { upc, location, units });
    }

    fn decide(&self, actor: Actor, command: impl Into<Command>) -> Decision {
        decide(&self.state, self.now, actor, &command.into())
    }

    /// What the command is answered; what happens can have happened, and its outcome is answered again to the same.
    fn run(&mut self, actor: Actor, command: Command) -> Reply {
        match self.decide(actor, command.clone()) {
            Decision::Stands(reply) => reply,
            Decision::Happens(event) => {
                let key = event.order_key();
                let record = Record { at: self.now, event };
                assert_eq!(verify(&self.state, &record), Ok(()), "{record:?}");
                apply(&mut self.state, &record);
                self.records.push(record);
                let Some(key) = key else { return Reply::Answered(Answer::Done(self.state.version())) };
                let reply = query::answer(&self.state, self.now, Actor::System, &Query::Receipt { key });
                assert_eq!(self.decide(actor, command), Decision::Stands(reply.clone()), "a retry");
                reply
            }
        }
    }

    fn happens(&mut self, actor: Actor, command: Command) {
        let reply = self.run(actor, command);
        assert!(matches!(reply, Reply::Answered(_)), "{reply:?}");
    }

    fn buy(&mut self, number: u128, lines: &[OrderLine]) {
        self.order(number, lines, None);
    }

    fn charge(&mut self, number: u128, lines: &[OrderLine]) {
        self.order(number, lines, Some("alice"));
    }

    fn order(&mut self, number: u128, lines: &[OrderLine], charge: Option<&str>) {
        let (key, lines) = (key(number), lines.iter().copied().collect());
        let order = Order { key, lines, charge: charge.map(Into::into) };
        self.happens(Actor::User(ALICE), Command::Purchase(order));
    }

    fn give_back_as(&mut self, user: UserId, wanted: Return) -> Result<ReturnReceipt, Refusal> {
        match self.run(Actor::User(user), Command::Return(wanted)) {
            Reply::Answered(Answer::ReturnReceipt(receipt)) => Ok(*receipt),
            Reply::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }

    fn give_back(&mut self, wanted: Return) -> Result<ReturnReceipt, Refusal> {
        self.give_back_as(ALICE, wanted)
    }

    fn on_hand(&self, upc: Upc) -> u64 {
        let item = self.state.catalogue().id(upc).unwrap();
        self.state.stock().level(item, LocationId::MAIN).unwrap().on_hand.get()
    }

    fn balance(&self) -> i64 {
        self.state.accounts().find(b"alice").unwrap().1.balance().minor()
    }
}

#[test]
fn units_come_back_and_are_named_with_their_order() {
    let mut shop = Shop::new();
    shop.buy(1, &[line(soup(), 5), line(gift(), 2)]);
    let purchased = shop.state.version();
    let receipt = shop.give_back(back(2, 1, &[line(soup(), 3)])).unwrap();
    assert_eq!((receipt.key, receipt.order, receipt.version), (key(2), key(1), purchased.plus(1)));
    assert_eq!((&*receipt.user, receipt.at, receipt.refund), ("alice", NOW, None));
    assert_eq!(*receipt.lines, [line(soup(), 3)]);
    assert_eq!((shop.on_hand(soup()), shop.on_hand(gift())), (98, 98));
    let Event::Returned { returned, .. } = &shop.records.last().unwrap().event else { panic!() };
    assert_eq!(returned.purchased, purchased);
    let moved = movements(&shop.state, shop.records.last().unwrap());
    assert_eq!((moved[0].reason, moved[0].change, moved[0].on_hand), (Reason::Return, 3, units(98)));
    assert_eq!((moved.len(), moved[0].order, moved[0].user.as_deref()), (1, Some(key(1)), Some("alice")));
}

#[test]
fn without_lines_all_that_is_left_comes_back() {
    let mut shop = Shop::new();
    shop.buy(1, &[line(soup(), 5), line(gift(), 2), line(bread(), 1)]);
    shop.give_back(back(2, 1, &[line(soup(), 3), line(bread(), 1)])).unwrap();
    let receipt = shop.give_back(back(3, 1, &[])).unwrap();
    assert_eq!(*receipt.lines, [line(soup(), 2), line(gift(), 2)]);
    assert_eq!([soup(), bread(), gift()].map(|upc| shop.on_hand(upc)), [100; 3]);
    let all = [short(soup(), 5, 0), short(gift(), 2, 0), short(bread(), 1, 0)];
    assert_eq!(shop.give_back(back(4, 1, &[])), Err(exceeds(&all)));
}

#[test]
fn lines_of_one_item_and_location_are_summed_and_come_back_where_they_were_taken() {
    let mut shop = Shop::new();
    let there = |number| OrderLine { location: BACK_ROOM, ..line(soup(), number) };
    shop.buy(1, &[line(soup(), 5), there(4)]);
    let wanted = [there(1), line(soup(), 1), there(2), line(soup(), 1)];
    let receipt = shop.give_back(back(2, 1, &wanted)).unwrap();
    assert_eq!(*receipt.lines, [there(3), line(soup(), 2)]);
    let item = shop.state.catalogue().id(soup()).unwrap();
    assert_eq!(shop.on_hand(soup()), 97);
    assert_eq!(shop.state.stock().level(item, BACK_ROOM).unwrap().on_hand, units(99));
    assert_eq!(shop.state.returns().units(key(1), item, BACK_ROOM), units(3));
}

#[test]
fn no_more_comes_back_than_was_bought_and_all_that_exceed_are_named() {
    let mut shop = Shop::new();
    shop.buy(1, &[line(soup(), 5), line(gift(), 2)]);
    shop.give_back(back(2, 1, &[line(soup(), 4)])).unwrap();
    let elsewhere = OrderLine { location: BACK_ROOM, ..line(soup(), 1) };
    let wanted =
        [line(gift(), 2), line(soup(), 1), line(bread(), 1), line(soup(), 1), line(upc(99), 1), elsewhere];
    let missing = Shortage { location: BACK_ROOM, ..short(soup(), 1, 0) };
    let all = [short(soup(), 2, 1), short(bread(), 1, 0), short(upc(99), 1, 0), missing];
    assert_eq!(shop.give_back(back(3, 1, &wanted)), Err(exceeds(&all)));
    assert_eq!((shop.on_hand(soup()), shop.on_hand(gift())), (99, 98), "nothing of it came back");
    shop.give_back(back(4, 1, &[line(gift(), 2), line(soup(), 1)])).unwrap();
    assert_eq!(shop.give_back(back(5, 1, &[line(soup(), 1)])), Err(exceeds(&[short(soup(), 1, 0)])));
}

#[test]
fn what_the_account_paid_for_each_unit_comes_back_whatever_the_price_is_now() {
    let mut shop = Shop::new();
    shop.charge(1, &[line(soup(), 5), line(bread(), 3)]);
    shop.charge(2, &[line(bread(), 2)]);
    assert_eq!(shop.balance(), 5_000 - 1_900 - 600);
    for (upc, price) in [(soup(), Some(999)), (bread(), None)] {
        let command = Command::DefineItem { upc, name: "item".into(), price: price.map(money) };
        shop.happens(Actor::System, command);
    }
    let first = shop.give_back(back(3, 1, &[line(bread(), 1), line(soup(), 2)])).unwrap();
    assert_eq!(first.refund, Some(Refund { account: "alice".into(), amount: money(700) }));
    assert_eq!(shop.balance(), 2_500 + 700);
    let told = entries(&shop.state, shop.records.last().unwrap());
    assert_eq!(
        (told[0].reason, told[0].change, told[0].balance),
        (EntryReason::Refund, money(700), money(3_200))
    );
    assert_eq!((told.len(), told[0].key), (1, key(1)));
    for number in [4, 5] {
        shop.give_back(back(number, number - 3, &[])).unwrap();
    }
    assert_eq!(shop.balance(), 5_000, "all of it came back");
    assert_eq!(shop.state.returns().len(), 2);
}

#[test]
fn an_administrator_returns_anybodys_order_and_the_account_that_paid_is_refunded() {
    let mut shop = Shop::new();
    shop.charge(1, &[line(soup(), 2)]);
    assert_eq!(shop.give_back_as(BOB, back(2, 1, &[])), Err(Refusal::UnknownOrder));
    let receipt = shop.give_back_as(ROOT, back(3, 1, &[])).unwrap();
    assert_eq!((&*receipt.user, receipt.refund.unwrap().amount), ("root", money(400)));
    assert_eq!(shop.balance(), 5_000);
    let receipt = Query::Receipt { key: key(3) };
    let asked = |user| query::answer(&shop.state, NOW, Actor::User(user), &receipt);
    assert_eq!(asked(ALICE), Reply::Refused(Refusal::UnknownOrder), "it is root's");
    assert!(matches!(asked(ROOT), Reply::Answered(Answer::ReturnReceipt(_))));
}

#[test]
fn refusals_are_outcomes_of_the_returns_key() {
    let mut shop = Shop::new();
    shop.buy(1, &[line(soup(), 5)]);
    let refused = Order { key: key(2), lines: line(soup(), 5_000).into(), charge: None };
    shop.run(Actor::User(ALICE), Command::Purchase(refused));
    let batch = BulkOrder::new(key(3), LocationId::MAIN, [soup()], [1]).unwrap();
    shop.happens(Actor::User(ALICE), Command::PurchaseBulk(batch));
    shop.give_back(back(4, 1, &[line(soup(), 1)])).unwrap();
    let many = vec![line(soup(), 1); ORDER_LINES_MAX + 1];
    let too_much = [line(soup(), UNITS_MAX), line(soup(), 1)];
    for (number, order, lines, refusal) in [
        (10, 2, &[][..], Refusal::NotReturnable),
        (11, 3, &[], Refusal::NotReturnable),
        (12, 4, &[], Refusal::NotReturnable),
        (13, 99, &[], Refusal::UnknownOrder),
        (14, 14, &[], Refusal::UnknownOrder),
        (15, 1, &[line(soup(), 0)], Refusal::ZeroQuantity { upc: soup() }),
        (16, 1, &many, Refusal::TooManyLines { lines: 1_025 }),
        (17, 1, &too_much, Refusal::Overflow { upc: soup() }),
        (18, 1, &[line(soup(), 5)], exceeds(&[short(soup(), 5, 4)])),
    ] {
        let (before, wanted) = (shop.state.version(), back(number, order, lines));
        assert_eq!(shop.give_back(wanted.clone()), Err(refusal.clone()));
        assert_eq!(shop.state.version(), before.plus(1), "{refusal:?} is recorded");
        assert_eq!(shop.give_back_as(BOB, wanted), Err(Refusal::KeyReused), "{refusal:?}");
    }
    // A posting is the system's: others do not even learn of it.
    assert_eq!(shop.give_back(back(20, 1_000, &[])), Err(Refusal::UnknownOrder));
    assert_eq!(shop.give_back_as(ROOT, back(21, 1_000, &[])), Err(Refusal::NotReturnable));
    assert_eq!(shop.on_hand(soup()), 95);
}

#[test]
fn who_may_not_return_at_all_leaves_no_trace() {
    let mut shop = Shop::new();
    shop.buy(1, &[line(soup(), 5)]);
    let before = shop.state.digest();
    let from_future = OrderKey::from_parts(NOW.plus_micros(ORDER_KEY_FUTURE_US_MAX + 1_000), 1);
    let too_old = OrderKey::from_parts(NOW.minus_micros(ORDER_WINDOW_AGE_US + 1_000_000), 1);
    let alice = Actor::User(ALICE);
    for (actor, wanted, refusal) in [
        (Actor::System, back(2, 1, &[]), Refusal::NotPermitted),
        (Actor::Anonymous, back(2, 1, &[]), Refusal::NotLoggedIn),
        (Actor::User(UserId(9)), back(2, 1, &[]), Refusal::NotLoggedIn),
        (alice, Return { key: from_future, ..back(2, 1, &[]) }, Refusal::KeyFromFuture),
        (alice, Return { key: too_old, ..back(2, 1, &[]) }, Refusal::KeyTooOld),
        (alice, back(1, 1, &[]), Refusal::KeyReused),
    ] {
        assert_eq!(shop.decide(actor, Command::Return(wanted)), refusal.into());
    }
    assert_eq!(shop.state.digest(), before);
}

#[test]
fn a_return_under_a_key_that_was_used_for_another_one_is_refused() {
    let mut shop = Shop::new();
    shop.buy(1, &[line(soup(), 5)]);
    shop.buy(2, &[line(soup(), 5)]);
    shop.give_back(back(3, 1, &[line(soup(), 1)])).unwrap();
    let others = [
        back(3, 2, &[line(soup(), 1)]),
        back(3, 1, &[line(soup(), 2)]),
        back(3, 1, &[]),
        back(3, 1, &[line(soup(), 1), line(soup(), 1)]),
    ];
    for other in others {
        assert_eq!(shop.give_back(other), Err(Refusal::KeyReused));
    }
    let order = Order { key: key(3), lines: line(soup(), 1).into(), charge: None };
    assert_eq!(shop.run(Actor::User(ALICE), Command::Purchase(order)), Reply::Refused(Refusal::KeyReused));
}

#[test]
fn the_digest_is_of_the_order_and_the_lines_and_of_nothing_else() {
    let of = OrderDigest::of_return;
    let wanted = back(2, 1, &[line(soup(), 3)]);
    let line_bytes = [&1_u64.to_le_bytes()[..], &0_u16.to_le_bytes(), &3_u64.to_le_bytes()].concat();
    let bytes = [&key(1).to_bytes()[..], &xxh3_64(&line_bytes).to_le_bytes()].concat();
    assert_eq!(of(&wanted), OrderDigest(xxh3_64_with_seed(&bytes, 5)));
    assert_eq!(of(&wanted), of(&back(9, 1, &[line(soup(), 3)])));
    let lines = [line(soup(), 3)];
    let others = [back(2, 3, &lines), back(2, 1, &[]), back(2, 1, &[line(soup(), 4)])];
    for other in others {
        assert_ne!(of(&wanted), of(&other));
    }
    assert_ne!(of(&wanted), OrderDigest::of(&lines));
}

#[test]
fn a_balance_that_cannot_hold_the_refund_is_a_refusal_and_a_full_level_takes_what_left_it() {
    let mut shop = Shop::new();
    shop.charge(1, &[line(soup(), 5)]);
    let brim = LocationId(9);
    shop.set_level(bread(), brim, UNITS_MAX);
    let there = |number| OrderLine { location: brim, ..line(bread(), number) };
    shop.buy(2, &[there(2)]);
    let balance = shop.balance();
    let entry = Entry::Credit { account: "alice".into(), amount: money(i64::MAX - balance - 999) };
    shop.happens(Actor::System, Command::Post(Posting { key: key(3), entry }));
    assert_eq!(
        shop.give_back(back(4, 1, &[])),
        Err(Refusal::BalanceOutOfRange { account: "alice".into() }),
        "ten more than fit"
    );
    shop.give_back(back(5, 1, &[line(soup(), 4)])).unwrap();
    shop.give_back(back(6, 2, &[])).unwrap();
    assert_eq!(shop.balance(), i64::MAX - 199);
}

#[test]
fn several_lines_that_were_charged_before_their_prices_were_recorded_do_not_come_back() {
    let mut shop = Shop::new();
    shop.charge(1, &[line(soup(), 5), line(bread(), 3)]);
    shop.charge(2, &[line(soup(), 5)]);
    // The same shop as an older program left it.
    let mut older = Shop::new();
    for mut record in shop.records.split_off(older.records.len()) {
        if let Event::PurchaseCharged { charge, .. } = &mut record.event {
            charge.amounts = Box::default();
        }
        assert_eq!(verify(&older.state, &record), Ok(()));
        apply(&mut older.state, &record);
    }
    assert_eq!(older.give_back(back(3, 1, &[])), Err(Refusal::NotReturnable));
    assert_eq!(older.give_back(back(4, 1, &[line(soup(), 9)])), Err(Refusal::NotReturnable));
    older.give_back(back(5, 2, &[])).unwrap();
    assert_eq!(older.balance(), 5_000 - 1_900);
}

#[test]
fn an_order_that_left_the_window_must_be_looked_up_first() {
    let mut shop = Shop::new();
    shop.buy(1, &[line(soup(), 5)]);
    shop.now = NOW.plus_micros(ORDER_WINDOW_AGE_US + 1_000_000);
    let (before, new) = (shop.state.digest(), OrderKey::from_parts(shop.now, 1));
    let reply = shop.run(Actor::User(ALICE), Command::Return(Return { key: new, ..back(2, 1, &[]) }));
    assert_eq!(reply, Reply::Unavailable(Unavailable::OrderNotAtHand));
    assert_eq!(shop.state.digest(), before);
}

#[test]
fn an_event_is_as_large_as_before_there_were_returns() {
    assert_eq!((size_of::<Event>(), size_of::<Command>(), size_of::<Action>()), (72, 72, 72));
    assert_eq!((size_of::<Reply>(), size_of::<inventory_core::state::Outcome>()), (120, 40));
}
