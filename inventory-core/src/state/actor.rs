//! Who asks, and what they may do.

use super::State;
use crate::command::{Actor, Role};
use crate::id::UserId;
use crate::refusal::Refusal;

impl State {
    /// The user an actor stands for; the system stands for [`UserId::SYSTEM`].
    pub(crate) fn user_of(&self, actor: Actor) -> Result<UserId, Refusal> {
        match actor {
            Actor::Anonymous => Err(Refusal::NotLoggedIn),
            Actor::Session(session) => self.users.session(session).ok_or(Refusal::NotLoggedIn),
            Actor::User(user) => self.users.user(user).map(|_| user).ok_or(Refusal::NotLoggedIn),
            Actor::System => Ok(UserId::SYSTEM),
        }
    }

    /// Whether this user may see this account and charge it: an administrator any, a buyer the one of the same name.
    pub(crate) fn may_use(&self, user: UserId, account: &str) -> Result<(), Refusal> {
        let is_own = self.users.user(user).is_some_and(|user| &*user.name == account);
        if is_own || self.is_administrator(user) { Ok(()) } else { Err(Refusal::NotPermitted) }
    }

    /// Whether this user may do what is for administrators.
    pub(crate) fn is_administrator(&self, user: UserId) -> bool {
        let role = self.users.user(user).map(|user| user.role);
        user == UserId::SYSTEM || role == Some(Role::Administrator)
    }
}
