//! Credits and debits as lines of text, for clients that only write to a socket.
//!
//! `docs/ledger.md` is the contract. [`LineReader`] finds lines in bytes, [`read_line`] reads one.

mod line;
mod reader;

pub use line::{Discard, Entered, LINE_BYTES_MAX, read_line};
pub use reader::LineReader;
