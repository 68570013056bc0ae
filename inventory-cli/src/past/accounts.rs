//! `inventory ledger balances --at` and `ledger entries --data`: accounts as they were, and what changed them.

use std::ops::ControlFlow;
use std::path::Path;

use inventory_core::journal::Snapshot;
use inventory_core::limits::BALANCES_PAGE_MAX;
use inventory_core::state::State;
use inventory_core::{AccountEntry, Actor, Answer, BalanceRow, Query, Refusal, Reply, Time, entries, query};
use inventory_store::View;

use super::stock::{note_moment, state_of};
use super::{Beginning, NotRetained, begin, replay, steadily, view};
use crate::args::{BalancesArgs, EntriesArgs};
use crate::exit::RefusedHere;
use crate::output::Output;

/// Shows the balances of these accounts, or of all, as they were.
pub(crate) fn balances(args: &BalancesArgs, output: Output) -> anyhow::Result<()> {
    let (Some(data), Some(at)) = (&args.data, args.at) else { return Ok(()) };
    let state = state_of(data, at)?;
    let balances = if args.accounts.is_empty() {
        all_balances(&state, args.after.as_deref())?
    } else {
        args.accounts.iter().map(|name| balance(&state, name)).collect::<anyhow::Result<_>>()?
    };
    note_moment(&state, output);
    Ok(output.balances(&balances)?)
}

fn all_balances(state: &State, after: Option<&str>) -> anyhow::Result<Vec<BalanceRow>> {
    let limit = u32::try_from(BALANCES_PAGE_MAX).unwrap_or(u32::MAX);
    let (mut balances, mut after) = (Vec::new(), after.map(Box::from));
    loop {
        match query::answer(state, Time::ZERO, Actor::System, &Query::Balances { after, limit }) {
            Reply::Answered(Answer::Balances(page)) => {
                balances.extend(page.balances);
                match page.next {
                    Some(next) => after = Some((*next).into()),
                    None => return Ok(balances),
                }
            }
            other => anyhow::bail!("an answer of another kind: {other:?}"),
        }
    }
}

fn balance(state: &State, name: &str) -> anyhow::Result<BalanceRow> {
    match query::answer(state, Time::ZERO, Actor::System, &Query::Balance { account: name.into() }) {
        Reply::Answered(Answer::Balance(row)) => Ok(row),
        Reply::Refused(refusal) => {
            let message = format!("{refusal} (at version {})", state.version());
            Err(RefusedHere { refusal, message }.into())
        }
        other => anyhow::bail!("an answer of another kind: {other:?}"),
    }
}

/// Shows what changed the balance of an account.
pub(crate) fn entries_of(data: &Path, args: &EntriesArgs, output: Output) -> anyhow::Result<()> {
    let view = view(data)?;
    let found = steadily(|| find(&view, args))?;
    Ok(output.entries(found.iter().map(Into::into))?)
}

fn find(view: &View, args: &EntriesArgs) -> anyhow::Result<Vec<AccountEntry>> {
    let before = |snapshot: &Snapshot| args.since.is_some_and(|since| snapshot.time() < since);
    let Beginning { mut replayer, known_from } = begin(view, before)?;
    if let Some((version, time)) = known_from {
        let what = format!(
            "entries up to version {version} are no longer kept: ask for those after {time} with --since"
        );
        return Err(NotRetained(what).into());
    }
    let (mut found, mut is_cut) = (Vec::new(), false);
    replay(view, &mut replayer, |replayer, group| {
        let mut flow = ControlFlow::Continue(());
        replayer.follow_each(group, |state, record| {
            if args.until.is_some_and(|until| record.at > until) {
                flow = ControlFlow::Break(());
                is_cut = true;
            } else if args.since.is_none_or(|since| record.at >= since) {
                let wanted = |entry: &AccountEntry| *entry.account == *args.account;
                found.extend(entries(state, record).into_iter().filter(wanted));
            }
        })?;
        Ok(flow)
    })?;
    // One that was made later had no entries then.
    if !is_cut && replayer.state().accounts().id(args.account.as_bytes()).is_none() {
        let refusal = Refusal::UnknownAccount { account: args.account.as_str().into() };
        return Err(RefusedHere { message: refusal.to_string(), refusal }.into());
    }
    Ok(found)
}
