//! The engine: groups, numbers, waits for durability and releases replies. It knows no task, socket or file.
//!
//! Call order: [`Engine::submit`] requests as they come; write what [`Engine::poll_append`] gives to the journal and say
//! with [`Engine::appended`], [`Engine::conflicted`], [`Engine::append_failed`] or [`Engine::poison`] what became of it;
//! after each of these calls send what [`Engine::poll_reply`] gives.

use crate::command::{Action, Actor};
use crate::id::{AppendId, Version};
use crate::journal::{Group, ReplayError, Tip};
use crate::limits;
use crate::reply::Reply;
use crate::state::State;
use crate::time::Time;

/// The engine's settings.
#[derive(Clone, Copy, Debug)]
pub struct EngineConfig {
    /// Most groups that may be on their way to the journal at once.
    pub groups_in_flight_max: usize,
    /// Most requests that may wait for a reply; one more is answered `Overloaded`.
    pub inbox_requests_max: usize,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self { groups_in_flight_max: 1, inbox_requests_max: limits::INBOX_REQUESTS_MAX }
    }
}

/// Turns requests into groups and durable groups into replies. `T` is the caller's ticket, given back with the reply.
#[derive(Debug)]
pub struct Engine<T> {
    state: State,
    ticket: core::marker::PhantomData<T>,
}

impl<T> Engine<T> {
    /// An engine that goes on from this state, which the journal holds durably up to `tip`.
    pub fn new(state: State, _tip: Tip, _config: EngineConfig) -> Self {
        Self { state, ticket: core::marker::PhantomData }
    }

    /// Takes a request: decides it at once; the reply waits until what it rests on is durable.
    pub fn submit(&mut self, _now: Time, _ticket: T, _actor: Actor, _action: Action) {}

    /// The next group to write; none if there is nothing to write or enough is in flight already.
    /// `append_id` is random, and used only if a group is given.
    pub fn poll_append(&mut self, _append_id: AppendId) -> Option<Group> {
        None
    }

    /// The oldest group in flight, ending with this version, is durable.
    pub fn appended(&mut self, _last: Version) {}

    /// The oldest group in flight was not written: these groups of another writer are there instead. Ours are rolled
    /// back, theirs applied, and all requests that wait are decided anew.
    pub fn conflicted(&mut self, _now: Time, _theirs: &[Group]) -> Result<(), ReplayError> {
        Ok(())
    }

    /// The oldest group in flight was not written, for certain. All undurable effects are rolled back and their requests
    /// answered `NotWritten`.
    pub fn append_failed(&mut self) {}

    /// It cannot be said whether a group was written: from now on nothing is acknowledged, and every request is
    /// answered `Poisoned`.
    pub fn poison(&mut self) {}

    /// The next reply that may leave.
    pub fn poll_reply(&mut self) -> Option<(T, Reply)> {
        None
    }

    /// The end of what is durable.
    pub fn durable(&self) -> Tip {
        Tip::default()
    }

    /// Whether no request waits and no group is open or in flight.
    pub fn is_idle(&self) -> bool {
        true
    }

    /// The working state. It is durable when the engine is idle.
    pub const fn state(&self) -> &State {
        &self.state
    }
}
