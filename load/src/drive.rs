//! The loop: one task for each connection, which reads, records, asks and writes.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, BytesMut};
use futures_util::task::AtomicWaker;
use inventory_net::transport::Stream;
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::error::internal;
use crate::exchange::{Answer, Exchange};
use crate::pace::{Alarm, Next, Pace, Plan};
use crate::{LoadError, Measured};

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);
/// How long a server may answer nothing.
const PATIENCE: Duration = Duration::from_secs(30);
/// Room made for one read, in bytes.
const READ_BYTES: usize = 16 << 10;

/// One connection, ready for load.
pub struct Lane<E> {
    /// Where its bytes go.
    pub stream: Box<dyn Stream>,
    /// What its bytes mean.
    pub exchange: E,
}

impl<E> std::fmt::Debug for Lane<E> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lane").finish_non_exhaustive()
    }
}

/// Drives the connections through the plan and gives what was measured. `progress` hears of the figures so far twice a
/// second.
///
/// The first thing that goes wrong on any connection is the result: there are no figures of half a load.
pub async fn run<E: Exchange>(
    lanes: Vec<Lane<E>>,
    plan: &Plan,
    mut progress: impl FnMut(&Measured),
) -> Result<Measured, LoadError> {
    let start = Instant::now();
    let shared = Arc::new(Shared {
        pace: Pace::new(plan, lanes.len(), start),
        measured: Mutex::new(Measured::new()?),
        asked: AtomicU64::new(0),
        wakers: lanes.iter().map(|_| AtomicWaker::new()).collect(),
    });
    let mut tasks = JoinSet::new();
    for (number, lane) in (0..).zip(lanes) {
        tasks.spawn(Running::new(lane, number, plan.in_flight, Arc::clone(&shared)));
    }
    if shared.pace.is_open() {
        tasks.spawn(wake_when_due(Alarm::new().map_err(LoadError::Timer)?, Arc::clone(&shared)));
    }
    watch(&mut tasks, &shared, start, &mut progress).await?;
    let measured = shared.measured()?.clone();
    Ok(measured)
}

/// Waits for all connections, and tells how it goes.
async fn watch(
    tasks: &mut JoinSet<Result<(), LoadError>>,
    shared: &Shared,
    start: Instant,
    progress: &mut impl FnMut(&Measured),
) -> Result<(), LoadError> {
    let mut ticks = interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    let (mut answers, mut answered) = (0, Instant::now());
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                Some(Ok(result)) => result?,
                Some(Err(error)) => return Err(internal(error)),
                None => return Ok(()),
            },
            _ = ticks.tick() => {
                let mut so_far = shared.measured()?.clone();
                so_far.elapsed = start.elapsed();
                progress(&so_far);
                let awaits_nothing = shared.asked.load(Ordering::Relaxed) == so_far.answers();
                if answers != so_far.answers() || awaits_nothing {
                    (answers, answered) = (so_far.answers(), Instant::now());
                } else if answered.elapsed() > PATIENCE {
                    return Err(LoadError::Stalled { seconds: PATIENCE.as_secs() });
                }
            }
        }
    }
}

/// Wakes the lanes of an open loop when they have something to send.
async fn wake_when_due(alarm: Alarm, shared: Arc<Shared>) -> Result<(), LoadError> {
    let mut ticket = 0;
    while let Some(due) = shared.pace.due(ticket) {
        alarm.ring_at(due).await.map_err(LoadError::Timer)?;
        let now = Instant::now();
        while shared.pace.due(ticket).is_some_and(|due| due <= now) {
            let lane = usize::try_from(shared.pace.lane_of(ticket)).unwrap_or(usize::MAX);
            if let Some(waker) = shared.wakers.get(lane) {
                waker.wake();
            }
            ticket += 1;
        }
    }
    Ok(())
}

/// What all lanes share.
struct Shared {
    pace: Pace,
    measured: Mutex<Measured>,
    /// Requests sent so far.
    asked: AtomicU64,
    /// One for each lane, for an open loop.
    wakers: Box<[AtomicWaker]>,
}

impl Shared {
    fn measured(&self) -> Result<MutexGuard<'_, Measured>, LoadError> {
        self.measured.lock().map_err(internal)
    }
}

/// A lane under load: done when all that it asked is answered and it may ask nothing more.
struct Running<E> {
    lane: Lane<E>,
    /// Its number, from 0.
    number: u64,
    input: BytesMut,
    output: BytesMut,
    /// Slots that no request has.
    free: Vec<u32>,
    /// Since when the request of each slot waits.
    since: Box<[Instant]>,
    sent: u64,
    shared: Arc<Shared>,
}

impl<E: Exchange> Running<E> {
    fn new(lane: Lane<E>, number: u64, in_flight: u32, shared: Arc<Shared>) -> Self {
        // The first slot is taken from the end.
        let free: Vec<u32> = (0..in_flight.max(1)).rev().collect();
        let since = vec![Instant::now(); free.len()].into();
        let (input, output) = (BytesMut::with_capacity(READ_BYTES), BytesMut::new());
        Self { lane, number, input, output, free, since, sent: 0, shared }
    }

    /// Takes the answers that have come in.
    fn take_answers(&mut self, now: Instant) -> Result<(), LoadError> {
        if self.input.is_empty() {
            return Ok(());
        }
        let mut measured = self.shared.measured()?;
        while let Some(Answer { slot, outcome }) = self.lane.exchange.answer(&mut self.input)? {
            let since = usize::try_from(slot).ok().and_then(|slot| self.since.get(slot));
            let since = since.ok_or_else(|| internal(format!("there is no slot {slot}")))?;
            measured.answered(outcome, now.saturating_duration_since(*since));
            self.free.push(slot);
        }
        measured.elapsed = now.saturating_duration_since(self.shared.pace.start());
        Ok(())
    }

    /// Asks whatever is due and fits. True if nothing is left to ask.
    fn ask(&mut self, cx: &Context<'_>, now: Instant) -> Result<bool, LoadError> {
        let before = self.sent;
        let is_over = loop {
            let Some(slot) = self.free.last().copied() else { break false };
            match self.shared.pace.next(self.number, self.sent, now) {
                Next::Send(since) => {
                    self.free.pop();
                    if let Some(place) = usize::try_from(slot).ok().and_then(|slot| self.since.get_mut(slot))
                    {
                        *place = since;
                    }
                    self.lane.exchange.ask(slot, &mut self.output)?;
                    self.sent = self.sent.saturating_add(1);
                }
                Next::Wait => {
                    let lane = usize::try_from(self.number).unwrap_or(usize::MAX);
                    if let Some(waker) = self.shared.wakers.get(lane) {
                        waker.register(cx.waker());
                    }
                    break false;
                }
                Next::End => break self.free.len() == self.since.len(),
            }
        };
        self.shared.asked.fetch_add(self.sent.saturating_sub(before), Ordering::Relaxed);
        Ok(is_over)
    }

    /// Writes as much as the stream takes.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        while !self.output.is_empty() {
            match Pin::new(&mut *self.lane.stream).poll_write(cx, &self.output)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(bytes) => self.output.advance(bytes),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    /// Ready when something was read. The end of the stream is an error: nobody asked for it.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.input.capacity().saturating_sub(self.input.len()) < READ_BYTES / 4 {
            self.input.reserve(READ_BYTES);
        }
        pin!(self.lane.stream.read_buf(&mut self.input)).poll(cx).map(|read| match read? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        })
    }

    fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LoadError>> {
        loop {
            let now = Instant::now();
            self.take_answers(now)?;
            if self.ask(cx, now)? {
                let mut measured = self.shared.measured()?;
                self.shared.pace.unsent(self.number, self.sent).for_each(|waited| measured.unsent(waited));
                return Poll::Ready(Ok(()));
            }
            self.poll_write(cx).map_err(LoadError::Lost)?;
            ready!(self.poll_read(cx)).map_err(LoadError::Lost)?;
        }
    }
}

impl<E: Exchange> Future for Running<E> {
    type Output = Result<(), LoadError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.poll_run(cx)
    }
}
