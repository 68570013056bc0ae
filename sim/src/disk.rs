//! The simulated machine's disk as one process sees it: a cable to a [`FaultDisk`] that can be pulled, so that a killed
//! process writes nothing more while what it wrote stays in the machine's memory.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use inventory_store::disk::{Disk, DiskFile, FaultDisk};

use crate::defect::Defect;

/// One process's way to the disk. Clones are the same cable.
#[derive(Clone, Debug)]
pub(crate) struct Cable {
    disk: FaultDisk,
    /// It is pulled before the operation of this number.
    pulled_at: Arc<AtomicU64>,
    defect: Option<Defect>,
}

impl Cable {
    pub(crate) fn new(disk: FaultDisk, defect: Option<Defect>) -> Self {
        Self { disk, pulled_at: Arc::new(AtomicU64::new(u64::MAX)), defect }
    }

    /// From the disk's operation of this number on, nothing gets through.
    pub(crate) fn pull_at(&self, operation: u64) {
        self.pulled_at.fetch_min(operation, Ordering::SeqCst);
    }

    /// From now on nothing gets through.
    pub(crate) fn pull(&self) {
        self.pull_at(0);
    }

    /// Whether nothing gets through.
    pub(crate) fn is_pulled(&self) -> bool {
        self.disk.operations() >= self.pulled_at.load(Ordering::SeqCst)
    }

    fn through(&self) -> io::Result<&FaultDisk> {
        if self.is_pulled() {
            return Err(io::Error::other("the process was killed"));
        }
        Ok(&self.disk)
    }

    fn file(&self, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        Arc::new(CableFile { cable: self.clone(), file })
    }
}

impl Disk for Cable {
    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        self.through()?.make_dir(dir)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.through()?.list(dir)
    }

    fn open_to_read(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.through()?.open_to_read(name).map(|file| self.file(file))
    }

    fn open_to_write(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.through()?.open_to_write(name).map(|file| self.file(file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.through()?.create(name).map(|file| self.file(file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.through()?.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.through()?.remove(name)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let disk = self.through()?;
        if self.defect == Some(Defect::NoDirectorySync) { Ok(()) } else { disk.sync_dir(dir) }
    }
}

#[derive(Debug)]
struct CableFile {
    cable: Cable,
    file: Arc<dyn DiskFile>,
}

impl DiskFile for CableFile {
    fn len(&self) -> io::Result<u64> {
        self.cable.through()?;
        self.file.len()
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.cable.through()?;
        self.file.read_at(into, offset)
    }

    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<usize> {
        self.cable.through()?;
        self.file.write_at(from, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.cable.through()?;
        if self.cable.defect == Some(Defect::NoSync) { Ok(()) } else { self.file.sync_data() }
    }
}
