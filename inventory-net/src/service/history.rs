//! What the engine no longer knows, looked for in the journal: orders that have left the window, and the entries of an account.
//! Away from the engine's thread, one after the other.

use std::sync::{Arc, Weak};

use inventory_core::journal::{AccountScan, JournalError, PastOrder, PastOrderSearch, PastOutcome};
use inventory_core::{Action, Actor, OrderKey, Reply, Unavailable};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::{ReplyTo, Shared, lock};

/// Most questions that may wait; one more is answered `Overloaded`.
pub(super) const WAITING_MAX: usize = 64;

/// How many readings of the journal a page of entries may take, of about 256 KiB each: whoever wants to know more asks again,
/// behind those who wait.
const ENTRIES_STEPS_MAX: usize = 8;

/// Who wants to know what.
#[derive(Debug)]
pub(super) enum Question {
    /// What became of an old order.
    Order { reply_to: ReplyTo, order: PastOrder },
    /// What became of an old order whose units are to come back.
    Returned { reply_to: ReplyTo, order: PastOrder, actor: Actor, action: Action },
    /// A page of an account's entries.
    Entries { reply_to: oneshot::Sender<Result<AccountScan, Unread>>, scan: AccountScan },
}

/// Why there is no page of entries.
#[derive(Debug)]
pub(super) enum Unread {
    /// There is no place in the queue.
    Overloaded,
    /// The journal has nothing that can be read from this place on.
    NoSuchPlace,
}

impl Question {
    fn turn_away(self) {
        match self {
            Self::Order { reply_to, .. } | Self::Returned { reply_to, .. } => {
                reply_to.deliver(Reply::Unavailable(Unavailable::Overloaded));
            }
            // Whoever no longer waits does not want to know.
            Self::Entries { reply_to, .. } => drop(reply_to.send(Err(Unread::Overloaded))),
        }
    }
}

impl Shared {
    pub(super) fn look_in_history(&self, question: Question) {
        if let Err(error) = self.history.try_send(question) {
            error.into_inner().turn_away();
        }
    }
}

/// Answers questions, one after the other, while the service lives.
pub(super) async fn run(shared: Weak<Shared>, mut questions: mpsc::Receiver<Question>) {
    while let Some(question) = questions.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        match question {
            Question::Order { reply_to, order } => reply_to.deliver(answer(&shared, order).await),
            Question::Returned { reply_to, order, actor, mut action } => {
                match look_up(&shared, order.key()).await {
                    Ok(found) => {
                        order.testify(&found, &mut action);
                        shared.submit(shared.clock.now(), actor, action, reply_to);
                    }
                    Err(error) => reply_to.deliver(cannot_look(order.key(), &error)),
                }
            }
            Question::Entries { reply_to, .. } if reply_to.is_closed() => {}
            Question::Entries { reply_to, scan } => drop(reply_to.send(read_page(&shared, scan).await)),
        }
    }
}

async fn read_page(shared: &Arc<Shared>, mut scan: AccountScan) -> Result<AccountScan, Unread> {
    for _ in 0..ENTRIES_STEPS_MAX {
        let journal = Arc::clone(&shared.journal);
        let here = Handle::current();
        let step = spawn_blocking(move || {
            let is_over = here.block_on(scan.step(&*journal));
            (scan, is_over)
        });
        let Ok((stepped, is_over)) = step.await else { return Err(Unread::Overloaded) };
        scan = stepped;
        match is_over {
            Ok(true) => break,
            Ok(false) => {}
            // A client may ask for a place where no group begins; only what a page named is one.
            Err(why @ JournalError::Damaged(_)) => {
                tracing::warn!("the entries of an account cannot be read: {why}");
                return Err(Unread::NoSuchPlace);
            }
            Err(why) => {
                tracing::error!("the entries of an account cannot be read: {why}");
                return Err(Unread::Overloaded);
            }
        }
    }
    Ok(scan)
}

async fn answer(shared: &Arc<Shared>, order: PastOrder) -> Reply {
    match look_up(shared, order.key()).await {
        Ok(outcome) => order.reply(lock(&shared.desk).engine.state(), &outcome),
        Err(error) => cannot_look(order.key(), &error),
    }
}

fn cannot_look(key: OrderKey, error: &JournalError) -> Reply {
    tracing::error!("order {key} cannot be looked for in the journal: {error}");
    Reply::Unavailable(Unavailable::Overloaded)
}

/// Each step in a thread where it may block; between two of them the service may end.
async fn look_up(shared: &Arc<Shared>, key: OrderKey) -> Result<PastOutcome, JournalError> {
    let mut search = PastOrderSearch::new(key);
    loop {
        let journal = Arc::clone(&shared.journal);
        let here = Handle::current();
        let step = spawn_blocking(move || {
            let found = here.block_on(search.step(&*journal));
            (search, found)
        });
        let Ok((stepped, found)) = step.await else {
            return Err(JournalError::Unreachable("the search in it broke off".into()));
        };
        if let Some(outcome) = found? {
            return Ok(outcome);
        }
        search = stepped;
    }
}
