//! What a run has seen: which command ended how, while which fault was about.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use inventory_net::message::Op;

/// What goes wrong in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing did.
    None,
    /// A connection was cut.
    Cut,
    /// A client gave a connection up, and what it had sent was still under way.
    GivenUp,
    /// The machine lost its power, between two operations of the disk or within one.
    PowerLoss,
    /// As `PowerLoss`, while the server was recovering.
    PowerLossInRecovery,
    /// The server's process was killed.
    Kill,
    /// The server was stopped in order and started again.
    Restart,
    /// An operation of the disk answered EIO.
    Io,
    /// The disk was full.
    Full,
    /// A write stopped half way.
    Short,
    /// A sync failed, or it could not be found out what became of a write.
    Sync,
    /// The server's clock jumped.
    Clock,
    /// Hours went by.
    Pause,
    /// Bits of a file changed at rest.
    Flip,
    /// The disk took long to answer, while everything else went on.
    Slow,
    /// A request to the journal or its answer was lost, or the request came late.
    Lost,
    /// Another server was first to write.
    Conflict,
}

impl Fault {
    /// All of them.
    pub const ALL: [Self; 17] = [
        Self::None,
        Self::Cut,
        Self::GivenUp,
        Self::PowerLoss,
        Self::PowerLossInRecovery,
        Self::Kill,
        Self::Restart,
        Self::Io,
        Self::Full,
        Self::Short,
        Self::Sync,
        Self::Clock,
        Self::Pause,
        Self::Flip,
        Self::Slow,
        Self::Lost,
        Self::Conflict,
    ];
}

impl Fault {
    /// Whether it happens because a run draws it, and not because of something else.
    pub(crate) const fn is_drawn(self) -> bool {
        !matches!(self, Self::None | Self::Sync | Self::PowerLossInRecovery | Self::Conflict)
    }
}

/// The pairs of command and outcome that the workload is meant to reach.
const WANTED: &[(Op, &[&str])] = &[
    (Op::LogIn, &["done", "bad_credentials", "already_logged_in", "not_written", "poisoned", "overloaded"]),
    (Op::Resume, &["done", "not_logged_in", "not_written", "poisoned", "overloaded"]),
    (Op::LogOut, &["done", "not_logged_in", "not_written", "poisoned", "overloaded"]),
    (Op::WhoAmI, &["done", "not_logged_in", "not_written", "poisoned", "overloaded"]),
    (Op::Levels, &["done", "not_logged_in", "not_written", "poisoned", "overloaded"]),
    (Op::Item, &["done", "not_logged_in", "unknown_item", "not_written", "poisoned", "overloaded"]),
    (
        Op::Purchase,
        &[
            "done",
            "not_logged_in",
            "unknown_item",
            "insufficient_stock",
            "zero_quantity",
            "overflow",
            "too_many_lines",
            "empty_order",
            "insufficient_funds",
            "unpriced",
            "unknown_account",
            "not_permitted",
            "key_reused",
            "key_too_old",
            "key_from_future",
            "not_written",
            "poisoned",
            "overloaded",
        ],
    ),
    (
        Op::PurchaseBulk,
        &[
            "done",
            "not_logged_in",
            "key_reused",
            "key_too_old",
            "key_from_future",
            "not_written",
            "poisoned",
            "overloaded",
        ],
    ),
    (
        Op::Return,
        &[
            "done",
            "done_of_old_order",
            "not_logged_in",
            "unknown_order",
            "outcome_not_kept",
            "exceeds_purchase",
            "not_returnable",
            "zero_quantity",
            "overflow",
            "too_many_lines",
            "key_reused",
            "key_too_old",
            "key_from_future",
            "not_written",
            "poisoned",
            "overloaded",
        ],
    ),
    (
        Op::Receipt,
        &[
            "done",
            "not_logged_in",
            "insufficient_stock",
            "unknown_order",
            "key_too_old",
            "not_written",
            "poisoned",
            "overloaded",
        ],
    ),
    (
        Op::DefineItem,
        &["done", "not_permitted", "invalid_name", "invalid_price", "not_written", "poisoned", "overloaded"],
    ),
    (
        Op::SetInitialLevel,
        &[
            "done",
            "not_permitted",
            "unknown_item",
            "level_already_set",
            "not_written",
            "poisoned",
            "overloaded",
        ],
    ),
    (
        Op::AddUser,
        &["done", "not_permitted", "user_exists", "invalid_name", "not_written", "poisoned", "overloaded"],
    ),
    (
        Op::Post,
        &[
            "done",
            "not_logged_in",
            "not_permitted",
            "insufficient_funds",
            "balance_out_of_range",
            "invalid_name",
            "same_account",
            "key_reused",
            "key_too_old",
            "key_from_future",
            "not_written",
            "poisoned",
            "overloaded",
        ],
    ),
    (
        Op::PostBulk,
        &[
            "done",
            "not_logged_in",
            "not_permitted",
            "key_reused",
            "key_too_old",
            "key_from_future",
            "not_written",
            "poisoned",
            "overloaded",
        ],
    ),
    (
        Op::SetFloor,
        &[
            "done",
            "not_permitted",
            "unknown_account",
            "floor_above_balance",
            "not_written",
            "poisoned",
            "overloaded",
        ],
    ),
    (
        Op::Balance,
        &[
            "done",
            "not_logged_in",
            "not_permitted",
            "unknown_account",
            "not_written",
            "poisoned",
            "overloaded",
        ],
    ),
    (
        Op::Entries,
        &[
            "done",
            "not_logged_in",
            "not_permitted",
            "unknown_account",
            "not_written",
            "poisoned",
            "overloaded",
        ],
    ),
    (Op::Balances, &["done", "not_logged_in", "not_permitted", "not_written", "poisoned", "overloaded"]),
];

/// Counts of command × outcome × fault.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    seen: BTreeMap<(u32, &'static str, Fault), u64>,
    faults: BTreeMap<Fault, u64>,
}

impl Coverage {
    /// A request for `op` ended like this while these faults were about.
    pub(crate) fn replied(&mut self, op: Op, outcome: &'static str, faults: &[Fault]) {
        for fault in faults {
            *self.seen.entry((op.code(), outcome, *fault)).or_default() += 1;
        }
    }

    /// A fault took effect.
    pub(crate) fn injected(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    /// The commands of the table.
    pub(crate) fn commands() -> impl ExactSizeIterator<Item = Op> {
        WANTED.iter().map(|(op, _)| *op)
    }

    /// Adds what another run has seen.
    pub fn add(&mut self, other: &Self) {
        for (seen, count) in &other.seen {
            *self.seen.entry(*seen).or_default() += count;
        }
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
    }

    /// How often a fault took effect.
    pub fn faults(&self) -> impl Iterator<Item = (Fault, u64)> {
        Fault::ALL.into_iter().skip(1).map(|fault| (fault, self.faults.get(&fault).copied().unwrap_or(0)))
    }

    /// The pairs of command and outcome that were never seen at all.
    pub fn missing_outcomes(&self) -> Vec<(Op, &'static str)> {
        wanted().filter(|(op, outcome)| !self.has_seen(*op, outcome)).collect()
    }

    /// How many triples were seen, and how many there can be.
    pub fn triples(&self) -> (usize, usize) {
        let (mut seen, mut possible) = (0, 0);
        for (op, outcome) in wanted() {
            for fault in Fault::ALL.into_iter().filter(|fault| impossible(outcome, *fault).is_none()) {
                possible += 1;
                seen += usize::from(self.has(op, outcome, fault));
            }
        }
        (seen, possible)
    }

    /// Whether a command ended like this, whatever was about.
    pub fn has_seen(&self, op: Op, outcome: &str) -> bool {
        self.seen.keys().any(|(code, other, _)| *code == op.code() && *other == outcome)
    }

    fn has(&self, op: Op, outcome: &'static str, fault: Fault) -> bool {
        self.seen.contains_key(&(op.code(), outcome, fault))
    }
}

/// Why no request can end like this while this fault and no other is about; none if it can.
fn impossible(outcome: &str, fault: Fault) -> Option<&'static str> {
    match (outcome, fault) {
        ("not_written" | "poisoned", Fault::None) => Some("a write fails only where something goes wrong"),
        _ => None,
    }
}

fn wanted() -> impl Iterator<Item = (Op, &'static str)> {
    WANTED.iter().flat_map(|(op, outcomes)| outcomes.iter().map(|outcome| (*op, *outcome)))
}

impl fmt::Display for Coverage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "faults that took effect:")?;
        for (fault, count) in self.faults() {
            writeln!(f, "  {fault:?}: {count}")?;
        }
        let (seen, all) = self.triples();
        writeln!(f, "command × outcome × fault: {seen} of {all} seen; not seen:")?;
        for (op, outcome) in wanted() {
            let is_unhit =
                |fault: &Fault| !self.has(op, outcome, *fault) && impossible(outcome, *fault).is_none();
            let unhit: Vec<String> =
                Fault::ALL.into_iter().filter(is_unhit).map(|fault| format!("{fault:?}")).collect();
            if !unhit.is_empty() {
                writeln!(f, "  {} × {outcome}: {}", op.name(), unhit.join(" "))?;
            }
        }
        writeln!(f, "left out, because they cannot be:")?;
        let outcomes: BTreeSet<&str> = wanted().map(|(_, outcome)| outcome).collect();
        for outcome in outcomes {
            for fault in Fault::ALL {
                if let Some(why) = impossible(outcome, fault) {
                    writeln!(f, "  {outcome} × {fault:?}: {why}")?;
                }
            }
        }
        Ok(())
    }
}
