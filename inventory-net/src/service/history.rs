//! Orders that have left the window, looked for in the journal: away from the engine's thread, one after the other.

use std::sync::{Arc, Weak};

use inventory_core::journal::{JournalError, PastOrder, PastOrderSearch, PastOutcome};
use inventory_core::{OrderKey, Reply, Unavailable};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::spawn_blocking;

use super::{ReplyTo, Shared, lock};

/// Most questions that may wait; one more is answered `Overloaded`.
pub(super) const WAITING_MAX: usize = 64;

/// Who wants to know about an old order.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) reply_to: ReplyTo,
    pub(super) order: PastOrder,
}

impl Shared {
    pub(super) fn look_in_history(&self, question: Question) {
        if let Err(error) = self.history.try_send(question) {
            error.into_inner().reply_to.deliver(Reply::Unavailable(Unavailable::Overloaded));
        }
    }
}

/// Answers questions, one after the other, while the service lives.
pub(super) async fn run(shared: Weak<Shared>, mut questions: mpsc::Receiver<Question>) {
    while let Some(Question { reply_to, order }) = questions.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        reply_to.deliver(answer(&shared, order).await);
    }
}

async fn answer(shared: &Arc<Shared>, order: PastOrder) -> Reply {
    match look_up(shared, order.key()).await {
        Ok(outcome) => order.reply(lock(&shared.desk).engine.state(), &outcome),
        Err(error) => {
            tracing::error!("order {} cannot be looked for in the journal: {error}", order.key());
            Reply::Unavailable(Unavailable::Overloaded)
        }
    }
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
