//! The inventory engine on the wire: frames, CBOR messages, transports, server and client.
//!
//! PROTOCOL.md at the root of the repository is the contract that [`frame`], [`message`] and [`connection`]
//! implement, without any IO: bytes in, messages out, and back.
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

pub mod connection;
pub mod frame;
pub mod limits;
pub mod message;
