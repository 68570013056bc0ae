//! What a defect in a table does to the state shows in the books: here the defect is made by hand.

use super::*;
use crate::command::Role;
use crate::event::{Line, OrderDigest};
use crate::id::{AppendId, Upc, UserId, Version};
use crate::journal::GroupBuilder;
use crate::limits::{ORDER_KEY_FUTURE_US_MAX, ORDER_WINDOW_AGE_US};
use crate::money::Money;
use crate::quantity::Units;
use crate::refusal::Refusal;
use crate::time::Time;

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const SOUP: ItemId = ItemId(0);

fn units(number: u64) -> Units {
    Units::new(number).unwrap()
}

fn key(random: u128) -> OrderKey {
    OrderKey::from_parts(NOW, random << 8)
}

fn follow(auditor: &mut Auditor, events: &[Event]) -> Result<(), Breach> {
    let mut builder = GroupBuilder::new(auditor.tip.version);
    for event in events {
        builder.push(&Record { at: NOW, event: event.clone() });
    }
    let group = builder.seal(AppendId(1), auditor.tip.hash).unwrap();
    auditor.follow(&group).map_err(|violation| violation.breach)
}

fn purchase(key: OrderKey) -> Event {
    let lines = [Line { item: SOUP, location: LocationId::MAIN, units: units(1) }].into_iter().collect();
    let total = Some(Money::from_minor(200));
    Event::Purchased { key, user: UserId(1), digest: OrderDigest(0), lines, total }
}

/// Ten units of soup, of which alice bought one.
fn shop() -> Auditor {
    let (by, mut auditor) = (UserId::SYSTEM, Auditor::new(1));
    let upc = Upc::new(1).unwrap();
    let events = [
        Event::ItemDefined { by, upc, name: "soup".into(), price: Some(Money::from_minor(200)) },
        Event::InitialLevelSet { by, item: SOUP, location: LocationId::MAIN, units: units(10) },
        Event::UserAdded { by, name: "alice".into(), password_hash: "".into(), role: Role::Buyer },
        purchase(key(1)),
    ];
    follow(&mut auditor, &events).unwrap();
    auditor.check_books().unwrap();
    auditor
}

fn books(auditor: &Auditor) -> Breach {
    auditor.check_books().unwrap_err().breach
}

#[test]
fn a_level_that_is_not_the_sum_of_its_movements_is_found() {
    for (on_hand, reserved) in [(8, 0), (10, 0), (9, 1)] {
        let is = Level { on_hand: units(on_hand), reserved: units(reserved) };
        let mut auditor = shop();
        auditor.state.stock.set(SOUP, LocationId::MAIN, is);
        let breach = |is, should| Breach::Level { item: SOUP, location: LocationId::MAIN, is, should };
        assert_eq!(books(&auditor), breach(is, 9));
        // Also at the next event that names it.
        let is = Level { on_hand: units(on_hand - 1), ..is };
        assert_eq!(follow(&mut auditor, &[purchase(key(2))]), Err(breach(is, 8)));
    }
}

#[test]
fn a_level_that_nobody_set_is_found() {
    let mut auditor = shop();
    let is = Level { on_hand: units(1), ..Level::default() };
    auditor.state.stock.set(SOUP, LocationId(3), is);
    assert_eq!(books(&auditor), Breach::Level { item: SOUP, location: LocationId(3), is, should: 0 });
}

#[test]
fn a_window_that_forgot_an_outcome_is_found_when_the_order_comes_again() {
    let mut auditor = shop();
    auditor.state.orders = State::new(1).orders;
    assert_eq!(follow(&mut auditor, &[purchase(key(1))]), Err(Breach::OutcomeTwice(key(1))));
}

#[test]
fn an_outcome_that_is_not_the_one_just_recorded_is_found() {
    let mut auditor = shop();
    let compare =
        |auditor: &Auditor, key| auditor.compare_outcome(&Record { at: NOW, event: purchase(key) }, key);
    assert_eq!(compare(&auditor, key(1)), Ok(()));
    assert_eq!(compare(&auditor, key(2)), Err(Breach::OutcomeTwice(key(2))), "none was recorded");
    follow(&mut auditor, &[purchase(key(2))]).unwrap();
    assert_eq!(compare(&auditor, key(1)), Err(Breach::OutcomeTwice(key(1))), "an older one");
}

#[test]
fn the_books_know_by_themselves_which_keys_are_in_time_and_which_were_decided() {
    const SECOND_US: u64 = 1_000_000;
    let ledger = || shop().ledger;
    let refusal = |key| Event::PurchaseRefused {
        key,
        user: UserId(1),
        digest: OrderDigest(0),
        refusal: Refusal::EmptyOrder,
    };
    let enter = |ledger: &mut Ledger, at, key| ledger.enter(Version(1), &Record { at, event: refusal(key) });
    let of = |time| OrderKey::from_parts(time, 9 << 8);
    let (oldest, latest) = (NOW.minus_micros(ORDER_WINDOW_AGE_US), NOW.plus_micros(ORDER_KEY_FUTURE_US_MAX));
    for time in [oldest, latest] {
        assert_eq!(enter(&mut ledger(), NOW, of(time)), Ok(()));
    }
    for time in [oldest.minus_micros(SECOND_US), latest.plus_micros(1_000)] {
        assert_eq!(enter(&mut ledger(), NOW, of(time)), Err(Breach::KeyOutOfTime(of(time))));
    }
    // The key of the shop's purchase is remembered as long as it could come again.
    let a_day_later = NOW.plus_micros(ORDER_WINDOW_AGE_US);
    assert_eq!(enter(&mut ledger(), a_day_later, key(1)), Err(Breach::OutcomeTwice(key(1))));
    let mut ledger = ledger();
    enter(&mut ledger, a_day_later.plus_micros(SECOND_US), of(a_day_later)).unwrap();
    assert_eq!(ledger.decided.len(), 1, "and no longer");
}

#[test]
fn items_and_users_that_are_not_those_of_the_events_are_found() {
    let mut auditor = shop();
    auditor.state.catalogue.replace(SOUP, "soup", Some(Money::from_minor(1))).unwrap();
    assert_eq!(books(&auditor), Breach::Rows("items"));
    let mut auditor = shop();
    auditor.state.catalogue.add(Upc::new(2).unwrap(), "bread", None);
    assert_eq!(books(&auditor), Breach::Rows("items"));
    let mut auditor = shop();
    auditor.state.catalogue = State::new(1).catalogue;
    assert_eq!(books(&auditor), Breach::Rows("items"));
    let mut auditor = shop();
    auditor.state.users.add("bob", "".into(), Role::Buyer);
    assert_eq!(books(&auditor), Breach::Rows("users"));
}
