//! What commands on a data directory show: movements, and the result of a check.

use std::fmt::Write as _;

use inventory_core::Movement;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct MovementRow {
    version: u64,
    at: String,
    reason: &'static str,
    upc: String,
    location: String,
    change: i64,
    on_hand: u64,
    user: Option<String>,
    order: Option<String>,
}

impl From<&Movement> for MovementRow {
    fn from(movement: &Movement) -> Self {
        Self {
            version: movement.version.0,
            at: movement.at.to_string(),
            reason: movement.reason.name(),
            upc: movement.upc.to_string(),
            location: movement.location.to_string(),
            change: movement.change,
            on_hand: movement.on_hand.get(),
            user: movement.user.as_deref().map(str::to_owned),
            order: movement.order.map(|order| order.to_string()),
        }
    }
}

/// What `verify` found.
#[derive(Debug, Serialize)]
pub(crate) struct VerifiedRow {
    pub(crate) version: u64,
    pub(crate) head_hash: String,
    /// None if the state could not be built to the end.
    pub(crate) state_digest: Option<String>,
    /// The version before the first group that is kept.
    pub(crate) start: u64,
    pub(crate) segments: usize,
    pub(crate) groups: u64,
    pub(crate) events: u64,
    /// 0 for the beginning, and the version of each snapshot.
    pub(crate) replayed_from: Vec<u64>,
    pub(crate) events_per_second: u64,
    pub(crate) torn_end: Option<String>,
    pub(crate) violations: Vec<ViolationRow>,
}

/// Something that is wrong.
#[derive(Debug, Serialize)]
pub(crate) struct ViolationRow {
    /// None for a snapshot that cannot be read.
    pub(crate) version: Option<u64>,
    pub(crate) file: Option<String>,
    pub(crate) offset: Option<u64>,
    pub(crate) message: String,
}

pub(super) fn verified(row: &VerifiedRow) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "version       {}", row.version);
    let _ = writeln!(text, "head hash     {}", row.head_hash);
    if let Some(digest) = &row.state_digest {
        let _ = writeln!(text, "state digest  {digest}");
    }
    let from: Vec<String> = row.replayed_from.iter().map(ToString::to_string).collect();
    let _ = writeln!(
        text,
        "checked       {} events in {} groups and {} segments, replayed from version {}",
        row.events,
        row.groups,
        row.segments,
        from.join(", ")
    );
    let _ = writeln!(text, "speed         {} events/s", row.events_per_second);
    if let Some(end) = &row.torn_end {
        let _ = writeln!(
            text,
            "torn end      {end}: of a write that was not acknowledged, or is being written now"
        );
    }
    if row.violations.is_empty() {
        text.push_str("all is well\n");
    }
    for violation in &row.violations {
        let version = violation.version.map(|version| format!("at version {version}: ")).unwrap_or_default();
        let place = violation.file.as_ref().zip(violation.offset);
        let place = place.map(|(file, offset)| format!("{file} at byte {offset}: ")).unwrap_or_default();
        let _ = writeln!(text, "VIOLATION     {version}{place}{}", violation.message);
    }
    text
}
