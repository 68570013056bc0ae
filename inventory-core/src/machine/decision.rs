//! What becomes of a command.

use crate::event::Event;
use crate::refusal::Refusal;
use crate::reply::Reply;

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It happens: apply this event, then answer from it.
    Happens(Event),
    /// Nothing changes, and this is the answer: a refusal, or an outcome recorded before.
    Stands(Reply),
}

impl From<Refusal> for Decision {
    fn from(refusal: Refusal) -> Self {
        Self::Stands(Reply::Refused(refusal))
    }
}
