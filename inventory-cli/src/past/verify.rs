//! `inventory verify`: every byte, every event and every snapshot of a data directory, checked.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use inventory_core::journal::{Auditor, Breach, Group, Settled, Snapshot, Violation};
use inventory_core::{Hash, Time, Version};
use inventory_store::{Damage, Report, View, ViewedSnapshots};

use super::{HASH_SEED, discarded, steadily, undamaged, view};
use crate::args::VerifyArgs;
use crate::exit::Exit;
use crate::output::{Format, Output, VerifiedRow, ViolationRow};
use crate::parse::UsageError;

/// Checks a data directory and tells what it found.
pub(crate) fn verify(args: &VerifyArgs, output: Output) -> anyhow::Result<Exit> {
    if output.format() == Format::Csv {
        return Err(UsageError::new("verify writes table or json").into());
    }
    let row = check(&view(&args.data)?)?;
    let is_ok = row.violations.is_empty();
    output.verified(&row)?;
    Ok(if is_ok { Exit::Done } else { Exit::Failure })
}

/// Checks what this view shows.
pub(super) fn check(view: &View) -> anyhow::Result<VerifiedRow> {
    let began = Instant::now();
    let (verified, report) = steadily(|| verify_after(view, view.snapshots()?))?;
    Ok(verified.row(&report, began.elapsed()))
}

/// What was checked and found.
#[derive(Default)]
struct Verified {
    /// One audit from the first version, and one from each snapshot. All follow the same groups.
    audits: Vec<Auditor>,
    /// Snapshots that were not reached yet, oldest first.
    ahead: VecDeque<Snapshot>,
    damaged_snapshots: Vec<Damage>,
    /// The versions at which an audit began.
    begun: Vec<Version>,
    groups: u64,
    events: u64,
    violation: Option<Violation>,
    /// Of the state after the last event, with the event's time.
    end: Option<(Hash, Time)>,
    /// The accounts after the last event, and the sum of their balances in minor units.
    accounts: Option<(usize, i128)>,
    /// The returns that were held against their purchases.
    returns: Option<Settled>,
}

/// Checks what this view shows, from the beginning and from each of these snapshots, which were read before.
fn verify_after(view: &View, snapshots: ViewedSnapshots) -> anyhow::Result<(Verified, Report)> {
    let mut verified = Verified {
        ahead: snapshots.whole.into(),
        damaged_snapshots: snapshots.damaged,
        ..Verified::default()
    };
    let report = view.read(Version::ZERO, |group| {
        let checked = verified.follow(group);
        verified.violation = checked.err();
        if verified.violation.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if verified.violation.is_none() && report.damage.is_none() {
        verified.violation = verified.end(report.start, report.tip.version).err();
        if verified.audits.is_empty() && report.start > Version::ZERO {
            // Newer snapshots have taken the place of these: nothing was checked.
            return Err(discarded(&report).into());
        }
        verified.settle(view)?;
    }
    Ok((verified, report))
}

impl Verified {
    fn follow(&mut self, group: &Group) -> Result<(), Violation> {
        self.arrive(group.base())?;
        for audit in &mut self.audits {
            audit.follow(group)?;
        }
        self.groups += 1;
        self.events += u64::from(group.events());
        Ok(())
    }

    /// The journal stands at this version: begins the audits that begin here.
    fn arrive(&mut self, version: Version) -> Result<(), Violation> {
        if version == Version::ZERO && self.audits.is_empty() {
            self.audits.push(Auditor::new(HASH_SEED));
            self.begun.push(version);
        }
        while let Some(snapshot) = self.ahead.pop_front_if(|snapshot| snapshot.tip().version <= version) {
            let at = snapshot.tip().version;
            match self.audits.first() {
                Some(_) if at < version => {
                    return Err(Violation { version: at, breach: Breach::SnapshotElsewhere });
                }
                // Older than the first group that is kept: there is nothing to hold it against.
                None if at < version => continue,
                Some(audit) => {
                    audit.check_books()?;
                    audit.check_snapshot(&snapshot)?;
                }
                None => {}
            }
            let audit = Auditor::after(&snapshot, HASH_SEED)?;
            // The first audit has seen all returns that are kept: one pass settles what they claim.
            self.audits.push(if self.audits.is_empty() { audit } else { audit.without_claims() });
            self.begun.push(at);
        }
        Ok(())
    }

    /// All groups were followed: every audit has come to the same state.
    fn end(&mut self, start: Version, tip: Version) -> Result<(), Violation> {
        // An empty journal has no group to arrive with.
        self.arrive(if self.groups == 0 { start } else { tip })?;
        for audit in &self.audits {
            audit.check_books()?;
            let digest = audit.state().digest();
            if self.end.is_some_and(|(first, _)| first != digest) {
                return Err(Violation { version: tip, breach: Breach::SnapshotDiffers });
            }
            self.end = Some((digest, audit.state().now()));
            let accounts = audit.state().accounts();
            let sum = accounts.iter().map(|(_, account)| i128::from(account.balance().minor())).sum();
            self.accounts = Some((accounts.len(), sum));
        }
        Ok(())
    }

    /// Holds what the returns claim against the purchases that they are of, if there are any.
    fn settle(&mut self, view: &View) -> anyhow::Result<()> {
        // The first audit has followed every group that there is.
        let Some(audit) = std::mem::take(&mut self.audits).into_iter().next() else { return Ok(()) };
        let mut claims = audit.into_claims();
        if let Some(start) = claims.start().filter(|_| self.violation.is_none()) {
            undamaged(view.read(start, |group| {
                self.violation = claims.follow(group).err();
                let is_over = self.violation.is_some() || claims.is_settled();
                if is_over { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            })?)?;
        }
        self.returns = self.violation.is_none().then(|| claims.settled());
        Ok(())
    }

    fn row(self, report: &Report, took: Duration) -> VerifiedRow {
        let mut violations = Vec::new();
        if let Some(violation) = &self.violation {
            let message = violation.breach.to_string();
            violations.push(ViolationRow {
                version: Some(violation.version.0),
                file: None,
                offset: None,
                message,
            });
        }
        let damaged = |version, damage: &Damage| ViolationRow {
            version,
            file: Some(damage.path.display().to_string()),
            offset: Some(damage.offset),
            message: damage.what.clone(),
        };
        violations.extend(report.damage.iter().map(|damage| damaged(Some(report.tip.version.0 + 1), damage)));
        violations.extend(self.damaged_snapshots.iter().map(|damage| damaged(None, damage)));
        let tail = report.torn_tail.as_ref();
        VerifiedRow {
            version: report.tip.version.0,
            time: self.end.filter(|_| report.tip.version > Version::ZERO).map(|(_, time)| time.to_string()),
            head_hash: report.tip.hash.to_string(),
            state_digest: self.end.map(|(digest, _)| digest.to_string()),
            accounts: self.accounts.map(|(count, _)| count),
            balances: self.accounts.map(|(_, sum)| sum),
            returns_checked: self.returns.map(|returns| returns.checked),
            returns_not_kept: self.returns.map(|returns| returns.not_kept),
            start: report.start.0,
            segments: report.segments.len(),
            groups: self.groups,
            events: self.events,
            replayed_from: self.begun.iter().map(|version| version.0).collect(),
            events_per_second: per_second(self.events, took),
            torn_end: tail.map(|tail| format!("{} at byte {}", tail.path.display(), tail.offset)),
            violations,
        }
    }
}

fn per_second(count: u64, took: Duration) -> u64 {
    let rate = u128::from(count) * 1_000_000 / took.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::past::tests::Kept;
    use inventory_core::limits::ORDER_WINDOW_AGE_US;
    use inventory_core::{
        Event, ItemId, Line, LocationId, OrderDigest, OrderKey, Record, Returned, Units, UserId,
    };
    use inventory_store::OpenError;

    const NOW: Time = Time::from_micros(1_795_219_200_000_000);

    #[test]
    fn returns_are_held_against_their_purchases_as_long_as_those_are_kept() {
        let mut kept = Kept::new();
        assert_eq!(check(&kept.view()).unwrap().returns_checked, Some(0));
        kept.buy_and_give_back();
        let row = check(&kept.view()).unwrap();
        assert_eq!((row.returns_checked, row.returns_not_kept), (Some(1), Some(0)));
        kept.discard();
        let row = check(&kept.view()).unwrap();
        assert_eq!((row.returns_checked, row.returns_not_kept), (Some(0), Some(0)), "neither is kept");
    }

    #[test]
    fn a_return_of_more_than_was_bought_is_found_also_where_the_window_no_longer_knows() {
        let mut kept = Kept::new();
        let purchased = Version(kept.buy_and_give_back());
        let at = NOW.plus_micros(ORDER_WINDOW_AGE_US + 2_000_000);
        let (key, order) = (OrderKey::from_parts(at, 3 << 8), OrderKey::from_parts(NOW, 1 << 8));
        let line = Line { item: ItemId(0), location: LocationId::MAIN, units: Units::new(2).unwrap() };
        let returned = Box::new(Returned { order, purchased, lines: line.into(), refund: None });
        let event = Event::Returned { key, user: UserId(1), digest: OrderDigest(0), returned };
        kept.write(&Record { at, event });
        let row = check(&kept.view()).unwrap();
        let [violation] = &row.violations[..] else { panic!("{row:?}") };
        assert_eq!(violation.version, Some(row.version));
        assert_eq!(violation.message, Breach::FalseReturn(key).to_string());
        assert_eq!((row.returns_checked, row.returns_not_kept), (None, None), "the pass was not ended");
    }

    #[test]
    fn a_journal_whose_snapshots_were_replaced_meanwhile_does_not_pass_unchecked() {
        let mut kept = Kept::new();
        let before = kept.view().snapshots().unwrap();
        kept.discard();
        let Err(why) = verify_after(&kept.view(), before) else { panic!("nothing was checked") };
        assert!(matches!(why.downcast_ref(), Some(OpenError::Discarded { .. })), "{why}");
        assert!(check(&kept.view()).unwrap().state_digest.is_some());
    }
}
