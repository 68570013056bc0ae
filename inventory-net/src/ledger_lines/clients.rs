//! Who is connected: clients are accepted while there are places. When others wait for one, those that have sent nothing
//! for long are sent away.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tokio::time::{Instant, sleep};

use super::{Shared, client, lock};
use crate::server::memory::{Memory, Share};

/// How long a client has to send something before its place is given to another that waits.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long to wait, with all places taken, before looking who was silent; at most this part of them goes at once.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
const PART_AT_ONCE: usize = 16;
/// How long to wait after an error of accepting.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The least time between two messages that clients wait to be accepted.
const TELL_PAUSE: Duration = Duration::from_secs(10);

/// A client's place. Given back when dropped.
pub(super) struct Place {
    pub(super) shared: Arc<Shared>,
    pub(super) memory: Share,
    silence: Arc<Silence>,
}

impl Place {
    /// Says since when the client has been waited for; nothing while it is not.
    pub(super) fn set_silent_since(&self, since: Option<Instant>) {
        self.silence.set(since);
    }

    /// Counts a client that was sent away for want of memory.
    pub(super) fn count_sent_away(&self) {
        lock(&self.shared.gatherer).count_sent_away(1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.shared.gatherer).count_disconnected();
    }
}

/// Since when a client has been waited for.
#[derive(Debug, Default)]
struct Silence(Mutex<Option<Instant>>);

impl Silence {
    fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn since(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The connections that are open. They are reset if this is dropped.
pub(super) struct Clients {
    shared: Arc<Shared>,
    memory: Arc<Memory>,
    /// Most at once.
    places: usize,
    tasks: JoinSet<()>,
    silences: HashMap<Id, (AbortHandle, Arc<Silence>)>,
    told: Option<Instant>,
}

impl Clients {
    pub(super) fn new(shared: Arc<Shared>, memory: Arc<Memory>, places: usize) -> Self {
        Self { shared, memory, places, tasks: JoinSet::new(), silences: HashMap::new(), told: None }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    fn has_place(&self) -> bool {
        self.tasks.len() < self.places
    }

    /// Accepts clients as they come, as many as there is room for.
    pub(super) async fn accept(&mut self, listener: &TcpListener) {
        loop {
            if !self.has_place() {
                self.make_place(listener).await;
                continue;
            }
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => self.start(stream),
                    Err(error) => self.pause_after(&error).await,
                },
                Some(ended) = self.tasks.join_next_with_id() => self.forget(ended),
            }
        }
    }

    /// Accepts those that the system has connected by now, closes the listener, and waits for the end of all.
    pub(super) async fn accept_waiting_and_end(&mut self, listener: TcpListener) {
        // Directly from the system: the runtime may not have heard of all of them.
        match listener.into_std() {
            Ok(listener) => {
                // From now on, the system lets in nobody while anybody waits.
                if let Err(error) = rustix::net::listen(&listener, 0) {
                    tracing::warn!("clients can still connect: {error}");
                }
                loop {
                    match self.accept_waiting(&listener) {
                        Ok(true) => break,
                        Ok(false) => self.make_place(&listener).await,
                        Err(error) => self.pause_after(&error).await,
                    }
                }
            }
            Err(error) => tracing::error!("connections that wait to be accepted are reset: {error}"),
        }
        self.end().await;
    }

    /// Accepts as many as there is room for. Gives whether nobody waits any more.
    fn accept_waiting(&mut self, listener: &std::net::TcpListener) -> io::Result<bool> {
        while self.has_place() {
            match listener.accept() {
                Ok((stream, _)) => {
                    stream.set_nonblocking(true)?;
                    self.start(TcpStream::from_std(stream)?);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }

    pub(super) async fn end(&mut self) {
        while let Some(ended) = self.tasks.join_next_with_id().await {
            self.forget(ended);
        }
    }

    fn start(&mut self, stream: TcpStream) {
        lock(&self.shared.gatherer).count_connected();
        let silence = Arc::new(Silence::default());
        let (shared, memory) = (Arc::clone(&self.shared), self.memory.share());
        let place = Place { shared, memory, silence: Arc::clone(&silence) };
        let task = self.tasks.spawn(client::run(place, stream));
        self.silences.insert(task.id(), (task, silence));
        if !self.has_place() && self.may_tell() {
            tracing::warn!("all {} places are taken: other clients wait to be accepted", self.places);
        }
    }

    fn forget(&mut self, ended: Result<(Id, ()), JoinError>) {
        let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
        self.silences.remove(&id);
    }

    /// Waits for the end of a client. If others wait longer than a moment, sends away some that have been silent.
    async fn make_place(&mut self, listener: &impl std::os::fd::AsFd) {
        tokio::select! {
            Some(ended) = self.tasks.join_next_with_id() => self.forget(ended),
            () = sleep(LOOK_PAUSE) => if is_wanted(listener) {
                self.send_silent_away();
            }
        }
    }

    /// Resets the connections of those that have been silent for the longest. What they sent before counts.
    fn send_silent_away(&mut self) {
        let since = self.silences.values().filter_map(|(task, silence)| Some((silence.since()?, task)));
        let mut silent: Vec<_> = since.filter(|(since, _)| since.elapsed() >= SILENCE_MAX).collect();
        silent.sort_unstable_by_key(|(since, _)| *since);
        silent.truncate(self.places.div_ceil(PART_AT_ONCE));
        let count = silent.len();
        for (_, task) in silent {
            task.abort();
        }
        lock(&self.shared.gatherer).count_sent_away(u64::try_from(count).unwrap_or(u64::MAX));
        if count > 0 && self.may_tell() {
            tracing::warn!(
                "{count} clients that sent nothing for long are reset: others wait for their places"
            );
        }
    }

    /// Whether it was long ago that clients were said to wait.
    fn may_tell(&mut self) -> bool {
        let may = self.told.is_none_or(|told| told.elapsed() >= TELL_PAUSE);
        if may {
            self.told = Some(Instant::now());
        }
        may
    }

    /// Waits a little, or until a client ends: too many files may be open.
    async fn pause_after(&mut self, error: &io::Error) {
        if self.may_tell() {
            tracing::error!("cannot accept a connection: {error}");
        }
        sleep(ACCEPT_PAUSE).await;
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.forget(ended);
        }
    }
}

/// Whether somebody waits to be accepted.
fn is_wanted(listener: &impl std::os::fd::AsFd) -> bool {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(listener, PollFlags::IN)], Some(&at_once)).is_ok_and(|ready| ready > 0)
}
