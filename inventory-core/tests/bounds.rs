//! What `decide` checks, each bound at its limit and one beyond it, and who may do what.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use inventory_core::limits::{
    ITEM_NAME_BYTES_MAX, ORDER_KEY_FUTURE_US_MAX, ORDER_LINES_MAX, PASSWORD_HASH_BYTES_MAX,
    SESSIONS_PER_USER_MAX, USER_NAME_BYTES_MAX,
};
use inventory_core::machine::{Decision, apply, decide};
use inventory_core::state::State;
use inventory_core::{
    Actor, Answer, Command, Event, LocationId, Money, Order, OrderKey, OrderLine, Record, Refusal, Reply,
    Role, SessionId, Time, Units, Upc, UserId,
};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const BUYER: UserId = UserId(1);
const ADMINISTRATOR: UserId = UserId(2);

fn soup() -> Upc {
    Upc::new(1).unwrap()
}

fn define(name: &str, minor: Option<i64>) -> Command {
    Command::DefineItem { upc: soup(), name: name.into(), price: minor.map(Money::from_minor) }
}

fn set_level(number: u64) -> Command {
    let units = Units::new(number).unwrap();
    Command::SetInitialLevel { upc: soup(), location: LocationId::MAIN, units }
}

fn add_user(name: &str, password_hash: &str, role: Role) -> Command {
    Command::AddUser { name: name.into(), password_hash: password_hash.into(), role }
}

fn session(number: usize) -> SessionId {
    SessionId([u8::try_from(number).unwrap(); 32])
}

fn log_in(number: usize) -> Command {
    Command::LogIn { user: BUYER, session: session(number) }
}

fn buy(time: Time, lines: usize) -> Command {
    let line = OrderLine::new(soup(), Units::new(1).unwrap());
    Command::Purchase(Order {
        key: OrderKey::from_parts(time, 1),
        lines: vec![line; lines].into(),
        charge: None,
    })
}

/// Makes a command happen, which it must, and gives its event.
fn happen(state: &mut State, actor: Actor, command: &Command) -> Event {
    match decide(state, NOW, actor, command) {
        Decision::Happens(event) => {
            apply(state, &Record { at: NOW, event: event.clone() });
            event
        }
        Decision::Stands(reply) => panic!("{command:?} does not happen: {reply:?}"),
    }
}

fn happens(state: &State, actor: Actor, command: &Command) -> bool {
    matches!(decide(state, NOW, actor, command), Decision::Happens(_))
}

fn refused(state: &State, actor: Actor, command: &Command) -> Option<Refusal> {
    match decide(state, NOW, actor, command) {
        Decision::Stands(Reply::Refused(refusal)) => Some(refusal),
        _ => None,
    }
}

/// Soup with 2,000 units, a buyer and an administrator.
fn shop() -> State {
    let mut state = State::new(1);
    for command in [
        define("soup", Some(100)),
        set_level(2_000),
        add_user("buyer", "", Role::Buyer),
        add_user("administrator", "", Role::Administrator),
    ] {
        happen(&mut state, Actor::System, &command);
    }
    state
}

#[test]
fn administrators_and_the_system_manage_and_nobody_else() {
    let state = shop();
    let other = Upc::new(2).unwrap();
    let mut bare = State::new(1);
    happen(&mut bare, Actor::System, &define("soup", None));
    happen(&mut bare, Actor::System, &add_user("buyer", "", Role::Buyer));
    happen(&mut bare, Actor::System, &add_user("administrator", "", Role::Administrator));
    let define = Command::DefineItem { upc: other, name: "bread".into(), price: None };
    for (state, command) in
        [(&state, define), (&bare, set_level(1)), (&state, add_user("carol", "", Role::Buyer))]
    {
        assert!(happens(state, Actor::System, &command), "{command:?}");
        assert!(happens(state, Actor::User(ADMINISTRATOR), &command), "{command:?}");
        assert_eq!(refused(state, Actor::User(BUYER), &command), Some(Refusal::NotPermitted));
        assert_eq!(refused(state, Actor::Anonymous, &command), Some(Refusal::NotLoggedIn));
    }
}

#[test]
fn the_event_names_who_did_it() {
    let mut state = shop();
    let event = happen(&mut state, Actor::User(ADMINISTRATOR), &define("better soup", None));
    assert!(matches!(event, Event::ItemDefined { by: ADMINISTRATOR, .. }), "{event:?}");
    let event = happen(&mut state, Actor::System, &define("best soup", None));
    assert!(matches!(event, Event::ItemDefined { by: UserId::SYSTEM, .. }), "{event:?}");
}

#[test]
fn an_item_defined_as_it_is_makes_no_event_and_any_difference_makes_one() {
    let state = shop();
    let same = decide(&state, NOW, Actor::System, &define("soup", Some(100)));
    assert_eq!(same, Decision::Stands(Reply::Answered(Answer::Done(state.version()))));
    for other in [define("broth", Some(100)), define("soup", Some(101)), define("soup", None)] {
        assert!(happens(&state, Actor::System, &other), "{other:?}");
    }
}

#[test]
fn names_are_bounded_and_clean() {
    let state = shop();
    let longest = |bytes: usize| "x".repeat(bytes);
    let invalid = Some(Refusal::InvalidName);
    assert!(happens(&state, Actor::System, &define(&longest(ITEM_NAME_BYTES_MAX), None)));
    assert!(happens(&state, Actor::System, &define("soup with noodles", None)));
    for name in [longest(ITEM_NAME_BYTES_MAX + 1), String::new(), "so\u{7}up".into()] {
        assert_eq!(refused(&state, Actor::System, &define(&name, None)), invalid, "{name:?}");
    }
    let add = |name: &str, hash: &str| add_user(name, hash, Role::Buyer);
    assert!(happens(&state, Actor::System, &add(&longest(USER_NAME_BYTES_MAX), "")));
    for name in
        [longest(USER_NAME_BYTES_MAX + 1), String::new(), "a\u{7}".into(), "a b".into(), "a\u{a0}b".into()]
    {
        assert_eq!(refused(&state, Actor::System, &add(&name, "")), invalid, "{name:?}");
    }
    assert!(happens(&state, Actor::System, &add("carol", &longest(PASSWORD_HASH_BYTES_MAX))));
    let too_long = add("carol", &longest(PASSWORD_HASH_BYTES_MAX + 1));
    assert_eq!(refused(&state, Actor::System, &too_long), invalid);
}

#[test]
fn a_price_may_be_nothing_but_not_less() {
    let state = shop();
    assert!(happens(&state, Actor::System, &define("soup", Some(0))));
    assert_eq!(refused(&state, Actor::System, &define("soup", Some(-1))), Some(Refusal::InvalidPrice));
}

#[test]
fn one_login_beyond_the_bound_ends_the_oldest_session() {
    let mut state = shop();
    for number in 0..SESSIONS_PER_USER_MAX {
        let event = happen(&mut state, Actor::Anonymous, &log_in(number));
        assert!(matches!(event, Event::LoggedIn { displaced: None, .. }), "{number}: {event:?}");
    }
    let event = happen(&mut state, Actor::Anonymous, &log_in(SESSIONS_PER_USER_MAX));
    assert!(matches!(event, Event::LoggedIn { displaced: Some(oldest), .. } if oldest == session(0)));
    assert_eq!(refused(&state, Actor::Session(session(0)), &Command::LogOut), Some(Refusal::NotLoggedIn));
    let sessions = &state.users().user(BUYER).unwrap().sessions;
    assert_eq!(sessions.len(), SESSIONS_PER_USER_MAX);
    assert_eq!(sessions.front(), Some(&session(1)));
    assert_eq!(sessions.back(), Some(&session(SESSIONS_PER_USER_MAX)));
}

#[test]
fn only_a_session_can_log_out() {
    let mut state = shop();
    happen(&mut state, Actor::Anonymous, &log_in(1));
    for actor in [Actor::Anonymous, Actor::User(BUYER), Actor::System, Actor::Session(session(2))] {
        assert_eq!(refused(&state, actor, &Command::LogOut), Some(Refusal::NotLoggedIn), "{actor:?}");
    }
    assert!(happens(&state, Actor::Session(session(1)), &Command::LogOut));
}

#[test]
fn an_order_of_as_many_lines_as_there_may_be_is_filled() {
    let state = shop();
    let decided = |lines| decide(&state, NOW, Actor::User(BUYER), &buy(NOW, lines));
    assert!(matches!(decided(ORDER_LINES_MAX), Decision::Happens(Event::Purchased { .. })));
    assert!(matches!(
        decided(ORDER_LINES_MAX + 1),
        Decision::Happens(Event::PurchaseRefused { refusal: Refusal::TooManyLines { lines: 1_025 }, .. })
    ));
}

#[test]
fn a_key_may_be_a_minute_ahead_and_no_more() {
    let state = shop();
    let last = NOW.plus_micros(ORDER_KEY_FUTURE_US_MAX);
    assert!(happens(&state, Actor::User(BUYER), &buy(last, 1)));
    let beyond = buy(last.plus_micros(1_000), 1);
    assert_eq!(refused(&state, Actor::User(BUYER), &beyond), Some(Refusal::KeyFromFuture));
}
