//! What a message can be wrong about, and what a server says when it cannot serve.

use core::fmt;
use std::borrow::Cow;

use crate::frame::FrameError;
use crate::limits::PROTOCOL_VERSION;
use crate::message::RequestId;

/// How a peer broke the contract. The numbers are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ProtocolErrorCode {
    /// A payload that is no message of the grammar.
    Malformed = 1,
    /// A frame whose length is zero.
    FrameEmpty = 2,
    /// A frame above the limit of the moment.
    FrameTooLarge = 3,
    /// No operation has this number.
    UnknownOp = 4,
    /// The first request is not a hello.
    HelloExpected = 5,
    /// A second hello.
    HelloRepeated = 6,
    /// None of the client's protocol versions is served.
    UnsupportedProtocol = 7,
    /// A request has the id of another whose reply is still to come.
    IdInFlight = 8,
    /// A frame, or the next request before a login, took too long.
    TimedOut = 9,
}

impl ProtocolErrorCode {
    /// Every code.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::FrameEmpty,
        Self::FrameTooLarge,
        Self::UnknownOp,
        Self::HelloExpected,
        Self::HelloRepeated,
        Self::UnsupportedProtocol,
        Self::IdInFlight,
        Self::TimedOut,
    ];

    /// The permanent number.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The permanent name, as PROTOCOL.md spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::FrameEmpty => "frame_empty",
            Self::FrameTooLarge => "frame_too_large",
            Self::UnknownOp => "unknown_op",
            Self::HelloExpected => "hello_expected",
            Self::HelloRepeated => "hello_repeated",
            Self::UnsupportedProtocol => "unsupported_protocol",
            Self::IdInFlight => "id_in_flight",
            Self::TimedOut => "timed_out",
        }
    }
}

/// A peer broke the contract. Whoever says it closes the connection afterwards.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("protocol error {code}: {message}")]
pub struct ProtocolError {
    /// One of [`ProtocolErrorCode`]; another only if the peer is newer than this program.
    pub code: u16,
    /// What is wrong, and where.
    pub message: Cow<'static, str>,
    /// The protocol versions that are served, with [`ProtocolErrorCode::UnsupportedProtocol`]; else empty.
    pub protocol: Vec<u32>,
}

impl ProtocolError {
    /// An error of this code.
    pub fn new(code: ProtocolErrorCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code: code.code(), message: message.into(), protocol: Vec::new() }
    }

    /// None of the versions that the client speaks is served.
    pub fn unsupported_protocol() -> Self {
        let message = "none of the client's protocol versions is served";
        Self {
            protocol: vec![PROTOCOL_VERSION],
            ..Self::new(ProtocolErrorCode::UnsupportedProtocol, message)
        }
    }

    /// Whether it is of this code.
    pub fn is(&self, code: ProtocolErrorCode) -> bool {
        self.code == code.code()
    }
}

impl From<FrameError> for ProtocolError {
    fn from(error: FrameError) -> Self {
        let code = match error {
            FrameError::Empty => ProtocolErrorCode::FrameEmpty,
            FrameError::TooLarge { .. } => ProtocolErrorCode::FrameTooLarge,
        };
        Self::new(code, error.to_string())
    }
}

/// A payload that is no message, and what is known of whose it was.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct Undecodable {
    /// The id in the payload, if it got that far.
    pub id: Option<RequestId>,
    /// What is wrong.
    pub error: ProtocolError,
}

impl Undecodable {
    pub(super) fn malformed(id: Option<RequestId>, what: impl Into<Cow<'static, str>>) -> Self {
        Self { id, error: ProtocolError::new(ProtocolErrorCode::Malformed, what) }
    }
}

/// Why a message cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// It does not fit the frames that the peer takes.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The encoder failed.
    #[error("the message cannot be encoded: {0}")]
    Encoder(String),
}

/// Why a server gives no outcome now. The numbers are permanent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unavailable {
    /// Too much is waiting already. Nothing was done.
    Overloaded,
    /// The journal could not be written. Nothing was done.
    NotWritten,
    /// A write to the journal failed in an unclear way: unknown whether it was done. The server has to be
    /// restarted; the same order key then gives the outcome.
    Poisoned,
    /// The server is stopping. Nothing was done.
    Draining,
    /// The levels of one item do not fit the frames that the client takes. Only to reads.
    ReplyTooLarge,
    /// Too many wrong passwords for this user or from this address lately. Only to logins, and this one's password
    /// was not looked at.
    TooManyAttempts,
    /// A reason newer than this program: unknown whether anything was done.
    Other {
        /// Its number.
        code: u16,
        /// What the server says about it.
        message: Box<str>,
    },
}

impl Unavailable {
    /// Every reason that this program knows.
    pub const ALL: [Self; 6] = [
        Self::Overloaded,
        Self::NotWritten,
        Self::Poisoned,
        Self::Draining,
        Self::ReplyTooLarge,
        Self::TooManyAttempts,
    ];

    /// The permanent number.
    pub const fn code(&self) -> u16 {
        match self {
            Self::Overloaded => 1,
            Self::NotWritten => 2,
            Self::Poisoned => 3,
            Self::Draining => 4,
            Self::ReplyTooLarge => 5,
            Self::TooManyAttempts => 6,
            Self::Other { code, .. } => *code,
        }
    }

    /// The permanent name, as PROTOCOL.md spells it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Overloaded => "overloaded",
            Self::NotWritten => "not_written",
            Self::Poisoned => "poisoned",
            Self::Draining => "draining",
            Self::ReplyTooLarge => "reply_too_large",
            Self::TooManyAttempts => "too_many_attempts",
            Self::Other { .. } => "other",
        }
    }

    /// Whether it is certain that nothing was done.
    pub const fn nothing_was_done(&self) -> bool {
        match self {
            Self::Overloaded
            | Self::NotWritten
            | Self::Draining
            | Self::ReplyTooLarge
            | Self::TooManyAttempts => true,
            Self::Poisoned | Self::Other { .. } => false,
        }
    }
}

impl From<inventory_core::Unavailable> for Unavailable {
    fn from(reason: inventory_core::Unavailable) -> Self {
        match reason {
            inventory_core::Unavailable::Overloaded | inventory_core::Unavailable::OrderNotAtHand => {
                Self::Overloaded
            }
            inventory_core::Unavailable::NotWritten => Self::NotWritten,
            // Also any later reason: the one that promises least.
            _ => Self::Poisoned,
        }
    }
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Overloaded => inventory_core::Unavailable::Overloaded.fmt(f),
            Self::NotWritten => inventory_core::Unavailable::NotWritten.fmt(f),
            Self::Poisoned => inventory_core::Unavailable::Poisoned.fmt(f),
            Self::Draining => f.write_str("the server is stopping: nothing was done, try again later"),
            Self::ReplyTooLarge => {
                f.write_str("the answer is too large to send: offer larger frames in hello")
            }
            Self::TooManyAttempts => f.write_str(
                "too many wrong passwords lately: this one was not looked at, try again in half a minute",
            ),
            Self::Other { message, .. } => f.write_str(message),
        }
    }
}
