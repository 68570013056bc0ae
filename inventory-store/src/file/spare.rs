//! The spare: a file full of zeros that waits to become the next segment, so that no append waits for one to be written.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use super::segment;
use crate::disk::{Disk, write_zeros};

/// A whole spare.
pub(super) const SPARE: &str = "journal/spare";
/// A spare on its way; what a crash left of one is overwritten by the next.
const UNFINISHED: &str = "journal/spare.unfinished";
/// A segment that was discarded: its blocks are used for the next spare.
pub(super) const RECYCLED: &str = "journal/recycled";

/// Whether this name in the segments' directory is one of these.
pub(super) fn is_ours(file_name: &str) -> bool {
    [SPARE, UNFINISHED, RECYCLED].iter().any(|name| name.strip_prefix("journal/") == Some(file_name))
}

/// Makes spares, ahead of need in a thread of its own.
#[derive(Debug)]
pub(super) struct Spares {
    disk: Arc<dyn Disk>,
    cancelled: Arc<AtomicBool>,
    state: State,
}

#[derive(Debug)]
enum State {
    None,
    Preparing {
        thread: JoinHandle<io::Result<()>>,
        bytes: u64,
    },
    Ready {
        bytes: u64,
    },
    /// One of this size could not be made.
    Failed {
        bytes: u64,
    },
}

impl Spares {
    /// Uses the spare that is there, if there is one.
    pub(super) fn new(disk: Arc<dyn Disk>) -> Self {
        let found = disk.open_to_read(SPARE).and_then(|file| file.len());
        let state = found.map_or(State::None, |bytes| State::Ready { bytes });
        Self { disk, cancelled: Arc::default(), state }
    }

    /// Begins to make a spare of this size, unless there is one, or there was no room for one since the last was taken.
    pub(super) fn prepare(&mut self, bytes: u64) {
        if !matches!(self.state, State::None) {
            return;
        }
        let (disk, cancelled) = (Arc::clone(&self.disk), Arc::clone(&self.cancelled));
        let thread = thread::Builder::new()
            .name("journal-spare".to_owned())
            .spawn(move || make(&*disk, bytes, || !cancelled.load(Ordering::Relaxed)));
        // Without a thread the spare is made when it is needed.
        if let Ok(thread) = thread {
            self.state = State::Preparing { thread, bytes };
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
            make(&*self.disk, bytes, || true)?;
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
            State::Preparing { thread, bytes } => match thread.join() {
                Ok(Ok(())) => self.state = State::Ready { bytes },
                Ok(Err(_)) if self.cancelled.load(Ordering::Relaxed) => {}
                // Tried again by whoever needs it, who then has the error.
                Ok(Err(why)) => {
                    tracing::warn!(%why, bytes, "cannot prepare the journal's next segment");
                    self.state = State::Failed { bytes };
                }
                Err(_) => tracing::error!("the thread that prepares segments panicked"),
            },
            other => self.state = other,
        }
    }
}

impl Drop for Spares {
    fn drop(&mut self) {
        self.cancelled.store(true, Ordering::Relaxed);
        self.join();
    }
}

/// Makes a spare of this size, in place of one that is there.
fn make(disk: &dyn Disk, bytes: u64, go_on: impl Fn() -> bool) -> io::Result<()> {
    let made = fill(disk, bytes, go_on);
    if made.is_err() {
        // Gives the room back; the error that matters is the first.
        let _ = disk.remove(UNFINISHED);
    }
    made
}

fn fill(disk: &dyn Disk, bytes: u64, go_on: impl Fn() -> bool) -> io::Result<()> {
    let file = match disk.open_to_write(RECYCLED) {
        Ok(file) if file.len()? == bytes => {
            disk.rename(RECYCLED, UNFINISHED)?;
            file
        }
        _ => disk.create(UNFINISHED)?,
    };
    write_zeros(&*file, 0, bytes, go_on)?;
    file.sync_data()?;
    disk.rename(UNFINISHED, SPARE)?;
    disk.sync_dir(segment::DIR)
}
