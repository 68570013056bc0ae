//! Replies: what a server answers.

use bytes::BytesMut;
use inventory_core::{
    Answer, Identity, LevelRow, LevelsPage, LocationId, Money, OrderKey, Receipt, Refusal, Role, Time, Units,
    Upc, Version,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use crate::limits::TEXT_BYTES_MAX;
use crate::message::envelope::{self, Envelope};
use crate::message::error::{EncodeError, ProtocolError, ProtocolErrorCode, Unavailable, Undecodable};
use crate::message::lines::{Lines, Rows};
use crate::message::refusal::{RefusalIn, RefusalOut, UnknownRefusal};
use crate::message::value::{valid, valid_if_present};
use crate::message::{Op, RequestId, Token, cut, decode_body};

/// A reply and the request it answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The request; none for a protocol error that is about no request.
    pub id: Option<RequestId>,
    /// What is answered.
    pub body: ReplyBody,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplyBody {
    /// Carried out, and durable.
    Done(Done),
    /// Not carried out, for a reason of the domain.
    Refused(Refusal),
    /// As `Refused`, with a code newer than this program.
    RefusedOtherwise(UnknownRefusal),
    /// No outcome now.
    Unavailable(Unavailable),
    /// The client broke the contract; the connection ends.
    ProtocolError(ProtocolError),
}

/// What there is to say when a request was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// To hello.
    Hello(ServerHello),
    /// To log in.
    LoggedIn {
        /// The new session's secret.
        token: Token,
        /// Whose session it is.
        account: Account,
    },
    /// To resume and who am I.
    Account(Account),
    /// To log out.
    LoggedOut,
    /// To levels and item.
    Levels(LevelsPage),
    /// To purchase and receipt.
    Receipt(Receipt),
    /// To commands that have nothing else to say: the version that holds their effect.
    Version(Version),
}

/// A user as clients see one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The user's name.
    pub user: Box<str>,
    /// What the user may do.
    pub role: Role,
}

/// What a server says first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerHello {
    /// The protocol version of this connection.
    pub protocol: u32,
    /// The server's name and version.
    pub server: Box<str>,
    /// Largest payload that the server takes after a login, in bytes.
    pub frame_bytes_max: u32,
    /// Most requests that may wait for their replies.
    pub in_flight_max: u32,
    /// Most lines of an order.
    pub order_lines_max: u32,
}

/// How a request went. The numbers are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Carried out.
    Done = 0,
    /// Not carried out, for a reason of the domain.
    Refused = 1,
    /// No outcome now.
    Unavailable = 2,
    /// The client broke the contract.
    ProtocolError = 3,
}

impl Status {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Done, Self::Refused, Self::Unavailable, Self::ProtocolError];

    /// The permanent number.
    pub const fn code(self) -> u32 {
        self as u32
    }

    /// The permanent name, as PROTOCOL.md spells it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::ProtocolError => "protocol_error",
        }
    }
}

impl ReplyBody {
    /// How the request went.
    pub const fn status(&self) -> Status {
        match self {
            Self::Done(_) => Status::Done,
            Self::Refused(_) | Self::RefusedOtherwise(_) => Status::Refused,
            Self::Unavailable(_) => Status::Unavailable,
            Self::ProtocolError(_) => Status::ProtocolError,
        }
    }

    /// What the engine's reply is on the wire; none for an answer that is never offered there.
    pub fn from_engine(reply: inventory_core::Reply) -> Option<Self> {
        Some(match reply {
            inventory_core::Reply::Answered(answer) => Self::Done(match answer {
                Answer::Done(version) => Done::Version(version),
                Answer::Identity(identity) => Done::Account(identity.into()),
                Answer::Receipt(receipt) => Done::Receipt(receipt),
                Answer::Levels(page) => Done::Levels(page),
                Answer::Credential(_) => return None,
            }),
            inventory_core::Reply::Refused(refusal) => Self::Refused(refusal),
            inventory_core::Reply::Unavailable(reason) => Self::Unavailable(reason.into()),
        })
    }
}

impl From<Identity> for Account {
    fn from(identity: Identity) -> Self {
        Self { user: identity.name, role: identity.role }
    }
}

/// Appends the payload of a reply.
pub fn encode_reply(to: &mut BytesMut, id: Option<RequestId>, body: &ReplyBody) -> Result<(), EncodeError> {
    let id = id.map_or(0, RequestId::get);
    let status = body.status().code();
    match body {
        ReplyBody::Done(done) => encode_done(to, id, status, done),
        ReplyBody::Refused(refusal) => {
            let message = refusal.to_string();
            envelope::seal(to, id, status, &RefusalOut::new(refusal, &message))
        }
        ReplyBody::RefusedOtherwise(UnknownRefusal { code, name, message }) => {
            envelope::seal(to, id, status, &UnknownRefusalOut { code: *code, message, refusal: name })
        }
        ReplyBody::Unavailable(reason) => {
            let message = reason.to_string();
            let message = cut(&message, TEXT_BYTES_MAX);
            envelope::seal(to, id, status, &UnavailableOut { code: reason.code(), message })
        }
        ReplyBody::ProtocolError(ProtocolError { code, message, protocol }) => {
            let message = cut(message, TEXT_BYTES_MAX);
            envelope::seal(to, id, status, &ProtocolErrorOut { code: *code, message, protocol })
        }
    }
}

fn encode_done(to: &mut BytesMut, id: u32, status: u32, done: &Done) -> Result<(), EncodeError> {
    match done {
        Done::Hello(hello) => envelope::seal(to, id, status, &HelloOut::from(hello)),
        Done::LoggedIn { token, account: Account { user, role } } => {
            let token = ByteArray::new(*token.reveal());
            envelope::seal(to, id, status, &LoggedInOut { role: role.name(), user, token })
        }
        Done::Account(Account { user, role }) => {
            envelope::seal(to, id, status, &AccountOut { role: role.name(), user })
        }
        Done::LoggedOut => envelope::seal(to, id, status, &EmptyOut {}),
        Done::Levels(LevelsPage { levels, next }) => {
            let next = next.map(Upc::get);
            envelope::seal(to, id, status, &LevelsOut { next, levels: LevelRows(levels) })
        }
        Done::Receipt(receipt) => envelope::seal(to, id, status, &ReceiptOut::from(receipt)),
        Done::Version(version) => envelope::seal(to, id, status, &VersionOut { version: version.0 }),
    }
}

/// Reads the reply that a payload is. `op_of` says what the request with this id asked for, none if there is no
/// such request.
pub fn decode_reply(
    payload: &[u8],
    op_of: impl FnOnce(RequestId) -> Option<Op>,
) -> Result<Reply, Undecodable> {
    let malformed = |id, message: String| Undecodable {
        id,
        error: ProtocolError::new(ProtocolErrorCode::Malformed, message),
    };
    let Envelope { id, kind, body } = envelope::open(payload).map_err(|misshapen| {
        let envelope::Misshapen { id, what, at } = misshapen;
        malformed(id.and_then(RequestId::new), format!("{what} (at byte {at})"))
    })?;
    let id = RequestId::new(id);
    let status = Status::ALL
        .into_iter()
        .find(|status| u64::from(status.code()) == kind)
        .ok_or_else(|| malformed(id, format!("no status has number {kind}")))?;
    let op = id.and_then(op_of);
    if op.is_none() && (id.is_some() || status != Status::ProtocolError) {
        return Err(malformed(id, "a reply to a request that is not in flight".into()));
    }
    let decoded = match (status, op) {
        (Status::Done, Some(op)) => decode_done(op, body).map(ReplyBody::Done),
        (Status::Done, None) => Err("a reply to no request".into()),
        (Status::Refused, _) => decode_refusal(body),
        (Status::Unavailable, _) => decode_body(body).map(UnavailableIn::get).map(ReplyBody::Unavailable),
        (Status::ProtocolError, _) => {
            decode_body(body).map(ProtocolErrorIn::get).map(ReplyBody::ProtocolError)
        }
    };
    let body = decoded.map_err(|what| malformed(id, format!("{}: {what}", status.name())))?;
    Ok(Reply { id, body })
}

fn decode_done(op: Op, body: &[u8]) -> Result<Done, String> {
    match op {
        Op::Hello => decode_body(body).map(HelloIn::get).map(Done::Hello),
        Op::LogIn => decode_body(body).map(LoggedInIn::get),
        Op::Resume | Op::WhoAmI => decode_body(body).map(AccountIn::get).map(Done::Account),
        Op::LogOut => decode_body(body).map(|EmptyIn {}| Done::LoggedOut),
        Op::Levels | Op::Item => decode_body(body).map(LevelsIn::get).map(Done::Levels),
        Op::Purchase | Op::Receipt => decode_body(body).and_then(ReceiptIn::get).map(Done::Receipt),
        Op::DefineItem | Op::SetInitialLevel | Op::AddUser => {
            decode_body(body).map(|VersionIn { version }| Done::Version(version))
        }
    }
}

fn decode_refusal(body: &[u8]) -> Result<ReplyBody, String> {
    match decode_body::<RefusalIn>(body)?.check() {
        Some(Ok(refusal)) => Ok(ReplyBody::Refused(refusal)),
        Some(Err(unknown)) => Ok(ReplyBody::RefusedOtherwise(unknown)),
        None => Err("the refusal lacks its details".into()),
    }
}

// The bodies as they are on the wire, `…Out` to write and `…In` to read. Fields stand in the order of
// deterministic CBOR: shorter names first, then by their bytes. Unknown fields of replies are ignored:
// a newer server may say more.

#[derive(Serialize)]
struct EmptyOut {}

#[derive(Deserialize)]
struct EmptyIn {}

#[derive(Serialize)]
struct HelloOut<'a> {
    server: &'a str,
    protocol: u32,
    in_flight_max: u32,
    frame_bytes_max: u32,
    order_lines_max: u32,
}

impl<'a> From<&'a ServerHello> for HelloOut<'a> {
    fn from(hello: &'a ServerHello) -> Self {
        let ServerHello { protocol, server, frame_bytes_max, in_flight_max, order_lines_max } = hello;
        Self {
            server: cut(server, TEXT_BYTES_MAX),
            protocol: *protocol,
            in_flight_max: *in_flight_max,
            frame_bytes_max: *frame_bytes_max,
            order_lines_max: *order_lines_max,
        }
    }
}

#[derive(Deserialize)]
struct HelloIn {
    server: Box<str>,
    #[serde(deserialize_with = "valid")]
    protocol: u32,
    #[serde(deserialize_with = "valid")]
    in_flight_max: u32,
    #[serde(deserialize_with = "valid")]
    frame_bytes_max: u32,
    #[serde(deserialize_with = "valid")]
    order_lines_max: u32,
}

impl HelloIn {
    fn get(self) -> ServerHello {
        let Self { server, protocol, in_flight_max, frame_bytes_max, order_lines_max } = self;
        ServerHello { protocol, server, frame_bytes_max, in_flight_max, order_lines_max }
    }
}

#[derive(Serialize)]
struct LoggedInOut<'a> {
    role: &'a str,
    user: &'a str,
    token: ByteArray<32>,
}

#[derive(Deserialize)]
struct LoggedInIn {
    #[serde(deserialize_with = "valid")]
    role: Role,
    user: Box<str>,
    #[serde(deserialize_with = "valid")]
    token: Token,
}

impl LoggedInIn {
    fn get(self) -> Done {
        Done::LoggedIn { token: self.token, account: Account { user: self.user, role: self.role } }
    }
}

#[derive(Serialize)]
struct AccountOut<'a> {
    role: &'a str,
    user: &'a str,
}

#[derive(Deserialize)]
struct AccountIn {
    #[serde(deserialize_with = "valid")]
    role: Role,
    user: Box<str>,
}

impl AccountIn {
    fn get(self) -> Account {
        Account { user: self.user, role: self.role }
    }
}

#[derive(Serialize)]
struct LevelsOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
    levels: LevelRows<'a>,
}

struct LevelRows<'a>(&'a [LevelRow]);

impl Serialize for LevelRows<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(|row| {
            let LevelRow { upc, name, location, on_hand, reserved, price } = row;
            (upc.get(), name, location.0, on_hand.get(), reserved.get(), price.map(Money::minor))
        }))
    }
}

#[derive(Deserialize)]
struct LevelsIn {
    #[serde(default, deserialize_with = "valid_if_present")]
    next: Option<Upc>,
    levels: Vec<LevelRowIn>,
}

#[derive(Deserialize)]
struct LevelRowIn(
    #[serde(deserialize_with = "valid")] Upc,
    Box<str>,
    #[serde(deserialize_with = "valid")] LocationId,
    #[serde(deserialize_with = "valid")] Units,
    #[serde(deserialize_with = "valid")] Units,
    Option<i64>,
);

impl LevelsIn {
    fn get(self) -> LevelsPage {
        let row = |row: LevelRowIn| {
            let LevelRowIn(upc, name, location, on_hand, reserved, price) = row;
            LevelRow { upc, name, location, on_hand, reserved, price: price.map(Money::from_minor) }
        };
        LevelsPage { levels: self.levels.into_iter().map(row).collect(), next: self.next }
    }
}

#[derive(Serialize)]
struct ReceiptOut<'a> {
    at: u64,
    key: ByteArray<16>,
    user: &'a str,
    lines: Rows<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<i64>,
    version: u64,
}

impl<'a> From<&'a Receipt> for ReceiptOut<'a> {
    fn from(receipt: &'a Receipt) -> Self {
        let Receipt { key, version, user, at, lines, total } = receipt;
        Self {
            at: at.as_micros(),
            key: ByteArray::new(key.to_bytes()),
            user,
            lines: Rows(lines),
            total: total.map(Money::minor),
            version: version.0,
        }
    }
}

#[derive(Deserialize)]
struct ReceiptIn {
    #[serde(deserialize_with = "valid")]
    at: Time,
    #[serde(deserialize_with = "valid")]
    key: OrderKey,
    user: Box<str>,
    lines: Lines,
    #[serde(default, deserialize_with = "valid_if_present")]
    total: Option<Money>,
    #[serde(deserialize_with = "valid")]
    version: Version,
}

impl ReceiptIn {
    fn get(self) -> Result<Receipt, String> {
        let Self { at, key, user, lines: Lines { lines, invalid }, total, version } = self;
        match invalid {
            Some(field) => Err(format!("{field} is out of range")),
            None => Ok(Receipt { key, version, user, at, lines, total }),
        }
    }
}

#[derive(Serialize)]
struct VersionOut {
    version: u64,
}

#[derive(Deserialize)]
struct VersionIn {
    #[serde(deserialize_with = "valid")]
    version: Version,
}

#[derive(Serialize)]
struct UnknownRefusalOut<'a> {
    code: u16,
    message: &'a str,
    refusal: &'a str,
}

#[derive(Serialize)]
struct UnavailableOut<'a> {
    code: u16,
    message: &'a str,
}

#[derive(Deserialize)]
struct UnavailableIn {
    #[serde(deserialize_with = "valid")]
    code: u16,
    message: Box<str>,
}

impl UnavailableIn {
    fn get(self) -> Unavailable {
        Unavailable::ALL
            .into_iter()
            .find(|reason| reason.code() == self.code)
            .unwrap_or(Unavailable::Other { code: self.code, message: self.message })
    }
}

#[derive(Serialize)]
struct ProtocolErrorOut<'a> {
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "<[u32]>::is_empty")]
    protocol: &'a [u32],
}

#[derive(Deserialize)]
struct ProtocolErrorIn {
    #[serde(deserialize_with = "valid")]
    code: u16,
    message: String,
    #[serde(default)]
    protocol: Vec<u32>,
}

impl ProtocolErrorIn {
    fn get(self) -> ProtocolError {
        ProtocolError { code: self.code, message: self.message.into(), protocol: self.protocol }
    }
}
