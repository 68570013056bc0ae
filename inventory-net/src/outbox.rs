//! Replies on their way to one connection. Nothing is allocated for a reply beside the reply; however many come at
//! once, the connection wakes once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use inventory_core::{Identity, Reply, SessionId};

use crate::message::{Op, ReplyBody, RequestId, Token};

/// What came of one request of a connection.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) id: RequestId,
    pub(crate) op: Op,
    pub(crate) outcome: Outcome,
}

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The engine's reply.
    Engine(Reply),
    /// A login: the connection becomes the new session's.
    LoggedIn(Token, Identity),
    /// A resume: the connection becomes this session's.
    Resumed(SessionId, Identity),
    /// Another reply.
    Other(ReplyBody),
}

/// Where replies wait for their connection.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    inside: Mutex<Inside>,
    is_closed: AtomicBool,
}

#[derive(Debug, Default)]
struct Inside {
    waiting: Vec<Delivery>,
    /// The connection's: it has looked once.
    connection: Option<Waker>,
}

impl Outbox {
    /// The connection is gone: nobody takes what is put here.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Relaxed);
    }

    /// Whether the connection is gone: work for it that has not begun need not.
    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    pub(crate) fn put(&self, delivery: Delivery) {
        let mut inside = self.inside();
        let first = inside.waiting.is_empty();
        inside.waiting.push(delivery);
        if first && let Some(connection) = &inside.connection {
            connection.wake_by_ref();
        }
    }

    /// Moves what waits into `taken`, which is empty; pending, and to be woken, if nothing does.
    pub(crate) fn poll_take(&self, cx: &Context<'_>, taken: &mut Vec<Delivery>) -> Poll<()> {
        let mut inside = self.inside();
        match &mut inside.connection {
            Some(connection) => connection.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        if inside.waiting.is_empty() {
            return Poll::Pending;
        }
        // The two lists change places: neither grows anew with every batch.
        std::mem::swap(&mut inside.waiting, taken);
        Poll::Ready(())
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
