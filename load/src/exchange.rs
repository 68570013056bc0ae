//! The seam between the loop and a protocol.

use bytes::BytesMut;

use crate::LoadError;

/// One connection's protocol without IO: requests become bytes, bytes become answers.
pub trait Exchange: Send + Unpin + 'static {
    /// Appends the next request to what is to be sent. `slot` is free: nothing that is in flight has it.
    fn ask(&mut self, slot: u32, out: &mut BytesMut) -> Result<(), LoadError>;

    /// Takes the next whole answer from the front of what was received; none while it is incomplete.
    fn answer(&mut self, input: &mut BytesMut) -> Result<Option<Answer>, LoadError>;
}

/// An answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The slot that the request had.
    pub slot: u32,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It bought.
    Bought {
        /// Purchases that were carried out: one, or the accepted rows of a batch.
        purchases: u64,
        /// Units of all of them.
        units: u64,
        /// Rows that were refused for want of stock.
        refused: u64,
    },
    /// It read.
    Read,
    /// The server had no room for it; nothing was done.
    TurnedAway,
}
