//! Whether a connection has a session, as both of its ends learn it from the same replies.

use inventory_core::Refusal;

use crate::message::{Op, ReplyBody};

/// Counts what changed a connection's session: odd while there is one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Login(u64);

impl Login {
    /// Whether there is a session.
    pub(super) const fn is_live(self) -> bool {
        self.0 % 2 == 1
    }

    /// Whether there is a session or was one. Then large frames are taken: a client that sends one has no way to know
    /// that its session was just ended elsewhere.
    pub(super) const fn was_live(self) -> bool {
        self.0 > 0
    }

    /// Takes in the answer to a request for `op` that was made when this was `asked_under`.
    pub(super) fn follow(&mut self, op: Op, asked_under: Self, body: &ReplyBody) {
        let (starts, ends) = match body {
            ReplyBody::Done(_) => (matches!(op, Op::LogIn | Op::Resume), op == Op::LogOut),
            // Asked under the session of now, so that session has ended elsewhere.
            ReplyBody::Refused(Refusal::NotLoggedIn) => (false, asked_under == *self),
            _ => (false, false),
        };
        if (starts && !self.is_live()) || (ends && self.is_live()) {
            self.0 = self.0.wrapping_add(1);
        }
    }
}
