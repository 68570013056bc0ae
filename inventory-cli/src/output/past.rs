//! What commands on a data directory show: movements, the result of a check, and what a backup holds.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use inventory_core::Movement;
use serde::{Deserialize, Serialize};

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
    charged: Option<String>,
}

/// A movement, and the account that paid for its order, if one did.
#[derive(Debug)]
pub(crate) struct Moved {
    pub(crate) movement: Movement,
    pub(crate) charged: Option<Arc<str>>,
}

impl From<&Moved> for MovementRow {
    fn from(Moved { movement, charged }: &Moved) -> Self {
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
            charged: charged.as_deref().map(str::to_owned),
        }
    }
}

/// What `verify` found.
#[derive(Debug, Serialize)]
pub(crate) struct VerifiedRow {
    pub(crate) version: u64,
    /// When the last event happened; none if there is no event, or the state could not be built to the end.
    pub(crate) time: Option<String>,
    pub(crate) head_hash: String,
    /// None if the state could not be built to the end.
    pub(crate) state_digest: Option<String>,
    /// How many accounts there are; none if the state could not be built to the end.
    pub(crate) accounts: Option<usize>,
    /// What their balances add up to, in minor units.
    pub(crate) balances: Option<i128>,
    /// How many returns are of what their orders bought and paid; none if the state could not be built to the end.
    pub(crate) returns_checked: Option<u64>,
    /// How many are of orders that are no longer kept.
    pub(crate) returns_not_kept: Option<u64>,
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

impl fmt::Display for ViolationRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(version) = self.version {
            write!(f, "at version {version}: ")?;
        }
        if let Some((file, offset)) = self.file.as_ref().zip(self.offset) {
            write!(f, "{file} at byte {offset}: ")?;
        }
        f.write_str(&self.message)
    }
}

/// What a backup holds: what `backup` writes into it, and what `backup` and `restore` show.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BackupRow {
    /// Of the backup itself; what is in it has formats of its own.
    pub(crate) format: u16,
    pub(crate) version: u64,
    /// When the last event in it happened.
    pub(crate) time: Option<String>,
    pub(crate) head_hash: String,
    pub(crate) state_digest: String,
    /// The size of its segments and snapshots.
    pub(crate) bytes: u64,
}

impl BackupRow {
    /// The format that this program writes and knows.
    pub(crate) const FORMAT: u16 = 1;
}

pub(super) fn backup(row: &BackupRow) -> String {
    let BackupRow { format: _, version, time, head_hash, state_digest, bytes } = row;
    let time = time.as_deref().unwrap_or("there is no event yet");
    format!(
        "version       {version}\ntime          {time}\nhead hash     {head_hash}\nstate digest  {state_digest}\n\
         bytes         {bytes}\nall of it was read back and checked\n"
    )
}

pub(super) fn verified(row: &VerifiedRow) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "version       {}", row.version);
    if let Some(time) = &row.time {
        let _ = writeln!(text, "time          {time}");
    }
    let _ = writeln!(text, "head hash     {}", row.head_hash);
    if let Some(digest) = &row.state_digest {
        let _ = writeln!(text, "state digest  {digest}");
    }
    if let Some((accounts, sum)) = row.accounts.zip(row.balances).filter(|(accounts, _)| *accounts > 0) {
        let (sign, minor) = (if sum < 0 { "-" } else { "" }, sum.unsigned_abs());
        let _ = writeln!(
            text,
            "accounts      {accounts}, with {sign}{}.{:02} together",
            minor / 100,
            minor % 100
        );
    }
    match row.returns_checked.zip(row.returns_not_kept) {
        None | Some((0, 0)) => {}
        Some((checked, 0)) => {
            let _ = writeln!(text, "returns       {checked}, as their orders were bought and paid");
        }
        Some((checked, not_kept)) => {
            let _ = writeln!(
                text,
                "returns       {checked}, as their orders were bought and paid; {not_kept} more of orders that are no longer kept"
            );
        }
    }
    let from: Vec<String> = row.replayed_from.iter().map(ToString::to_string).collect();
    let _ = writeln!(
        text,
        "checked       events {}, groups {}, segments {}; replayed from version {}",
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
        let _ = writeln!(text, "VIOLATION     {violation}");
    }
    text
}
