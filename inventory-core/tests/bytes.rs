//! The bytes of groups: every kind of event comes back as it went, and bytes that no engine writes are refused
//! with the reason.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use inventory_core::journal::{GROUP_FORMAT, Group, GroupBuilder, GroupError, Malformed};
use inventory_core::limits::{BULK_ROWS_MAX, GROUP_BYTES_MAX, ORDER_LINES_MAX, UNITS_MAX, UPC_MAX};
use inventory_core::{
    AccountId, AppendId, BulkRows, Charge, Event, Hash, ItemId, Line, LocationId, Money, OrderDigest,
    OrderKey, Record, Refund, Refusal, Returned, Role, RowCodes, SessionId, Shortage, Time, Units, Upc,
    UserId, Version,
};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
/// Where the first event begins, and where its fields do, behind its kind and its time.
const EVENT: usize = 64;
const FIELDS: usize = EVENT + 9;

/// What is done to the bytes of a group.
type Change<'a> = &'a dyn Fn(&mut Vec<u8>);

fn upc() -> Upc {
    Upc::new(1).unwrap()
}

fn units(number: u64) -> Units {
    Units::new(number).unwrap()
}

fn group(events: &[Event]) -> Group {
    let mut group = GroupBuilder::new(Version(7));
    for event in events {
        group.push(&Record { at: NOW, event: event.clone() });
    }
    group.seal(AppendId(1), Hash([2; 32])).unwrap()
}

fn define(price: Option<i64>) -> Event {
    let price = price.map(Money::from_minor);
    Event::ItemDefined { by: UserId(1), upc: upc(), name: "soup".into(), price }
}

fn add_user(role: Role) -> Event {
    Event::UserAdded { by: UserId::SYSTEM, name: "alice".into(), password_hash: "hash".into(), role }
}

fn log_in(displaced: Option<SessionId>) -> Event {
    Event::LoggedIn { user: UserId(1), session: SessionId([3; 32]), displaced }
}

fn set_level() -> Event {
    Event::InitialLevelSet { by: UserId(1), item: ItemId(0), location: LocationId(2), units: units(9) }
}

fn purchase(lines: usize) -> Event {
    let line = Line { item: ItemId(1), location: LocationId(2), units: units(3) };
    let (key, user, digest) = (OrderKey::from_parts(NOW, 4), UserId(5), OrderDigest(6));
    Event::Purchased { key, user, digest, lines: vec![line; lines].into(), total: None }
}

/// A purchase whose lines cost these amounts; of one line, if none are said.
fn charged(amounts: &[i64]) -> Event {
    let line = Line { item: ItemId(1), location: LocationId(2), units: units(3) };
    let (key, user, digest) = (OrderKey::from_parts(NOW, 4), UserId(5), OrderDigest(6));
    let total = Money::from_minor(amounts.iter().sum());
    let amounts: Box<[Money]> = amounts.iter().map(|amount| Money::from_minor(*amount)).collect();
    let lines = vec![line; amounts.len().max(1)].into();
    let charge = Box::new(Charge { account: AccountId(7), total, amounts });
    Event::PurchaseCharged { key, user, digest, lines, charge }
}

fn returned(lines: usize, refund: Option<i64>) -> Event {
    let line = Line { item: ItemId(1), location: LocationId(2), units: units(3) };
    let (key, user, digest) = (OrderKey::from_parts(NOW, 4), UserId(5), OrderDigest(6));
    let refund = refund.map(|amount| Refund { account: AccountId(7), amount: Money::from_minor(amount) });
    let (order, purchased, lines) = (OrderKey::from_parts(NOW, 8), Version(3), vec![line; lines].into());
    let returned = Box::new(Returned { order, purchased, lines, refund });
    Event::Returned { key, user, digest, returned }
}

fn refuse_return(refusal: Refusal) -> Event {
    let (key, user, digest) = (OrderKey::from_parts(NOW, 4), UserId(5), OrderDigest(6));
    Event::ReturnRefused { key, user, digest, refusal }
}

fn refuse(refusal: Refusal) -> Event {
    let (key, user, digest) = (OrderKey::from_parts(NOW, 4), UserId(5), OrderDigest(6));
    Event::PurchaseRefused { key, user, digest, refusal }
}

/// A batch whose last row names an item that does not exist.
fn strange_batch() -> Event {
    let codes = RowCodes::new(vec![RowCodes::ACCEPTED, RowCodes::UNKNOWN_ITEM]).unwrap();
    batch(BulkRows::new([ItemId(0), BulkRows::NO_ITEM], [2, 1], codes, [upc()]).unwrap())
}

/// A batch of so many rows, each of which was accepted.
fn accepted_batch(rows: usize) -> Event {
    batch(BulkRows::new(vec![ItemId(7); rows], vec![3; rows], RowCodes::default(), []).unwrap())
}

fn batch(rows: BulkRows) -> Event {
    let (key, user, digest) = (OrderKey::from_parts(NOW, 4), UserId(5), OrderDigest(6));
    let (location, total, rows) = (LocationId(2), Some(Money::from_minor(70)), rows.into());
    Event::BulkPurchased { key, user, digest, location, total, rows }
}

/// Why the first event of this group cannot be read once its bytes at this place are these.
fn why(event: &Event, at: usize, bytes: &[u8]) -> Option<Malformed> {
    let mut changed = group(std::slice::from_ref(event)).bytes().to_vec();
    changed[at..at + bytes.len()].copy_from_slice(bytes);
    match Group::from_bytes(changed.into()).unwrap().records().next().unwrap() {
        Err(GroupError::Event { after: Version(7), why }) => Some(why),
        _ => None,
    }
}

#[test]
fn every_kind_of_event_is_read_back_as_written() {
    let (upc, location, requested, available) = (upc(), LocationId(3), units(UNITS_MAX), Units::ZERO);
    let left = Shortage { upc, location, requested, available };
    let shortages = [left].into();
    let events = [
        define(None),
        define(Some(0)),
        define(Some(i64::MAX)),
        set_level(),
        add_user(Role::Buyer),
        add_user(Role::Administrator),
        log_in(None),
        log_in(Some(SessionId([4; 32]))),
        Event::LoggedOut { session: SessionId([3; 32]) },
        purchase(1),
        purchase(ORDER_LINES_MAX),
        strange_batch(),
        accepted_batch(1),
        accepted_batch(BULK_ROWS_MAX),
        refuse(Refusal::UnknownItem { upc }),
        refuse(Refusal::InsufficientStock { shortages }),
        refuse(Refusal::ZeroQuantity { upc }),
        refuse(Refusal::Overflow { upc }),
        refuse(Refusal::TooManyLines { lines: 70_000 }),
        refuse(Refusal::EmptyOrder),
        charged(&[]),
        charged(&[9, 0]),
        charged(&vec![i64::MAX / 4_096; ORDER_LINES_MAX]),
        returned(1, None),
        returned(ORDER_LINES_MAX, Some(0)),
        refuse_return(Refusal::UnknownOrder),
        refuse_return(Refusal::OutcomeNotKept),
        refuse_return(Refusal::ExceedsPurchase { shortages: [left].into() }),
        refuse_return(Refusal::NotReturnable),
        refuse_return(Refusal::TableFull),
    ];
    let read_back = Group::from_bytes(group(&events).bytes().clone()).unwrap();
    let read_back: Vec<(Version, Record)> = read_back.records().map(Result::unwrap).collect();
    let written: Vec<(Version, Record)> =
        (8..).zip(events).map(|(version, event)| (Version(version), Record { at: NOW, event })).collect();
    assert_eq!(read_back, written);
}

#[test]
fn a_value_out_of_its_range_is_named() {
    let lines = u16::try_from(ORDER_LINES_MAX + 1).unwrap().to_le_bytes();
    let rows = u32::try_from(BULK_ROWS_MAX + 1).unwrap().to_le_bytes();
    let more_lines = u16::try_from(ORDER_LINES_MAX + 2).unwrap().to_le_bytes();
    for (event, at, bytes, what) in [
        (define(None), FIELDS + 4, &(UPC_MAX + 1).to_le_bytes()[..], "UPC"),
        (define(None), FIELDS + 14, &[0xff], "text"),
        (define(None), FIELDS + 18, &(-2i64).to_le_bytes(), "price"),
        (set_level(), FIELDS + 10, &(UNITS_MAX + 1).to_le_bytes(), "quantity"),
        (add_user(Role::Buyer), FIELDS + 17, &[2], "role"),
        (log_in(None), FIELDS + 36, &[2], "flag"),
        (purchase(1), FIELDS + 6, &[0x40], "key"),
        (purchase(1), FIELDS + 28, &lines, "number of lines"),
        (purchase(1), FIELDS + 28, &more_lines, "number of lines"),
        (strange_batch(), FIELDS + 30, &(-2i64).to_le_bytes(), "price"),
        (strange_batch(), FIELDS + 38, &[0], "number of rows"),
        (strange_batch(), FIELDS + 38, &rows, "number of rows"),
        (strange_batch(), FIELDS + 42, &[2], "flag"),
        (strange_batch(), FIELDS + 43, &[19], "row code"),
        (strange_batch(), FIELDS + 43, &[0, 0], "row code"),
        (strange_batch(), FIELDS + 53, &[0], "row"),
        (strange_batch(), FIELDS + 61, &(UPC_MAX + 1).to_le_bytes(), "UPC"),
        (refuse(Refusal::EmptyOrder), FIELDS + 28, &[30], "refusal code"),
        (refuse_return(Refusal::UnknownOrder), FIELDS + 28, &[32], "refusal code"),
        (charged(&[9, 0]), FIELDS + 28, &[1], "number of lines"),
        (charged(&[9, 0]), FIELDS + 30 + 2 * 14 + 4, &(-1i64).to_le_bytes(), "amount"),
        (charged(&[9, 0]), FIELDS + 30 + 2 * 14 + 12, &(-1i64).to_le_bytes(), "amount"),
        (returned(1, Some(5)), FIELDS + 28 + 6, &[0x40], "key"),
        (returned(1, Some(5)), FIELDS + 28 + 24, &lines, "number of lines"),
        (returned(1, Some(5)), FIELDS + 28 + 26 + 14, &[2], "flag"),
        (returned(1, Some(5)), FIELDS + 28 + 26 + 15 + 4, &(-1i64).to_le_bytes(), "amount"),
    ] {
        assert_eq!(why(&event, at, bytes), Some(Malformed::OutOfRange(what)), "{event:?}");
    }
}

#[test]
fn an_event_of_an_unknown_kind_or_length_is_named() {
    assert_eq!(why(&define(None), EVENT, &[255]), Some(Malformed::UnknownKind(255)));
    assert_eq!(why(&define(None), EVENT, &[0]), Some(Malformed::UnknownKind(0)));
    assert_eq!(why(&define(None), FIELDS + 12, &[200]), Some(Malformed::Truncated));
    assert_eq!(why(&strange_batch(), FIELDS + 38, &[3]), Some(Malformed::Truncated));
}

#[test]
fn bytes_behind_the_last_event_are_named_after_it() {
    let mut bytes = group(&[define(None)]).bytes().to_vec();
    bytes.push(0);
    let group = Group::from_bytes(bytes.into()).unwrap();
    let mut records = group.records();
    assert!(records.next().unwrap().is_ok());
    let trailing = GroupError::Event { after: Version(8), why: Malformed::TrailingBytes };
    assert_eq!(records.next(), Some(Err(trailing)));
    assert_eq!(records.next(), None);
}

#[test]
fn a_group_has_a_header_at_least_one_event_and_at_most_so_many_bytes() {
    let whole = group(&[define(None)]).bytes().to_vec();
    let read = |change: Change| {
        let mut bytes = whole.clone();
        change(&mut bytes);
        let size = bytes.len();
        Group::from_bytes(bytes.into()).map(drop).map_err(|why| (why == GroupError::Size(size), why))
    };
    assert_eq!(read(&|bytes| bytes.resize(GROUP_BYTES_MAX, 0)), Ok(()));
    assert_eq!(read(&|bytes| bytes.truncate(EVENT + 1)), Ok(()));
    let no_group: [Change; 6] = [
        &|bytes| bytes.resize(GROUP_BYTES_MAX + 1, 0),
        &|bytes| bytes.resize(GROUP_BYTES_MAX + 2, 0),
        &|bytes| bytes.truncate(EVENT),
        &|bytes| bytes.clear(),
        &|bytes| bytes[2] = 1,
        &|bytes| bytes[4] = 0,
    ];
    for (number, change) in no_group.into_iter().enumerate() {
        assert!(matches!(read(change), Err((true, _))), "{number}");
    }
    for format in [0, GROUP_FORMAT + 1] {
        let other = read(&|bytes| bytes[..2].copy_from_slice(&format.to_le_bytes()));
        assert_eq!(other, Err((false, GroupError::UnknownFormat(format))));
    }
}

#[test]
fn a_group_tells_where_it_stands() {
    let group = group(&[define(None), set_level()]);
    assert_eq!((group.base(), group.events(), group.last()), (Version(7), 2, Version(9)));
    assert_eq!((group.append_id(), group.previous()), (AppendId(1), Hash([2; 32])));
    assert_eq!(group.hash(), Hash::of(group.bytes()));
    assert_eq!(Group::from_bytes(group.bytes().clone()), Ok(group));
}
