//! The spare: a file full of zeros that waits to become the next segment, so that no append waits for one to be written.
//!
//! It is filled in step with the appends, a small piece at a time, each durable before the next. Filled at once it would
//! stand in the disk's queue in front of the appends' own writes, and they would wait for all of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use super::segment;
use crate::disk::{Disk, DiskFile, write_zeros};

/// A whole spare.
pub(super) const SPARE: &str = "journal/spare";
/// A spare on its way; what a crash left of one is overwritten by the next.
const UNFINISHED: &str = "journal/spare.unfinished";
/// A segment that was discarded: its blocks are used for the next spare.
pub(super) const RECYCLED: &str = "journal/recycled";
/// A compressed segment on its way.
pub(super) const COMPRESSED: &str = "journal/compressed.unfinished";

/// Whether this name in the segments' directory is one of these.
pub(super) fn is_ours(file_name: &str) -> bool {
    [SPARE, UNFINISHED, RECYCLED, COMPRESSED]
        .iter()
        .any(|name| name.strip_prefix("journal/") == Some(file_name))
}

/// Makes spares, ahead of need in a thread of its own.
#[derive(Debug)]
pub(super) struct Spares {
    disk: Arc<dyn Disk>,
    state: State,
}

#[derive(Debug)]
enum State {
    None,
    Preparing {
        thread: JoinHandle<io::Result<()>>,
        pace: Arc<Pace>,
    },
    Ready {
        bytes: u64,
    },
    /// One of this size could not be made.
    Failed {
        bytes: u64,
    },
}

/// How much is filled between two syncs.
const PIECE_BYTES: u64 = 256 << 10;

/// How far a spare may be filled: it is to be whole when four fifths of the room in the last segment are used.
#[derive(Debug)]
struct Pace {
    /// The spare's size.
    bytes: u64,
    /// What could be appended when it was begun.
    room: u64,
    appended: AtomicU64,
    /// How far it waits to be filled.
    wanted: AtomicU64,
    /// It is needed now.
    hurry: AtomicBool,
    cancelled: AtomicBool,
}

impl Pace {
    fn new(bytes: u64, room: u64) -> Self {
        let (appended, wanted) = (AtomicU64::new(0), AtomicU64::new(0));
        let (hurry, cancelled) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { bytes, room, appended, wanted, hurry, cancelled }
    }

    /// Whether it may be filled as far as it waits for.
    fn may_go_on(&self) -> bool {
        let appended = u128::from(self.appended.load(Ordering::SeqCst));
        let allowed = appended * u128::from(self.bytes) * 5 / (u128::from(self.room.max(1)) * 4);
        self.hurry.load(Ordering::SeqCst)
            || self.cancelled.load(Ordering::SeqCst)
            || u128::from(self.wanted.load(Ordering::SeqCst)) <= allowed
    }

    /// Parks the calling thread until it may fill the spare as far as this.
    fn wait(&self, wanted: u64) -> io::Result<()> {
        self.wanted.store(wanted, Ordering::SeqCst);
        while !self.may_go_on() {
            thread::park();
        }
        if self.cancelled.load(Ordering::SeqCst) { Err(io::ErrorKind::Interrupted.into()) } else { Ok(()) }
    }
}

impl Spares {
    /// Uses the spare that is there, if there is one.
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        let found = disk.open_to_read(SPARE).and_then(|file| file.len());
        let state = found.map_or(State::None, |bytes| State::Ready { bytes });
        Self { disk, state }
    }

    /// Begins to make a spare of this size, unless there is one, or there was no room for one since the last was taken. It
    /// will be needed when so much more is [`appended`](Self::appended).
    pub(super) fn prepare(&mut self, bytes: u64, room: u64) {
        if !matches!(self.state, State::None) {
            return;
        }
        let pace = Arc::new(Pace::new(bytes, room));
        let (disk, paced) = (Arc::clone(&self.disk), Arc::clone(&pace));
        let thread = thread::Builder::new()
            .name("journal-spare".to_owned())
            .spawn(move || make(&*disk, bytes, Some(&paced)));
        // Without a thread the spare is made when it is needed.
        if let Ok(thread) = thread {
            self.state = State::Preparing { thread, pace };
        }
    }

    /// So many bytes were appended to the last segment.
    pub(super) fn appended(&self, bytes: u64) {
        let State::Preparing { thread, pace } = &self.state else { return };
        pace.appended.fetch_add(bytes, Ordering::SeqCst);
        // Also a thread that seems not to wait: it may have looked just before, and be about to park.
        if pace.may_go_on() {
            thread.thread().unpark();
        }
    }

    /// Whether there is a spare of this size. Makes it if need be, unless one as small could not be made before: on a disk
    /// without room each attempt would fill what is left of it.
    pub(super) fn fits(&mut self, bytes: u64) -> bool {
        self.join();
        !matches!(self.state, State::Failed { bytes: failed } if failed <= bytes) && self.wait(bytes).is_ok()
    }

    /// Waits for a spare of this size, and makes it if need be. It is there until [`taken`](Self::taken).
    pub(super) fn wait(&mut self, bytes: u64) -> io::Result<()> {
        self.join();
        if !matches!(self.state, State::Ready { bytes: ready } if ready == bytes) {
            if let State::Ready { .. } = std::mem::replace(&mut self.state, State::Failed { bytes }) {
                // Of another size: its room may be needed. If it stays, it is replaced.
                let _ = self.disk.remove(SPARE);
            }
            make(&*self.disk, bytes, None)?;
            self.state = State::Ready { bytes };
        }
        Ok(())
    }

    /// The spare became a segment.
    pub(super) fn taken(&mut self) {
        self.state = State::None;
    }

    fn join(&mut self) {
        match std::mem::replace(&mut self.state, State::None) {
            State::Preparing { thread, pace } => {
                let bytes = pace.bytes;
                pace.hurry.store(true, Ordering::SeqCst);
                thread.thread().unpark();
                match thread.join() {
                    Ok(Ok(())) => self.state = State::Ready { bytes },
                    Ok(Err(_)) if pace.cancelled.load(Ordering::SeqCst) => {}
                    // Tried again by whoever needs it, who then has the error.
                    Ok(Err(why)) => {
                        tracing::warn!(%why, bytes, "cannot prepare the journal's next segment");
                        self.state = State::Failed { bytes };
                    }
                    Err(_) => tracing::error!("the thread that prepares segments panicked"),
                }
            }
            other => self.state = other,
        }
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        if let State::Preparing { pace, .. } = &self.state {
            pace.cancelled.store(true, Ordering::SeqCst);
        }
        self.join();
    }
}

/// Makes a spare of this size, in place of one that is there; at this pace, or at once.
fn make(disk: &dyn Disk, bytes: u64, pace: Option<&Pace>) -> io::Result<()> {
    let made = fill(disk, bytes, pace);
    if made.is_err() {
        // Gives the room back; the error that matters is the first.
        let _ = disk.remove(UNFINISHED);
    }
    made
}

fn fill(disk: &dyn Disk, bytes: u64, pace: Option<&Pace>) -> io::Result<()> {
    let file = match disk.open_to_write(RECYCLED) {
        Ok(file) if file.len()? == bytes => {
            disk.rename(RECYCLED, UNFINISHED)?;
            // Before it is overwritten, a loss of power must no longer give it back the name of a segment.
            disk.sync_dir(segment::DIR)?;
            file
        }
        _ => disk.create(UNFINISHED)?,
    };
    match pace {
        Some(pace) => write_zeros_paced(&*file, bytes, pace)?,
        None => write_zeros(&*file, 0, bytes)?,
    }
    file.sync_data()?;
    disk.rename(UNFINISHED, SPARE)?;
    disk.sync_dir(segment::DIR)
}

fn write_zeros_paced(file: &dyn DiskFile, bytes: u64, pace: &Pace) -> io::Result<()> {
    let mut offset = 0;
    while offset < bytes {
        let end = (offset + PIECE_BYTES).min(bytes);
        pace.wait(end)?;
        write_zeros(file, offset, end - offset)?;
        file.sync_data()?;
        offset = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FaultDisk;

    fn spares(disk: &FaultDisk) -> Spares {
        Spares::new(Arc::new(disk.clone()))
    }

    /// What was filled of the spare, once the thread waits.
    fn filled(disk: &FaultDisk, spares: &Spares, wanted: u64) -> u64 {
        let State::Preparing { pace, .. } = &spares.state else { panic!("{spares:?}") };
        while pace.wanted.load(Ordering::SeqCst) < wanted {
            thread::yield_now();
        }
        disk.bytes(UNFINISHED).unwrap().len() as u64
    }

    #[test]
    fn a_spare_is_filled_in_step_with_the_appends_and_is_whole_before_it_is_needed() {
        let disk = FaultDisk::new();
        let mut spares = spares(&disk);
        spares.prepare(8 * PIECE_BYTES, 1_000);
        assert_eq!(filled(&disk, &spares, PIECE_BYTES), 0, "nothing was appended");
        spares.appended(99);
        assert_eq!(filled(&disk, &spares, PIECE_BYTES), 0);
        spares.appended(1);
        assert_eq!(filled(&disk, &spares, 2 * PIECE_BYTES), PIECE_BYTES);
        spares.appended(300);
        assert_eq!(filled(&disk, &spares, 5 * PIECE_BYTES), 4 * PIECE_BYTES);
        spares.appended(400);
        spares.join();
        assert!(matches!(spares.state, State::Ready { .. }), "{spares:?}");
    }

    #[test]
    fn a_spare_that_is_needed_is_filled_at_once() {
        let disk = FaultDisk::new();
        let mut spares = spares(&disk);
        spares.prepare(8 * PIECE_BYTES, 1_000);
        spares.wait(8 * PIECE_BYTES).unwrap();
        assert_eq!(disk.bytes(SPARE).unwrap(), vec![0; 8 << 18]);
    }

    #[test]
    fn a_spare_that_nobody_needs_any_more_leaves_nothing_behind() {
        let disk = FaultDisk::new();
        let mut spares = spares(&disk);
        spares.prepare(8 * PIECE_BYTES, 1_000);
        drop(spares);
        assert_eq!(disk.names(), Vec::<String>::new());
    }
}
