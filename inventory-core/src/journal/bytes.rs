//! The bytes of an event and of the values in it, in groups and in snapshots alike.
//!
//! Integers are little-endian. A text is its length in two bytes, then UTF-8. An optional amount of money is
//! eight bytes, −1 for none (prices and totals are never negative); a balance is eight bytes, signed; a floor is a flag, and eight
//! bytes, signed, if there is one. An event is one byte of kind, eight bytes of
//! time, then its fields in the order of their declaration in [`Event`]; kinds and refusal codes are permanent.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{Buf, BufMut};

use crate::bulk::{BulkOutcome, BulkRows, RowCodes};
use crate::column;
use crate::command::Role;
use crate::entry::{EntriesOutcome, Entry, EntryRows, NameColumn, PostedEntry};
use crate::event::{Charge, Event, Line, OrderDigest, Record};
use crate::id::{AccountId, ItemId, LocationId, OrderKey, SessionId, Upc, UserId, Version};
use crate::limits::{BULK_ROWS_MAX, ENTRIES_BATCH_MAX, ORDER_LINES_MAX};
use crate::money::Money;
use crate::one_or_many::OneOrMany;
use crate::quantity::Units;
use crate::refusal::{Refusal, Shortage};
use crate::returns::{Refund, Returned};
use crate::time::Time;

/// Why bytes cannot be read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformed {
    /// They end too early.
    #[error("the bytes end too early")]
    Truncated,
    /// There are more than there should be.
    #[error("there are bytes behind the end")]
    TrailingBytes,
    /// A kind of event that this program does not know.
    #[error("event kind {0} is unknown to this program")]
    UnknownKind(u8),
    /// A value outside its range.
    #[error("a {0} is out of range")]
    OutOfRange(&'static str),
}

impl From<bytes::TryGetError> for Malformed {
    fn from(_: bytes::TryGetError) -> Self {
        Self::Truncated
    }
}

mod kind {
    pub(super) const ITEM_DEFINED: u8 = 1;
    pub(super) const INITIAL_LEVEL_SET: u8 = 2;
    pub(super) const USER_ADDED: u8 = 3;
    pub(super) const LOGGED_IN: u8 = 4;
    pub(super) const LOGGED_OUT: u8 = 5;
    pub(super) const PURCHASED: u8 = 6;
    pub(super) const PURCHASE_REFUSED: u8 = 7;
    pub(super) const BULK_PURCHASED: u8 = 8;
    pub(super) const PURCHASE_CHARGED: u8 = 9;
    pub(super) const POSTED: u8 = 10;
    pub(super) const BULK_POSTED: u8 = 11;
    pub(super) const POST_REFUSED: u8 = 12;
    pub(super) const FLOOR_SET: u8 = 13;
    /// A purchase of several lines that says what each cost; of one line, and of several before format 4, it is the other kind.
    pub(super) const LINES_CHARGED: u8 = 14;
    pub(super) const RETURNED: u8 = 15;
    pub(super) const RETURN_REFUSED: u8 = 16;
}

pub(super) fn encode_record(to: &mut Vec<u8>, record: &Record) {
    let mut begin = |kind: u8| {
        to.put_u8(kind);
        to.put_u64_le(record.at.as_micros());
    };
    match &record.event {
        Event::ItemDefined { by, upc, name, price } => {
            begin(kind::ITEM_DEFINED);
            to.put_u32_le(by.0);
            to.put_u64_le(upc.get());
            put_text(to, name);
            put_money(to, *price);
        }
        Event::InitialLevelSet { by, item, location, units } => {
            begin(kind::INITIAL_LEVEL_SET);
            to.put_u32_le(by.0);
            put_line(to, &Line { item: *item, location: *location, units: *units });
        }
        Event::UserAdded { by, name, password_hash, role } => {
            begin(kind::USER_ADDED);
            to.put_u32_le(by.0);
            put_text(to, name);
            put_text(to, password_hash);
            put_role(to, *role);
        }
        Event::LoggedIn { user, session, displaced } => {
            begin(kind::LOGGED_IN);
            to.put_u32_le(user.0);
            to.put_slice(&session.0);
            to.put_u8(u8::from(displaced.is_some()));
            to.put_slice(displaced.as_ref().map_or(&[], |displaced| &displaced.0));
        }
        Event::LoggedOut { session } => {
            begin(kind::LOGGED_OUT);
            to.put_slice(&session.0);
        }
        Event::Purchased { key, user, digest, lines, total } => {
            begin(kind::PURCHASED);
            put_order(to, *key, *user, *digest);
            put_lines(to, lines);
            put_money(to, *total);
        }
        Event::BulkPurchased { key, user, digest, location, total, rows } => {
            begin(kind::BULK_PURCHASED);
            put_order(to, *key, *user, *digest);
            to.put_u16_le(location.0);
            put_money(to, *total);
            put_rows(to, rows);
        }
        Event::PurchaseRefused { key, user, digest, refusal } => {
            begin(kind::PURCHASE_REFUSED);
            put_order(to, *key, *user, *digest);
            put_refusal(to, refusal);
        }
        Event::PurchaseCharged { key, user, digest, lines, charge } => {
            let is_by_line = !charge.amounts.is_empty();
            begin(if is_by_line { kind::LINES_CHARGED } else { kind::PURCHASE_CHARGED });
            put_order(to, *key, *user, *digest);
            put_charge(to, lines, charge);
        }
        Event::Returned { key, user, digest, returned } => {
            begin(kind::RETURNED);
            put_order(to, *key, *user, *digest);
            put_returned(to, returned);
        }
        Event::ReturnRefused { key, user, digest, refusal } => {
            begin(kind::RETURN_REFUSED);
            put_order(to, *key, *user, *digest);
            put_refusal(to, refusal);
        }
        Event::Posted { key, user, digest, posted, added } => {
            begin(kind::POSTED);
            put_order(to, *key, *user, *digest);
            put_posted(to, posted);
            to.put_u8(u8::try_from(added.len()).unwrap_or(u8::MAX));
            added.iter().for_each(|name| put_text(to, name));
        }
        Event::BulkPosted { key, user, digest, rows } => {
            begin(kind::BULK_POSTED);
            put_order(to, *key, *user, *digest);
            put_entry_rows(to, rows);
        }
        Event::PostRefused { key, user, digest, refusal } => {
            begin(kind::POST_REFUSED);
            put_order(to, *key, *user, *digest);
            put_refusal(to, refusal);
        }
        Event::FloorSet { by, account, floor } => {
            begin(kind::FLOOR_SET);
            to.put_u32_le(by.0);
            to.put_u32_le(account.0);
            put_floor(to, *floor);
        }
    }
}

pub(super) fn decode_record(from: &mut &[u8]) -> Result<Record, Malformed> {
    let kind = from.try_get_u8()?;
    let at = Time::from_micros(from.try_get_u64_le()?);
    let event = match kind {
        kind::ITEM_DEFINED => {
            let by = UserId(from.try_get_u32_le()?);
            let (upc, name, price) = (get_upc(from)?, get_text(from)?, get_money(from)?);
            Event::ItemDefined { by, upc, name, price }
        }
        kind::INITIAL_LEVEL_SET => {
            let by = UserId(from.try_get_u32_le()?);
            let Line { item, location, units } = get_line(from)?;
            Event::InitialLevelSet { by, item, location, units }
        }
        kind::USER_ADDED => {
            let by = UserId(from.try_get_u32_le()?);
            let (name, password_hash, role) = (get_text(from)?, get_text(from)?, get_role(from)?);
            Event::UserAdded { by, name, password_hash, role }
        }
        kind::LOGGED_IN => {
            let user = UserId(from.try_get_u32_le()?);
            let session = get_session(from)?;
            let displaced = if get_flag(from)? { Some(get_session(from)?) } else { None };
            Event::LoggedIn { user, session, displaced }
        }
        kind::LOGGED_OUT => Event::LoggedOut { session: get_session(from)? },
        kind::PURCHASED => {
            let (key, user, digest) = get_order(from)?;
            let (lines, total) = (get_lines(from)?, get_money(from)?);
            Event::Purchased { key, user, digest, lines, total }
        }
        kind::BULK_PURCHASED => {
            let (key, user, digest) = get_order(from)?;
            let (location, total) = (LocationId(from.try_get_u16_le()?), get_money(from)?);
            let rows = Arc::new(get_rows(from)?);
            Event::BulkPurchased { key, user, digest, location, total, rows }
        }
        kind::PURCHASE_REFUSED => {
            let (key, user, digest) = get_order(from)?;
            Event::PurchaseRefused {
                key,
                user,
                digest,
                refusal: get_refusal_of(from, |why| !is_of_returns(why))?,
            }
        }
        other => decode_account_event(other, from)?,
    };
    Ok(Record { at, event })
}

/// Apart, so that the others cost no more for it.
#[inline(never)]
fn decode_account_event(kind: u8, from: &mut &[u8]) -> Result<Event, Malformed> {
    Ok(match kind {
        kind::PURCHASE_CHARGED | kind::LINES_CHARGED => {
            let (key, user, digest) = get_order(from)?;
            let (lines, charge) = get_charge(from, kind == kind::LINES_CHARGED)?;
            Event::PurchaseCharged { key, user, digest, lines, charge: Box::new(charge) }
        }
        kind::RETURNED => {
            let (key, user, digest) = get_order(from)?;
            Event::Returned { key, user, digest, returned: Box::new(get_returned(from)?) }
        }
        kind::RETURN_REFUSED => {
            let (key, user, digest) = get_order(from)?;
            Event::ReturnRefused { key, user, digest, refusal: get_refusal_of(from, can_be_of_return)? }
        }
        kind::POSTED => {
            let (key, user, digest) = get_order(from)?;
            let posted = Box::new(get_posted(from)?);
            let count = from.try_get_u8()?;
            let added = (0..count).map(|_| get_text(from)).collect::<Result<_, _>>()?;
            Event::Posted { key, user, digest, posted, added }
        }
        kind::BULK_POSTED => {
            let (key, user, digest) = get_order(from)?;
            Event::BulkPosted { key, user, digest, rows: Arc::new(get_entry_rows(from)?) }
        }
        kind::POST_REFUSED => {
            let (key, user, digest) = get_order(from)?;
            Event::PostRefused {
                key,
                user,
                digest,
                refusal: get_refusal_of(from, |why| !is_of_returns(why))?,
            }
        }
        kind::FLOOR_SET => {
            let (by, account) = (UserId(from.try_get_u32_le()?), AccountId(from.try_get_u32_le()?));
            Event::FloorSet { by, account, floor: get_floor(from)? }
        }
        unknown => return Err(Malformed::UnknownKind(unknown)),
    })
}

pub(super) fn put_text(to: &mut Vec<u8>, text: &str) {
    debug_assert!(u16::try_from(text.len()).is_ok(), "texts are bounded where they enter");
    to.put_u16_le(u16::try_from(text.len()).unwrap_or(u16::MAX));
    to.put_slice(text.as_bytes());
}

pub(super) fn get_text(from: &mut &[u8]) -> Result<Box<str>, Malformed> {
    get_str(from).map(Box::from)
}

/// A text, left where it is.
pub(super) fn get_str<'a>(from: &mut &'a [u8]) -> Result<&'a str, Malformed> {
    let length = usize::from(from.try_get_u16_le()?);
    core::str::from_utf8(get_slice(from, length)?).map_err(|_| Malformed::OutOfRange("text"))
}

pub(super) fn put_money(to: &mut Vec<u8>, amount: Option<Money>) {
    to.put_i64_le(amount.map_or(-1, Money::minor));
}

pub(super) fn get_money(from: &mut &[u8]) -> Result<Option<Money>, Malformed> {
    match from.try_get_i64_le()? {
        -1 => Ok(None),
        minor if minor >= 0 => Ok(Some(Money::from_minor(minor))),
        _ => Err(Malformed::OutOfRange("price")),
    }
}

pub(super) fn put_role(to: &mut Vec<u8>, role: Role) {
    to.put_u8(match role {
        Role::Buyer => 0,
        Role::Administrator => 1,
    });
}

pub(super) fn get_role(from: &mut &[u8]) -> Result<Role, Malformed> {
    match from.try_get_u8()? {
        0 => Ok(Role::Buyer),
        1 => Ok(Role::Administrator),
        _ => Err(Malformed::OutOfRange("role")),
    }
}

pub(super) fn get_flag(from: &mut &[u8]) -> Result<bool, Malformed> {
    match from.try_get_u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::OutOfRange("flag")),
    }
}

pub(super) fn get_upc(from: &mut &[u8]) -> Result<Upc, Malformed> {
    Upc::new(from.try_get_u64_le()?).map_err(|_| Malformed::OutOfRange("UPC"))
}

pub(super) fn get_units(from: &mut &[u8]) -> Result<Units, Malformed> {
    Units::new(from.try_get_u64_le()?).ok_or(Malformed::OutOfRange("quantity"))
}

pub(super) fn get_session(from: &mut &[u8]) -> Result<SessionId, Malformed> {
    get_array(from).map(SessionId)
}

pub(super) fn get_array<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], Malformed> {
    let (array, rest) = from.split_first_chunk().ok_or(Malformed::Truncated)?;
    *from = rest;
    Ok(*array)
}

pub(super) fn put_order(to: &mut Vec<u8>, key: OrderKey, user: UserId, digest: OrderDigest) {
    to.put_slice(&key.to_bytes());
    to.put_u32_le(user.0);
    to.put_u64_le(digest.0);
}

#[inline]
pub(super) fn get_order(from: &mut &[u8]) -> Result<(OrderKey, UserId, OrderDigest), Malformed> {
    Ok((get_key(from)?, UserId(from.try_get_u32_le()?), OrderDigest(from.try_get_u64_le()?)))
}

#[inline]
pub(super) fn get_key(from: &mut &[u8]) -> Result<OrderKey, Malformed> {
    OrderKey::from_bytes(get_array(from)?).map_err(|_| Malformed::OutOfRange("key"))
}

fn put_line(to: &mut Vec<u8>, line: &Line) {
    to.put_u32_le(line.item.0);
    to.put_u16_le(line.location.0);
    to.put_u64_le(line.units.get());
}

#[inline]
fn get_line(from: &mut &[u8]) -> Result<Line, Malformed> {
    let (item, location) = (ItemId(from.try_get_u32_le()?), LocationId(from.try_get_u16_le()?));
    Ok(Line { item, location, units: get_units(from)? })
}

pub(super) fn put_lines(to: &mut Vec<u8>, lines: &[Line]) {
    put_count(to, lines.len());
    for line in lines {
        put_line(to, line);
    }
}

/// In place for one line, which most purchases have.
#[inline]
pub(super) fn get_lines(from: &mut &[u8]) -> Result<OneOrMany<Line>, Malformed> {
    match get_count(from)? {
        1 => get_line(from).map(OneOrMany::One),
        count => get_many_lines(from, count),
    }
}

#[inline(never)]
fn get_many_lines(from: &mut &[u8], count: usize) -> Result<OneOrMany<Line>, Malformed> {
    (0..count).map(|_| get_line(from)).collect()
}

/// Lines, account and total, and what each line cost if that is said.
pub(super) fn put_charge(to: &mut Vec<u8>, lines: &[Line], charge: &Charge) {
    put_lines(to, lines);
    to.put_u32_le(charge.account.0);
    to.put_i64_le(charge.total.minor());
    charge.amounts.iter().for_each(|amount| to.put_i64_le(amount.minor()));
}

/// `is_by_line` says that the amount of each line follows: there are several. Apart, so that the lines of a purchase are read in
/// place.
#[inline(never)]
pub(super) fn get_charge(from: &mut &[u8], is_by_line: bool) -> Result<(OneOrMany<Line>, Charge), Malformed> {
    let (lines, account, total) = (get_lines(from)?, AccountId(from.try_get_u32_le()?), get_amount(from)?);
    if is_by_line && lines.len() < 2 {
        return Err(Malformed::OutOfRange("number of lines"));
    }
    let count = if is_by_line { lines.len() } else { 0 };
    let amounts = (0..count).map(|_| get_amount(from)).collect::<Result<_, _>>()?;
    Ok((lines, Charge { account, total, amounts }))
}

/// The order's key, the version of its purchase, the lines, a flag, and the account and amount of the refund if there is one.
pub(super) fn put_returned(to: &mut Vec<u8>, returned: &Returned) {
    let Returned { order, purchased, lines, refund } = returned;
    to.put_slice(&order.to_bytes());
    to.put_u64_le(purchased.0);
    put_lines(to, lines);
    to.put_u8(u8::from(refund.is_some()));
    if let Some(Refund { account, amount }) = refund {
        to.put_u32_le(account.0);
        to.put_i64_le(amount.minor());
    }
}

#[inline(never)]
pub(super) fn get_returned(from: &mut &[u8]) -> Result<Returned, Malformed> {
    let (order, purchased, lines) = (get_key(from)?, Version(from.try_get_u64_le()?), get_lines(from)?);
    let refund = if get_flag(from)? {
        Some(Refund { account: AccountId(from.try_get_u32_le()?), amount: get_amount(from)? })
    } else {
        None
    };
    Ok(Returned { order, purchased, lines, refund })
}

/// The entry's kind, its account or accounts and its amount, then the balance of each account.
pub(super) fn put_posted(to: &mut Vec<u8>, posted: &PostedEntry) {
    let PostedEntry { entry, balance, counterpart_balance } = posted;
    to.put_u8(match entry {
        Entry::Credit { .. } => 0,
        Entry::Debit { .. } => 1,
        Entry::Transfer { .. } => 2,
    });
    to.put_u32_le(entry.account().0);
    entry.counterpart().into_iter().for_each(|counterpart| to.put_u32_le(counterpart.0));
    to.put_i64_le(entry.amount().minor());
    to.put_i64_le(balance.minor());
    if let Some(balance) = counterpart_balance {
        to.put_i64_le(balance.minor());
    }
}

pub(super) fn get_posted(from: &mut &[u8]) -> Result<PostedEntry, Malformed> {
    let kind = from.try_get_u8()?;
    let account = AccountId(from.try_get_u32_le()?);
    let entry = match kind {
        0 => Entry::Credit { account, amount: get_amount(from)? },
        1 => Entry::Debit { account, amount: get_amount(from)? },
        2 => Entry::Transfer {
            from: account,
            to: AccountId(from.try_get_u32_le()?),
            amount: get_amount(from)?,
        },
        _ => return Err(Malformed::OutOfRange("kind of entry")),
    };
    let balance = get_balance(from)?;
    let counterpart_balance = entry.counterpart().map(|_| get_balance(from)).transpose()?;
    Ok(PostedEntry { entry, balance, counterpart_balance })
}

/// An amount of an entry or a charge: never negative.
fn get_amount(from: &mut &[u8]) -> Result<Money, Malformed> {
    let amount = Some(get_balance(from)?);
    amount.filter(|amount| *amount >= Money::ZERO).ok_or(Malformed::OutOfRange("amount"))
}

pub(super) fn get_balance(from: &mut &[u8]) -> Result<Money, Malformed> {
    Ok(Money::from_minor(from.try_get_i64_le()?))
}

pub(super) fn put_floor(to: &mut Vec<u8>, floor: Option<Money>) {
    to.put_u8(u8::from(floor.is_some()));
    if let Some(floor) = floor {
        to.put_i64_le(floor.minor());
    }
}

pub(super) fn get_floor(from: &mut &[u8]) -> Result<Option<Money>, Malformed> {
    let floor = if get_flag(from)? { Some(get_balance(from)?) } else { None };
    // The least amount stands for no floor.
    if floor.is_some_and(|floor| floor.minor() == i64::MIN) {
        return Err(Malformed::OutOfRange("floor"));
    }
    Ok(floor)
}

fn put_entry_rows(to: &mut Vec<u8>, rows: &EntryRows) {
    put_row_count(to, rows.accounts().len());
    put_codes(to, rows.codes());
    column::write(rows.accounts(), |account| account.0.to_le_bytes(), |block| to.put_slice(block));
    column::write(rows.amounts(), i64::to_le_bytes, |block| to.put_slice(block));
    to.put_u32_le(to_u32(rows.added().len()));
    for name in rows.added().iter() {
        to.put_u16_le(u16::try_from(name.len()).unwrap_or(u16::MAX));
        to.put_slice(name);
    }
}

fn get_entry_rows(from: &mut &[u8]) -> Result<EntryRows, Malformed> {
    let count = get_row_count(from, ENTRIES_BATCH_MAX)?;
    let codes = get_entry_codes(from, count)?;
    let accounts = get_column(from, count, |bytes| AccountId(u32::from_le_bytes(bytes)))?;
    let amounts = get_column(from, count, i64::from_le_bytes)?;
    let mut added = NameColumn::default();
    for _ in 0..from.try_get_u32_le()? {
        if !added.push(get_str(from)?.as_bytes()) {
            return Err(Malformed::OutOfRange("number of accounts"));
        }
    }
    EntryRows::new(accounts, amounts, codes, added).ok_or(Malformed::OutOfRange("row"))
}

pub(super) fn put_entries_outcome(to: &mut Vec<u8>, outcome: &EntriesOutcome) {
    to.put_u32_le(outcome.rows);
    put_codes(to, &outcome.codes);
}

pub(super) fn get_entries_outcome(from: &mut &[u8]) -> Result<EntriesOutcome, Malformed> {
    let count = get_row_count(from, ENTRIES_BATCH_MAX)?;
    let codes = get_entry_codes(from, count)?;
    let accepted = (0..count).filter(|row| codes.get(*row) == RowCodes::ACCEPTED).count();
    Ok(EntriesOutcome { rows: to_u32(count), accepted_rows: to_u32(accepted), codes })
}

fn put_rows(to: &mut Vec<u8>, rows: &BulkRows) {
    put_row_count(to, rows.items().len());
    put_codes(to, rows.codes());
    column::write(rows.items(), |item| item.0.to_le_bytes(), |block| to.put_slice(block));
    column::write(rows.units(), u32::to_le_bytes, |block| to.put_slice(block));
    column::write(rows.unknown(), |upc| upc.get().to_le_bytes(), |block| to.put_slice(block));
}

fn get_rows(from: &mut &[u8]) -> Result<BulkRows, Malformed> {
    let count = get_row_count(from, BULK_ROWS_MAX)?;
    let codes = get_codes(from, count)?;
    let items = get_column(from, count, |bytes| ItemId(u32::from_le_bytes(bytes)))?;
    let units = get_column(from, count, u32::from_le_bytes)?;
    let unknown = items.iter().filter(|item| **item == BulkRows::NO_ITEM).count();
    let unknown = get_column(from, unknown, u64::from_le_bytes)?;
    let unknown: Result<Vec<_>, _> = unknown.into_iter().map(Upc::new).collect();
    let unknown = unknown.map_err(|_| Malformed::OutOfRange("UPC"))?;
    BulkRows::new(items, units, codes, unknown).ok_or(Malformed::OutOfRange("row"))
}

pub(super) fn put_bulk_outcome(to: &mut Vec<u8>, outcome: &BulkOutcome) {
    let BulkOutcome { rows, accepted_rows, units, total, codes } = outcome;
    to.put_u32_le(*rows);
    put_codes(to, codes);
    to.put_u32_le(*accepted_rows);
    to.put_u64_le(units.get());
    put_money(to, *total);
}

pub(super) fn get_bulk_outcome(from: &mut &[u8]) -> Result<BulkOutcome, Malformed> {
    let count = get_row_count(from, BULK_ROWS_MAX)?;
    let codes = get_codes(from, count)?;
    let accepted = (0..count).filter(|row| codes.get(*row) == RowCodes::ACCEPTED).count();
    let (rows, accepted_rows) = (to_u32(count), from.try_get_u32_le()?);
    if accepted_rows != to_u32(accepted) {
        return Err(Malformed::OutOfRange("number of accepted rows"));
    }
    Ok(BulkOutcome { rows, accepted_rows, units: get_units(from)?, total: get_money(from)?, codes })
}

fn put_row_count(to: &mut Vec<u8>, count: usize) {
    debug_assert!(
        (1..=BULK_ROWS_MAX.max(ENTRIES_BATCH_MAX)).contains(&count),
        "the number of rows was checked"
    );
    to.put_u32_le(to_u32(count));
}

fn get_row_count(from: &mut &[u8], count_max: usize) -> Result<usize, Malformed> {
    let count = usize::try_from(from.try_get_u32_le()?).ok();
    count.filter(|count| (1..=count_max).contains(count)).ok_or(Malformed::OutOfRange("number of rows"))
}

/// A flag, and the codes if not all rows were accepted.
fn put_codes(to: &mut Vec<u8>, codes: &RowCodes) {
    to.put_u8(u8::from(!codes.are_all_accepted()));
    to.put_slice(codes.bytes());
}

fn get_codes(from: &mut &[u8], count: usize) -> Result<RowCodes, Malformed> {
    get_codes_as(from, count, RowCodes::new)
}

fn get_entry_codes(from: &mut &[u8], count: usize) -> Result<RowCodes, Malformed> {
    get_codes_as(from, count, RowCodes::of_entries)
}

fn get_codes_as(
    from: &mut &[u8],
    count: usize,
    codes_of: impl Fn(Vec<u8>) -> Option<RowCodes>,
) -> Result<RowCodes, Malformed> {
    if !get_flag(from)? {
        return Ok(RowCodes::default());
    }
    let codes = codes_of(get_slice(from, count)?.to_vec());
    codes.filter(|codes| !codes.are_all_accepted()).ok_or(Malformed::OutOfRange("row code"))
}

fn get_column<T, const N: usize>(
    from: &mut &[u8],
    count: usize,
    value: impl Fn([u8; N]) -> T,
) -> Result<Vec<T>, Malformed> {
    let values = column::read(get_slice(from, count.saturating_mul(N))?).unwrap_or_default();
    Ok(values.iter().map(|bytes| value(*bytes)).collect())
}

fn get_slice<'a>(from: &mut &'a [u8], length: usize) -> Result<&'a [u8], Malformed> {
    let (slice, rest) = from.split_at_checked(length).ok_or(Malformed::Truncated)?;
    *from = rest;
    Ok(slice)
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Lists of an order are never longer than its lines.
fn put_count(to: &mut Vec<u8>, count: usize) {
    debug_assert!(count <= ORDER_LINES_MAX, "the number of lines was checked");
    to.put_u16_le(u16::try_from(count).unwrap_or(u16::MAX));
}

fn get_count(from: &mut &[u8]) -> Result<usize, Malformed> {
    let count = usize::from(from.try_get_u16_le()?);
    if count > ORDER_LINES_MAX { Err(Malformed::OutOfRange("number of lines")) } else { Ok(count) }
}

/// Only refusals that are outcomes of an order, return or posting are ever recorded: codes 20 to 29 and, of a return, those that
/// are about its order.
pub(super) fn put_refusal(to: &mut Vec<u8>, refusal: &Refusal) {
    to.put_u16_le(refusal.code());
    match refusal {
        Refusal::UnknownItem { upc }
        | Refusal::ZeroQuantity { upc }
        | Refusal::Overflow { upc }
        | Refusal::Unpriced { upc } => to.put_u64_le(upc.get()),
        Refusal::InsufficientFunds { account, short_by } => {
            put_text(to, account);
            to.put_i64_le(short_by.minor());
        }
        Refusal::BalanceOutOfRange { account } | Refusal::UnknownAccount { account } => put_text(to, account),
        Refusal::TooManyLines { lines } => to.put_u32_le(*lines),
        Refusal::InsufficientStock { shortages } | Refusal::ExceedsPurchase { shortages } => {
            put_count(to, shortages.len());
            for short in shortages {
                to.put_u64_le(short.upc.get());
                to.put_u16_le(short.location.0);
                to.put_u64_le(short.requested.get());
                to.put_u64_le(short.available.get());
            }
        }
        Refusal::EmptyOrder
        | Refusal::UnknownOrder
        | Refusal::OutcomeNotKept
        | Refusal::NotReturnable
        | Refusal::TableFull => {}
        other => debug_assert!(false, "{other:?} is no outcome of an order"),
    }
}

/// A refusal that can be the outcome of this kind of event.
fn get_refusal_of(from: &mut &[u8], is_possible: impl Fn(&Refusal) -> bool) -> Result<Refusal, Malformed> {
    let refusal = get_refusal(from)?;
    if is_possible(&refusal) { Ok(refusal) } else { Err(Malformed::OutOfRange("refusal of this event")) }
}

/// Whether only a return can be refused so.
const fn is_of_returns(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::UnknownOrder
            | Refusal::OutcomeNotKept
            | Refusal::NotReturnable
            | Refusal::TableFull
            | Refusal::ExceedsPurchase { .. }
    )
}

fn can_be_of_return(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::ExceedsPurchase { shortages } => !shortages.is_empty(),
        Refusal::ZeroQuantity { .. }
        | Refusal::TooManyLines { .. }
        | Refusal::Overflow { .. }
        | Refusal::BalanceOutOfRange { .. } => true,
        other => is_of_returns(other),
    }
}

pub(super) fn get_refusal(from: &mut &[u8]) -> Result<Refusal, Malformed> {
    match from.try_get_u16_le()? {
        20 => Ok(Refusal::UnknownItem { upc: get_upc(from)? }),
        21 => Ok(Refusal::InsufficientStock { shortages: get_shortages(from)? }),
        22 => Ok(Refusal::ZeroQuantity { upc: get_upc(from)? }),
        23 => Ok(Refusal::Overflow { upc: get_upc(from)? }),
        24 => Ok(Refusal::TooManyLines { lines: from.try_get_u32_le()? }),
        25 => Ok(Refusal::EmptyOrder),
        26 => Ok(Refusal::InsufficientFunds { account: get_text(from)?, short_by: get_amount(from)? }),
        27 => Ok(Refusal::BalanceOutOfRange { account: get_text(from)? }),
        28 => Ok(Refusal::Unpriced { upc: get_upc(from)? }),
        29 => Ok(Refusal::UnknownAccount { account: get_text(from)? }),
        33 => Ok(Refusal::UnknownOrder),
        34 => Ok(Refusal::OutcomeNotKept),
        35 => Ok(Refusal::ExceedsPurchase { shortages: get_shortages(from)? }),
        36 => Ok(Refusal::NotReturnable),
        44 => Ok(Refusal::TableFull),
        _ => Err(Malformed::OutOfRange("refusal code")),
    }
}

fn get_shortages(from: &mut &[u8]) -> Result<Box<[Shortage]>, Malformed> {
    let count = get_count(from)?;
    (0..count).map(|_| get_shortage(from)).collect()
}

fn get_shortage(from: &mut &[u8]) -> Result<Shortage, Malformed> {
    let (upc, location) = (get_upc(from)?, LocationId(from.try_get_u16_le()?));
    Ok(Shortage { upc, location, requested: get_units(from)?, available: get_units(from)? })
}
