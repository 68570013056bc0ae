//! What a loss of power can leave of a disk.
//!
//! What was synced is there. Of what was not, each of these is there or not, whatever became of the others: the part of one
//! write in one sector of 512 bytes; the new length of a file; one change of a name. A sector that was written
//! twice holds what it held at first or what one of the writes left. Beyond that, the writes are torn at single bytes near their ends.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use inventory_store::disk::FaultDisk;

use super::recorder::{FileNumber, Operation};

const SECTOR_BYTES: usize = 512;
/// How far from the beginning and from the end a write is torn at each byte: a record's header and the length of its first
/// group at the one, its padding at the other.
const TORN_HEAD_BYTES: usize = 40;
const TORN_TAIL_BYTES: usize = 10;

/// The files of a disk, by name.
#[derive(Clone, Debug, Default, Hash)]
pub(crate) struct Image(BTreeMap<String, Vec<u8>>);

impl Image {
    pub(crate) fn to_disk(&self) -> FaultDisk {
        let disk = FaultDisk::new();
        for (name, bytes) in &self.0 {
            disk.put(name, bytes.clone());
        }
        disk
    }

    pub(crate) fn hash(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        Hash::hash(self, &mut hasher);
        hasher.finish()
    }
}

/// How much is enumerated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Of up to this many undurable pieces every subset is taken. Of more: none, all, each prefix and each suffix in the order of
    /// the operations, each alone, all but each, every second.
    pub(crate) all_subsets: usize,
}

/// A disk with what is durable and what is not.
#[derive(Debug)]
pub(crate) struct Disk {
    start: Image,
    files: BTreeMap<FileNumber, File>,
    durable_names: BTreeMap<String, FileNumber>,
    changes: Vec<Change>,
    /// Those of the start that were not touched.
    untouched: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct File {
    durable: Vec<u8>,
    /// Its length as programs see it.
    length: usize,
    writes: Vec<Write>,
}

#[derive(Clone, Debug)]
struct Write {
    offset: usize,
    bytes: Vec<u8>,
}

#[derive(Clone, Debug)]
enum Change {
    Link { name: String, file: FileNumber },
    Rename { from: String, to: String, file: FileNumber },
    Unlink { name: String },
}

impl Change {
    fn is_in(&self, dir: &str) -> bool {
        let (Self::Link { name, .. } | Self::Rename { from: name, .. } | Self::Unlink { name }) = self;
        name.rsplit_once('/').map_or("", |(dir, _)| dir) == dir
    }

    fn apply(&self, names: &mut BTreeMap<String, FileNumber>) {
        match self {
            Self::Link { name, file } => drop(names.insert(name.clone(), *file)),
            Self::Rename { from, to, file } => {
                if names.get(from) == Some(file) {
                    names.remove(from);
                }
                names.insert(to.clone(), *file);
            }
            Self::Unlink { name } => drop(names.remove(name)),
        }
    }
}

/// Something that is left or not.
#[derive(Clone, Debug)]
enum Piece {
    Length(FileNumber),
    Bytes(FileNumber, Write),
    Change(Change),
}

impl Disk {
    pub(crate) fn new(start: &Image) -> Self {
        Self {
            start: start.clone(),
            files: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            changes: Vec::new(),
            untouched: start.0.keys().cloned().collect(),
        }
    }

    /// Takes the next operation.
    pub(crate) fn apply(&mut self, operation: &Operation) {
        match operation {
            Operation::Found { name, file } => {
                self.untouched.remove(name);
                let durable = self.start.0[name].clone();
                self.files.insert(*file, File { length: durable.len(), durable, writes: Vec::new() });
                self.durable_names.insert(name.clone(), *file);
            }
            Operation::Create { name, file } => {
                self.files.insert(*file, File::default());
                self.changes.push(Change::Link { name: name.clone(), file: *file });
            }
            Operation::Write { file, offset, bytes } => {
                let file = self.files.get_mut(file).unwrap();
                file.length = file.length.max(offset + bytes.len());
                file.writes.push(Write { offset: *offset, bytes: bytes.clone() });
            }
            Operation::SyncData { file } => {
                let file = self.files.get_mut(file).unwrap();
                file.durable.resize(file.length, 0);
                for write in std::mem::take(&mut file.writes) {
                    write.apply(&mut file.durable);
                }
            }
            Operation::Rename { from, to, file } => {
                self.changes.push(Change::Rename { from: from.clone(), to: to.clone(), file: *file });
            }
            Operation::Remove { name } => self.changes.push(Change::Unlink { name: name.clone() }),
            Operation::SyncDir { dir } => {
                let (durable, pending) = self.changes.drain(..).partition(|change| change.is_in(dir));
                self.changes = pending;
                for change in Vec::<Change>::as_slice(&durable) {
                    change.apply(&mut self.durable_names);
                }
            }
        }
    }

    /// What the power's failing now can leave, and how to say which.
    pub(crate) fn states(&self, limits: Limits) -> impl Iterator<Item = (String, Image)> {
        let pieces = self.pieces();
        let subsets = subsets(pieces.len(), limits.all_subsets).into_iter().map(move |kept| {
            let left = pieces.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(piece, _)| piece);
            (format!("pieces {}", shown(&kept)), self.image(left.cloned()))
        });
        subsets.chain(self.torn_bytes())
    }

    /// Everything undurable, in the order of the operations of each file and directory.
    fn pieces(&self) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for (number, file) in &self.files {
            if file.length != file.durable.len() {
                pieces.push(Piece::Length(*number));
            }
            let sectors = file.writes.iter().flat_map(Write::sectors);
            pieces.extend(sectors.map(|write| Piece::Bytes(*number, write)));
        }
        pieces.extend(self.changes.iter().cloned().map(Piece::Change));
        pieces
    }

    /// The last write torn at a byte: what is in front of it is left, or what is behind it, with all that went before.
    fn torn_bytes(&self) -> impl Iterator<Item = (String, Image)> {
        let files = self.files.iter().filter(|(_, file)| !file.writes.is_empty());
        files.flat_map(move |(number, file)| {
            let (last, before) = file.writes.split_last().unwrap();
            let size = last.bytes.len();
            let at = (0..size).filter(move |at| *at <= TORN_HEAD_BYTES || *at + TORN_TAIL_BYTES >= size);
            let parts = at.flat_map(move |at| {
                let head = Write { offset: last.offset, bytes: last.bytes[..at].to_vec() };
                let tail = Write { offset: last.offset + at, bytes: last.bytes[at..].to_vec() };
                [("up to", at, head), ("from", at, tail)]
            });
            parts.map(move |(side, at, part)| {
                let writes = before.iter().cloned().chain([part]);
                let pieces = writes.map(|write| Piece::Bytes(*number, write));
                let changes = self.changes.iter().cloned().map(Piece::Change);
                let image = self.image([Piece::Length(*number)].into_iter().chain(pieces).chain(changes));
                (format!("the last write to file {number} {side} byte {at}"), image)
            })
        })
    }

    fn image(&self, left: impl Iterator<Item = Piece>) -> Image {
        let mut linked = self.durable_names.clone();
        let mut changed: BTreeMap<FileNumber, Vec<u8>> = BTreeMap::new();
        for piece in left {
            match piece {
                Piece::Length(number) => {
                    let file = &self.files[&number];
                    changed.entry(number).or_insert_with(|| file.durable.clone()).resize(file.length, 0);
                }
                Piece::Bytes(number, write) => {
                    write.apply(changed.entry(number).or_insert_with(|| self.files[&number].durable.clone()));
                }
                Piece::Change(change) => change.apply(&mut linked),
            }
        }
        let untouched = self.untouched.iter().map(|name| (name.clone(), self.start.0[name].clone()));
        let touched = linked.into_iter().map(|(name, number)| {
            let bytes = changed.get(&number).unwrap_or(&self.files[&number].durable);
            (name, bytes.clone())
        });
        Image(untouched.chain(touched).collect())
    }
}

impl Write {
    /// Its parts by sector.
    fn sectors(&self) -> impl Iterator<Item = Self> {
        let end = self.offset + self.bytes.len();
        let starts = (self.offset / SECTOR_BYTES * SECTOR_BYTES..end).step_by(SECTOR_BYTES);
        starts.map(move |start| {
            let (from, to) = (start.max(self.offset), (start + SECTOR_BYTES).min(end));
            Self { offset: from, bytes: self.bytes[from - self.offset..to - self.offset].to_vec() }
        })
    }

    /// Writes as much of it as lies within the file.
    fn apply(&self, file: &mut [u8]) {
        let start = self.offset.min(file.len());
        let end = (self.offset + self.bytes.len()).min(file.len());
        file[start..end].copy_from_slice(&self.bytes[..end - start]);
    }
}

/// Subsets of so many pieces: which are kept. See [`Limits`].
fn subsets(pieces: usize, all_up_to: usize) -> Vec<Vec<bool>> {
    if pieces <= all_up_to {
        let bits = |set: usize| (0..pieces).map(move |piece| set >> piece & 1 == 1).collect();
        return (0..1 << pieces).map(bits).collect();
    }
    let which = |kept: &dyn Fn(usize) -> bool| (0..pieces).map(kept).collect();
    let mut subsets =
        vec![which(&|_| false), which(&|_| true), which(&|at| at % 2 == 0), which(&|at| at % 2 == 1)];
    for piece in 0..pieces {
        subsets.push(which(&|at| at < piece));
        subsets.push(which(&|at| at >= piece));
        subsets.push(which(&|at| at == piece));
        subsets.push(which(&|at| at != piece));
    }
    subsets
}

fn shown(kept: &[bool]) -> String {
    kept.iter().map(|kept| if *kept { '1' } else { '0' }).collect()
}
