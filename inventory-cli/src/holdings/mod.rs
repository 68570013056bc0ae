//! The local inventory: what one user has bought from one server through this client and not returned through it, each order
//! and return exactly once. Entries to accounts are kept account of in the same way, and add nothing to it.
//!
//! Two files lie in the user's folder. `orders.log` is the truth: a line for every order before it is sent and a
//! line for its outcome. `holdings.json` is the sum of the log up to some point, replaced whole after every outcome;
//! it makes reading short, and either file mends the other. An order that has no outcome line is *open*: nobody
//! knows what became of it until the server is asked again, with the same key.

mod entry;
mod log;
mod store;
mod summary;
#[cfg(test)]
mod tests;

pub use store::HoldingsStore;

use std::collections::BTreeMap;

use inventory_core::{BulkEntries, BulkOrder, Order, OrderKey, Posting, Return, Units, Upc, limits};

use entry::{Entry, Holding};

/// What one user holds, and which of their orders are open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    items: BTreeMap<Upc, Held>,
    open: BTreeMap<OrderKey, OpenOrder>,
}

/// Units of one item that were bought and not returned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The item's name when it was bought; empty if it was not known.
    pub name: String,
    /// How many units.
    pub units: Units,
}

/// An order whose outcome this client does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOrder {
    /// What was sent; none if damage left only the key, which is enough to ask for the receipt.
    pub kept: Option<KeptOrder>,
}

/// What is kept before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeptOrder {
    /// An order, all or nothing.
    Lines(Order),
    /// A batch of rows, each for itself.
    Bulk(BulkOrder),
    /// A return.
    Return(Return),
    /// An entry to accounts.
    Posting(Posting),
    /// A batch of entries, each for itself.
    BulkPosting(BulkEntries),
}

impl KeptOrder {
    /// Its key.
    pub const fn key(&self) -> OrderKey {
        match self {
            Self::Lines(order) => order.key,
            Self::Bulk(order) => order.key(),
            Self::Return(wanted) => wanted.key,
            Self::Posting(posting) => posting.key,
            Self::BulkPosting(batch) => batch.key(),
        }
    }

    /// What it is called.
    pub const fn noun(&self) -> &'static str {
        match self {
            Self::Lines(_) | Self::Bulk(_) => "order",
            Self::Return(_) => "return",
            Self::Posting(_) => "entry",
            Self::BulkPosting(_) => "batch of entries",
        }
    }
}

impl OpenOrder {
    /// What it is called; an order if only the key is known.
    pub fn noun(&self) -> &'static str {
        self.kept.as_ref().map_or("order", KeptOrder::noun)
    }
}

impl Holdings {
    /// What is held, in the order of the codes.
    pub fn items(&self) -> impl Iterator<Item = (Upc, &Held)> {
        self.items.iter().map(|(upc, held)| (*upc, held))
    }

    /// The name under which an item was bought before.
    pub fn name(&self, upc: Upc) -> Option<&str> {
        self.items.get(&upc).map(|held| held.name.as_str()).filter(|name| !name.is_empty())
    }

    /// The orders without a known outcome, oldest key first.
    pub fn open(&self) -> &BTreeMap<OrderKey, OpenOrder> {
        &self.open
    }

    /// Takes one line of the log into account. Each outcome is in the log once.
    fn fold(&mut self, entry: &Entry) {
        match entry {
            Entry::Ordered { key, lines, charge } => {
                let kept = Some(entry::kept_lines(*key, lines, charge.as_deref()));
                self.open.insert(*key, OpenOrder { kept });
            }
            Entry::Returning { key, units } => {
                self.open.insert(*key, OpenOrder { kept: Some(KeptOrder::Return(units.wanted(*key))) });
            }
            Entry::Posting { key, entry } => {
                self.open.insert(*key, OpenOrder { kept: Some(KeptOrder::Posting(entry.posting(*key))) });
            }
            Entry::PostingRows { key, entries } => {
                self.open.insert(*key, OpenOrder { kept: entries.batch(*key).map(KeptOrder::BulkPosting) });
            }
            Entry::OrderedRows { key, rows } => {
                self.open.insert(*key, OpenOrder { kept: rows.order(*key).map(KeptOrder::Bulk) });
            }
            Entry::Bought(bought) => {
                self.open.remove(&bought.key);
                for line in &bought.lines {
                    self.add(line.upc, &line.name, line.units);
                }
            }
            Entry::Returned { key, units, .. } => {
                self.open.remove(key);
                for line in &units.lines {
                    self.take_off(line.upc, line.units);
                }
            }
            Entry::NotBought { key, .. } | Entry::Posted { key, .. } => {
                self.open.remove(key);
            }
            Entry::Restored { items, open, .. } => *self = Self::restored(items, open),
        }
    }

    fn restored(items: &[Holding], open: &[entry::Open]) -> Self {
        let mut holdings = Self::default();
        for item in items {
            holdings.add(item.upc, &item.name, item.units);
        }
        for order in open {
            holdings.open.insert(order.key, OpenOrder { kept: order.kept() });
        }
        holdings
    }

    fn take_off(&mut self, upc: Upc, units: Units) {
        let Some(held) = self.items.get_mut(&upc) else { return };
        held.units = held.units.saturating_sub(units);
        if held.units.is_zero() {
            self.items.remove(&upc);
        }
    }

    fn add(&mut self, upc: Upc, name: &str, units: Units) {
        let held = self.items.entry(upc).or_default();
        // More than the largest quantity cannot be shown; the receipts keep what was bought.
        let most = Units::new(limits::UNITS_MAX).unwrap_or_default();
        held.units = held.units.checked_add(units).unwrap_or(most);
        if !name.is_empty() {
            name.clone_into(&mut held.name);
        }
    }
}
