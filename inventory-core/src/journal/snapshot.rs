//! A snapshot: the whole state at one version, as bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `INVSNAP` and a zero |
//! | 2 | format: 4; 3 had no returns, 2 no accounts, 1 no bulk outcomes |
//! | 8 | version |
//! | 32 | hash of the group that made this version |
//! | 8 | time of the last event |
//! | 4, then each | items in the order of their rows: UPC 8, price 8, name |
//! | 8, then each | levels: item 4, location 2, on hand 8, reserved 8 |
//! | 4, then each | users: name, password hash, role 1, number of sessions 1, the sessions 32 each |
//! | 8 | first second of keys in the outcome window |
//! | 8, then each | outcomes: key 16, user 4, digest 8, version 8, time 8, then 0, lines, total, or 1, refusal, or 2, bulk outcome, or 3, lines, account 4, total 8, or 4, entry and balances, or 5, rows 4, codes, or 6, lines, account 4, total 8, what each line cost 8, or 7, order 16, version 8, lines, refund |
//! | 4, then each | if there are any, or something follows: accounts in the order of their rows: name, balance 8, floor |
//! | 4, then each | if there are any: orders of which something came back, by key: key 16, lines |
//! | 32 | BLAKE3 hash of everything above |
//!
//! Integers, texts, amounts, floors, lines, entries, refunds, codes and refusals are written as in a group.

use alloc::boxed::Box;
use alloc::vec::Vec;

use ::bytes::{Buf, BufMut, Bytes};

use super::Tip;
use super::bytes::{
    Malformed, get_array, get_balance, get_bulk_outcome, get_charge, get_entries_outcome, get_floor, get_key,
    get_lines, get_money, get_order, get_posted, get_refusal, get_returned, get_role, get_session, get_str,
    get_text, get_units, get_upc, put_bulk_outcome, put_charge, put_entries_outcome, put_floor, put_lines,
    put_money, put_order, put_posted, put_refusal, put_returned, put_role, put_text,
};
use crate::defect::{self, Defect};
use crate::entry::account_name;
use crate::id::{AccountId, Hash, ItemId, LocationId, Version};
use crate::limits::SESSIONS_PER_USER_MAX;
use crate::returns::Refund;
use crate::state::{Accounts, Level, Lookup, Outcome, OutcomeRow, Returns, State};
use crate::time::Time;

/// The format that [`Snapshot::of`] writes; those before it are read too.
pub const SNAPSHOT_FORMAT: u16 = 4;

/// The first format with accounts.
const ACCOUNTS_FORMAT: u16 = 3;
/// The first format with returns.
const RETURNS_FORMAT: u16 = 4;

const MAGIC: [u8; 8] = *b"INVSNAP\0";
const HASH_BYTES: usize = 32;
/// Bytes of an item without a name: UPC 8, price 8, length of the name 2.
const ITEM_BYTES_MIN: usize = 18;
/// Magic, format, version, group hash.
const TIP_END: usize = 8 + 2 + 8 + HASH_BYTES;

/// The whole state at one version, as bytes whose hash was checked. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    bytes: Bytes,
    tip: Tip,
}

/// Why bytes are no snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// They do not begin as a snapshot does.
    #[error("this is no snapshot")]
    NotASnapshot,
    /// They are of a format this program does not know.
    #[error(
        "the snapshot is of format {0}; this program knows those up to {SNAPSHOT_FORMAT}: use a newer one"
    )]
    UnknownFormat(u16),
    /// Their hash is not the one they carry.
    #[error("the snapshot's bytes are not those that were written")]
    HashMismatch,
    /// The hash is right and yet they cannot be read.
    #[error("the snapshot cannot be read: {0}")]
    Malformed(#[from] Malformed),
}

impl Snapshot {
    /// The snapshot with these bytes. Checks their hash.
    pub fn from_bytes(bytes: Bytes) -> Result<Self, SnapshotError> {
        let end = bytes.len().checked_sub(HASH_BYTES).ok_or(SnapshotError::NotASnapshot)?;
        let (content, hash) = bytes.split_at_checked(end).ok_or(SnapshotError::NotASnapshot)?;
        let mut head = content.get(..TIP_END).ok_or(SnapshotError::NotASnapshot)?;
        if get_array(&mut head)? != MAGIC {
            return Err(SnapshotError::NotASnapshot);
        }
        let format = head.get_u16_le();
        if !(1..=SNAPSHOT_FORMAT).contains(&format) {
            return Err(SnapshotError::UnknownFormat(format));
        }
        if hash != Hash::of(content).0 {
            return Err(SnapshotError::HashMismatch);
        }
        let tip = Tip { version: Version(head.get_u64_le()), hash: Hash(get_array(&mut head)?) };
        Ok(Self { bytes, tip })
    }

    /// The snapshot of a state; `hash` is that of the group that made its version.
    pub fn of(state: &State, hash: Hash) -> Self {
        let back = u64::from(defect::is(Defect::SnapshotNamesOtherVersion));
        let tip = Tip { version: Version(state.version.0.saturating_sub(back)), hash };
        let mut to = Vec::new();
        to.put_slice(&MAGIC);
        to.put_u16_le(SNAPSHOT_FORMAT);
        to.put_u64_le(tip.version.0);
        to.put_slice(&tip.hash.0);
        put_state(&mut to, state);
        let hash = Hash::of(&to);
        to.put_slice(&hash.0);
        Self { bytes: to.into(), tip }
    }

    /// The bytes, as a journal stores them.
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The end of the journal at which it was taken.
    pub const fn tip(&self) -> Tip {
        self.tip
    }

    /// The time of the last event in it.
    pub fn time(&self) -> Time {
        let mut from = self.bytes.get(TIP_END..).unwrap_or_default();
        Time::from_micros(from.try_get_u64_le().unwrap_or_default())
    }

    /// The state it holds. `hash_seed` is as for [`State::new`].
    pub fn restore(&self, hash_seed: u64) -> Result<State, SnapshotError> {
        let end = self.bytes.len().saturating_sub(HASH_BYTES);
        let mut format = self.bytes.get(MAGIC.len()..).unwrap_or_default();
        let format = format.try_get_u16_le().map_err(Malformed::from)?;
        let mut from = self.bytes.get(TIP_END..end).ok_or(SnapshotError::NotASnapshot)?;
        let mut state = State::new(hash_seed);
        get_state(&mut from, &mut state, format)?;
        state.version = self.tip.version;
        if from.is_empty() { Ok(state) } else { Err(Malformed::TrailingBytes.into()) }
    }
}

impl State {
    /// The BLAKE3 hash of everything in it: equal for equal states, whatever way they came about.
    pub fn digest(&self) -> Hash {
        let mut bytes = Vec::new();
        bytes.put_u64_le(self.version.0);
        put_state(&mut bytes, self);
        Hash::of(&bytes)
    }
}

fn put_state(to: &mut Vec<u8>, state: &State) {
    to.put_u64_le(state.now.as_micros());
    put_length_u32(to, state.catalogue.len());
    for item in state.catalogue.iter() {
        to.put_u64_le(item.upc.get());
        put_money(to, item.price);
        put_text(to, item.name);
    }
    put_length_u64(to, state.stock.iter().count());
    for (item, location, level) in state.stock.iter() {
        to.put_u32_le(item.0);
        to.put_u16_le(location.0);
        to.put_u64_le(level.on_hand.get());
        to.put_u64_le(level.reserved.get());
    }
    put_length_u32(to, state.users.len());
    for (_, user) in state.users.iter() {
        put_text(to, &user.name);
        put_text(to, &user.password_hash);
        put_role(to, user.role);
        to.put_u8(u8::try_from(user.sessions.len()).unwrap_or(u8::MAX));
        user.sessions.iter().for_each(|session| to.put_slice(&session.0));
    }
    to.put_u64_le(state.orders.floor());
    put_length_u64(to, state.orders.len());
    for row in state.orders.iter() {
        put_order(to, row.key, row.user, row.digest);
        to.put_u64_le(row.version.0);
        to.put_u64_le(row.at.as_micros());
        match &row.outcome {
            Outcome::Accepted { lines, total } => {
                to.put_u8(0);
                put_lines(to, lines);
                put_money(to, *total);
            }
            Outcome::Refused(refusal) => {
                to.put_u8(1);
                put_refusal(to, refusal);
            }
            Outcome::Bulk(bulk) => {
                to.put_u8(2);
                put_bulk_outcome(to, bulk);
            }
            Outcome::Charged { lines, charge } => {
                to.put_u8(if charge.amounts.is_empty() { 3 } else { 6 });
                put_charge(to, lines, charge);
            }
            Outcome::Returned(returned) => {
                to.put_u8(7);
                put_returned(to, returned);
            }
            Outcome::Posted(posted) => {
                to.put_u8(4);
                put_posted(to, posted);
            }
            Outcome::Entries(entries) => {
                to.put_u8(5);
                put_entries_outcome(to, entries);
            }
        }
    }
    // So a state without accounts or returns has the bytes, and the digest, that it had before there were any.
    if !state.accounts.is_empty() || !state.returns.is_empty() {
        put_accounts(to, &state.accounts);
    }
    if !state.returns.is_empty() {
        put_returns(to, &state.returns);
    }
}

fn put_returns(to: &mut Vec<u8>, returns: &Returns) {
    put_length_u32(to, returns.len());
    for (order, lines) in returns.iter() {
        to.put_slice(&order.to_bytes());
        put_lines(to, lines);
    }
}

fn put_accounts(to: &mut Vec<u8>, accounts: &Accounts) {
    put_length_u32(to, accounts.len());
    for (_, account) in accounts.iter() {
        put_text(to, account.name());
        to.put_i64_le(account.balance().minor());
        put_floor(to, account.floor());
    }
}

fn get_state(from: &mut &[u8], state: &mut State, format: u16) -> Result<(), Malformed> {
    state.now = Time::from_micros(from.try_get_u64_le()?);
    get_items(from, state)?;
    for _ in 0..from.try_get_u64_le()? {
        get_level(from, state)?;
    }
    for _ in 0..from.try_get_u32_le()? {
        get_user(from, state)?;
    }
    state.orders.set_floor(from.try_get_u64_le()?);
    for _ in 0..from.try_get_u64_le()? {
        let row = get_outcome(from)?;
        if defect::is(Defect::SnapshotLosesOutcomes) {
            continue;
        }
        // Asked at time zero, the window goes by its floor alone: outcomes too old by now may not have left yet.
        if state.orders.look_up(row.key, Time::ZERO) != Lookup::Undecided {
            return Err(Malformed::OutOfRange("key"));
        }
        state.orders.record(row);
    }
    if format >= ACCOUNTS_FORMAT && !from.is_empty() {
        get_accounts(from, state)?;
        let has_returns = format >= RETURNS_FORMAT && !from.is_empty();
        // No accounts are only written where something follows.
        if state.accounts.is_empty() && !has_returns {
            return Err(Malformed::OutOfRange("number of accounts"));
        }
        if has_returns {
            get_returns(from, state)?;
        }
    }
    if state.orders.iter().all(|row| names_accounts(state, &row.outcome)) {
        Ok(())
    } else {
        Err(Malformed::OutOfRange("account"))
    }
}

fn get_items(from: &mut &[u8], state: &mut State) -> Result<(), Malformed> {
    let count = from.try_get_u32_le()?;
    // A count makes no more room than the bytes that are there can fill.
    let room = from.chunks_exact(ITEM_BYTES_MIN).len();
    let room = usize::try_from(count).map_or(room, |count| count.min(room));
    state.catalogue.reserve(room);
    for _ in 0..count {
        let (upc, price, name) = (get_upc(from)?, get_money(from)?, get_str(from)?);
        if !state.catalogue.add_unsorted(upc, name, price) {
            return Err(Malformed::OutOfRange("UPC"));
        }
    }
    state.catalogue.sort();
    state.stock.add_items(state.catalogue.len());
    Ok(())
}

fn get_level(from: &mut &[u8], state: &mut State) -> Result<(), Malformed> {
    let (item, location) = (ItemId(from.try_get_u32_le()?), LocationId(from.try_get_u16_le()?));
    let level = Level { on_hand: get_units(from)?, reserved: get_units(from)? };
    let fits = level.reserved <= level.on_hand
        && state.catalogue.upc(item).is_some()
        && state.stock.level(item, location).is_none();
    if !fits {
        return Err(Malformed::OutOfRange("level"));
    }
    state.stock.set(item, location, level);
    Ok(())
}

fn get_user(from: &mut &[u8], state: &mut State) -> Result<(), Malformed> {
    let (name, password_hash, role) = (get_text(from)?, get_text(from)?, get_role(from)?);
    if state.users.id(&name).is_some() {
        return Err(Malformed::OutOfRange("user"));
    }
    state.users.add(&name, password_hash, role);
    let user = state.users.id(&name).ok_or(Malformed::OutOfRange("user"))?;
    let sessions = from.try_get_u8()?;
    if usize::from(sessions) > SESSIONS_PER_USER_MAX {
        return Err(Malformed::OutOfRange("number of sessions"));
    }
    for _ in 0..sessions {
        let session = get_session(from)?;
        if state.users.session(session).is_some() {
            return Err(Malformed::OutOfRange("session"));
        }
        state.users.start_session(user, session);
    }
    Ok(())
}

fn get_accounts(from: &mut &[u8], state: &mut State) -> Result<(), Malformed> {
    for _ in 0..from.try_get_u32_le()? {
        let (name, balance, floor) = (get_str(from)?, get_balance(from)?, get_floor(from)?);
        let fits = account_name(name.as_bytes()).is_some()
            && state.accounts.has_room(1, name.len())
            && state.accounts.id(name.as_bytes()).is_none()
            && floor.is_none_or(|floor| floor <= balance);
        if !fits {
            return Err(Malformed::OutOfRange("account"));
        }
        let id = state.accounts.next_id();
        state.accounts.add(name);
        state.accounts.change(id, balance);
        let floor = floor.filter(|_| !defect::is(Defect::SnapshotForgetsFloors));
        state.accounts.set_floor(id, floor);
    }
    Ok(())
}

fn get_returns(from: &mut &[u8], state: &mut State) -> Result<(), Malformed> {
    let count = from.try_get_u32_le()?;
    if count == 0 {
        return Err(Malformed::OutOfRange("number of returned orders"));
    }
    for _ in 0..count {
        let (order, lines) = (get_key(from)?, get_lines(from)?);
        let fits = !lines.is_empty()
            && lines.iter().all(|line| !line.units.is_zero() && state.catalogue.upc(line.item).is_some())
            && lines.is_sorted_by(|a, b| (a.item, a.location) < (b.item, b.location))
            && state.returns.of(order).is_empty()
            && state.returns.has_room_for(order, &lines);
        if !fits {
            return Err(Malformed::OutOfRange("returned order"));
        }
        if !defect::is(Defect::SnapshotForgetsReturns) {
            state.returns.add(order, &lines);
        }
    }
    Ok(())
}

/// Whether the accounts that an outcome names are there.
fn names_accounts(state: &State, outcome: &Outcome) -> bool {
    let is_there = |account: &AccountId| state.accounts.account(*account).is_some();
    match outcome {
        Outcome::Charged { charge, .. } => is_there(&charge.account),
        Outcome::Returned(returned) => {
            returned.refund.is_none_or(|Refund { account, .. }| is_there(&account))
        }
        Outcome::Posted(posted) => {
            is_there(posted.entry.account()) && posted.entry.counterpart().is_none_or(is_there)
        }
        Outcome::Accepted { .. } | Outcome::Refused(_) | Outcome::Bulk(_) | Outcome::Entries(_) => true,
    }
}

fn get_outcome(from: &mut &[u8]) -> Result<OutcomeRow, Malformed> {
    let (key, user, digest) = get_order(from)?;
    let (version, at) = (Version(from.try_get_u64_le()?), Time::from_micros(from.try_get_u64_le()?));
    let outcome = match from.try_get_u8()? {
        0 => Outcome::Accepted { lines: get_lines(from)?, total: get_money(from)? },
        1 => Outcome::Refused(Box::new(get_refusal(from)?)),
        2 => Outcome::Bulk(Box::new(get_bulk_outcome(from)?)),
        kind @ (3 | 6) => {
            let (lines, charge) = get_charge(from, kind == 6)?;
            Outcome::Charged { lines, charge: Box::new(charge) }
        }
        7 => Outcome::Returned(Box::new(get_returned(from)?)),
        4 => Outcome::Posted(Box::new(get_posted(from)?)),
        5 => Outcome::Entries(Box::new(get_entries_outcome(from)?)),
        _ => return Err(Malformed::OutOfRange("kind of outcome")),
    };
    Ok(OutcomeRow { key, digest, version, at, user, outcome })
}

fn put_length_u32(to: &mut Vec<u8>, length: usize) {
    to.put_u32_le(u32::try_from(length).unwrap_or(u32::MAX));
}

fn put_length_u64(to: &mut Vec<u8>, length: usize) {
    to.put_u64_le(u64::try_from(length).unwrap_or(u64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_accounts_or_bytes_of_names_than_a_table_holds_are_not_read() {
        let mut full = State::new(1);
        full.accounts.add("Marc");
        full.accounts.add("Anna");
        let mut bytes = Vec::new();
        put_accounts(&mut bytes, &full.accounts);
        let read = |count_max, name_bytes_max| {
            let mut state = State::new(1);
            state.accounts.hold_at_most(count_max, name_bytes_max);
            get_accounts(&mut bytes.as_slice(), &mut state)
        };
        assert_eq!(read(2, 8), Ok(()));
        assert_eq!(read(2, 7), Err(Malformed::OutOfRange("account")));
        assert_eq!(read(1, 8), Err(Malformed::OutOfRange("account")));
    }
}
