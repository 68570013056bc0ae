//! Whether an event can have happened at all. Checksums say that the bytes of a journal are as they were
//! written; this says that they were written by a correct engine.

use alloc::vec::Vec;

use super::bulk::Shelf;
use crate::bulk::BulkRows;
use crate::event::{Event, Line, Record};
use crate::id::{ItemId, LocationId, OrderKey, SessionId, UserId};
use crate::limits::SESSIONS_PER_USER_MAX;
use crate::state::{Lookup, State};

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
    /// It is a purchase without lines, or with a line of zero units.
    #[error("it is a purchase without lines, or with a line of zero units")]
    NothingTaken,
    /// It decides an order key that was decided, or that had left the window.
    #[error("it decides order {0} a second time or too late")]
    Decided(OrderKey),
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
            if lines.is_empty() || lines.iter().any(|line| line.units.is_zero()) {
                return Err(Impossible::NothingTaken);
            }
            lines.iter().try_for_each(|line| can_take(state, line))?;
            each_once(lines)
        }
        Event::BulkPurchased { key, user, location, rows, .. } => {
            undecided(state, record, *key, *user)?;
            can_take_rows(state, *location, rows)
        }
        Event::PurchaseRefused { key, user, .. } => undecided(state, record, *key, *user),
    }
}

fn undecided(state: &State, record: &Record, key: OrderKey, user: UserId) -> Result<(), Impossible> {
    user_exists(state, user)?;
    match state.orders.look_up(key, record.at) {
        Lookup::Undecided => Ok(()),
        Lookup::Decided(_) | Lookup::TooOld => Err(Impossible::Decided(key)),
    }
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

/// An order takes from each item and location once: more lines could together take what is not there.
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
