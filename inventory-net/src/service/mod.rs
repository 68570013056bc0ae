//! The engine on an asynchronous runtime: requests from any task or thread go in, replies come out when they are
//! durable.

mod committer;
mod entries;
mod history;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use inventory_core::journal::{Journal, JournalError, PastOrder, ReplayError, Tip, replay};
use inventory_core::state::State;
use inventory_core::{
    Action, Actor, Command, Engine, EngineConfig, Query, Reply, Time, Unavailable, Version,
};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::clock::{Clock, SystemClock};
use crate::message::{Op, RequestId};
use crate::outbox::{Delivery, Outbox, Outcome};
use history::{Question, WaitingReturns};

/// Settings of a [`Service`].
#[derive(Clone)]
pub struct ServiceOptions {
    /// The engine's.
    pub engine: EngineConfig,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
}

impl Default for ServiceOptions {
    fn default() -> Self {
        Self { engine: EngineConfig::default(), clock: Arc::new(SystemClock) }
    }
}

impl fmt::Debug for ServiceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceOptions").field("engine", &self.engine).finish_non_exhaustive()
    }
}

/// Why a service could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The journal cannot be replayed.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// The system has no randomness to give.
    #[error("the system gives no random bits: {0}")]
    Random(#[from] getrandom::Error),
}

/// Why a service could not be closed in full. Everything acknowledged is durable all the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloseError {
    /// The engine was poisoned: its state may not be what the journal holds, and was not saved.
    #[error(
        "a write to the journal failed in an unclear way: no snapshot was saved, the next start finds out"
    )]
    Poisoned,
    /// The snapshot could not be saved. The next start replays the journal instead.
    #[error("the snapshot could not be saved, the next start takes longer: {0}")]
    Snapshot(#[from] JournalError),
}

/// A running engine. Cheap to clone; clones share it, and may be used from any task and thread.
#[derive(Clone)]
pub struct Service {
    shared: Arc<Shared>,
}

struct Shared {
    /// Held only between awaits, and for the time of one decision or one batch of replies.
    desk: Mutex<Desk>,
    /// There is something to write or to deliver.
    work: Notify,
    clock: Arc<dyn Clock>,
    journal: Arc<dyn Journal>,
    history: mpsc::Sender<Question>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    opened_at: Version,
}

struct Desk {
    engine: Engine<Ticket>,
    /// No more requests are taken; once nothing waits, the committer ends.
    closing: bool,
    returns: WaitingReturns,
}

impl Desk {
    fn submit(&mut self, now: Time, actor: Actor, action: Action, reply_to: ReplyTo) {
        let past_order = PastOrder::asked_for(self.engine.state(), now, actor, &action).map(Box::new);
        self.engine.submit(now, Ticket { reply_to, past_order }, actor, action);
    }
}

/// What comes back from the engine with a reply.
#[derive(Debug)]
struct Ticket {
    reply_to: ReplyTo,
    /// Where to look further if the engine no longer knows the order.
    past_order: Option<Box<PastOrder>>,
}

/// Who waits for a reply.
#[derive(Debug)]
pub(crate) enum ReplyTo {
    /// A request of a connection.
    Connection { outbox: Arc<Outbox>, id: RequestId, op: Op },
    /// A task.
    Caller(oneshot::Sender<Reply>),
}

impl ReplyTo {
    /// Whether nobody takes the reply: work for it that has not begun need not.
    fn is_gone(&self) -> bool {
        match self {
            Self::Connection { outbox, .. } => outbox.is_closed(),
            Self::Caller(caller) => caller.is_closed(),
        }
    }

    fn deliver(self, reply: Reply) {
        match self {
            Self::Connection { outbox, id, op } => {
                outbox.put(Delivery { id, op, outcome: Outcome::Engine(reply) });
            }
            // A caller that no longer waits does not want the reply.
            Self::Caller(caller) => drop(caller.send(reply)),
        }
    }
}

impl Service {
    /// Replays the journal and runs the engine on it, in tasks of the current runtime, until [`close`](Self::close).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn open(journal: Arc<dyn Journal>, options: ServiceOptions) -> Result<Self, OpenError> {
        let (state, tip) = replay(&*journal, getrandom::u64()?).await?;
        let first_append = random_u128()?;
        Ok(Self::start(journal, state, tip, first_append, options))
    }

    fn start(
        journal: Arc<dyn Journal>,
        state: State,
        tip: Tip,
        first_append: u128,
        options: ServiceOptions,
    ) -> Self {
        let (history, questions) = mpsc::channel(history::WAITING_MAX);
        let engine = Engine::new(state, tip, options.engine);
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk { engine, closing: false, returns: WaitingReturns::default() }),
            work: Notify::new(),
            clock: options.clock,
            journal,
            history,
            tasks: Mutex::new(Vec::new()),
            opened_at: tip.version,
        });
        let committer = tokio::spawn(committer::run(Arc::clone(&shared), first_append));
        let historian = tokio::spawn(history::run(Arc::downgrade(&shared), questions));
        lock(&shared.tasks).extend([committer, historian]);
        Self { shared }
    }

    /// Takes a request; the reply goes to `reply_to` when it may leave. Never blocks.
    pub(crate) fn submit(&self, now: Time, actor: Actor, action: Action, reply_to: ReplyTo) {
        self.shared.submit(now, actor, action, reply_to);
    }

    /// Makes a request and waits for its reply.
    pub async fn call(&self, actor: Actor, action: impl Into<Action>) -> Reply {
        self.request(actor, action.into()).await
    }

    /// Makes a request now, and gives what waits for its reply.
    pub(crate) fn request(&self, actor: Actor, action: Action) -> impl Future<Output = Reply> + use<> {
        let (caller, reply) = oneshot::channel();
        self.submit(self.now(), actor, action, ReplyTo::Caller(caller));
        // The committer answers every ticket before it ends; only a runtime that was shut down drops one.
        async { reply.await.unwrap_or(Reply::Unavailable(Unavailable::Poisoned)) }
    }

    /// The time, as the service's clock tells it.
    pub(crate) fn now(&self) -> Time {
        self.shared.clock.now()
    }

    /// The number of durable events.
    pub fn version(&self) -> Version {
        lock(&self.shared.desk).engine.durable().version
    }

    /// Reads the working state. Keep it short: the engine waits. What it shows may not be durable yet.
    pub fn with_state<T>(&self, read: impl FnOnce(&State) -> T) -> T {
        read(lock(&self.shared.desk).engine.state())
    }

    /// Takes no more requests, answers those that wait, and saves a snapshot if anything happened since the service
    /// was opened. Later calls do nothing.
    pub async fn close(&self) -> Result<(), CloseError> {
        lock(&self.shared.desk).closing = true;
        self.shared.work.notify_one();
        let mut tasks = std::mem::take(&mut *lock(&self.shared.tasks)).into_iter();
        let Some(committer) = tasks.next() else { return Ok(()) };
        // An error says that the task was cancelled or panicked: there is no state to save then.
        if committer.await.is_err() {
            return Err(CloseError::Poisoned);
        }
        tasks.for_each(|task| task.abort());
        self.save_snapshot().await
    }

    async fn save_snapshot(&self) -> Result<(), CloseError> {
        let snapshot = {
            let desk = lock(&self.shared.desk);
            if desk.engine.state().version() == self.shared.opened_at {
                return Ok(());
            }
            desk.engine.snapshot().ok_or(CloseError::Poisoned)?
        };
        Ok(self.shared.journal.save_snapshot(snapshot).await?)
    }
}

impl Shared {
    fn submit(&self, now: Time, actor: Actor, action: Action, reply_to: ReplyTo) {
        let mut desk = lock(&self.desk);
        if desk.closing {
            drop(desk);
            return reply_to.deliver(Reply::Unavailable(Unavailable::Overloaded));
        }
        let state = desk.engine.state();
        match &action {
            Action::Command(Command::Return(wanted)) => {
                if let Some(order) = PastOrder::returned_by(state, now, actor, &action) {
                    let key = wanted.key;
                    return self.look_for_returned(desk, (key, order), (actor, action), reply_to);
                }
            }
            // It may be decided any moment.
            Action::Query(Query::Receipt { key }) if actor != Actor::Anonymous && desk.returns.has(*key) => {
                drop(desk);
                return reply_to.deliver(Reply::Unavailable(Unavailable::Overloaded));
            }
            _ => {}
        }
        desk.submit(now, actor, action, reply_to);
        drop(desk);
        self.work.notify_one();
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("version", &self.version()).finish_non_exhaustive()
    }
}

fn random_u128() -> Result<u128, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(u128::from_le_bytes(bytes))
}

/// A panic elsewhere does not make what a mutex holds wrong: the engine's methods do not panic half way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
