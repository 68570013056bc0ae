//! For those who implement a [`Journal`](crate::journal::Journal) or test against the engine: the conformance kit
//! and the reference model.

mod chain;
pub mod conformance;
mod model;

pub use chain::Chain;
pub use model::{Balances, BulkSale, Comeback, Model, Sale};
