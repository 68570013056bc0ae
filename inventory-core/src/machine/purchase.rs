//! The decision on a purchase: all its lines, or none.

use alloc::boxed::Box;
use alloc::vec::Vec;

use xxhash_rust::xxh3::{Xxh3, Xxh3Default};

use super::Decision;
use super::once::{buyer, once};
use super::post::balance_with;
use crate::command::{Actor, Order, OrderLine};
use crate::defect::{self, Defect};
use crate::event::{Charge, Event, Line, OrderDigest};
use crate::limits::ORDER_LINES_MAX;
use crate::money::Money;
use crate::one_or_many::OneOrMany;
use crate::refusal::{Refusal, Shortage};
use crate::state::State;
use crate::time::Time;

/// Keeps the digest of an order that charges an account apart from that of its lines.
const CHARGED_DIGEST_SEED: u64 = 2;

pub(super) fn decide(state: &State, now: Time, actor: Actor, order: &Order) -> Result<Decision, Refusal> {
    let user = buyer(state, actor)?;
    let (key, digest) = (order.key, OrderDigest::of_order(order));
    once(state, now, user, (key, digest), || {
        if let Some(account) = &order.charge {
            state.may_use(user, account)?;
        }
        let event = match (fill(state, &order.lines), &order.charge) {
            (Ok((lines, total)), None) => Event::Purchased { key, user, digest, lines, total },
            (Ok((lines, total)), Some(name)) => match charge(state, &order.lines, (&lines, total), name) {
                Ok(charge) => Event::PurchaseCharged { key, user, digest, lines, charge },
                Err(refusal) => Event::PurchaseRefused { key, user, digest, refusal },
            },
            (Err(refusal), _) => Event::PurchaseRefused { key, user, digest, refusal },
        };
        Ok(Decision::Happens(event))
    })
}

/// The account that pays for these lines, of which `taken` is what they take, and what it pays, if it can.
#[inline(never)]
fn charge(
    state: &State,
    lines: &[OrderLine],
    (taken, total): (&[Line], Option<Money>),
    name: &str,
) -> Result<Box<Charge>, Refusal> {
    let Some(total) = total else {
        let unpriced =
            |line: &&OrderLine| state.catalogue.find(line.upc).is_none_or(|item| item.price.is_none());
        let first = lines.iter().find(unpriced).ok_or(Refusal::EmptyOrder)?;
        return Err(Refusal::Unpriced { upc: first.upc });
    };
    let unknown = || Refusal::UnknownAccount { account: name.into() };
    let (id, account) = state.accounts.find(name.as_bytes()).ok_or_else(unknown)?;
    // Prices are never negative, so the amount has an opposite.
    let change = Money::from_minor(total.minor().saturating_neg());
    balance_with(Some(account), change).map_err(|why| why.refusal(name))?;
    let cost = |line: &Line| state.catalogue.price(line.item)?.checked_times(line.units);
    let amounts = if taken.len() == 1 { Box::default() } else { taken.iter().filter_map(cost).collect() };
    Ok(Box::new(Charge { account: id, total, amounts }))
}

impl OrderDigest {
    /// The digest of an order: that of its lines, if no account is to be charged. Otherwise XXH3-64 with seed 2 over the digest of
    /// its lines (8 bytes, little-endian) and the account's name.
    pub fn of_order(order: &Order) -> Self {
        let lines = Self::of(&order.lines);
        let Some(account) = &order.charge else { return lines };
        let mut hash = Xxh3::with_seed(CHARGED_DIGEST_SEED);
        hash.update(&lines.0.to_le_bytes());
        hash.update(account.as_bytes());
        Self(hash.digest())
    }

    /// The digest of an order's lines: XXH3-64 over its lines as sent, each as UPC (8 bytes), location (2) and
    /// units (8), little-endian. It guards against mistakes, not against attacks: an order key belongs to one
    /// user, who could only mislead himself.
    pub fn of(lines: &[OrderLine]) -> Self {
        let line_bytes = |line: &OrderLine| {
            let mut bytes = [0u8; 18];
            let (upc, rest) = bytes.split_at_mut(8);
            let (location, units) = rest.split_at_mut(2);
            upc.copy_from_slice(&line.upc.get().to_le_bytes());
            location.copy_from_slice(&line.location.0.to_le_bytes());
            units.copy_from_slice(&line.units.get().to_le_bytes());
            bytes
        };
        Self(match lines {
            [line] => xxhash_rust::xxh3::xxh3_64(&line_bytes(line)),
            lines => {
                let mut hash = Xxh3Default::new();
                for line in lines {
                    hash.update(&line_bytes(line));
                }
                hash.digest()
            }
        })
    }
}

type Filled = (OneOrMany<Line>, Option<Money>);

/// There are not too many lines, and none asks for nothing.
#[inline]
pub(super) fn check_lines(lines: &[OrderLine]) -> Result<(), Refusal> {
    if lines.len() > ORDER_LINES_MAX {
        let lines = u32::try_from(lines.len()).unwrap_or(u32::MAX);
        return Err(Refusal::TooManyLines { lines });
    }
    match lines.iter().find(|line| line.units.is_zero()) {
        Some(line) => Err(Refusal::ZeroQuantity { upc: line.upc }),
        None => Ok(()),
    }
}

/// What the order takes and what it costs, if all of it can be had.
fn fill(state: &State, lines: &[OrderLine]) -> Result<Filled, Refusal> {
    check_lines(lines)?;
    match lines {
        [] => Err(Refusal::EmptyOrder),
        [line] => {
            let taken = resolve(state, line)?;
            let short = shortage(state, line, taken);
            if let Some(short) = short {
                return Err(Refusal::InsufficientStock { shortages: Box::new([short]) });
            }
            let total = total(state, core::slice::from_ref(line), &[taken])?;
            Ok((OneOrMany::One(taken), total))
        }
        lines => fill_many(state, lines),
    }
}

fn fill_many(state: &State, lines: &[OrderLine]) -> Result<Filled, Refusal> {
    let summed = if defect::is(Defect::LinesNotSummed) { lines.into() } else { sum_same(lines)? };
    let taken: Vec<Line> = summed.iter().map(|line| resolve(state, line)).collect::<Result<_, _>>()?;
    let shortages: Box<[Shortage]> =
        summed.iter().zip(&taken).filter_map(|(line, taken)| shortage(state, line, *taken)).collect();
    if !shortages.is_empty() {
        return Err(Refusal::InsufficientStock { shortages });
    }
    let total = total(state, &summed, &taken)?;
    Ok((taken.into(), total))
}

/// The lines with those of one item and location added up, in the order of their first appearance.
pub(super) fn sum_same(lines: &[OrderLine]) -> Result<Vec<OrderLine>, Refusal> {
    let mut sorted: Vec<(usize, OrderLine)> = lines.iter().copied().enumerate().collect();
    sorted.sort_by_key(|(place, line)| (line.upc, line.location, *place));
    let mut summed: Vec<(usize, OrderLine)> = Vec::with_capacity(sorted.len());
    for (place, line) in sorted {
        match summed.last_mut() {
            Some((_, last)) if (last.upc, last.location) == (line.upc, line.location) => {
                let sum = last.units.checked_add(line.units);
                last.units = sum.ok_or(Refusal::Overflow { upc: line.upc })?;
            }
            _ => summed.push((place, line)),
        }
    }
    summed.sort_unstable_by_key(|(place, _)| *place);
    Ok(summed.into_iter().map(|(_, line)| line).collect())
}

fn resolve(state: &State, line: &OrderLine) -> Result<Line, Refusal> {
    let item = state.catalogue.id(line.upc).ok_or(Refusal::UnknownItem { upc: line.upc })?;
    Ok(Line { item, location: line.location, units: line.units })
}

fn shortage(state: &State, line: &OrderLine, taken: Line) -> Option<Shortage> {
    let available = state.stock.available(taken.item, taken.location);
    let OrderLine { upc, location, units: requested } = *line;
    let short = requested > available || (requested == available && defect::is(Defect::LastUnitKept));
    short.then_some(Shortage { upc, location, requested, available })
}

/// The price of all lines; none if any item has no price.
fn total(state: &State, lines: &[OrderLine], taken: &[Line]) -> Result<Option<Money>, Refusal> {
    let mut total = Money::ZERO;
    for (line, taken) in lines.iter().zip(taken) {
        let Some(price) = state.catalogue.price(taken.item) else { return Ok(None) };
        let one = defect::is(Defect::PriceOfOneUnit).then_some(price);
        total = one
            .or_else(|| price.checked_times(taken.units))
            .and_then(|amount| total.checked_add(amount))
            .ok_or(Refusal::Overflow { upc: line.upc })?;
    }
    Ok(Some(total))
}
