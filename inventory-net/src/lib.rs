//! The inventory engine on the wire: frames, CBOR messages, transports, server and client.
//!
//! PROTOCOL.md at the root of the repository is the contract that [`frame`], [`message`] and [`connection`]
//! implement, without any IO: bytes in, messages out, and back.
//!
//! [`transport`] carries bytes, [`service`] runs the engine,
//! [`server`] joins them, and [`client`] asks.

pub mod client;
pub mod clock;
pub mod connection;
pub mod frame;
pub mod ledger_lines;
pub mod limits;
pub mod message;
mod outbox;
pub mod password;
pub mod server;
pub mod service;
pub mod token;
pub mod transport;
