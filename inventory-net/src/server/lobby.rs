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
/// What a turn's later work is taken to cost until some was measured: that of a page of levels.
const LATER_WORK: Duration = Duration::from_micros(50);
/// The most that later work is taken to cost: after a busy spell the next reads wait no longer for what they no longer cost.
const LATER_WORK_MAX: Duration = Duration::from_millis(4);
/// How much of the mean of later work is kept when some was measured: all but one part in so many.
const LATER_WORK_PARTS: u32 = 8;
/// The most that a turn itself counts: a thread that the system left waiting has not worked all that time. On a busy
/// machine thousands of strangers would else keep one with a password waiting for minutes.
const TURN_MAX: Duration = Duration::from_micros(100);

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
    /// Whether work comes of it that others do later.
    starts_work: bool,
    _door: Option<SemaphorePermit<'a>>,
}

impl Lobby {
    /// One whose turns are all that is done for those who wait.
    pub(super) fn new() -> Self {
        Self::with_later_work(Duration::ZERO)
    }

    /// One whose turns only start something: each also counts what that has cost [on average](Self::learn).
    pub(super) fn that_starts_work() -> Self {
        Self::with_later_work(LATER_WORK)
    }

    fn with_later_work(later_work: Duration) -> Self {
        Self { door: Semaphore::new(1), meter: Mutex::new(Meter::new(Instant::now(), later_work)) }
    }

    /// Waits in line, then for time to spend. Safe to cancel.
    pub(super) async fn turn(&self) -> Turn<'_> {
        // Nobody closes the semaphore; if it were, nobody would wait in line.
        let door = self.door.acquire().await.ok();
        self.rested().await;
        Turn { lobby: self, began: Instant::now(), starts_work: true, _door: door }
    }

    /// A turn that waits for time to spend and not in line: for accepting, which is one of many if it stands in line with
    /// those that it let in.
    pub(super) async fn turn_out_of_line(&self) -> Turn<'_> {
        self.rested().await;
        Turn { lobby: self, began: Instant::now(), starts_work: true, _door: None }
    }

    /// Takes in what the work has cost that a turn started. Turns count the mean in advance: if the work itself were counted
    /// when it is done, all who wait could have had their turns by then.
    pub(super) fn learn(&self, later_work: Duration) {
        let mut meter = self.meter();
        // The same thread may have been left waiting here.
        let later_work = later_work.min(meter.later_work.max(LATER_WORK).saturating_mul(2));
        let kept = meter.later_work.saturating_mul(LATER_WORK_PARTS.saturating_sub(1));
        meter.later_work = (kept.saturating_add(later_work) / LATER_WORK_PARTS).min(LATER_WORK_MAX);
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

impl Turn<'_> {
    /// Ends the turn of someone who is gone: nothing comes of it, so only its own time counts.
    pub(super) fn give_up(mut self) {
        self.starts_work = false;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let time = now.saturating_duration_since(self.began).min(TURN_MAX);
        let mut meter = self.lobby.meter();
        let later_work = if self.starts_work { meter.later_work } else { Duration::ZERO };
        meter.spend(now, time.saturating_add(later_work));
    }
}

/// Counts time that was spent, and pays it off as time goes by.
#[derive(Debug)]
struct Meter {
    owed: Duration,
    at: Instant,
    /// What each turn counts beside its own time.
    later_work: Duration,
}

impl Meter {
    const fn new(now: Instant, later_work: Duration) -> Self {
        Self { owed: Duration::ZERO, at: now, later_work }
    }

    fn spend(&mut self, now: Instant, time: Duration) {
        self.owed = self.owed(now).saturating_add(time);
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
        let mut meter = Meter::new(began, Duration::ZERO);
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
        let mut meter = Meter::new(began, Duration::ZERO);
        let later = began + Duration::from_hours(1);
        let turns = std::iter::repeat_with(|| meter.spend(later, TURN));
        assert_eq!(turns.take(6).count(), 6);
        assert_eq!(meter.opens_at(later), Some(later + TURN * SHARE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_the_system_kept_from_working_is_not_paid_for_in_full() {
        let lobby = Lobby::new();
        let turn = lobby.turn().await;
        tokio::time::advance(Duration::from_secs(5)).await;
        drop(turn);
        assert_eq!(lobby.meter().owed, TURN_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_that_is_given_up_keeps_nobody_waiting() {
        let lobby = Lobby::that_starts_work();
        for _ in 0..1_000 {
            lobby.turn().await.give_up();
        }
        assert_eq!(lobby.meter().owed, Duration::ZERO);
        drop(lobby.turn().await);
        assert_eq!(lobby.meter().owed, LATER_WORK);
    }

    #[test]
    fn however_dear_reads_were_the_next_is_taken_to_cost_no_more_than_its_bound() {
        let lobby = Lobby::that_starts_work();
        for _ in 0..1_000 {
            lobby.learn(Duration::from_mins(1));
        }
        assert_eq!(lobby.meter().later_work, LATER_WORK_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_turn_starts_is_waited_for_before_it_is_done() {
        let lobby = Lobby::that_starts_work();
        for _ in 0..100 {
            lobby.learn(10 * BURST);
        }
        drop(lobby.turn().await);
        let began = Instant::now();
        drop(lobby.turn().await);
        let waited = began.elapsed();
        assert!(waited > 8 * BURST * SHARE, "{waited:?}");
    }

    #[test]
    fn one_page_that_the_system_kept_waiting_makes_the_others_hardly_dearer() {
        let lobby = Lobby::that_starts_work();
        lobby.learn(Duration::from_secs(5));
        assert!(lobby.meter().later_work < LATER_WORK * 5 / 4, "{lobby:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_in_the_order_of_coming() {
        let lobby = std::sync::Arc::new(Lobby::new());
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
