//! Replies on their way to one connection. Nothing is allocated for a reply beside the reply; however many come at
//! once, the connection wakes once.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::task::AtomicWaker;
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
    waiting: Mutex<Vec<Delivery>>,
    connection: AtomicWaker,
    is_closed: AtomicBool,
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
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let first = waiting.is_empty();
        waiting.push(delivery);
        drop(waiting);
        if first {
            self.connection.wake();
        }
    }

    /// Moves what waits into `taken`, which is empty; pending, and to be woken, if nothing does.
    pub(crate) fn poll_take(&self, cx: &Context<'_>, taken: &mut Vec<Delivery>) -> Poll<()> {
        self.connection.register(cx.waker());
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.is_empty() {
            return Poll::Pending;
        }
        // The two lists change places: neither grows anew with every batch.
        std::mem::swap(&mut *waiting, taken);
        Poll::Ready(())
    }
}
