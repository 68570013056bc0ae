//! When to ask again: what is safe to repeat, and how long to wait in between.

use std::time::Duration;

use inventory_core::Refusal;
use tokio::time::{Instant, sleep_until};

use super::ClientError;
use crate::message::Op;

/// The first pause; each further one is twice as long, up to the longest.
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// Whether a request may be sent again although the first may have been carried out.
///
/// A purchase, a return and a posting may, under their keys: that is what a key is for. Whoever sets a level twice is refused the second
/// time and cannot tell whether by his own first; whoever logs in twice has two sessions.
pub(super) const fn is_repeatable(op: Op) -> bool {
    match op {
        Op::Hello
        | Op::Resume
        | Op::LogOut
        | Op::WhoAmI
        | Op::Levels
        | Op::Item
        | Op::Purchase
        | Op::PurchaseBulk
        | Op::Return
        | Op::Receipt
        | Op::DefineItem
        | Op::Post
        | Op::PostBulk
        | Op::SetFloor
        | Op::Balance
        | Op::Balances
        | Op::Entries => true,
        Op::LogIn | Op::SetInitialLevel | Op::AddUser => false,
    }
}

/// Whether this error tells what became of a request although the answer to an earlier attempt was lost.
///
/// A read leaves nothing to know. A refusal of a purchase is the outcome that its key has, but for one that looks
/// at who asks before it looks at what. That nothing was done, or sent, is said of the last attempt only.
pub(super) const fn settles(op: Op, error: &ClientError) -> bool {
    match op {
        Op::Hello
        | Op::Resume
        | Op::WhoAmI
        | Op::Levels
        | Op::Item
        | Op::Receipt
        | Op::Balance
        | Op::Balances
        | Op::Entries => true,
        Op::Purchase
        | Op::PurchaseBulk
        | Op::Return
        | Op::LogOut
        | Op::DefineItem
        | Op::LogIn
        | Op::SetInitialLevel
        | Op::AddUser
        | Op::Post
        | Op::PostBulk
        | Op::SetFloor => match error {
            ClientError::Refused(why) => !matches!(why, Refusal::NotLoggedIn | Refusal::NotPermitted),
            // A refusal that this client does not know may be of the kind that looks at who asks.
            _ => false,
        },
    }
}

/// The pauses between attempts, until there is no more time. Time counts from the first failure.
pub(super) struct Pauses {
    retry_for: Duration,
    until: Option<Instant>,
    next: Duration,
}

impl Pauses {
    pub(super) const fn new(retry_for: Duration) -> Self {
        Self { retry_for, until: None, next: PAUSE_MIN }
    }

    /// Waits before the next attempt; false, at once, if the time is up.
    ///
    /// Somewhere between half and all of the pause, so that clients that failed together do not return together.
    pub(super) async fn wait(&mut self) -> bool {
        let now = Instant::now();
        let until = *self.until.get_or_insert_with(|| now.checked_add(self.retry_for).unwrap_or(now));
        let half = self.next / 2;
        let share = getrandom::u32().unwrap_or(u32::MAX) >> 16;
        let wake = now + half + half * share / (1 << 16);
        if wake >= until {
            return false;
        }
        self.next = self.next.saturating_mul(2).min(PAUSE_MAX);
        sleep_until(wake).await;
        true
    }
}
