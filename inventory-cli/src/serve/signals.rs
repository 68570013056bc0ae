//! The signals that stop a server.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// SIGINT and SIGTERM, from when this was made.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Listens to them from now on. SIGUSR1 does not end the process any more, whether anybody listens to it or not.
    pub(crate) fn listen() -> io::Result<Self> {
        // It asks for figures, also of a server that has none or is not ready. What was set here stays when this is dropped.
        drop(signal(SignalKind::user_defined1())?);
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    pub(crate) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Listens to SIGINT and SIGTERM from now on. The future is done at the first; the second ends the process.
pub(crate) fn shutdown() -> io::Result<impl Future<Output = ()>> {
    let mut signals = Signals::listen()?;
    Ok(async move {
        signals.next().await;
        tracing::info!("stopping: answering what was received; a second signal stops at once");
        tokio::spawn(async move {
            signals.next().await;
            tracing::warn!("stopped at once by a second signal");
            std::process::exit(Exit::Failure.code().into());
        });
    })
}
