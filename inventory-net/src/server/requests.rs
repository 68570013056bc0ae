//! What each request means: the one place where operations become the engine's commands and queries.

use std::sync::Arc;

use inventory_core::limits::LEVELS_PAGE_MAX;
use inventory_core::{Action, Actor, Command, Identity, Query, Reply};

use super::{Delivery, Outbox, Shared};
use crate::message::{ReplyBody, Request, RequestBody, Token};
use crate::service::ReplyTo;

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The engine's reply.
    Engine(Reply),
    /// A login: the connection becomes the new session's.
    LoggedIn(Token, Identity),
    /// Another reply.
    Other(ReplyBody),
}

/// What a connection does next with a request.
pub(super) enum Next {
    /// The reply comes through the outbox.
    Awaited,
    /// As above, and who the actor is depends on it: later requests wait for it.
    ActorAwaited,
    /// This is the reply.
    Reply(ReplyBody),
}

impl Shared {
    /// Starts a request.
    pub(super) fn start(self: &Arc<Self>, actor: Actor, outbox: &Arc<Outbox>, request: Request) -> Next {
        let Request { id, op, body } = request;
        let body = match body {
            Ok(body) => body,
            Err(refusal) => return Next::Reply(ReplyBody::Refused(refusal)),
        };
        let reply_to = || ReplyTo::Connection { outbox: Arc::clone(outbox), id, op };
        let submit = |actor: Actor, action: Action| self.service.submit(actor, action, reply_to());
        let action = match body {
            RequestBody::Purchase(order) => Command::Purchase(order).into(),
            RequestBody::Receipt { key } => Query::Receipt { key }.into(),
            RequestBody::Levels { after, limit } => {
                let limit = limit.unwrap_or(u32::try_from(LEVELS_PAGE_MAX).unwrap_or(u32::MAX));
                Query::Levels { after, limit }.into()
            }
            RequestBody::Item { upc } => Query::Item { upc }.into(),
            RequestBody::WhoAmI => Query::WhoAmI.into(),
            RequestBody::DefineItem { upc, name, price } => Command::DefineItem { upc, name, price }.into(),
            RequestBody::SetInitialLevel { upc, location, units } => {
                Command::SetInitialLevel { upc, location, units }.into()
            }
            RequestBody::AddUser { name, password, role } => {
                let shared = Arc::clone(self);
                let outbox = Arc::clone(outbox);
                tokio::spawn(async move {
                    let outcome = match shared.add_user(actor, name, password, role).await {
                        Ok(reply) => Outcome::Engine(reply),
                        Err(reply) => Outcome::Other(reply),
                    };
                    outbox.put(Delivery { id, op, outcome });
                });
                return Next::Awaited;
            }
            RequestBody::LogIn { user, password } => {
                let shared = Arc::clone(self);
                let outbox = Arc::clone(outbox);
                tokio::spawn(async move {
                    let outcome = match shared.log_in(actor, user, password).await {
                        Ok((token, identity)) => Outcome::LoggedIn(token, identity),
                        Err(reply) => Outcome::Other(reply),
                    };
                    outbox.put(Delivery { id, op, outcome });
                });
                return Next::ActorAwaited;
            }
            RequestBody::Resume { token } => {
                submit(Actor::Session(token.session()), Query::WhoAmI.into());
                return Next::ActorAwaited;
            }
            RequestBody::LogOut => {
                submit(actor, Command::LogOut.into());
                return Next::ActorAwaited;
            }
            // Answered by the connection's protocol machine, which never gives it out.
            RequestBody::Hello(_) => return Next::Awaited,
        };
        submit(actor, action);
        Next::Awaited
    }
}
