//! What a server with a defect would leave. It is done to the data directory between a kill and the next start, so no
//! server has a switch for it; the run must then fail.

use std::fs;
use std::path::Path;

use inventory_core::journal::{Append, GroupBuilder, Journal as _, replay};
use inventory_core::{AppendId, Event, Line, LocationId, OrderDigest, OrderKey, Record, Units, Upc};
use inventory_store::{FileJournal, FileJournalOptions, inspect};
use pollster::block_on;

/// Bytes of a segment's header, and of a record's; docs/journal-format.md.
const SEGMENT_HEADER: usize = 4096;
const RECORD_HEADER: usize = 32;
const KIND_GROUPS: u16 = 1;

/// A defect.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Sabotage {
    /// It acknowledges before it writes: the last write is gone.
    LoseLastWrite,
    /// It sells a unit of this item for which nobody asked.
    SellUnasked(Upc),
}

impl Sabotage {
    pub(crate) fn strike(self, data: &Path) {
        match self {
            Self::LoseLastWrite => lose_last_write(data),
            Self::SellUnasked(upc) => sell_unasked(data, upc),
        }
    }
}

/// Puts zeros in place of the last record of groups, and of what is behind it, unless a snapshot covers it.
fn lose_last_write(data: &Path) {
    let report = inspect(data).unwrap();
    let path = &report.segments.last().unwrap().path;
    let mut bytes = fs::read(path).unwrap();
    let number = |at: usize, count: usize, bytes: &[u8]| {
        bytes[at..at + count].iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
    };
    let (mut at, mut last) = (SEGMENT_HEADER, None);
    while at + RECORD_HEADER <= bytes.len() {
        let payload = usize::try_from(number(at + 8, 4, &bytes)).unwrap();
        if payload == 0 {
            break;
        }
        if number(at + 12, 2, &bytes) == u64::from(KIND_GROUPS) {
            last = Some(at);
        }
        at += (RECORD_HEADER + payload).next_multiple_of(8);
    }
    let covered = report.snapshot.unwrap_or_default().version.0;
    if let Some(last) = last.filter(|at| number(at + 24, 8, &bytes) >= covered) {
        bytes[last..].fill(0);
        fs::write(path, bytes).unwrap();
    }
}

fn sell_unasked(data: &Path, upc: Upc) {
    let journal = FileJournal::open(data, FileJournalOptions::default()).unwrap();
    let (state, tip) = block_on(replay(&journal, 0)).unwrap();
    let item = state.catalogue().id(upc).unwrap();
    let line = Line { item, location: LocationId::MAIN, units: Units::new(1).unwrap() };
    let event = Event::Purchased {
        key: OrderKey::from_parts(state.now(), u128::from(tip.version.0)),
        user: state.users().id("buyer-0").unwrap(),
        digest: OrderDigest(0),
        lines: [line].into_iter().collect(),
        total: state.catalogue().price(item),
    };
    let mut group = GroupBuilder::new(tip.version);
    group.push(&Record { at: state.now(), event });
    let group = group.seal(AppendId(u128::from(tip.version.0)), tip.hash).unwrap();
    assert_eq!(block_on(journal.append(group)), Append::Done);
}
