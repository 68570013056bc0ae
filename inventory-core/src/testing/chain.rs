//! Groups for tests: each follows the one before it, is of the size asked for and unlike every other.

use alloc::boxed::Box;
use alloc::string::String;

use crate::command::Role;
use crate::event::{Event, Record};
use crate::id::{AppendId, UserId};
use crate::journal::{Group, GroupBuilder, Snapshot, Tip};
use crate::limits::GROUP_BYTES_MAX;
use crate::state::State;
use crate::time::Time;

/// Smallest group that a chain makes, in bytes: the group's header and one event with empty texts.
const SMALLEST_BYTES: usize = GROUP_HEADER_BYTES + EVENT_FIXED_BYTES;
const GROUP_HEADER_BYTES: usize = 64;
/// Kind, time, actor, two text lengths, role.
const EVENT_FIXED_BYTES: usize = 1 + 8 + 4 + 2 + 2 + 1;
/// Largest text put into one event, in bytes; the length of a text has two bytes.
const TEXT_BYTES_MAX: usize = 60_000;

/// Makes groups that follow each other. Two chains with different seeds make different groups.
///
/// ```
/// # use inventory_core::testing::Chain;
/// let mut chain = Chain::new(7);
/// let (first, second) = (chain.next(1_024), chain.next(1_024));
/// assert_eq!((first.bytes().len(), second.previous()), (1_024, first.hash()));
/// assert_eq!(chain.tip().version, second.last());
/// ```
#[derive(Clone, Debug)]
pub struct Chain {
    tip: Tip,
    append_id: u128,
    now: Time,
}

impl Chain {
    /// A chain that starts an empty journal.
    pub fn new(seed: u64) -> Self {
        Self::after(Tip::default(), seed)
    }

    /// A chain that goes on from here.
    pub fn after(tip: Tip, seed: u64) -> Self {
        Self { tip, append_id: u128::from(seed) << 64, now: Time::ZERO }
    }

    /// The end of the last group made.
    pub const fn tip(&self) -> Tip {
        self.tip
    }

    /// What happens from now on happens at this time.
    pub fn set_time(&mut self, now: Time) {
        self.now = now;
    }

    /// The next group, of exactly `bytes` bytes, cut to what a group can be (82 to [`GROUP_BYTES_MAX`]).
    ///
    /// Its events can be decoded; they cannot all be applied to a state, because they add one user again and again.
    #[allow(clippy::missing_panics_doc, reason = "it never does: the size is at least that of one event")]
    pub fn next(&mut self, bytes: usize) -> Group {
        self.append_id = self.append_id.saturating_add(1);
        let mut rest = bytes.clamp(SMALLEST_BYTES, GROUP_BYTES_MAX).saturating_sub(GROUP_HEADER_BYTES);
        let mut builder = GroupBuilder::new(self.tip.version);
        while rest > 0 {
            let text = rest.saturating_sub(EVENT_FIXED_BYTES);
            // What is left must be nothing or hold an event.
            let text = if text <= TEXT_BYTES_MAX { text } else { TEXT_BYTES_MAX - EVENT_FIXED_BYTES };
            builder.push(&filler(self.now, text));
            rest = rest.saturating_sub(text.saturating_add(EVENT_FIXED_BYTES));
        }
        let sealed = builder.seal(AppendId(self.append_id), self.tip.hash);
        #[allow(clippy::expect_used, reason = "the size is at least that of one event")]
        let group = sealed.expect("the group has an event");
        self.tip = Tip { version: group.last(), hash: group.hash() };
        group
    }

    /// A snapshot that stands at the end of the last group made. It holds an empty state.
    pub fn snapshot(&self) -> Snapshot {
        let mut state = State::new(0);
        state.version = self.tip.version;
        Snapshot::of(&state, self.tip.hash)
    }
}

fn filler(at: Time, text_bytes: usize) -> Record {
    let password_hash: String = core::iter::repeat_n('x', text_bytes).collect();
    let event = Event::UserAdded {
        by: UserId::SYSTEM,
        name: Box::default(),
        password_hash: password_hash.into_boxed_str(),
        role: Role::Buyer,
    };
    Record { at, event }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_the_size_asked_for_and_can_be_read() {
        let mut chain = Chain::new(1);
        for bytes in [0, 82, 83, 1_024, 60_082, 60_083, 60_100, 120_000, 200_000, GROUP_BYTES_MAX, usize::MAX]
        {
            let group = chain.next(bytes);
            assert_eq!(group.bytes().len(), bytes.clamp(SMALLEST_BYTES, GROUP_BYTES_MAX));
            assert!(group.records().all(|record| record.is_ok()));
        }
    }
}
