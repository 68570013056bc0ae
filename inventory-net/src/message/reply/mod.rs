//! Replies: what a server answers.

mod accounts;
mod bodies;
mod receipts;

use bytes::BytesMut;
use inventory_core::{
    Answer, BalanceRow, BalancesPage, BulkPostingReceipt, BulkReceipt, Identity, LevelsPage, PostingReceipt,
    Receipt, Refusal, ReturnReceipt, Role, Version,
};

use crate::message::entries::EntriesPage;
use crate::message::envelope::{self, Envelope};
use crate::message::error::{EncodeError, ProtocolError, Unavailable, Undecodable};
use crate::message::refusal::UnknownRefusal;
use crate::message::{Op, RequestId, Token, express};

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
    /// To purchase bulk, and to receipt of its key.
    BulkReceipt(BulkReceipt),
    /// To return, and to receipt of its key.
    ReturnReceipt(Box<ReturnReceipt>),
    /// To post, and to receipt of its key.
    PostingReceipt(PostingReceipt),
    /// To post bulk, and to receipt of its key.
    BulkPostingReceipt(BulkPostingReceipt),
    /// To balance.
    Balance(BalanceRow),
    /// To balances.
    Balances(BalancesPage),
    /// To entries.
    Entries(EntriesPage),
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
    /// Most rows of a bulk purchase.
    pub bulk_rows_max: u32,
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
                Answer::BulkReceipt(receipt) => Done::BulkReceipt(receipt),
                Answer::PostingReceipt(receipt) => Done::PostingReceipt(receipt),
                Answer::BulkPostingReceipt(receipt) => Done::BulkPostingReceipt(receipt),
                Answer::Balance(row) => Done::Balance(row),
                Answer::Balances(page) => Done::Balances(page),
                Answer::ReturnReceipt(receipt) => Done::ReturnReceipt(receipt),
                Answer::Credential(_) => return None,
            }),
            inventory_core::Reply::Refused(refusal) => Self::Refused(refusal),
            inventory_core::Reply::Unavailable(reason) => Self::Unavailable(reason.into()),
        })
    }
}

impl From<Identity> for Account {
    fn from(identity: Identity) -> Self {
        Self { user: (&*identity.name).into(), role: identity.role }
    }
}

/// Appends the payload of a reply.
pub fn encode_reply(to: &mut BytesMut, id: Option<RequestId>, body: &ReplyBody) -> Result<(), EncodeError> {
    let id = id.map_or(0, RequestId::get);
    if let ReplyBody::Done(Done::Receipt(receipt)) = body
        && receipt.charged.is_none()
    {
        express::write_receipt(to, id, receipt);
        return Ok(());
    }
    encode_generally(to, id, body)
}

/// Appends any reply.
pub(super) fn encode_generally(to: &mut BytesMut, id: u32, body: &ReplyBody) -> Result<(), EncodeError> {
    bodies::encode(to, id, body)
}

/// The request that a reply is to and how it went, without a look at the rest: for whoever has asked for so much that
/// reading every answer costs too much. [`decode_reply`] checks all of it.
pub fn reply_head(payload: &[u8]) -> Result<(Option<RequestId>, Status), Undecodable> {
    let (id, kind) = envelope::head(payload)?;
    let id = RequestId::new(id);
    Ok((id, status_of(id, kind)?))
}

fn status_of(id: Option<RequestId>, kind: u64) -> Result<Status, Undecodable> {
    let status = Status::ALL.into_iter().find(|status| u64::from(status.code()) == kind);
    status.ok_or_else(|| Undecodable::malformed(id, format!("no status has number {kind}")))
}

/// Reads the reply that a payload is. `op_of` says what the request with this id asked for, none if there is no
/// such request.
pub fn decode_reply(
    payload: &[u8],
    op_of: impl FnOnce(RequestId) -> Option<Op>,
) -> Result<Reply, Undecodable> {
    let Some((id, receipt)) = express::read_receipt(payload) else { return decode_generally(payload, op_of) };
    match op_of(id) {
        Some(Op::Purchase | Op::Receipt) => {
            Ok(Reply { id: Some(id), body: ReplyBody::Done(Done::Receipt(receipt)) })
        }
        other => decode_generally(payload, |_| other),
    }
}

/// Reads any reply.
pub(super) fn decode_generally(
    payload: &[u8],
    op_of: impl FnOnce(RequestId) -> Option<Op>,
) -> Result<Reply, Undecodable> {
    let Envelope { id, kind, body } = envelope::open(payload)?;
    let id = RequestId::new(id);
    let status = status_of(id, kind)?;
    let op = id.and_then(op_of);
    if op.is_none() && (id.is_some() || status != Status::ProtocolError) {
        return Err(Undecodable::malformed(id, "a reply to a request that is not in flight"));
    }
    let decoded = bodies::decode(status, op, body);
    let body = decoded.map_err(|what| Undecodable::malformed(id, format!("{}: {what}", status.name())))?;
    Ok(Reply { id, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_tells_what_the_whole_reply_tells() {
        let refused = ReplyBody::Refused(Refusal::NotLoggedIn);
        let done = ReplyBody::Done(Done::Version(Version(7)));
        for (id, body) in [(RequestId::new(300), done), (RequestId::new(1), refused)] {
            let mut payload = BytesMut::new();
            encode_reply(&mut payload, id, &body).unwrap();
            assert_eq!(reply_head(&payload), Ok((id, body.status())));
        }
    }

    #[test]
    fn what_is_no_reply_has_no_head() {
        for bytes in [&[][..], &[0x83, 0x01], &[0x83, 0x01, 0x18, 0x63], &[0x82, 0x01, 0x00], b"text"] {
            assert!(reply_head(bytes).is_err(), "{bytes:x?}");
        }
    }
}
