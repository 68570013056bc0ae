//! For those who implement a [`Journal`](crate::journal::Journal) or test against the engine.

mod model;

pub use model::{Model, Sale};
