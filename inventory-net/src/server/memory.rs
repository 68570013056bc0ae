//! What all connections keep in memory, against one budget.
//!
//! Each connection has a small share that it never has to ask for. What it takes beyond that, for a large frame or for replies
//! that its peer does not fetch, it takes from what all have left. When that runs low, the connection whose peer has kept it
//! waiting for the longest is dropped; when there is none left, nobody takes more until somebody gives back.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// What each connection takes without asking, in bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnBytes {
    /// By being there, small buffers included.
    pub(crate) connection: usize,
    /// What its buffers come to while they are small.
    pub(crate) buffers: usize,
}

/// The budget of all connections.
#[derive(Debug)]
pub(crate) struct Memory {
    bytes_max: usize,
    own: OwnBytes,
    /// The ledger's, for a glance without the lock.
    taken: AtomicUsize,
    ledger: Mutex<Ledger>,
}

#[derive(Debug, Default)]
struct Ledger {
    taken: usize,
    next: u64,
    /// Connections that have taken more than their own share.
    holders: BTreeMap<u64, Holder>,
    /// Who waits until somebody gives back.
    waiting: BTreeMap<u64, Waker>,
}

#[derive(Debug)]
struct Holder {
    bytes: usize,
    /// Since when its peer has kept it waiting.
    waits_since: Option<Instant>,
    notice: Arc<Notice>,
}

/// Tells a connection that it must go.
#[derive(Debug, Default)]
struct Notice {
    given: AtomicBool,
    connection: AtomicWaker,
}

/// What one connection takes. Given back when dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Arc<Memory>,
    id: u64,
    /// Beyond its own share.
    bytes: usize,
    notice: Arc<Notice>,
}

impl Memory {
    pub(crate) fn new(bytes_max: usize, own: OwnBytes) -> Self {
        Self { bytes_max, own, taken: AtomicUsize::new(0), ledger: Mutex::default() }
    }

    /// How many connections fit, if a quarter is left for what they take beyond their own shares. It runs low when half of that
    /// quarter is taken: however many connections there are, somebody may read slowly.
    pub(crate) const fn connections_max(bytes_max: usize, own: OwnBytes) -> usize {
        bytes_max / 4 * 3 / own.connection
    }

    /// A new connection's.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        let mut ledger = self.ledger();
        let id = ledger.next;
        ledger.next = id.wrapping_add(1);
        self.take(&mut ledger, self.own.connection);
        Share { memory: Arc::clone(self), id, bytes: 0, notice: Arc::default() }
    }

    /// What is left to take, in bytes.
    pub(super) fn left(&self) -> usize {
        self.bytes_max.saturating_sub(self.taken.load(Ordering::Relaxed))
    }

    fn take(&self, ledger: &mut Ledger, bytes: usize) {
        ledger.taken = ledger.taken.saturating_add(bytes);
        self.taken.store(ledger.taken, Ordering::Relaxed);
        self.send_away(ledger);
    }

    fn give_back(&self, ledger: &mut Ledger, bytes: usize) {
        ledger.taken = ledger.taken.saturating_sub(bytes);
        self.taken.store(ledger.taken, Ordering::Relaxed);
        std::mem::take(&mut ledger.waiting).into_values().for_each(Waker::wake);
    }

    /// Gives notice to those whose peers have kept them waiting for the longest, until what is left once they are gone is no
    /// longer low.
    fn send_away(&self, ledger: &mut Ledger) {
        let enough = self.bytes_max / 8 * 7;
        let Some(mut excess) = ledger.taken.checked_sub(enough).filter(|excess| *excess > 0) else { return };
        let leaving = ledger.holders.values().filter(|holder| holder.notice.is_given());
        excess = excess.saturating_sub(leaving.map(|holder| holder.bytes).sum());
        while excess > 0 {
            let waiting = ledger.holders.values().filter(|holder| !holder.notice.is_given());
            let waiting = waiting.filter_map(|holder| holder.waits_since.map(|since| (since, holder)));
            let Some((_, worst)) = waiting.min_by_key(|(since, _)| *since) else { return };
            worst.notice.give();
            excess = excess.saturating_sub(worst.bytes);
        }
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        // Each change is whole: whoever panicked meanwhile left nothing half done.
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notice {
    fn is_given(&self) -> bool {
        self.given.load(Ordering::Acquire)
    }

    fn give(&self) {
        self.given.store(true, Ordering::Release);
        self.connection.wake();
    }
}

impl Share {
    /// Says how much the connection's buffers take, and since when its peer has kept it waiting, which is not asked of one that
    /// takes no more than its own share.
    pub(crate) fn set(&mut self, buffer_bytes: usize, waits_since: impl FnOnce() -> Option<Instant>) {
        let bytes = buffer_bytes.saturating_sub(self.memory.own.buffers);
        if bytes == 0 && self.bytes == 0 {
            return;
        }
        let mut ledger = self.memory.ledger();
        if bytes == 0 {
            ledger.holders.remove(&self.id);
        } else {
            let notice = Arc::clone(&self.notice);
            ledger.holders.insert(self.id, Holder { bytes, waits_since: waits_since(), notice });
        }
        let before = std::mem::replace(&mut self.bytes, bytes);
        if bytes > before {
            self.memory.take(&mut ledger, bytes.saturating_sub(before));
        } else if bytes < before {
            self.memory.give_back(&mut ledger, before.saturating_sub(bytes));
        }
    }

    /// Whether the connection must go; if not, it is woken when it must.
    pub(crate) fn must_go(&self, cx: &Context<'_>) -> bool {
        if self.bytes > 0 {
            self.notice.connection.register(cx.waker());
        }
        self.notice.is_given()
    }

    /// Whether anything is left for anybody to take.
    pub(crate) fn has_left(&self) -> bool {
        self.memory.left() > 0
    }

    /// Whether there is anything left to take; if not, the connection is woken when there may be.
    pub(super) fn may_grow(&self, cx: &Context<'_>) -> bool {
        if self.has_left() {
            return true;
        }
        let mut ledger = self.memory.ledger();
        let is_full = ledger.taken >= self.memory.bytes_max;
        if is_full {
            ledger.waiting.insert(self.id, cx.waker().clone());
        }
        !is_full
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut ledger = self.memory.ledger();
        ledger.holders.remove(&self.id);
        ledger.waiting.remove(&self.id);
        self.memory.give_back(&mut ledger, self.memory.own.connection.saturating_add(self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const LARGE: usize = 100 << 10;
    const OWN: OwnBytes = OwnBytes { connection: 16 << 10, buffers: 8 << 10 };

    fn memory(connections: usize, large: usize) -> Arc<Memory> {
        let quarters = 4 * (connections * OWN.connection + large * LARGE);
        Arc::new(Memory::new(quarters.div_ceil(3) + 16, OWN))
    }

    fn must_go(share: &Share) -> bool {
        share.must_go(&Context::from_waker(Waker::noop()))
    }

    fn take(share: &mut Share, waits_since: Option<Instant>) {
        share.set(LARGE + OWN.buffers, || waits_since);
    }

    #[test]
    fn all_that_was_taken_is_given_back() {
        let memory = memory(10, 3);
        let before = memory.left();
        let mut share = memory.share();
        share.set(LARGE, || None);
        share.set(2 * LARGE, || None);
        share.set(100, || None);
        assert_eq!(memory.left(), before - OWN.connection);
        share.set(LARGE, || None);
        drop(share);
        assert_eq!(memory.left(), before);
    }

    #[test]
    fn when_it_runs_low_whoever_was_kept_waiting_for_the_longest_goes_and_no_other() {
        let memory = memory(5, 3);
        let now = Instant::now();
        let mut shares: Vec<Share> = (0..5).map(|_| memory.share()).collect();
        let since = [Some(now), None, Some(now + Duration::from_secs(1)), None];
        for (share, since) in shares.iter_mut().zip(since) {
            take(share, since);
        }
        let going: Vec<bool> = shares.iter().map(must_go).collect();
        assert_eq!(going, [true, false, false, false, false]);
        // Whoever is on the way out counts as gone.
        take(&mut shares[4], Some(now + Duration::from_secs(2)));
        assert!(must_go(&shares[2]) && !must_go(&shares[4]));
    }

    #[test]
    fn small_connections_never_have_to_go() {
        let memory = memory(1, 0);
        let mut shares: Vec<Share> = (0..100).map(|_| memory.share()).collect();
        for share in &mut shares {
            share.set(OWN.buffers, || Some(Instant::now()));
        }
        assert!(!shares.iter().any(must_go));
    }

    #[test]
    fn with_nothing_left_nobody_takes_more_until_somebody_gives_back() {
        let memory = memory(2, 1);
        let (mut first, second) = (memory.share(), memory.share());
        let may_grow = || second.may_grow(&Context::from_waker(Waker::noop()));
        assert!(may_grow());
        first.set(10 * LARGE, || None);
        assert!(!may_grow());
        first.set(0, || None);
        assert!(may_grow());
    }
}
