//! For those who implement a [`Journal`](crate::journal::Journal) or test against the engine: the conformance kit.

mod chain;
pub mod conformance;

pub use chain::Chain;
