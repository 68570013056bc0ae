//! What it takes to go back: for every undurable event, the rows it touched as they were before.
//! The tables know how to put a row back; this file only keeps the order.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::catalogue::ReplacedItem;
use super::orders::WindowBefore;
use super::returns::Added;
use super::stock::Level;
use super::users::EndedSession;
use crate::bulk::BulkRows;
use crate::entry::EntryRows;
use crate::id::{AccountId, ItemId, LocationId, OrderKey, UserId, Version};
use crate::money::Money;
use crate::time::Time;

/// One touched row, as it was before.
#[derive(Debug)]
pub(crate) enum Change {
    /// An event begins here; the clock stood at `now`.
    Began {
        now: Time,
    },
    ItemAdded,
    ItemReplaced(Box<ReplacedItem>),
    Level {
        item: ItemId,
        location: LocationId,
        before: Option<Level>,
    },
    /// The accepted ones of these rows took their units from here: one entry for the batch, shared with its event.
    RowsTaken {
        location: LocationId,
        rows: Arc<BulkRows>,
    },
    AccountAdded,
    /// The balance changed by so much.
    BalanceChanged {
        account: AccountId,
        change: Money,
    },
    /// This came back.
    UnitsReturned(Box<Added>),
    FloorSet {
        account: AccountId,
        before: Option<Money>,
    },
    /// The accounts of this batch were made and its accepted rows posted: one entry for the batch, shared with its event.
    EntriesPosted(Arc<EntryRows>),
    UserAdded,
    /// The newest session of this user was not there.
    SessionStarted(UserId),
    SessionEnded(Box<EndedSession>),
    OrderRecorded(OrderKey),
    WindowAdvanced(Box<WindowBefore>),
}

/// The changes since the last version that is known to be durable, oldest first.
#[derive(Debug, Default)]
pub(crate) struct UndoLog {
    changes: VecDeque<Change>,
    /// Events up to here cannot be taken back.
    durable: Version,
    recording: bool,
}

impl UndoLog {
    pub(crate) fn start(&mut self, version: Version) {
        self.changes.clear();
        self.durable = version;
        self.recording = true;
    }

    pub(crate) fn push(&mut self, change: Change) {
        if self.recording {
            self.changes.push_back(change);
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Change> {
        self.changes.pop_back()
    }

    pub(crate) fn forget_through(&mut self, version: Version) {
        while self.durable < version {
            let Some(first) = self.changes.pop_front() else { break };
            debug_assert!(matches!(first, Change::Began { .. }), "an event's changes start with it");
            self.durable = self.durable.plus(1);
            while matches!(self.changes.front(), Some(change) if !matches!(change, Change::Began { .. })) {
                self.changes.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::State;

    /// Two events, of which each touched one row.
    fn two_events() -> State {
        let mut state = State::new(1);
        state.record_undo();
        for _ in 0..2 {
            state.undo.push(Change::Began { now: Time::ZERO });
            state.undo.push(Change::OrderRecorded(OrderKey::from_parts(Time::ZERO, 0)));
            state.version = state.version.plus(1);
        }
        state
    }

    #[test]
    fn what_is_durable_is_not_kept() {
        let mut state = two_events();
        for (durable, kept) in [(0, 4), (1, 2), (1, 2), (2, 0), (9, 0)] {
            state.forget_undo_through(Version(durable));
            assert_eq!(state.undo.changes.len(), kept, "{durable}");
        }
    }

    #[test]
    fn a_state_that_left_the_engine_keeps_nothing() {
        let mut state = two_events();
        state.stop_undo();
        state.undo.push(Change::UserAdded);
        assert!(state.undo.changes.is_empty());
    }
}
