//! What a running server lets be done for its journal: snapshots, by the engine or from the files; old segments discarded;
//! others compressed. The disk may fail in the midst of it.

use std::time::Duration;

use inventory_core::Time;
use inventory_core::journal::{Journal as _, JournalError};
use inventory_store::{OpenError, Retain, UpkeepError};
use pollster::block_on;

use super::{Machine, Watch};
use crate::auditor::{Check, ensure};

/// More than any run writes between two looks, in bytes.
const READ_BYTES: usize = 16 << 20;

impl Machine {
    /// Lets a server save a snapshot now, and the journal let go of old segments.
    pub(crate) fn snapshot(&mut self, watch: &mut Watch<'_>) {
        let server = self.rng.usize(..self.options.servers);
        if let Some(node) = self.nodes.get(server)
            && let Some(covered) = node.save_snapshot()
            && self.rng.bool()
        {
            watch.auditor.discarded(covered);
            node.discard_through(covered);
        }
        self.see_faults(watch.step);
    }

    /// Makes a snapshot of what the files hold, lets go of what need not be kept, and compresses what a start does not read, as
    /// the journal's own thread does.
    pub(crate) fn keep_up(&mut self, now: Time, watch: &mut Watch<'_>) -> Check {
        let Some(line) = self.line.clone() else { return Ok(()) };
        self.see_faults(watch.step);
        if let Err(why) = line.files().take_snapshot() {
            self.check_upkeep_may_fail(&why)?;
        }
        let now = self.server_time(0, now);
        let retain = match self.rng.u8(..4) {
            0 => Retain::For(Duration::from_secs(self.rng.u64(..48 * 3_600))),
            1 => Retain::Bytes(self.rng.u64(..64 << 10)),
            _ => Retain::Everything,
        };
        // What goes now must have been seen: a group whose answer is slow may be discarded before any server says it is durable.
        let Ok(durable) = block_on(line.files().read(watch.auditor.version(), READ_BYTES)) else {
            return Ok(());
        };
        watch.learn(&durable)?;
        let end = block_on(line.tip()).unwrap_or_default().version;
        match retain {
            Retain::Everything => {}
            Retain::For(age) => {
                let micros = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
                let young = watch.auditor.begin_of(now.minus_micros(micros));
                watch.auditor.discarded(young.unwrap_or(end));
            }
            Retain::Bytes(_) => watch.auditor.discarded(end),
        }
        if let Err(why) = line.files().tidy(retain, now) {
            self.check_upkeep_may_fail(&why)?;
        }
        self.see_faults(watch.step);
        watch.trace.note("upkeep", self.disk.operations());
        Ok(())
    }

    /// Upkeep fails only where the disk does, or where what it reads has changed.
    fn check_upkeep_may_fail(&mut self, why: &UpkeepError) -> Check {
        let done = self.disk.operations();
        let disk_failed = self.is_full || self.has_ended() || self.pending.iter().any(|(at, _)| *at < done);
        let may = match why {
            UpkeepError::Journal(JournalError::Poisoned(_)) => true,
            UpkeepError::Io { .. }
            | UpkeepError::Journal(JournalError::Unreachable(_))
            | UpkeepError::Read(OpenError::Io { .. }) => disk_failed,
            other => self.is_rot(&other.to_string()),
        };
        ensure(may, || format!("the journal cannot be looked after: {why}"))
    }
}
