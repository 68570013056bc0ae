//! Requests: what a client may ask.

mod accounts;
mod bodies;
mod orders;

use bytes::BytesMut;
use inventory_core::journal::ScanPlace;
use inventory_core::{
    BulkEntries, BulkOrder, LocationId, Money, Order, OrderKey, Posting, Refusal, Return, Role, Units, Upc,
};

use crate::message::envelope::{self, Envelope};
use crate::message::error::{EncodeError, ProtocolError, ProtocolErrorCode, Undecodable};
use crate::message::{Op, Password, RequestId, Token, express};

/// A request and what its client calls it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The client's name for it.
    pub id: RequestId,
    /// What is asked.
    pub body: RequestBody,
}

/// Why a payload is no request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// It is one, but a value in it is out of range: the refusal that answers it.
    #[error("{refusal}")]
    Refused {
        /// The request.
        id: RequestId,
        /// Names the field.
        refusal: Refusal,
    },
    /// It breaks the contract.
    #[error(transparent)]
    Broken(#[from] Undecodable),
}

/// What is asked. See the core's [`Command`](inventory_core::Command) and [`Query`](inventory_core::Query).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RequestBody {
    /// Who calls, and what it can.
    Hello(ClientHello),
    /// Starts a session.
    LogIn {
        /// The user's name.
        user: Box<str>,
        /// The user's password.
        password: Password,
    },
    /// Binds this connection to a session that was started on another.
    Resume {
        /// The session's secret.
        token: Token,
    },
    /// Ends the session of this connection.
    LogOut,
    /// Tells whose session it is.
    WhoAmI,
    /// A page of levels.
    Levels {
        /// Only items after this one.
        after: Option<Upc>,
        /// Most items on the page; none leaves it to the server.
        limit: Option<u32>,
    },
    /// The levels of one item.
    Item {
        /// The item.
        upc: Upc,
    },
    /// Buys.
    Purchase(Order),
    /// Buys a batch of independent rows.
    PurchaseBulk(BulkOrder),
    /// The outcome of an order.
    Receipt {
        /// The order's key.
        key: OrderKey,
    },
    /// Creates an item, or changes its name and price.
    DefineItem {
        /// The item.
        upc: Upc,
        /// Its name.
        name: Box<str>,
        /// Price of one unit.
        price: Option<Money>,
    },
    /// Says how many units a location starts with.
    SetInitialLevel {
        /// The item.
        upc: Upc,
        /// The location.
        location: LocationId,
        /// Units on hand.
        units: Units,
    },
    /// Adds a user.
    AddUser {
        /// The user's name.
        name: Box<str>,
        /// The user's password.
        password: Password,
        /// What the user may do.
        role: Role,
    },
    /// Gives units of an order back.
    Return(Return),
    /// Posts an entry.
    Post(Posting),
    /// Posts a batch of independent entries.
    PostBulk(BulkEntries),
    /// Says what an account's balance never goes below from now on.
    SetFloor {
        /// The account's name.
        account: Box<str>,
        /// The floor; none to take it away.
        floor: Option<Money>,
    },
    /// One account's balance.
    Balance {
        /// The account's name.
        account: Box<str>,
    },
    /// A page of balances, sorted by the bytes of the accounts' names.
    Balances {
        /// Only accounts after this name.
        after: Option<Box<str>>,
        /// Most accounts on the page; none leaves it to the server.
        limit: Option<u32>,
    },
    /// A page of one account's entries, oldest first.
    Entries {
        /// The account's name.
        account: Box<str>,
        /// Where to begin: at the beginning, or where the page before says.
        place: ScanPlace,
        /// Most entries on the page; none leaves it to the server.
        limit: Option<u32>,
    },
}

/// What a client says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientHello {
    /// The protocol versions it speaks.
    pub protocol: Vec<u32>,
    /// Its name and version, for the server's log.
    pub client: Box<str>,
    /// Largest payload that it takes, in bytes.
    pub frame_bytes_max: u32,
}

impl RequestBody {
    /// The operation that this asks for.
    pub const fn op(&self) -> Op {
        match self {
            Self::Hello(_) => Op::Hello,
            Self::LogIn { .. } => Op::LogIn,
            Self::Resume { .. } => Op::Resume,
            Self::LogOut => Op::LogOut,
            Self::WhoAmI => Op::WhoAmI,
            Self::Levels { .. } => Op::Levels,
            Self::Item { .. } => Op::Item,
            Self::Purchase(_) => Op::Purchase,
            Self::PurchaseBulk(_) => Op::PurchaseBulk,
            Self::Receipt { .. } => Op::Receipt,
            Self::DefineItem { .. } => Op::DefineItem,
            Self::SetInitialLevel { .. } => Op::SetInitialLevel,
            Self::AddUser { .. } => Op::AddUser,
            Self::Return(_) => Op::Return,
            Self::Post(_) => Op::Post,
            Self::PostBulk(_) => Op::PostBulk,
            Self::SetFloor { .. } => Op::SetFloor,
            Self::Balance { .. } => Op::Balance,
            Self::Balances { .. } => Op::Balances,
            Self::Entries { .. } => Op::Entries,
        }
    }
}

/// Reads the request that a payload is.
pub fn decode_request(payload: &[u8]) -> Result<Request, RequestError> {
    express::read_purchase(payload).map_or_else(|| decode_generally(payload), Ok)
}

/// Reads any request.
pub(super) fn decode_generally(payload: &[u8]) -> Result<Request, RequestError> {
    let Envelope { id, kind, body } = envelope::open(payload)?;
    let id =
        RequestId::new(id).ok_or_else(|| Undecodable::malformed(None, "the id of a request is not 0"))?;
    let op = Op::from_code(kind).ok_or_else(|| Undecodable {
        id: Some(id),
        error: ProtocolError::new(ProtocolErrorCode::UnknownOp, format!("no operation has number {kind}")),
    })?;
    bodies::decode(op, body)
        .map_err(|what| Undecodable::malformed(Some(id), format!("{}: {what}", op.name())))?
        .map(|body| Request { id, body })
        .map_err(|refusal| RequestError::Refused { id, refusal })
}

/// Appends the payload of a request.
pub fn encode_request(to: &mut BytesMut, id: RequestId, body: &RequestBody) -> Result<(), EncodeError> {
    if let RequestBody::Purchase(order) = body
        && order.charge.is_none()
    {
        express::write_purchase(to, id.get(), order);
        return Ok(());
    }
    encode_generally(to, id.get(), body)
}

/// Appends any request.
pub(super) fn encode_generally(to: &mut BytesMut, id: u32, body: &RequestBody) -> Result<(), EncodeError> {
    bodies::encode(to, id, body)
}
