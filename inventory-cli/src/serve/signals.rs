//! The signals that stop the server.

use std::future::Future;
use std::io;

use tokio::signal::unix::{SignalKind, signal};

use crate::exit::Exit;

/// Listens to SIGINT and SIGTERM from now on. The future is done at the first; the second ends the process.
pub(crate) fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        let mut next = async move || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: answering what was received; a second signal stops at once");
        tokio::spawn(async move {
            next().await;
            tracing::warn!("stopped at once by a second signal");
            std::process::exit(Exit::Failure.code().into());
        });
    })
}
