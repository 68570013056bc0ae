//! The audit passes what the engine writes and names what it cannot have written.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use inventory_core::journal::{
    Auditor, Breach, Group, GroupBuilder, Journal, MemoryJournal, ReplayError, Replayer, Snapshot, Tip,
    Violation,
};
use inventory_core::machine::Impossible;
use inventory_core::{
    AppendId, Event, Hash, Inventory, ItemId, Line, LocationId, Money, Movement, Order, OrderDigest,
    OrderKey, OrderLine, Reason, Record, Refusal, Role, Shortage, Time, Units, Upc, UserId, Version,
    movements,
};
use pollster::block_on;

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const ALICE: UserId = UserId(1);
const SOUP: ItemId = ItemId(0);

fn upc(code: u64) -> Upc {
    Upc::new(code).unwrap()
}

fn units(number: u64) -> Units {
    Units::new(number).unwrap()
}

fn key(random: u128) -> OrderKey {
    OrderKey::from_parts(NOW, random)
}

fn sealed(base: Tip, events: &[Event]) -> Group {
    let mut builder = GroupBuilder::new(base.version);
    for event in events {
        builder.push(&Record { at: NOW, event: event.clone() });
    }
    builder.seal(AppendId(1), base.hash).unwrap()
}

/// Ten units of soup at 2.00, and alice, a buyer.
fn opening() -> Vec<Event> {
    let by = UserId::SYSTEM;
    vec![
        Event::ItemDefined { by, upc: upc(1), name: "soup".into(), price: Some(Money::from_minor(200)) },
        Event::InitialLevelSet { by, item: SOUP, location: LocationId::MAIN, units: units(10) },
        Event::UserAdded { by, name: "alice".into(), password_hash: "".into(), role: Role::Buyer },
    ]
}

fn purchase(key: OrderKey, number: u64, total: Option<i64>) -> Event {
    let line = Line { item: SOUP, location: LocationId::MAIN, units: units(number) };
    let total = total.map(Money::from_minor);
    Event::Purchased { key, user: ALICE, digest: OrderDigest(0), lines: vec![line].into(), total }
}

fn refused(key: OrderKey, refusal: Refusal) -> Event {
    Event::PurchaseRefused { key, user: ALICE, digest: OrderDigest(0), refusal }
}

fn short(requested: u64, available: u64) -> Refusal {
    let (requested, available) = (units(requested), units(available));
    let short = Shortage { upc: upc(1), location: LocationId::MAIN, requested, available };
    Refusal::InsufficientStock { shortages: [short].into() }
}

/// What an audit says of the opening and these events.
fn audited(events: &[Event]) -> Result<(), Violation> {
    let mut auditor = Auditor::new(1);
    auditor.follow(&sealed(Tip::default(), &opening()))?;
    auditor.follow(&sealed(auditor.tip(), events))?;
    auditor.check_books()
}

#[test]
fn what_a_correct_engine_writes_passes() {
    audited(&[
        purchase(key(1 << 8), 3, Some(600)),
        refused(key(2 << 8), short(8, 7)),
        refused(key(3 << 8), Refusal::UnknownItem { upc: upc(2) }),
        refused(key(4 << 8), Refusal::EmptyOrder),
        purchase(key(5 << 8), 7, Some(1_400)),
    ])
    .unwrap();
}

#[test]
fn the_first_violation_is_named_with_its_version() {
    let good = purchase(key(1 << 8), 1, Some(200));
    let late = OrderKey::from_parts(NOW.plus_micros(61_000_000), 1);
    let redefined =
        Event::ItemDefined { by: ALICE, upc: upc(1), name: "soup".into(), price: Some(Money::from_minor(1)) };
    for (event, breach) in [
        (
            purchase(key(2 << 8), 1, Some(201)),
            Breach::Total {
                key: key(2 << 8),
                is: Some(Money::from_minor(201)),
                should: Some(Money::from_minor(200)),
            },
        ),
        (
            purchase(key(2 << 8), 1, None),
            Breach::Total { key: key(2 << 8), is: None, should: Some(Money::from_minor(200)) },
        ),
        (refused(key(2 << 8), short(5, 9)), Breach::FalseRefusal { key: key(2 << 8), upc: upc(1) }),
        (refused(key(2 << 8), short(9, 9)), Breach::FalseRefusal { key: key(2 << 8), upc: upc(1) }),
        (refused(key(2 << 8), short(20, 8)), Breach::FalseRefusal { key: key(2 << 8), upc: upc(1) }),
        (
            refused(key(2 << 8), Refusal::UnknownItem { upc: upc(1) }),
            Breach::FalseRefusal { key: key(2 << 8), upc: upc(1) },
        ),
        (purchase(late, 1, Some(200)), Breach::KeyOutOfTime(late)),
        (redefined, Breach::NotPermitted(ALICE)),
        (
            purchase(key(2 << 8), 10, Some(2_000)),
            Breach::Replay(Box::new(ReplayError::Impossible(Version(5), Impossible::Oversold(SOUP)))),
        ),
        (
            purchase(key(1 << 8), 1, Some(200)),
            Breach::Replay(Box::new(ReplayError::Impossible(Version(5), Impossible::Decided(key(1 << 8))))),
        ),
    ] {
        let found = audited(&[good.clone(), event.clone(), good.clone()]).unwrap_err();
        assert_eq!(found, Violation { version: Version(5), breach }, "{event:?}");
    }
}

#[test]
fn each_item_has_its_own_price_and_each_user_an_own_role() {
    const BREAD: ItemId = ItemId(1);
    const CAROL: UserId = UserId(2);
    let define = |by, code, price| {
        let price = Some(Money::from_minor(price));
        Event::ItemDefined { by, upc: upc(code), name: "item".into(), price }
    };
    let line = Line { item: BREAD, location: LocationId::MAIN, units: units(1) };
    let (digest, total) = (OrderDigest(0), Some(Money::from_minor(300)));
    let bread = Event::Purchased { key: key(1 << 8), user: ALICE, digest, lines: vec![line].into(), total };
    let first = [
        define(UserId::SYSTEM, 2, 300),
        Event::InitialLevelSet {
            by: UserId::SYSTEM,
            item: BREAD,
            location: LocationId::MAIN,
            units: units(5),
        },
        Event::UserAdded {
            by: UserId::SYSTEM,
            name: "carol".into(),
            password_hash: "".into(),
            role: Role::Administrator,
        },
        bread,
        purchase(key(2 << 8), 1, Some(200)),
        define(CAROL, 1, 250),
        purchase(key(3 << 8), 1, Some(250)),
    ];
    audited(&first).unwrap();
    let by_alice = [&first[..], &[define(ALICE, 2, 1)]].concat();
    assert_eq!(audited(&by_alice).unwrap_err().breach, Breach::NotPermitted(ALICE));
}

#[test]
fn a_group_that_does_not_follow_is_named() {
    let mut auditor = Auditor::new(1);
    auditor.follow(&sealed(Tip::default(), &opening())).unwrap();
    let foreign = Tip { hash: Hash([1; 32]), ..auditor.tip() };
    let found = auditor.follow(&sealed(foreign, &[purchase(key(1), 1, Some(200))])).unwrap_err();
    assert_eq!(found.version, Version(4));
    assert!(found.to_string().contains("does not follow"), "{found}");
}

#[test]
fn a_snapshot_of_another_state_is_named() {
    let follow = |price| {
        let mut events = opening();
        if let Some(Event::ItemDefined { price: at, .. }) = events.first_mut() {
            *at = Some(Money::from_minor(price));
        }
        let mut auditor = Auditor::new(price.unsigned_abs());
        auditor.follow(&sealed(Tip::default(), &events)).unwrap();
        auditor
    };
    let (this, other) = (follow(200), follow(300));
    let snapshot = |of: &Auditor, hash| Snapshot::of(of.state(), hash);
    let breach = |snapshot: &Snapshot| this.check_snapshot(snapshot).map_err(|violation| violation.breach);
    assert_eq!(breach(&snapshot(&this, this.tip().hash)), Ok(()));
    assert_eq!(breach(&snapshot(&other, this.tip().hash)), Err(Breach::SnapshotDiffers));
    assert_eq!(breach(&snapshot(&this, other.tip().hash)), Err(Breach::SnapshotElsewhere));
}

#[test]
fn an_audit_that_begins_at_a_snapshot_reaches_the_same_state() {
    let mut whole = Auditor::new(1);
    whole.follow(&sealed(Tip::default(), &opening())).unwrap();
    whole.follow(&sealed(whole.tip(), &[purchase(key(1 << 8), 1, Some(200))])).unwrap();
    let mut later = Auditor::after(&Snapshot::of(whole.state(), whole.tip().hash), 2).unwrap();
    let next = sealed(whole.tip(), &[purchase(key(2 << 8), 2, Some(400))]);
    for auditor in [&mut whole, &mut later] {
        auditor.follow(&next).unwrap();
        auditor.check_books().unwrap();
    }
    assert_eq!(whole.state().digest(), later.state().digest());
    // It knows the outcomes of before.
    let again = sealed(later.tip(), &[purchase(key(1 << 8), 1, Some(200))]);
    assert!(later.follow(&again).is_err());
}

#[test]
fn movements_say_who_when_and_why() {
    block_on(async {
        let mut shop = Inventory::open(MemoryJournal::new(), 1).await.unwrap();
        shop.define_item(NOW, upc(1), "soup", None).await.unwrap();
        shop.set_initial_level(NOW, upc(1), units(10)).await.unwrap();
        let alice = shop.add_user(NOW, "alice", "", Role::Buyer).await.unwrap();
        let line = |number| OrderLine::new(upc(1), units(number));
        let later = NOW.plus_micros(5);
        for (random, number) in [(1 << 8, 3), (2 << 8, 8), (3 << 8, 7)] {
            let order = Order { key: key(random), lines: line(number).into(), charge: None };
            let _ = shop.purchase(later, alice, order).await;
        }
        let mut replayer = Replayer::new(1);
        let mut found = Vec::new();
        for group in shop.into_journal().read(Version::ZERO, usize::MAX).await.unwrap() {
            replayer.follow_each(&group, |state, record| found.extend(movements(state, record))).unwrap();
        }
        let movement = |version, at, reason, change, on_hand, order: Option<OrderKey>| Movement {
            version: Version(version),
            at,
            reason,
            upc: upc(1),
            location: LocationId::MAIN,
            change,
            on_hand: units(on_hand),
            user: order.map(|_| "alice".into()),
            order,
        };
        let sold = Reason::Purchase;
        assert_eq!(
            found,
            [
                movement(2, NOW, Reason::InitialLevel, 10, 10, None),
                movement(4, later, sold, -3, 7, Some(key(1 << 8))),
                movement(6, later, sold, -7, 0, Some(key(3 << 8))),
            ]
        );
    });
}

#[test]
fn replay_stops_inside_a_group_where_it_is_told() {
    let events = [opening(), vec![purchase(key(1), 4, Some(800))]].concat();
    let mut replayer = Replayer::new(1);
    let whole = replayer.follow_while(&sealed(Tip::default(), &events), |version, _| version <= Version(3));
    assert_eq!((whole, replayer.tip()), (Ok(false), Tip::default()));
    assert_eq!(replayer.state().version(), Version(3));
    assert_eq!(replayer.state().stock().available(SOUP, LocationId::MAIN), units(10));

    let mut replayer = Replayer::new(1);
    let group = sealed(Tip::default(), &events);
    assert_eq!(replayer.follow_while(&group, |_, _| true), Ok(true));
    assert_eq!(replayer.tip(), Tip { version: Version(4), hash: group.hash() });
}
