//! What a correct engine cannot have written is found, event by event.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use inventory_core::limits::{ORDER_WINDOW_AGE_US, SESSIONS_PER_USER_MAX};
use inventory_core::machine::{Impossible, apply, verify};
use inventory_core::state::State;
use inventory_core::{
    Event, ItemId, Line, LocationId, OrderDigest, OrderKey, Record, Role, SessionId, Time, Units, Upc, UserId,
};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const SYSTEM: UserId = UserId::SYSTEM;
const ALICE: UserId = UserId(1);
const BOB: UserId = UserId(2);
const SOUP: ItemId = ItemId(0);

fn happen(state: &mut State, event: Event) {
    let record = Record { at: NOW, event };
    verify(state, &record).unwrap();
    apply(state, &record);
}

fn key(random: u128) -> OrderKey {
    OrderKey::from_parts(NOW, random)
}

fn take(units: u64) -> Line {
    Line { item: SOUP, location: LocationId::MAIN, units: Units::new(units).unwrap() }
}

fn purchase(key: OrderKey, user: UserId, lines: &[Line]) -> Event {
    Event::Purchased { key, user, digest: OrderDigest(0), lines: lines.to_vec().into(), total: None }
}

fn add_user(name: &str) -> Event {
    Event::UserAdded { by: SYSTEM, name: name.into(), password_hash: "".into(), role: Role::Buyer }
}

fn log_in(user: UserId, session: u8, displaced: Option<u8>) -> Event {
    let id = |byte| SessionId([byte; 32]);
    Event::LoggedIn { user, session: id(session), displaced: displaced.map(id) }
}

fn set_level(item: ItemId) -> Event {
    let units = Units::new(10).unwrap();
    Event::InitialLevelSet { by: SYSTEM, item, location: LocationId::MAIN, units }
}

/// Ten units of soup, of which two are bought under key 1; alice with session 1, bob with session 2.
fn shop() -> State {
    let mut state = State::new(1);
    let (upc, name) = (Upc::new(1).unwrap(), "soup".into());
    for event in [
        Event::ItemDefined { by: SYSTEM, upc, name, price: None },
        set_level(SOUP),
        add_user("alice"),
        add_user("bob"),
        log_in(ALICE, 1, None),
        log_in(BOB, 2, None),
        purchase(key(1), ALICE, &[take(2)]),
    ] {
        happen(&mut state, event);
    }
    state
}

#[test]
fn an_event_that_cannot_have_happened_is_named() {
    let state = shop();
    let old = OrderKey::from_parts(NOW.minus_micros(ORDER_WINDOW_AGE_US + 1_000_000), 1);
    let nobody = UserId(9);
    for (event, why) in [
        (
            Event::ItemDefined { by: nobody, upc: Upc::new(2).unwrap(), name: "x".into(), price: None },
            Impossible::User(nobody),
        ),
        (set_level(ItemId(7)), Impossible::Item(ItemId(7))),
        (set_level(SOUP), Impossible::LevelAlreadySet(SOUP)),
        (add_user("alice"), Impossible::UserExists),
        (log_in(nobody, 3, None), Impossible::User(nobody)),
        (log_in(ALICE, 2, None), Impossible::Session),
        (log_in(ALICE, 3, Some(4)), Impossible::Session),
        (log_in(ALICE, 3, Some(2)), Impossible::Session),
        (Event::LoggedOut { session: SessionId([3; 32]) }, Impossible::Session),
        (purchase(key(2), nobody, &[take(1)]), Impossible::User(nobody)),
        (purchase(key(1), ALICE, &[take(1)]), Impossible::Decided(key(1))),
        (purchase(old, ALICE, &[take(1)]), Impossible::Decided(old)),
        (purchase(key(2), ALICE, &[take(9)]), Impossible::Oversold(SOUP)),
        (purchase(key(2), ALICE, &[take(5), take(3)]), Impossible::Oversold(SOUP)),
        (purchase(key(2), ALICE, &[take(1), take(1), take(1)]), Impossible::Oversold(SOUP)),
        (purchase(key(2), ALICE, &[Line { item: ItemId(7), ..take(1) }]), Impossible::Item(ItemId(7))),
        (purchase(key(2), ALICE, &[take(1), take(0)]), Impossible::NothingTaken),
        (purchase(key(2), ALICE, &[]), Impossible::NothingTaken),
    ] {
        assert_eq!(verify(&state, &Record { at: NOW, event: event.clone() }), Err(why), "{event:?}");
    }
    let early = Record { at: NOW.minus_micros(1), event: add_user("carol") };
    assert_eq!(verify(&state, &early), Err(Impossible::TimeBackwards));
}

#[test]
fn a_user_has_never_more_sessions_than_the_bound() {
    let mut state = shop();
    let most = u8::try_from(SESSIONS_PER_USER_MAX).unwrap();
    (0..most - 1).for_each(|byte| happen(&mut state, log_in(ALICE, 100 + byte, None)));
    let one_more = |displaced| Record { at: NOW, event: log_in(ALICE, 99, displaced) };
    assert_eq!(verify(&state, &one_more(None)), Err(Impossible::Session));
    assert_eq!(verify(&state, &one_more(Some(1))), Ok(()));
}
