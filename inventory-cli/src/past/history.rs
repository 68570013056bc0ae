//! `inventory history`: the movements, with who, when and why.

use std::ops::ControlFlow;
use std::sync::Arc;

use inventory_core::journal::{PastOrderSearch, Replayer, Snapshot};
use inventory_core::state::State;
use inventory_core::{Event, Movement, OrderKey, Record, Refusal, Time, movements};
use inventory_net::clock::{Clock as _, SystemClock};
use inventory_store::View;

use super::{Beginning, NotRetained, begin, replay, steadily, view};
use crate::args::HistoryArgs;
use crate::exit::RefusedHere;
use crate::output::{Moved, Output};
use crate::parse::UsageError;

/// Shows the movements that were asked for, oldest first.
pub(crate) fn history(args: &HistoryArgs, output: Output) -> anyhow::Result<()> {
    check_times(args.since, args.until)?;
    let view = view(&args.data)?;
    let (replayer, found) = steadily(|| find(&view, args))?;
    if found.movements.is_empty() {
        explain_nothing(args, &replayer, found.refused)?;
    }
    Ok(output.movements(&found.movements)?)
}

/// What was asked for, and the state at the end of the search.
fn find(view: &View, args: &HistoryArgs) -> anyhow::Result<(Replayer, Found)> {
    // An order's key says from when on it can have moved anything; what it bought can come back at any time.
    let decided_from = args.order.map(|order| PastOrderSearch::decided_between(order).0);
    let since = args.since.max(decided_from);
    let before = |snapshot: &Snapshot| since.is_some_and(|since| snapshot.time() < since);
    let Beginning { mut replayer, known_from } = begin(view, before)?;
    if let Some((version, time)) = known_from {
        let what = format!(
            "movements up to version {version} are no longer kept: ask for those after {time} with --since"
        );
        return Err(NotRetained(what).into());
    }
    let mut found = Found::default();
    replay(view, &mut replayer, |replayer, group| {
        let mut flow = ControlFlow::Continue(());
        replayer.follow_each(group, |state, record| {
            if args.until.is_some_and(|until| record.at > until) {
                flow = ControlFlow::Break(());
            } else {
                found.look_at(args, state, record);
            }
        })?;
        Ok(flow)
    })?;
    Ok((replayer, found))
}

/// Whether there can be something between these times.
pub(crate) fn check_times(since: Option<Time>, until: Option<Time>) -> Result<(), UsageError> {
    if let Some(since) = since.filter(|since| *since > SystemClock.now()) {
        return Err(UsageError::new(format!("--since {since} is in the future")));
    }
    match (since, until) {
        (Some(since), Some(until)) if since > until => {
            Err(UsageError::new(format!("--since {since} is after --until {until}")))
        }
        _ => Ok(()),
    }
}

struct Refused {
    noun: &'static str,
    key: OrderKey,
    at: Time,
    refusal: Refusal,
}

#[derive(Default)]
struct Found {
    movements: Vec<Moved>,
    /// The refusal that the order or return asked for got.
    refused: Option<Refused>,
}

impl Found {
    fn look_at(&mut self, args: &HistoryArgs, state: &State, record: &Record) {
        if args.since.is_some_and(|since| record.at < since) {
            return;
        }
        let noun = match &record.event {
            Event::ReturnRefused { .. } => "return",
            _ => "order",
        };
        if let Event::PurchaseRefused { key, refusal, .. } | Event::ReturnRefused { key, refusal, .. } =
            &record.event
            && args.order == Some(*key)
        {
            self.refused = Some(Refused { noun, key: *key, at: record.at, refusal: refusal.clone() });
        }
        // A return has a key of its own, and moves what belongs to its order.
        let is_of = |order, movement: &Movement| {
            movement.order == Some(order) || record.event.order_key() == Some(order)
        };
        let wanted = |movement: &Movement| {
            args.upc.is_none_or(|upc| movement.upc == upc)
                && args.order.is_none_or(|order| is_of(order, movement))
                && args.user.as_ref().is_none_or(|user| movement.user.as_deref() == Some(user))
        };
        let charged = match &record.event {
            Event::PurchaseCharged { charge, .. } => {
                state.accounts().account(charge.account).map(|account| Arc::clone(account.name()))
            }
            _ => None,
        };
        let moved = movements(state, record).into_iter().filter(wanted);
        self.movements.extend(moved.map(|movement| Moved { movement, charged: charged.clone() }));
    }
}

/// No movement may be the answer; not where what was asked for does not exist.
fn explain_nothing(args: &HistoryArgs, replayer: &Replayer, refused: Option<Refused>) -> anyhow::Result<()> {
    let state = replayer.state();
    if let Some(Refused { noun, key, at, refusal }) = refused {
        let message = format!("{noun} {key} moved nothing, it was refused at {at}: {refusal}");
        return Err(RefusedHere { refusal, message }.into());
    }
    if let Some(upc) = args.upc.filter(|upc| state.catalogue().id(*upc).is_none()) {
        let refusal = Refusal::UnknownItem { upc };
        return Err(RefusedHere { message: refusal.to_string(), refusal }.into());
    }
    if let Some(user) = args.user.as_ref().filter(|user| state.users().id(user).is_none()) {
        return Err(UsageError::new(format!("there is no user {user}")).into());
    }
    if let Some(key) = args.order {
        let message = format!("no order {key} moved anything in what was asked for");
        return Err(RefusedHere { refusal: Refusal::UnknownOrder, message }.into());
    }
    Ok(())
}
