//! The server: accepts connections and turns requests into the engine's and its answers into replies.
//!
//! A reader's way: [`Server`] here, accepting in `accept`, one connection's life in `connection`, what each request
//! means in `requests`, passwords and sessions in `authentication`, wrong passwords in `guessing`, those without a
//! session in `lobby`, what connections may keep in `memory`.

mod accept;
mod authentication;
mod connection;
mod guessing;
mod lobby;
pub(crate) mod memory;
mod options;
mod requests;

pub use guessing::GuessingOptions;
pub use options::ServerOptions;
pub use options::files_for_connections;

use std::future::Future;
use std::sync::Arc;

use tokio::sync::{Semaphore, watch};
use tokio::time::{Instant, timeout};

use guessing::Guessing;
use lobby::Lobby;
use memory::Memory;

use crate::password::{PasswordError, Passwords};
use crate::service::{CloseError, Service};
use crate::transport::{Address, BindError, Listener, bind};

/// A server: a [`Service`] on one or more addresses.
///
/// ```
/// # use std::sync::Arc;
/// # use inventory_core::journal::MemoryJournal;
/// # use inventory_net::{server::{Server, ServerOptions}, service::{Service, ServiceOptions}};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let service = Service::open(Arc::new(MemoryJournal::new()), ServiceOptions::default()).await?;
/// let mut server = Server::new(service, ServerOptions::default())?;
/// let address = server.bind(&"tcp://127.0.0.1:0".parse()?).await?;
/// println!("listening on {address}");
/// server.run(async { /* until this ends */ }).await?;
/// # Ok(())
/// # }
/// ```
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<Box<dyn Listener>>,
    connections_max: usize,
}

/// What all connections share.
struct Shared {
    service: Service,
    passwords: Passwords,
    guessing: Guessing,
    /// For those without a session.
    lobby: Lobby,
    /// For reads of many rows.
    long_reads: Lobby,
    /// One page of entries at a time, first come, first served.
    entries_pages: Semaphore,
    /// One at a time of the connections that have more to do than fits into a turn: however many they are, whoever has
    /// little to do waits for one of them.
    busy: Semaphore,
    memory: Arc<Memory>,
    /// When the server was made: the origin of the times that `guessing` gets.
    began: Instant,
    options: ServerOptions,
    /// A permit for each connection that may be open.
    places: Arc<Semaphore>,
    phase: watch::Sender<Phase>,
}

/// Where the server is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// It accepts and answers.
    Serving,
    /// It reads nothing more, and answers what it has read.
    Draining,
    /// What is not answered yet never will be.
    Cut,
}

impl Server {
    /// A server that listens nowhere yet. An error says that the cost of passwords is out of bounds, or that the
    /// system has no randomness to give.
    pub fn new(service: Service, options: ServerOptions) -> Result<Self, PasswordError> {
        let connections_max = options.connections_allowed();
        let shared = Arc::new(Shared {
            service,
            passwords: Passwords::new(options.passwords)?,
            guessing: Guessing::new(options.guessing),
            lobby: Lobby::new(),
            long_reads: Lobby::that_starts_work(),
            entries_pages: Semaphore::new(1),
            busy: Semaphore::new(1),
            memory: Arc::new(Memory::new(options.connections_bytes_max, options::OWN_BYTES)),
            began: Instant::now(),
            options,
            places: Arc::new(Semaphore::new(connections_max)),
            phase: watch::Sender::new(Phase::Serving),
        });
        Ok(Self { shared, listeners: Vec::new(), connections_max })
    }

    /// Listens on an address too, and gives the address really listened on: with the port the system chose for
    /// port 0. Clients can connect from now on; they are answered once the server [runs](Self::run).
    pub async fn bind(&mut self, address: &Address) -> Result<Address, BindError> {
        let listener = bind(address, self.shared.options.bind).await?;
        let actual = listener.address();
        self.listeners.push(listener);
        Ok(actual)
    }

    /// How its passwords are hashed: for whoever adds users without a client.
    pub fn passwords(&self) -> &Passwords {
        &self.shared.passwords
    }

    /// Serves until `shutdown` is done. Then stops accepting and reading, answers what was read, closes the
    /// connections and the service.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), CloseError> {
        let Self { shared, listeners, connections_max } = self;
        let accepting = tokio::spawn(accept::run(Arc::clone(&shared), listeners));
        shutdown.await;
        shared.phase.send_replace(Phase::Draining);
        // It ends by itself, and drops the listeners.
        drop(accepting.await);
        shared.drain(connections_max).await;
        shared.service.close().await
    }
}

impl Shared {
    /// Waits for all connections to end, with patience at first.
    async fn drain(&self, connections_max: usize) {
        let all_places = u32::try_from(connections_max).unwrap_or(u32::MAX);
        if timeout(self.options.drain_timeout, self.places.acquire_many(all_places)).await.is_err() {
            let open = connections_max.saturating_sub(self.places.available_permits());
            tracing::warn!("{open} connections were not done in time and are cut");
            self.phase.send_replace(Phase::Cut);
            // An error says that the semaphore was closed, which nobody does.
            drop(self.places.acquire_many(all_places).await);
        }
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let addresses: Vec<Address> = self.listeners.iter().map(|listener| listener.address()).collect();
        f.debug_struct("Server").field("addresses", &addresses).finish_non_exhaustive()
    }
}
