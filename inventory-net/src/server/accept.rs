//! Accepting: first a free place, then a connection. Nothing that goes wrong here ends the server.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::select_all;
use tokio::time::{Instant, sleep};

use super::{Phase, Shared, connection};
use crate::transport::Listener;

/// How long to wait after an error: doubled with each one that follows, up to a second.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// One message in this time, however many errors.
const ERROR_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Accepts connections on all listeners, and starts a task for each, until the server drains.
pub(super) async fn run(shared: Arc<Shared>, listeners: Vec<Box<dyn Listener>>) {
    let mut phase = shared.phase.subscribe();
    tokio::select! {
        // The sender lives in `shared`: it cannot be gone.
        _ = phase.wait_for(|phase| *phase >= Phase::Draining) => {}
        () = accept_all(&shared, listeners) => {}
    }
}

async fn accept_all(shared: &Arc<Shared>, mut listeners: Vec<Box<dyn Listener>>) {
    let mut pause = PAUSE_MIN;
    let mut logged: Option<Instant> = None;
    while !listeners.is_empty() {
        // One place for all listeners: a quiet one must not keep it from a busy one.
        let Ok(place) = Arc::clone(&shared.places).acquire_owned().await else { return };
        let (accepted, _, _) = select_all(listeners.iter_mut().map(|listener| listener.accept())).await;
        // The first one asked has the advantage: everyone gets it in turn.
        listeners.rotate_left(1);
        match accepted {
            Ok(incoming) => {
                pause = PAUSE_MIN;
                let _turn = shared.lobby.turn_out_of_line().await;
                let shared = Arc::clone(shared);
                tokio::spawn(async move {
                    connection::run(shared, incoming).await;
                    drop(place);
                });
            }
            Err(error) => {
                if logged.is_none_or(|at| at.elapsed() >= ERROR_LOG_INTERVAL) {
                    tracing::error!("cannot accept a connection: {error}");
                    logged = Some(Instant::now());
                }
                sleep(pause).await;
                pause = pause.saturating_mul(2).min(PAUSE_MAX);
            }
        }
    }
}
