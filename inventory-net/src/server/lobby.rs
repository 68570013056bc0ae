//! Turns: one at a time, and together no more than a share of the server's time. For those who have no session, and for long
//! reads.
//!
//! To connect, greet, guess, break the contract and connect again costs a stranger nothing. So all of that together may cost
//! the server only so much, however many they are, and whoever has a session is served in between. Strangers are served in the
//! order in which they came: each waits for those before it, none is left out. A few bytes that ask for a thousand rows are
//! cheap in the same way for whoever has a session.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// Those who wait here get one part in so many of the server's time.
const SHARE: u32 = 4;
/// What they may take in one go: about what everybody else waits for them.
const BURST: Duration = Duration::from_micros(250);
/// The most that a stranger's turn counts: a thread that the system left waiting has not worked all that time. On a busy
/// machine thousands of strangers would else keep one with a password waiting for minutes.
pub(super) const STRANGER_TURN_MAX: Duration = Duration::from_micros(100);
/// The most that a long read's turn counts.
pub(super) const LONG_READ_TURN_MAX: Duration = Duration::from_millis(1);

/// Where they wait for their turn.
#[derive(Debug)]
pub(super) struct Lobby {
    /// One at a time, first come, first served.
    door: Semaphore,
    meter: Mutex<Meter>,
}

/// A turn; ends when dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    lobby: &'a Lobby,
    began: Instant,
    _door: Option<SemaphorePermit<'a>>,
}

impl Lobby {
    /// One in which a turn counts for so long at most.
    pub(super) fn new(turn_max: Duration) -> Self {
        Self { door: Semaphore::new(1), meter: Mutex::new(Meter::new(Instant::now(), turn_max)) }
    }

    /// Waits in line, then for time to spend. Safe to cancel.
    pub(super) async fn turn(&self) -> Turn<'_> {
        // Nobody closes the semaphore; if it were, nobody would wait in line.
        let door = self.door.acquire().await.ok();
        self.rested().await;
        Turn { lobby: self, began: Instant::now(), _door: door }
    }

    /// A turn that waits for time to spend and not in line: for accepting, which is one of many if it stands in line with
    /// those that it let in.
    pub(super) async fn turn_out_of_line(&self) -> Turn<'_> {
        self.rested().await;
        Turn { lobby: self, began: Instant::now(), _door: None }
    }

    /// Counts time that was spent on behalf of those who wait here, outside of a turn.
    pub(super) fn spend(&self, time: Duration) {
        self.meter().spend(Instant::now(), time);
    }

    async fn rested(&self) {
        loop {
            let Some(opens_at) = self.meter().opens_at(Instant::now()) else { return };
            sleep_until(opens_at).await;
        }
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        // Each change is whole: whoever panicked meanwhile left nothing half done.
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        self.lobby.meter().spend(now, now.saturating_duration_since(self.began));
    }
}

/// Counts time that was spent, and pays it off as time goes by.
#[derive(Debug)]
struct Meter {
    owed: Duration,
    at: Instant,
    turn_max: Duration,
}

impl Meter {
    const fn new(now: Instant, turn_max: Duration) -> Self {
        Self { owed: Duration::ZERO, at: now, turn_max }
    }

    fn spend(&mut self, now: Instant, time: Duration) {
        self.owed = self.owed(now).saturating_add(time.min(self.turn_max));
        self.at = now;
    }

    /// When there is time to spend again; none if there is.
    fn opens_at(&self, now: Instant) -> Option<Instant> {
        let beyond = self.owed(now).checked_sub(BURST).filter(|beyond| !beyond.is_zero())?;
        now.checked_add(beyond.saturating_mul(SHARE))
    }

    fn owed(&self, now: Instant) -> Duration {
        self.owed.saturating_sub(now.saturating_duration_since(self.at) / SHARE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURN: Duration = Duration::from_micros(50);

    #[test]
    fn strangers_get_their_share_of_the_time_and_no_more_however_many_there_are() {
        let began = Instant::now();
        let mut meter = Meter::new(began, STRANGER_TURN_MAX);
        let (mut now, mut turns) = (began, 0);
        while now < began + Duration::from_secs(1) {
            now = meter.opens_at(now).unwrap_or(now) + TURN;
            meter.spend(now, TURN);
            turns += 1;
        }
        let share = TURN * turns * SHARE;
        assert!((Duration::from_millis(950)..Duration::from_millis(1_050)).contains(&share), "{share:?}");
    }

    #[test]
    fn what_was_not_used_is_not_saved_up() {
        let began = Instant::now();
        let mut meter = Meter::new(began, STRANGER_TURN_MAX);
        let later = began + Duration::from_hours(1);
        let turns = std::iter::repeat_with(|| meter.spend(later, TURN));
        assert_eq!(turns.take(6).count(), 6);
        assert_eq!(meter.opens_at(later), Some(later + TURN * SHARE));
    }

    #[test]
    fn a_turn_that_the_system_kept_from_working_is_not_paid_for_in_full() {
        let began = Instant::now();
        let mut meter = Meter::new(began, STRANGER_TURN_MAX);
        meter.spend(began, Duration::from_secs(5));
        assert_eq!(meter.owed(began), STRANGER_TURN_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn time_spent_outside_of_a_turn_is_waited_for_too() {
        let lobby = Lobby::new(LONG_READ_TURN_MAX);
        lobby.spend(BURST + TURN);
        let began = Instant::now();
        drop(lobby.turn().await);
        assert!(began.elapsed() >= TURN * SHARE, "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_in_the_order_of_coming() {
        let lobby = std::sync::Arc::new(Lobby::new(STRANGER_TURN_MAX));
        let first = lobby.turn().await;
        let served = std::sync::Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..5)
            .map(|number| {
                let (lobby, served) = (lobby.clone(), served.clone());
                tokio::spawn(async move {
                    let _turn = lobby.turn().await;
                    served.lock().unwrap().push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        assert!(served.lock().unwrap().is_empty());
        drop(first);
        for one in waiting {
            one.await.unwrap();
        }
        assert_eq!(*served.lock().unwrap(), [0, 1, 2, 3, 4]);
    }
}
