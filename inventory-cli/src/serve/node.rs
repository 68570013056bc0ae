//! A server on a data directory: file journal, engine and listeners put together.

use std::future::Future;
use std::path::{self, Path};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::FutureExt as _;
use inventory_core::EngineConfig;
use inventory_net::ledger_lines::{LineServer, LinesError};
use inventory_net::password::PasswordOptions;
use inventory_net::server::{Server, ServerOptions, files_for_connections};
use inventory_net::service::{Service, ServiceOptions};
use inventory_net::transport::{Address, BindOptions};
use inventory_store::{FileJournal, FileJournalOptions, Upkeep};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};
use tokio::time::sleep;

use super::first_start;
use super::memory::Memory;
use crate::ledger::{STATS_EVERY, Stats, log_counts};
use crate::parse::UsageError;
use crate::past::expect_no_backup;

/// Polls of tasks after which the runtime looks at sockets and at what the journal's thread has done. A purchase waits for
/// each of these once: among clients who keep the server busy the usual 61 and 31 polls are most of its time.
const LOOK_INTERVAL: u32 = 8;

/// How long clients that send lines may take to end when the server stops.
const LINES_DRAIN: Duration = Duration::from_secs(10);

/// The runtime of servers and clients alike: one thread.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    allow_all_files();
    Builder::new_current_thread()
        .enable_all()
        .event_interval(LOOK_INTERVAL)
        .global_queue_interval(LOOK_INTERVAL)
        .build()
        .context("cannot start the runtime")
}

/// Most clients that send lines to a shop: at most a quarter of the files.
fn lines_clients_max() -> usize {
    (files_for_connections() / 4).max(1)
}

/// As many open files as the system lets this process have: it is often asked for few. If that fails, the bounds on
/// connections are lower.
fn allow_all_files() {
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

/// The address of the Unix socket in a data directory.
pub(crate) fn socket_address(data: &Path) -> anyhow::Result<Address> {
    let path = path::absolute(data)?.join("inventory.sock");
    let text = path.to_str().with_context(|| format!("{} is not UTF-8: name an address", path.display()))?;
    Ok(format!("unix://{text}").parse()?)
}

/// The service on a data directory, which is made if it is not there: replays its journal.
pub(crate) async fn open_service(
    data: &Path,
    engine: EngineConfig,
    upkeep: Upkeep,
) -> anyhow::Result<Service> {
    expect_no_backup(data)?;
    if data.exists() && !data.is_dir() {
        return Err(UsageError::new(format!(
            "the data directory {} is a file, not a directory",
            data.display()
        ))
        .into());
    }
    let journal = Arc::new(FileJournal::open(data, FileJournalOptions::default())?);
    let options = ServiceOptions { engine, ..ServiceOptions::default() };
    let service = Service::open(Arc::<FileJournal>::clone(&journal), options)
        .await
        .with_context(|| format!("cannot replay the journal in {}", data.display()))?;
    // After the replay, which needs the disk more.
    journal.keep_up(upkeep).context("cannot start the thread that looks after the journal")?;
    Ok(service)
}

/// A server on a data directory.
#[derive(Debug)]
pub(crate) struct Node {
    service: Service,
    server: Server,
    lines_bytes_max: usize,
    lines: Option<(LineServer, Stats)>,
}

impl Node {
    /// Opens the data directory, which is made if it is not there, and replays its journal. Clients may make it use so
    /// much memory, in bytes, beside what the shop takes.
    pub(crate) async fn open(
        data: &Path,
        memory_max: u64,
        allow_plain_tcp: bool,
        upkeep: Upkeep,
        takes_lines: bool,
    ) -> anyhow::Result<Self> {
        let passwords = PasswordOptions::default();
        let Memory { connections_bytes_max, lines_bytes_max, engine } =
            Memory::of(memory_max, &passwords, takes_lines);
        let service = open_service(data, engine, upkeep).await?;
        let bind = BindOptions { allow_plain_tcp };
        let files_elsewhere = if takes_lines { lines_clients_max() } else { 0 };
        let usual = ServerOptions::default();
        let options = ServerOptions { connections_bytes_max, files_elsewhere, bind, passwords, ..usual };
        let server = Server::new(service.clone(), options)?;
        Ok(Self { service, server, lines_bytes_max, lines: None })
    }

    /// Listens on an address too; gives it with the port that was chosen.
    pub(crate) async fn bind(&mut self, address: &Address) -> anyhow::Result<Address> {
        Ok(self.server.bind(address).await?)
    }

    /// Takes lines of credits and debits on an address; gives it with the port that was chosen.
    pub(crate) async fn take_lines(
        &mut self,
        address: &Address,
        allow_plain_tcp: bool,
    ) -> anyhow::Result<Address> {
        let bind = BindOptions { allow_plain_tcp };
        let lines = LineServer::bind(address, bind, self.service.clone()).await?;
        let lines = lines.with_clients_max(lines_clients_max()).with_memory_max(self.lines_bytes_max);
        let actual = lines.address().clone();
        let stats = Stats::listen(lines.meter(), STATS_EVERY).context("cannot listen to signals")?;
        self.lines = Some((lines, stats));
        Ok(actual)
    }

    /// Gives a server without users its first ones, and items if wanted and if it has none of its own. One that has
    /// users is left as it is.
    pub(crate) async fn start_first_time(&self, demo_data: bool) -> anyhow::Result<()> {
        let (service, passwords) = (&self.service, self.server.passwords());
        let has_users = !service.with_state(|state| state.users().is_empty());
        if demo_data && (has_users || !first_start::has_only_demo_items(service)?) {
            tracing::info!("the data directory is not empty: it is used as it is, without new demo data");
        } else if demo_data {
            return first_start::add_demo_data(service, passwords).await;
        }
        if has_users { Ok(()) } else { first_start::add_administrator(service, passwords).await }
    }

    /// Serves until `shutdown` is done, then answers what was received and saves a snapshot.
    pub(crate) async fn run(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { server, lines, .. } = self;
        let mut lines_ended = Ok(());
        let closing = match lines {
            None => server.run(shutdown).await,
            // Its clients end first: they need the service.
            Some((lines, stats)) => {
                server.run(async { lines_ended = run_lines(lines, stats, shutdown).await }).await
            }
        };
        closing.context("the server did not close in full")?;
        Ok(lines_ended?)
    }
}

/// Takes lines until `shutdown` is done, and what is on its way then. If that must end before, the shop goes on without.
async fn run_lines(
    lines: LineServer,
    stats: Stats,
    shutdown: impl Future<Output = ()>,
) -> Result<(), LinesError> {
    let shutdown = shutdown.shared();
    let ended = stats.during(lines.run(shutdown.clone(), sleep(LINES_DRAIN))).await;
    match &ended {
        Ok(counts) | Err(LinesError::NotWritten(counts)) => log_counts(counts),
        Err(_) => {}
    }
    if let Err(error) = &ended {
        tracing::error!("no more lines of credits and debits are taken: {error}");
    }
    shutdown.await;
    ended.map(drop)
}
