//! `holdings.json`: the sum of the orders log up to an offset.

use serde::{Deserialize, Serialize};

use super::Holdings;
use super::entry::{DecidedKey, Entry, Holding, Open};

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

/// A log line that says what the holdings are, and which outcomes they hold that the log has lost.
pub(super) fn restored(holdings: &Holdings, decided: Vec<DecidedKey>) -> Entry {
    let (items, open) = parts(holdings);
    Entry::Restored { items, open, decided }
}

fn parts(holdings: &Holdings) -> (Vec<Holding>, Vec<Open>) {
    let items = holdings.items.iter();
    let items = items.map(|(upc, held)| Holding { upc: *upc, name: held.name.clone(), units: held.units });
    let open = holdings.open.iter().map(|(key, order)| Open::new(*key, order.kept.as_ref()));
    (items.collect(), open.collect())
}
