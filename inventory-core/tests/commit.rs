//! From an append to a definite answer, with a journal that answers as it is told.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod scripted;

use inventory_core::journal::{Commit, Group, GroupBuilder, Journal, commit_again};
use inventory_core::testing::Chain;
use inventory_core::{AppendId, Event, Hash, Record, SessionId, Time, Version};
use pollster::block_on;

use scripted::{Scripted, Step};

fn group(append_id: u128) -> Group {
    let mut group = GroupBuilder::new(Version::ZERO);
    let event = Event::LoggedOut { session: SessionId([1; 32]) };
    group.push(&Record { at: Time::ZERO, event });
    group.seal(AppendId(append_id), Hash::ZERO).unwrap()
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
fn a_conflict_brings_all_that_another_writer_wrote_meanwhile() {
    let journal = Scripted::new(&[], 0);
    let mut theirs = Chain::new(1);
    let written: Vec<Group> = (0..3).map(|_| theirs.next(200)).collect();
    for group in &written {
        block_on(journal.journal.append(group.clone()));
    }
    assert_eq!(journal.commit(&group(1)), Commit::Conflict(written));
}

#[test]
fn a_writer_that_is_behind_what_the_journal_still_holds_must_start_anew() {
    // What became of a lost request cannot be learned either, however often it is sent.
    for steps in [&[][..], &[Step::LoseTheRequest; 3]] {
        let journal = Scripted::new(steps, 0);
        let mut theirs = Chain::new(1);
        block_on(journal.journal.append(theirs.next(200)));
        block_on(journal.save_snapshot(theirs.snapshot())).unwrap();
        block_on(journal.discard_through(theirs.tip().version)).unwrap();
        // To fail would be to fail for ever: no later attempt finds those groups.
        assert!(matches!(journal.commit(&group(1)), Commit::Unknown(why) if why.contains("restart")));
    }
}

#[test]
fn a_conflict_that_cannot_be_looked_at_wrote_nothing_for_certain() {
    let journal = Scripted::new(&[], 1);
    block_on(journal.journal.append(group(2)));
    let Commit::Failed(why) = journal.commit(&group(1)) else { panic!("ours is not there") };
    assert!(why.contains("another writer was first"), "{why}");
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
    let Commit::Unknown(why) = journal.commit(&later) else { panic!("it cannot be known") };
    assert!(why.contains("acknowledged writes are missing"), "{why}");
    assert!(journal.groups().is_empty());
}
