//! What people would use instead, and what loopback and disk give at most.

pub(crate) mod disk;
pub(crate) mod echo;
pub(crate) mod ours;
pub(crate) mod postgres;
pub(crate) mod receive_and_sync;
pub(crate) mod redis;
pub(crate) mod sqlite;
pub(crate) mod tigerbeetle;

use std::collections::VecDeque;

use inventory_load::{LoadError, Outcome};

/// One purchase of one unit.
pub(crate) const BOUGHT: Outcome = Outcome::Bought { purchases: 1, units: 1, refused: 0 };

/// A key that no other order has.
pub(crate) fn new_key() -> anyhow::Result<u128> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(u128::from_ne_bytes(bytes))
}

/// Slots of requests that are answered in the order in which they were sent.
#[derive(Debug, Default)]
pub(crate) struct InOrder(VecDeque<u32>);

impl InOrder {
    /// A request with this slot was sent.
    pub(crate) fn sent(&mut self, slot: u32) {
        self.0.push_back(slot);
    }

    /// The slot of the request that the next answer is to.
    pub(crate) fn answered(&mut self) -> Result<u32, LoadError> {
        self.0.pop_front().ok_or_else(|| LoadError::Unexpected("an answer that nobody asked for".into()))
    }
}
