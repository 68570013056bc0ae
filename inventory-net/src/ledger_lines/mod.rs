//! Credits and debits as lines of text, for clients that only write to a socket.
//!
//! `docs/ledger.md` is the contract. A reader's way: [`LineServer`] here; who is connected in
//! `clients`; one connection's life in `client`; lines in bytes
//! in `reader`, one line in `line`; the lines of all clients become batches in `gather`, which `post` gives to the service.

mod client;
mod clients;
mod gather;
mod line;
mod post;
mod reader;

pub use gather::LineCounts;
pub use line::{Discard, Entered, LINE_BYTES_MAX, read_line};
pub use reader::LineReader;

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use inventory_core::BulkEntriesError;
use rustix::net::sockopt::set_socket_linger;
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};

use crate::server::files_for_connections;
use crate::server::memory::{Memory, OwnBytes};
use crate::service::Service;
use crate::transport::{Address, BindError, BindOptions, bind_tcp};
use clients::Clients;
use gather::{BATCH_BYTES_MAX, FULL_MAX, Gatherer};
use post::POSTED_MAX;
use reader::KEPT_BYTES;

/// Most memory for what clients keep, unless it is [said otherwise](LineServer::with_memory_max), in bytes.
pub const CLIENTS_BYTES_MAX: usize = 256 << 20;
/// Most memory for lines on their way from clients to the service, in bytes.
pub const BATCHES_BYTES_MAX: usize = (FULL_MAX + 1 + POSTED_MAX) * BATCH_BYTES_MAX + READ_BYTES;
/// What a client takes by being there, an unfinished line of usual length included, in bytes.
pub const CLIENT_BYTES: usize = 4 << 10;
/// Most bytes that are read at once.
const READ_BYTES: usize = 64 << 10;

/// Why a line server ended before its time, or without all that it had read. What clients saw closed in good order is
/// durable all the same; all other connections were reset.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinesError {
    /// It cannot be said whether the last lines were written.
    #[error(
        "a write to the journal failed in an unclear way, and no more lines are taken: restart to find out what was written"
    )]
    Poisoned,
    /// The journal refused the last lines until the end.
    #[error("the journal cannot be written: the last {} lines are not in it", .0.waiting)]
    NotWritten(LineCounts),
    /// The system has no randomness to give.
    #[error("the system gives no random bits: {0}")]
    Random(#[from] getrandom::Error),
    /// A mistake of this program: a batch that is none.
    #[error("a batch of lines cannot be posted: {0}")]
    Batch(#[from] BulkEntriesError),
    /// A mistake of this program: an answer to something else.
    #[error("a batch of lines was answered with {0}")]
    Unexpected(String),
}

/// A listener for lines, on top of a [`Service`]: the lines of all clients are posted together, as the system.
///
/// ```
/// # use std::sync::Arc;
/// # use inventory_core::journal::Volatile;
/// # use inventory_net::{ledger_lines::LineServer, service::{Service, ServiceOptions}, transport::BindOptions};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = Service::open(Arc::new(Volatile::new()), ServiceOptions::default()).await?;
/// let address = "tcp://127.0.0.1:0".parse()?;
/// let lines = LineServer::bind(&address, BindOptions::default(), service).await?;
/// println!("listening on {}", lines.address());
/// lines.run(async { /* until this ends */ }, async { /* and, of clients that have not ended, until this */ }).await?;
/// # Ok(())
/// # }
/// ```
pub struct LineServer {
    listener: TcpListener,
    address: Address,
    clients_max: usize,
    bytes_max: usize,
    shared: Arc<Shared>,
}

/// Gives the [`LineCounts`] of a [`LineServer`] at any time.
#[derive(Clone)]
pub struct LineMeter(Arc<Shared>);

impl LineMeter {
    /// What became of lines by now.
    pub fn read(&self) -> LineCounts {
        self.0.counts()
    }
}

/// What all connections share.
struct Shared {
    service: Service,
    gatherer: Mutex<Gatherer>,
    /// Whose turn it is to read, and what is read into.
    turn: tokio::sync::Mutex<Box<[u8]>>,
    /// There is something to post.
    work: Notify,
    /// The gatherer has got room.
    room: Notify,
    /// All batches up to this number are durable.
    durable: watch::Sender<u64>,
    phase: watch::Sender<Phase>,
}

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It reads from its clients.
    Reading,
    /// It reads nothing more, and those clients that had not ended are reset.
    Cut,
    /// All clients are gone.
    Ended,
}

impl LineServer {
    /// Listens on this address, which must be of plain TCP, and may be one that other machines reach only if that is
    /// allowed. Clients can connect from now on; they are read once the server [runs](Self::run).
    pub async fn bind(address: &Address, options: BindOptions, service: Service) -> Result<Self, BindError> {
        let (listener, address) = bind_tcp(address, options).await?;
        // Accepted connections have it from here: see `client`.
        let reset_when_closed = set_socket_linger(&listener, Some(Duration::ZERO));
        reset_when_closed
            .map_err(|error| BindError::Io { address: address.clone(), source: error.into() })?;
        let clients_max = files_for_connections();
        let shared = Shared::new(service);
        Ok(Self { listener, address, clients_max, bytes_max: CLIENTS_BYTES_MAX, shared: Arc::new(shared) })
    }

    /// Serves at most so many clients at once, at least one; others wait to be accepted. Without this it is what the
    /// limit on open files leaves: too many beside a listener that opens files for its own clients.
    #[must_use]
    pub fn with_clients_max(mut self, clients_max: usize) -> Self {
        self.clients_max = clients_max.max(1);
        self
    }

    /// Takes at most so much memory for clients and their unfinished lines, in bytes; on top come [`BATCHES_BYTES_MAX`].
    /// A quarter is for lines longer than usual, and each client takes [`CLIENT_BYTES`] of the rest: fewer clients are
    /// served at once if not all fit. When it runs low, the connections with a long unfinished line are reset: whoever has
    /// kept the server waiting for its end for the longest, first.
    #[must_use]
    pub fn with_memory_max(mut self, bytes_max: usize) -> Self {
        self.bytes_max = bytes_max;
        self
    }

    /// Where it really listens: with the port that the system chose for port 0.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// What becomes of lines, to be asked while the server [runs](Self::run).
    pub fn meter(&self) -> LineMeter {
        LineMeter(Arc::clone(&self.shared))
    }

    /// Serves until `drain` is done. Then accepts those who have connected by then, closes the listener, and reads every
    /// client to its end, or until `cut` is done. Gives what became of all lines once those that were read are durable.
    ///
    /// The service stays open.
    pub async fn run(
        self,
        drain: impl Future<Output = ()>,
        cut: impl Future<Output = ()>,
    ) -> Result<LineCounts, LinesError> {
        let Self { listener, clients_max, bytes_max, shared, .. } = self;
        let own = OwnBytes { connection: CLIENT_BYTES, buffers: KEPT_BYTES };
        let memory = Arc::new(Memory::new(bytes_max, own));
        let places = clients_max.min(Memory::connections_max(bytes_max, own)).max(1);
        let mut clients = Clients::new(Arc::clone(&shared), memory, places);
        let mut posting = pin!(post::run(Arc::clone(&shared)));
        tokio::select! {
            ended = &mut posting => return ended.map(|()| shared.counts()),
            () = clients.accept(&listener) => {}
            () = drain => {}
        }
        let reading = async {
            tokio::select! {
                () = clients.accept_waiting_and_end(listener) => {}
                () = cut => {
                    tracing::warn!("clients that have not ended and are cut: {}", clients.len());
                    shared.phase.send_replace(Phase::Cut);
                    clients.end().await;
                }
            }
            shared.phase.send_replace(Phase::Ended);
            shared.work.notify_one();
            std::future::pending().await
        };
        tokio::select! {
            ended = posting => ended.map(|()| shared.counts()),
            never = reading => never,
        }
    }
}

impl Shared {
    fn new(service: Service) -> Self {
        Self {
            service,
            gatherer: Mutex::new(Gatherer::new()),
            turn: tokio::sync::Mutex::new(vec![0; READ_BYTES].into()),
            work: Notify::new(),
            room: Notify::new(),
            durable: watch::Sender::new(0),
            phase: watch::Sender::new(Phase::Reading),
        }
    }

    /// Waits until the batches have room for what one client sends at once.
    async fn has_room(&self) {
        while !lock(&self.gatherer).has_room() {
            self.room.notified().await;
        }
    }

    fn counts(&self) -> LineCounts {
        lock(&self.gatherer).counts()
    }
}

impl fmt::Debug for LineMeter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LineMeter").field(&self.read()).finish()
    }
}

impl fmt::Debug for LineServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LineServer").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A panic elsewhere leaves lines whole: each is put in at once.
fn lock(gatherer: &Mutex<Gatherer>) -> MutexGuard<'_, Gatherer> {
    gatherer.lock().unwrap_or_else(PoisonError::into_inner)
}
