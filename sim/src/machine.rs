//! The simulated machine: its disk, its clock, what is about to go wrong with them, and the server process on it, which
//! it starts, kills and starts again.

mod rot;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex};

use inventory_core::journal::{Group, Journal, JournalError, ReplayError, replay};
use inventory_core::{EngineConfig, Time, Version};
use inventory_store::defect::plant;
use inventory_store::disk::{Fault as DiskFault, FaultDisk, Survives};
use inventory_store::{FileJournal, FileJournalOptions, OpenError};
use pollster::block_on;

use crate::auditor::{Auditor, Check, Violation};
use crate::coverage::{Coverage, Fault};
use crate::defect::{Defect, DefectiveJournal};
use crate::disk::Cable;
use crate::node::{Committed, Node};
use crate::trace::Trace;

/// A recovery that fails for a fault of the disk is tried again this often.
const RECOVERIES_MAX: u32 = 12;
/// How far ahead a fault of the disk is set, in operations.
const FAULT_AHEAD_MAX: u64 = 10;

/// What is the same all through a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MachineOptions {
    pub(crate) journal: FileJournalOptions,
    pub(crate) engine: EngineConfig,
    /// How likely a recovery meets a fault: one in this many; never if 0.
    pub(crate) recovery_fault_one_in: u32,
    pub(crate) defect: Option<Defect>,
}

#[derive(Debug)]
pub(crate) struct Machine {
    options: MachineOptions,
    disk: FaultDisk,
    cable: Cable,
    pub(crate) node: Option<Node>,
    /// Faults that were set, by the number of the operation that they are for.
    pending: Vec<(u64, Fault)>,
    power_fails_at: Option<u64>,
    is_full: bool,
    /// How far the server's clock is ahead of the true time, in microseconds; this much less [`SKEW_US_MAX`].
    skew_us: u64,
    rng: fastrand::Rng,
    /// The last step at which each fault was about.
    pub(crate) about: BTreeMap<Fault, u64>,
    pub(crate) coverage: Coverage,
}

/// Most that the server's clock is off, in microseconds.
pub(crate) const SKEW_US_MAX: u64 = 90_000_000;

/// What checks and records what the machine does.
pub(crate) struct Watch<'a> {
    pub(crate) step: u64,
    pub(crate) auditor: &'a mut Auditor,
    pub(crate) trace: &'a mut Trace,
}

impl Machine {
    pub(crate) fn new(options: MachineOptions, rng: fastrand::Rng) -> Self {
        let disk = FaultDisk::new();
        Self {
            options,
            cable: Cable::new(disk.clone(), options.defect),
            disk,
            node: None,
            pending: Vec::new(),
            power_fails_at: None,
            is_full: false,
            skew_us: SKEW_US_MAX,
            rng,
            about: BTreeMap::new(),
            coverage: Coverage::default(),
        }
    }

    /// What the server's clock shows.
    pub(crate) fn server_time(&self, now: Time) -> Time {
        now.plus_micros(self.skew_us).minus_micros(SKEW_US_MAX)
    }

    /// A fault takes effect.
    pub(crate) fn happens(&mut self, step: u64, fault: Fault) {
        self.coverage.injected(fault);
        self.about.insert(fault, step);
    }

    pub(crate) fn jump_clock(&mut self, step: u64) {
        self.skew_us = self.rng.u64(..2 * SKEW_US_MAX);
        self.happens(step, Fault::Clock);
    }

    /// The clock is right again, the disk has room, and no further recovery fails.
    pub(crate) fn heal(&mut self) {
        self.options.recovery_fault_one_in = 0;
        self.skew_us = SKEW_US_MAX;
        self.is_full = false;
        self.disk.set_full(false);
        self.disk.unflip();
    }

    pub(crate) fn set_full(&mut self, step: u64, full: bool) {
        self.is_full = full;
        self.disk.set_full(full);
        if full {
            self.happens(step, Fault::Full);
        }
    }

    /// Lets an operation of the disk soon go wrong.
    pub(crate) fn plan_fault(&mut self, fault: Fault) {
        let at = self.disk.operations() + self.rng.u64(..FAULT_AHEAD_MAX);
        let kind = match fault {
            Fault::PowerLoss | Fault::PowerLossInRecovery => {
                self.power_fails_at = Some(self.power_fails_at.map_or(at, |other| other.min(at)));
                DiskFault::PowerLoss
            }
            Fault::Short => DiskFault::Short(self.rng.usize(..600)),
            // Any operation but a power loss answers with this; that it was a sync is seen afterwards.
            _ => DiskFault::Error(ErrorKind::Other),
        };
        self.disk.fail_at(at, kind);
        self.pending.push((at, fault));
    }

    /// Whether the power failed within an operation.
    pub(crate) fn is_dark(&self) -> bool {
        self.power_fails_at.is_some_and(|at| at < self.disk.operations())
    }

    /// Whether the server was killed within an operation.
    pub(crate) fn is_killed(&self) -> bool {
        self.cable.is_pulled()
    }

    /// Lets the server soon be killed, between two operations of the disk that belong together.
    pub(crate) fn plan_kill(&mut self) {
        self.cable.pull_at(self.disk.operations() + self.rng.u64(..FAULT_AHEAD_MAX));
    }

    /// Notes which of the planned faults have taken effect.
    fn see_faults(&mut self, step: u64) {
        let done = self.disk.operations();
        let (hit, pending) = std::mem::take(&mut self.pending).into_iter().partition(|(at, _)| *at < done);
        self.pending = pending;
        for (_, fault) in hit {
            self.happens(step, fault);
        }
        if self.is_full {
            self.about.insert(Fault::Full, step);
        }
    }

    /// Writes the oldest group under way. True if the server ended meanwhile: then nothing was told to anybody.
    pub(crate) fn commit(&mut self, watch: &mut Watch<'_>) -> Result<bool, Violation> {
        let Some(node) = &mut self.node else { return Ok(false) };
        let committed = node.commit();
        let (durable, unclear) = match committed {
            Committed::Nothing => return Ok(false),
            Committed::Durable(groups) => (groups, false),
            Committed::NotWritten(groups, verdict) => {
                (groups, matches!(verdict, inventory_core::journal::Commit::Unknown(_)))
            }
        };
        for group in &durable {
            watch.trace.note_bytes("durable", group.bytes());
            watch.auditor.durable(group)?;
        }
        let ended = self.is_dark() || self.is_killed();
        if unclear && !ended {
            self.happens(watch.step, Fault::Sync);
        }
        self.see_faults(watch.step);
        watch.trace.note("disk", self.disk.operations());
        if let Some(state) = self.node.as_ref().and_then(Node::durable_state) {
            watch.auditor.same_tables(state)?;
        }
        Ok(ended)
    }

    /// Stops the server in order: what is under way was written. Saves a snapshot.
    pub(crate) fn stop(&mut self, watch: &mut Watch<'_>) {
        if let Some(node) = self.node.take() {
            node.save_snapshot();
            drop(node);
            self.see_faults(watch.step);
            self.happens(watch.step, Fault::Restart);
        }
    }

    /// Saves a snapshot now and lets go of old segments.
    pub(crate) fn snapshot(&mut self, watch: &mut Watch<'_>) {
        let covered = watch.auditor.tip().version;
        if let Some(node) = &self.node
            && node.save_snapshot()
            && self.rng.bool()
        {
            node.discard_through(covered);
        }
        self.see_faults(watch.step);
    }

    /// Kills the server: it writes nothing more; what it wrote is still in the machine's memory.
    pub(crate) fn kill(&mut self, watch: &mut Watch<'_>) {
        self.cable.pull();
        self.node = None;
        self.see_faults(watch.step);
        self.happens(watch.step, Fault::Kill);
    }

    /// The power fails, and comes back.
    pub(crate) fn lose_power(&mut self, watch: &mut Watch<'_>, fault: Fault) {
        let survives = match self.rng.u8(..4) {
            0 => Survives::Nothing,
            1 => Survives::Everything,
            _ => Survives::Some(self.rng.u64(..)),
        };
        let disk = self.disk.after_power_loss(survives);
        self.cable.pull();
        self.node = None;
        self.disk = disk;
        self.disk.set_full(self.is_full);
        self.pending.clear();
        self.power_fails_at = None;
        self.happens(watch.step, fault);
        watch.trace.note("power", self.rng.get_seed());
    }

    /// Starts the server: opens the journal, and replays it. Faults may hit that as well.
    pub(crate) fn start(&mut self, watch: &mut Watch<'_>) -> Check {
        for attempt in 0..RECOVERIES_MAX {
            if attempt + 1 == RECOVERIES_MAX {
                // Whatever it was, it is over.
                self.lose_power(watch, Fault::PowerLossInRecovery);
                self.set_full(watch.step, false);
            } else if self.options.recovery_fault_one_in > 0
                && self.rng.u32(..self.options.recovery_fault_one_in) == 0
            {
                let faults = [Fault::PowerLossInRecovery, Fault::Io, Fault::Short];
                let fault = self.rng.choice(faults).unwrap_or(Fault::Io);
                self.plan_fault(fault);
            }
            let recovered = self.recover(watch);
            let dark = self.is_dark();
            self.see_faults(watch.step);
            watch.trace.note("recovery", self.disk.operations());
            match recovered? {
                Some(node) if !dark && !self.is_killed() => {
                    if let Some(state) = node.durable_state() {
                        watch.auditor.same_tables(state)?;
                    }
                    self.node = Some(node);
                    return Ok(());
                }
                _ if dark => self.lose_power(watch, Fault::PowerLossInRecovery),
                _ => {}
            }
        }
        Err(Violation("the journal does not open although the disk is well".into()))
    }

    /// None if the disk has failed.
    fn recover(&mut self, watch: &mut Watch<'_>) -> Result<Option<Node>, Violation> {
        self.check_unseen_rot()?;
        self.cable = Cable::new(self.disk.clone(), self.options.defect);
        let opened = FileJournal::open_on(Arc::new(self.cable.clone()), self.options.journal);
        let journal = match opened {
            Ok(journal) => journal,
            Err(OpenError::Io { .. }) => return Ok(None),
            Err(OpenError::Damaged(damage)) if self.is_rot(&damage.to_string()) => return Ok(None),
            Err(why) => return Err(Violation(format!("the journal cannot be opened: {why}"))),
        };
        let defect = self.options.defect;
        let journal = Arc::new(DefectiveJournal { journal, defect, late: Mutex::default() });
        let (state, tip) = match block_on(replay(&*journal, self.rng.u64(..))) {
            Ok(replayed) => replayed,
            Err(ReplayError::Journal(JournalError::Unreachable(_) | JournalError::Poisoned(_))) => {
                return Ok(None);
            }
            Err(ReplayError::Journal(JournalError::Damaged(what))) if self.is_rot(&what) => return Ok(None),
            Err(why) => return Err(Violation(format!("the journal cannot be replayed: {why}"))),
        };
        if self.is_dark() {
            return Ok(None);
        }
        let groups = match read_all(&*journal) {
            Err(JournalError::Damaged(what)) if self.is_rot(&what) => return Ok(None),
            groups => groups.map_err(cannot_be_read)?,
        };
        watch.auditor.recovered(&groups, tip)?;
        for byte in tip.hash.0.chunks(8) {
            watch.trace.note_bytes("tip", byte);
        }
        Ok(Some(Node::new(journal, state, tip, self.options.engine, self.rng.fork())))
    }

    /// What a machine would find if the power failed now.
    pub(crate) fn probe(&mut self, auditor: &Auditor) -> Check {
        let _right = plant(None);
        let disk = self.disk.after_power_loss(Survives::Nothing);
        disk.unflip();
        let cable = Cable::new(disk, None);
        let options = self.options.journal;
        let journal = FileJournal::open_on(Arc::new(cable), options).map_err(|why| {
            Violation(format!("a power loss now leaves a journal that does not open: {why}"))
        })?;
        let tip = block_on(journal.tip()).map_err(|why| Violation(why.to_string()))?;
        auditor.would_recover(&read_all(&journal).map_err(cannot_be_read)?, tip)
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.is_full
    }
}

/// All groups in a journal.
fn read_all(journal: &dyn Journal) -> Result<Vec<Group>, JournalError> {
    let mut after = Version::ZERO;
    let mut all: Vec<Group> = Vec::new();
    loop {
        match block_on(journal.read(after, 1 << 20)) {
            Ok(groups) if groups.is_empty() => return Ok(all),
            Ok(groups) => {
                all.extend(groups);
                after = all.last().map_or(after, Group::last);
            }
            Err(JournalError::Discarded { start, .. }) if start > after => after = start,
            Err(why) => return Err(why),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the shape of `map_err`")]
fn cannot_be_read(why: JournalError) -> Violation {
    Violation(format!("the journal cannot be read: {why}"))
}
