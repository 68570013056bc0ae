//! Returns that a correct engine cannot have written are found: by replay as far as the window goes back, by the audit's second
//! pass however old the order is.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inventory_core::journal::{Auditor, Breach, Claims, Group, GroupBuilder, Settled, Tip};
use inventory_core::limits::{ORDER_LINES_MAX, ORDER_WINDOW_AGE_US, UNITS_MAX};
use inventory_core::machine::{Impossible, apply, verify};
use inventory_core::state::State;
use inventory_core::{
    AccountId, AppendId, Charge, Entry, Event, ItemId, Line, LocationId, Money, OneOrMany, OrderDigest,
    OrderKey, PostedEntry, Record, Refund, Refusal, Returned, Role, Shortage, Time, Units, Upc, UserId,
    Version,
};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const LATER: Time = NOW.plus_micros(ORDER_WINDOW_AGE_US + 2_000_000);
const ALICE: UserId = UserId(1);
const BOB: UserId = UserId(2);
const ROOT: UserId = UserId(3);
const SOUP: ItemId = ItemId(0);
const BREAD: ItemId = ItemId(1);
const OWN: AccountId = AccountId(0);
const OTHER: AccountId = AccountId(1);

fn money(minor: i64) -> Money {
    Money::from_minor(minor)
}

fn key(number: u128) -> OrderKey {
    OrderKey::from_parts(NOW, number << 8)
}

fn take(item: ItemId, units: u64) -> Line {
    Line { item, location: LocationId::MAIN, units: Units::new(units).unwrap() }
}

fn charged(number: u128, lines: &[Line], total: i64, amounts: &[i64]) -> Event {
    let amounts = amounts.iter().copied().map(money).collect();
    let charge = Box::new(Charge { account: OWN, total: money(total), amounts });
    let (key, lines) = (key(number), lines.iter().copied().collect());
    Event::PurchaseCharged { key, user: ALICE, digest: OrderDigest(0), lines, charge }
}

fn credit(number: u128, account: AccountId, name: &str) -> Event {
    let entry = Entry::Credit { account, amount: money(5_000) };
    let posted = Box::new(PostedEntry { entry, balance: money(5_000), counterpart_balance: None });
    let (key, digest, added) = (key(number), OrderDigest(0), [Box::from(name)].into());
    Event::Posted { key, user: UserId::SYSTEM, digest, posted, added }
}

/// Ten units of soup at 2.00 and of bread at 3.00; alice, bob and root, an administrator; two accounts. Then alice buys: under key
/// 1 two of soup (version 10), under 2 three of soup and two of bread on her account (11), under 3 one of soup on it (12); and
/// under 4 she is refused (13).
fn opening() -> Vec<Event> {
    let by = UserId::SYSTEM;
    let define = |upc, price| {
        let upc = Upc::new(upc).unwrap();
        Event::ItemDefined { by, upc, name: "food".into(), price: Some(money(price)) }
    };
    let units = Units::new(10).unwrap();
    let level = |item| Event::InitialLevelSet { by, item, location: LocationId::MAIN, units };
    let user = |name: &str, role| Event::UserAdded { by, name: name.into(), password_hash: "".into(), role };
    let (lines, total, digest) = (OneOrMany::One(take(SOUP, 2)), Some(money(400)), OrderDigest(0));
    let shortages = [Shortage {
        upc: Upc::new(1).unwrap(),
        location: LocationId::MAIN,
        requested: Units::new(50).unwrap(),
        available: Units::new(4).unwrap(),
    }];
    let refusal = Refusal::InsufficientStock { shortages: shortages.into() };
    vec![
        define(1, 200),
        define(2, 300),
        level(SOUP),
        level(BREAD),
        user("alice", Role::Buyer),
        user("bob", Role::Buyer),
        user("root", Role::Administrator),
        credit(100, OWN, "alice"),
        credit(101, OTHER, "other"),
        Event::Purchased { key: key(1), user: ALICE, digest, lines, total },
        charged(2, &[take(SOUP, 3), take(BREAD, 2)], 1_200, &[600, 600]),
        charged(3, &[take(SOUP, 1)], 200, &[]),
        Event::PurchaseRefused { key: key(4), user: ALICE, digest, refusal },
    ]
}

/// A return, as a mistake would write it.
#[derive(Clone)]
struct Made {
    at: Time,
    user: UserId,
    order: u128,
    purchased: u64,
    lines: Vec<Line>,
    refund: Option<Refund>,
}

impl Made {
    fn record(&self, number: u128) -> Record {
        let (order, purchased, lines) = (key(self.order), Version(self.purchased), self.lines.clone().into());
        let returned = Box::new(Returned { order, purchased, lines, refund: self.refund });
        let key = OrderKey::from_parts(self.at, number << 8);
        let event = Event::Returned { key, user: self.user, digest: OrderDigest(0), returned };
        Record { at: self.at, event }
    }
}

fn refund(minor: impl Into<Option<i64>>) -> Option<Refund> {
    minor.into().map(|minor| Refund { account: OWN, amount: money(minor) })
}

/// Of the order charged for two lines: one of soup and two of bread.
fn right() -> Made {
    let lines = vec![take(SOUP, 1), take(BREAD, 2)];
    Made { at: NOW, user: ALICE, order: 2, purchased: 11, lines, refund: refund(800) }
}

fn state() -> State {
    let mut state = State::new(1);
    for event in opening() {
        let record = Record { at: NOW, event };
        verify(&state, &record).unwrap();
        apply(&mut state, &record);
    }
    state
}

fn seal(base: Tip, records: &[Record]) -> Group {
    let mut builder = GroupBuilder::new(base.version);
    for record in records {
        builder.push(record);
    }
    builder.seal(AppendId(1), base.hash).unwrap()
}

/// The groups of the opening and of these records, each in one of its own, and what the audit says of their claims.
fn audited(records: &[Record]) -> (Vec<Group>, Result<Claims, Breach>) {
    let mut auditor = Auditor::new(1);
    let opening: Vec<Record> = opening().into_iter().map(|event| Record { at: NOW, event }).collect();
    let mut groups = vec![seal(Tip::default(), &opening)];
    auditor.follow(&groups[0]).unwrap();
    for record in records {
        groups.push(seal(auditor.tip(), std::slice::from_ref(record)));
        if let Err(violation) = auditor.follow(groups.last().unwrap()) {
            return (groups, Err(violation.breach));
        }
        auditor.check_books().unwrap();
    }
    (groups, Ok(auditor.into_claims()))
}

/// What the second pass says.
fn settled(records: &[Record]) -> Result<Settled, Breach> {
    let (groups, claims) = audited(records);
    let mut claims = claims.unwrap();
    assert_eq!(claims.start().is_some(), !claims.is_settled());
    for group in &groups {
        claims.follow(group).map_err(|violation| violation.breach)?;
    }
    assert!(claims.is_settled());
    Ok(claims.settled())
}

#[test]
fn a_return_that_is_right_is_possible_and_its_claim_is_true() {
    let state = state();
    let bob = Made { lines: vec![take(SOUP, 2)], refund: None, order: 1, purchased: 10, ..right() };
    for made in [
        right(),
        Made { user: ROOT, ..right() },
        bob,
        Made { lines: vec![take(SOUP, 1)], refund: refund(200), order: 3, purchased: 12, ..right() },
    ] {
        assert_eq!(verify(&state, &made.record(9)), Ok(()));
        let later = Made { at: LATER, ..made.clone() };
        let settled = [settled(&[made.record(9)]), settled(&[later.record(9)])];
        assert_eq!(
            settled,
            [Ok(Settled { checked: 1, not_kept: 0 }), Ok(Settled { checked: 1, not_kept: 0 })]
        );
    }
}

/// Mistakes that show in the state alone, whatever the age of the order.
#[test]
fn what_cannot_have_come_back_at_all_is_not_replayed() {
    let state = state();
    let far = AccountId(7);
    let there = Line { location: LocationId(3), ..take(SOUP, u64::MAX / 4) };
    let to = |account, minor| Some(Refund { account, amount: money(minor) });
    for at in [NOW, LATER] {
        let right = Made { at, ..right() };
        for (made, why) in [
            (Made { lines: vec![], ..right.clone() }, Impossible::NothingTaken),
            (Made { lines: vec![take(SOUP, 1), take(BREAD, 0)], ..right.clone() }, Impossible::NothingTaken),
            (Made { lines: vec![take(SOUP, 1); 2], ..right.clone() }, Impossible::Oversold(SOUP)),
            (Made { lines: vec![take(ItemId(9), 1)], ..right.clone() }, Impossible::Item(ItemId(9))),
            (Made { lines: vec![take(SOUP, u64::MAX / 4)], ..right.clone() }, Impossible::Overflow(SOUP)),
            (Made { user: UserId(9), ..right.clone() }, Impossible::User(UserId(9))),
            (Made { user: UserId::SYSTEM, ..right.clone() }, Impossible::User(UserId::SYSTEM)),
            (Made { refund: to(far, 800), ..right.clone() }, Impossible::Account(far)),
            (Made { refund: to(OWN, -1), ..right.clone() }, Impossible::Balance(OWN)),
            (Made { refund: to(OWN, i64::MAX), ..right.clone() }, Impossible::Balance(OWN)),
            (Made { purchased: 0, ..right.clone() }, Impossible::Returned(key(2))),
            (Made { purchased: 14, ..right.clone() }, Impossible::Returned(key(2))),
        ] {
            assert_eq!(verify(&state, &made.record(9)), Err(why));
        }
        let lines = vec![there];
        let is_overflow = verify(&state, &Made { lines, refund: None, ..right }.record(9));
        assert_ne!(is_overflow, Err(Impossible::Overflow(SOUP)), "that level is empty");
    }
    let mut twice = right().record(9);
    let Event::Returned { key: of_return, .. } = &mut twice.event else { unreachable!() };
    *of_return = key(1);
    assert_eq!(verify(&state, &twice), Err(Impossible::Decided(key(1))));
    let refused = Event::ReturnRefused {
        key: key(1),
        user: ALICE,
        digest: OrderDigest(0),
        refusal: Refusal::NotReturnable,
    };
    let refused = Record { at: NOW, event: refused };
    assert_eq!(verify(&state, &refused), Err(Impossible::Decided(key(1))));
}

/// Mistakes that only the purchase shows: replay sees them while the window holds it, the second pass always.
#[test]
fn what_is_not_of_its_purchase_is_found_however_old() {
    let state = state();
    let other = |minor| Some(Refund { account: OTHER, amount: money(minor) });
    let there = Line { location: LocationId(3), ..take(SOUP, 1) };
    let of = |order, purchased, lines: &[Line]| Made {
        order,
        purchased,
        lines: lines.to_vec(),
        refund: None,
        ..right()
    };
    let (returned, refunded) = (Impossible::Returned, Impossible::Refund);
    for (made, why) in [
        (Made { user: BOB, ..right() }, returned(key(2))),
        (Made { purchased: 10, ..right() }, returned(key(2))),
        (Made { lines: vec![take(SOUP, 4)], refund: refund(800), ..right() }, returned(key(2))),
        (Made { lines: vec![there], refund: refund(200), ..right() }, returned(key(2))),
        (of(1, 10, &[take(BREAD, 1)]), returned(key(1))),
        (of(4, 13, &[take(SOUP, 1)]), returned(key(4))),
        (of(100, 8, &[take(SOUP, 1)]), returned(key(100))),
        (of(55, 10, &[take(SOUP, 1)]), returned(key(55))),
        (Made { refund: refund(801), ..right() }, refunded(key(2))),
        (Made { refund: refund(799), ..right() }, refunded(key(2))),
        (Made { refund: None, ..right() }, refunded(key(2))),
        (Made { refund: other(800), ..right() }, refunded(key(2))),
        (Made { refund: refund(400), ..of(1, 10, &[take(SOUP, 2)]) }, refunded(key(1))),
    ] {
        let record = made.record(9);
        assert_eq!(verify(&state, &record), Err(why), "{record:?}");
        let later = Made { at: LATER, ..made }.record(9);
        assert_eq!(verify(&state, &later), Ok(()), "the window does not know");
        let of_return = later.event.order_key().unwrap();
        assert_eq!(settled(&[later]), Err(Breach::FalseReturn(of_return)));
    }
}

#[test]
fn returns_of_one_order_may_not_exceed_it_together() {
    let soup = |at, number, units| {
        let refund = refund(i64::try_from(units).unwrap() * 200);
        Made { at, lines: vec![take(SOUP, units)], refund, ..right() }.record(number)
    };
    let (fits, exceeds) = (soup(NOW, 10, 1), soup(NOW, 10, 2));
    let mut state = state();
    apply(&mut state, &soup(NOW, 9, 2));
    assert_eq!(verify(&state, &fits), Ok(()));
    assert_eq!(verify(&state, &exceeds), Err(Impossible::Returned(key(2))));
    let settled_later = |units| settled(&[soup(NOW, 9, 2), soup(LATER, 10, units)]);
    assert_eq!(settled_later(1), Ok(Settled { checked: 2, not_kept: 0 }));
    let of_return = OrderKey::from_parts(LATER, 10 << 8);
    assert_eq!(settled_later(2), Err(Breach::FalseReturn(of_return)));
}

#[test]
fn claims_on_what_the_journal_no_longer_holds_are_counted() {
    let bread = Made { lines: vec![take(BREAD, 1)], refund: refund(300), ..right() };
    let own = Made { lines: vec![take(SOUP, 1)], refund: refund(200), order: 3, purchased: 12, ..right() };
    let records = [bread.record(9), own.record(10)];
    let (groups, claims) = audited(&records);
    let mut claims = claims.unwrap();
    assert_eq!(claims.start(), Some(Version(10)));
    assert_eq!(claims.settled(), Settled { checked: 0, not_kept: 2 }, "nothing was read yet");
    for group in &groups[1..] {
        claims.follow(group).unwrap();
    }
    assert_eq!((claims.is_settled(), claims.settled()), (true, Settled { checked: 0, not_kept: 2 }));
}

#[test]
fn amounts_that_the_lines_of_a_charge_cannot_cost_are_not_replayed() {
    let state = state();
    let lines = [take(SOUP, 3), take(BREAD, 2)];
    let record = |event| Record { at: NOW, event };
    assert_eq!(verify(&state, &record(charged(9, &lines, 1_200, &[]))), Ok(()), "written before format 4");
    for (total, amounts) in [
        (1_200, &[600][..]),
        (1_200, &[600, 599]),
        (1_200, &[601, 599]),
        (1_200, &[1_800, -600]),
        (1_200, &[600, 600, 0]),
    ] {
        let event = charged(9, &lines, total, amounts);
        assert_eq!(verify(&state, &record(event)), Err(Impossible::Charge(OWN)), "{amounts:?}");
    }
    let one = charged(9, &lines[..1], 600, &[600]);
    assert_eq!(verify(&state, &record(one)), Err(Impossible::Charge(OWN)));
    // Other prices than those of the time are possible to replay, and a breach of the books.
    let dear = charged(9, &lines, 1_200, &[900, 300]);
    assert_eq!(verify(&state, &record(dear.clone())), Ok(()));
    let (is, should) = (Some(money(900)), Some(money(600)));
    assert_eq!(audited(&[record(dear)]).1.err(), Some(Breach::Total { key: key(9), is, should }));
}

#[test]
fn a_refusal_of_a_return_that_cannot_be_true_is_found() {
    let refused = |refusal| {
        let event = Event::ReturnRefused { key: key(9), user: ALICE, digest: OrderDigest(0), refusal };
        audited(&[Record { at: NOW, event }]).1.err()
    };
    let short = |requested, available| Shortage {
        upc: Upc::new(1).unwrap(),
        location: LocationId::MAIN,
        requested: Units::new(requested).unwrap(),
        available: Units::new(available).unwrap(),
    };
    let exceeds = |shortage| Refusal::ExceedsPurchase { shortages: [shortage].into() };
    for refusal in
        [Refusal::UnknownOrder, Refusal::OutcomeNotKept, Refusal::NotReturnable, exceeds(short(3, 2))]
    {
        assert_eq!(refused(refusal), None);
    }
    let upc = Upc::new(1).unwrap();
    assert_eq!(refused(exceeds(short(2, 2))), Some(Breach::FalseRefusal { key: key(9), upc }));
    assert_eq!(refused(Refusal::TableFull), Some(Breach::FalseEntryRefusal(key(9))));
}

#[test]
fn no_purchase_has_more_lines_or_units_than_an_order_may_have_also_if_it_left_the_window() {
    let mut state = state();
    let line = |location: u16, units: u64| Line { location: LocationId(location), ..take(SOUP, units) };
    let returned = |number: u128, order: u128, lines: Vec<Line>| {
        let (order, purchased) = (key(order), Version(10));
        let returned = Box::new(Returned { order, purchased, lines: lines.into(), refund: None });
        let key = OrderKey::from_parts(LATER, number << 8);
        Record { at: LATER, event: Event::Returned { key, user: ALICE, digest: OrderDigest(0), returned } }
    };
    let many = u16::try_from(ORDER_LINES_MAX).unwrap();
    let too_many = returned(50, 1, (0..=many).map(|location| line(location, 1)).collect());
    assert_eq!(verify(&state, &too_many), Err(Impossible::Returned(key(1))));
    let as_many = returned(51, 1, (0..many).map(|location| line(location, 1)).collect());
    assert_eq!(verify(&state, &as_many), Ok(()));
    apply(&mut state, &as_many);
    assert_eq!(verify(&state, &returned(52, 1, vec![line(7, 1)])), Ok(()), "more of a line that there is");
    assert_eq!(verify(&state, &returned(53, 1, vec![line(many, 1)])), Err(Impossible::Returned(key(1))));

    let all = returned(54, 2, vec![line(2_000, UNITS_MAX)]);
    assert_eq!(verify(&state, &all), Ok(()));
    apply(&mut state, &all);
    let (key, lines) = (OrderKey::from_parts(LATER, 55 << 8), line(2_000, UNITS_MAX).into());
    let event = Event::Purchased { key, user: ALICE, digest: OrderDigest(0), lines, total: None };
    apply(&mut state, &Record { at: LATER, event });
    let more = returned(56, 2, vec![line(2_000, 1)]);
    assert_eq!(verify(&state, &more), Err(Impossible::Returned(self::key(2))), "more than an order can have");
}

#[test]
fn a_refusal_that_such_an_event_cannot_have_does_not_read() {
    let read = |event: Event| {
        let group = seal(Tip::default(), &[Record { at: NOW, event }]);
        group.records().next().unwrap().map(drop).is_ok()
    };
    let (user, digest) = (ALICE, OrderDigest(0));
    let of_return = |refusal| read(Event::ReturnRefused { key: key(1), user, digest, refusal });
    let of_purchase = |refusal| read(Event::PurchaseRefused { key: key(1), user, digest, refusal });
    let of_post = |refusal| read(Event::PostRefused { key: key(1), user, digest, refusal });
    let upc = Upc::new(1).unwrap();
    assert!(!of_return(Refusal::EmptyOrder) && of_purchase(Refusal::EmptyOrder));
    assert!(!of_return(Refusal::UnknownItem { upc }) && of_purchase(Refusal::UnknownItem { upc }));
    assert!(!of_return(Refusal::ExceedsPurchase { shortages: [].into() }));
    for refusal in
        [Refusal::UnknownOrder, Refusal::OutcomeNotKept, Refusal::NotReturnable, Refusal::TableFull]
    {
        assert!(of_return(refusal.clone()), "{refusal:?}");
        assert!(!of_purchase(refusal.clone()) && !of_post(refusal.clone()), "{refusal:?}");
    }
}
