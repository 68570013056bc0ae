//! The client's side of one connection.

use std::collections::HashMap;

use bytes::{Buf, BytesMut};
use foldhash::fast::RandomState;
use inventory_core::{BulkPostingReceipt, BulkReceipt, OrderKey, PostingReceipt, Receipt};
use zeroize::Zeroize;

use super::buffer;
use super::login::Login;
use crate::frame::{self, FrameError};
use crate::limits::{
    ANONYMOUS_FRAME_BYTES_MAX, FRAME_BYTES_MAX, FRAME_BYTES_MIN, FRAME_HEADER_BYTES, PROTOCOL_VERSION,
};
use crate::message::{
    ClientHello, Done, EncodeError, Op, ProtocolError, ProtocolErrorCode, Reply, ReplyBody, RequestBody,
    RequestId, ServerHello, Undecodable, decode_reply, encode_request,
};

/// Why a request was not sent. The connection goes on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The server's hello is still to come.
    #[error("the server has not answered the hello yet")]
    NotReady,
    /// As many requests are in flight as the server allows.
    #[error("too many requests wait for their replies: read some first")]
    InFlight,
    /// The connection has ended.
    #[error("the connection has ended")]
    Ended,
    /// The request does not fit the frames that the server takes now.
    #[error(transparent)]
    TooLarge(FrameError),
    /// The request cannot be encoded.
    #[error("{0}")]
    Encode(EncodeError),
}

/// Why a connection ended. What was in flight may or may not have been done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The server broke the contract.
    #[error("the server broke the protocol: {0}")]
    BadServer(ProtocolError),
    /// The server says that this client broke the contract.
    #[error("the server broke off: {0}")]
    BrokenOff(ProtocolError),
}

/// The client's side of one connection, without IO. It says hello by itself.
///
/// In a loop: send [`output`](Self::output) and say so with [`sent`](Self::sent); read into
/// [`read_buffer`](Self::read_buffer); take replies from [`poll_reply`](Self::poll_reply) until there is none.
/// Requests can be made as soon as [`server`](Self::server) is known.
#[derive(Debug)]
pub struct ClientConnection {
    read: BytesMut,
    output: BytesMut,
    /// Whether a password or a token is in the output, or was sent since it was last empty.
    output_is_secret: bool,
    in_flight: HashMap<RequestId, InFlight, RandomState>,
    last_id: u32,
    server: Option<ServerHello>,
    login: Login,
    ended: Option<ClientError>,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    op: Op,
    /// The order that the request is about: its receipt carries this key.
    key: Option<OrderKey>,
    asked_under: Login,
}

impl ClientConnection {
    /// A new connection. `client` is this program's name and version, for the server's log.
    pub fn new(client: &str) -> Self {
        let mut connection = Self {
            read: BytesMut::new(),
            output: BytesMut::new(),
            output_is_secret: false,
            in_flight: HashMap::default(),
            last_id: 0,
            server: None,
            login: Login::default(),
            ended: None,
        };
        let hello = ClientHello {
            protocol: vec![PROTOCOL_VERSION],
            client: client.into(),
            frame_bytes_max: u32::try_from(FRAME_BYTES_MAX).unwrap_or(u32::MAX),
        };
        let sent = connection.send(&RequestBody::Hello(hello));
        debug_assert!(sent.is_ok(), "a hello fits every frame");
        connection
    }

    /// What the server said; none before its hello.
    pub const fn server(&self) -> Option<&ServerHello> {
        self.server.as_ref()
    }

    /// Whether the connection has a session, as far as the replies have told.
    pub const fn is_logged_in(&self) -> bool {
        self.login.is_live()
    }

    /// How many requests wait for their replies.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Puts a request into the output, and gives the id that its reply will carry.
    pub fn request(&mut self, body: &RequestBody) -> Result<RequestId, SendError> {
        if self.ended.is_some() {
            return Err(SendError::Ended);
        }
        let server = self.server.as_ref().ok_or(SendError::NotReady)?;
        if self.in_flight.len() >= usize::try_from(server.in_flight_max).unwrap_or(usize::MAX) {
            return Err(SendError::InFlight);
        }
        self.send(body)
    }

    /// Bytes to send.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// The first `bytes` bytes of the output were sent; they are wiped if they may hold a password or a token.
    pub fn sent(&mut self, bytes: usize) {
        let bytes = bytes.min(self.output.len());
        if self.output_is_secret
            && let Some(sent) = self.output.get_mut(..bytes)
        {
            sent.zeroize();
        }
        self.output.advance(bytes);
        self.output_is_secret &= !self.output.is_empty();
        buffer::let_go(&mut self.output);
    }

    /// Where to append the bytes that arrive; it has room for a read.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        buffer::make_room(&mut self.read);
        &mut self.read
    }

    /// The next reply that has arrived. Its status is never a protocol error: that ends the connection.
    pub fn poll_reply(&mut self) -> Result<Option<Reply>, ClientError> {
        if let Some(error) = &self.ended {
            return Err(error.clone());
        }
        self.next_reply().inspect_err(|error| self.ended = Some(error.clone()))
    }

    fn next_reply(&mut self) -> Result<Option<Reply>, ClientError> {
        loop {
            let payload = match frame::first_payload(&self.read, FRAME_BYTES_MAX) {
                Ok(Some(payload)) => payload,
                Ok(None) => {
                    buffer::let_go(&mut self.read);
                    return Ok(None);
                }
                Err(error) => return Err(ClientError::BadServer(error.into())),
            };
            let bytes = FRAME_HEADER_BYTES.saturating_add(payload.len());
            let reply = decode_reply(payload, |id| self.in_flight.get(&id).map(|asked| asked.op))
                .map_err(|Undecodable { error, .. }| ClientError::BadServer(error))?;
            self.read.advance(bytes.min(self.read.len()));
            let asked = reply.id.and_then(|id| self.in_flight.remove(&id));
            match self.check(asked, &reply.body)? {
                Kind::Hello => {}
                Kind::Answer => return Ok(Some(reply)),
            }
        }
    }

    fn send(&mut self, body: &RequestBody) -> Result<RequestId, SendError> {
        let limit = match &self.server {
            Some(server) if self.login.was_live() => {
                usize::try_from(server.frame_bytes_max).unwrap_or(usize::MAX)
            }
            _ => ANONYMOUS_FRAME_BYTES_MAX,
        };
        let id = self.next_id();
        self.output_is_secret |= body.op().is_secret();
        frame::append(&mut self.output, limit, |to| encode_request(to, id, body)).map_err(
            |error| match error {
                EncodeError::Frame(error) => SendError::TooLarge(error),
                error => SendError::Encode(error),
            },
        )?;
        let key = match body {
            RequestBody::Purchase(order) => Some(order.key),
            RequestBody::PurchaseBulk(order) => Some(order.key()),
            RequestBody::Return(wanted) => Some(wanted.key),
            RequestBody::Post(posting) => Some(posting.key),
            RequestBody::PostBulk(batch) => Some(batch.key()),
            RequestBody::Receipt { key } => Some(*key),
            _ => None,
        };
        self.in_flight.insert(id, InFlight { op: body.op(), key, asked_under: self.login });
        Ok(id)
    }

    /// An id that no request in flight has: far fewer are in flight than there are ids.
    fn next_id(&mut self) -> RequestId {
        loop {
            self.last_id = self.last_id.wrapping_add(1);
            match RequestId::new(self.last_id) {
                Some(id) if !self.in_flight.contains_key(&id) => return id,
                _ => {}
            }
        }
    }

    /// Whether a reply is one that an honest server gives.
    fn check(&mut self, asked: Option<InFlight>, body: &ReplyBody) -> Result<Kind, ClientError> {
        let op = asked.map(|asked| asked.op);
        match body {
            ReplyBody::ProtocolError(error) => return Err(ClientError::BrokenOff(error.clone())),
            ReplyBody::Done(Done::Hello(hello)) => {
                self.server = Some(sound(hello)?.clone());
                return Ok(Kind::Hello);
            }
            _ if op == Some(Op::Hello) => return Err(lie("hello is answered or broken off")),
            ReplyBody::Done(
                Done::Receipt(Receipt { key, .. })
                | Done::BulkReceipt(BulkReceipt { key, .. })
                | Done::PostingReceipt(PostingReceipt { key, .. })
                | Done::BulkPostingReceipt(BulkPostingReceipt { key, .. }),
            ) if asked.and_then(|asked| asked.key) != Some(*key) => {
                return Err(lie("the receipt is of another order"));
            }
            ReplyBody::Done(Done::ReturnReceipt(receipt))
                if asked.and_then(|asked| asked.key) != Some(receipt.key) =>
            {
                return Err(lie("the receipt is of another return"));
            }
            _ => {}
        }
        if let Some(InFlight { op, asked_under, .. }) = asked {
            self.login.follow(op, asked_under, body);
        }
        Ok(Kind::Answer)
    }
}

enum Kind {
    Hello,
    Answer,
}

fn sound(hello: &ServerHello) -> Result<&ServerHello, ClientError> {
    if hello.protocol != PROTOCOL_VERSION {
        return Err(lie("the server chose a protocol version that was not offered"));
    }
    let frame_bytes_max = usize::try_from(hello.frame_bytes_max).unwrap_or(usize::MAX);
    if frame_bytes_max < FRAME_BYTES_MIN
        || hello.in_flight_max == 0
        || hello.order_lines_max == 0
        || hello.bulk_rows_max == 0
    {
        return Err(lie("the server's limits are below those of the protocol"));
    }
    Ok(hello)
}

fn lie(what: &'static str) -> ClientError {
    ClientError::BadServer(ProtocolError::new(ProtocolErrorCode::Malformed, what))
}
