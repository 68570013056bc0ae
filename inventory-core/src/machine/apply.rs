//! Events to state: the only code that changes it. Recovery, a second server, the simulation and the running
//! engine all go through here, so they cannot disagree.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::defect::{self, Defect};
use crate::event::{Event, Line, Record};
use crate::id::{AccountId, Version};
use crate::money::Money;
use crate::returns::{Refund, Returned};
use crate::state::{Change, Level, OutcomeRow, State};

/// Changes the state by one event and gives the version it made.
///
/// The event comes from [`decide`](super::decide) on this very state, or was found possible by
/// [`verify`](super::verify).
pub fn apply(state: &mut State, record: &Record) -> Version {
    state.undo.push(Change::Began { now: state.now });
    state.version = state.version.plus(1);
    state.now = state.now.max(record.at);
    match &record.event {
        Event::ItemDefined { by: _, upc, name, price } => {
            let id = state.catalogue.id(*upc);
            if let Some(before) = id.and_then(|id| state.catalogue.replace(id, name, *price)) {
                state.undo.push(Change::ItemReplaced(Box::new(before)));
            } else {
                state.catalogue.add(*upc, name, *price);
                state.stock.add_item();
                state.undo.push(Change::ItemAdded);
            }
        }
        Event::InitialLevelSet { by: _, item, location, units } => {
            let level = Level { on_hand: *units, ..Level::default() };
            let before = state.stock.set(*item, *location, level);
            state.undo.push(Change::Level { item: *item, location: *location, before });
        }
        Event::UserAdded { by: _, name, password_hash, role } => {
            state.users.add(name, password_hash.clone(), *role);
            state.undo.push(Change::UserAdded);
        }
        Event::LoggedIn { user, session, displaced } => {
            if let Some(ended) = displaced.and_then(|oldest| state.users.end_session(oldest)) {
                state.undo.push(Change::SessionEnded(Box::new(ended)));
            }
            state.users.start_session(*user, *session);
            state.undo.push(Change::SessionStarted(*user));
        }
        Event::LoggedOut { .. } if defect::is(Defect::LogoutKeepsSession) => {}
        Event::LoggedOut { session } => {
            if let Some(ended) = state.users.end_session(*session) {
                state.undo.push(Change::SessionEnded(Box::new(ended)));
            }
        }
        Event::Purchased { lines, .. } => lines.iter().for_each(|line| take(state, line)),
        Event::BulkPurchased { location, rows, .. } => {
            state.stock.take_rows(*location, rows);
            state.undo.push(Change::RowsTaken { location: *location, rows: Arc::clone(rows) });
        }
        Event::PurchaseCharged { .. }
        | Event::Posted { .. }
        | Event::BulkPosted { .. }
        | Event::FloorSet { .. } => apply_to_accounts(state, &record.event),
        Event::Returned { returned, .. } => give_back(state, returned),
        Event::PurchaseRefused { .. } | Event::ReturnRefused { .. } | Event::PostRefused { .. } => {}
    }
    if let Some(row) = OutcomeRow::of(state.version, record) {
        record_outcome(state, row);
    }
    state.version
}

/// Apart, so that a purchase costs no more for it.
#[inline(never)]
fn apply_to_accounts(state: &mut State, event: &Event) {
    match event {
        Event::PurchaseCharged { lines, charge, .. } => {
            lines.iter().for_each(|line| take(state, line));
            // A total is not negative: it has an opposite.
            if !defect::is(Defect::ChargeTakesNoMoney) {
                post(state, charge.account, Money::from_minor(charge.total.minor().saturating_neg()));
            }
        }
        Event::Posted { posted, added, .. } => {
            for name in added {
                state.accounts.add(name);
                state.undo.push(Change::AccountAdded);
            }
            let counterpart = posted.entry.counterpart();
            if counterpart.is_none() || !defect::is(Defect::TransferOnlyGives) {
                post(state, *posted.entry.account(), posted.entry.change());
            }
            if let Some(counterpart) = counterpart {
                post(state, *counterpart, posted.entry.amount());
            }
        }
        Event::BulkPosted { rows, .. } => {
            state.accounts.post_rows(rows);
            state.undo.push(Change::EntriesPosted(Arc::clone(rows)));
        }
        Event::FloorSet { account, floor, .. } => {
            let before = state.accounts.set_floor(*account, *floor);
            state.undo.push(Change::FloorSet { account: *account, before });
        }
        _ => debug_assert!(false, "{event:?} changes no account"),
    }
}

fn take(state: &mut State, line: &Line) {
    let Line { item, location, units } = *line;
    let mut level = state.stock.level(item, location).unwrap_or_default();
    debug_assert!(units <= level.available(), "decide and verify let nothing be sold twice");
    level.on_hand = level.on_hand.saturating_sub(units);
    let before = state.stock.set(item, location, level);
    state.undo.push(Change::Level { item, location, before });
}

#[inline(never)]
fn give_back(state: &mut State, returned: &Returned) {
    let lines: &[Line] = if defect::is(Defect::RefundWithoutUnits) { &[] } else { &returned.lines };
    for line in lines {
        let Line { item, location, units } = *line;
        let mut level = state.stock.level(item, location).unwrap_or_default();
        debug_assert!(level.on_hand.checked_add(units).is_some(), "decide and verify let no level overflow");
        level.on_hand = level.on_hand.saturating_add(units);
        let before = state.stock.set(item, location, level);
        state.undo.push(Change::Level { item, location, before });
    }
    if !defect::is(Defect::ReturnsForgotten) {
        let added = state.returns.add(returned.order, &returned.lines);
        state.undo.push(Change::UnitsReturned(Box::new(added)));
    }
    if let Some(Refund { account, amount }) = returned.refund {
        post(state, account, amount);
    }
}

fn post(state: &mut State, account: AccountId, change: Money) {
    state.accounts.change(account, change);
    state.undo.push(Change::BalanceChanged { account, change });
}

fn record_outcome(state: &mut State, row: OutcomeRow) {
    state.undo.push(Change::OrderRecorded(row.key));
    state.orders.record(row);
    if let Some(before) = state.orders.advance(state.now) {
        state.undo.push(Change::WindowAdvanced(Box::new(before)));
    }
}
