//! The writer: one thread that owns the end of the journal. It takes all appends that wait, writes them as one record,
//! syncs once, and answers them all.
//!
//! What a failure means:
//! - A write that fails before the sync is taken back: the record's header is overwritten with zeros, durably. If that
//!   works, nothing of the record can ever be read, the answer is `Failed`, and the writer goes on.
//! - A sync that fails leaves the bytes in doubt: the kernel may have dropped them and report success next time. The
//!   answer is `Unknown`, and the writer never writes again. Opening the journal anew finds out.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use inventory_core::Version;
use inventory_core::defect::{self, Defect};
use inventory_core::journal::{Append, Group, Tip};
use inventory_core::limits::GROUP_BYTES_MAX;
use tokio::sync::oneshot;

use super::index::{Entry, Positions};
use super::record::{self, GROUP_PREFIX_BYTES, MARK_BYTES, PAYLOAD_BYTES_TARGET, record_bytes};
use super::segment::{self, Header};
use super::shared::Shared;
use super::spare::{SPARE, Spares};
use crate::disk::{Disk, DiskFile, write_full};

/// Sizes of segments are multiples of this.
const SEGMENT_STEP_BYTES: u64 = 4096;

/// The size of segments, if they are not smaller anyway, of a new journal, which so opens quickly, and on a disk without
/// room for more.
pub(super) const SMALL_SEGMENT_BYTES: u64 = 4 << 20;

/// The next segment is begun when one part in this many of the last one is used: a journal that is hardly used needs none.
const PREPARE_FRACTION: u64 = 8;

/// One append, and where its answer goes.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) group: Group,
    pub(super) answer: oneshot::Sender<Append>,
}

/// The last segment, to which records are added.
#[derive(Debug)]
pub(super) struct LastSegment {
    pub(super) file: Arc<dyn DiskFile>,
    pub(super) number: u64,
    /// Its size.
    pub(super) bytes: u64,
    /// Where the next record goes.
    pub(super) position: u64,
    /// Whether no group follows the last mark, or the header.
    pub(super) marked: bool,
}

impl LastSegment {
    /// Whether a record of groups fits, and a mark behind it.
    fn has_room(&self, bytes: usize) -> bool {
        self.position + (bytes + MARK_BYTES) as u64 <= self.bytes
    }
}

/// How a write went wrong.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// Nothing was written, for certain.
    #[error("{0}; nothing was written")]
    Definite(String),
    /// Nobody knows.
    #[error("{0}; what is on the disk is in doubt")]
    Unclear(String),
}

/// See the top of this file.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) spares: Spares,
    pub(super) tip: Tip,
    /// None before the first segment was made.
    pub(super) last: Option<LastSegment>,
    /// The size of new segments.
    pub(super) segment_bytes: u64,
    /// Whether spares are made ahead of need.
    pub(super) prepare_ahead: bool,
    /// The record being written. Kept for its room.
    pub(super) buffer: Vec<u8>,
}

impl Writer {
    /// Answers appends until there is nobody left to send any, then leaves a mark.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        let mut waiting = VecDeque::new();
        while let Ok(request) = requests.recv() {
            waiting.push_back(request);
            waiting.extend(requests.try_iter());
            while !waiting.is_empty() {
                self.serve(&mut waiting);
            }
            self.prepare_next_segment();
        }
        if let Err(why) = self.mark() {
            tracing::warn!(%why, "the journal was closed without a mark at its end; nothing is lost");
        }
    }

    /// Makes changes in the last groups visible; see `record`.
    pub(super) fn mark(&mut self) -> Result<(), Failure> {
        let Some(last) = self.last.as_mut().filter(|last| !last.marked) else { return Ok(()) };
        if self.shared.poison().is_some() {
            return Ok(());
        }
        record::write_mark(&mut self.buffer, last.number, self.tip);
        write(last, &self.buffer)?;
        last.position += self.buffer.len() as u64;
        last.marked = true;
        Ok(())
    }

    /// Takes the requests in front that can be written together, and answers them; or answers the first if it cannot.
    fn serve(&mut self, waiting: &mut VecDeque<Request>) {
        let mut answers = Vec::new();
        let mut tip = self.tip;
        let base = tip.version;
        record::begin(&mut self.buffer);
        while let Some(request) = waiting.pop_front() {
            let group = &request.group;
            let follows = group.base() == tip.version
                && (group.previous() == tip.hash || defect::is(Defect::PreviousHashIgnored));
            let full = !answers.is_empty() && !self.takes(group);
            let too_large = group.bytes().len() > GROUP_BYTES_MAX;
            if (!follows || too_large) && answers.is_empty() {
                let answer = match self.shared.poison() {
                    Some(why) => Append::Unknown(why),
                    None if too_large => Append::Failed(format!("a group of {} bytes", group.bytes().len())),
                    None => Append::Conflict,
                };
                // Nobody waits for an answer that is not received.
                let _ = request.answer.send(answer);
                return;
            }
            if !follows || too_large || full {
                waiting.push_front(request);
                break;
            }
            record::push_group(&mut self.buffer, group);
            tip = Tip { version: group.last(), hash: group.hash() };
            answers.push(request.answer);
        }
        let answer = self.commit(base, tip);
        for waits in answers {
            let _ = waits.send(answer.clone());
        }
    }

    /// Whether this group may join those in the buffer.
    fn takes(&self, group: &Group) -> bool {
        let payload = self.buffer.len() + GROUP_PREFIX_BYTES + group.bytes().len() - record::HEADER_BYTES;
        let segment = segment::HEADER_BYTES + record_bytes(payload) + MARK_BYTES;
        payload <= PAYLOAD_BYTES_TARGET && segment as u64 <= self.segment_bytes
    }

    /// Writes the groups in the buffer, which end at `tip`.
    fn commit(&mut self, base: Version, tip: Tip) -> Append {
        if let Some(why) = self.shared.poison() {
            return Append::Unknown(why);
        }
        match self.write_groups(base) {
            Ok(offset) => {
                self.tip = tip;
                self.shared.index().advance(offset, tip);
                self.shared.growth.add(self.buffer.len() as u64);
                self.spares.appended(self.buffer.len() as u64);
                Append::Done
            }
            Err(Failure::Definite(why)) => {
                // Whoever asked is told, and knows better how often to say so.
                tracing::debug!(%why, "an append failed; nothing was written");
                Append::Failed(why)
            }
            Err(Failure::Unclear(why)) => {
                tracing::error!(%why, "the journal has stopped");
                self.shared.set_poison(&why);
                Append::Unknown(why)
            }
        }
    }

    /// Writes the groups in the buffer as one record, durably; gives where.
    fn write_groups(&mut self, base: Version) -> Result<u64, Failure> {
        let bytes = record_bytes(self.buffer.len().saturating_sub(record::HEADER_BYTES));
        if !self.last.as_ref().is_some_and(|last| last.has_room(bytes)) {
            let needed = (segment::HEADER_BYTES + bytes + MARK_BYTES) as u64;
            let bytes = self.size_of_next_segment(needed.next_multiple_of(SEGMENT_STEP_BYTES));
            self.begin_segment(bytes)?;
        }
        let Some(last) = &mut self.last else {
            return Err(Failure::Definite("there is no segment".to_owned()));
        };
        record::seal_groups(&mut self.buffer, last.number, base);
        write(last, &self.buffer)?;
        let offset = last.position;
        last.position += self.buffer.len() as u64;
        last.marked = false;
        Ok(offset)
    }

    /// The usual size, or more if more is needed. On a disk without room for that, a smaller one: what is left of the disk is
    /// used before anybody is turned away.
    fn size_of_next_segment(&mut self, needed: u64) -> u64 {
        let usual = self.segment_bytes.max(needed);
        let small = self.segment_bytes.min(SMALL_SEGMENT_BYTES).max(needed);
        if small == usual || self.spares.fits(usual) { usual } else { small }
    }

    /// Makes the next segment, of this size. Nothing that is there changes.
    pub(super) fn begin_segment(&mut self, bytes: u64) -> Result<(), Failure> {
        let disk = Arc::clone(&self.shared.disk);
        let number = self.last.as_ref().map_or(1, |last| last.number + 1);
        let name = segment::name(number);
        let definite = |why| Failure::Definite(told(&*disk, &name, &why));
        let unclear = |why| Failure::Unclear(told(&*disk, &name, &why));
        // A spare that could not be synced is thrown away: nothing is in doubt.
        self.spares.wait(bytes).map_err(definite)?;
        let file = disk.open_to_write(SPARE).map_err(definite)?;
        let header = Header { number, base: self.tip, bytes, packed: None };
        write_full(&*file, &header.encode(), 0).map_err(definite)?;
        file.sync_data().map_err(unclear)?;
        disk.rename(SPARE, &name).map_err(definite)?;
        if !defect::is(Defect::SegmentNameNotSynced) {
            disk.sync_dir(segment::DIR).map_err(unclear)?;
        }
        self.spares.taken();
        self.last = Some(LastSegment { file, number, bytes, position: segment::FIRST_RECORD, marked: true });
        let positions = Some(Positions::default());
        let base = self.tip.version;
        let entry = Entry { number, base, file_bytes: bytes, is_packed: false, positions };
        self.shared.index().segments.push(entry);
        Ok(())
    }

    fn prepare_next_segment(&mut self) {
        let Some(last) = self.last.as_ref().filter(|_| self.prepare_ahead) else { return };
        if last.position > last.bytes / PREPARE_FRACTION {
            self.spares.prepare(self.segment_bytes, last.bytes.saturating_sub(last.position));
        }
    }
}

/// Writes a record behind the others, durably; takes it back if it cannot be written.
fn write(last: &LastSegment, record: &[u8]) -> Result<(), Failure> {
    if let Err(why) = write_full(&*last.file, record, last.position) {
        if defect::is(Defect::ShortWriteLeft) {
            return Err(Failure::Definite(why.to_string()));
        }
        let taken_back = write_full(&*last.file, &[0; record::HEADER_BYTES], last.position)
            .and_then(|()| last.file.sync_data());
        return Err(match taken_back {
            Ok(()) => Failure::Definite(format!("writing to the journal: {why}")),
            Err(second) => {
                Failure::Unclear(format!("writing to the journal: {why}; taking it back: {second}"))
            }
        });
    }
    if defect::is(Defect::GroupNotSynced) {
        return Ok(());
    }
    let mut synced = last.file.sync_data();
    if synced.is_err() && defect::is(Defect::FailedSyncRetried) {
        synced = last.file.sync_data();
    }
    if defect::is(Defect::FailedSyncForgotten) {
        return synced.map_err(|why| Failure::Definite(why.to_string()));
    }
    synced.map_err(|why| Failure::Unclear(format!("making a write to the journal durable: {why}")))
}

fn told(disk: &dyn Disk, name: &str, why: &io::Error) -> String {
    format!("{}: {why}", disk.path(name).display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::FaultDisk;
    use crate::file::index::Index;
    use inventory_core::testing::Chain;
    use std::sync::mpsc::channel;

    fn writer(disk: &FaultDisk) -> Writer {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let index = Index { segments: Vec::new(), tip: Tip::default() };
        let mut writer = Writer {
            shared: Arc::new(Shared::new(Arc::clone(&disk), index, None, 0, None)),
            spares: Spares::new(disk),
            tip: Tip::default(),
            last: None,
            segment_bytes: 1 << 20,
            prepare_ahead: false,
            buffer: Vec::new(),
        };
        writer.begin_segment(1 << 20).unwrap();
        writer
    }

    /// Lets the writer find these groups all waiting; gives its answers.
    fn answers(writer: Writer, groups: impl IntoIterator<Item = Group>) -> Vec<Append> {
        let (requests, received) = channel();
        let mut answered = Vec::new();
        for group in groups {
            let (answer, waits) = oneshot::channel();
            requests.send(Request { group, answer }).unwrap();
            answered.push(waits);
        }
        drop(requests);
        writer.run(&received);
        answered.into_iter().map(|answer| answer.blocking_recv().unwrap()).collect()
    }

    #[test]
    fn appends_that_wait_together_share_one_write_and_one_sync() {
        let disk = FaultDisk::new();
        let writer = writer(&disk);
        let before = disk.operations();
        let mut chain = Chain::new(1);
        let answers = answers(writer, (0..100).map(|_| chain.next(1_000)));
        assert_eq!(answers, vec![Append::Done; 100]);
        let mark = 2;
        assert_eq!(disk.operations() - before, 2 + mark);
    }

    #[test]
    fn a_conflict_between_appends_that_wait_is_judged_by_what_was_written() {
        let mut chain = Chain::new(1);
        let (first, second, third) = (chain.next(100), chain.next(100), chain.next(100));
        let groups = [first.clone(), first, third.clone(), second, third];
        let wanted = [Append::Done, Append::Conflict, Append::Conflict, Append::Done, Append::Done];
        assert_eq!(answers(writer(&FaultDisk::new()), groups), wanted);
    }

    #[test]
    fn waiting_appends_larger_than_a_segment_go_on_in_the_next() {
        let disk = FaultDisk::new();
        let mut chain = Chain::new(1);
        let answers = answers(writer(&disk), (0..30).map(|_| chain.next(100_000)));
        assert_eq!(answers, vec![Append::Done; 30]);
        let segments = disk.names().iter().filter(|name| name.contains(".seg")).count();
        assert_eq!(segments, 3);
    }
}
