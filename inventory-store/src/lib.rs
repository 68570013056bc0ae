//! Durable journals for the inventory engine: adapters of [`inventory_core::journal::Journal`].
//!
//! [`FileJournal`] keeps it in files of one directory. [`disk`] is the seam between it and the operating system.

#[doc(hidden)]
pub mod defect;
pub mod disk;
mod file;

pub use file::{
    Damage, FileJournal, FileJournalOptions, OpenError, Report, SegmentReport, TornTail, View,
    ViewedSnapshots, inspect, inspect_on,
};
