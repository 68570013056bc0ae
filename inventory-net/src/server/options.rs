//! The server's settings and their defaults.

use std::time::Duration;

use super::GuessingOptions;
use super::memory::{Memory, OwnBytes};
use crate::connection::ServerConfig;
use crate::limits::BUFFER_BYTES_MIN;
use crate::password::PasswordOptions;
use crate::transport::BindOptions;

/// Settings of a [`Server`](super::Server).
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Most connections at once; more wait to be accepted. Lowered to what the system's limit on open files leaves.
    pub connections_max: usize,
    /// Most memory for what connections keep: themselves, their buffers, and replies on their way, in bytes. Fewer
    /// connections are allowed if not all fit. When it runs low, those whose peers keep them waiting are dropped.
    pub connections_bytes_max: usize,
    /// Files that the process keeps open for other clients than the server's.
    pub files_elsewhere: usize,
    /// What listeners are allowed.
    pub bind: BindOptions,
    /// How passwords are worked on.
    pub passwords: PasswordOptions,
    /// How wrong passwords are answered.
    pub guessing: GuessingOptions,
    /// What is allowed on each connection.
    pub connection: ServerConfig,
    /// How long the connections may take to be answered and closed when the server stops.
    pub drain_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_bytes_max: 224 << 20,
            files_elsewhere: 0,
            bind: BindOptions::default(),
            passwords: PasswordOptions::default(),
            guessing: GuessingOptions::default(),
            connection: ServerConfig::default(),
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// Files that the process needs beside its connections: the journal, listeners, the runtime.
const OTHER_FILES: u64 = 64;

/// What a connection takes of the memory for all.
pub(super) const OWN_BYTES: OwnBytes = OwnBytes { connection: 16 << 10, buffers: BUFFER_BYTES_MIN };

impl ServerOptions {
    /// The most connections that the settings and the limit on open files allow.
    pub(super) fn connections_allowed(&self) -> usize {
        let allowed = files_for_connections().saturating_sub(self.files_elsewhere).max(1);
        if allowed < self.connections_max {
            tracing::warn!(
                "the limit on open files leaves room for {allowed} connections instead of {}: raise it (ulimit -n)",
                self.connections_max
            );
        }
        let fit = Memory::connections_max(self.connections_bytes_max, OWN_BYTES);
        if fit < self.connections_max {
            tracing::warn!(
                "the memory for connections has room for {fit} of them instead of {}",
                self.connections_max
            );
        }
        self.connections_max.min(allowed).min(fit).clamp(1, tokio::sync::Semaphore::MAX_PERMITS)
    }
}

/// The most connections that the limit on open files leaves room for; at least one.
pub fn files_for_connections() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let allowed = files.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES).max(1));
    usize::try_from(allowed).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_other_clients_are_not_there_for_connections() {
        let all = ServerOptions {
            connections_max: usize::MAX,
            connections_bytes_max: usize::MAX,
            ..Default::default()
        };
        let without = all.connections_allowed();
        let fewer = ServerOptions { files_elsewhere: 100, ..all };
        assert_eq!(fewer.connections_allowed(), without - 100);
    }
}
