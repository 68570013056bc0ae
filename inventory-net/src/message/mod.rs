//! Messages: CBOR on one side, the core's types on the other. Nowhere else do they meet.
//!
//! A request is `[id, op, body]`, a reply `[id, status, body]`; PROTOCOL.md has the grammar. What is written is
//! deterministic CBOR (RFC 8949, section 4.2.1); what is read may be any CBOR of the same values within the
//! profile that PROTOCOL.md sets, and is checked against it before anything is decoded.

mod columns;
mod entries;
mod envelope;
mod error;
mod express;
mod lines;
mod op;
mod refusal;
mod reply;
mod request;
mod secret;
mod value;

use core::num::NonZeroU32;

pub use entries::{EntriesPage, EntryRow};
pub use error::{EncodeError, ProtocolError, ProtocolErrorCode, Unavailable, Undecodable};
pub use op::Op;
pub use refusal::UnknownRefusal;
pub use reply::{
    Account, Done, Reply, ReplyBody, ServerHello, Status, decode_reply, encode_reply, reply_head,
};
pub use request::{ClientHello, Request, RequestBody, RequestError, decode_request, encode_request};
pub use secret::{Password, Token};

/// What a client calls a request, and the reply to it: 1 to 2^32 − 1, unique among its requests in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub NonZeroU32);

impl RequestId {
    /// This id, if it is not zero.
    pub const fn new(id: u32) -> Option<Self> {
        match NonZeroU32::new(id) {
            Some(id) => Some(Self(id)),
            None => None,
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// Scratch space of the decoder, in bytes: longer texts and byte strings are decoded through the heap.
const SCRATCH_BYTES: usize = 512;

/// Decodes a body whose shape was checked.
fn decode_body<T: serde::de::DeserializeOwned>(body: &[u8]) -> Result<T, String> {
    let mut scratch = [0; SCRATCH_BYTES];
    ciborium::de::from_reader_with_buffer(body, &mut scratch).map_err(|error| match error {
        ciborium::de::Error::Semantic(_, what) => what,
        // The shape was checked, so none of these is the sender's doing; none of them has words for people.
        ciborium::de::Error::Io(_) => "it ends too early".into(),
        ciborium::de::Error::Syntax(at) => format!("it cannot be read (at byte {at} of the body)"),
        ciborium::de::Error::RecursionLimitExceeded => "it is nested too deep".into(),
    })
}

/// The text, cut to at most this many bytes at the end of a character.
fn cut(text: &str, bytes_max: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes_max)).unwrap_or(text)
}
