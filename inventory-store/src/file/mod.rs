//! The file journal: a directory with `journal/` (segments), `snapshots/` and `lock`.
//!
//! | file | what it is |
//! |---|---|
//! | `record` | the bytes of one durable write, and why they are as they are |
//! | `segment` | the bytes and names of the files that hold records |
//! | `recovery` | what is there, and cutting the torn end |
//! | `writer` | the thread that appends |
//! | `reader`, `cursor`, `index`, `by_time` | finding and reading groups |
//! | `spare` | segments made ahead of need |
//! | `packed` | the bytes of a compressed segment |
//! | `upkeep` | snapshots in the background, retention, compression |
//! | `report`, `view`, `copy` | looking at a directory without changing it, also at one in use, and copying it |
//! | `snapshots`, `lock`, `damage` | what the names say |

mod by_time;
mod copy;
mod cursor;
mod damage;
mod index;
mod lock;
mod packed;
mod reader;
mod record;
mod recovery;
mod report;
mod segment;
mod shared;
mod snapshots;
mod spare;
mod upkeep;
mod view;
mod writer;

pub use copy::{Copied, CopyError};
pub use damage::{Damage, OpenError};
pub use report::{Report, SegmentReport, TornTail, inspect, inspect_on};
pub use upkeep::{Retain, Upkeep, UpkeepError, take_snapshot};
pub use view::{View, ViewedSnapshots};

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use inventory_core::defect::{self, Defect};
use inventory_core::journal::{Append, Group, Journal, JournalError, Snapshot, Tip};
use inventory_core::{Time, Version};
use tokio::sync::oneshot;

use self::index::{Entry, Index};
use self::lock::{Lock, LockError};
use self::reader::unreachable;
use self::recovery::{Scope, Survey, Torn, failed};
use self::shared::Shared;
use self::spare::Spares;
use self::upkeep::Keeper;
use self::writer::{Failure, LastSegment, Request, SMALL_SEGMENT_BYTES, Writer};
use crate::defect::inherited;
use crate::disk::{Disk, OsDisk};

/// The smallest segment.
const SEGMENT_BYTES_MIN: u64 = 8 << 10;

/// The settings of a file journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileJournalOptions {
    /// Size of a new segment in bytes, at least 8 KiB and rounded up to a multiple of 4 KiB. A group that is larger gets
    /// a larger one; the first has at most 4 MiB, as have those on a disk without room for more. Segments that are there
    /// keep theirs.
    pub segment_bytes: u64,
    /// Whether the next segment is made in another thread before the last one is full. Without it every
    /// operation on the disk is made in the order of the calls, which a simulation needs.
    pub prepare_ahead: bool,
}

impl Default for FileJournalOptions {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, prepare_ahead: true }
    }
}

/// A journal in the files of one directory: segments of records, and snapshots, byte by byte in docs/journal-format.md.
///
/// All groups that wait at the same time are written and synced together. Reading does not wait for writing.
/// Dropping it answers all appends made, closes the files and releases the directory.
///
/// ```
/// use inventory_core::{journal::{Append, Journal}, testing::Chain};
/// use inventory_store::{FileJournal, FileJournalOptions};
/// # let parent = tempfile::tempdir()?;
/// # let dir = &parent.path().join("data");
/// let journal = FileJournal::open(dir, FileJournalOptions::default())?;
/// let mut chain = Chain::new(1);
/// let appended = pollster::block_on(journal.append(chain.next(1_000)));
/// assert_eq!(appended, Append::Done);
/// drop(journal);
///
/// let journal = FileJournal::open(dir, FileJournalOptions::default())?;
/// assert_eq!(pollster::block_on(journal.tip()), Ok(chain.tip()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FileJournal {
    shared: Arc<Shared>,
    segment_bytes: u64,
    /// None only while it is dropped.
    requests: Option<Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    /// None unless it was asked for.
    keeper: Mutex<Option<Keeper>>,
    /// Released with the last who could still write; whoever only reads may go on without it.
    lock: Option<Arc<Lock>>,
}

impl FileJournal {
    /// Opens the journal in this directory, alone; makes both if they are not there.
    ///
    /// First looks at what is there without changing anything. If durable bytes were changed or are missing, that is the
    /// answer. The torn end of a write that was never answered is cut.
    pub fn open(dir: &Path, options: FileJournalOptions) -> Result<Self, OpenError> {
        let disk = OsDisk::create(dir).map_err(|why| OpenError::Io { path: dir.to_path_buf(), why })?;
        let lock = Lock::take(dir, lock::JOURNAL).map_err(|why| match why {
            LockError::Held(holder) => OpenError::InUse { dir: dir.to_path_buf(), holder },
            LockError::Io(why) => OpenError::Io { path: dir.to_path_buf(), why },
        })?;
        Self::start(Arc::new(disk), options, Some((dir.to_path_buf(), lock)))
    }

    /// Opens the journal on this disk. The caller sees to it that no other is open on it.
    pub fn open_on(disk: Arc<dyn Disk>, options: FileJournalOptions) -> Result<Self, OpenError> {
        Self::start(disk, options, None)
    }

    fn start(
        disk: Arc<dyn Disk>,
        options: FileJournalOptions,
        held: Option<(PathBuf, Lock)>,
    ) -> Result<Self, OpenError> {
        for dir in [segment::DIR, snapshots::DIR] {
            disk.make_dir(dir).map_err(|why| failed(&*disk, dir, why))?;
        }
        let mut survey = recovery::survey(&*disk, Scope::AfterSnapshot, &mut |_| ControlFlow::Continue(()))?;
        if let Some(damage) = survey.damage.take() {
            return Err(OpenError::Damaged(damage));
        }
        for damage in &survey.snapshots.damaged {
            tracing::warn!(%damage, "ignored a damaged snapshot: the journal still holds what it covers");
        }
        make_durable(&*disk)?;
        let last = open_last(&*disk, &survey)?;
        let segment_bytes = options.segment_bytes.max(SEGMENT_BYTES_MIN).next_multiple_of(4096);
        let Survey { segments, snapshots, tip, bytes_after_snapshot, .. } = survey;
        let segments = segments.into_iter().map(|segment| Entry {
            number: segment.header.number,
            base: segment.header.base.version,
            file_bytes: segment.header.file_bytes(),
            is_packed: segment.header.packed.is_some(),
            positions: segment.positions,
        });
        let index = Index { segments: segments.collect(), tip };
        let (dir, lock) = held.unzip();
        let shared = Arc::new(Shared::new(disk, index, snapshots.newest, bytes_after_snapshot, dir));
        let writer = Writer {
            shared: Arc::clone(&shared),
            spares: Spares::new(Arc::clone(&shared.disk)),
            tip,
            last,
            segment_bytes,
            prepare_ahead: options.prepare_ahead,
            buffer: Vec::new(),
        };
        let (requests, writer) =
            start_writer(writer).map_err(|why| failed(&*shared.disk, segment::DIR, why))?;
        Ok(Self {
            shared,
            segment_bytes,
            requests: Some(requests),
            writer: Some(writer),
            keeper: Mutex::default(),
            lock: lock.map(Arc::new),
        })
    }
}

/// Makes the names that were found durable: a process that ended between a change of names and its sync, or met an error
/// there, leaves names that a loss of power would still take back.
fn make_durable(disk: &dyn Disk) -> Result<(), OpenError> {
    for dir in [segment::DIR, snapshots::DIR] {
        disk.sync_dir(dir).map_err(|why| failed(disk, dir, why))?;
    }
    Ok(())
}

/// Opens the last segment for writing, makes its last record durable and cuts its torn end.
fn open_last(disk: &dyn Disk, survey: &Survey) -> Result<Option<LastSegment>, OpenError> {
    let Some(header) = survey.segments.last().map(|segment| segment.header) else { return Ok(None) };
    let name = segment::name(header.number);
    let io = |why| failed(disk, &name, why);
    let file = disk.open_to_write(&name).map_err(io)?;
    if let Some(offset) = survey.last_record.filter(|_| !defect::is(Defect::LastRecordNotRewritten)) {
        recovery::write_again(&*file, offset, survey.position).map_err(io)?;
    }
    if let Some(torn) = survey.torn {
        tracing::warn!(
            path = %disk.path(&name).display(), offset = torn.offset, bytes = torn.bytes, version = %survey.tip.version,
            "cut the torn end of a write that was never acknowledged"
        );
        recovery::cut(&*file, torn).map_err(io)?;
        if let Some(offset) = survey.last_record.filter(|_| defect::is(Defect::TornEndCutTooFar)) {
            recovery::cut(&*file, Torn { offset, bytes: torn.offset - offset }).map_err(io)?;
        }
    }
    let (number, bytes) = (header.number, header.bytes);
    Ok(Some(LastSegment { file, number, bytes, position: survey.position, marked: survey.marked }))
}

/// Makes the first segment if there is none, leaves a mark behind what was recovered, and starts the thread.
fn start_writer(mut writer: Writer) -> io::Result<(Sender<Request>, JoinHandle<()>)> {
    if writer.last.is_none() {
        let bytes = writer.segment_bytes.min(SMALL_SEGMENT_BYTES);
        writer.begin_segment(bytes).map_err(io::Error::other)?;
    }
    match writer.mark() {
        Ok(()) => {}
        Err(why @ Failure::Definite(_)) => tracing::warn!(%why, "cannot mark the journal's end"),
        Err(why @ Failure::Unclear(_)) => return Err(io::Error::other(why)),
    }
    let (requests, received) = channel();
    let thread = thread::Builder::new()
        .name("journal-writer".to_owned())
        .spawn(inherited(move || writer.run(&received)))?;
    Ok((requests, thread))
}

impl Drop for FileJournal {
    fn drop(&mut self) {
        self.stop_upkeep();
        self.requests = None;
        if self.writer.take().is_some_and(|writer| writer.join().is_err()) {
            tracing::error!("the journal's writer panicked");
        }
    }
}

#[async_trait]
impl Journal for FileJournal {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        self.off_this_thread(|shared, _| load_snapshot(shared)).await
    }

    // Written without `async`, so that the reading begins when it is called: replay applies one page meanwhile.
    fn read<'this, 'groups>(
        &'this self,
        after: Version,
        bytes_max: usize,
    ) -> Pin<Box<dyn Future<Output = Result<Vec<Group>, JournalError>> + Send + 'groups>>
    where
        'this: 'groups,
        Self: 'groups,
    {
        Box::pin(self.off_this_thread(move |shared, _| reader::read(shared, after, bytes_max)))
    }

    async fn position(&self, time: Time) -> Result<Version, JournalError> {
        self.off_this_thread(move |shared, _| by_time::position(shared, time)).await
    }

    // Written without `async`, so that the append takes its place when it is called, not when it is first polled.
    fn append<'this, 'answer>(
        &'this self,
        group: Group,
    ) -> Pin<Box<dyn Future<Output = Append> + Send + 'answer>>
    where
        'this: 'answer,
        Self: 'answer,
    {
        let (answer, answered) = oneshot::channel();
        let request = Request { group, answer };
        let sent = self.requests.as_ref().is_some_and(|requests| requests.send(request).is_ok());
        Box::pin(async move {
            match answered.await {
                Ok(answer) if sent => answer,
                _ => Append::Unknown("the journal's writer has ended".to_owned()),
            }
        })
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        self.shared.check_poison()?;
        Ok(self.shared.index().tip)
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        let lock = self.lock.clone();
        self.off_this_thread(move |shared, _| {
            let _held = lock;
            upkeep::save_snapshot(shared, &snapshot)
        })
        .await
    }

    async fn discard_through(&self, version: Version) -> Result<(), JournalError> {
        let lock = self.lock.clone();
        self.off_this_thread(move |shared, segment_bytes| {
            let _held = lock;
            upkeep::discard_through(shared, segment_bytes, version)
        })
        .await
    }
}

impl FileJournal {
    /// Begins what may take long, in a thread of its own: it must not hold up the caller's other tasks.
    fn off_this_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, u64) -> Result<T, JournalError> + Send + 'static,
    ) -> impl Future<Output = Result<T, JournalError>> + Send + 'static {
        let begun = self.begin(work);
        async move { begun?.await.map_err(|_| JournalError::Unreachable("the work was not finished".to_owned()))? }
    }

    fn begin<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Shared, u64) -> Result<T, JournalError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, JournalError>>, JournalError> {
        self.shared.check_poison()?;
        let (answer, answered) = oneshot::channel();
        let (shared, segment_bytes) = (Arc::clone(&self.shared), self.segment_bytes);
        let thread = thread::Builder::new().name("journal-keeper".to_owned());
        // Nobody waits for an answer that is not received.
        let work = inherited(move || drop(answer.send(work(&shared, segment_bytes))));
        let spawned = thread.spawn(work);
        spawned.map_err(|why| JournalError::Unreachable(format!("cannot start a thread: {why}")))?;
        Ok(answered)
    }
}

fn load_snapshot(shared: &Shared) -> Result<Option<Snapshot>, JournalError> {
    let mut known = shared.housekeeping();
    if let Some(snapshot) = known.opened.take() {
        return Ok(Some(snapshot));
    }
    let found =
        snapshots::find(&*shared.disk).map_err(|why| unreachable(&*shared.disk, snapshots::DIR, &why))?;
    let covered = found.newest.as_ref().map(|snapshot| snapshot.tip().version);
    known.newest = covered;
    match found.damaged.first() {
        Some(damage) if covered.unwrap_or_default() < shared.index().start() => {
            Err(JournalError::Damaged(damage.to_string()))
        }
        _ => Ok(found.newest),
    }
}
