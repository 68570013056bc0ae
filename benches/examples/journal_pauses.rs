//! Where the pauses of the file journal come from: purchases at a fixed rate while snapshots are made all the time and
//! closed segments compressed, beside the same without, and beside a plain file; then the journal's longest operations on the disk,
//! and what its other threads did meanwhile.
//!
//! `cargo run -p inventory-benches --release --example journal_pauses [SECONDS [RATE]]`
//!
//! There is no network, and one thread asks and waits. Rounds are taken in turn, so that whatever else the machine does meets
//! all. Latency of a purchase counts from the moment at which it was due.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use inventory_benches::server::disk_dir;
use inventory_benches::{AnyError, BUYER, NOW, empty_engine, item_at, or_exit, order, stock, upc};
use inventory_core::journal::{Append, Journal as _};
use inventory_core::{AppendId, Command, Engine};
use inventory_store::disk::{Disk, DiskFile, OsDisk};
use inventory_store::{FileJournal, FileJournalOptions, Retain, Upkeep};
use pollster::block_on;

const ITEMS: u64 = 20_000;
const ROUNDS: u32 = 3;
/// How many of the longest operations are shown.
const SHOWN: usize = 8;
/// The name of the thread that appends.
const WRITER: &str = "journal-writer";

/// One operation on the disk.
#[derive(Clone, Debug)]
struct Operation {
    thread: String,
    what: String,
    began: Instant,
    took: Duration,
    /// How much of it the thread could have run and had no core.
    coreless: Duration,
}

impl Operation {
    /// What it took beside the waits for a core.
    fn by_disk(&self) -> Duration {
        self.took.saturating_sub(self.coreless)
    }
}

type Log = Arc<Mutex<Vec<Operation>>>;

/// The operating system's disk, with a log of what takes time.
#[derive(Debug)]
struct WatchedDisk {
    disk: OsDisk,
    log: Log,
}

#[derive(Debug)]
struct WatchedFile {
    file: Arc<dyn DiskFile>,
    name: String,
    log: Log,
}

/// For how long this thread could have run and had no core, so far; only Linux tells.
fn coreless() -> Duration {
    thread_local! {
        static STATISTICS: Option<File> = File::open("/proc/thread-self/schedstat").ok();
    }
    let mut text = [0; 64];
    let read = STATISTICS.with(|file| file.as_ref().and_then(|file| file.read_at(&mut text, 0).ok()));
    let text = String::from_utf8_lossy(text.get(..read.unwrap_or(0)).unwrap_or_default()).into_owned();
    text.split(' ').nth(1).and_then(|nanos| nanos.parse().ok()).map(Duration::from_nanos).unwrap_or_default()
}

fn watched<T>(log: &Log, what: impl FnOnce() -> String, work: impl FnOnce() -> T) -> T {
    let (began, before) = (Instant::now(), coreless());
    let done = work();
    let (took, coreless) = (began.elapsed(), coreless().saturating_sub(before));
    let thread = thread::current().name().unwrap_or_default().to_owned();
    let operation = Operation { thread, what: what(), began, took, coreless };
    log.lock().unwrap_or_else(PoisonError::into_inner).push(operation);
    done
}

impl WatchedDisk {
    fn file(&self, name: &str, file: io::Result<Arc<dyn DiskFile>>) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(WatchedFile { file: file?, name: name.to_owned(), log: Arc::clone(&self.log) }))
    }
}

impl Disk for WatchedDisk {
    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.make_dir(dir)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn open_to_read(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.file(name, self.disk.open_to_read(name))
    }

    fn open_to_write(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.file(name, self.disk.open_to_write(name))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.file(name, watched(&self.log, || format!("create {name}"), || self.disk.create(name)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        watched(&self.log, || format!("rename {from} to {to}"), || self.disk.rename(from, to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        watched(&self.log, || format!("remove {name}"), || self.disk.remove(name))
    }

    fn discard(&self, name: &str) -> io::Result<()> {
        watched(&self.log, || format!("discard {name}"), || self.disk.discard(name))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        watched(&self.log, || format!("sync directory {dir}"), || self.disk.sync_dir(dir))
    }
}

impl DiskFile for WatchedFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let what = || format!("read {} at {offset}", self.name);
        watched(&self.log, what, || self.file.read_at(into, offset))
    }

    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<usize> {
        let what = || format!("write {} bytes of {} at {offset}", from.len(), self.name);
        watched(&self.log, what, || self.file.write_at(from, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        watched(&self.log, || format!("sync {}", self.name), || self.file.sync_data())
    }
}

/// A journal with a shop on it.
struct Shop {
    journal: FileJournal,
    engine: Engine<u64>,
    log: Log,
    sequence: u64,
}

impl Shop {
    fn open(dir: &Path, snapshot_every_bytes: u64) -> Result<Self, AnyError> {
        let log = Log::default();
        let disk = WatchedDisk { disk: OsDisk::create(dir)?, log: Arc::clone(&log) };
        let journal = FileJournal::open_on(Arc::new(disk), FileJournalOptions::default())?;
        let mut engine = empty_engine();
        stock(&mut engine, ITEMS, |engine| flush(engine, &journal))?;
        journal.keep_up(Upkeep { snapshot_every_bytes, retain: Retain::Everything })?;
        Ok(Self { journal, engine, log, sequence: 0 })
    }

    /// Purchases at this rate; gives how long each took. The log holds what was done meanwhile.
    fn round(&mut self, round_time: Duration, rate: u64) -> Result<Vec<Duration>, AnyError> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let mut took = Vec::new();
        let began = Instant::now();
        let mut asked = 0;
        while began.elapsed() < round_time {
            let due = due(began, rate);
            for _ in asked..due {
                let order = order(self.sequence, upc(item_at(self.sequence, ITEMS))?);
                let now = NOW.plus_micros(self.sequence * 10);
                self.engine.submit(now, self.sequence, BUYER, Command::Purchase(order).into());
                self.sequence += 1;
            }
            flush(&mut self.engine, &self.journal)?;
            let since = began.elapsed();
            took.extend((asked..due).map(|number| since.saturating_sub(time_of(number, rate))));
            asked = due;
            thread::yield_now();
        }
        Ok(took)
    }
}

fn flush(engine: &mut Engine<u64>, journal: &FileJournal) -> Result<(), AnyError> {
    while let Some(group) = engine.poll_append(AppendId(1)) {
        if block_on(journal.append(group)) != Append::Done {
            return Err("a group was not written".into());
        }
        engine.appended();
    }
    while engine.poll_reply().is_some() {}
    Ok(())
}

/// How many are due by now.
fn due(began: Instant, rate: u64) -> u64 {
    u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX).saturating_mul(rate) / 1_000_000
}

fn time_of(number: u64, rate: u64) -> Duration {
    Duration::from_micros(number.saturating_mul(1_000_000) / rate.max(1))
}

/// What the machine gives: 4 KiB written and synced, one after the other, into a file full of zeros.
fn plain_file(dir: &Path, round_time: Duration) -> Result<Vec<Duration>, AnyError> {
    const FILE_BYTES: u64 = 16 << 20;
    let disk = OsDisk::create(dir)?;
    let file = disk.create("plain")?;
    file.write_at(&vec![0; usize::try_from(FILE_BYTES)?], 0)?;
    file.sync_data()?;
    let mut took = Vec::new();
    let began = Instant::now();
    let mut offset = 0;
    while began.elapsed() < round_time {
        let asked = Instant::now();
        file.write_at(&[1; 4_096], offset)?;
        file.sync_data()?;
        took.push(asked.elapsed());
        offset = (offset + 4_096) % FILE_BYTES;
    }
    Ok(took)
}

fn show(name: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |part: usize| took.get(took.len() * part / 1_000).copied().unwrap_or_default();
    let max = took.last().copied().unwrap_or_default();
    println!(
        "{name:<34} {:>9}  p50 {:>9.1?}  p99 {:>9.1?}  p99.9 {:>9.1?}  longest {max:>9.1?}",
        took.len(),
        at(500),
        at(990),
        at(999)
    );
}

/// The writer's syncs, whole and without the waits for a core; and the longest of them, with what others did at the same time.
fn show_syncs(name: &str, log: &[Operation]) {
    let mut syncs: Vec<&Operation> =
        log.iter().filter(|done| done.thread == WRITER && done.what.starts_with("sync ")).collect();
    show(&format!("{name}: syncs"), syncs.iter().map(|sync| sync.took).collect());
    show(&format!("{name}: syncs, by the disk"), syncs.iter().map(|sync| sync.by_disk()).collect());
    syncs.sort_unstable_by_key(|sync| std::cmp::Reverse(sync.by_disk()));
    for sync in syncs.into_iter().take(SHOWN) {
        println!("    {:>9.1?}, of which without a core {:.1?}: {}", sync.took, sync.coreless, sync.what);
        let end = sync.began + sync.took;
        let meanwhile = log.iter().filter(|other| {
            other.thread != WRITER && other.began < end && other.began + other.took > sync.began
        });
        for other in meanwhile.take(SHOWN) {
            let before = sync.began.saturating_duration_since(other.began);
            println!(
                "        {}: {:.1?}, begun {before:.1?} before: {}",
                other.thread, other.took, other.what
            );
        }
    }
}

fn run(round_time: Duration, rate: u64) -> Result<(), AnyError> {
    let (plain_dir, quiet_dir, busy_dir) = (disk_dir()?, disk_dir()?, disk_dir()?);
    let mut quiet = Shop::open(quiet_dir.path(), 0)?;
    let mut busy = Shop::open(busy_dir.path(), 1)?;
    let (mut plain, mut without, mut with) = (Vec::new(), Vec::new(), Vec::new());
    let (mut quiet_log, mut busy_log) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.extend(plain_file(plain_dir.path(), round_time / 4)?);
        for (shop, took, log) in
            [(&mut quiet, &mut without, &mut quiet_log), (&mut busy, &mut with, &mut busy_log)]
        {
            took.extend(shop.round(round_time, rate)?);
            log.append(&mut shop.log.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
    show("a plain file, write and sync", plain);
    show("quiet: purchases", without);
    show_syncs("quiet", &quiet_log);
    show("upkeep: purchases", with);
    show_syncs("upkeep", &busy_log);
    Ok(())
}

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (seconds, rate) = (numbers.next().unwrap_or(10), numbers.next().unwrap_or(70_000));
    or_exit(run(Duration::from_secs(seconds), rate));
}
