//! Durable journals for the inventory engine: adapters of [`inventory_core::journal::Journal`].
//!
//! [`FileJournal`] keeps it in files of one directory. [`disk`] is the seam between it and the operating system.

#[doc(hidden)]
pub mod defect;
pub mod disk;
mod file;

pub use file::{
    Copied, CopyError, Damage, FileJournal, FileJournalOptions, OpenError, Report, Retain, SegmentReport,
    TornTail, Upkeep, UpkeepError, View, ViewedSnapshots, inspect, inspect_on, take_snapshot,
};
