//! Connections without IO, in the manner of a protocol library: bytes that arrived go in, requests or replies
//! come out, and bytes to send come out beside them. Time is an argument. Whoever owns the socket drives them.

mod buffer;
mod client;
mod login;
mod server;

pub use client::{ClientConnection, ClientError, SendError};
pub use server::{ServerConfig, ServerConnection};
