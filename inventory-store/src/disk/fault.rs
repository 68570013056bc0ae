//! A disk in memory that keeps what was written and what is durable apart, fails on demand and loses its power.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile};

/// What a disk writes in one piece, in bytes.
const SECTOR_BYTES: usize = 512;

/// What goes wrong at one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The operation does nothing and answers with this error. After a failed sync the bytes in question are never
    /// made durable by a later one, as on Linux.
    Error(io::ErrorKind),
    /// A write writes only this many bytes and then answers that the disk is full; other operations fail.
    Short(usize),
    /// The power fails in the middle of the operation: it and every later one answers with an error.
    PowerLoss,
}

/// What of the undurable bytes and names a crash leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survives {
    /// Nothing: only what was synced.
    Nothing,
    /// Everything.
    Everything,
    /// Each 512-byte sector or not, and the first few changes of names in each directory, drawn from this seed.
    Some(u64),
}

/// A disk in memory for tests. Clones are the same disk.
///
/// Operations that change something are numbered from 0: create, write, sync, rename, remove, directory sync.
#[derive(Clone, Debug, Default)]
pub struct FaultDisk {
    world: Arc<Mutex<World>>,
}

#[derive(Clone, Debug, Default)]
struct World {
    files: Vec<Inode>,
    /// Names as programs see them now, and as they are after a crash.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// Changes of names since the last sync of their directory, in order.
    changes: Vec<Change>,
    dirs: BTreeSet<String>,
    operations: u64,
    faults: BTreeMap<u64, Fault>,
    full: bool,
    /// Most bytes that the files with names may have together.
    capacity: Option<usize>,
    /// Bits that were changed at rest, by file and byte.
    flips: BTreeMap<(usize, usize), u8>,
    off: bool,
}

#[derive(Clone, Debug, Default)]
struct Inode {
    live: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone, Debug)]
enum Change {
    Set(String, usize),
    Remove(String),
    Rename(String, String),
}

impl Change {
    fn dir(&self) -> &str {
        let (Self::Set(name, _) | Self::Remove(name) | Self::Rename(name, _)) = self;
        name.rsplit_once('/').map_or("", |(dir, _)| dir)
    }

    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            Self::Set(name, file) => drop(names.insert(name.clone(), *file)),
            Self::Remove(name) => drop(names.remove(name)),
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

impl FaultDisk {
    /// An empty disk.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.world().operations
    }

    /// Lets the operation with this number go wrong.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.world().faults.insert(operation, fault);
    }

    /// Lets every write that makes a file longer, and every new file, fail as on a full disk; or no longer.
    pub fn set_full(&self, full: bool) {
        self.world().full = full;
    }

    /// Lets the disk hold this many bytes in all its files together.
    pub fn set_capacity(&self, bytes: usize) {
        self.world().capacity = Some(bytes);
    }

    /// The disk that a machine finds when the power comes back, if it failed now. This one stays as it is.
    #[must_use]
    pub fn after_power_loss(&self, survives: Survives) -> Self {
        let world = self.world();
        let mut coin = Coin::new(survives);
        let files = world.files.iter().map(|file| file.after_power_loss(&mut coin)).collect();
        let mut names = world.durable_names.clone();
        for dir in world.changes.iter().map(Change::dir).collect::<BTreeSet<_>>() {
            // A file system logs changes of names in order: the crash leaves the first few of them.
            let changes = world.changes.iter().filter(|change| change.dir() == dir);
            changes.take_while(|_| coin.survives()).for_each(|change| change.apply(&mut names));
        }
        let (durable_names, dirs, flips) = (names.clone(), world.dirs.clone(), world.flips.clone());
        let world = World { files, names, durable_names, dirs, flips, ..World::default() };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// The disk that the next process finds if the one that uses this disk is killed now: all is as that one saw it, and
    /// what it had not synced is not durable. Its faults are gone. This one stays as it is.
    #[must_use]
    pub fn after_kill(&self) -> Self {
        let world = World { faults: BTreeMap::new(), off: false, ..self.world().clone() };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// Changes these bits of a byte at rest: in what is read, and in what a power loss leaves. Gives whether it did: there must
    /// be such a byte, in a sector that is not on its way to the disk. A later write to the sector puts it right.
    pub fn flip(&self, name: &str, offset: usize, bits: u8) -> bool {
        let mut world = self.world();
        let World { names, files, flips, .. } = &mut *world;
        let Some(number) = names.get(name).copied() else { return false };
        let flipped = files.get_mut(number).is_some_and(|file| file.flip(offset, bits));
        if flipped {
            *flips.entry((number, offset)).or_default() ^= bits;
        }
        flipped
    }

    /// Puts right all bits that were changed at rest.
    pub fn unflip(&self) {
        let mut world = self.world();
        for number in 0..world.files.len() {
            world.unflip(number, 0..usize::MAX);
        }
    }

    /// The names of the files that have bits changed at rest.
    pub fn flipped(&self) -> Vec<String> {
        let world = self.world();
        let is_flipped = |file: usize| world.flips.range((file, 0)..=(file, usize::MAX)).next().is_some();
        let names = world.names.iter().filter(|(_, file)| is_flipped(**file));
        names.map(|(name, _)| name.clone()).collect()
    }

    /// The bytes of a file; none if there is none.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.world();
        world.names.get(name).and_then(|file| world.files.get(*file)).map(|file| file.live.clone())
    }

    /// Puts a file with these bytes in place, durably.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut world = self.world();
        let number = world.files.len();
        world.files.push(Inode { durable: bytes.clone(), live: bytes, dirty: BTreeSet::new() });
        world.names.insert(name.to_owned(), number);
        world.durable_names.insert(name.to_owned(), number);
    }

    /// The names of all files, with their directories.
    pub fn names(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let world = self.world();
        world.check_power()?;
        let number = *world.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        drop(world);
        Ok(Arc::new(FaultFile { disk: self.clone(), number }))
    }
}

impl World {
    fn check_power(&self) -> io::Result<()> {
        if self.off { Err(power_is_off()) } else { Ok(()) }
    }

    /// Counts an operation and gives what goes wrong with it.
    fn begin(&mut self) -> io::Result<Option<Fault>> {
        self.check_power()?;
        let fault = self.faults.get(&self.operations).copied();
        self.operations += 1;
        if fault == Some(Fault::PowerLoss) {
            self.off = true;
        }
        Ok(fault)
    }

    /// As `begin`, for an operation that is done whole or not at all.
    fn begin_whole(&mut self) -> io::Result<()> {
        match self.begin()? {
            None => Ok(()),
            Some(Fault::Error(kind)) => Err(kind.into()),
            Some(Fault::Short(_)) => Err(io::ErrorKind::StorageFull.into()),
            Some(Fault::PowerLoss) => Err(power_is_off()),
        }
    }

    /// Whether the files cannot grow by this many bytes.
    fn lacks(&self, bytes: usize) -> bool {
        let files = self.names.values().filter_map(|file| self.files.get(*file));
        let used: usize = files.map(|file| file.live.len()).sum();
        bytes > 0 && (self.full || self.capacity.is_some_and(|capacity| used + bytes > capacity))
    }

    /// Puts right what was changed at rest in these bytes of a file.
    fn unflip(&mut self, number: usize, bytes: Range<usize>) {
        let within = self.flips.range((number, bytes.start)..(number, bytes.end));
        let offsets: Vec<usize> = within.map(|((_, offset), _)| *offset).collect();
        for offset in offsets {
            let bits = self.flips.remove(&(number, offset)).unwrap_or_default();
            if let Some(file) = self.files.get_mut(number) {
                file.flip(offset, bits);
            }
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    fn file(&mut self, number: usize) -> io::Result<&mut Inode> {
        self.files.get_mut(number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

impl Inode {
    fn write(&mut self, from: &[u8], offset: usize) {
        let end = offset + from.len();
        if self.live.len() < end {
            self.live.resize(end, 0);
        }
        if let Some(into) = self.live.get_mut(offset..end) {
            into.copy_from_slice(from);
        }
        self.dirty.extend(offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES));
    }

    /// Changes these bits; false if there is no such byte, or it is not at rest.
    fn flip(&mut self, offset: usize, bits: u8) -> bool {
        let at_rest = !self.dirty.contains(&(offset / SECTOR_BYTES));
        match (self.live.get_mut(offset), self.durable.get_mut(offset)) {
            (Some(live), Some(durable)) if at_rest => {
                *live ^= bits;
                *durable ^= bits;
                true
            }
            _ => false,
        }
    }

    fn sync(&mut self) {
        self.durable.resize(self.live.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            copy_sector(&self.live, &mut self.durable, sector);
        }
    }

    fn after_power_loss(&self, coin: &mut Coin) -> Self {
        let mut bytes = self.durable.clone();
        if coin.survives() {
            bytes.resize(self.live.len(), 0);
        }
        for sector in &self.dirty {
            if coin.survives() {
                copy_sector(&self.live, &mut bytes, *sector);
            }
        }
        Self { live: bytes.clone(), durable: bytes, dirty: BTreeSet::new() }
    }
}

/// Copies the part of a sector that both have.
fn copy_sector(from: &[u8], into: &mut [u8], sector: usize) {
    let start = sector * SECTOR_BYTES;
    let end = (start + SECTOR_BYTES).min(from.len()).min(into.len());
    if let (Some(from), Some(into)) = (from.get(start..end), into.get_mut(start..end)) {
        into.copy_from_slice(from);
    }
}

/// Decides what survives.
struct Coin {
    survives: Survives,
    state: u64,
}

impl Coin {
    fn new(survives: Survives) -> Self {
        let state = if let Survives::Some(seed) = survives { seed } else { 0 };
        Self { survives, state }
    }

    fn survives(&mut self) -> bool {
        match self.survives {
            Survives::Nothing => false,
            Survives::Everything => true,
            Survives::Some(_) => self.next() & 1 == 1,
        }
    }

    /// `SplitMix64` (Steele, Lea, Flood 2014).
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Disk for FaultDisk {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("/memory").join(name)
    }

    fn make_dir(&self, dir: &str) -> io::Result<()> {
        let mut world = self.world();
        world.check_power()?;
        world.dirs.insert(dir.to_owned());
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let world = self.world();
        world.check_power()?;
        let in_dir = |name: &String| name.strip_prefix(dir)?.strip_prefix('/').map(str::to_owned);
        Ok(world.names.keys().filter_map(in_dir).collect())
    }

    fn open_to_read(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open(name)
    }

    fn open_to_write(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        self.open(name)
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn DiskFile>> {
        let mut world = self.world();
        world.begin_whole()?;
        if world.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        // Truncating a file keeps the file; for crashes a new one in its place is the harder case.
        let number = world.files.len();
        world.files.push(Inode::default());
        world.change(Change::Set(name.to_owned(), number));
        drop(world);
        Ok(Arc::new(FaultFile { disk: self.clone(), number }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut world = self.world();
        world.begin_whole()?;
        if !world.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        world.change(Change::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut world = self.world();
        world.begin_whole()?;
        if !world.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        world.change(Change::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let mut world = self.world();
        world.begin_whole()?;
        let World { changes, durable_names, .. } = &mut *world;
        changes.retain(|change| {
            let synced = change.dir() == dir;
            if synced {
                change.apply(durable_names);
            }
            !synced
        });
        Ok(())
    }
}

#[derive(Debug)]
struct FaultFile {
    disk: FaultDisk,
    number: usize,
}

impl DiskFile for FaultFile {
    fn len(&self) -> io::Result<u64> {
        let mut world = self.disk.world();
        world.check_power()?;
        Ok(world.file(self.number)?.live.len() as u64)
    }

    fn read_at(&self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut world = self.disk.world();
        world.check_power()?;
        let live = &world.file(self.number)?.live;
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let from = live.get(start..).unwrap_or_default();
        let count = from.len().min(into.len());
        if let (Some(from), Some(into)) = (from.get(..count), into.get_mut(..count)) {
            into.copy_from_slice(from);
        }
        Ok(count)
    }

    fn write_at(&self, from: &[u8], offset: u64) -> io::Result<usize> {
        let mut world = self.disk.world();
        let fault = world.begin()?;
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let growth = (start + from.len()).saturating_sub(world.file(self.number)?.live.len());
        if world.lacks(growth) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let sectors = start / SECTOR_BYTES..(start + from.len()).div_ceil(SECTOR_BYTES);
        world.unflip(self.number, sectors.start * SECTOR_BYTES..sectors.end * SECTOR_BYTES);
        let file = world.file(self.number)?;
        match fault {
            None => {
                file.write(from, start);
                Ok(from.len())
            }
            Some(Fault::Error(kind)) => Err(kind.into()),
            Some(Fault::Short(bytes)) => {
                file.write(from.get(..bytes).unwrap_or(from), start);
                Err(io::ErrorKind::StorageFull.into())
            }
            Some(Fault::PowerLoss) => {
                file.write(from, start);
                Err(power_is_off())
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut world = self.disk.world();
        let begun = world.begin_whole();
        let off = world.off;
        let file = world.file(self.number)?;
        match begun {
            Ok(()) => file.sync(),
            // The bytes count as clean from now on, and are not durable. With the power off they stay in doubt.
            Err(_) if !off => file.dirty.clear(),
            Err(_) => {}
        }
        begun
    }
}

#[cfg(test)]
mod tests;
