//! Connections without IO, in the manner of a protocol library: bytes that arrived go in, requests or replies
//! come out, and bytes to send come out beside them. Time is an argument. Whoever owns the socket drives them.
//!
//! ```
//! use inventory_core::Refusal;
//! use inventory_net::connection::{ClientConnection, ServerConfig, ServerConnection};
//! use inventory_net::message::{ReplyBody, RequestBody};
//!
//! let mut client = ClientConnection::new("example/1.0");
//! let mut server = ServerConnection::new(ServerConfig::default(), 0);
//!
//! // The wire: what one end has put out is appended to what the other end has read.
//! fn carry(client: &mut ClientConnection, server: &mut ServerConnection) {
//!     server.read_buffer().extend_from_slice(client.output());
//!     client.sent(client.output().len());
//! }
//! fn carry_back(server: &mut ServerConnection, client: &mut ClientConnection) {
//!     client.read_buffer().extend_from_slice(server.output());
//!     server.sent(server.output().len(), 0);
//! }
//!
//! carry(&mut client, &mut server);
//! assert!(server.poll_request(0).is_none(), "hello is answered inside");
//! carry_back(&mut server, &mut client);
//! assert!(client.poll_reply()?.is_none());
//!
//! let id = client.request(&RequestBody::WhoAmI)?;
//! carry(&mut client, &mut server);
//! let request = server.poll_request(0).ok_or("no request")?;
//! server.reply(request.id, &ReplyBody::Refused(Refusal::NotLoggedIn), 0);
//! carry_back(&mut server, &mut client);
//! let reply = client.poll_reply()?.ok_or("no reply")?;
//! assert_eq!((reply.id, reply.body), (Some(id), ReplyBody::Refused(Refusal::NotLoggedIn)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod buffer;
mod client;
mod login;
mod page;
mod server;

pub use client::{ClientConnection, ClientError, SendError};
pub use server::{ServerConfig, ServerConnection};
