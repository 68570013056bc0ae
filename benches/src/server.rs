//! A server on a thread and a runtime of its own, as `inventory serve` runs it, and clients to load it with.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use inventory_core::journal::Journal;
use inventory_core::{Actor, Command, LocationId, Money, OrderLine, Role, Units};
use inventory_load::shop::{UNITS_PER_ITEM, upc};
use inventory_net::client::{Client, ClientOptions, Session};
use inventory_net::message::Token;
use inventory_net::password::{PasswordCost, PasswordOptions, Passwords};
use inventory_net::server::{Server, ServerOptions};
use inventory_net::service::{Service, ServiceOptions};
use inventory_net::transport::Address;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::AnyError;

/// The password of every user.
const PASSWORD: &str = "bench";

/// A running server with `items` items and one buyer; ends when dropped.
#[derive(Debug)]
pub struct TestServer {
    addresses: Vec<Address>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), AnyError>>>,
}

impl TestServer {
    /// Starts a server on this journal, listening on these addresses (port 0 takes any).
    pub fn start(journal: Arc<dyn Journal>, items: u64, addresses: Vec<Address>) -> Result<Self, AnyError> {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || -> Result<(), AnyError> {
            runtime()?.block_on(async {
                let service = Service::open(journal, ServiceOptions::default()).await?;
                fill(&service, items).await?;
                let mut server = Server::new(service, ServerOptions::default())?;
                let mut bound = Vec::new();
                for address in &addresses {
                    bound.push(server.bind(address).await?);
                }
                ready.send(bound)?;
                Ok(server.run(async { drop(stopped.await) }).await?)
            })
        });
        match is_ready.recv() {
            Ok(addresses) => Ok(Self { addresses, stop: Some(stop), thread: Some(thread) }),
            Err(_) => match thread.join() {
                Ok(result) => result.and(Err("the server ended early".into())),
                Err(_) => Err("the server panicked".into()),
            },
        }
    }

    /// Where it listens, in the order asked for.
    pub fn addresses(&self) -> &[Address] {
        &self.addresses
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        if let Some(Ok(Err(error))) = ended {
            eprintln!("the server ended with an error: {error}");
        }
    }
}

/// A runtime like the server's: one thread.
pub fn runtime() -> Result<Runtime, AnyError> {
    Ok(Builder::new_current_thread().enable_all().build()?)
}

/// A temporary directory on the disk that holds the build, where the system's own may be in memory.
pub fn disk_dir() -> Result<TempDir, AnyError> {
    let build = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target");
    std::fs::create_dir_all(&build)?;
    Ok(tempfile::Builder::new().prefix("bench-").tempdir_in(build)?)
}

/// Defines this many items and their levels, and the buyer.
pub async fn fill(service: &Service, items: u64) -> Result<(), AnyError> {
    let cost = PasswordCost { memory_kib: 8, passes: 1, lanes: 1 };
    let passwords = Passwords::new(PasswordOptions { cost, ..PasswordOptions::default() })?;
    let password_hash = passwords.hash(PASSWORD.as_bytes().to_vec().into()).await?;
    let name = "buyer".into();
    let user = Command::AddUser { name, password_hash, role: Role::Buyer };
    service.call(Actor::System, user).await;
    let units = Units::new(UNITS_PER_ITEM).unwrap_or_default();
    for index in 0..items {
        let (upc, price) = (upc(index)?, Some(Money::from_minor(199)));
        let define = Command::DefineItem { upc, name: "item".into(), price };
        let level = Command::SetInitialLevel { upc, location: LocationId::MAIN, units };
        // The level needs the item, not its durability: both go into one group.
        tokio::join!(service.call(Actor::System, define), service.call(Actor::System, level));
    }
    Ok(())
}

/// A client that is logged in as the buyer.
pub async fn client(address: &Address) -> Result<Client, AnyError> {
    Ok(log_in(address).await?.0)
}

/// A session of the buyer's, for connections that resume it.
pub async fn session(address: &Address) -> Result<Token, AnyError> {
    Ok(log_in(address).await?.1.token)
}

async fn log_in(address: &Address) -> Result<(Client, Session), AnyError> {
    let client = Client::connect(address, ClientOptions::default()).await?;
    let session = client.log_in("buyer", PASSWORD).await?;
    Ok((client, session))
}

/// A line that takes one unit of item number `index`.
pub fn one_unit(index: u64) -> Result<OrderLine, AnyError> {
    Ok(OrderLine::new(upc(index)?, Units::new(1).unwrap_or_default()))
}
