//! Whether an event can have happened at all. Checksums say that the bytes of a journal are as they were
//! written; this says that they were written by a correct engine.

use alloc::vec::Vec;

use super::bulk::Shelf;
use super::post::{Till, balance_with};
use super::returns::{Bought, are_left, fits_level, refund};
use crate::bulk::{BulkRows, RowCodes};
use crate::entry::{EntryRows, PostedEntry, account_name};
use crate::event::{Charge, Event, Line, Record};
use crate::id::{AccountId, ItemId, LocationId, OrderKey, SessionId, UserId, Version};
use crate::limits::{ORDER_LINES_MAX, SESSIONS_PER_USER_MAX};
use crate::money::Money;
use crate::returns::{Found, Refund, Returned};
use crate::state::{Lookup, State, units_in};

/// Why an event cannot have happened in this state: the journal is damaged or was written by another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Impossible {
    /// It names an item that does not exist.
    #[error("it names item row {}, which does not exist", .0.0)]
    Item(ItemId),
    /// It names a user that does not exist.
    #[error("it names user {}, who does not exist", .0.0)]
    User(UserId),
    /// It adds a user whose name is taken.
    #[error("it adds a user whose name is taken")]
    UserExists,
    /// It starts a session that exists or is one too many, or ends one that does not exist or is another user's.
    #[error(
        "it starts a session that exists or is one too many, or ends one that does not exist or is another user's"
    )]
    Session,
    /// It sets an initial level a second time.
    #[error("it sets the initial level of item row {} a second time", .0.0)]
    LevelAlreadySet(ItemId),
    /// It takes more units than are available.
    #[error("it takes more units of item row {} than are available", .0.0)]
    Oversold(ItemId),
    /// It is a purchase or a return without lines, or with a line of zero units.
    #[error("it is a purchase or a return without lines, or with a line of zero units")]
    NothingTaken,
    /// It decides an order key that was decided, or that had left the window.
    #[error("it decides order {0} a second time or too late")]
    Decided(OrderKey),
    /// It names an account that does not exist.
    #[error("it names account row {}, which does not exist", .0.0)]
    Account(AccountId),
    /// It makes an account that exists, whose name cannot be one, for which there is no room, or that it does not use.
    #[error("it makes an account that it cannot make")]
    AccountAdded,
    /// It changes a balance to what it cannot be: below its floor, out of range, or another sum than it says.
    #[error("it changes the balance of account row {} to what it cannot be", .0.0)]
    Balance(AccountId),
    /// It charges an account other amounts for its lines than they can cost.
    #[error("it charges account row {} other amounts for its lines than they can cost", .0.0)]
    Charge(AccountId),
    /// It returns what was not bought with this order, or came back before.
    #[error("it returns what was not bought with order {0}, or came back before")]
    Returned(OrderKey),
    /// It refunds another amount, or to another account, than was paid for this order.
    #[error("it refunds what was not paid for order {0}")]
    Refund(OrderKey),
    /// It returns more units to a level than that can hold.
    #[error("it returns more units of item row {} than a level can hold", .0.0)]
    Overflow(ItemId),
    /// It sets a floor above the balance of its account.
    #[error("it sets a floor above the balance of account row {}", .0.0)]
    Floor(AccountId),
    /// Its time is before that of the event in front of it.
    #[error("its time is before that of the event in front of it")]
    TimeBackwards,
}

/// Says whether this event can be the next one of this state.
pub fn verify(state: &State, record: &Record) -> Result<(), Impossible> {
    if record.at < state.now {
        return Err(Impossible::TimeBackwards);
    }
    match &record.event {
        Event::ItemDefined { by, .. } => actor_exists(state, *by),
        Event::InitialLevelSet { by, item, location, .. } => {
            item_exists(state, *item)?;
            if state.stock.level(*item, *location).is_some() {
                return Err(Impossible::LevelAlreadySet(*item));
            }
            actor_exists(state, *by)
        }
        Event::UserAdded { by, name, .. } => {
            if state.users.id(name).is_some() {
                return Err(Impossible::UserExists);
            }
            actor_exists(state, *by)
        }
        Event::LoggedIn { user, session, displaced } => {
            user_exists(state, *user)?;
            session_is(state, *session, false)?;
            has_room(state, *user, *displaced)
        }
        Event::LoggedOut { session } => session_is(state, *session, true),
        Event::Purchased { key, user, lines, .. } => {
            undecided(state, record, *key, *user)?;
            can_take_all(state, lines)
        }
        Event::PurchaseCharged { key, user, lines, charge, .. } => {
            undecided(state, record, *key, *user)?;
            can_take_all(state, lines)?;
            can_charge(state, lines, charge)
        }
        Event::Returned { key, user, returned, .. } => {
            undecided(state, record, *key, *user)?;
            can_return(state, record, *user, returned)
        }
        Event::Posted { key, user, posted, added, .. } => {
            undecided_posting(state, record, *key, *user)?;
            can_add(state, added.iter().map(|name| name.as_bytes()))?;
            can_post(state, posted, added.len())
        }
        Event::BulkPosted { key, user, rows, .. } => {
            undecided_posting(state, record, *key, *user)?;
            can_add(state, rows.added().iter())?;
            can_post_rows(state, rows)
        }
        Event::PostRefused { key, user, .. } => undecided_posting(state, record, *key, *user),
        Event::FloorSet { by, account, floor } => {
            let row = state.accounts.account(*account).ok_or(Impossible::Account(*account))?;
            if floor.is_some_and(|floor| floor > row.balance() || floor.minor() == i64::MIN) {
                return Err(Impossible::Floor(*account));
            }
            actor_exists(state, *by)
        }
        Event::BulkPurchased { key, user, location, rows, .. } => {
            undecided(state, record, *key, *user)?;
            can_take_rows(state, *location, rows)
        }
        Event::PurchaseRefused { key, user, .. } | Event::ReturnRefused { key, user, .. } => {
            undecided(state, record, *key, *user)
        }
    }
}

fn undecided(state: &State, record: &Record, key: OrderKey, user: UserId) -> Result<(), Impossible> {
    user_exists(state, user)?;
    is_undecided(state, record, key)
}

/// The system posts too.
fn undecided_posting(state: &State, record: &Record, key: OrderKey, user: UserId) -> Result<(), Impossible> {
    actor_exists(state, user)?;
    is_undecided(state, record, key)
}

fn is_undecided(state: &State, record: &Record, key: OrderKey) -> Result<(), Impossible> {
    match state.orders.look_up(key, record.at) {
        Lookup::Undecided => Ok(()),
        Lookup::Decided(_) | Lookup::TooOld => Err(Impossible::Decided(key)),
    }
}

/// Whether accounts of these names can be the next ones of the table.
fn can_add<'a>(state: &State, names: impl Iterator<Item = &'a [u8]>) -> Result<(), Impossible> {
    let mut new: Vec<&[u8]> = Vec::new();
    for name in names {
        if account_name(name).is_none() || state.accounts.id(name).is_some() {
            return Err(Impossible::AccountAdded);
        }
        new.push(name);
    }
    if new.is_empty() {
        return Ok(());
    }
    let has_room = state.accounts.has_room(new.len(), new.iter().map(|name| name.len()).sum());
    new.sort_unstable();
    let is_twice = new.windows(2).any(|pair| matches!(pair, [a, b] if a == b));
    if has_room && !is_twice { Ok(()) } else { Err(Impossible::AccountAdded) }
}

/// The accounts that an event makes are used by it in the order of their rows.
struct Used {
    next: AccountId,
    end: AccountId,
}

impl Used {
    fn new(state: &State, added: usize) -> Self {
        let next = state.accounts.next_id();
        Self { next, end: next.plus(added) }
    }

    fn see(&mut self, account: AccountId) -> Result<(), Impossible> {
        if account > self.next || account >= self.end {
            return Err(Impossible::Account(account));
        }
        if account == self.next {
            self.next = self.next.plus(1);
        }
        Ok(())
    }

    fn are_all(&self) -> Result<(), Impossible> {
        if self.next == self.end { Ok(()) } else { Err(Impossible::AccountAdded) }
    }
}

fn can_post(state: &State, posted: &PostedEntry, added: usize) -> Result<(), Impossible> {
    let PostedEntry { entry, balance, counterpart_balance } = posted;
    let mut used = Used::new(state, added);
    let mut comes_to = |account: AccountId, change, should: Option<Money>| {
        used.see(account)?;
        let after = balance_with(state.accounts.account(account), change).ok();
        if after.is_some() && after == should { Ok(()) } else { Err(Impossible::Balance(account)) }
    };
    let account = *entry.account();
    if entry.amount() < Money::ZERO || entry.counterpart() == Some(&account) {
        return Err(Impossible::Balance(account));
    }
    comes_to(account, entry.change(), Some(*balance))?;
    match entry.counterpart() {
        Some(counterpart) => comes_to(*counterpart, entry.amount(), *counterpart_balance)?,
        None if counterpart_balance.is_some() => return Err(Impossible::Balance(account)),
        None => {}
    }
    used.are_all()
}

fn can_post_rows(state: &State, rows: &EntryRows) -> Result<(), Impossible> {
    let mut used = Used::new(state, rows.added().len());
    let mut till = Till::new(&state.accounts, rows.accepted().map(|(_, _, amount)| amount));
    for (row, account, amount) in rows.rows() {
        let is_accepted = rows.codes().get(row) == RowCodes::ACCEPTED;
        if is_accepted || account != EntryRows::NO_ACCOUNT {
            used.see(account)?;
        }
        if is_accepted {
            till.post(account, amount).map_err(|_| Impossible::Balance(account))?;
        }
    }
    used.are_all()
}

fn account_exists(state: &State, account: AccountId) -> Result<(), Impossible> {
    state.accounts.account(account).map(|_| ()).ok_or(Impossible::Account(account))
}

fn can_charge(state: &State, lines: &[Line], charge: &Charge) -> Result<(), Impossible> {
    let Charge { account, total, amounts } = charge;
    account_exists(state, *account)?;
    let fall = total.minor().checked_neg().map(Money::from_minor);
    let after = fall.filter(|fall| *fall <= Money::ZERO);
    let after = after.and_then(|fall| balance_with(state.accounts.account(*account), fall).ok());
    after.ok_or(Impossible::Balance(*account))?;
    // Older formats do not say what each of several lines cost.
    if amounts.is_empty() {
        return Ok(());
    }
    let add = |sum: Money, amount: &Money| sum.checked_add(*amount).filter(|_| *amount >= Money::ZERO);
    let fit = amounts.len() == lines.len()
        && lines.len() > 1
        && amounts.iter().try_fold(Money::ZERO, add) == Some(*total)
        && (0..lines.len()).all(|place| charge.unit_price(lines, place).is_some());
    if fit { Ok(()) } else { Err(Impossible::Charge(*account)) }
}

/// What can be said of a return without the journal: everything, if the window still holds its order.
fn can_return(state: &State, record: &Record, user: UserId, back: &Returned) -> Result<(), Impossible> {
    let Returned { order, purchased, lines, refund: to } = back;
    if lines.is_empty() || lines.iter().any(|line| line.units.is_zero()) {
        return Err(Impossible::NothingTaken);
    }
    each_once(lines)?;
    for line in lines.iter() {
        item_exists(state, line.item)?;
        if !fits_level(state, line) {
            return Err(Impossible::Overflow(line.item));
        }
    }
    if let Some(Refund { account, amount }) = to {
        account_exists(state, *account)?;
        let after = balance_with(state.accounts.account(*account), *amount).ok();
        after.filter(|_| *amount >= Money::ZERO).ok_or(Impossible::Balance(*account))?;
    }
    let found = match state.orders.look_up(*order, record.at) {
        Lookup::Decided(row) => row.found(),
        Lookup::Undecided => Found::NeverDecided { read: state.version },
        Lookup::TooOld
            if is_before(state, *purchased)
                && state.returns.has_room_for(*order, lines)
                && adds_up(state, back) =>
        {
            return Ok(());
        }
        Lookup::TooOld => return Err(Impossible::Returned(*order)),
    };
    let Found::Bought { version, user: owner, lines: bought, charge } = found else {
        return Err(Impossible::Returned(*order));
    };
    let bought = Bought::new(&bought, lines.len());
    let is_right = version == *purchased
        && (owner == user || state.is_administrator(user))
        && state.returns.has_room_for(*order, lines)
        && are_left(state, back, &bought);
    if !is_right {
        return Err(Impossible::Returned(*order));
    }
    if refund(charge.as_deref(), &bought, lines) == Some(*to) {
        Ok(())
    } else {
        Err(Impossible::Refund(*order))
    }
}

/// Whether some purchase can have had all that came back of it with this: not too many lines, and of none too many units.
fn adds_up(state: &State, back: &Returned) -> bool {
    let came_back = state.returns.of(back.order);
    let fits = |line: &Line| units_in(came_back, line.item, line.location).checked_add(line.units).is_some();
    let new = state.returns.new_lines(back.order, &back.lines);
    came_back.len().saturating_add(new) <= ORDER_LINES_MAX && back.lines.iter().all(fits)
}

/// Whether this version was made by an event before the next one.
fn is_before(state: &State, version: Version) -> bool {
    version > Version::ZERO && version <= state.version
}

fn can_take_all(state: &State, lines: &[Line]) -> Result<(), Impossible> {
    if lines.is_empty() || lines.iter().any(|line| line.units.is_zero()) {
        return Err(Impossible::NothingTaken);
    }
    lines.iter().try_for_each(|line| can_take(state, line))?;
    each_once(lines)
}

fn can_take(state: &State, line: &Line) -> Result<(), Impossible> {
    item_exists(state, line.item)?;
    if line.units > state.stock.available(line.item, line.location) {
        return Err(Impossible::Oversold(line.item));
    }
    Ok(())
}

/// Rows may take from one item more than once: each from what those before it left.
fn can_take_rows(state: &State, location: LocationId, rows: &BulkRows) -> Result<(), Impossible> {
    let mut shelf = Shelf::new(&state.stock, location, rows.accepted_units());
    rows.items()
        .iter()
        .filter(|item| **item != BulkRows::NO_ITEM)
        .try_for_each(|item| item_exists(state, *item))?;
    rows.accepted().try_for_each(|(item, units)| {
        if shelf.take(item, units) { Ok(()) } else { Err(Impossible::Oversold(item)) }
    })
}

/// An order takes from each item and location once, and a return brings to each once: more lines could together take what is
/// not there.
fn each_once(lines: &[Line]) -> Result<(), Impossible> {
    if lines.len() < 2 {
        return Ok(());
    }
    let mut places: Vec<_> = lines.iter().map(|line| (line.item, line.location)).collect();
    places.sort_unstable();
    match places.windows(2).find(|pair| matches!(pair, [a, b] if a == b)) {
        Some([(item, _), ..]) => Err(Impossible::Oversold(*item)),
        _ => Ok(()),
    }
}

fn item_exists(state: &State, item: ItemId) -> Result<(), Impossible> {
    state.catalogue.upc(item).map(|_| ()).ok_or(Impossible::Item(item))
}

fn user_exists(state: &State, user: UserId) -> Result<(), Impossible> {
    state.users.user(user).map(|_| ()).ok_or(Impossible::User(user))
}

fn actor_exists(state: &State, user: UserId) -> Result<(), Impossible> {
    if user == UserId::SYSTEM { Ok(()) } else { user_exists(state, user) }
}

/// Whether the user may have one more session once this one of the user's own is ended.
fn has_room(state: &State, user: UserId, displaced: Option<SessionId>) -> Result<(), Impossible> {
    let fits = match displaced {
        Some(session) => state.users.session(session) == Some(user),
        None => state.users.user(user).is_some_and(|user| user.sessions.len() < SESSIONS_PER_USER_MAX),
    };
    if fits { Ok(()) } else { Err(Impossible::Session) }
}

fn session_is(state: &State, session: SessionId, there: bool) -> Result<(), Impossible> {
    if state.users.session(session).is_some() == there { Ok(()) } else { Err(Impossible::Session) }
}
