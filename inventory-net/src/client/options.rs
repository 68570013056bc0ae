//! The client's settings and their defaults.

use std::time::Duration;

/// Settings of a [`Client`](super::Client).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// This program's name and version, for the server's log.
    pub name: String,
    /// How long a request is tried again while the server cannot be reached or cannot serve, from
    /// its first failure on; zero: never.
    pub retry_for: Duration,
    /// How long to wait for one reply before the connection is given up; none: for ever.
    pub reply_timeout: Option<Duration>,
    /// How long a connection may take to be made, until the server has said hello.
    pub connect_timeout: Duration,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            name: concat!("inventory-net/", env!("CARGO_PKG_VERSION")).into(),
            retry_for: Duration::from_secs(10),
            reply_timeout: Some(Duration::from_secs(30)),
            connect_timeout: Duration::from_secs(10),
        }
    }
}
