//! The conformance kit: what [`Journal`] obliges an implementation to do, as checks that any journal can run.
//!
//! ```
//! # use inventory_core::{journal::MemoryJournal, testing::conformance};
//! # use std::sync::Arc;
//! let fresh = || {
//!     let storage = Arc::new(MemoryJournal::new());
//!     async move || Ok(Arc::clone(&storage))
//! };
//! pollster::block_on(conformance::check(fresh))?;
//! # Ok::<(), conformance::Violation>(())
//! ```

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt::Debug;
use core::future::{Future, poll_fn};
use core::pin::Pin;
use core::task::Poll;

use super::Chain;
use crate::id::Version;
use crate::journal::{Append, Group, Journal, JournalError, Tip};
use crate::limits::GROUP_BYTES_MAX;
use crate::time::Time;

/// An obligation that a journal breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal breaks the obligation “{obligation}”: {what}")]
pub struct Violation {
    /// The obligation.
    pub obligation: &'static str,
    /// What was seen instead.
    pub what: String,
}

/// What a check says when it fails: what was seen.
type Check = Result<(), String>;

/// Holds a journal to every obligation of the trait that can be seen without a crash.
///
/// `fresh` makes new, empty storage and gives what opens it. The same storage is opened several times, each time after
/// the journal opened before was dropped.
pub async fn check<J, O>(mut fresh: impl FnMut() -> O) -> Result<(), Violation>
where
    J: Journal,
    O: AsyncFn() -> Result<J, String>,
{
    macro_rules! hold {
        ($($obligation:literal: $check:ident;)*) => {$(
            $check(&fresh()).await.map_err(|what| Violation { obligation: $obligation, what })?;
        )*};
    }
    hold! {
        "a new journal is empty": a_new_journal_is_empty;
        "what was appended is read back, byte for byte": what_was_appended_is_read_back;
        "a group of any size is taken": a_group_of_any_size_is_taken;
        "a group is written only behind the version it names": a_group_behind_another_version_conflicts;
        "a group is written only behind the hash it names": a_group_behind_another_hash_conflicts;
        "a group is written once": a_group_sent_again_conflicts;
        "after a conflict the journal works": after_a_conflict_the_journal_works;
        "appends take effect in the order of the calls": appends_take_effect_in_order;
        "a group behind a refused one is not written": a_group_behind_a_refused_one_is_not_written;
        "reading gives at least one group and keeps to the size asked for": reading_keeps_to_the_size_asked_for;
        "reading starts behind any group": reading_starts_behind_any_group;
        "opening again gives everything": opening_again_gives_everything;
        "a journal goes on after it is opened again": a_journal_goes_on_after_it_is_opened_again;
        "the newest snapshot is loaded": the_newest_snapshot_is_loaded;
        "an older snapshot never replaces a newer one": an_older_snapshot_replaces_none;
        "a snapshot survives opening again": a_snapshot_survives_opening_again;
        "nothing is discarded without a snapshot": nothing_is_discarded_without_a_snapshot;
        "nothing after the snapshot is discarded": nothing_after_the_snapshot_is_discarded;
        "discarding leaves the tip and what is read after it": discarding_leaves_the_tip;
        "reading from a time on misses nothing": reading_from_a_time_on_misses_nothing;
        "what was discarded is not passed over by time": what_was_discarded_is_not_passed_over;
    }
    Ok(())
}

async fn a_new_journal_is_empty<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    expect("the tip", &journal.tip().await, &Ok(Tip::default()))?;
    expect("the snapshot", &journal.load_snapshot().await, &Ok(None))?;
    expect_groups(&journal, Version::ZERO, &[]).await
}

async fn what_was_appended_is_read_back<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    let (_, groups) = append_some(&journal, &[82, 83, 1_000, 1_001, 5_000]).await?;
    expect_groups(&journal, Version::ZERO, &groups).await
}

async fn a_group_of_any_size_is_taken<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    let sizes = [82, GROUP_BYTES_MAX, 100, GROUP_BYTES_MAX - 1, GROUP_BYTES_MAX];
    let (_, groups) = append_some(&journal, &sizes).await?;
    expect_groups(&journal, Version::ZERO, &groups).await
}

async fn a_group_behind_another_version_conflicts<J: Journal>(
    open: &impl AsyncFn() -> Result<J, String>,
) -> Check {
    let journal = open().await?;
    let (mut chain, mut groups) = append_some(&journal, &[200, 300]).await?;
    let early = Chain::new(2).next(400);
    expect("appending at the beginning", &journal.append(early).await, &Append::Conflict)?;
    let missing = chain.next(500);
    let late = chain.next(600);
    expect("appending past the end", &journal.append(late).await, &Append::Conflict)?;
    let hash = missing.previous();
    let skipping = Chain::after(Tip { version: missing.base().plus(1), hash }, 3).next(600);
    expect("skipping a version", &journal.append(skipping).await, &Append::Conflict)?;
    expect_groups(&journal, Version::ZERO, &groups).await?;
    expect("appending at the end", &journal.append(missing.clone()).await, &Append::Done)?;
    groups.push(missing);
    expect_groups(&journal, Version::ZERO, &groups).await
}

async fn a_group_behind_another_hash_conflicts<J: Journal>(
    open: &impl AsyncFn() -> Result<J, String>,
) -> Check {
    let journal = open().await?;
    let (chain, groups) = append_some(&journal, &[200]).await?;
    let mut elsewhere = Chain::new(2);
    elsewhere.next(200);
    let same_version = elsewhere.tip().version == chain.tip().version;
    expect("both chains at one version", &same_version, &true)?;
    let foreign = elsewhere.next(200);
    expect("appending behind another group", &journal.append(foreign).await, &Append::Conflict)?;
    expect_groups(&journal, Version::ZERO, &groups).await
}

async fn a_group_sent_again_conflicts<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    let group = Chain::new(1).next(300);
    let other = Chain::new(2).next(300);
    expect("the two append ids are one", &(group.append_id() == other.append_id()), &false)?;
    expect("the first append", &journal.append(group.clone()).await, &Append::Done)?;
    expect("the same group again", &journal.append(group.clone()).await, &Append::Conflict)?;
    expect("another group in its place", &journal.append(other).await, &Append::Conflict)?;
    expect_groups(&journal, Version::ZERO, &[group]).await
}

async fn after_a_conflict_the_journal_works<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    let (mut chain, mut groups) = append_some(&journal, &[200]).await?;
    for _ in 0..3 {
        let stale = Chain::new(2).next(300);
        expect("a stale append", &journal.append(stale).await, &Append::Conflict)?;
        groups.push(chain.next(400));
        let next = groups.last().cloned().ok_or("no group")?;
        expect("the append after it", &journal.append(next).await, &Append::Done)?;
    }
    expect_groups(&journal, Version::ZERO, &groups).await
}

async fn appends_take_effect_in_order<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    let mut chain = Chain::new(1);
    let groups: Vec<Group> = (0..40).map(|n: usize| chain.next(n.saturating_mul(97))).collect();
    let answers = all(groups.iter().map(|group| journal.append(group.clone()))).await;
    expect("the answers", &answers, &groups.iter().map(|_| Append::Done).collect())?;
    expect_groups(&journal, Version::ZERO, &groups).await
}

async fn a_group_behind_a_refused_one_is_not_written<J: Journal>(
    open: &impl AsyncFn() -> Result<J, String>,
) -> Check {
    let journal = open().await?;
    let (mut chain, mut groups) = append_some(&journal, &[200]).await?;
    let mut stale = Chain::new(2);
    let (first, second, third) = (stale.next(200), stale.next(300), chain.next(400));
    let appends = [first, second, third.clone()].map(|group| journal.append(group));
    let answers = all(appends).await;
    let wanted = [Append::Conflict, Append::Conflict, Append::Done];
    expect("the answers", &answers.as_slice(), &wanted.as_slice())?;
    groups.push(third);
    expect_groups(&journal, Version::ZERO, &groups).await
}

async fn reading_keeps_to_the_size_asked_for<J: Journal>(
    open: &impl AsyncFn() -> Result<J, String>,
) -> Check {
    let journal = open().await?;
    let (_, groups) = append_some(&journal, &[1_000; 7]).await?;
    for (bytes_max, count) in [(0, 1), (999, 1), (1_000, 1), (1_999, 1), (2_000, 2), (3_500, 3), (7_000, 7)] {
        let read = journal.read(Version::ZERO, bytes_max).await.map_err(|why| why.to_string())?;
        let wanted: Vec<Group> = groups.iter().take(count).cloned().collect();
        expect(&format!("reading {bytes_max} bytes of groups of 1000"), &read, &wanted)?;
    }
    Ok(())
}

async fn reading_starts_behind_any_group<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    let sizes: Vec<usize> = (0..60).map(|n: usize| n.saturating_mul(2_741)).collect();
    let (_, groups) = append_some(&journal, &sizes).await?;
    for (at, group) in groups.iter().enumerate().rev() {
        expect_groups(&journal, group.base(), groups.get(at..).unwrap_or_default()).await?;
    }
    Ok(())
}

/// Groups a second apart, two at each time.
async fn append_by_time<J: Journal>(journal: &J) -> Result<(Chain, Vec<Group>), String> {
    let mut chain = Chain::new(1);
    let mut groups = Vec::new();
    for pair in 1..=30u64 {
        chain.set_time(Time::from_micros(pair.saturating_mul(1_000_000)));
        for bytes in [200, 9_000] {
            groups.push(append_next(journal, &mut chain, bytes).await?);
        }
    }
    Ok((chain, groups))
}

/// For times at, between, before and after those of [`append_by_time`]: whatever place the journal gives, nothing of that time
/// or later lies in front of it.
async fn expect_places<J: Journal>(journal: &J, written: &[Group]) -> Check {
    let start = match journal.read(Version::ZERO, 0).await {
        Err(JournalError::Discarded { start, .. }) => start,
        read => read.map(|_| Version::ZERO).map_err(|why| why.to_string())?,
    };
    for half_second in 0..64u64 {
        let time = Time::from_micros(half_second.saturating_mul(500_000));
        let begins = |group: &Group| group.begins_at().map_err(|why| why.to_string());
        let first_kept = written.iter().find(|group| group.base() == start);
        let is_known = match first_kept {
            Some(group) => start == Version::ZERO || begins(group)? < time,
            None => start == Version::ZERO,
        };
        match journal.position(time).await {
            Ok(place) if is_known => {
                for group in written {
                    let missed = group.base() < place && begins(group)? >= time;
                    expect(
                        &format!("reading after {place} misses what happened at {time}"),
                        &missed,
                        &false,
                    )?;
                }
                let behind: Vec<Group> =
                    written.iter().filter(|group| group.base() >= place).cloned().collect();
                expect_groups(journal, place, &behind).await?;
            }
            Err(JournalError::Discarded { start: told, .. }) if !is_known => {
                expect("where the journal is said to start", &told, &start)?;
            }
            other => {
                return Err(format!("the place of {time} in a journal after version {start} is {other:?}"));
            }
        }
    }
    Ok(())
}

async fn reading_from_a_time_on_misses_nothing<J: Journal>(
    open: &impl AsyncFn() -> Result<J, String>,
) -> Check {
    let journal = open().await?;
    expect_places(&journal, &[]).await?;
    let (_, groups) = append_by_time(&journal).await?;
    expect_places(&journal, &groups).await?;
    drop(journal);
    expect_places(&open().await?, &groups).await
}

async fn what_was_discarded_is_not_passed_over<J: Journal>(
    open: &impl AsyncFn() -> Result<J, String>,
) -> Check {
    let journal = open().await?;
    let (mut chain, mut groups) = append_by_time(&journal).await?;
    expect("saving", &journal.save_snapshot(chain.snapshot()).await, &Ok(()))?;
    let half = groups.get(groups.len() / 2).map_or(Version::ZERO, Group::base);
    for through in [half, chain.tip().version] {
        expect("discarding", &journal.discard_through(through).await, &Ok(()))?;
        expect_places(&journal, &groups).await?;
    }
    drop(journal);
    let journal = open().await?;
    expect_places(&journal, &groups).await?;
    groups.push(append_next(&journal, &mut chain, 300).await?);
    expect_places(&journal, &groups).await
}

async fn opening_again_gives_everything<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    let (chain, groups) = append_some(&journal, &[100, 2_000, 300]).await?;
    drop(journal);
    for _ in 0..2 {
        let journal = open().await?;
        expect("the tip", &journal.tip().await, &Ok(chain.tip()))?;
        expect_groups(&journal, Version::ZERO, &groups).await?;
    }
    Ok(())
}

async fn a_journal_goes_on_after_it_is_opened_again<J: Journal>(
    open: &impl AsyncFn() -> Result<J, String>,
) -> Check {
    let mut chain = Chain::new(1);
    let mut groups = Vec::new();
    for _ in 0..4 {
        let journal = open().await?;
        for bytes in [200, 300] {
            groups.push(append_next(&journal, &mut chain, bytes).await?);
        }
        let stale = Chain::new(2).next(100);
        expect("a stale append", &journal.append(stale).await, &Append::Conflict)?;
    }
    expect_groups(&open().await?, Version::ZERO, &groups).await
}

async fn the_newest_snapshot_is_loaded<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    let mut chain = Chain::new(1);
    for _ in 0..4 {
        append_next(&journal, &mut chain, 500).await?;
        let snapshot = chain.snapshot();
        expect("saving", &journal.save_snapshot(snapshot.clone()).await, &Ok(()))?;
        expect("the snapshot", &journal.load_snapshot().await, &Ok(Some(snapshot)))?;
    }
    Ok(())
}

async fn an_older_snapshot_replaces_none<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    let mut chain = Chain::new(1);
    append_next(&journal, &mut chain, 500).await?;
    let older = chain.snapshot();
    append_next(&journal, &mut chain, 500).await?;
    let newer = chain.snapshot();
    for snapshot in [&newer, &older, &newer] {
        expect("saving", &journal.save_snapshot(snapshot.clone()).await, &Ok(()))?;
        expect("the snapshot", &journal.load_snapshot().await, &Ok(Some(newer.clone())))?;
    }
    Ok(())
}

async fn a_snapshot_survives_opening_again<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    let (mut chain, mut groups) = append_some(&journal, &[500, 600]).await?;
    let snapshot = chain.snapshot();
    expect("saving", &journal.save_snapshot(snapshot.clone()).await, &Ok(()))?;
    groups.push(append_next(&journal, &mut chain, 700).await?);
    drop(journal);
    let journal = open().await?;
    expect("the snapshot", &journal.load_snapshot().await, &Ok(Some(snapshot)))?;
    expect("the tip", &journal.tip().await, &Ok(chain.tip()))?;
    expect_groups(&journal, Version::ZERO, &groups).await
}

async fn nothing_is_discarded_without_a_snapshot<J: Journal>(
    open: &impl AsyncFn() -> Result<J, String>,
) -> Check {
    let journal = open().await?;
    let (chain, groups) = append_some(&journal, &[500; 5]).await?;
    expect("discarding", &journal.discard_through(chain.tip().version).await, &Ok(()))?;
    expect_groups(&journal, Version::ZERO, &groups).await
}

async fn nothing_after_the_snapshot_is_discarded<J: Journal>(
    open: &impl AsyncFn() -> Result<J, String>,
) -> Check {
    let journal = open().await?;
    let (mut chain, _) = append_some(&journal, &[50_000; 6]).await?;
    let snapshot = chain.snapshot();
    let covered = snapshot.tip().version;
    expect("saving", &journal.save_snapshot(snapshot).await, &Ok(()))?;
    let mut groups = Vec::new();
    for _ in 0..4 {
        groups.push(append_next(&journal, &mut chain, 50_000).await?);
    }
    expect("discarding", &journal.discard_through(chain.tip().version).await, &Ok(()))?;
    expect_groups(&journal, covered, &groups).await?;
    drop(journal);
    expect_groups(&open().await?, covered, &groups).await
}

async fn discarding_leaves_the_tip<J: Journal>(open: &impl AsyncFn() -> Result<J, String>) -> Check {
    let journal = open().await?;
    let (mut chain, mut groups) = append_some(&journal, &[50_000; 6]).await?;
    let snapshot = chain.snapshot();
    expect("saving", &journal.save_snapshot(snapshot).await, &Ok(()))?;
    expect("discarding", &journal.discard_through(chain.tip().version).await, &Ok(()))?;
    expect("the tip", &journal.tip().await, &Ok(chain.tip()))?;
    expect_groups(&journal, chain.tip().version, &[]).await?;
    // A journal may keep more than it must; what it gives from the beginning is whole, or said to be discarded.
    match journal.read(Version::ZERO, usize::MAX).await {
        Ok(kept) => expect("what was kept", &kept, &groups)?,
        Err(JournalError::Discarded { after: Version::ZERO, start }) if start <= chain.tip().version => {}
        Err(other) => return Err(format!("reading what was discarded gives {other:?}")),
    }
    drop(journal);
    let journal = open().await?;
    expect("the tip when opened again", &journal.tip().await, &Ok(chain.tip()))?;
    groups.clear();
    let behind = chain.tip().version;
    groups.push(append_next(&journal, &mut chain, 300).await?);
    expect_groups(&journal, behind, &groups).await
}

async fn append_some<J: Journal>(journal: &J, sizes: &[usize]) -> Result<(Chain, Vec<Group>), String> {
    let mut chain = Chain::new(1);
    let mut groups = Vec::new();
    for bytes in sizes {
        groups.push(append_next(journal, &mut chain, *bytes).await?);
    }
    Ok((chain, groups))
}

async fn append_next<J: Journal>(journal: &J, chain: &mut Chain, bytes: usize) -> Result<Group, String> {
    let group = chain.next(bytes);
    expect("appending at the end", &journal.append(group.clone()).await, &Append::Done)?;
    expect("the tip after it", &journal.tip().await, &Ok(chain.tip()))?;
    Ok(group)
}

/// Reads page by page, small and large pages in turn, from `after` to the tip.
async fn expect_groups<J: Journal>(journal: &J, after: Version, wanted: &[Group]) -> Check {
    let mut next = after;
    let mut wanted = wanted.iter();
    for bytes_max in [0, 10_000, usize::MAX].into_iter().cycle() {
        let page = journal.read(next, bytes_max).await;
        let page = page.map_err(|why| format!("reading after version {next} gives {why:?}"))?;
        if page.is_empty() {
            break;
        }
        for group in page {
            next = group.last();
            if wanted.next() != Some(&group) {
                return Err(format!(
                    "reading gives another group after version {} than was written",
                    group.base()
                ));
            }
        }
    }
    match wanted.next() {
        None => Ok(()),
        Some(missing) => Err(format!("reading does not give the group after version {}", missing.base())),
    }
}

fn expect<T: PartialEq + Debug>(what: &str, seen: &T, wanted: &T) -> Check {
    if seen == wanted { Ok(()) } else { Err(format!("{what}: {} instead of {}", brief(seen), brief(wanted))) }
}

/// The value as text, cut to a readable length: a group shown in full is a megabyte.
fn brief(value: &impl Debug) -> String {
    const SHOWN_CHARS_MAX: usize = 400;
    let text = format!("{value:?}");
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

/// Awaits all at once; each is polled for the first time in the order given.
async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut waiting: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = waiting.iter().map(|_| None).collect();
    poll_fn(|context| {
        for (future, output) in waiting.iter_mut().zip(&mut outputs).filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(value) = future.as_mut().poll(context) {
                *output = Some(value);
            }
        }
        if outputs.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests;
