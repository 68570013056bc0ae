//! `holdings.json`: the sum of the orders log up to an offset.

use serde::{Deserialize, Serialize};

use super::Holdings;
use super::entry::{Entry, Holding, Line, Open};

/// The content of the file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Summary {
    /// How many bytes of the log are summed up here.
    pub(super) log_bytes: usize,
    items: Vec<Holding>,
    open: Vec<Open>,
}

impl Summary {
    pub(super) fn new(holdings: &Holdings, log_bytes: usize) -> Self {
        let (items, open) = parts(holdings);
        Self { log_bytes, items, open }
    }

    pub(super) fn holdings(&self) -> Holdings {
        Holdings::restored(&self.items, &self.open)
    }
}

/// A log line that says what the holdings are.
pub(super) fn restored(holdings: &Holdings) -> Entry {
    let (items, open) = parts(holdings);
    Entry::Restored { items, open }
}

fn parts(holdings: &Holdings) -> (Vec<Holding>, Vec<Open>) {
    let items = holdings.items.iter();
    let items = items.map(|(upc, held)| Holding { upc: *upc, name: held.name.clone(), units: held.units });
    let nameless = |line: &_| Line::new(line, "");
    let open = holdings.open.iter().map(|(key, order)| Open {
        key: *key,
        lines: order.lines.as_ref().map(|lines| lines.iter().map(nameless).collect()),
    });
    (items.collect(), open.collect())
}
