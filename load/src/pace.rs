//! When requests go: at once after an answer, or at a rate.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How much load there is and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Requests in flight on each connection: all of them in a closed loop, at most so many in an open one.
    pub in_flight: u32,
    /// When it is enough.
    pub until: Until,
    /// Requests a second over all connections, for an open loop; none for a closed one.
    pub rate_per_s: Option<f64>,
}

/// When it is enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// After this time no further request is sent.
    Elapsed(Duration),
    /// After so many requests.
    Count(u64),
}

/// An open loop still sends what was due before the end for so long after it: the last requests are never on time to
/// the nanosecond.
const LAST_CALL: Duration = Duration::from_millis(10);

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Send a request that should go, or should have gone, at this moment.
    Send(Instant),
    /// Wait until more is due.
    Wait,
    /// Send nothing more.
    End,
}

/// The schedule that all connections share.
#[derive(Debug)]
pub(crate) struct Pace {
    start: Instant,
    until: Until,
    lanes: u64,
    /// Requests sent, in a closed loop with a count.
    sent: AtomicU64,
    /// Nanoseconds between two requests of an open loop.
    interval_ns: Option<f64>,
}

impl Pace {
    pub(crate) fn new(plan: &Plan, lanes: usize, start: Instant) -> Self {
        let interval_ns = plan.rate_per_s.map(|rate| 1e9 / rate);
        Self {
            start,
            until: plan.until,
            lanes: u64::try_from(lanes).unwrap_or(u64::MAX).max(1),
            sent: AtomicU64::new(0),
            interval_ns,
        }
    }

    /// When it began.
    pub(crate) const fn start(&self) -> Instant {
        self.start
    }

    /// What this lane does after it has sent so many.
    pub(crate) fn next(&self, lane: u64, sent: u64, now: Instant) -> Next {
        if self.interval_ns.is_some() {
            return match self.due(self.ticket(lane, sent)) {
                Some(_) if self.is_over(now, LAST_CALL) => Next::End,
                Some(due) if due <= now => Next::Send(due),
                Some(_) => Next::Wait,
                None => Next::End,
            };
        }
        let may_send = match self.until {
            Until::Elapsed(_) => !self.is_over(now, Duration::ZERO),
            Until::Count(count) => self.sent.fetch_add(1, Ordering::Relaxed) < count,
        };
        if may_send { Next::Send(now) } else { Next::End }
    }

    /// When the ticket of an open loop is due; none if there is no such ticket.
    pub(crate) fn due(&self, ticket: u64) -> Option<Instant> {
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a run of nanoseconds that 53 bits do not hold takes a hundred days"
        )]
        let after = Duration::from_nanos((ticket as f64 * self.interval_ns?) as u64);
        let exists = match self.until {
            Until::Elapsed(length) => after < length,
            Until::Count(count) => ticket < count,
        };
        exists.then(|| self.start.checked_add(after)).flatten()
    }

    /// How long each of the tickets that a lane did not use has waited at the end.
    pub(crate) fn unsent(&self, lane: u64, sent: u64) -> impl Iterator<Item = Duration> + '_ {
        let end = match self.until {
            Until::Elapsed(length) => self.start.checked_add(length),
            Until::Count(_) => None,
        };
        let dues = (sent..).map_while(move |sent| self.due(self.ticket(lane, sent)));
        dues.filter_map(move |due| Some(end?.saturating_duration_since(due)))
    }

    /// Whose ticket it is.
    pub(crate) const fn lane_of(&self, ticket: u64) -> u64 {
        ticket % self.lanes
    }

    pub(crate) const fn is_open(&self) -> bool {
        self.interval_ns.is_some()
    }

    const fn ticket(&self, lane: u64, sent: u64) -> u64 {
        sent.saturating_mul(self.lanes).saturating_add(lane)
    }

    /// Whether the end was so long ago.
    fn is_over(&self, now: Instant, since: Duration) -> bool {
        match self.until {
            Until::Elapsed(length) => {
                now.saturating_duration_since(self.start) >= length.saturating_add(since)
            }
            Until::Count(_) => false,
        }
    }
}

/// Waits until a moment, more exactly than the runtime's own timers of a millisecond where the system can.
#[derive(Debug)]
pub(crate) struct Alarm {
    #[cfg(target_os = "linux")]
    timer: tokio::io::unix::AsyncFd<std::os::fd::OwnedFd>,
}

#[cfg(target_os = "linux")]
impl Alarm {
    pub(crate) fn new() -> std::io::Result<Self> {
        use rustix::time::{TimerfdClockId, TimerfdFlags, timerfd_create};
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        #[expect(
            deprecated,
            reason = "it is unsound for what lets go of its file while registered; this does not"
        )]
        let timer = tokio::io::unix::AsyncFd::new(timer)?;
        Ok(Self { timer })
    }

    /// Waits until then.
    pub(crate) async fn ring_at(&self, then: Instant) -> std::io::Result<()> {
        use rustix::time::{Itimerspec, TimerfdTimerFlags, Timespec, timerfd_settime};
        let wait = then.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            // Others are to run even if this is always late.
            tokio::task::yield_now().await;
            return Ok(());
        }
        let zero = Timespec { tv_sec: 0, tv_nsec: 0 };
        let it_value = Timespec {
            tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: wait.subsec_nanos().into(),
        };
        let spec = Itimerspec { it_interval: zero, it_value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &spec)?;
        self.timer.readable().await?.clear_ready();
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
impl Alarm {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Waits until then.
    pub(crate) async fn ring_at(&self, then: Instant) -> std::io::Result<()> {
        tokio::time::sleep_until(then.into()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START_AFTER: Duration = Duration::from_millis(1);

    fn pace(until: Until, rate_per_s: Option<f64>) -> (Pace, Instant) {
        let start = Instant::now() + START_AFTER;
        (Pace::new(&Plan { in_flight: 1, until, rate_per_s }, 2, start), start)
    }

    #[test]
    fn a_closed_loop_sends_at_once_until_the_time_is_up() {
        let (pace, start) = pace(Until::Elapsed(Duration::from_secs(1)), None);
        let late = start + Duration::from_millis(999);
        assert_eq!(pace.next(0, 0, late), Next::Send(late));
        assert_eq!(pace.next(0, 0, start + Duration::from_secs(1)), Next::End);
    }

    #[test]
    fn a_count_is_shared_by_all_connections() {
        let (pace, start) = pace(Until::Count(3), None);
        let sent = (0..8).filter(|lane| pace.next(lane % 2, 0, start) == Next::Send(start)).count();
        assert_eq!(sent, 3);
    }

    #[test]
    fn an_open_loop_counts_from_when_a_request_should_have_gone() {
        let (pace, start) = pace(Until::Elapsed(Duration::from_secs(1)), Some(1_000.0));
        let ms = Duration::from_millis;
        assert_eq!(pace.next(0, 0, start), Next::Send(start));
        assert_eq!(pace.next(1, 0, start), Next::Wait);
        // The server stalled for half a second: the second request of lane 1 was due at 3 ms, and still is.
        assert_eq!(pace.next(1, 1, start + ms(500)), Next::Send(start + ms(3)));
        assert_eq!(pace.next(1, 1, start + ms(1_010)), Next::End);
    }

    #[test]
    fn the_last_request_of_an_open_loop_goes_although_its_time_is_the_end() {
        let (pace, start) = pace(Until::Elapsed(Duration::from_secs(1)), Some(1_000.0));
        let ms = Duration::from_millis;
        assert_eq!(pace.next(1, 499, start + ms(1_001)), Next::Send(start + ms(999)));
        assert_eq!(pace.next(0, 500, start + ms(1_001)), Next::End, "it was due at the end, not before");
    }

    #[test]
    fn what_an_open_loop_could_not_send_is_not_forgotten() {
        let (pace, _) = pace(Until::Elapsed(Duration::from_millis(10)), Some(1_000.0));
        let unsent: Vec<u128> = pace.unsent(1, 3).map(|waited| waited.as_millis()).collect();
        assert_eq!(unsent, [3, 1], "due at 7 ms and at 9 ms");
        assert_eq!(pace.unsent(0, 5).count(), 0);
    }

    #[test]
    fn an_alarm_rings_not_before_its_time() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let alarm = Alarm::new().unwrap();
            for micros in [0, 50, 3_000] {
                let then = Instant::now() + Duration::from_micros(micros);
                alarm.ring_at(then).await.unwrap();
                assert!(Instant::now() >= then);
            }
        });
    }
}
