//! Bits that change at rest. Whoever meets one must say so and name the file, which is then put right, as from a copy; a
//! journal that opens all the same must hold what it held.

use inventory_core::journal::JournalError;
use inventory_store::disk::Disk;
use inventory_store::inspect_on;

use super::{Machine, read_all};
use crate::auditor::{Auditor, Check, Violation, ensure};
use crate::coverage::Fault;

impl Machine {
    /// Changes bits of one byte of the disk, mostly where something was written; what was changed before is put right, since
    /// nothing can see a record that is damaged together with all that stands behind it.
    pub(crate) fn flip(&mut self, step: u64) {
        self.disk.unflip();
        let Some(name) = self.rng.choice(self.disk.names()) else { return };
        let bytes = self.disk.bytes(&name).unwrap_or_default();
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
        let end = if self.rng.u8(..4) == 0 { bytes.len().max(1) } else { used };
        if self.disk.flip(&name, self.rng.usize(..end), self.rng.u8(1..)) {
            self.happens(step, Fault::Flip);
        }
    }

    /// What the running server reads now is what was written, or is said to be damaged.
    pub(crate) fn read_rotten(&mut self, auditor: &Auditor) -> Check {
        let Some(line) = &self.line else { return Ok(()) };
        match read_all(&**line) {
            Ok(groups) => auditor.holds(&groups),
            Err(JournalError::Damaged(what)) if !self.is_rot(&what) => Err(Violation(what)),
            Err(_) => Ok(()),
        }
    }

    /// Whether this names the file with the changed bits. Then they are put right.
    pub(super) fn is_rot(&mut self, message: &str) -> bool {
        let is_named = |name: &String| message.contains(&self.disk.path(name).display().to_string());
        let is_rot = self.disk.flipped().iter().any(is_named);
        if is_rot {
            self.disk.unflip();
        }
        is_rot
    }

    /// Before a recovery: would it take the journal for shorter than it is? That may be in one place only, where nothing can
    /// see it: the last record, with no mark behind it. Then the bits are put right.
    pub(super) fn check_unseen_rot(&mut self) -> Check {
        if self.disk.flipped().is_empty() {
            return Ok(());
        }
        let right_disk = self.disk.after_kill();
        right_disk.unflip();
        let (Ok(seen), Ok(right)) = (inspect_on(&self.disk), inspect_on(&right_disk)) else { return Ok(()) };
        if seen.damage.is_some() || seen.tip == right.tip {
            return Ok(());
        }
        let unseen = seen.torn_tail.as_ref().is_some_and(|torn| {
            let name = self.disk.flipped().into_iter().find(|name| self.disk.path(name) == torn.path);
            let bytes = name.and_then(|name| right_disk.bytes(&name)).unwrap_or_default();
            let end = right.torn_tail.as_ref().map_or(u64::MAX, |torn| torn.offset);
            is_last_record(&bytes, torn.offset, end)
        });
        self.disk.unflip();
        ensure(unseen, || {
            let (seen, right) = (seen.tip.version, right.tip.version);
            format!(
                "a byte that changed at rest makes the journal end at {seen} instead of {right}, and nothing says so"
            )
        })
    }
}

/// Whether nothing stands behind the record that begins here, but what was torn. Its length is in its bytes 8 to 12 (see
/// docs/journal-format.md).
fn is_last_record(segment: &[u8], offset: u64, torn_offset: u64) -> bool {
    const HEADER_BYTES: usize = 32;
    let (Ok(offset), Ok(torn_offset)) = (usize::try_from(offset), usize::try_from(torn_offset)) else {
        return false;
    };
    let record = segment.get(offset..).unwrap_or_default();
    let Some(length) = record.get(8..).and_then(|bytes| bytes.first_chunk()) else { return false };
    let payload_bytes = usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX);
    let end = offset + (HEADER_BYTES + payload_bytes).next_multiple_of(8);
    let behind = segment.get(end..torn_offset.min(segment.len())).unwrap_or_default();
    behind.iter().all(|byte| *byte == 0)
}
