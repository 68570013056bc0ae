//! From an append to a definite answer, with a journal that answers as it is told.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Mutex;

use async_trait::async_trait;
use inventory_core::journal::{
    Append, Commit, Group, GroupBuilder, Journal, JournalError, MemoryJournal, Snapshot, Tip, commit,
    commit_again,
};
use inventory_core::testing::Chain;
use inventory_core::{AppendId, Event, Hash, Record, SessionId, Time, Version};
use pollster::block_on;

fn group(append_id: u128) -> Group {
    let mut group = GroupBuilder::new(Version::ZERO);
    let event = Event::LoggedOut { session: SessionId([1; 32]) };
    group.push(&Record { at: Time::ZERO, event });
    group.seal(AppendId(append_id), Hash::ZERO).unwrap()
}

/// What the journal does with the next append.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Writes it and says so.
    Write,
    /// Writes it and cannot say.
    WriteAndLoseTheAnswer,
    /// Does not write it and cannot say.
    LoseTheRequest,
    /// Does not write it and says so.
    Fail,
}

/// A memory journal behind a script; past the script's end it writes. Reads fail while `reads_fail` is not used up.
struct Scripted {
    journal: MemoryJournal,
    steps: Mutex<Vec<Step>>,
    reads_fail: Mutex<usize>,
}

impl Scripted {
    fn new(steps: &[Step], reads_fail: usize) -> Self {
        let steps = steps.iter().rev().copied().collect();
        Self { journal: MemoryJournal::new(), steps: Mutex::new(steps), reads_fail: Mutex::new(reads_fail) }
    }

    fn commit(&self, group: &Group) -> Commit {
        block_on(commit(self, group))
    }

    fn groups(&self) -> Vec<Group> {
        block_on(self.journal.read(Version::ZERO, usize::MAX)).unwrap()
    }
}

#[async_trait]
impl Journal for Scripted {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        self.journal.load_snapshot().await
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        let fails = {
            let mut left = self.reads_fail.lock().unwrap();
            let fails = *left > 0;
            *left = left.saturating_sub(1);
            fails
        };
        if fails {
            return Err(JournalError::Unreachable("no line".into()));
        }
        self.journal.read(after, bytes_max).await
    }

    async fn append(&self, group: Group) -> Append {
        let step = self.steps.lock().unwrap().pop().unwrap_or(Step::Write);
        match step {
            Step::Write => self.journal.append(group).await,
            Step::WriteAndLoseTheAnswer => {
                self.journal.append(group).await;
                Append::Unknown("no answer".into())
            }
            Step::LoseTheRequest => Append::Unknown("no answer".into()),
            Step::Fail => Append::Failed("disk full".into()),
        }
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        self.journal.tip().await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        self.journal.save_snapshot(snapshot).await
    }

    async fn discard_through(&self, version: Version) -> Result<(), JournalError> {
        self.journal.discard_through(version).await
    }
}

#[test]
fn a_written_group_is_done() {
    let journal = Scripted::new(&[], 0);
    assert_eq!(journal.commit(&group(1)), Commit::Done);
    assert_eq!(journal.groups(), [group(1)]);
}

#[test]
fn a_definite_failure_is_not_tried_again() {
    let journal = Scripted::new(&[Step::Fail], 0);
    assert_eq!(journal.commit(&group(1)), Commit::Failed("disk full".into()));
    assert!(journal.groups().is_empty());
}

#[test]
fn a_lost_answer_is_found_by_reading() {
    let journal = Scripted::new(&[Step::WriteAndLoseTheAnswer], 0);
    assert_eq!(journal.commit(&group(1)), Commit::Done);
    assert_eq!(journal.groups(), [group(1)]);
}

#[test]
fn a_lost_answer_is_found_also_when_the_first_reads_fail() {
    let journal = Scripted::new(&[Step::WriteAndLoseTheAnswer], 1);
    assert_eq!(journal.commit(&group(1)), Commit::Done);
    assert_eq!(journal.groups(), [group(1)], "sent twice, written once");
}

#[test]
fn a_lost_request_is_sent_again() {
    let journal = Scripted::new(&[Step::LoseTheRequest], 0);
    assert_eq!(journal.commit(&group(1)), Commit::Done);
    assert_eq!(journal.groups(), [group(1)]);
}

#[test]
fn after_a_lost_answer_a_failure_is_not_definite() {
    let journal = Scripted::new(&[Step::WriteAndLoseTheAnswer, Step::Fail, Step::Fail], 3);
    assert_eq!(journal.commit(&group(1)), Commit::Unknown("disk full".into()));
}

#[test]
fn another_writers_group_in_its_place_is_a_conflict() {
    let journal = Scripted::new(&[Step::LoseTheRequest], 0);
    block_on(journal.journal.append(group(2)));
    assert_eq!(journal.commit(&group(1)), Commit::Conflict(vec![group(2)]));
    let journal = Scripted::new(&[], 0);
    block_on(journal.journal.append(group(2)));
    assert_eq!(journal.commit(&group(1)), Commit::Conflict(vec![group(2)]));
}

#[test]
fn a_writer_that_is_behind_what_the_journal_still_holds_must_start_anew() {
    let journal = Scripted::new(&[], 0);
    let mut theirs = Chain::new(1);
    block_on(journal.journal.append(theirs.next(200)));
    block_on(journal.save_snapshot(theirs.snapshot())).unwrap();
    block_on(journal.discard_through(theirs.tip().version)).unwrap();
    // To fail would be to fail for ever: no later attempt finds those groups.
    assert!(matches!(journal.commit(&group(1)), Commit::Unknown(why) if why.contains("restart")));
}

#[test]
fn a_group_committed_again_after_a_cancelled_call_is_done() {
    for (steps, reads_fail) in [(&[][..], 0), (&[], 1), (&[Step::Fail], 0), (&[Step::Fail], 1)] {
        let journal = Scripted::new(steps, reads_fail);
        block_on(journal.journal.append(group(1)));
        assert_eq!(block_on(commit_again(&journal, &group(1))), Commit::Done);
        assert_eq!(journal.groups(), [group(1)]);
    }
}

#[test]
fn a_group_committed_again_is_never_said_to_have_failed() {
    for steps in [&[][..], &[Step::Fail; 3]] {
        let journal = Scripted::new(steps, 3);
        block_on(journal.journal.append(group(1)));
        assert!(matches!(block_on(commit_again(&journal, &group(1))), Commit::Unknown(_)));
    }
}

#[test]
fn a_journal_that_lost_its_end_is_never_written_on() {
    let journal = Scripted::new(&[], 0);
    let mut later = GroupBuilder::new(Version(5));
    later.push(&Record { at: Time::ZERO, event: Event::LoggedOut { session: SessionId([1; 32]) } });
    let later = later.seal(AppendId(1), Hash([9; 32])).unwrap();
    assert!(matches!(journal.commit(&later), Commit::Unknown(_)));
    assert!(journal.groups().is_empty());
}
