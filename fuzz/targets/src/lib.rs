//! What each fuzz target does with its bytes. The fuzzer's programs (`fuzz/fuzz_targets`) and the test that replays the kept
//! corpus call the same functions.
//!
//! A target panics if a promise is broken; whatever it is given, it may have at most [`BYTES_MAX`] allocated at once.
#![allow(clippy::panic, clippy::expect_used, reason = "a target says by a panic that a promise is broken")]

mod connection;
mod history;
mod journal;
mod message;
mod state;
mod text;

use std::alloc::System;

use cap::Cap;

/// Most bytes that a target may have allocated at once.
pub const BYTES_MAX: usize = 64 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// What a target does with its bytes.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: [(&str, Target); 11] = [
    ("frame", connection::frame),
    ("request", message::request),
    ("reply", message::reply),
    ("record", journal::record),
    ("segment", journal::segment),
    ("group", state::group),
    ("snapshot", state::snapshot),
    ("text", text::text),
    ("items", text::items),
    ("lines", text::lines),
    ("history", history::history),
];

/// Gives these bytes to the target of this name, within bounds.
///
/// # Panics
///
/// If there is no such target, or a promise is broken.
pub fn run(target: &str, bytes: &[u8]) {
    let (_, body) = TARGETS.iter().find(|(name, _)| *name == target).expect("a target of this name");
    bounded(|| body(bytes));
}

/// Does this while no more than [`BYTES_MAX`] can be allocated on top of what is allocated already. Whoever asks for more
/// and cannot do without ends the process. One at a time in a process.
///
/// # Panics
///
/// If so much is allocated that a bound on top of it cannot be set, which cannot be.
///
/// ```
/// use inventory_fuzz_targets::{BYTES_MAX, bounded};
///
/// bounded(|| assert!(Vec::<u8>::new().try_reserve_exact(BYTES_MAX + 1).is_err()));
/// assert!(Vec::<u8>::new().try_reserve_exact(BYTES_MAX + 1).is_ok());
/// ```
pub fn bounded(body: impl FnOnce()) {
    let limited = ALLOCATOR.set_limit(ALLOCATOR.allocated().saturating_add(BYTES_MAX));
    assert!(limited.is_ok(), "the limit is above what is allocated");
    body();
    let unlimited = ALLOCATOR.set_limit(usize::MAX);
    assert!(unlimited.is_ok(), "no limit is above what is allocated");
}
