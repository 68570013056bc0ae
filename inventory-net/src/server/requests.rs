//! What each request means: the one place where operations become the engine's commands and queries.

use std::future::Future;
use std::sync::Arc;

use inventory_core::{Action, Actor, Command, Query, Time};

use super::Shared;
use crate::limits::{ACCOUNT_ROWS_MAX, LEVELS_PAGE_ITEMS_MAX};
use crate::message::{Op, ReplyBody, Request, RequestBody, RequestId, Unavailable};
use crate::outbox::{Delivery, Outbox, Outcome};
use crate::service::ReplyTo;

/// A read of more rows waits for its turn: it takes as long as a hundred purchases.
pub(super) const SHORT_READ_ROWS: u32 = 64;

/// Whether a request decides who the actor of the connection is: later ones wait for its reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It does not.
    Next,
    /// It does.
    Wait,
}

impl Shared {
    /// Starts a request that came at this time; its reply comes through the outbox.
    pub(super) fn start(
        self: &Arc<Self>,
        came: Time,
        actor: Actor,
        origin: &Arc<str>,
        outbox: &Arc<Outbox>,
        request: Request,
    ) -> Turn {
        let Request { id, body } = request;
        let op = body.op();
        let reply_to = ReplyTo::Connection { outbox: Arc::clone(outbox), id, op };
        let (actor, action, turn): (_, Action, _) =
            match body {
                RequestBody::Purchase(order) => (actor, Command::Purchase(order).into(), Turn::Next),
                RequestBody::PurchaseBulk(order) => (actor, Command::PurchaseBulk(order).into(), Turn::Next),
                RequestBody::Return(wanted) => (actor, Command::Return(wanted).into(), Turn::Next),
                RequestBody::Receipt { key } => (actor, Query::Receipt { key }.into(), Turn::Next),
                RequestBody::Levels { after, limit } => {
                    let limit = limit.unwrap_or(LEVELS_PAGE_ITEMS_MAX).min(LEVELS_PAGE_ITEMS_MAX);
                    let query = Query::Levels { after, limit }.into();
                    if limit > SHORT_READ_ROWS {
                        self.read_in_turn(actor, query, outbox, reply_to);
                        return Turn::Next;
                    }
                    (actor, query, Turn::Next)
                }
                RequestBody::Item { upc } => (actor, Query::Item { upc }.into(), Turn::Next),
                RequestBody::WhoAmI => (actor, Query::WhoAmI.into(), Turn::Next),
                RequestBody::DefineItem { upc, name, price } => {
                    (actor, Command::DefineItem { upc, name, price }.into(), Turn::Next)
                }
                RequestBody::SetInitialLevel { upc, location, units } => {
                    (actor, Command::SetInitialLevel { upc, location, units }.into(), Turn::Next)
                }
                RequestBody::Post(posting) => (actor, Command::Post(posting).into(), Turn::Next),
                RequestBody::PostBulk(batch) => (actor, Command::PostBulk(batch).into(), Turn::Next),
                RequestBody::SetFloor { account, floor } => {
                    (actor, Command::SetFloor { account, floor }.into(), Turn::Next)
                }
                RequestBody::Balance { account } => (actor, Query::Balance { account }.into(), Turn::Next),
                RequestBody::Balances { after, limit } => {
                    let limit = limit.unwrap_or(ACCOUNT_ROWS_MAX).min(ACCOUNT_ROWS_MAX);
                    let query = Query::Balances { after, limit }.into();
                    if limit > SHORT_READ_ROWS {
                        self.read_in_turn(actor, query, outbox, reply_to);
                        return Turn::Next;
                    }
                    (actor, query, Turn::Next)
                }
                RequestBody::Entries { account, place, limit } => {
                    let limit = limit.unwrap_or(ACCOUNT_ROWS_MAX).clamp(1, ACCOUNT_ROWS_MAX);
                    let (shared, asker) = (Arc::clone(self), Arc::clone(outbox));
                    answer_later(outbox, id, op, async move {
                        // A page takes long, but not the engine's time: one is made after the other, and takes one place
                        // among those who ask the journal. Nobody closes the semaphore.
                        let _page = shared.entries_pages.acquire().await.ok();
                        if limit > SHORT_READ_ROWS && !asker.is_closed() {
                            // For putting it into bytes: the connection says what that takes.
                            drop(shared.long_reads.turn().await);
                        }
                        if asker.is_closed() {
                            // Nobody takes the answer.
                            return Outcome::Other(ReplyBody::Unavailable(Unavailable::Overloaded));
                        }
                        Outcome::Other(shared.service.entries(actor, account, place, limit).await)
                    });
                    return Turn::Next;
                }
                RequestBody::LogOut => (actor, Command::LogOut.into(), Turn::Wait),
                RequestBody::Resume { token } => {
                    let (shared, origin) = (Arc::clone(self), Arc::clone(origin));
                    answer_later(outbox, id, op, async move { shared.resume(actor, &origin, token).await });
                    return Turn::Wait;
                }
                RequestBody::LogIn { user, password } => {
                    let (shared, origin) = (Arc::clone(self), Arc::clone(origin));
                    answer_later(outbox, id, op, async move {
                        shared.log_in(actor, &origin, user, password).await
                    });
                    return Turn::Wait;
                }
                RequestBody::AddUser { name, password, role } => {
                    let shared = Arc::clone(self);
                    answer_later(outbox, id, op, async move {
                        shared.add_user(actor, name, password, role).await
                    });
                    return Turn::Next;
                }
                // Answered by the connection's protocol machine, which never gives it out.
                RequestBody::Hello(_) => return Turn::Next,
            };
        self.service.submit(came, actor, action, reply_to);
        turn
    }

    /// Makes a read of many rows when it has its turn.
    fn read_in_turn(self: &Arc<Self>, actor: Actor, query: Action, outbox: &Arc<Outbox>, reply_to: ReplyTo) {
        let (shared, outbox) = (Arc::clone(self), Arc::clone(outbox));
        tokio::spawn(async move {
            // The engine looks at once; the connection says what putting it into bytes takes.
            let turn = shared.long_reads.turn().await;
            if outbox.is_closed() {
                turn.give_up();
            } else {
                shared.service.submit(shared.service.now(), actor, query, reply_to);
            }
        });
    }
}

/// Answers a request that takes more than one step, in a task of its own.
fn answer_later(
    outbox: &Arc<Outbox>,
    id: RequestId,
    op: Op,
    steps: impl Future<Output = Outcome> + Send + 'static,
) {
    let outbox = Arc::clone(outbox);
    tokio::spawn(async move { outbox.put(Delivery { id, op, outcome: steps.await }) });
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Poll, Waker};

    use inventory_core::journal::MemoryJournal;

    use super::*;
    use crate::server::{Server, ServerOptions};
    use crate::service::{Service, ServiceOptions};

    /// How many answers there are to a page of levels, if the connection is there or gone when its turn comes.
    async fn answers(is_gone: bool) -> usize {
        let service = Service::open(Arc::new(MemoryJournal::new()), ServiceOptions::default()).await.unwrap();
        let shared = Server::new(service, ServerOptions::default()).unwrap().shared;
        let (outbox, mut taken) = (Arc::default(), Vec::new());
        let turn = shared.long_reads.turn().await;
        let id = RequestId::new(1).unwrap();
        let body = RequestBody::Levels { after: None, limit: None };
        shared.start(shared.service.now(), Actor::System, &"".into(), &outbox, Request { id, body });
        if is_gone {
            outbox.close();
        }
        drop(turn);
        // Behind it in the line; then the engine answers what was asked.
        drop(shared.long_reads.turn().await);
        shared.service.close().await.unwrap();
        let context = Context::from_waker(Waker::noop());
        let _: Poll<()> = outbox.poll_take(&context, &mut taken);
        taken.len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_read_whose_connection_is_gone_when_its_turn_comes_is_not_made() {
        assert_eq!(answers(false).await, 1);
        assert_eq!(answers(true).await, 0);
    }
}
