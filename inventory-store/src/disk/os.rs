//! The operating system's files.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::{Disk, DiskFile};

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

/// A directory of the operating system.
#[derive(Clone, Debug)]
pub struct OsDisk {
    root: PathBuf,
    /// The directories in it that were made or synced, kept open: a process that has run out of file descriptors can
    /// still sync them. That error would leave in doubt what is on the disk.
    dirs: Arc<Mutex<HashMap<String, Arc<File>>>>,
}

impl OsDisk {
    /// This directory; it is not made.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_path_buf(), dirs: Arc::default() }
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
        Ok(Arc::new(OsFile(File::open(self.path(name))?)))
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
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.dir(dir)?.sync_all()
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
}
