//! The server's side of one connection.

use std::collections::HashMap;
use std::iter;

use bytes::{Buf, BytesMut};
use foldhash::fast::RandomState;
use zeroize::Zeroize;

use super::buffer;
use super::login::Login;
use super::page;
use crate::frame;
use crate::limits::{
    ACCOUNT_ROWS_MAX, ANONYMOUS_DEADLINE_US, ANONYMOUS_FRAME_BYTES_MAX, ANONYMOUS_IN_FLIGHT_MAX,
    BUFFER_BYTES_MIN, FRAME_BYTES_MAX, FRAME_BYTES_MIN, FRAME_DEADLINE_US, FRAME_HEADER_BYTES, IN_FLIGHT_MAX,
    LEVEL_BYTES_MAX, LEVELS_PAGE_ITEMS_MAX, OUTPUT_BYTES_TARGET, PROTOCOL_VERSION,
};
use crate::message::{
    ClientHello, Done, Op, ProtocolError, ProtocolErrorCode, ReplyBody, Request, RequestBody, RequestError,
    RequestId, ServerHello, Unavailable, Undecodable, decode_request, encode_reply,
};

/// Replies that wait to be sent may be only so large a part of the output's target: a peer that reads leaves none.
const UNSENT_PART: usize = 4;
/// What requests of a turn may come to: a hundred purchases, or one large batch.
const TURN_BYTES: usize = 16 << 10;
/// What a request counts for beside its own bytes.
const REQUEST_BYTES: usize = 64;
/// Bytes of one row of a page of balances or entries, with a name of common length.
const ACCOUNT_BYTES_EXPECTED: usize = 160;
/// Bytes of the reply to another read.
const READ_BYTES_EXPECTED: usize = 1 << 10;

/// What a server allows on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerConfig {
    /// The server's name and version, as the hello tells it.
    pub server: Box<str>,
    /// Largest payload taken after a login, in bytes: [`FRAME_BYTES_MIN`] to [`FRAME_BYTES_MAX`].
    pub frame_bytes_max: usize,
    /// Most requests that may wait for their replies after a login; at least 1.
    pub in_flight_max: usize,
    /// Unsent bytes of replies, with those that are still to come to reads, above which no further requests are read. A
    /// quarter of it is the bound for the unsent ones alone.
    pub output_bytes_target: usize,
    /// How long a frame that has begun may take to become complete, and the peer to take any byte of a reply,
    /// in microseconds.
    pub frame_deadline_us: u64,
    /// How long a connection without a session may be idle, in microseconds.
    pub anonymous_deadline_us: u64,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            server: concat!("inventory/", env!("CARGO_PKG_VERSION")).into(),
            frame_bytes_max: FRAME_BYTES_MAX,
            in_flight_max: IN_FLIGHT_MAX,
            output_bytes_target: OUTPUT_BYTES_TARGET,
            frame_deadline_us: FRAME_DEADLINE_US,
            anonymous_deadline_us: ANONYMOUS_DEADLINE_US,
        }
    }
}

/// The server's side of one connection, without IO.
///
/// In a loop: while [`wants_read`](Self::wants_read), read into [`read_buffer`](Self::read_buffer); after every
/// read, reply and write, take requests from [`poll_request`](Self::poll_request) until there is none;
/// answer each of them once with [`reply`](Self::reply), in any order; send [`output`](Self::output) and say
/// so with [`sent`](Self::sent); call [`handle_timeout`](Self::handle_timeout) when
/// [`deadline_us`](Self::deadline_us) is past; close when [`is_finished`](Self::is_finished).
///
/// `now_us` is a monotonic time in microseconds, from any origin, the same for all calls.
///
/// Hello, values out of range and protocol errors are answered inside. Memory is bounded: no request is read
/// while too many wait for their replies or too much output waits to be sent or is still to come.
#[derive(Debug)]
pub struct ServerConnection {
    config: ServerConfig,
    read: BytesMut,
    output: BytesMut,
    in_flight: HashMap<RequestId, InFlight, RandomState>,
    /// What the replies to the reads in flight may come to.
    expected_bytes: usize,
    /// Bytes of requests that may still be taken in this turn, [`REQUEST_BYTES`] added for each.
    turn_bytes: usize,
    phase: Phase,
    login: Login,
    /// Largest payload that the client takes.
    peer_frame_bytes_max: usize,
    reading: bool,
    /// When the incomplete frame at the end of `read` was first seen.
    frame_began_us: Option<u64>,
    /// Since when nothing was asked and nothing waits.
    idle_since_us: u64,
    /// Since when the peer has taken no byte of `output`.
    stalled_since_us: Option<u64>,
    /// Since when `output` was never empty.
    unsent_since_us: Option<u64>,
    /// Bytes of replies, unsent and still to come to reads, beyond which a read is turned away.
    reply_bytes_max: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// No hello yet.
    New,
    Open,
    /// Something was wrong: only output is left.
    Closing,
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    op: Op,
    asked_under: Login,
    expected_bytes: usize,
}

impl ServerConnection {
    /// A connection that was just accepted.
    pub fn new(config: ServerConfig, now_us: u64) -> Self {
        Self {
            config,
            read: BytesMut::new(),
            output: BytesMut::new(),
            in_flight: HashMap::default(),
            expected_bytes: 0,
            turn_bytes: usize::MAX,
            phase: Phase::New,
            login: Login::default(),
            peer_frame_bytes_max: FRAME_BYTES_MIN,
            reading: true,
            frame_began_us: None,
            idle_since_us: now_us,
            stalled_since_us: None,
            unsent_since_us: None,
            reply_bytes_max: usize::MAX,
        }
    }

    /// Whether more bytes may be read now.
    pub fn wants_read(&self) -> bool {
        self.reading && self.takes_requests()
    }

    /// Where to append the bytes that arrive; it has room for a read.
    pub fn read_buffer(&mut self) -> &mut BytesMut {
        buffer::make_room(&mut self.read);
        &mut self.read
    }

    /// The most to read at once, in bytes: what the frame that has begun lacks, or a few small ones. So one read brings only
    /// so many requests, however large the buffer once had to be.
    pub fn read_bytes_max(&self) -> usize {
        let Some((header, rest)) = self.read.split_first_chunk() else { return BUFFER_BYTES_MIN };
        let bytes = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
        bytes.min(self.frame_bytes_max()).saturating_sub(rest.len()).max(BUFFER_BYTES_MIN)
    }

    /// Whether a read now leaves the buffers small: it may be done also when memory is short.
    pub fn read_stays_small(&self) -> bool {
        buffer::stays_small(&self.read)
    }

    /// From now on a read whose reply would take the unsent bytes of replies above so many is answered `overloaded`: for
    /// when memory is short.
    pub fn set_reply_bytes_max(&mut self, bytes: usize) {
        self.reply_bytes_max = bytes;
    }

    /// About what the connection keeps in memory: its buffers and the replies that are still to come to reads, in bytes.
    pub fn memory_bytes(&self) -> usize {
        self.read.capacity().saturating_add(self.output.capacity()).saturating_add(self.expected_bytes)
    }

    /// Since when the peer keeps something unfinished: a frame that has begun, or replies that it does not take.
    pub fn waits_since_us(&self) -> Option<u64> {
        [self.frame_began_us, self.unsent_since_us].into_iter().flatten().min()
    }

    /// No further bytes will be read: the peer has ended its side, or the server is stopping. What was received
    /// is still answered.
    pub fn stop_reading(&mut self) {
        self.reading = false;
    }

    /// From now on [`poll_request`](Self::poll_request) gives as many requests as others may have to wait for, then none
    /// until the next turn. Without any turn there is no such bound.
    pub fn begin_turn(&mut self) {
        self.turn_bytes = TURN_BYTES;
    }

    /// Whether this turn's requests were taken: there may be more.
    pub const fn turn_is_over(&self) -> bool {
        self.turn_bytes == 0
    }

    /// The next request that has arrived.
    pub fn poll_request(&mut self, now_us: u64) -> Option<Request> {
        if self.read.is_empty() {
            self.frame_began_us = None;
            return None;
        }
        while self.takes_requests() && !self.turn_is_over() {
            let payload = match frame::first_payload(&self.read, self.frame_bytes_max()) {
                Ok(Some(payload)) => payload,
                Ok(None) => {
                    self.wait_for_frame(now_us);
                    return None;
                }
                Err(error) => {
                    self.break_off(None, error.into(), now_us);
                    return None;
                }
            };
            let frame_bytes = FRAME_HEADER_BYTES.saturating_add(payload.len());
            self.turn_bytes = self.turn_bytes.saturating_sub(frame_bytes.saturating_add(REQUEST_BYTES));
            let decoded = decode_request(payload);
            self.drop_frame(frame_bytes, &decoded);
            self.frame_began_us = None;
            self.idle_since_us = now_us;
            match self.accept(decoded, now_us) {
                Ok(Some(request)) => return Some(request),
                Ok(None) => {}
                Err(Undecodable { id, error }) => self.break_off(id, error, now_us),
            }
        }
        // The peer is not to blame for a frame that is not read on.
        self.frame_began_us = None;
        None
    }

    /// Answers a request that [`poll_request`](Self::poll_request) gave. A second answer, or one after the
    /// connection broke off, is dropped.
    pub fn reply(&mut self, id: RequestId, body: &ReplyBody, now_us: u64) {
        let Some(InFlight { op, asked_under, expected_bytes }) = self.in_flight.remove(&id) else { return };
        self.expected_bytes = self.expected_bytes.saturating_sub(expected_bytes);
        if self.phase == Phase::Closing {
            return;
        }
        self.idle_since_us = now_us;
        self.login.follow(op, asked_under, body);
        if let ReplyBody::Done(Done::Levels(_)) = body {
            // It does not grow step by step, nor to twice what it takes.
            self.output.reserve(expected_bytes);
        }
        self.send(Some(id), body, now_us);
        if let ReplyBody::ProtocolError(_) = body {
            self.phase = Phase::Closing;
        }
    }

    /// Bytes to send.
    pub fn output(&self) -> &[u8] {
        &self.output
    }

    /// The first `bytes` bytes of the output were sent.
    pub fn sent(&mut self, bytes: usize, now_us: u64) {
        self.output.advance(bytes.min(self.output.len()));
        if self.output.is_empty() {
            (self.stalled_since_us, self.unsent_since_us) = (None, None);
        } else if bytes > 0 {
            self.stalled_since_us = Some(now_us);
        }
        buffer::let_go(&mut self.output);
    }

    /// Whether the connection broke off: its output ends with the reason.
    pub fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Whether all is said and sent: close it.
    pub fn is_finished(&self) -> bool {
        let all_answered = || {
            !self.reading
                && self.in_flight.is_empty()
                && matches!(frame::first_payload(&self.read, self.frame_bytes_max()), Ok(None))
        };
        self.output.is_empty() && (self.is_closing() || all_answered())
    }

    /// Whether the connection has a session: its last answered login or resume was not followed by a logout
    /// or by `not_logged_in`.
    pub const fn is_logged_in(&self) -> bool {
        self.login.is_live()
    }

    /// How many requests wait for their replies.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout), if nothing happens before.
    pub fn deadline_us(&self) -> Option<u64> {
        [self.stall_deadline_us(), self.read_deadline_us()].into_iter().flatten().min()
    }

    /// Breaks off what has taken too long at `now_us`.
    pub fn handle_timeout(&mut self, now_us: u64) {
        let is_past = |deadline: Option<u64>| deadline.is_some_and(|deadline| deadline <= now_us);
        if is_past(self.stall_deadline_us()) {
            // Nobody takes it: there is no one to tell.
            self.phase = Phase::Closing;
            self.output.clear();
            (self.stalled_since_us, self.unsent_since_us) = (None, None);
        } else if is_past(self.read_deadline_us()) {
            let message = if self.frame_began_us.is_some() {
                "a frame has begun and did not become complete in time"
            } else {
                "idle for too long without a login"
            };
            self.break_off(None, ProtocolError::new(ProtocolErrorCode::TimedOut, message), now_us);
        }
    }

    fn stall_deadline_us(&self) -> Option<u64> {
        self.stalled_since_us.map(|since| since.saturating_add(self.config.frame_deadline_us))
    }

    fn read_deadline_us(&self) -> Option<u64> {
        if !self.wants_read() {
            return None;
        }
        let frame = self.frame_began_us.map(|began| began.saturating_add(self.config.frame_deadline_us));
        let is_idle = !self.is_logged_in() && self.in_flight.is_empty();
        let idle = is_idle.then(|| self.idle_since_us.saturating_add(self.config.anonymous_deadline_us));
        [frame, idle].into_iter().flatten().min()
    }

    fn takes_requests(&self) -> bool {
        self.phase != Phase::Closing
            && self.in_flight.len() < self.in_flight_max()
            && self.output.len() <= self.config.output_bytes_target / UNSENT_PART
            && self.output.len().saturating_add(self.expected_bytes) <= self.config.output_bytes_target
    }

    fn in_flight_max(&self) -> usize {
        let most = if self.is_logged_in() { usize::MAX } else { ANONYMOUS_IN_FLIGHT_MAX };
        self.config.in_flight_max.clamp(1, most)
    }

    fn frame_bytes_max(&self) -> usize {
        if self.login.was_live() {
            self.config.frame_bytes_max.clamp(FRAME_BYTES_MIN, FRAME_BYTES_MAX)
        } else {
            ANONYMOUS_FRAME_BYTES_MAX
        }
    }

    fn wait_for_frame(&mut self, now_us: u64) {
        if self.read.is_empty() {
            self.frame_began_us = None;
        } else {
            self.frame_began_us.get_or_insert(now_us);
        }
    }

    /// Forgets a frame, and wipes one that may hold a password or a token.
    fn drop_frame(&mut self, frame_bytes: usize, decoded: &Result<Request, RequestError>) {
        let is_secret = decoded.as_ref().map_or(true, |request| request.body.op().is_secret());
        if is_secret && let Some(frame) = self.read.get_mut(..frame_bytes) {
            frame.zeroize();
        }
        self.read.advance(frame_bytes.min(self.read.len()));
        buffer::let_go(&mut self.read);
    }

    /// Takes a request in; none if it was answered already.
    fn accept(
        &mut self,
        decoded: Result<Request, RequestError>,
        now_us: u64,
    ) -> Result<Option<Request>, Undecodable> {
        let (id, body) = match decoded {
            Ok(Request { id, body }) => (id, Ok(body)),
            Err(RequestError::Refused { id, refusal }) => (id, Err(refusal)),
            Err(RequestError::Broken(broken)) => return Err(broken),
        };
        let blame = |error| Undecodable { id: Some(id), error };
        self.check_turn(id, body.as_ref().ok()).map_err(blame)?;
        match body {
            Err(refusal) => self.send(Some(id), &ReplyBody::Refused(refusal), now_us),
            Ok(RequestBody::Hello(hello)) => {
                let answer = self.greet(&hello).map_err(blame)?;
                self.phase = Phase::Open;
                self.send(Some(id), &ReplyBody::Done(Done::Hello(answer)), now_us);
            }
            Ok(body) => {
                let expected_bytes = expected_bytes(&body);
                let reply_bytes = self.output.len().saturating_add(self.expected_bytes);
                if expected_bytes > 0 && reply_bytes.saturating_add(expected_bytes) > self.reply_bytes_max {
                    self.send(Some(id), &ReplyBody::Unavailable(Unavailable::Overloaded), now_us);
                    return Ok(None);
                }
                self.expected_bytes = self.expected_bytes.saturating_add(expected_bytes);
                self.in_flight
                    .insert(id, InFlight { op: body.op(), asked_under: self.login, expected_bytes });
                return Ok(Some(Request { id, body }));
            }
        }
        Ok(None)
    }

    /// Whether a request may come now, under this id.
    fn check_turn(&self, id: RequestId, body: Option<&RequestBody>) -> Result<(), ProtocolError> {
        let is_hello = matches!(body, Some(RequestBody::Hello(_)));
        match (self.phase, is_hello) {
            (Phase::New, false) => Err(ProtocolError::new(
                ProtocolErrorCode::HelloExpected,
                "the first request of a connection is hello",
            )),
            (Phase::Open | Phase::Closing, true) => {
                Err(ProtocolError::new(ProtocolErrorCode::HelloRepeated, "hello is said once"))
            }
            _ if self.in_flight.contains_key(&id) => Err(ProtocolError::new(
                ProtocolErrorCode::IdInFlight,
                format!("request {} waits for its reply already", id.get()),
            )),
            _ => Ok(()),
        }
    }

    fn greet(&mut self, hello: &ClientHello) -> Result<ServerHello, ProtocolError> {
        if !hello.protocol.contains(&PROTOCOL_VERSION) {
            return Err(ProtocolError::unsupported_protocol());
        }
        self.peer_frame_bytes_max =
            usize::try_from(hello.frame_bytes_max).unwrap_or(usize::MAX).min(FRAME_BYTES_MAX);
        if self.peer_frame_bytes_max < FRAME_BYTES_MIN {
            let message = format!("hello: frame_bytes_max is at least {FRAME_BYTES_MIN}");
            return Err(ProtocolError::new(ProtocolErrorCode::Malformed, message));
        }
        let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(ServerHello {
            protocol: PROTOCOL_VERSION,
            server: self.config.server.clone(),
            frame_bytes_max: number(self.config.frame_bytes_max.clamp(FRAME_BYTES_MIN, FRAME_BYTES_MAX)),
            in_flight_max: number(self.config.in_flight_max.max(1)),
            order_lines_max: number(inventory_core::limits::ORDER_LINES_MAX),
            bulk_rows_max: number(inventory_core::limits::BULK_ROWS_MAX),
        })
    }

    fn send(&mut self, id: Option<RequestId>, body: &ReplyBody, now_us: u64) {
        if !self.append(id, body) && !self.append_part(id, body) {
            let fits = self.append(id, &ReplyBody::Unavailable(Unavailable::ReplyTooLarge));
            debug_assert!(fits, "a reply of fixed size fits every frame");
        }
        self.stalled_since_us.get_or_insert(now_us);
        self.unsent_since_us.get_or_insert(now_us);
    }

    /// Puts a reply into the output; says whether it fits the frames that the client takes.
    fn append(&mut self, id: Option<RequestId>, body: &ReplyBody) -> bool {
        let limit = self.peer_frame_bytes_max;
        frame::append(&mut self.output, limit, |to| encode_reply(to, id, body)).is_ok()
    }

    /// Puts as much of a page of levels or balances into the output as fits; says whether anything does.
    fn append_part(&mut self, id: Option<RequestId>, body: &ReplyBody) -> bool {
        let ReplyBody::Done(page) = body else { return false };
        let mut halves = iter::successors(page::first_half(page), page::first_half);
        halves.any(|part| self.append(id, &ReplyBody::Done(part)))
    }

    /// Says what is wrong and ends the connection.
    fn break_off(&mut self, id: Option<RequestId>, error: ProtocolError, now_us: u64) {
        self.send(id, &ReplyBody::ProtocolError(error), now_us);
        self.phase = Phase::Closing;
        self.frame_began_us = None;
        self.read.as_mut().zeroize();
        self.read.clear();
    }
}

/// About what the reply to a read comes to, in bytes: a few bytes ask for a page of hundreds of rows. Replies to other
/// requests are of a fixed size or grow with what was sent.
fn expected_bytes(body: &RequestBody) -> usize {
    match body {
        RequestBody::Levels { limit, .. } => {
            let items = limit.unwrap_or(LEVELS_PAGE_ITEMS_MAX).min(LEVELS_PAGE_ITEMS_MAX);
            usize::try_from(items).unwrap_or(usize::MAX).saturating_mul(LEVEL_BYTES_MAX)
        }
        RequestBody::Balances { limit, .. } | RequestBody::Entries { limit, .. } => {
            let rows = limit.unwrap_or(ACCOUNT_ROWS_MAX).min(ACCOUNT_ROWS_MAX);
            usize::try_from(rows).unwrap_or(usize::MAX).saturating_mul(ACCOUNT_BYTES_EXPECTED)
        }
        RequestBody::Item { .. } | RequestBody::Receipt { .. } | RequestBody::Balance { .. } => {
            READ_BYTES_EXPECTED
        }
        _ => 0,
    }
}
