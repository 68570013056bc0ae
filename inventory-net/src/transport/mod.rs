//! Where bytes come from and go to: listeners and streams behind one trait, picked by an address's scheme.
//!
//! A new transport is a file beside this one and a line in `TRANSPORTS`.

mod address;
mod memory;
mod tcp;
mod unix;

pub use address::{Address, AddressError};
pub(crate) use tcp::bind_tcp;

use std::{fmt, io};

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};

/// Every transport there is.
static TRANSPORTS: &[&dyn Transport] = &[&tcp::Tcp, &unix::Unix, &memory::Memory];

/// What a listener is asked to allow.
#[derive(Clone, Copy, Debug, Default)]
pub struct BindOptions {
    /// Listen on plain TCP also where other machines can reach it. Passwords and tokens then cross the network in
    /// the clear.
    pub allow_plain_tcp: bool,
}

/// Why an address cannot be listened on. The text says what happened, to what, and what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    /// Another server listens there.
    #[error("another server listens on {0}: stop it, or choose another address")]
    InUse(Address),
    /// The address is plain TCP and other machines can reach it.
    #[error(
        "{0} can be reached from other machines, and plain TCP protects neither passwords nor tokens: \
         use a loopback address such as tcp://127.0.0.1:7411, or allow plain TCP explicitly"
    )]
    PlainTcp(Address),
    /// What listens takes connections over plain TCP only.
    #[error("{0} is no address of plain TCP: write it as tcp://host:port")]
    NotTcp(Address),
    /// Something that is no socket has the path.
    #[error("{0} names a file that is no socket: choose another path, or move the file away")]
    NotASocket(Address),
    /// The system refused.
    #[error("cannot listen on {address}: {source}")]
    Io {
        /// Where.
        address: Address,
        /// What the system said.
        source: io::Error,
    },
}

/// Gives the connections that clients make, one at a time. What it holds in the file system goes when it is dropped.
#[async_trait]
pub trait Listener: Send {
    /// The next connection. Safe to cancel. An error concerns one connection or passes (too many open files);
    /// the listener stays usable.
    async fn accept(&mut self) -> io::Result<Incoming>;

    /// Where it really listens: with the port that the system chose for port 0.
    fn address(&self) -> Address;
}

/// A connection's bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A connection that a client made.
pub struct Incoming {
    /// Its bytes.
    pub stream: Box<dyn Stream>,
    /// Who is at the other end, for logs.
    pub peer: String,
    /// Whose wrong passwords count together: the IPv4 address, the network of 64 bits of an IPv6 address, the user of
    /// this machine, or whatever else a peer cannot change at will.
    pub origin: String,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("peer", &self.peer).finish_non_exhaustive()
    }
}

/// One way to carry bytes. `rest` is what follows `scheme://` in an address, checked before by [`check`](Self::check).
#[async_trait]
trait Transport: Send + Sync {
    fn scheme(&self) -> &'static str;

    /// What an address of this scheme looks like, for messages.
    fn form(&self) -> &'static str;

    /// Whether `rest` has the right form; if not, what is wrong with it.
    fn check(&self, rest: &str) -> Result<(), &'static str>;

    async fn bind(&self, address: &Address, options: BindOptions) -> Result<Box<dyn Listener>, BindError>;

    async fn connect(&self, rest: &str) -> io::Result<Box<dyn Stream>>;
}

/// Listens on an address.
pub async fn bind(address: &Address, options: BindOptions) -> Result<Box<dyn Listener>, BindError> {
    address.transport().bind(address, options).await
}

/// Connects to an address.
pub async fn connect(address: &Address) -> io::Result<Box<dyn Stream>> {
    address.transport().connect(address.rest()).await
}

/// The error for an address, by what the system said.
fn bind_error(address: &Address, source: io::Error) -> BindError {
    let address = address.clone();
    match source.kind() {
        io::ErrorKind::AddrInUse => BindError::InUse(address),
        _ => BindError::Io { address, source },
    }
}
