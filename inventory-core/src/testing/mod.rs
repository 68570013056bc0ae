//! For those who implement a [`Journal`](crate::journal::Journal) or test against the engine: the conformance kit.
