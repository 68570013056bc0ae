//! `inventory ledger serve`: a server for lines and nothing else, until a signal; then the log.

use std::sync::Arc;

use anyhow::Context as _;
use inventory_core::EngineConfig;
use inventory_core::journal::Volatile;
use inventory_net::ledger_lines::{LineServer, LinesError};
use inventory_net::service::{CloseError, Service, ServiceOptions};
use inventory_net::transport::{Address, BindOptions};
use inventory_store::Upkeep;
use tokio::sync::Mutex;
use tokio::time::sleep;

use super::counts::{Stats, log_counts};
use super::log;
use crate::args::LedgerServeArgs;
use crate::serve::{Signals, open_service, runtime, say};

/// Serves until the first signal, then waits for the connected clients until the second one, or for so long.
pub(crate) fn serve(port: u16, args: &LedgerServeArgs) -> anyhow::Result<()> {
    let log = log::place(&args.log)?;
    runtime()?.block_on(async {
        let signals = Mutex::new(Signals::listen().context("cannot listen to signals")?);
        let service = open(args).await?;
        let address: Address = format!("tcp://127.0.0.1:{port}").parse()?;
        let lines = LineServer::bind(&address, BindOptions::default(), service.clone()).await?;
        let stats = Stats::listen(lines.meter(), args.stats_seconds).context("cannot listen to signals")?;
        say(&format!("listening on {}\n", lines.address()))?;
        let drain = async {
            signals.lock().await.next().await;
            tracing::info!("stopping: reading connected clients to their end; a second signal ends the wait");
        };
        let cut = async {
            let mut signals = signals.lock().await;
            tokio::select! {
                () = signals.next() => {}
                () = sleep(args.drain_seconds) => {}
            }
        };
        let ended = stats.during(lines.run(drain, cut)).await;
        if let Err(error @ LinesError::NotWritten(counts)) = ended {
            log_counts(&counts);
            // What waits is refused, and what stays is durable. The first error tells more than those of closing.
            if let Err(error) = service.close().await {
                tracing::warn!("the server did not close in full: {error}");
            }
            if let Err(error) = service.with_state(|state| log::write(&log, state)) {
                tracing::error!("{error}");
            }
            return Err(error.into());
        }
        log_counts(&ended?);
        match service.close().await {
            Err(CloseError::Snapshot(_)) if args.data.is_none() => {}
            Err(CloseError::Snapshot(error)) => {
                tracing::warn!("the snapshot could not be saved, the next start takes longer: {error}");
            }
            closed => closed.context("the server did not close in full")?,
        }
        Ok(service.with_state(|state| log::write(&log, state))?)
    })
}

async fn open(args: &LedgerServeArgs) -> anyhow::Result<Service> {
    match &args.data {
        Some(data) => open_service(data, EngineConfig::default(), Upkeep::default()).await,
        None => Ok(Service::open(Arc::new(Volatile::new()), ServiceOptions::default()).await?),
    }
}
