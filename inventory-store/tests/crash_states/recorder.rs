//! A disk that writes down what is done to it.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use inventory_store::disk::{Disk, DiskFile, FaultDisk};

/// The number of a file, whatever its name is at the moment.
pub(crate) type FileNumber = usize;

/// Something that changed the disk, or made a change durable. Making a directory is durable at once and left out.
#[derive(Clone, Debug)]
pub(crate) enum Operation {
    /// Changes nothing: this file was there before the recording.
    Found {
        name: String,
        file: FileNumber,
    },
    Create {
        name: String,
        file: FileNumber,
    },
    Write {
        file: FileNumber,
        offset: usize,
        bytes: Vec<u8>,
    },
    SyncData {
        file: FileNumber,
    },
    Rename {
        from: String,
        to: String,
        file: FileNumber,
    },
    Remove {
        name: String,
    },
    SyncDir {
        dir: String,
    },
}

/// Passes everything on to a disk in memory. Clones are the same disk.
#[derive(Clone, Debug)]
pub(crate) struct RecordingDisk {
    disk: FaultDisk,
    log: Arc<Mutex<Log>>,
}

#[derive(Debug, Default)]
struct Log {
    operations: Vec<Operation>,
    numbers: BTreeMap<String, FileNumber>,
    files: usize,
}

impl Log {
    fn new_number(&mut self, name: &str) -> FileNumber {
        let number = self.files;
        self.files += 1;
        self.numbers.insert(name.to_owned(), number);
        number
    }

    /// The number of the file that has this name now.
    fn number(&mut self, name: &str) -> FileNumber {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let file = self.new_number(name);
        self.operations.push(Operation::Found { name: name.to_owned(), file });
        file
    }
}

impl RecordingDisk {
    pub(crate) fn new(disk: FaultDisk) -> Self {
        Self { disk, log: Arc::default() }
    }

    /// How many operations were recorded.
    pub(crate) fn recorded(&self) -> usize {
        self.log.lock().unwrap().operations.len()
    }

    pub(crate) fn operations(&self) -> Vec<Operation> {
        self.log.lock().unwrap().operations.clone()
    }

    fn opened(&self, name: &str, file: Arc<dyn DiskFile>) -> Arc<dyn DiskFile> {
        let number = self.log.lock().unwrap().number(name);
        Arc::new(RecordingFile { file, number, log: Arc::clone(&self.log) })
    }
}

// The log is held during each change, so that it is in the order of the changes.
impl Disk for RecordingDisk {
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
        self.disk.open_to_read(name)
    }

    fn open_to_write(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open_to_write(name)?;
        Ok(self.opened(name, file))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut log = self.log.lock().unwrap();
        let file = self.disk.create(name)?;
        let number = log.new_number(name);
        log.operations.push(Operation::Create { name: name.to_owned(), file: number });
        Ok(Arc::new(RecordingFile { file, number, log: Arc::clone(&self.log) }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut log = self.log.lock().unwrap();
        self.disk.rename(from, to)?;
        let file = log.number(from);
        log.numbers.remove(from);
        log.numbers.insert(to.to_owned(), file);
        log.operations.push(Operation::Rename { from: from.to_owned(), to: to.to_owned(), file });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut log = self.log.lock().unwrap();
        self.disk.remove(name)?;
        log.numbers.remove(name);
        log.operations.push(Operation::Remove { name: name.to_owned() });
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut log = self.log.lock().unwrap();
        self.disk.sync_dir(dir)?;
        log.operations.push(Operation::SyncDir { dir: dir.to_owned() });
        Ok(())
    }
}

#[derive(Debug)]
struct RecordingFile {
    file: Arc<dyn DiskFile>,
    number: FileNumber,
    log: Arc<Mutex<Log>>,
}

impl DiskFile for RecordingFile {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(into, offset)
    }

    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<usize> {
        let mut log = self.log.lock().unwrap();
        let count = self.file.write_at(from, offset)?;
        let (file, offset) = (self.number, usize::try_from(offset).unwrap());
        log.operations.push(Operation::Write { file, offset, bytes: from[..count].to_vec() });
        Ok(count)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut log = self.log.lock().unwrap();
        self.file.sync_data()?;
        log.operations.push(Operation::SyncData { file: self.number });
        Ok(())
    }
}
