//! The `inventory` command as its users meet it: whole processes, each test in its own directory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod backup;
mod bad_input;
mod bench;
mod bulk;
mod contract;
mod crashes;
mod demo;
mod harness;
mod ledger;
mod ledger_commands;
mod local_files;
mod past;
mod proxy;
mod returns;
mod server;
mod shell;
