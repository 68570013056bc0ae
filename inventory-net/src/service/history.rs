//! Orders that have left the outcome window, found in the journal: the key's own time says where to look.

use std::sync::Weak;

use inventory_core::journal::{Journal, JournalError};
use inventory_core::limits::{ORDER_KEY_FUTURE_US_MAX, ORDER_WINDOW_AGE_US};
use inventory_core::state::{Outcome, OutcomeRow, State};
use inventory_core::{
    Event, OrderDigest, OrderKey, Record, Refusal, Reply, Time, Unavailable, UserId, Version, query,
};
use tokio::sync::mpsc;

use super::{ReplyTo, Shared, lock};

/// Most questions that may wait; one more is answered `Overloaded`. They are answered one at a time.
pub(super) const WAITING_MAX: usize = 64;
/// How many bytes of groups are read at once: other tasks get their turn in between.
const READ_BYTES: usize = 256 << 10;

/// An order that the engine no longer knows.
#[derive(Clone, Copy, Debug)]
pub struct OldOrder {
    /// Its key.
    pub key: OrderKey,
    /// Whose it must be; anybody's if none.
    pub user: Option<UserId>,
    /// What it must be, if it was sent again.
    pub digest: Option<OrderDigest>,
}

/// Who wants to know about an old order.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) reply_to: ReplyTo,
    pub(super) order: OldOrder,
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

async fn answer(shared: &Shared, order: OldOrder) -> Reply {
    let found = find_order(&*shared.journal, order.key, order.user).await;
    reply_to_old(order, found, lock(&shared.desk).engine.state())
}

/// The reply to whoever asked for an old order, from what was found of it.
pub fn reply_to_old(
    order: OldOrder,
    found: Result<Option<OutcomeRow>, JournalError>,
    state: &State,
) -> Reply {
    match found {
        Ok(Some(row)) if order.digest.is_some_and(|digest| digest != row.digest) => {
            Reply::Refused(Refusal::KeyReused)
        }
        Ok(Some(row)) => query::outcome(state, &row),
        Ok(None) => Reply::Refused(Refusal::KeyTooOld),
        Err(error) => {
            tracing::error!("order {} cannot be looked for in the journal: {error}", order.key);
            Reply::Unavailable(Unavailable::Overloaded)
        }
    }
}

/// The outcome of the order with this key, if it is this user's (anybody's if none) and the journal still holds it.
///
/// Reads from the journal's start to the last moment at which the order can have been decided.
pub async fn find_order(
    journal: &dyn Journal,
    key: OrderKey,
    user: Option<UserId>,
) -> Result<Option<OutcomeRow>, JournalError> {
    let first = key.time().minus_micros(ORDER_KEY_FUTURE_US_MAX);
    // The window leaves second by second.
    let last = key.time().plus_micros(ORDER_WINDOW_AGE_US).plus_micros(1_000_000);
    let mut after = Version::ZERO;
    loop {
        let groups = match journal.read(after, READ_BYTES).await {
            Err(JournalError::Discarded { start, .. }) if start > after => {
                after = start;
                continue;
            }
            groups => groups?,
        };
        let Some(end) = groups.last().map(inventory_core::journal::Group::last) else { return Ok(None) };
        for group in &groups {
            for record in group.records() {
                let (version, record) =
                    record.map_err(|why| JournalError::Damaged(format!("after version {after}: {why}")))?;
                if record.at > last {
                    return Ok(None);
                }
                if record.at < first {
                    continue;
                }
                let row = outcome_row(version, record);
                if let Some(row) = row.filter(|row| row.key == key) {
                    return Ok(Some(row).filter(|row| user.is_none_or(|user| user == row.user)));
                }
            }
        }
        after = end;
        tokio::task::yield_now().await;
    }
}

/// What the window would remember of an event.
fn outcome_row(version: Version, record: Record) -> Option<OutcomeRow> {
    let at: Time = record.at;
    match record.event {
        Event::Purchased { key, user, digest, lines, total } => {
            let outcome = Outcome::Accepted { lines, total };
            Some(OutcomeRow { key, digest, version, at, user, outcome })
        }
        Event::PurchaseRefused { key, user, digest, refusal } => {
            let outcome = Outcome::Refused(Box::new(refusal));
            Some(OutcomeRow { key, digest, version, at, user, outcome })
        }
        Event::ItemDefined { .. }
        | Event::InitialLevelSet { .. }
        | Event::UserAdded { .. }
        | Event::LoggedIn { .. }
        | Event::LoggedOut { .. } => None,
    }
}
