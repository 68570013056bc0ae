//! Why there are no figures. Each text says what happened, why, and what to do.

use std::io;

use inventory_core::Upc;
use inventory_net::client::ClientError;
use inventory_net::transport::Address;

/// Why a run ended without figures. Figures of a run that went wrong would be false.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The server said no, or nothing, to what was asked before or after the load.
    #[error("{0}")]
    Client(#[from] ClientError),
    /// A connection could not be made.
    #[error("connection {number} of {connections} to {address} failed: {source}")]
    Connect {
        /// Which one, from 1.
        number: usize,
        /// How many were to be made.
        connections: usize,
        /// Where to.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
    /// A connection ended under load.
    #[error("the server ended a connection under load ({0}): there are no figures for this run")]
    Lost(#[source] io::Error),
    /// The server answered a request with something that no request of this load gets.
    #[error("the server answered the load with {0}: there are no figures for this run")]
    Unexpected(String),
    /// Nothing was answered for too long.
    #[error("the server answered nothing for {seconds} s: there are no figures for this run")]
    Stalled {
        /// How long.
        seconds: u64,
    },
    /// More requests were to be in flight than the server allows.
    #[error("the server takes at most {max} requests in flight on a connection: ask for fewer")]
    InFlight {
        /// The server's limit.
        max: u32,
    },
    /// More rows were to be in a batch than the server allows.
    #[error("the server takes at most {max} purchases in a request: ask for fewer")]
    Batch {
        /// The server's limit.
        max: u32,
    },
    /// An item's code is taken.
    #[error(
        "{upc} is {name:?} on this server, which this program did not make: its units are not for a benchmark; \
         use a server of its own"
    )]
    ForeignItem {
        /// The code.
        upc: Upc,
        /// What it is there.
        name: String,
    },
    /// The books do not agree.
    #[error(
        "{sold} units were sold and {gone} are gone: either somebody else bought these items meanwhile, or the server \
         is wrong; there are no figures for this run"
    )]
    Unbalanced {
        /// Units in receipts.
        sold: u64,
        /// Units less on hand than before.
        gone: u64,
    },
    /// The system has no randomness to give.
    #[error("the system gives no random bits: {0}")]
    Random(#[from] getrandom::Error),
    /// A timer could not be made or set.
    #[error("the system's timer failed: {0}")]
    Timer(#[source] io::Error),
    /// A mistake of this program.
    #[error("the load generator failed: {0}")]
    Internal(String),
}

/// The error for an answer that no request gets.
#[expect(clippy::needless_pass_by_value, reason = "it goes where a result's error is mapped")]
pub(crate) fn unexpected(what: impl ToString) -> LoadError {
    LoadError::Unexpected(what.to_string())
}

/// The error for a mistake of this program.
#[expect(clippy::needless_pass_by_value, reason = "it goes where a result's error is mapped")]
pub(crate) fn internal(what: impl ToString) -> LoadError {
    LoadError::Internal(what.to_string())
}
