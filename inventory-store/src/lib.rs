//! Durable journals for the inventory engine: adapters of [`inventory_core::journal::Journal`].
//!
//! [`FileJournal`] keeps it in files of one directory. [`disk`] is the seam between it and the operating system.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test fails by panicking"
    )
)]

pub mod disk;
mod file;

pub use file::{
    Damage, FileJournal, FileJournalOptions, OpenError, Report, SegmentReport, TornTail, View,
    ViewedSnapshots, inspect, inspect_on,
};
