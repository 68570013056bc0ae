//! The users and their sessions.
//!
//! Invariants: one user a name; a session belongs to exactly one user, who lists it, oldest first, at most
//! [`SESSIONS_PER_USER_MAX`](crate::limits::SESSIONS_PER_USER_MAX) of them; at most [`USERS_MAX`] users.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::hash::BuildHasher;

use foldhash::fast::FixedState;
use hashbrown::HashTable;

use crate::command::Role;
use crate::id::{SessionId, UserId};
use crate::limits::USERS_MAX;

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Unique among users.
    pub name: Arc<str>,
    /// The password's hash, a PHC string.
    pub password_hash: Box<str>,
    /// What the user may do.
    pub role: Role,
    /// The user's sessions, oldest first.
    pub sessions: VecDeque<SessionId>,
}

/// A session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Hash of its token.
    pub id: SessionId,
    /// Whose it is.
    pub user: UserId,
}

/// A session that was ended, and its place in its user's list.
#[derive(Debug)]
pub(crate) struct EndedSession {
    session: Session,
    place: usize,
}

/// The users, numbered from 1 in the order they were added, and their sessions.
#[derive(Debug)]
pub struct Users {
    rows: Vec<User>,
    by_name: HashTable<UserId>,
    sessions: HashTable<Session>,
    /// [`USERS_MAX`], or fewer in tests.
    count_max: usize,
    hasher: FixedState,
}

impl Users {
    pub(super) fn new(hash_seed: u64) -> Self {
        Self {
            rows: Vec::new(),
            by_name: HashTable::new(),
            sessions: HashTable::new(),
            count_max: USERS_MAX,
            hasher: FixedState::with_seed(hash_seed),
        }
    }

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether no user can be added.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= self.count_max
    }

    /// Holds fewer users than [`USERS_MAX`]: a test cannot fill that.
    #[cfg(test)]
    pub(crate) fn hold_at_most(&mut self, count_max: usize) {
        self.count_max = count_max;
    }

    /// The user in this row; none for the system.
    pub fn user(&self, id: UserId) -> Option<&User> {
        self.rows.get(index(id)?)
    }

    /// The row of the user of this name.
    pub fn id(&self, name: &str) -> Option<UserId> {
        let named = |id: &UserId| self.user(*id).is_some_and(|user| &*user.name == name);
        self.by_name.find(self.hasher.hash_one(name), named).copied()
    }

    /// Whose session this is; none if there is no such session.
    pub fn session(&self, id: SessionId) -> Option<UserId> {
        self.sessions.find(self.hasher.hash_one(id), |session| session.id == id).map(|session| session.user)
    }

    /// The users in the order in which they were added.
    pub fn iter(&self) -> impl Iterator<Item = (UserId, &User)> {
        (1..).map(UserId).zip(&self.rows)
    }

    /// Adds a user. The caller has made sure that there is none of this name.
    pub(crate) fn add(&mut self, name: &str, password_hash: Box<str>, role: Role) {
        let Some(id) = u32::try_from(self.rows.len()).ok().and_then(|len| len.checked_add(1)) else {
            debug_assert!(false, "the bound on users was checked");
            return;
        };
        let hash = self.hasher.hash_one(name);
        self.rows.push(User { name: name.into(), password_hash, role, sessions: VecDeque::new() });
        let Self { rows, by_name, hasher, .. } = self;
        by_name.insert_unique(hash, UserId(id), |id| {
            index(*id).and_then(|row| rows.get(row)).map_or(0, |user| hasher.hash_one(&*user.name))
        });
    }

    pub(super) fn undo_add(&mut self) {
        let removed = u32::try_from(self.rows.len()).ok().map(UserId);
        let Some(user) = self.rows.pop() else { return };
        let hash = self.hasher.hash_one(&*user.name);
        if let Ok(entry) = self.by_name.find_entry(hash, |id| Some(*id) == removed) {
            entry.remove();
        }
    }

    /// Starts a session. The caller has made sure that the user exists and the session does not.
    pub(crate) fn start_session(&mut self, user: UserId, id: SessionId) {
        self.insert_session(Session { id, user }, usize::MAX);
    }

    pub(super) fn undo_start_session(&mut self, user: UserId) {
        let newest = self.row_mut(user).and_then(|row| row.sessions.back().copied());
        if let Some(newest) = newest {
            self.end_session(newest);
        }
    }

    /// Ends a session; none if there is no such session.
    pub(crate) fn end_session(&mut self, id: SessionId) -> Option<EndedSession> {
        let hash = self.hasher.hash_one(id);
        let entry = self.sessions.find_entry(hash, |session| session.id == id).ok()?;
        let (session, _) = entry.remove();
        let sessions = &mut self.row_mut(session.user)?.sessions;
        let place = sessions.iter().position(|other| *other == id)?;
        sessions.remove(place);
        Some(EndedSession { session, place })
    }

    pub(super) fn undo_end_session(&mut self, ended: &EndedSession) {
        self.insert_session(ended.session, ended.place);
    }

    fn insert_session(&mut self, session: Session, place: usize) {
        let Some(row) = self.row_mut(session.user) else {
            debug_assert!(false, "the user was checked");
            return;
        };
        row.sessions.insert(place.min(row.sessions.len()), session.id);
        let Self { sessions, hasher, .. } = self;
        sessions.insert_unique(hasher.hash_one(session.id), session, |session| hasher.hash_one(session.id));
    }

    fn row_mut(&mut self, id: UserId) -> Option<&mut User> {
        self.rows.get_mut(index(id)?)
    }
}

/// The place of a user's row; none for the system, which has no row.
fn index(id: UserId) -> Option<usize> {
    usize::try_from(id.0).ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_that_is_taken_back_leaves_nothing_behind() {
        let mut users = Users::new(1);
        for name in ["alice", "bob"] {
            users.add(name, "".into(), Role::Buyer);
        }
        users.undo_add();
        assert_eq!((users.len(), users.by_name.len()), (1, 1));
        assert_eq!((users.id("alice"), users.id("bob")), (Some(UserId(1)), None));
    }
}
