//! A snapshot holds the whole state, and bytes whose hash is right are still not believed.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inventory_core::journal::{Malformed, Snapshot, SnapshotError};
use inventory_core::limits::{ORDER_WINDOW_AGE_US, SESSIONS_PER_USER_MAX};
use inventory_core::machine::apply;
use inventory_core::state::{Lookup, State};
use inventory_core::{
    BulkRows, Event, Hash, ItemId, Line, LocationId, OrderDigest, OrderKey, Record, Refusal, Role, RowCodes,
    SessionId, Time, Units, Upc, UserId,
};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const ALICE: UserId = UserId(1);
/// Where the bytes of `shop` hold what the tests change.
const ITEMS: usize = 58;
const UPC: usize = ITEMS + 4;
const SECOND_UPC: usize = UPC + 22;
const SECOND_LEVEL: usize = SECOND_UPC + 23 + 8 + 22;
const USERS: usize = SECOND_LEVEL + 22;
const SESSION_COUNT: usize = USERS + 4 + 2 + 5 + 2 + 1;

fn happen(state: &mut State, at: Time, event: Event) {
    apply(state, &Record { at, event });
}

fn define(code: u64, name: &str) -> Event {
    let upc = Upc::new(code).unwrap();
    Event::ItemDefined { by: UserId::SYSTEM, upc, name: name.into(), price: None }
}

fn set_level(location: u16, number: u64) -> Event {
    let (location, units) = (LocationId(location), Units::new(number).unwrap());
    Event::InitialLevelSet { by: UserId::SYSTEM, item: ItemId(0), location, units }
}

fn refuse(key: OrderKey) -> Event {
    Event::PurchaseRefused { key, user: ALICE, digest: OrderDigest(0), refusal: Refusal::EmptyOrder }
}

fn log_in(number: u8) -> Event {
    Event::LoggedIn { user: ALICE, session: SessionId([number; 32]), displaced: None }
}

/// Soup, bread, soup in two places, and alice with this many sessions.
fn shop(sessions: usize) -> State {
    let mut state = State::new(1);
    let (name, password_hash) = ("alice".into(), "".into());
    let add_alice = Event::UserAdded { by: UserId::SYSTEM, name, password_hash, role: Role::Administrator };
    for event in [define(1, "soup"), define(2, "bread"), set_level(0, 10), set_level(3, 10), add_alice] {
        happen(&mut state, NOW, event);
    }
    for number in 0..sessions {
        happen(&mut state, NOW, log_in(u8::try_from(number).unwrap()));
    }
    state
}

fn snapshot(state: &State) -> Snapshot {
    Snapshot::of(state, Hash([9; 32]))
}

fn restored(state: &State) -> State {
    Snapshot::from_bytes(snapshot(state).bytes().clone()).unwrap().restore(2).unwrap()
}

/// What restoring says once the bytes of a state's snapshot are changed and the hash made right again.
fn refused(state: &State, change: impl Fn(&mut Vec<u8>)) -> Option<Malformed> {
    let mut bytes = snapshot(state).bytes().to_vec();
    bytes.truncate(bytes.len() - 32);
    change(&mut bytes);
    let hash = Hash::of(&bytes);
    bytes.extend(hash.0);
    match Snapshot::from_bytes(bytes.into()).unwrap().restore(1) {
        Err(SnapshotError::Malformed(why)) => Some(why),
        _ => None,
    }
}

#[test]
fn a_snapshot_tells_its_version_and_its_time() {
    let mut state = shop(1);
    let later = NOW.plus_micros(5);
    happen(&mut state, later, define(3, "butter"));
    let snapshot = snapshot(&state);
    assert_eq!((snapshot.tip().version, snapshot.tip().hash), (state.version(), Hash([9; 32])));
    assert_eq!(snapshot.time(), later);
    assert_eq!(restored(&state).now(), later);
}

#[test]
fn outcomes_of_every_kind_are_restored() {
    let mut state = shop(0);
    let key = |random| OrderKey::from_parts(NOW, random);
    let line = Line { item: ItemId(0), location: LocationId(3), units: Units::new(2).unwrap() };
    let (user, digest, location, total) = (ALICE, OrderDigest(1), LocationId::MAIN, None);
    let rows = BulkRows::new([ItemId(0)], [2], RowCodes::default(), []).unwrap().into();
    for event in [
        Event::Purchased { key: key(1), user, digest, lines: vec![line].into(), total },
        refuse(key(2)),
        Event::BulkPurchased { key: key(3), user, digest, location, total, rows },
    ] {
        happen(&mut state, NOW, event);
    }
    assert!(restored(&state).orders().iter().eq(state.orders().iter()));
    assert_eq!(state.orders().len(), 3);
    let last = snapshot(&state).bytes().len() - 32 - (1 + 4 + 1 + 4 + 8 + 8);
    let strange = refused(&state, |bytes| bytes[last] = u8::MAX);
    assert_eq!(strange, Some(Malformed::OutOfRange("kind of outcome")));
}

#[test]
fn items_are_in_the_order_of_their_codes_after_a_restart() {
    let mut state = shop(0);
    happen(&mut state, NOW, define(9, "rice"));
    happen(&mut state, NOW, define(3, "butter"));
    let restored = restored(&state);
    let codes: Vec<u64> = restored.catalogue().sorted_after(None).map(|item| item.upc.get()).collect();
    assert_eq!(codes, [1, 2, 3, 9]);
}

#[test]
fn a_user_may_have_as_many_sessions_as_the_bound_says_in_a_snapshot_too() {
    let state = shop(SESSIONS_PER_USER_MAX);
    assert_eq!(restored(&state).digest(), state.digest());
    for count in [SESSIONS_PER_USER_MAX + 1, SESSIONS_PER_USER_MAX + 2] {
        let count = u8::try_from(count).unwrap();
        let why = refused(&state, |bytes| bytes[SESSION_COUNT] = count);
        assert_eq!(why, Some(Malformed::OutOfRange("number of sessions")));
    }
}

#[test]
fn rows_that_contradict_each_other_are_named() {
    let state = shop(2);
    let change = |at: usize, byte: u8| refused(&state, move |bytes| bytes[at] = byte);
    let named = |what| Some(Malformed::OutOfRange(what));
    assert_eq!(change(SECOND_UPC, 1), named("UPC"), "two items of one code");
    assert_eq!(change(SECOND_LEVEL, 7), named("level"), "of no item");
    assert_eq!(change(SECOND_LEVEL + 4, 0), named("level"), "two levels of one item and location");
    assert_eq!(change(SECOND_LEVEL + 14, 11), named("level"), "more reserved than on hand");
    let twice =
        |bytes: &mut Vec<u8>| bytes.copy_within(SESSION_COUNT + 1..SESSION_COUNT + 33, SESSION_COUNT + 33);
    assert_eq!(refused(&state, twice), named("session"), "one session twice");
    // What is behind the outcomes can only be accounts.
    assert_eq!(refused(&state, |bytes| bytes.push(0)), Some(Malformed::Truncated));
    assert_eq!(refused(&state, |bytes| bytes.extend([0; 4])), named("number of accounts"));
    let account = |name: &[u8], balance: i64, floor: i64| {
        let balance = balance.to_le_bytes().into_iter().chain([1]).chain(floor.to_le_bytes());
        [&[u8::try_from(name.len()).unwrap(), 0], name]
            .concat()
            .into_iter()
            .chain(balance)
            .collect::<Vec<u8>>()
    };
    let accounts = |rows: Vec<Vec<u8>>, rest: &'static [u8]| {
        refused(&state, move |bytes| {
            bytes.extend(u32::try_from(rows.len()).unwrap().to_le_bytes());
            bytes.extend(rows.concat());
            bytes.extend(rest);
        })
    };
    assert_eq!(accounts(vec![account(b"Marc", 5, 5)], &[]), None);
    assert_eq!(accounts(vec![account(b"Marc", 5, 5)], &[0]), Some(Malformed::Truncated));
    let none = accounts(vec![account(b"Marc", 5, 5)], &[0; 4]);
    assert_eq!(none, named("number of returned orders"));
    assert_eq!(accounts(vec![account(b"Marc", 5, 6)], &[]), named("account"), "a floor above the balance");
    assert_eq!(accounts(vec![account(b"Marc", 5, i64::MIN)], &[]), named("floor"));
    assert_eq!(accounts(vec![account(b"no name", 5, 5)], &[]), named("account"));
    assert_eq!(accounts(vec![account(b"Marc", 5, 5); 2], &[]), named("account"), "two of one name");
    assert_eq!(refused(&state, |bytes| bytes.truncate(bytes.len() - 1)), Some(Malformed::Truncated));
}

#[test]
fn rows_of_what_came_back_are_restored_and_those_that_cannot_be_are_named() {
    let state = shop(0);
    let order = OrderKey::from_parts(NOW, 1);
    let line = |item: u32, location: u16, units: u64| {
        [&item.to_le_bytes()[..], &location.to_le_bytes(), &units.to_le_bytes()].concat()
    };
    let row = |lines: &[Vec<u8>]| {
        let count = u16::try_from(lines.len()).unwrap().to_le_bytes();
        [&order.to_bytes()[..], &count, &lines.concat()].concat()
    };
    // Without accounts their number is zero where returns follow.
    let returns = |rows: Vec<Vec<u8>>, rest: &'static [u8]| {
        refused(&state, move |bytes| {
            bytes.extend([0; 4]);
            bytes.extend(u32::try_from(rows.len()).unwrap().to_le_bytes());
            bytes.extend(rows.concat());
            bytes.extend(rest);
        })
    };
    let named = Some(Malformed::OutOfRange("returned order"));
    let (first, second) = (line(0, 0, 1), line(0, 3, 2));
    assert_eq!(returns(vec![row(&[first.clone(), second.clone()])], &[]), None);
    assert_eq!(returns(vec![row(core::slice::from_ref(&first))], &[0]), Some(Malformed::TrailingBytes));
    assert_eq!(returns(vec![row(&[second, first.clone()])], &[]), named, "not in their order");
    assert_eq!(returns(vec![row(&[first.clone(), first.clone()])], &[]), named, "one place twice");
    assert_eq!(returns(vec![row(&[])], &[]), named, "nothing");
    assert_eq!(returns(vec![row(&[line(0, 0, 0)])], &[]), named, "no units");
    assert_eq!(returns(vec![row(&[line(2, 0, 1)])], &[]), named, "of no item");
    assert_eq!(returns(vec![row(core::slice::from_ref(&first)); 2], &[]), named, "one order twice");
}

#[test]
fn what_left_the_window_is_known_to_have_left_also_after_a_restart() {
    let mut state = shop(0);
    let key = |time| OrderKey::from_parts(time, 1);
    let old = key(NOW);
    happen(&mut state, NOW, refuse(old));
    assert_eq!((state.orders().len(), state.orders().is_empty()), (1, false));
    let later = NOW.plus_micros(ORDER_WINDOW_AGE_US + 1_000_000);
    happen(&mut state, later, refuse(key(later)));
    // Asked as of an earlier time, only the floor tells.
    assert_eq!(state.orders().look_up(old, NOW), Lookup::TooOld);
    let restored = restored(&state);
    assert_eq!(restored.orders().look_up(old, NOW), Lookup::TooOld);
    let start = |now| restored.orders().start(now);
    assert_eq!(start(NOW), NOW.plus_micros(1_000_000), "the second behind the last that left");
    assert_eq!(start(later.plus_micros(9_000_000)), NOW.plus_micros(10_000_000), "a day back");
}

#[test]
fn a_state_without_events_is_empty() {
    let state = State::new(1);
    assert!(state.catalogue().is_empty() && state.users().is_empty() && state.orders().is_empty());
    let state = shop(0);
    assert!(!state.catalogue().is_empty() && !state.users().is_empty() && state.orders().is_empty());
    assert_eq!((state.catalogue().len(), state.users().len()), (2, 1));
}
