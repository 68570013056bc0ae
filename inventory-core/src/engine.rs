//! The engine: groups, numbers, waits for durability and releases replies. It knows no task, socket or file.

use alloc::collections::VecDeque;
use core::mem;

use crate::bulk::BulkOutcome;
use crate::command::{Action, Actor, Command, OrderLine};
use crate::defect::{self, Defect};
use crate::entry::{EntriesOutcome, Posting};
use crate::event::{Event, Line, Record};
use crate::id::{AppendId, Upc, Version};
use crate::journal::{Group, GroupBuilder, ReplayError, Snapshot, Tip, apply_group};
use crate::limits::{GROUP_BYTES_TARGET, INBOX_REQUESTS_MAX, UNDURABLE_BYTES_MAX, WAITING_BYTES_MAX};
use crate::machine::{Decision, apply, decide};
use crate::query::{self, Decided};
use crate::refusal::{Refusal, Shortage};
use crate::reply::{Answer, BalanceRow, LevelRow, Reply, Unavailable};
use crate::state::State;
use crate::time::Time;

/// The engine's settings.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// Most groups that may be on their way to the journal at once; at least 1.
    pub groups_in_flight_max: usize,
    /// Most requests that may wait for a reply; one more is answered `Overloaded`.
    pub inbox_requests_max: usize,
    /// Most undurable bytes, in the open group and in groups in flight, before requests are answered `Overloaded`.
    pub undurable_bytes_max: usize,
    /// Most bytes of lines and levels in waiting requests and their replies before requests are answered `Overloaded`.
    pub waiting_bytes_max: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            groups_in_flight_max: 1,
            inbox_requests_max: INBOX_REQUESTS_MAX,
            undurable_bytes_max: UNDURABLE_BYTES_MAX,
            waiting_bytes_max: WAITING_BYTES_MAX,
        }
    }
}

/// Turns requests into groups and durable groups into replies. `T` is the caller's ticket, given back with
/// the reply.
///
/// Call order: [`submit`](Self::submit) requests as they come. Write what [`poll_append`](Self::poll_append) gives
/// to the journal, in order, and say of each group, oldest first, what became of it:
/// [`appended`](Self::appended), [`conflicted`](Self::conflicted), [`append_failed`](Self::append_failed) or
/// [`poison`](Self::poison). After each of these calls, and after `submit`, send what [`poll_reply`](Self::poll_reply) gives. If a group was
/// not written, those behind it cannot be either: wait for their answers too before saying so.
///
/// The working state runs ahead of the journal; no reply leaves before everything it rests on is durable, be it an
/// effect of its own or one that it saw.
#[derive(Debug)]
pub struct Engine<T> {
    config: EngineConfig,
    state: State,
    durable: Tip,
    /// The groups still to be written, oldest first; the last one is open and takes the next event.
    open: VecDeque<GroupBuilder>,
    open_bytes: usize,
    in_flight: VecDeque<Group>,
    in_flight_bytes: usize,
    /// Requests whose replies rest on something undurable, oldest first.
    waiting: VecDeque<Waiting<T>>,
    waiting_bytes: usize,
    /// Replies that may leave.
    ready: VecDeque<(T, Reply)>,
    poisoned: bool,
}

/// A decided request whose reply must wait, and what is needed to decide it anew.
#[derive(Debug)]
struct Waiting<T> {
    ticket: T,
    actor: Actor,
    action: Action,
    reply: Reply,
    rests_on: Version,
}

impl<T> Waiting<T> {
    /// About how much memory the lists in it take.
    fn bytes(&self) -> usize {
        let action_bytes = match &self.action {
            Action::Command(Command::Purchase(order)) => {
                let name_bytes = order.charge.as_ref().map_or(0, |account| account.len());
                order.lines.len().saturating_mul(size_of::<OrderLine>()).saturating_add(name_bytes)
            }
            Action::Command(Command::PurchaseBulk(order)) => {
                order.upcs().len().saturating_mul(size_of::<(Upc, u32)>())
            }
            Action::Command(command) => other_bytes(command),
            Action::Query(_) => 0,
        };
        let reply_bytes = match &self.reply {
            Reply::Answered(Answer::Levels(page)) => {
                let names: usize = page.levels.iter().map(|row| row.name.len()).sum();
                names.saturating_add(page.levels.len().saturating_mul(size_of::<LevelRow>()))
            }
            Reply::Answered(Answer::Receipt(receipt)) => {
                receipt.lines.len().saturating_mul(size_of::<OrderLine>())
            }
            Reply::Answered(Answer::BulkReceipt(receipt)) => receipt.outcome.codes.bytes().len(),
            Reply::Answered(Answer::BulkPostingReceipt(receipt)) => receipt.outcome.codes.bytes().len(),
            // Names are shared with the accounts.
            Reply::Answered(Answer::Balances(page)) => {
                page.balances.len().saturating_mul(size_of::<BalanceRow>())
            }
            Reply::Answered(Answer::ReturnReceipt(receipt)) => {
                // What it takes to take them back is kept as long as the reply.
                receipt.lines.len().saturating_mul(size_of::<(OrderLine, Line)>())
            }
            Reply::Refused(
                Refusal::InsufficientStock { shortages } | Refusal::ExceedsPurchase { shortages },
            ) => shortages.len().saturating_mul(size_of::<Shortage>()),
            _ => 0,
        };
        action_bytes.saturating_add(reply_bytes)
    }
}

/// About how much memory the lines of returns and the names and columns of entries take. Apart, so that a purchase costs no
/// more for them.
#[inline(never)]
fn other_bytes(command: &Command) -> usize {
    match command {
        Command::Return(wanted) => {
            let evidence_bytes = wanted.evidence.as_ref().map_or(0, |evidence| evidence.bytes());
            wanted.lines.len().saturating_mul(size_of::<OrderLine>()).saturating_add(evidence_bytes)
        }
        Command::Post(Posting { entry, .. }) => {
            let counterpart_bytes = entry.counterpart().map_or(0, |name| name.len());
            entry.account().len().saturating_add(counterpart_bytes)
        }
        Command::PostBulk(batch) => {
            let columns_bytes = batch.amounts().len().saturating_mul(size_of::<(u32, i64)>());
            batch.names().bytes().len().saturating_add(columns_bytes)
        }
        _ => 0,
    }
}

impl<T> Engine<T> {
    /// An engine that goes on from this state, all of which is durable; `tip` is the journal's end there.
    pub fn new(mut state: State, tip: Tip, config: EngineConfig) -> Self {
        debug_assert_eq!(state.version, tip.version, "the state is that of the tip");
        state.record_undo();
        Self {
            config,
            durable: tip,
            open: VecDeque::from([GroupBuilder::new(tip.version)]),
            open_bytes: 0,
            in_flight: VecDeque::new(),
            in_flight_bytes: 0,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            ready: VecDeque::new(),
            state,
            poisoned: false,
        }
    }

    /// Takes a request: decides it at once; the reply waits until what it rests on is durable.
    ///
    /// Time never goes backwards: a `now` before that of the last event counts as that. So a clock that once ran ahead
    /// stays ahead: a caller checks its clock before it opens a journal, and keeps it from jumping afterwards.
    pub fn submit(&mut self, now: Time, ticket: T, actor: Actor, action: Action) {
        if self.poisoned {
            self.ready.push_back((ticket, Reply::Unavailable(Unavailable::Poisoned)));
        } else if self.is_full() {
            self.ready.push_back((ticket, Reply::Unavailable(Unavailable::Overloaded)));
        } else {
            self.process(now, ticket, actor, action);
        }
    }

    /// The next group to write; none if there is nothing to write or enough is in flight already.
    ///
    /// `append_id` is random, or part of a random sequence; it is used only if a group is given.
    pub fn poll_append(&mut self, append_id: AppendId) -> Option<Group> {
        if self.poisoned || self.in_flight.len() >= self.config.groups_in_flight_max.max(1) {
            return None;
        }
        let group = self.open.pop_front()?;
        if group.is_empty() {
            self.open.push_front(group);
            return None;
        }
        let previous = self.in_flight.back().map_or(self.durable.hash, Group::hash);
        let (bytes, last) = (group.len(), group.last());
        let group = group.seal(append_id, previous)?;
        self.open_bytes = self.open_bytes.saturating_sub(bytes);
        self.in_flight_bytes = self.in_flight_bytes.saturating_add(bytes);
        self.in_flight.push_back(group.clone());
        if self.open.is_empty() {
            self.open.push_back(GroupBuilder::new(last));
        }
        Some(group)
    }

    /// The oldest group in flight is durable.
    pub fn appended(&mut self) {
        let Some(group) = self.in_flight.pop_front() else {
            debug_assert!(false, "no group is in flight");
            return;
        };
        self.in_flight_bytes = self.in_flight_bytes.saturating_sub(group.bytes().len());
        self.durable = Tip { version: group.last(), hash: group.hash() };
        self.state.forget_undo_through(self.durable.version);
    }

    /// The oldest group in flight was not written: these groups of another writer are there instead. All undurable
    /// effects are rolled back, theirs applied, and all requests that wait decided anew. So it is, too, where nothing is in flight
    /// and another writer's groups follow what is [durable](Self::durable).
    ///
    /// An error says that their groups make no sense; the engine is poisoned then.
    pub fn conflicted(&mut self, now: Time, theirs: &[Group]) -> Result<(), ReplayError> {
        self.release_durable();
        if !defect::is(Defect::ConflictKeepsEffects) {
            self.roll_back();
        }
        for group in theirs {
            if let Err(error) = apply_group(&mut self.state, &mut self.durable, group) {
                self.poison();
                return Err(error);
            }
        }
        self.state.forget_undo_through(self.durable.version);
        self.open = VecDeque::from([GroupBuilder::new(self.durable.version)]);
        for Waiting { ticket, actor, action, reply, .. } in self.take_waiting() {
            if defect::is(Defect::ConflictDropsWaiting) {
                continue;
            }
            if defect::is(Defect::ConflictKeepsReplies) {
                self.ready.push_back((ticket, reply));
                continue;
            }
            self.process(now, ticket, actor, action);
        }
        Ok(())
    }

    /// The oldest group in flight was not written, for certain. All undurable effects are rolled back and the
    /// requests that rest on them answered `NotWritten`; the engine goes on.
    pub fn append_failed(&mut self) {
        self.release_durable();
        self.roll_back();
        self.answer_waiting(Unavailable::NotWritten);
    }

    /// It cannot be said whether a group was written. From now on nothing is acknowledged, and every request, also
    /// those that wait, is answered `Poisoned`.
    pub fn poison(&mut self) {
        self.poisoned = true;
        self.release_durable();
        self.answer_waiting(Unavailable::Poisoned);
    }

    /// The next reply that may leave.
    pub fn poll_reply(&mut self) -> Option<(T, Reply)> {
        self.ready.pop_front().or_else(|| self.pop_durable())
    }

    /// The end of what is durable.
    pub const fn durable(&self) -> Tip {
        self.durable
    }

    /// A snapshot of the state; none while anything is undurable or unsaid, or once poisoned.
    pub fn snapshot(&self) -> Option<Snapshot> {
        (self.is_idle() && !self.poisoned).then(|| Snapshot::of(&self.state, self.durable.hash))
    }

    /// Whether everything is said and done: no reply waits and nothing is left to write. Never again once poisoned with a
    /// group in flight.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.ready.is_empty()
            && self.in_flight.is_empty()
            && self.open.iter().all(GroupBuilder::is_empty)
    }

    /// Whether the engine was poisoned.
    pub const fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// The working state. All of it is durable when the engine is idle and not poisoned.
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// Ends the engine and gives the working state, which is durable if the engine is idle.
    pub fn into_state(mut self) -> State {
        self.state.stop_undo();
        self.state
    }

    fn is_full(&self) -> bool {
        self.waiting.len().saturating_add(self.ready.len()) >= self.config.inbox_requests_max
            || self.open_bytes.saturating_add(self.in_flight_bytes) >= self.config.undurable_bytes_max
            || self.waiting_bytes >= self.config.waiting_bytes_max
    }

    fn process(&mut self, now: Time, ticket: T, actor: Actor, action: Action) {
        let now = if defect::is(Defect::TimeGoesBack) { now } else { now.max(self.state.now) };
        let reply = match &action {
            Action::Query(query) => query::answer(&self.state, now, actor, query),
            Action::Command(command) => match decide(&self.state, now, actor, command) {
                Decision::Stands(reply) => reply,
                Decision::Happens(event) => self.commit(&Record { at: now, event }),
            },
        };
        let rests_on = self.state.version;
        let early = defect::is(Defect::RepliesBeforeDurable)
            || (matches!(action, Action::Query(_)) && defect::is(Defect::ReadsUndurable));
        if rests_on <= self.durable.version || early {
            self.ready.push_back((ticket, reply));
        } else {
            let waiting = Waiting { ticket, actor, action, reply, rests_on };
            self.waiting_bytes = self.waiting_bytes.saturating_add(waiting.bytes());
            self.waiting.push_back(waiting);
        }
    }

    /// Makes an event part of the working state and of the open group, and builds the reply to whoever caused it.
    fn commit(&mut self, record: &Record) -> Reply {
        let full = self.open.back().is_none_or(|group| group.len() >= GROUP_BYTES_TARGET);
        if full {
            self.open.push_back(GroupBuilder::new(self.state.version));
        }
        if let Some(group) = self.open.back_mut() {
            let before = if group.is_empty() { 0 } else { group.len() };
            group.push(record);
            self.open_bytes = self.open_bytes.saturating_add(group.len().saturating_sub(before));
        }
        let version = apply(&mut self.state, record);
        reply_to(&self.state, version, record)
    }

    /// The oldest reply that waited and need not any more.
    fn pop_durable(&mut self) -> Option<(T, Reply)> {
        let durable = self.durable.version;
        let waiting = self.waiting.pop_front_if(|waiting| waiting.rests_on <= durable)?;
        self.waiting_bytes = self.waiting_bytes.saturating_sub(waiting.bytes());
        Some((waiting.ticket, waiting.reply))
    }

    fn take_waiting(&mut self) -> VecDeque<Waiting<T>> {
        self.waiting_bytes = 0;
        mem::take(&mut self.waiting)
    }

    /// Parts the replies that became durable and were not taken yet from those that a failure is about.
    fn release_durable(&mut self) {
        while let Some(reply) = self.pop_durable() {
            self.ready.push_back(reply);
        }
    }

    fn roll_back(&mut self) {
        self.state.roll_back_to(self.durable.version);
        self.in_flight.clear();
        self.open = VecDeque::from([GroupBuilder::new(self.durable.version)]);
        (self.open_bytes, self.in_flight_bytes) = (0, 0);
    }

    fn answer_waiting(&mut self, why: Unavailable) {
        let tickets = self.take_waiting().into_iter().map(|waiting| waiting.ticket);
        self.ready.extend(tickets.map(|ticket| (ticket, Reply::Unavailable(why))));
    }
}

/// The reply to the request that caused an event, from the state the event made.
fn reply_to(state: &State, version: Version, record: &Record) -> Reply {
    let decided = |key, user| Decided { key, version, at: record.at, user };
    match &record.event {
        Event::ItemDefined { .. }
        | Event::InitialLevelSet { .. }
        | Event::UserAdded { .. }
        | Event::LoggedOut { .. }
        | Event::FloorSet { .. } => Reply::Answered(Answer::Done(version)),
        Event::LoggedIn { user, .. } => match query::identity(state, *user) {
            Ok(identity) => Reply::Answered(Answer::Identity(identity)),
            Err(refusal) => Reply::Refused(refusal),
        },
        Event::Purchased { key, user, lines, total, .. } => {
            let receipt = query::build_receipt(state, decided(*key, *user), lines, *total, None);
            Reply::Answered(Answer::Receipt(receipt))
        }
        Event::PurchaseCharged { key, user, lines, charge, .. } => {
            let (total, account) = (Some(charge.total), Some(charge.account));
            let receipt = query::build_receipt(state, decided(*key, *user), lines, total, account);
            Reply::Answered(Answer::Receipt(receipt))
        }
        Event::Returned { key, user, returned, .. } => {
            query::return_reply(state, decided(*key, *user), returned)
        }
        Event::BulkPurchased { key, user, total, rows, .. } => {
            let outcome = BulkOutcome::of(rows, *total);
            let receipt = query::build_bulk_receipt(state, decided(*key, *user), outcome);
            Reply::Answered(Answer::BulkReceipt(receipt))
        }
        Event::Posted { key, user, posted, .. } => query::posting_reply(state, decided(*key, *user), posted),
        Event::BulkPosted { key, user, rows, .. } => {
            let outcome = EntriesOutcome::of(rows);
            let receipt = query::build_bulk_posting_receipt(state, decided(*key, *user), outcome);
            Reply::Answered(Answer::BulkPostingReceipt(receipt))
        }
        Event::PurchaseRefused { refusal, .. }
        | Event::ReturnRefused { refusal, .. }
        | Event::PostRefused { refusal, .. } => Reply::Refused(Refusal::clone(refusal)),
    }
}
