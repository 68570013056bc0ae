//! The inventory engine on the wire: transports, the service that drives the engine, server and client.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test fails by panicking"
    )
)]

pub mod clock;
pub mod password;
pub mod service;
pub mod token;
pub mod transport;
