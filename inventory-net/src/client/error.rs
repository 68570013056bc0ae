//! Why a client's request did not go as asked. Each text says what happened, why, and what to do.

use std::io;
use std::sync::Arc;

use inventory_core::Refusal;

use super::link::LinkError;
use crate::connection::SendError;
use crate::message::{Op, Unavailable, UnknownRefusal};
use crate::transport::Address;

/// Why a request has no answer, or not the one that was wanted.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It was not carried out, for a reason of the domain: a normal answer.
    #[error("{0}")]
    Refused(Refusal),
    /// As `Refused`, with a code that is newer than this program.
    #[error("{message} (refusal {code}, {name})", message = .0.message, code = .0.code, name = .0.name)]
    RefusedOtherwise(UnknownRefusal),
    /// The server gave no outcome, also not when it was asked again.
    #[error("{0}")]
    Unavailable(Unavailable),
    /// The server cannot be reached. The request was not sent.
    #[error("cannot reach the server at {address}: {source}; is it running?")]
    Unreachable {
        /// Where it was expected.
        address: Address,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The request was sent, and no answer came: it may have been carried out.
    #[error("no answer from {address} to {op} ({source}): {advice}", op = .op.name(), advice = advice(*.op))]
    OutcomeUnknown {
        /// Where it was sent.
        address: Address,
        /// What was asked.
        op: Op,
        /// How the connection ended.
        source: Arc<io::Error>,
    },
    /// Server and client do not understand each other.
    #[error("{address} and this program do not understand each other: {source}; are both up to date?")]
    Protocol {
        /// Where the server is.
        address: Address,
        /// What was not understood.
        source: crate::connection::ClientError,
    },
    /// The server answered with something else than was asked for.
    #[error("{address} answered {op} with something else; are both programs up to date?", op = .op.name())]
    WrongAnswer {
        /// Where the server is.
        address: Address,
        /// What was asked.
        op: Op,
    },
    /// The request cannot be sent.
    #[error("the request cannot be sent: {0}")]
    Unsendable(SendError),
    /// The client was closed, or its runtime was shut down.
    #[error("the client was closed")]
    Closed,
}

impl ClientError {
    /// The error for a connection that could not be made.
    pub(super) fn unreachable(address: &Address, error: LinkError) -> Self {
        let address = address.clone();
        match error {
            LinkError::Io(source) => Self::Unreachable { address, source },
            LinkError::Protocol(source) => Self::Protocol { address, source },
        }
    }

    /// The error for a connection that ended before the answer came.
    pub(super) fn unanswered(address: &Address, op: Op, error: LinkError) -> Self {
        let address = address.clone();
        match error {
            LinkError::Io(source) => Self::OutcomeUnknown { address, op, source },
            LinkError::Protocol(source) => Self::Protocol { address, source },
        }
    }
}

/// What to do when it is not known whether this was carried out.
const fn advice(op: Op) -> &'static str {
    match op {
        Op::Purchase | Op::PurchaseBulk => {
            "it may have been carried out; repeat the same order with the same key: \
             it is carried out at most once"
        }
        Op::Return => {
            "it may have been carried out; repeat the same return with the same key: \
             units come back at most once"
        }
        Op::Post | Op::PostBulk => {
            "it may have been carried out; repeat the same entries with the same key: \
             they are posted at most once"
        }
        Op::SetInitialLevel => "it may have been carried out; look at the item's level before you repeat it",
        Op::AddUser => "the user may have been added; repeat it, and if the user exists, it was",
        Op::LogIn => "a session may have been started; log in again",
        Op::LogOut => "the session may have ended; log out again",
        Op::DefineItem | Op::SetFloor => "it may have been carried out; repeat it",
        _ => "try again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_have_bought_is_told_to_keep_the_key() {
        for op in [Op::Purchase, Op::PurchaseBulk, Op::Return, Op::Post, Op::PostBulk] {
            assert!(advice(op).contains("with the same key"), "{op:?}: {}", advice(op));
        }
    }
}
