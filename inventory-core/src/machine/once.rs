//! One key, one outcome: whether the order with this key may be decided at all.
//!
//! A key that may be decided gets exactly one outcome, and that outcome is an event, refusals included.

use super::Decision;
use crate::command::Actor;
use crate::defect::{self, Defect};
use crate::event::{Event, OrderDigest};
use crate::id::{OrderKey, UserId};
use crate::limits::ORDER_KEY_FUTURE_US_MAX;
use crate::query;
use crate::refusal::Refusal;
use crate::reply::{Reply, Unavailable};
use crate::state::{Lookup, State};
use crate::time::Time;

/// The user whose order this is to be. The system owns none.
pub(super) fn buyer(state: &State, actor: Actor) -> Result<UserId, Refusal> {
    match state.user_of(actor)? {
        UserId::SYSTEM => Err(Refusal::NotPermitted),
        user => Ok(user),
    }
}

/// The outcome that the key has, or what `decide` makes of the order now. What it refuses leaves no trace; a refusal that is
/// an outcome is an event.
pub(super) fn once(
    state: &State,
    now: Time,
    user: UserId,
    (key, digest): (OrderKey, OrderDigest),
    decide: impl FnOnce() -> Result<Decision, Refusal>,
) -> Result<Decision, Refusal> {
    if key.time() > now.plus_micros(ORDER_KEY_FUTURE_US_MAX) {
        return Err(Refusal::KeyFromFuture);
    }
    match state.orders.look_up(key, now) {
        Lookup::TooOld => Err(Refusal::KeyTooOld),
        Lookup::Decided(row)
            if row.user == user && (row.digest == digest || defect::is(Defect::DigestIgnored)) =>
        {
            Ok(Decision::Stands(query::outcome(state, row)))
        }
        Lookup::Decided(_) => Err(Refusal::KeyReused),
        Lookup::Undecided if !state.orders.has_room(now) => {
            Ok(Decision::Stands(Reply::Unavailable(Unavailable::Overloaded)))
        }
        Lookup::Undecided if defect::is(Defect::RefusalNotRecorded) => match decide()? {
            Decision::Happens(Event::PurchaseRefused { refusal, .. }) => Err(refusal),
            decision => Ok(decision),
        },
        Lookup::Undecided => decide(),
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;
    use crate::command::{Command, Order, Role};
    use crate::event::Record;
    use crate::limits::ORDER_WINDOW_AGE_US_MIN;
    use crate::machine::{apply, decide};

    const NOW: Time = Time::from_micros(1_795_219_200_000_000);

    #[test]
    fn a_window_full_of_young_outcomes_turns_new_orders_away_and_goes_on_answering_for_those_it_holds() {
        let mut state = State::new(1);
        state.orders.hold_at_most(2);
        let add = Command::AddUser { name: "alice".into(), password_hash: "".into(), role: Role::Buyer };
        let order = |number: u128| {
            Command::Purchase(Order {
                key: OrderKey::from_parts(NOW, number << 8),
                lines: Vec::new().into(),
                charge: None,
            })
        };
        let alice = Actor::User(UserId(1));
        for (actor, command) in [(Actor::System, add), (alice, order(1)), (alice, order(2))] {
            let Decision::Happens(event) = decide(&state, NOW, actor, &command) else {
                panic!("{command:?}")
            };
            apply(&mut state, &Record { at: NOW, event });
        }
        let overloaded = Decision::Stands(Reply::Unavailable(Unavailable::Overloaded));
        assert_eq!(decide(&state, NOW, alice, &order(3)), overloaded);
        assert_eq!(decide(&state, NOW, alice, &order(2)), Refusal::EmptyOrder.into());
        let later = NOW.plus_micros(ORDER_WINDOW_AGE_US_MIN + 1_000_000);
        assert!(
            matches!(decide(&state, later, alice, &order(3)), Decision::Happens(_)),
            "they may leave now"
        );
    }
}
