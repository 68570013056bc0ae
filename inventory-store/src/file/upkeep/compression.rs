//! Compresses the segments that a start no longer reads, because the newest snapshot covers them. A compressed segment takes the
//! name of the one it was made of in one step, when it was read back and compared with it.

use std::io;
use std::sync::Arc;

use inventory_core::Version;

use super::{UpkeepError, failed};
use crate::disk::{Disk, DiskFile, read_full};
use crate::file::cursor::Cursor;
use crate::file::damage::{Damage, OpenError};
use crate::file::packed::{Unpacked, pack};
use crate::file::record::Content;
use crate::file::segment::{self, FIRST_RECORD, Header};
use crate::file::shared::Shared;
use crate::file::snapshots::{self, Pace};
use crate::file::spare::COMPRESSED;

/// Compresses every segment that the newest snapshot covers and that is not compressed yet, oldest first.
pub(super) fn compress(shared: &Shared, pace: &mut Pace<'_>) -> Result<(), UpkeepError> {
    // Whether it is whole does not matter: a start without it reads compressed segments too.
    let newest = snapshots::newest(&*shared.disk).map_err(|why| failed(shared, snapshots::DIR, why))?;
    let covered = newest.unwrap_or_default();
    while let Some((number, end)) = next(shared, covered) {
        let made = make(&*shared.disk, number, end, pace);
        let made = made.map_err(|why| failed(shared, &segment::name(number), why));
        let replaced = made.and_then(|header| replace(shared, &header));
        if replaced.is_err() {
            // Gives the room back; the error that matters is the first. There may be no file.
            let _ = shared.disk.remove(COMPRESSED);
        }
        replaced?;
    }
    Ok(())
}

/// The next segment to compress, and the version at its end.
fn next(shared: &Shared, covered: Version) -> Option<(u64, Version)> {
    let index = shared.index();
    let mut pairs = index.segments.iter().zip(index.segments.iter().skip(1));
    let (segment, next) = pairs.find(|(segment, _)| !segment.is_packed)?;
    (next.base <= covered).then_some((segment.number, next.base))
}

/// Writes a segment compressed, durably, and reads it back; gives its new header.
fn make(disk: &dyn Disk, number: u64, end: Version, pace: &mut Pace<'_>) -> io::Result<Header> {
    let name = segment::name(number);
    let damage = |offset, what: &str| {
        let damage = Damage { path: disk.path(&name), offset, what: what.to_owned() };
        io::Error::new(io::ErrorKind::InvalidData, damage)
    };
    let plain = disk.open_to_read(&name)?;
    let header = segment::read_header(&*plain)?.map_err(|why| damage(0, &why.to_string()))?;
    let (position, reached) = end_of_records(&plain, &header)?;
    if reached != end {
        return Err(damage(position, "the segment ends before the next one begins"));
    }
    let packed = disk.create(COMPRESSED)?;
    pack(&header, &*plain, position, &*packed, pace)?;
    let header = segment::read_header(&*packed)?.map_err(io::Error::other)?;
    compare(disk, &*plain, &packed, &header, pace)?;
    Ok(header)
}

/// Where the last whole record of a segment ends, and the version there.
fn end_of_records(file: &Arc<dyn DiskFile>, header: &Header) -> io::Result<(u64, Version)> {
    let mut cursor = Cursor::new(Arc::clone(file), header.number, FIRST_RECORD);
    let mut reached = header.base.version;
    while let Some(record) = cursor.next()? {
        let Content::Groups(groups) = record.content else { continue };
        for group in groups {
            reached = group.map_err(io::Error::other)?.last();
        }
    }
    Ok((cursor.position(), reached))
}

fn compare(
    disk: &dyn Disk,
    plain: &dyn DiskFile,
    packed: &Arc<dyn DiskFile>,
    header: &Header,
    pace: &mut Pace<'_>,
) -> io::Result<()> {
    const STEP_BYTES: usize = 256 << 10;
    let differs = || io::Error::other("what was read back of a compressed segment is not what was written");
    let written = header.packed.ok_or_else(differs)?;
    let unpacked = Unpacked::open(Arc::clone(packed), disk.path(COMPRESSED), written)?;
    let mut offset = FIRST_RECORD;
    while offset < written.end {
        let bytes = usize::try_from(written.end - offset).unwrap_or(STEP_BYTES).min(STEP_BYTES);
        let (mut before, mut after) = (vec![0; bytes], vec![0; bytes]);
        let read = [read_full(plain, &mut before, offset)?, read_full(&unpacked, &mut after, offset)?];
        if read != [bytes, bytes] || before != after {
            return Err(differs());
        }
        offset += bytes as u64;
        pace()?;
    }
    Ok(())
}

/// Puts the compressed segment in the place of the other, unless that was discarded meanwhile.
fn replace(shared: &Shared, header: &Header) -> Result<(), UpkeepError> {
    // No segment is discarded while this is held.
    let _held = shared.housekeeping();
    if shared.index().segment(header.number).is_none() {
        let gone = OpenError::Discarded { path: shared.disk.path(&segment::name(header.number)) };
        return Err(gone.into());
    }
    let name = segment::name(header.number);
    let renamed = shared.disk.rename(COMPRESSED, &name);
    renamed.map_err(|why| failed(shared, &name, why))?;
    shared.index().pack(header.number, header.file_bytes());
    // What is there after a loss of power is either of the two: they hold the same records.
    shared.disk.sync_dir(segment::DIR).map_err(|why| failed(shared, segment::DIR, why))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FaultDisk;
    use crate::file::{FileJournal, FileJournalOptions};
    use inventory_core::journal::{Append, Journal as _};
    use inventory_core::testing::Chain;

    #[test]
    fn a_compressed_segment_that_is_read_back_otherwise_than_it_was_written_never_counts() {
        let disk = FaultDisk::new();
        let options = FileJournalOptions { segment_bytes: 0, prepare_ahead: false };
        let journal = FileJournal::open_on(Arc::new(disk.clone()), options).unwrap();
        let mut chain = Chain::new(1);
        for _ in 0..2 {
            assert_eq!(pollster::block_on(journal.append(chain.next(3_000))), Append::Done);
        }
        let end = Version(1);
        let made = make(&disk, 1, end, &mut || Ok(())).unwrap();
        assert_eq!(made.base.version, Version::ZERO);
        let first_piece = FIRST_RECORD + 12;
        for at in first_piece..made.file_bytes() {
            let mut spoil = || {
                let file = disk.open_to_write(COMPRESSED)?;
                let mut byte = [0];
                file.read_at(&mut byte, at)?;
                file.write_at(&[byte[0] ^ 1], at).map(drop)
            };
            make(&disk, 1, end, &mut spoil).unwrap_err();
        }
    }
}
