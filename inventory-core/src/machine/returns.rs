//! The decision on a return: all its lines come back, or none.
//!
//! It is never inlined where all commands meet, so that a purchase costs no more for it.

use alloc::boxed::Box;
use alloc::vec::Vec;

use xxhash_rust::xxh3::Xxh3;

use super::Decision;
use super::once::{buyer, once};
use super::post::balance_with;
use super::purchase::{check_lines, sum_same};
use crate::command::{Actor, OrderLine};
use crate::defect::{self, Defect};
use crate::event::{Charge, Event, Line, OrderDigest};
use crate::id::{ItemId, LocationId, UserId};
use crate::money::Money;
use crate::quantity::Units;
use crate::refusal::{Refusal, Shortage};
use crate::reply::{Reply, Unavailable};
use crate::returns::{Evidence, Found, Refund, Return, Returned};
use crate::state::{Lookup, State, units_in};
use crate::time::Time;

/// Keeps the digest of a return apart from those of orders and entries.
const DIGEST_SEED: u64 = 5;
/// Up to so many lines are looked for by going through those that were bought; for more, these are sorted.
const LOOKED_THROUGH_MAX: usize = 8;

#[inline(never)]
pub(super) fn decide(state: &State, now: Time, actor: Actor, wanted: &Return) -> Result<Decision, Refusal> {
    let user = buyer(state, actor)?;
    let (key, digest) = (wanted.key, OrderDigest::of_return(wanted));
    once(state, now, user, (key, digest), || {
        // Before the order is looked for: too many lines would have to wait in memory for what the journal says.
        let returned = match check_lines(&wanted.lines) {
            Err(refusal) => Err(refusal),
            Ok(()) => match find(state, now, wanted) {
                Some(found) => give_back(state, user, wanted, found),
                None => return Ok(Decision::Stands(Reply::Unavailable(Unavailable::OrderNotAtHand))),
            },
        };
        let event = match returned {
            Ok(returned) => Event::Returned { key, user, digest, returned: Box::new(returned) },
            Err(refusal) => Event::ReturnRefused { key, user, digest, refusal },
        };
        Ok(Decision::Happens(event))
    })
}

impl OrderDigest {
    /// The digest of a return: XXH3-64 with seed 5 over the key of its order (16 bytes) and the digest of its lines as sent (8
    /// bytes, little-endian), which is that of an order's lines.
    pub fn of_return(wanted: &Return) -> Self {
        let mut hash = Xxh3::with_seed(DIGEST_SEED);
        hash.update(&wanted.order.to_bytes());
        hash.update(&Self::of(&wanted.lines).0.to_le_bytes());
        Self(hash.digest())
    }
}

/// What is known of the order: from the window or, if it has left, from what the journal says. None if nobody has looked there, or
/// not at all that this state knows.
fn find<'a>(state: &'a State, now: Time, wanted: &'a Return) -> Option<Found<'a>> {
    match state.orders.look_up(wanted.order, now) {
        Lookup::Decided(row) => Some(row.found()),
        Lookup::Undecided => Some(Found::NeverDecided { read: state.version }),
        Lookup::TooOld => {
            let found =
                wanted.evidence.as_deref().and_then(|evidence: &Evidence| evidence.about(wanted.order));
            found.filter(|found| is_at_hand(state, found))
        }
    }
}

/// Whether what was found can be said of this state. The journal may be ahead of it where there are several writers; and behind it,
/// as far as decisions are not durable yet: the order may be among those.
fn is_at_hand(state: &State, found: &Found<'_>) -> bool {
    match found {
        Found::Bought { version, lines, charge, .. } => {
            *version <= state.version
                && lines.iter().all(|line| state.catalogue.upc(line.item).is_some())
                && charge.as_ref().is_none_or(|charge| state.accounts.account(charge.account).is_some())
        }
        Found::NeverDecided { read } => *read >= state.version,
        Found::Other { .. } | Found::NotKept => true,
    }
}

/// What comes back, if all of it can.
fn give_back(state: &State, user: UserId, wanted: &Return, found: Found<'_>) -> Result<Returned, Refusal> {
    let asked = sum_same(&wanted.lines)?;
    let may_return = |owner: UserId| {
        let may = owner == user || state.is_administrator(user) || defect::is(Defect::ReturnsOthersOrder);
        if may { Ok(()) } else { Err(Refusal::UnknownOrder) }
    };
    let (purchased, bought, charge) = match found {
        Found::Bought { version, user: owner, lines, charge } => {
            may_return(owner)?;
            (version, lines, charge)
        }
        Found::Other { user: owner } => {
            may_return(owner)?;
            return Err(Refusal::NotReturnable);
        }
        Found::NeverDecided { .. } => return Err(Refusal::UnknownOrder),
        Found::NotKept => return Err(Refusal::OutcomeNotKept),
    };
    // Asked before anything is said about the lines: this answer is the same whatever they are.
    if !charge.as_deref().is_none_or(|charge| charge.says_unit_prices(&bought)) {
        return Err(Refusal::NotReturnable);
    }
    let bought = Bought::new(&bought, if asked.is_empty() { bought.len() } else { asked.len() });
    let lines = pick(state, wanted, &asked, &bought)?;
    if !state.returns.has_room_for(wanted.order, &lines) {
        return Err(Refusal::TableFull);
    }
    let upc_of = |line: &Line| state.catalogue.upc(line.item).ok_or(Refusal::NotReturnable);
    for line in &lines {
        if !fits_level(state, line) {
            return Err(Refusal::Overflow { upc: upc_of(line)? });
        }
    }
    let mut refund = refund(charge.as_deref(), &bought, &lines).ok_or(Refusal::NotReturnable)?;
    if defect::is(Defect::RefundAtPresentPrice) {
        let price = |line: &Line| state.catalogue.price(line.item)?.checked_times(line.units);
        let present = lines.iter().try_fold(Money::ZERO, |sum, line| sum.checked_add(price(line)?));
        refund = refund.map(|paid| Refund { amount: present.unwrap_or(paid.amount), ..paid });
    }
    if let Some(Refund { account, amount }) = refund {
        let account = state.accounts.account(account).ok_or(Refusal::NotReturnable)?;
        balance_with(Some(account), amount).map_err(|why| why.refusal(account.name()))?;
    }
    Ok(Returned { order: wanted.order, purchased, lines: lines.into(), refund })
}

/// The lines that come back of those that were bought: those asked for, or all that are left.
fn pick(
    state: &State,
    wanted: &Return,
    asked: &[OrderLine],
    bought: &Bought<'_>,
) -> Result<Vec<Line>, Refusal> {
    let came_back = state.returns.of(wanted.order);
    let left_of = |line: &Line| line.units.saturating_sub(units_in(came_back, line.item, line.location));
    if asked.is_empty() {
        let all: Vec<Line> = bought
            .lines
            .iter()
            .map(|line| Line { units: left_of(line), ..*line })
            .filter(|line| !line.units.is_zero())
            .collect();
        return if all.is_empty() { Err(nothing_left(state, bought.lines)) } else { Ok(all) };
    }
    let (mut lines, mut shortages) = (Vec::with_capacity(asked.len()), Vec::new());
    for OrderLine { upc, location, units: requested } in asked.iter().copied() {
        let item = state.catalogue.id(upc);
        let line = item.and_then(|item| bought.line(item, location));
        match line.map(|line| Line { units: left_of(line), ..*line }) {
            Some(line) if requested <= line.units => lines.push(Line { units: requested, ..line }),
            line => {
                let available = line.map_or(Units::ZERO, |line| line.units);
                shortages.push(Shortage { upc, location, requested, available });
            }
        }
    }
    if shortages.is_empty() {
        Ok(lines)
    } else {
        Err(Refusal::ExceedsPurchase { shortages: shortages.into() })
    }
}

/// Everything was asked for, and nothing is left of any line.
fn nothing_left(state: &State, bought: &[Line]) -> Refusal {
    let shortage = |line: &Line| {
        let (upc, available) = (state.catalogue.upc(line.item)?, Units::ZERO);
        Some(Shortage { upc, location: line.location, requested: line.units, available })
    };
    Refusal::ExceedsPurchase { shortages: bought.iter().filter_map(shortage).collect() }
}

/// The lines of a purchase, to be found by item and location: each is there once.
pub(super) struct Bought<'a> {
    lines: &'a [Line],
    /// Where they are, in the order of items and locations; none if looking through them is less work than sorting.
    sorted: Option<Vec<(ItemId, LocationId, usize)>>,
}

impl<'a> Bought<'a> {
    /// Of these lines about so many are looked for.
    pub(super) fn new(lines: &'a [Line], looked_for: usize) -> Self {
        let sorted = (looked_for > LOOKED_THROUGH_MAX).then(|| {
            let places = lines.iter().enumerate().map(|(at, line)| (line.item, line.location, at));
            let mut sorted: Vec<_> = places.collect();
            sorted.sort_unstable();
            sorted
        });
        Self { lines, sorted }
    }

    fn place(&self, item: ItemId, location: LocationId) -> Option<usize> {
        let Some(sorted) = &self.sorted else {
            return self.lines.iter().position(|line| (line.item, line.location) == (item, location));
        };
        let key = |place: &(ItemId, LocationId, usize)| (place.0, place.1);
        let at = sorted.binary_search_by_key(&(item, location), key).ok()?;
        sorted.get(at).map(|place| place.2)
    }

    fn line(&self, item: ItemId, location: LocationId) -> Option<&'a Line> {
        self.lines.get(self.place(item, location)?)
    }
}

/// Whether the level that a line comes back to can hold it.
pub(super) fn fits_level(state: &State, line: &Line) -> bool {
    let level = state.stock.level(line.item, line.location).unwrap_or_default();
    level.on_hand.checked_add(line.units).is_some()
}

/// Whether these lines are of those bought, none of them with more units than were bought and have not come back.
pub(super) fn are_left(state: &State, back: &Returned, bought: &Bought<'_>) -> bool {
    let came_back = state.returns.of(back.order);
    back.lines.iter().all(|line| {
        let sum = units_in(came_back, line.item, line.location).checked_add(line.units);
        let bought = bought.line(line.item, line.location);
        sum.zip(bought).is_some_and(|(sum, bought)| sum <= bought.units)
    })
}

/// What comes back to the account that paid, if one did, for these lines of those bought: for each unit exactly what it cost.
/// None if the purchase does not say.
#[allow(clippy::option_option, reason = "no account is an answer, and not to be known another one")]
pub(super) fn refund(charge: Option<&Charge>, bought: &Bought<'_>, lines: &[Line]) -> Option<Option<Refund>> {
    let Some(charge) = charge else { return Some(None) };
    let amount = lines.iter().try_fold(Money::ZERO, |sum, line| {
        let price = charge.unit_price(bought.lines, bought.place(line.item, line.location)?)?;
        sum.checked_add(price.checked_times(line.units)?)
    })?;
    Some(Some(Refund { account: charge.account, amount }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Order, Role};
    use crate::event::Record;
    use crate::id::{OrderKey, Upc};
    use crate::machine::{apply, decide};

    #[test]
    fn a_full_table_of_returned_orders_is_a_refusal_under_the_key_and_takes_more_of_what_it_holds() {
        let mut state = State::new(1);
        state.returns.hold_at_most(1, 1);
        let (upc, location) = (Upc::new(1).unwrap(), LocationId::MAIN);
        let key = |random: u128| OrderKey::from_parts(Time::ZERO, random << 8);
        let lines = || OrderLine::new(upc, Units::new(2).unwrap());
        let buy = |number| Command::Purchase(Order { key: key(number), lines: lines().into(), charge: None });
        let one = || Box::new([OrderLine::new(upc, Units::new(1).unwrap())]);
        let give_back = |number, order| {
            Command::Return(Return { key: key(number), order: key(order), lines: one(), evidence: None })
        };
        let alice = Actor::User(UserId(1));
        let mut run = |actor, command: Command| {
            let Decision::Happens(event) = decide(&state, Time::ZERO, actor, &command) else {
                panic!("{command:?}")
            };
            apply(&mut state, &Record { at: Time::ZERO, event: event.clone() });
            event
        };
        run(Actor::System, Command::DefineItem { upc, name: "soup".into(), price: None });
        run(Actor::System, Command::SetInitialLevel { upc, location, units: Units::new(9).unwrap() });
        let add = Command::AddUser { name: "alice".into(), password_hash: "".into(), role: Role::Buyer };
        run(Actor::System, add);
        run(alice, buy(1));
        run(alice, buy(2));
        assert!(matches!(run(alice, give_back(3, 1)), Event::Returned { .. }));
        let full = run(alice, give_back(4, 2));
        assert!(matches!(full, Event::ReturnRefused { refusal: Refusal::TableFull, .. }), "{full:?}");
        assert!(matches!(run(alice, give_back(5, 1)), Event::Returned { .. }));
    }
}
