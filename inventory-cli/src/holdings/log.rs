//! Reading the orders log: its whole lines, its damage, its torn end.

use inventory_core::OrderKey;

use super::entry::{self, Entry};

/// What the bytes of a log hold.
#[derive(Debug, Default)]
pub(super) struct LogContent {
    /// Every whole entry and the offset behind its line.
    pub(super) entries: Vec<(usize, Entry)>,
    /// The bytes of the whole lines, one after the other.
    pub(super) whole: Vec<u8>,
    /// How many lines are not what was written.
    pub(super) damaged_lines: usize,
    /// Order keys that can still be read in damaged lines, and the offsets behind those.
    pub(super) damaged_keys: Vec<(usize, OrderKey)>,
    /// Bytes up to and with the last line feed. What follows is the torn end of a write that never
    /// finished, so that nothing rests on it.
    pub(super) complete_bytes: usize,
}

impl LogContent {
    pub(super) fn read(bytes: &[u8]) -> Self {
        let mut content = Self::default();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(text) = line.strip_suffix(b"\n") else { break };
            content.complete_bytes = content.complete_bytes.saturating_add(line.len());
            if let Some(entry) = entry::decode(text) {
                content.entries.push((content.complete_bytes, entry));
                content.whole.extend_from_slice(line);
            } else {
                content.damaged_lines = content.damaged_lines.saturating_add(1);
                let key = entry::legible_key(text);
                content.damaged_keys.extend(key.map(|key| (content.complete_bytes, key)));
            }
        }
        content
    }

    /// Whether a line says that this order was bought, this return carried out, or this entry posted.
    pub(super) fn has_done(&self, wanted: OrderKey) -> bool {
        self.entries.iter().any(|(_, entry)| match entry {
            Entry::Bought(bought) => bought.key == wanted,
            Entry::Posted { key, .. } | Entry::Returned { key, .. } => *key == wanted,
            _ => false,
        })
    }

    /// Whether the holdings hold what this order bought. Where the log was damaged nobody can say, and an order that is returned
    /// here was most likely bought here.
    pub(super) fn counts(&self, order: OrderKey) -> bool {
        self.entries.iter().any(|(_, entry)| match entry {
            Entry::Bought(bought) => bought.key == order,
            Entry::Restored { .. } => true,
            _ => false,
        })
    }
}
