//! What becomes of lines, in the process's log: while they are taken, and at the end.

use std::fmt::Write as _;
use std::future::Future;
use std::io;
use std::time::Duration;

use inventory_net::ledger_lines::{Discard, LineCounts, LineMeter};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep;

/// How often a server says it, unless told otherwise.
pub(crate) const STATS_EVERY: Duration = Duration::from_mins(1);

/// Says what becomes of lines at each SIGUSR1, and from time to time if it has changed.
#[derive(Debug)]
pub(crate) struct Stats {
    wanted: Signal,
    meter: LineMeter,
    every: Duration,
}

impl Stats {
    /// Listens to SIGUSR1 from now on.
    pub(crate) fn listen(meter: LineMeter, every: Duration) -> io::Result<Self> {
        Ok(Self { wanted: signal(SignalKind::user_defined1())?, meter, every })
    }

    /// Speaks until this is done.
    pub(crate) async fn during<T>(mut self, serving: impl Future<Output = T>) -> T {
        tokio::select! {
            served = serving => served,
            never = self.speak() => never,
        }
    }

    async fn speak<Never>(&mut self) -> Never {
        let mut told = LineCounts::default();
        loop {
            let is_wanted = tokio::select! {
                _ = self.wanted.recv() => true,
                () = sleep(self.every) => false,
            };
            let counts = self.meter.read();
            if is_wanted || counts != told {
                let (connected, waiting) = (counts.connected, counts.waiting);
                let (clients, lines) = (counted(connected, "client"), counted(waiting, "line"));
                let wait = if waiting == 1 { "waits" } else { "wait" };
                tracing::info!("{}; {clients} connected, {lines} {wait}", sums(&counts));
                told = counts;
            }
        }
    }
}

/// Says what became of all lines.
pub(crate) fn log_counts(counts: &LineCounts) {
    tracing::info!("{}", sums(counts));
}

fn counted(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

fn sums(counts: &LineCounts) -> String {
    let (clients, accepted, discarded) = (counts.clients, counts.accepted, counts.discarded_in_all());
    let (clients, accepted) = (counted(clients, "client"), counted(accepted, "line"));
    let mut sums = format!("{clients}, {accepted} accepted, {discarded} discarded");
    for why in Discard::ALL {
        let lines = counts.discarded(why);
        if lines > 0 {
            // Writing to a string cannot fail.
            let _ = write!(sums, ", {lines} {}", why.name());
        }
    }
    if counts.sent_away > 0 {
        let _ = write!(sums, "; {} sent away", counted(counts.sent_away, "client"));
    }
    sums
}
