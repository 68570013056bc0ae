//! The bodies of replies as they are on the wire: `…Out` to write, `…In` to read. Fields stand in the order of
//! deterministic CBOR: shorter names first, then by their bytes. Unknown fields are ignored: a newer server may
//! say more.

use bytes::BytesMut;
use inventory_core::{LevelRow, LevelsPage, LocationId, Money, Role, Units, Upc, Version};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use crate::limits::TEXT_BYTES_MAX;
use crate::message::envelope;
use crate::message::error::{EncodeError, ProtocolError, Unavailable};
use crate::message::refusal::{RefusalIn, RefusalOut, UnknownRefusal};
use crate::message::reply::accounts::{
    BalanceIn, BalanceOut, BalancesIn, BalancesOut, EntriesIn, EntriesOut,
};
use crate::message::reply::receipts::{
    AnyReceiptIn, BulkPostingReceiptOut, BulkReceiptOut, PostingReceiptOut, ReceiptOut, ReturnReceiptOut,
};
use crate::message::reply::{Account, Done, ReplyBody, ServerHello, Status};
use crate::message::value::{Row, valid, valid_if_present};
use crate::message::{Op, Token, cut, decode_body};

/// Appends a reply.
pub(super) fn encode(to: &mut BytesMut, id: u32, body: &ReplyBody) -> Result<(), EncodeError> {
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
        Done::BulkReceipt(receipt) => envelope::seal(to, id, status, &BulkReceiptOut::from(receipt)),
        Done::ReturnReceipt(receipt) => envelope::seal(to, id, status, &ReturnReceiptOut::from(&**receipt)),
        Done::PostingReceipt(receipt) => envelope::seal(to, id, status, &PostingReceiptOut::from(receipt)),
        Done::BulkPostingReceipt(receipt) => {
            envelope::seal(to, id, status, &BulkPostingReceiptOut::from(receipt))
        }
        Done::Balance(row) => envelope::seal(to, id, status, &BalanceOut::from(row)),
        Done::Balances(page) => envelope::seal(to, id, status, &BalancesOut::from(page)),
        Done::Entries(page) => envelope::seal(to, id, status, &EntriesOut::from(page)),
        Done::Version(version) => envelope::seal(to, id, status, &VersionOut { version: version.0 }),
    }
}

/// Reads the body of a reply to a request of this op; none if it is about no request.
pub(super) fn decode(status: Status, op: Option<Op>, body: &[u8]) -> Result<ReplyBody, String> {
    match (status, op) {
        (Status::Done, Some(op)) => decode_done(op, body).map(ReplyBody::Done),
        (Status::Done, None) => Err("a reply to no request".into()),
        (Status::Refused, _) => decode_refusal(body),
        (Status::Unavailable, _) => decode_body(body).map(UnavailableIn::get).map(ReplyBody::Unavailable),
        (Status::ProtocolError, _) => {
            decode_body(body).map(ProtocolErrorIn::get).map(ReplyBody::ProtocolError)
        }
    }
}

fn decode_done(op: Op, body: &[u8]) -> Result<Done, String> {
    match op {
        Op::Hello => decode_body(body).map(HelloIn::get).map(Done::Hello),
        Op::LogIn => decode_body(body).map(LoggedInIn::get),
        Op::Resume | Op::WhoAmI => decode_body(body).map(AccountIn::get).map(Done::Account),
        Op::LogOut => decode_body(body).map(|EmptyIn {}| Done::LoggedOut),
        Op::Levels | Op::Item => decode_body(body).map(LevelsIn::get).map(Done::Levels),
        Op::Purchase | Op::PurchaseBulk | Op::Return | Op::Post | Op::PostBulk | Op::Receipt => {
            decode_body(body).and_then(AnyReceiptIn::get)
        }
        Op::Balance => decode_body(body).map(BalanceIn::get).map(Done::Balance),
        Op::Balances => decode_body(body).map(BalancesIn::get).map(Done::Balances),
        Op::Entries => decode_body(body).map(EntriesIn::get).map(Done::Entries),
        Op::DefineItem | Op::SetInitialLevel | Op::AddUser | Op::SetFloor => {
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

#[derive(Serialize)]
struct EmptyOut {}

#[derive(Deserialize)]
struct EmptyIn {}

#[derive(Serialize)]
struct HelloOut<'a> {
    server: &'a str,
    protocol: u32,
    bulk_rows_max: u32,
    in_flight_max: u32,
    frame_bytes_max: u32,
    order_lines_max: u32,
}

impl<'a> From<&'a ServerHello> for HelloOut<'a> {
    fn from(hello: &'a ServerHello) -> Self {
        let ServerHello { protocol, server, .. } = hello;
        let ServerHello { frame_bytes_max, in_flight_max, order_lines_max, bulk_rows_max, .. } = hello;
        Self {
            server: cut(server, TEXT_BYTES_MAX),
            protocol: *protocol,
            bulk_rows_max: *bulk_rows_max,
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
    bulk_rows_max: u32,
    #[serde(deserialize_with = "valid")]
    in_flight_max: u32,
    #[serde(deserialize_with = "valid")]
    frame_bytes_max: u32,
    #[serde(deserialize_with = "valid")]
    order_lines_max: u32,
}

impl HelloIn {
    fn get(self) -> ServerHello {
        let Self { server, protocol, bulk_rows_max, in_flight_max, frame_bytes_max, order_lines_max } = self;
        ServerHello { protocol, server, frame_bytes_max, in_flight_max, order_lines_max, bulk_rows_max }
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
    levels: Vec<Row<LevelRowIn>>,
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
        let row = |Row(row)| {
            let LevelRowIn(upc, name, location, on_hand, reserved, price) = row;
            LevelRow { upc, name, location, on_hand, reserved, price: price.map(Money::from_minor) }
        };
        LevelsPage { levels: self.levels.into_iter().map(row).collect(), next: self.next }
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
