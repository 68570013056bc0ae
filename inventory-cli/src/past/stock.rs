//! `inventory stock --at`: the levels as they were at a past version or time.

use std::ops::ControlFlow;
use std::path::Path;

use inventory_core::journal::Snapshot;
use inventory_core::limits::LEVELS_PAGE_MAX;
use inventory_core::state::State;
use inventory_core::{Actor, Answer, LevelRow, LevelsPage, Query, Record, Reply, Time, Upc, Version, query};
use inventory_net::clock::{Clock as _, SystemClock};
use inventory_store::View;

use super::{Beginning, NotRetained, begin, replay, steadily, view};
use crate::exit::RefusedHere;
use crate::notice::note;
use crate::output::{Format, Output};
use crate::parse::Moment;

/// Shows the levels of these items, or of all, as they were.
pub(crate) fn stock(data: &Path, at: Moment, upcs: &[Upc], output: Output) -> anyhow::Result<()> {
    let state = state_of(data, at)?;
    let levels = if upcs.is_empty() { all_levels(&state)? } else { levels_of(&state, upcs)? };
    note_moment(&state, output);
    Ok(output.levels(&levels)?)
}

/// Tells people which version they see.
pub(super) fn note_moment(state: &State, output: Output) {
    if output.format() == Format::Table {
        note(format_args!("as of version {}, made at {}", state.version(), state.now()));
    }
}

/// The state in a data directory as it was.
pub(super) fn state_of(data: &Path, at: Moment) -> anyhow::Result<State> {
    if matches!(at, Moment::Time(time) if time > SystemClock.now()) {
        return Err(NotRetained(format!("{at} is in the future")).into());
    }
    let view = view(data)?;
    steadily(|| state_at(&view, at))
}

/// The state as it was.
fn state_at(view: &View, at: Moment) -> anyhow::Result<State> {
    let is_before = |snapshot: &Snapshot| match at {
        Moment::Version(version) => snapshot.tip().version <= version,
        Moment::Time(time) => snapshot.time() <= time,
    };
    let Beginning { mut replayer, known_from } = begin(view, is_before)?;
    if let Some((version, time)) = known_from {
        let what = format!(
            "{at} is no longer kept: the directory holds what was from version {version} ({time}) on"
        );
        return Err(NotRetained(what).into());
    }
    let wanted = |next: Version, record: &Record| match at {
        Moment::Version(version) => next <= version,
        Moment::Time(time) => record.at <= time,
    };
    replay(view, &mut replayer, |replayer, group| {
        let whole = replayer.follow_while(group, wanted)?;
        Ok(if whole { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    })?;
    let state = replayer.into_state();
    match at {
        Moment::Version(version) if version > state.version() => {
            Err(NotRetained(format!("there is no {at} yet: the journal ends at version {}", state.version()))
                .into())
        }
        Moment::Time(_) if state.version() == Version::ZERO => {
            Err(NotRetained(format!("there was nothing yet at {at}: the journal begins later")).into())
        }
        _ => Ok(state),
    }
}

fn all_levels(state: &State) -> anyhow::Result<Vec<LevelRow>> {
    let limit = u32::try_from(LEVELS_PAGE_MAX).unwrap_or(u32::MAX);
    let (mut levels, mut after) = (Vec::new(), None);
    loop {
        let page = page(state, &Query::Levels { after, limit })?;
        levels.extend(page.levels);
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(levels),
        }
    }
}

fn levels_of(state: &State, upcs: &[Upc]) -> anyhow::Result<Vec<LevelRow>> {
    let mut levels = Vec::new();
    for upc in upcs {
        levels.extend(page(state, &Query::Item { upc: *upc })?.levels);
    }
    Ok(levels)
}

fn page(state: &State, query: &Query) -> anyhow::Result<LevelsPage> {
    match query::answer(state, Time::ZERO, Actor::System, query) {
        Reply::Answered(Answer::Levels(page)) => Ok(page),
        Reply::Refused(refusal) => {
            let message = format!("{refusal} at version {}", state.version());
            Err(RefusedHere { refusal, message }.into())
        }
        other => anyhow::bail!("an answer of another kind: {other:?}"),
    }
}
