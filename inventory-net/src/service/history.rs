//! What the engine no longer knows, looked for in the journal: orders that have left the window, and the entries of an account.
//! Away from the engine's thread, one after the other.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, Weak};

use inventory_core::journal::{AccountScan, JournalError, PastOrder, PastOrderSearch, PastOutcome};
use inventory_core::{Action, Actor, OrderKey, Reply, Unavailable};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::{Desk, ReplyTo, Shared, lock};

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
    /// What became of an old order whose units are to come back. Who asked waits in [`WaitingReturns`].
    Returned { place: ReturnPlace, order: PastOrder },
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

/// A return's own key, and that of the order.
type ReturnPlace = (OrderKey, OrderKey);

/// A request for a return.
#[derive(Debug)]
struct WaitingReturn {
    reply_to: ReplyTo,
    actor: Actor,
    action: Action,
}

/// The returns whose orders are looked for. Each is searched for once, however often it is asked for. A key stays here until
/// its return is the engine's or is given up, so that nobody is told meanwhile that it was never decided.
#[derive(Debug, Default)]
pub(super) struct WaitingReturns(BTreeMap<ReturnPlace, Vec<WaitingReturn>>);

impl WaitingReturns {
    /// Whether a return with this key waits.
    pub(super) fn has(&self, key: OrderKey) -> bool {
        self.0.keys().any(|(waiting, _)| *waiting == key)
    }

    fn is_wanted(&self, place: ReturnPlace) -> bool {
        self.0.get(&place).is_some_and(|waiting| waiting.iter().any(|one| !one.reply_to.is_gone()))
    }
}

impl Question {
    fn turn_away(self) {
        match self {
            Self::Order { reply_to, .. } => {
                reply_to.deliver(Reply::Unavailable(Unavailable::Overloaded));
            }
            // Never put into the queue by `look_in_history`.
            Self::Returned { .. } => {}
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

    /// Has the order of a return looked for, unless that is under way.
    pub(super) fn look_for_returned(
        &self,
        mut desk: MutexGuard<'_, Desk>,
        (key, order): (OrderKey, PastOrder),
        (actor, action): (Actor, Action),
        reply_to: ReplyTo,
    ) {
        let place = (key, order.key());
        if !desk.returns.0.contains_key(&place)
            && self.history.try_send(Question::Returned { place, order }).is_err()
        {
            drop(desk);
            return reply_to.deliver(Reply::Unavailable(Unavailable::Overloaded));
        }
        desk.returns.0.entry(place).or_default().push(WaitingReturn { reply_to, actor, action });
    }

    /// Gives the engine the returns of an order that was looked for; those that nobody waits for any more are not carried out.
    fn settle_returns(&self, place: ReturnPlace, order: &PastOrder, found: &Result<PastOutcome, Reply>) {
        let now = self.clock.now();
        let mut desk = lock(&self.desk);
        let mut turned_away = Vec::new();
        // From here on the engine knows the key: there is no moment at which nobody does.
        for waiting in desk.returns.0.remove(&place).unwrap_or_default() {
            let WaitingReturn { reply_to, actor, mut action } = waiting;
            match found {
                _ if reply_to.is_gone() => {}
                Ok(found) if !desk.closing => {
                    order.testify(found, &mut action);
                    desk.submit(now, actor, action, reply_to);
                }
                Ok(_) => turned_away.push((reply_to, Reply::Unavailable(Unavailable::Overloaded))),
                Err(reply) => turned_away.push((reply_to, reply.clone())),
            }
        }
        drop(desk);
        self.work.notify_one();
        for (reply_to, reply) in turned_away {
            reply_to.deliver(reply);
        }
    }
}

/// Whoever waits for a return is answered also if the task ends before its time.
struct Leaving(Weak<Shared>);

impl Drop for Leaving {
    fn drop(&mut self) {
        let Some(shared) = self.0.upgrade() else { return };
        let waiting = std::mem::take(&mut lock(&shared.desk).returns);
        for one in waiting.0.into_values().flatten() {
            one.reply_to.deliver(Reply::Unavailable(Unavailable::Overloaded));
        }
    }
}

/// Answers questions, one after the other, while the service lives.
pub(super) async fn run(shared: Weak<Shared>, mut questions: mpsc::Receiver<Question>) {
    let _leaving = Leaving(shared.clone());
    while let Some(question) = questions.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        match question {
            Question::Order { reply_to, .. } if reply_to.is_gone() => {}
            Question::Order { reply_to, order } => reply_to.deliver(answer(&shared, order).await),
            Question::Returned { place, order } => {
                let is_wanted = lock(&shared.desk).returns.is_wanted(place);
                let found = if is_wanted {
                    look_up(&shared, order.key()).await.map_err(|error| cannot_look(order.key(), &error))
                } else {
                    // Nobody has looked: whoever joins just now is told to try again.
                    Err(Reply::Unavailable(Unavailable::Overloaded))
                };
                shared.settle_returns(place, &order, &found);
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
