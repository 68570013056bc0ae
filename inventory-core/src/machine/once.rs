//! One key, one outcome: whether the order with this key may be decided at all.
//!
//! A key that may be decided gets exactly one outcome, and that outcome is an event, refusals included.

use super::Decision;
use crate::command::Actor;
use crate::event::{Event, OrderDigest};
use crate::id::{OrderKey, UserId};
use crate::limits::ORDER_KEY_FUTURE_US_MAX;
use crate::query;
use crate::refusal::Refusal;
use crate::reply::{Reply, Unavailable};
use crate::state::{Lookup, State};
use crate::time::Time;

/// The outcome that the key has, or what `decide` makes of the order now.
pub(super) fn once(
    state: &State,
    now: Time,
    actor: Actor,
    (key, digest): (OrderKey, OrderDigest),
    decide: impl FnOnce(UserId) -> Event,
) -> Result<Decision, Refusal> {
    let user = state.user_of(actor)?;
    if user == UserId::SYSTEM {
        return Err(Refusal::NotPermitted);
    }
    if key.time() > now.plus_micros(ORDER_KEY_FUTURE_US_MAX) {
        return Err(Refusal::KeyFromFuture);
    }
    match state.orders.look_up(key, now) {
        Lookup::TooOld => Err(Refusal::KeyTooOld),
        Lookup::Decided(row) if row.user == user && row.digest == digest => {
            Ok(Decision::Stands(query::outcome(state, row)))
        }
        Lookup::Decided(_) => Err(Refusal::KeyReused),
        Lookup::Undecided if !state.orders.has_room(now) => {
            Ok(Decision::Stands(Reply::Unavailable(Unavailable::Overloaded)))
        }
        Lookup::Undecided => Ok(Decision::Happens(decide(user))),
    }
}
