//! One connection's life: bytes in, requests to the engine, replies out, until it ends.
//!
//! One task owns it all and turns one crank: replies that came are encoded, requests that arrived are started, what
//! is to be sent is written in as few calls as the socket takes, and only then it reads again. So the replies of
//! one group commit leave in one write, and the requests of one read enter the same group.

use std::future::{Future, poll_fn};
use std::io;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::BufMut;
use inventory_core::Actor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::memory::Share;
use super::requests::{SHORT_READ_ROWS, Turn};
use super::{Phase, Shared};
use crate::connection::ServerConnection;
use crate::limits::BUFFER_BYTES_MIN;
use crate::message::{Done, Op, ReplyBody, Unavailable};
use crate::outbox::{Delivery, Outbox, Outcome};
use crate::transport::{Incoming, Stream};

/// How long to wait for the peer to close after the last byte was sent. Closing a socket that still holds unread
/// bytes would reset it, and the peer would lose what was sent to it.
const LINGER: Duration = Duration::from_millis(500);

/// The most that is read from a peer only to be forgotten, in bytes: what may well be under way when it is told what is
/// wrong.
const LINGER_BYTES: u64 = 128 << 10;
/// Reads after which the others have their turn.
const READS_IN_A_ROW: usize = 8;
/// Bytes after which the others have their turn sooner. What is counted is work, not time: on a busy machine a connection would
/// else be taken for a busy one because it was kept from working.
const READ_BYTES_IN_A_ROW: usize = 64 << 10;

/// Serves one connection until it ends.
pub(super) async fn run(shared: Arc<Shared>, incoming: Incoming) {
    let Incoming { stream, peer, origin } = incoming;
    let phase = shared.phase.subscribe();
    let mut connection = Connection::new(Arc::clone(&shared), stream, origin.into());
    let mut ended = tokio::select! {
        biased;
        ended = connection.serve() => Some(ended),
        () = wait_for(&phase, Phase::Draining) => None,
    };
    if ended.is_none() {
        connection.wire.stop_reading();
        ended = tokio::select! {
            biased;
            ended = connection.serve() => Some(ended),
            () = wait_for(&phase, Phase::Cut) => None,
        };
    }
    match ended {
        Some(Ok(())) => connection.linger().await,
        Some(Err(error)) => tracing::debug!("the connection from {peer} ended: {error}"),
        None => tracing::debug!("the connection from {peer} was cut"),
    }
}

/// Waits until the server has come so far. `phase` has seen no change, and sees none here.
async fn wait_for(phase: &watch::Receiver<Phase>, wanted: Phase) {
    let mut changes = phase.clone();
    let mut reached = pin!(changes.wait_for(|phase| *phase >= wanted));
    let mut to_wake: Option<Waker> = None;
    poll_fn(|cx| {
        // It is looked at after every turn of the connection, and changes twice in the server's life.
        let waits = to_wake.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
        if waits && phase.has_changed().is_ok_and(|changed| !changed) {
            return Poll::Pending;
        }
        to_wake = Some(cx.waker().clone());
        // The sender lives in what all connections share: it cannot be gone.
        reached.as_mut().poll(cx).map(drop)
    })
    .await;
}

struct Connection {
    shared: Arc<Shared>,
    stream: Box<dyn Stream>,
    wire: ServerConnection,
    outbox: Arc<Outbox>,
    /// Whose wrong passwords count together.
    origin: Arc<str>,
    deliveries: Vec<Delivery>,
    /// What it takes of the memory for all connections.
    memory: Share,
    actor: Actor,
    /// Whether the next request must wait until it is clear who asks.
    awaits_actor: bool,
    began: Instant,
    alarm: Pin<Box<Sleep>>,
    /// When the alarm rings; it may be earlier than needed, never later.
    alarm_us: Option<u64>,
}

/// How it goes on with a connection.
enum Next {
    /// All is said and sent.
    Over,
    /// There is more to do, after the others.
    OthersFirst,
    /// Something will wake it.
    Waits,
}

/// Whether a reply has so many rows that putting it into bytes counts.
fn is_long(body: &ReplyBody) -> bool {
    let rows = match body {
        ReplyBody::Done(Done::Levels(page)) => page.levels.len(),
        ReplyBody::Done(Done::Balances(page)) => page.balances.len(),
        ReplyBody::Done(Done::Entries(page)) => page.entries.len(),
        _ => return false,
    };
    u32::try_from(rows).is_ok_and(|rows| rows > SHORT_READ_ROWS)
}

/// Waits until the task is woken, by whatever it was that asked for it.
async fn woken() {
    let mut asleep = false;
    poll_fn(|_| if mem::replace(&mut asleep, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.outbox.close();
    }
}

impl Connection {
    fn new(shared: Arc<Shared>, stream: Box<dyn Stream>, origin: Arc<str>) -> Self {
        let began = Instant::now();
        Self {
            wire: ServerConnection::new(shared.options.connection.clone(), 0),
            memory: shared.memory.share(),
            shared,
            stream,
            outbox: Arc::default(),
            origin,
            deliveries: Vec::new(),
            actor: Actor::Anonymous,
            awaits_actor: false,
            began,
            alarm: Box::pin(sleep_until(began)),
            alarm_us: None,
        }
    }

    /// Serves until all is said and sent, or the stream fails. May be dropped and called again.
    async fn serve(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let mut stands_in_line = false;
        loop {
            // Nobody closes the semaphore; if it were, nobody would wait in line.
            let place = if stands_in_line { shared.busy.acquire().await.ok() } else { None };
            let next = self.serve_a_while().await?;
            // Strangers have a line of their own.
            stands_in_line = matches!(next, Next::OthersFirst) && self.wire.is_logged_in();
            match next {
                Next::Over => return Ok(()),
                Next::Waits if place.is_none() => woken().await,
                // A place is kept until those who have little to do were looked for: they go before the next in line.
                Next::Waits | Next::OthersFirst => yield_now().await,
            }
        }
    }

    /// Does what there is to do now. Whoever has no session waits for a turn first.
    async fn serve_a_while(&mut self) -> io::Result<Next> {
        if self.wire.is_logged_in() {
            return poll_fn(|cx| Poll::Ready(self.poll_serve(cx))).await;
        }
        let shared = Arc::clone(&self.shared);
        let _turn = shared.lobby.turn().await;
        poll_fn(|cx| Poll::Ready(self.poll_serve(cx))).await
    }

    fn poll_serve(&mut self, cx: &mut Context<'_>) -> io::Result<Next> {
        // Small replies go on also when there is nothing left.
        self.wire.set_reply_bytes_max(self.shared.memory.left().max(BUFFER_BYTES_MIN));
        let next = self.poll_serve_in_turn(cx);
        let Self { wire, memory, began, .. } = self;
        let waits_since = || wire.waits_since_us().map(|since_us| *began + Duration::from_micros(since_us));
        memory.set(wire.memory_bytes(), waits_since);
        if self.memory.must_go(cx) {
            return Err(io::Error::other("memory runs low, and it was kept waiting for the longest"));
        }
        next
    }

    fn poll_serve_in_turn(&mut self, cx: &mut Context<'_>) -> io::Result<Next> {
        self.wire.begin_turn();
        // One look at the clock and one at the replies for a turn: it is short, and whatever comes meanwhile wakes the task.
        let now_us = self.now_us();
        let mut has_sent = self.take_replies(cx, now_us)?;
        let mut read_bytes = 0_usize;
        for _ in 0..READS_IN_A_ROW {
            self.start_requests(now_us);
            has_sent |= self.poll_write(cx, now_us)?;
            if self.wire.is_finished() {
                return Ok(Next::Over);
            }
            if self.wire.turn_is_over() || read_bytes > READ_BYTES_IN_A_ROW {
                break;
            }
            // Sending may have made room for requests that were read before. Some are answered at once: only who writes
            // is woken when there is room for that.
            let unsent = self.wire.output().len();
            if mem::take(&mut has_sent) && (self.start_requests(now_us) || self.wire.output().len() > unsent)
            {
                continue;
            }
            match self.poll_read(cx)? {
                Poll::Ready(bytes) => read_bytes = read_bytes.saturating_add(bytes),
                Poll::Pending if self.poll_alarm(cx).is_pending() => return Ok(Next::Waits),
                Poll::Pending => {}
            }
        }
        Ok(Next::OthersFirst)
    }

    /// Takes the replies that came, and sends long ones at once: what that takes is counted. Says whether anything was sent.
    fn take_replies(&mut self, cx: &mut Context<'_>, now_us: u64) -> io::Result<bool> {
        if self.outbox.poll_take(cx, &mut self.deliveries).is_pending() {
            return Ok(false);
        }
        let mut has_sent = Ok(false);
        let mut deliveries = mem::take(&mut self.deliveries);
        for Delivery { id, op, outcome } in deliveries.drain(..) {
            let body = self.settle(op, outcome);
            let began = is_long(&body).then(Instant::now);
            self.wire.reply(id, &body, now_us);
            if let Some(began) = began {
                // What the stream does not take now is small beside it, or goes when the peer has read.
                has_sent = has_sent.and_then(|before| Ok(self.poll_write(cx, now_us)? || before));
                self.shared.long_reads.learn(began.elapsed());
            }
        }
        self.deliveries = deliveries;
        has_sent
    }

    /// Follows what an outcome says about who is at the other end, and gives the reply.
    fn settle(&mut self, op: Op, outcome: Outcome) -> ReplyBody {
        let body = match outcome {
            Outcome::LoggedIn(token, identity) => {
                self.actor = Actor::Session(token.session());
                ReplyBody::Done(Done::LoggedIn { token, account: identity.into() })
            }
            Outcome::Resumed(session, identity) => {
                self.actor = Actor::Session(session);
                ReplyBody::Done(Done::Account(identity.into()))
            }
            Outcome::Other(body) => body,
            Outcome::Engine(reply) => match (op, ReplyBody::from_engine(reply)) {
                (Op::LogOut, Some(ReplyBody::Done(_))) => {
                    self.actor = Actor::Anonymous;
                    ReplyBody::Done(Done::LoggedOut)
                }
                (_, Some(body)) => body,
                // Never happens: no operation asks for what is not offered on the wire.
                (_, None) => ReplyBody::Unavailable(Unavailable::Poisoned),
            },
        };
        if matches!(op, Op::LogIn | Op::Resume | Op::LogOut) {
            self.awaits_actor = false;
        }
        body
    }

    /// Starts the requests that have arrived; says whether there was any.
    fn start_requests(&mut self, now_us: u64) -> bool {
        // What was read at once came at one time.
        let mut came = None;
        while !self.awaits_actor {
            let Some(request) = self.wire.poll_request(now_us) else { break };
            let came = *came.get_or_insert_with(|| self.shared.service.now());
            let turn = self.shared.start(came, self.actor, &self.origin, &self.outbox, request);
            self.awaits_actor = turn == Turn::Wait;
        }
        came.is_some()
    }

    /// Writes as much as the stream takes; says whether that was anything.
    fn poll_write(&mut self, cx: &mut Context<'_>, now_us: u64) -> io::Result<bool> {
        let mut has_sent = false;
        while !self.wire.output().is_empty() {
            match Pin::new(&mut *self.stream).poll_write(cx, self.wire.output())? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(bytes) => {
                    self.wire.sent(bytes, now_us);
                    has_sent = true;
                }
                Poll::Pending => break,
            }
        }
        Ok(has_sent)
    }

    /// Reads once, if there is room for what may come; gives how many bytes came.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<usize>> {
        if self.awaits_actor || !self.wire.wants_read() {
            return Ok(Poll::Pending);
        }
        if !self.wire.read_stays_small() && !self.memory.may_grow(cx) {
            return Ok(Poll::Pending);
        }
        let bytes_max = self.wire.read_bytes_max();
        let mut buffer = self.wire.read_buffer().limit(bytes_max);
        let read = pin!(self.stream.read_buf(&mut buffer)).poll(cx)?;
        if read == Poll::Ready(0) {
            // The peer may still want the replies to what it has sent.
            self.wire.stop_reading();
        }
        Ok(read)
    }

    /// Ready when a deadline has passed and was acted on.
    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline_us) = self.wire.deadline_us() else { return Poll::Pending };
        // Deadlines mostly move away: the alarm is left to ring early instead of being set at every request.
        if self.alarm_us.is_none_or(|alarm_us| alarm_us > deadline_us) {
            self.set_alarm(deadline_us);
        }
        loop {
            ready!(self.alarm.as_mut().poll(cx));
            let now_us = self.now_us();
            match self.wire.deadline_us() {
                Some(deadline_us) if deadline_us > now_us => self.set_alarm(deadline_us),
                _ => {
                    self.alarm_us = None;
                    self.wire.handle_timeout(now_us);
                    return Poll::Ready(());
                }
            }
        }
    }

    fn set_alarm(&mut self, deadline_us: u64) {
        self.alarm_us = Some(deadline_us);
        self.alarm.as_mut().reset(self.began + Duration::from_micros(deadline_us));
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Ends the stream so that the peer gets all that was sent.
    async fn linger(mut self) {
        let discard_rest = async {
            self.stream.shutdown().await?;
            let mut rest = (&mut self.stream).take(LINGER_BYTES);
            let mut forgotten = [0; 4 << 10];
            while rest.read(&mut forgotten).await? > 0 {}
            io::Result::Ok(())
        };
        // Either way the connection is over.
        let _ended = timeout(LINGER, discard_rest).await;
    }
}
