//! The thread that does the upkeep, and what wakes it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use inventory_core::Time;

use super::{Upkeep, UpkeepError, snapshot, tidy};
use crate::file::shared::Shared;
use crate::file::snapshots::Pace;

/// After a failure it is tried again so much later.
const RETRY: Duration = Duration::from_mins(1);
/// How often it is looked whether segments have become too old, or another process has saved a snapshot.
const LOOK: Duration = Duration::from_hours(1);
/// What takes less is no reason to rest.
const WORK_MIN: Duration = Duration::from_micros(100);
/// However long it worked, it rests no longer.
const REST_MAX: Duration = Duration::from_millis(5);

/// The thread. It ends with this.
#[derive(Debug)]
pub(in crate::file) struct Keeper {
    closing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(in crate::file) fn start(
        shared: &Arc<Shared>,
        segment_bytes: u64,
        upkeep: Upkeep,
    ) -> io::Result<Self> {
        let closing = Arc::new(AtomicBool::new(false));
        let keeping = Keeping {
            shared: Arc::clone(shared),
            segment_bytes,
            upkeep,
            closing: Arc::clone(&closing),
            snapshot_at: upkeep.snapshot_every_bytes,
        };
        let thread = thread::Builder::new().name("journal-upkeep".to_owned()).spawn(move || keeping.run())?;
        Ok(Self { closing, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.closing.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            if thread.join().is_err() {
                tracing::error!("the thread of the journal's upkeep panicked");
            }
        }
    }
}

struct Keeping {
    shared: Arc<Shared>,
    segment_bytes: u64,
    upkeep: Upkeep,
    closing: Arc<AtomicBool>,
    /// The next snapshot is due when the journal has grown to this; see [`Growth`](crate::file::shared::Growth).
    snapshot_at: u64,
}

impl Keeping {
    fn run(mut self) {
        give_way();
        let mut tidy_at = Instant::now();
        let mut retry_at: Option<Instant> = None;
        while !self.closing.load(Ordering::SeqCst) && self.shared.poison().is_none() {
            let now = Instant::now();
            let until = retry_at.unwrap_or(tidy_at);
            if until <= now || (retry_at.is_none() && self.snapshot_is_due()) {
                match self.round() {
                    Ok(()) => {
                        retry_at = None;
                        tidy_at = Instant::now() + LOOK;
                    }
                    Err(UpkeepError::Closing) => return,
                    Err(why) => {
                        tell(&why);
                        retry_at = Some(Instant::now() + RETRY);
                    }
                }
                continue;
            }
            if retry_at.is_none() && self.upkeep.snapshot_every_bytes > 0 {
                self.shared.growth.wake_at(self.snapshot_at);
            }
            thread::park_timeout(until.saturating_duration_since(now));
        }
    }

    fn snapshot_is_due(&self) -> bool {
        self.upkeep.snapshot_every_bytes > 0 && self.shared.growth.bytes() >= self.snapshot_at
    }

    fn round(&mut self) -> Result<(), UpkeepError> {
        let closing = Arc::clone(&self.closing);
        let mut rested = Instant::now();
        let mut pace = move || {
            rest(rested.elapsed());
            rested = Instant::now();
            if closing.load(Ordering::Relaxed) { Err(closed()) } else { Ok(()) }
        };
        let saved = if self.snapshot_is_due() { self.save_snapshot(&mut pace) } else { Ok(()) };
        // Also without the snapshot: what is discarded may be the room that it lacks.
        let tidied = tidy(&self.shared, self.segment_bytes, self.upkeep.retain, now(), &mut pace);
        saved.and(tidied)
    }

    fn save_snapshot(&mut self, pace: &mut Pace<'_>) -> Result<(), UpkeepError> {
        let grown = self.shared.growth.bytes();
        let began = Instant::now();
        if let Some(tip) = snapshot::take(&self.shared, pace)? {
            tracing::info!(version = %tip.version, took = ?began.elapsed(), "saved a snapshot");
        }
        self.snapshot_at = grown.saturating_add(self.upkeep.snapshot_every_bytes);
        Ok(())
    }
}

fn tell(why: &UpkeepError) {
    if let UpkeepError::Busy { .. } = why {
        tracing::info!("the next snapshot waits for a minute: {why}");
    } else {
        tracing::error!(
            "looking after the journal failed, nothing is lost and it is tried again in a minute; if it goes on, look at \
             the disk and at `inventory verify`: {why}"
        );
    }
}

/// Leaves the disk to others for as long as it was just used. Who wants this thread to end cuts it short.
fn rest(worked: Duration) {
    if worked >= WORK_MIN {
        thread::park_timeout(worked.min(REST_MAX));
    }
}

/// The engine's threads go first. What is not allowed is not needed either.
fn give_way() {
    #[cfg(target_os = "linux")]
    {
        // On Linux this is the priority of the calling thread alone.
        if let Err(why) = rustix::process::setpriority_process(None, 19) {
            tracing::debug!(%why, "the priority of the journal's upkeep stays as it is");
        }
    }
}

fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Time::from_micros(u64::try_from(since.as_micros()).unwrap_or(u64::MAX))
}

/// Says that the journal is being closed.
#[derive(Debug, thiserror::Error)]
#[error("the journal is being closed")]
struct Closed;

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::Interrupted, Closed)
}

/// Whether this error says that the journal is being closed.
pub(super) fn is_closing(why: &io::Error) -> bool {
    why.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<Closed>)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Disk as _, FaultDisk};
    use crate::file::{FileJournal, FileJournalOptions, Retain, segment};
    use inventory_core::journal::{Append, Journal as _};
    use inventory_core::testing::Chain;

    /// On a full disk, what is discarded may be the room that the snapshot lacks.
    #[test]
    fn a_snapshot_that_cannot_be_made_does_not_keep_what_need_not_be_kept() {
        let disk = FaultDisk::new();
        let options = FileJournalOptions { segment_bytes: 0, prepare_ahead: false };
        let journal = FileJournal::open_on(Arc::new(disk.clone()), options).unwrap();
        let mut chain = Chain::new(1);
        for _ in 0..3 {
            assert_eq!(pollster::block_on(journal.append(chain.next(3_000))), Append::Done);
        }
        pollster::block_on(journal.save_snapshot(chain.snapshot())).unwrap();
        assert_eq!(pollster::block_on(journal.append(chain.next(3_000))), Append::Done);
        disk.set_full(true);
        let upkeep = Upkeep { snapshot_every_bytes: 1, retain: Retain::Bytes(0) };
        let mut keeping = Keeping {
            shared: Arc::clone(&journal.shared),
            segment_bytes: journal.segment_bytes,
            upkeep,
            closing: Arc::default(),
            snapshot_at: 0,
        };
        keeping.round().unwrap_err();
        assert!(disk.open_to_read(&segment::name(1)).is_err(), "the first segment was discarded");
        assert!(keeping.snapshot_is_due(), "and the snapshot is tried again");
    }
}
