//! Reading the orders log: its whole lines, its damage, its torn end.

use std::collections::{BTreeMap, BTreeSet};

use inventory_core::OrderKey;

use super::OpenOrder;
use super::entry::{self, DecidedKey, Entry};

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
            Entry::Restored { decided, .. } => decided.contains(&DecidedKey(wanted)),
            _ => false,
        })
    }

    /// Whether the holdings hold what this order bought; none if lines were lost, so that this log cannot say.
    pub(super) fn counts(&self, order: OrderKey) -> Option<bool> {
        if self.has_done(order) {
            return Some(true);
        }
        let is_restored = self.entries.iter().any(|(_, entry)| matches!(entry, Entry::Restored { .. }));
        (!is_restored).then_some(false)
    }

    /// What was sent within these first bytes, is not open any more, and has no outcome that is legible: a summary
    /// of those bytes holds the outcome.
    pub(super) fn decided_within(
        &self,
        bytes: usize,
        open: &BTreeMap<OrderKey, OpenOrder>,
    ) -> Vec<DecidedKey> {
        let (mut sent, mut decided) = (BTreeSet::new(), BTreeSet::new());
        sent.extend(self.damaged_keys.iter().filter(|(end, _)| *end <= bytes).map(|(_, key)| *key));
        for (end, entry) in &self.entries {
            match entry {
                Entry::Ordered { key, .. }
                | Entry::OrderedRows { key, .. }
                | Entry::Returning { key, .. }
                | Entry::Posting { key, .. }
                | Entry::PostingRows { key, .. } => {
                    sent.extend((*end <= bytes).then_some(*key));
                }
                Entry::Bought(bought) => drop(decided.insert(bought.key)),
                Entry::Returned { key, .. } | Entry::Posted { key, .. } | Entry::NotBought { key, .. } => {
                    decided.insert(*key);
                }
                Entry::Restored { decided: keys, .. } => decided.extend(keys.iter().map(|key| key.0)),
            }
        }
        sent.retain(|key| !decided.contains(key) && !open.contains_key(key));
        sent.into_iter().map(DecidedKey).collect()
    }
}
