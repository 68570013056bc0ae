//! The journal under the servers: it takes its time, fails, leaves unclear what it did, and takes what a dead server had
//! sent. One storage, and an access of its own for each life of a server.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use inventory_core::Version;
use inventory_core::journal::{Append, Group, Journal, JournalError, MemoryJournal, Snapshot, Tip};
use tokio::time::sleep;

use super::{Mistake, Rates};

/// What survives every server.
pub(super) struct Storage {
    durable: Mutex<Arc<MemoryJournal>>,
    /// Sent, and neither written nor given up: may still be written, whoever sent it.
    late: Mutex<Vec<Group>>,
    /// Acknowledged and not durable: only if the storage makes that mistake.
    undurable: Mutex<Vec<Group>>,
    pub(super) mistake: Option<Mistake>,
    /// Whether anything goes wrong.
    pub(super) storm: AtomicBool,
    pub(super) failed: AtomicU64,
    pub(super) unknown: AtomicU64,
    pub(super) conflicts: AtomicU64,
    pub(super) landed_late: AtomicU64,
}

impl Storage {
    pub(super) fn new(mistake: Option<Mistake>) -> Arc<Self> {
        Arc::new(Self {
            durable: Mutex::default(),
            late: Mutex::default(),
            undurable: Mutex::default(),
            mistake,
            storm: AtomicBool::new(false),
            failed: AtomicU64::new(0),
            unknown: AtomicU64::new(0),
            conflicts: AtomicU64::new(0),
            landed_late: AtomicU64::new(0),
        })
    }

    fn durable(&self) -> Arc<MemoryJournal> {
        Arc::clone(&self.durable.lock().unwrap())
    }

    /// All groups, from the first.
    pub(super) fn groups(&self) -> Vec<Group> {
        pollster::block_on(self.durable().read(Version::ZERO, usize::MAX)).unwrap()
    }

    pub(super) fn tip(&self) -> Tip {
        pollster::block_on(self.durable().tip()).unwrap()
    }

    fn is_stormy(&self) -> bool {
        self.storm.load(Ordering::Relaxed)
    }

    fn has(&self, mistake: Mistake) -> bool {
        self.mistake == Some(mistake)
    }

    fn write(&self, group: Group) -> Append {
        pollster::block_on(self.durable().append(group))
    }

    /// Writes it as the storage was asked to; a mistaken one says so before.
    fn take(&self, group: Group) -> Append {
        self.flush();
        let answer = if self.has(Mistake::AcknowledgesEarly) && self.is_stormy() {
            let fits = self.tip() == Tip { version: group.base(), hash: group.previous() };
            if fits {
                self.undurable.lock().unwrap().push(group);
            }
            if fits { Append::Done } else { Append::Conflict }
        } else {
            self.write(group)
        };
        if answer == Append::Conflict {
            self.conflicts.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }

    fn flush(&self) {
        for group in self.undurable.lock().unwrap().drain(..) {
            self.write(group);
        }
    }

    /// What was sent and not answered is written now, where it still fits, or never.
    pub(super) fn settle_late(&self, rng: &mut Rng) {
        for group in std::mem::take(&mut *self.late.lock().unwrap()) {
            if rng.bool() && self.write(group) == Append::Done {
                self.landed_late.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// A server was killed. What is durable stays; a mistaken storage loses some.
    pub(super) fn killed(&self) {
        self.undurable.lock().unwrap().clear();
        if self.has(Mistake::ForgetsAtKill) && self.is_stormy() {
            let (mut groups, shorter) = (self.groups(), MemoryJournal::new());
            groups.pop();
            for group in groups {
                assert_eq!(pollster::block_on(shorter.append(group)), Append::Done);
            }
            *self.durable.lock().unwrap() = Arc::new(shorter);
        }
    }
}

/// One server's way to the storage.
pub(super) struct Access {
    storage: Arc<Storage>,
    rates: Rates,
    rng: Mutex<Rng>,
    /// Appends take effect in the order in which they were asked for.
    turn: tokio::sync::Mutex<()>,
}

/// A group between server and storage: if its server dies, it may still arrive.
struct UnderWay<'a> {
    access: &'a Access,
    group: Option<Group>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(group) = self.group.take() {
            self.access.storage.late.lock().unwrap().push(group);
        }
    }
}

impl Access {
    pub(super) fn new(storage: Arc<Storage>, rates: Rates, rng: Rng) -> Self {
        Self { storage, rates, rng: Mutex::new(rng), turn: tokio::sync::Mutex::default() }
    }

    fn happens(&self, rate: f64) -> bool {
        self.storage.is_stormy() && self.rng.lock().unwrap().f64() < rate
    }

    fn delay(&self) -> Duration {
        Duration::from_micros(self.rng.lock().unwrap().u64(0..self.rates.append_delay_us_max))
    }

    fn read_fails(&self) -> Result<(), JournalError> {
        if self.happens(self.rates.read_error) {
            return Err(JournalError::Unreachable("the storage is away".into()));
        }
        Ok(())
    }

    fn unknown(&self) -> Append {
        self.storage.unknown.fetch_add(1, Ordering::Relaxed);
        Append::Unknown("no answer from the storage".into())
    }
}

#[async_trait]
impl Journal for Access {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        self.read_fails()?;
        self.storage.durable().load_snapshot().await
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        self.read_fails()?;
        self.storage.flush();
        self.storage.durable().read(after, bytes_max).await
    }

    async fn append(&self, group: Group) -> Append {
        let _turn = self.turn.lock().await;
        let mut under_way = UnderWay { access: self, group: Some(group) };
        sleep(self.delay()).await;
        if self.happens(self.rates.unknown) {
            let lost_answer = self.rng.lock().unwrap().bool();
            if let Some(group) = under_way.group.take_if(|_| lost_answer) {
                self.storage.take(group);
            }
            return self.unknown();
        }
        let Some(group) = under_way.group.take() else { unreachable!("it is taken once") };
        if self.happens(self.rates.failed) {
            if self.storage.has(Mistake::FailsWhatIsWritten) {
                self.storage.write(group);
            }
            self.storage.failed.fetch_add(1, Ordering::Relaxed);
            return Append::Failed("the storage is full".into());
        }
        let answer = self.storage.take(group);
        sleep(self.delay()).await;
        answer
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        self.read_fails()?;
        self.storage.flush();
        self.storage.durable().tip().await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        self.storage.durable().save_snapshot(snapshot).await
    }

    async fn discard_through(&self, version: Version) -> Result<(), JournalError> {
        self.storage.durable().discard_through(version).await
    }
}
