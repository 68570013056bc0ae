//! The simulated machine: its disk, its clock, what is about to go wrong with them, and the server process on it, which
//! it starts, kills and starts again.

mod rot;
mod upkeep;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::sync::Arc;

use inventory_core::journal::{Commit, Group, Journal, JournalError, ReplayError, Tip, replay};
use inventory_core::state::State;
use inventory_core::{EngineConfig, Time, Version};
use inventory_store::defect::plant;
use inventory_store::disk::{Fault as DiskFault, FaultDisk, Survives};
use inventory_store::{FileJournal, FileJournalOptions, OpenError};
use pollster::block_on;

use crate::auditor::{Auditor, Check, Violation, ensure};
use crate::coverage::{Coverage, Fault};
use crate::defect::Defect;
use crate::disk::Cable;
use crate::journal::{Line, Loss};
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
    /// How many servers share the journal.
    pub(crate) servers: usize,
    /// How likely a recovery meets a fault: one in this many; never if 0.
    pub(crate) recovery_fault_one_in: u32,
    pub(crate) defect: Option<Defect>,
}

#[derive(Debug)]
pub(crate) struct Machine {
    options: MachineOptions,
    disk: FaultDisk,
    cable: Cable,
    /// The way to the journal that is open on it.
    line: Option<Arc<Line>>,
    /// The servers on its journal; none while it is down.
    pub(crate) nodes: Vec<Node>,
    /// Faults that were set, by the number of the operation that they are for.
    pending: Vec<(u64, Fault)>,
    power_fails_at: Option<u64>,
    is_full: bool,
    /// How far each server's clock is ahead of the true time, in microseconds; this much less [`SKEW_US_MAX`].
    skews_us: Vec<u64>,
    /// The disk answers no write before this step.
    slow_until: u64,
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

impl Watch<'_> {
    /// A server takes these groups for durable.
    fn learn(&mut self, groups: &[Group]) -> Check {
        for group in groups {
            self.trace.note_bytes("durable", group.bytes());
        }
        self.auditor.learned(groups)
    }
}

impl Machine {
    pub(crate) fn new(options: MachineOptions, rng: fastrand::Rng) -> Self {
        let disk = FaultDisk::new();
        Self {
            options,
            cable: Cable::new(disk.clone(), options.defect),
            disk,
            line: None,
            nodes: Vec::new(),
            pending: Vec::new(),
            power_fails_at: None,
            is_full: false,
            skews_us: vec![SKEW_US_MAX; options.servers],
            slow_until: 0,
            rng,
            about: BTreeMap::new(),
            coverage: Coverage::default(),
        }
    }

    pub(crate) const fn servers(&self) -> usize {
        self.options.servers
    }

    /// What the server's clock shows.
    pub(crate) fn server_time(&self, server: usize, now: Time) -> Time {
        let skew_us = self.skews_us.get(server).copied().unwrap_or(SKEW_US_MAX);
        now.plus_micros(skew_us).minus_micros(SKEW_US_MAX)
    }

    /// A fault takes effect.
    pub(crate) fn happens(&mut self, step: u64, fault: Fault) {
        self.coverage.injected(fault);
        self.about.insert(fault, step);
    }

    pub(crate) fn jump_clock(&mut self, step: u64) {
        let server = self.rng.usize(..self.skews_us.len());
        if let Some(skew_us) = self.skews_us.get_mut(server) {
            *skew_us = self.rng.u64(..2 * SKEW_US_MAX);
        }
        self.happens(step, Fault::Clock);
    }

    /// The clock is right again, the disk has room, and no further recovery fails.
    pub(crate) fn heal(&mut self) {
        self.options.recovery_fault_one_in = 0;
        self.skews_us.fill(SKEW_US_MAX);
        self.slow_until = 0;
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
        if self.is_slow(step) {
            self.about.insert(Fault::Slow, step);
        }
    }

    /// For some steps the disk answers no write, whether it was done or not.
    pub(crate) fn slow_down(&mut self, step: u64) {
        self.slow_until = step + self.rng.u64(20..200);
    }

    /// The disk answers again.
    pub(crate) fn speed_up(&mut self) {
        self.slow_until = 0;
    }

    pub(crate) const fn is_slow(&self, step: u64) -> bool {
        step < self.slow_until
    }

    /// Of the next appends the request or the answer is lost.
    pub(crate) fn lose(&mut self, step: u64) {
        let count = self.rng.usize(1..9);
        let losses: Vec<Loss> = (0..count)
            .map(|_| self.rng.choice([Loss::Request, Loss::Answer, Loss::Late]).unwrap_or(Loss::Answer))
            .collect();
        if let Some(line) = &self.line {
            line.lose(losses);
            self.happens(step, Fault::Lost);
        }
    }

    /// Writes a server's oldest group under way. True if the machine ended meanwhile: then nothing was told to anybody.
    pub(crate) fn commit(
        &mut self,
        server: usize,
        now: Time,
        watch: &mut Watch<'_>,
    ) -> Result<bool, Violation> {
        let (is_slow, time) = (self.is_slow(watch.step), self.server_time(server, now));
        let Some(node) = self.nodes.get_mut(server).filter(|node| node.has_work()) else { return Ok(false) };
        if is_slow {
            node.write_slowly();
            self.happens(watch.step, Fault::Slow);
        } else {
            let (durable, lost, why) = match node.commit(time) {
                Committed::Nothing => return Ok(false),
                Committed::Durable(groups) => (groups, Vec::new(), Commit::Done),
                Committed::NotWritten { durable, lost, why } => (durable, lost, why),
            };
            watch.learn(&durable)?;
            match &why {
                Commit::Failed(_) if !self.has_ended() => self.check_not_there(&lost)?,
                Commit::Conflict(theirs) => {
                    watch.learn(theirs)?;
                    self.happens(watch.step, Fault::Conflict);
                }
                Commit::Unknown(_) if !self.has_ended() => self.happens(watch.step, Fault::Sync),
                _ => {}
            }
        }
        self.see_faults(watch.step);
        watch.trace.note("disk", self.disk.operations());
        self.check_tables(server, watch.auditor)?;
        Ok(self.has_ended())
    }

    /// A server reads what others have written.
    pub(crate) fn catch_up(&mut self, server: usize, now: Time, watch: &mut Watch<'_>) -> Check {
        let time = self.server_time(server, now);
        let Some(node) = self.nodes.get_mut(server) else { return Ok(()) };
        let groups = node.catch_up(time);
        watch.learn(&groups)?;
        self.check_tables(server, watch.auditor)
    }

    /// A server that knows all there is, and has nothing under way, has the tables that this makes. A lone server always does.
    fn check_tables(&self, server: usize, auditor: &Auditor) -> Check {
        let state = self.nodes.get(server).and_then(Node::durable_state);
        let knows_all = |state: &&State| self.nodes.len() == 1 || state.version() == auditor.tip().version;
        state.filter(knows_all).map_or(Ok(()), |state| auditor.same_tables(state))
    }

    /// Whether the machine came to an end within an operation.
    fn has_ended(&self) -> bool {
        self.is_dark() || self.is_killed()
    }

    /// Stops the servers in order: what is under way was written. Saves a snapshot.
    pub(crate) fn stop(&mut self, watch: &mut Watch<'_>) {
        if !self.nodes.is_empty() {
            for node in &self.nodes {
                node.save_snapshot();
            }
            self.close();
            self.see_faults(watch.step);
            self.happens(watch.step, Fault::Restart);
        }
    }

    fn close(&mut self) {
        self.nodes.clear();
        self.line = None;
    }

    /// Kills the server: it writes nothing more; what it wrote is still in the machine's memory.
    pub(crate) fn kill(&mut self, watch: &mut Watch<'_>) {
        self.cable.pull();
        self.close();
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
        self.close();
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
                true if !dark && !self.is_killed() => return Ok(()),
                _ if dark => self.lose_power(watch, Fault::PowerLossInRecovery),
                _ => {}
            }
        }
        Err(Violation("the journal does not open although the disk is well".into()))
    }

    /// Opens the journal and starts all servers on it; false if the disk has failed.
    fn recover(&mut self, watch: &mut Watch<'_>) -> Result<bool, Violation> {
        self.close();
        self.check_unseen_rot()?;
        self.cable = Cable::new(self.disk.clone(), self.options.defect);
        let opened = FileJournal::open_on(Arc::new(self.cable.clone()), self.options.journal);
        let journal = match opened {
            Ok(journal) => journal,
            Err(OpenError::Io { .. }) => return Ok(false),
            Err(OpenError::Damaged(damage)) if self.is_rot(&damage.to_string()) => return Ok(false),
            Err(why) => return Err(Violation(format!("the journal cannot be opened: {why}"))),
        };
        self.line = Some(Arc::new(Line::new(journal, self.options.defect)));
        for _ in 0..self.options.servers {
            match self.start_server(watch)? {
                Some(node) => self.nodes.push(node),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Ends one of several servers and starts it again, while the others go on. False if the journal must be opened anew.
    pub(crate) fn replace(&mut self, server: usize, watch: &mut Watch<'_>) -> Result<bool, Violation> {
        let started = self.start_server(watch)?;
        self.see_faults(watch.step);
        self.happens(watch.step, Fault::Kill);
        let (Some(node), Some(place)) = (started, self.nodes.get_mut(server)) else { return Ok(false) };
        *place = node;
        Ok(!self.has_ended())
    }

    /// A server that has replayed the journal; none if the disk has failed.
    fn start_server(&mut self, watch: &mut Watch<'_>) -> Result<Option<Node>, Violation> {
        let Some(line) = self.line.clone() else { return Ok(None) };
        let (state, tip) = match block_on(replay(&*line, self.rng.u64(..))) {
            Ok(replayed) => replayed,
            Err(ReplayError::Journal(JournalError::Unreachable(_) | JournalError::Poisoned(_))) => {
                return Ok(None);
            }
            Err(ReplayError::Journal(JournalError::Damaged(what))) if self.is_rot(&what) => return Ok(None),
            Err(why) => return Err(Violation(format!("the journal cannot be replayed: {why}"))),
        };
        if self.has_ended() {
            return Ok(None);
        }
        let groups = match read_all(&*line) {
            Err(JournalError::Damaged(what)) if self.is_rot(&what) => return Ok(None),
            groups => groups.map_err(cannot_be_read)?,
        };
        watch.auditor.recovered(&groups, tip)?;
        watch.auditor.same_tables(&state)?;
        for byte in tip.hash.0.chunks(8) {
            watch.trace.note_bytes("tip", byte);
        }
        Ok(Some(Node::new(line, state, tip, self.options.engine, self.rng.fork())))
    }

    /// What was said not to be written is not there, whoever looks.
    fn check_not_there(&self, lost: &[Group]) -> Check {
        let _right = plant(None);
        for disk in [self.disk.after_kill(), self.disk.after_power_loss(Survives::Everything)] {
            let found = open_a_copy(disk, self.options.journal)?;
            let there = found.groups.iter().find(|found| lost.iter().any(|lost| lost.hash() == found.hash()));
            ensure(there.is_none(), || {
                format!("a group was said not to be written, and is there: {there:?}")
            })?;
        }
        Ok(())
    }

    /// What a machine would find if the power failed now.
    pub(crate) fn probe(&mut self, auditor: &Auditor) -> Check {
        let _right = plant(None);
        let found = open_a_copy(self.disk.after_power_loss(Survives::Nothing), self.options.journal)?;
        auditor.would_recover(&found.groups, found.tip)
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.is_full
    }
}

/// What a journal holds.
struct Found {
    groups: Vec<Group>,
    tip: Tip,
}

/// What is on this copy of the disk, when nothing is wrong with it but what the journal did.
fn open_a_copy(disk: FaultDisk, options: FileJournalOptions) -> Result<Found, Violation> {
    disk.unflip();
    let journal = FileJournal::open_on(Arc::new(Cable::new(disk, None)), options).map_err(|why| {
        Violation(format!("the end of the machine now would leave a journal that does not open: {why}"))
    })?;
    let tip = block_on(journal.tip()).map_err(cannot_be_read)?;
    Ok(Found { groups: read_all(&journal).map_err(cannot_be_read)?, tip })
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
