//! Commands to events. Pure: the same state, time, actor and command always give the same decision.

use super::{Decision, bulk, post, purchase, returns};
use crate::command::{Actor, Command, Role};
use crate::event::Event;
use crate::id::{LocationId, SessionId, Upc, UserId};
use crate::limits::{
    ITEM_NAME_BYTES_MAX, PASSWORD_HASH_BYTES_MAX, SESSIONS_PER_USER_MAX, USER_NAME_BYTES_MAX,
};
use crate::money::Money;
use crate::quantity::Units;
use crate::refusal::Refusal;
use crate::reply::{Answer, Reply};
use crate::state::State;
use crate::time::Time;

/// Decides a command against the state at `now`. Changes nothing.
///
/// `now` is not before [`State::now`].
pub fn decide(state: &State, now: Time, actor: Actor, command: &Command) -> Decision {
    let decision = match command {
        Command::DefineItem { upc, name, price } => define_item(state, actor, *upc, name, *price),
        Command::SetInitialLevel { upc, location, units } => {
            set_initial_level(state, actor, *upc, *location, *units)
        }
        Command::AddUser { name, password_hash, role } => add_user(state, actor, name, password_hash, *role),
        Command::LogIn { user, session } => log_in(state, *user, *session),
        Command::LogOut => log_out(state, actor),
        Command::Purchase(order) => purchase::decide(state, now, actor, order),
        Command::PurchaseBulk(order) => bulk::decide(state, now, actor, order),
        Command::Return(wanted) => returns::decide(state, now, actor, wanted),
        Command::Post(posting) => post::decide(state, now, actor, posting),
        Command::PostBulk(batch) => post::decide_bulk(state, now, actor, batch),
        Command::SetFloor { account, floor } => post::set_floor(state, actor, account, *floor),
    };
    decision.unwrap_or_else(Decision::from)
}

pub(super) fn administrator(state: &State, actor: Actor) -> Result<UserId, Refusal> {
    let user = state.user_of(actor)?;
    if state.is_administrator(user) { Ok(user) } else { Err(Refusal::NotPermitted) }
}

fn define_item(
    state: &State,
    actor: Actor,
    upc: Upc,
    name: &str,
    price: Option<Money>,
) -> Result<Decision, Refusal> {
    let by = administrator(state, actor)?;
    if name.is_empty() || name.len() > ITEM_NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Refusal::InvalidName);
    }
    if price.is_some_and(|price| price < Money::ZERO) {
        return Err(Refusal::InvalidPrice);
    }
    match state.catalogue.find(upc) {
        Some(item) if item.name == name && item.price == price => Ok(nothing_to_do(state)),
        None if state.catalogue.is_full() => Err(Refusal::TableFull),
        _ => Ok(Decision::Happens(Event::ItemDefined { by, upc, name: name.into(), price })),
    }
}

fn set_initial_level(
    state: &State,
    actor: Actor,
    upc: Upc,
    location: LocationId,
    units: Units,
) -> Result<Decision, Refusal> {
    let by = administrator(state, actor)?;
    let item = state.catalogue.id(upc).ok_or(Refusal::UnknownItem { upc })?;
    if state.stock.level(item, location).is_some() {
        return Err(Refusal::LevelAlreadySet);
    }
    Ok(Decision::Happens(Event::InitialLevelSet { by, item, location, units }))
}

fn add_user(
    state: &State,
    actor: Actor,
    name: &str,
    password_hash: &str,
    role: Role,
) -> Result<Decision, Refusal> {
    let by = administrator(state, actor)?;
    let may_not_hold = |c: char| c.is_control() || c.is_whitespace();
    if name.is_empty()
        || name.len() > USER_NAME_BYTES_MAX
        || name.chars().any(may_not_hold)
        || password_hash.len() > PASSWORD_HASH_BYTES_MAX
    {
        return Err(Refusal::InvalidName);
    }
    if state.users.id(name).is_some() {
        return Err(Refusal::UserExists);
    }
    if state.users.is_full() {
        return Err(Refusal::TableFull);
    }
    let (name, password_hash) = (name.into(), password_hash.into());
    Ok(Decision::Happens(Event::UserAdded { by, name, password_hash, role }))
}

fn log_in(state: &State, user: UserId, session: SessionId) -> Result<Decision, Refusal> {
    let sessions = &state.users.user(user).ok_or(Refusal::BadCredentials)?.sessions;
    // A token is random: one that exists already is a repeated request, and must not serve two logins.
    if state.users.session(session).is_some() {
        return Err(Refusal::AlreadyLoggedIn);
    }
    let full = sessions.len() >= SESSIONS_PER_USER_MAX;
    let displaced = if full { sessions.front().copied() } else { None };
    Ok(Decision::Happens(Event::LoggedIn { user, session, displaced }))
}

fn log_out(state: &State, actor: Actor) -> Result<Decision, Refusal> {
    match actor {
        Actor::Session(session) if state.users.session(session).is_some() => {
            Ok(Decision::Happens(Event::LoggedOut { session }))
        }
        _ => Err(Refusal::NotLoggedIn),
    }
}

pub(super) fn nothing_to_do(state: &State) -> Decision {
    Decision::Stands(Reply::Answered(Answer::Done(state.version)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Record;
    use crate::machine::apply;

    #[test]
    fn a_full_table_takes_changes_of_what_it_holds_and_nothing_new() {
        let mut state = State::new(1);
        state.catalogue.hold_at_most(2);
        state.users.hold_at_most(2);
        let define = |code, name: &str| Command::DefineItem {
            upc: Upc::new(code).unwrap(),
            name: name.into(),
            price: None,
        };
        let add =
            |name: &str| Command::AddUser { name: name.into(), password_hash: "".into(), role: Role::Buyer };
        let decided = |state: &State, command: Command| decide(state, Time::ZERO, Actor::System, &command);
        for command in [define(1, "soup"), define(2, "bread"), add("alice"), add("bob"), define(2, "roll")] {
            let Decision::Happens(event) = decided(&state, command) else { panic!("there is room") };
            apply(&mut state, &Record { at: Time::ZERO, event });
        }
        assert_eq!(decided(&state, define(3, "butter")), Refusal::TableFull.into());
        assert_eq!(decided(&state, add("carol")), Refusal::TableFull.into());
        assert_eq!(decided(&state, add("bob")), Refusal::UserExists.into());
    }
}
