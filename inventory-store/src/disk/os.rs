//! The operating system's files.
//!
//! Room is given back little by little. A file system that tells its disk of freed blocks (`discard`) does so for all blocks of a
//! removed file at once, and a write to the journal waits behind that for milliseconds; so a large file that is discarded or
//! replaced loses its name first, durably, then its end, piece by piece. Nobody sees it shorter: whoever reads a file holds
//! a shared lock on it, and without an exclusive one on a file that has no name left, nothing is cut off.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};
use std::time::Instant;

use super::{Disk, DiskFile};

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;
/// How much of a removed file is given back at once.
const FREED_BYTES: u64 = 1 << 20;

/// A directory of the operating system.
#[derive(Clone, Debug)]
pub struct OsDisk {
    root: PathBuf,
    /// The directories in it that were made or synced, kept open: a process that has run out of file descriptors can
    /// still sync them. That error would leave in doubt what is on the disk.
    dirs: Arc<Mutex<HashMap<String, Arc<File>>>>,
    /// Large files that lost their name in a directory that was not synced since by the thread that took it.
    nameless: Arc<Mutex<Vec<(ThreadId, String, File)>>>,
}

impl OsDisk {
    /// This directory; it is not made.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), dirs: Arc::default(), nameless: Arc::default() }
    }

    /// This directory; made durably if it is not there, with the directories above it, for its owner only.
    pub fn create(root: &Path) -> io::Result<Self> {
        let missing: Vec<&Path> = root.ancestors().take_while(|dir| !dir.exists()).collect();
        if !root.is_dir() {
            DirBuilder::new().mode(DIR_MODE).recursive(true).create(root)?;
        }
        if missing.is_empty() {
            // Whoever made it may not have made it durable. One in a directory that cannot be read was not made here.
            match sync_name_of(root) {
                Err(why) if why.kind() != io::ErrorKind::PermissionDenied => return Err(why),
                _ => {}
            }
        }
        missing.into_iter().try_for_each(sync_name_of)?;
        Ok(Self::new(root))
    }

    fn lost_its_name(&self, name: &str, file: Option<File>) {
        let dir = name.rsplit_once('/').map_or("", |(dir, _)| dir).to_owned();
        let mut nameless = self.nameless.lock().unwrap_or_else(PoisonError::into_inner);
        nameless.extend(file.map(|file| (thread::current().id(), dir, file)));
    }

    fn dir(&self, dir: &str) -> io::Result<Arc<File>> {
        let mut dirs = self.dirs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = dirs.get(dir) {
            return Ok(Arc::clone(open));
        }
        let open = Arc::new(File::open(self.path(dir))?);
        dirs.insert(dir.to_owned(), Arc::clone(&open));
        Ok(open)
    }
}

/// Opens a file that will not be cut off as long as it is open.
fn open_whole(path: &Path) -> io::Result<File> {
    loop {
        let file = File::open(path)?;
        let locked = file.try_lock_shared();
        // Where there are no locks, nobody cuts anything off.
        if file.metadata()?.nlink() > 0 || matches!(locked, Err(TryLockError::Error(_))) {
            return Ok(file);
        }
        // It was removed in between: there is another of this name, or none.
    }
}

/// A file that is about to lose this name, if there is one that is large.
fn large(path: &Path) -> Option<File> {
    let file = OpenOptions::new().write(true).open(path).ok()?;
    (file.metadata().ok()?.len() > FREED_BYTES).then_some(file)
}

/// Gives back the room of a file without a name, with rests as long as the work.
fn give_back(file: &File) -> io::Result<()> {
    if file.metadata()?.nlink() > 0 || file.try_lock().is_err() {
        return Ok(());
    }
    let mut left = file.metadata()?.len();
    while left > 0 {
        left = left.saturating_sub(FREED_BYTES);
        let began = Instant::now();
        file.set_len(left)?;
        thread::sleep(began.elapsed());
    }
    Ok(())
}

/// Makes the name of a directory durable.
fn sync_name_of(dir: &Path) -> io::Result<()> {
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

impl Disk for OsDisk {
    fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        let path = self.path(dir);
        match DirBuilder::new().mode(DIR_MODE).create(&path) {
            Err(why) if why.kind() != io::ErrorKind::AlreadyExists || !path.is_dir() => Err(why),
            // Also one that is there: whoever made it may have ended before it was durable.
            _ => File::open(&self.root)?.sync_all(),
        }?;
        self.dir(dir).map(drop)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        match fs::read_dir(self.path(dir)) {
            Ok(entries) => {
                entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
            }
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(why) => Err(why),
        }
    }

    fn open_to_read(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OsFile(open_whole(&self.path(name))?)))
    }

    fn open_to_write(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(self.path(name))?;
        Ok(Arc::new(OsFile(file)))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true).mode(FILE_MODE);
        Ok(Arc::new(OsFile(options.open(self.path(name))?)))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let replaced = large(&self.path(to));
        fs::rename(self.path(from), self.path(to))?;
        self.lost_its_name(to, replaced);
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn discard(&self, name: &str) -> io::Result<()> {
        let removed = large(&self.path(name));
        self.remove(name)?;
        self.lost_its_name(name, removed);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let nameless: Vec<File> = {
            let mut nameless = self.nameless.lock().unwrap_or_else(PoisonError::into_inner);
            // Another thread's are left to it: this one may be the journal's writer, which must not wait for them.
            let ours = |(by, parent, _): &mut (ThreadId, String, File)| {
                *by == thread::current().id() && parent == dir
            };
            nameless.extract_if(.., ours).map(|(_, _, file)| file).collect()
        };
        // Not before: a loss of power may give a name back until it is durable that it is gone.
        self.dir(dir)?.sync_all()?;
        // What fails is left to the system.
        for file in &nameless {
            let _ = give_back(file);
        }
        Ok(())
    }
}

#[derive(Debug)]
struct OsFile(File);

impl DiskFile for OsFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(into, offset)
    }

    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(from, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_synced_without_opening_it_again() {
        let parent = tempfile::tempdir().unwrap();
        let disk = OsDisk::create(parent.path()).unwrap();
        disk.make_dir("journal").unwrap();
        fs::rename(disk.path("journal"), disk.path("elsewhere")).unwrap();
        disk.sync_dir("journal").unwrap();
        assert!(disk.sync_dir("never made").is_err());
    }

    const LARGE: &str = "journal/large";

    /// A disk with a file that is given back in pieces.
    fn disk_with_large_file() -> (tempfile::TempDir, OsDisk) {
        let parent = tempfile::tempdir().unwrap();
        let disk = OsDisk::create(parent.path()).unwrap();
        disk.make_dir("journal").unwrap();
        disk.create(LARGE).unwrap().write_at(b"end", 3 * FREED_BYTES).unwrap();
        (parent, disk)
    }

    fn discard_or_replace(disk: &OsDisk, replace: bool) {
        if replace {
            disk.create("journal/other").unwrap();
            disk.rename("journal/other", LARGE).unwrap();
        } else {
            disk.discard(LARGE).unwrap();
        }
    }

    #[test]
    fn a_file_that_is_discarded_or_replaced_stays_whole_for_whoever_reads_it() {
        for replace in [false, true] {
            let (_parent, disk) = disk_with_large_file();
            let reads = disk.open_to_read(LARGE).unwrap();
            discard_or_replace(&disk, replace);
            disk.sync_dir("journal").unwrap();
            let mut read = [0; 3];
            assert_eq!(reads.read_at(&mut read, 3 * FREED_BYTES).unwrap(), 3);
            assert_eq!((reads.len().unwrap(), &read), (3 * FREED_BYTES + 3, b"end"));
        }
    }

    #[test]
    fn a_file_that_is_discarded_stays_whole_under_its_other_name() {
        let (_parent, disk) = disk_with_large_file();
        fs::hard_link(disk.path(LARGE), disk.path("kept by somebody")).unwrap();
        disk.discard(LARGE).unwrap();
        disk.sync_dir("journal").unwrap();
        assert_eq!(disk.open_to_read("kept by somebody").unwrap().len().unwrap(), 3 * FREED_BYTES + 3);
    }

    #[test]
    fn the_room_of_a_file_that_nobody_reads_is_given_back_when_it_is_durable_that_it_is_gone() {
        for replace in [false, true] {
            let (_parent, disk) = disk_with_large_file();
            let still_open = disk.open_to_write(LARGE).unwrap();
            discard_or_replace(&disk, replace);
            disk.sync_dir("").unwrap();
            assert_eq!(still_open.len().unwrap(), 3 * FREED_BYTES + 3, "another directory was synced");
            disk.sync_dir("journal").unwrap();
            assert_eq!(still_open.len().unwrap(), 0);
        }
    }

    #[test]
    fn another_thread_that_syncs_the_directory_does_not_wait_for_that() {
        let (_parent, disk) = disk_with_large_file();
        let still_open = disk.open_to_write(LARGE).unwrap();
        disk.discard(LARGE).unwrap();
        thread::scope(|scope| scope.spawn(|| disk.sync_dir("journal").unwrap()).join().unwrap());
        assert_eq!(still_open.len().unwrap(), 3 * FREED_BYTES + 3);
        disk.sync_dir("journal").unwrap();
        assert_eq!(still_open.len().unwrap(), 0);
    }
}
