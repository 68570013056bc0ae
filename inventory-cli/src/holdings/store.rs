//! The files of the holdings: read together, mended by each other, written so that a crash at any point loses
//! nothing and counts nothing twice.

use std::path::PathBuf;

use inventory_core::{OrderKey, Receipt, ReturnReceipt, Time, Upc, Version};

use super::entry::{self, AccountEntry, Bought, DecidedKey, Entry, EntryRows, Line, ReturnedUnits, Rows};
use super::log::LogContent;
use super::summary::{self, Summary};
use super::{Holdings, KeptOrder, OpenOrder};
use crate::notice::note;
use crate::state::{self, Lock, StateError};

/// Where one user's holdings lie. Any number of processes may use it at once.
#[derive(Clone, Debug)]
pub struct HoldingsStore {
    dir: PathBuf,
}

/// Both files as they are under the lock.
struct Loaded {
    holdings: Holdings,
    log: LogContent,
    /// Length of the log.
    log_bytes: usize,
    _lock: Lock,
}

impl HoldingsStore {
    /// The holdings in this folder, which is made when something is written.
    pub const fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// What is held now. Damaged files are set aside and mended, and a note says so.
    pub fn load(&self) -> Result<Holdings, StateError> {
        if !self.dir.exists() {
            return Ok(Holdings::default());
        }
        self.load_locked().map(|loaded| loaded.holdings)
    }

    /// Keeps an order that is about to be sent; durable when this returns. `name` knows the names of items.
    /// Says whether the order is new here: a key given by hand may be one that was used before.
    pub fn record_order(&self, order: &KeptOrder, name: impl Fn(Upc) -> String) -> Result<bool, StateError> {
        self.record_orders([order], name).map(|news| news.contains(&true))
    }

    /// As [`record_order`](Self::record_order), for many orders in one write: if it fails, none is kept.
    pub fn record_orders<'a>(
        &self,
        orders: impl IntoIterator<Item = &'a KeptOrder>,
        name: impl Fn(Upc) -> String,
    ) -> Result<Vec<bool>, StateError> {
        state::create_dir(&self.dir)?;
        let loaded = self.load_locked()?;
        let (mut news, mut entries) = (Vec::new(), Vec::new());
        for order in orders {
            let key = order.key();
            let is_new = !loaded.holdings.open.contains_key(&key) && !loaded.log.has_done(key);
            news.push(is_new);
            entries.extend(is_new.then(|| ordered(order, &name)));
        }
        self.append(&entries)?;
        Ok(news)
    }

    /// Adds what an order bought and closes it, in one step. Says whether it was not counted before.
    pub fn record_receipt(
        &self,
        receipt: &Receipt,
        name: impl Fn(Upc) -> String,
    ) -> Result<bool, StateError> {
        state::create_dir(&self.dir)?;
        let loaded = self.load_locked()?;
        // An open order was not counted yet; any other may have been, by this process or another one.
        if !loaded.holdings.open.contains_key(&receipt.key) && loaded.log.has_done(receipt.key) {
            return Ok(false);
        }
        let known = names_of(&loaded.log, receipt.key);
        let named = |line: &inventory_core::OrderLine| {
            let ordered = known.iter().find(|known| known.upc == line.upc).map(|known| known.name.clone());
            let name = ordered.filter(|name| !name.is_empty()).unwrap_or_else(|| name(line.upc));
            Line::new(line, &name)
        };
        let bought = Entry::Bought(Bought {
            key: receipt.key,
            version: receipt.version.0,
            at_us: receipt.at.as_micros(),
            lines: receipt.lines.iter().map(named).collect(),
            total: receipt.total.map(inventory_core::Money::minor),
        });
        self.close(loaded, &[bought])?;
        Ok(true)
    }

    /// Takes off what came back of an order that was bought here, and closes the return, in one step. Says whether it was not
    /// taken off before. `is_own` says whose the order is, where the log has lost lines.
    pub fn record_returned(&self, receipt: &ReturnReceipt, is_own: bool) -> Result<bool, StateError> {
        state::create_dir(&self.dir)?;
        let loaded = self.load_locked()?;
        let ReturnReceipt { key, version, at, order, lines, .. } = receipt;
        if !loaded.holdings.open.contains_key(key) && loaded.log.has_done(*key) {
            return Ok(false);
        }
        let off = if loaded.log.counts(*order).unwrap_or(is_own) { &**lines } else { &[] };
        let units = ReturnedUnits::new(*order, off);
        let returned = Entry::Returned { key: *key, version: version.0, at_us: at.as_micros(), units };
        self.close(loaded, &[returned])?;
        Ok(true)
    }

    /// Whether the log has lost lines, and may have lost those of this order.
    pub fn may_have_lost(&self, order: OrderKey) -> Result<bool, StateError> {
        Ok(self.load_locked()?.log.counts(order).is_none())
    }

    /// Closes an entry, or a batch of them, that the server has decided. Says whether it was open.
    pub fn record_posted(&self, key: OrderKey, version: Version, at: Time) -> Result<bool, StateError> {
        let loaded = self.load_locked()?;
        if !loaded.holdings.open.contains_key(&key) {
            return Ok(false);
        }
        self.close(loaded, &[Entry::Posted { key, version: version.0, at_us: at.as_micros() }])?;
        Ok(true)
    }

    /// Closes an order that bought nothing and never will. Says whether it was open.
    pub fn record_not_bought(&self, key: OrderKey, why: &str) -> Result<bool, StateError> {
        self.record_none_bought(&[key], why).map(|closed| closed > 0)
    }

    /// As [`record_not_bought`](Self::record_not_bought), for many orders in one write. Says how many were open.
    pub fn record_none_bought(&self, keys: &[OrderKey], why: &str) -> Result<usize, StateError> {
        let loaded = self.load_locked()?;
        let open = keys.iter().filter(|key| loaded.holdings.open.contains_key(key));
        let closed: Vec<_> = open.map(|key| Entry::NotBought { key: *key, why: why.to_owned() }).collect();
        if !closed.is_empty() {
            self.close(loaded, &closed)?;
        }
        Ok(closed.len())
    }

    fn close(&self, mut loaded: Loaded, outcomes: &[Entry]) -> Result<(), StateError> {
        // From here on the outcomes are counted; the summary only repeats them.
        let added = self.append(outcomes)?;
        for outcome in outcomes {
            loaded.holdings.fold(outcome);
        }
        self.save_summary(&loaded.holdings, loaded.log_bytes.saturating_add(added))
    }

    /// Gives how many bytes were added.
    fn append(&self, entries: &[Entry]) -> Result<usize, StateError> {
        let mut lines = Vec::new();
        for entry in entries {
            lines.extend(self.encoded(entry)?);
        }
        if !lines.is_empty() {
            state::append(&self.log_file(), &lines)?;
        }
        Ok(lines.len())
    }

    fn save_summary(&self, holdings: &Holdings, log_bytes: usize) -> Result<(), StateError> {
        let bytes = self.encoded(&Summary::new(holdings, log_bytes))?;
        state::replace(&self.summary_file(), &bytes)
    }

    fn encoded<T: serde::Serialize>(&self, value: &T) -> Result<Vec<u8>, StateError> {
        entry::encode(value).map_err(|e| StateError::write(&self.dir)(e.into()))
    }

    fn load_locked(&self) -> Result<Loaded, StateError> {
        let lock = Lock::wait(&self.dir.join("lock"))?;
        let (summary, summary_damaged) = self.read_summary()?;
        let bytes = state::read(&self.log_file())?.unwrap_or_default();
        let log = LogContent::read(&bytes);
        let covered = summary.as_ref().map_or(0, |summary| summary.log_bytes);
        let shorter = log.complete_bytes < covered;

        let mut holdings = summary.as_ref().map(Summary::holdings).unwrap_or_default();
        for (_, entry) in log.entries.iter().filter(|(end, _)| *end > covered) {
            holdings.fold(entry);
        }
        if log.damaged_lines > 0 || shorter {
            // No sum says what these lines did, but the server still knows the orders whose keys are legible.
            for (end, key) in &log.damaged_keys {
                if *end > covered && !log.has_done(*key) {
                    holdings.open.entry(*key).or_insert(OpenOrder { kept: None });
                }
            }
            let decided = log.decided_within(covered, &holdings.open);
            return self.mend_log(holdings, decided, &log, lock);
        }
        let log_bytes = log.complete_bytes;
        if log_bytes < bytes.len() {
            state::replace(&self.log_file(), &log.whole)?;
        }
        if summary_damaged {
            self.save_summary(&holdings, log_bytes)?;
        }
        Ok(Loaded { holdings, log, log_bytes, _lock: lock })
    }

    /// The summary, if there is a whole one, and whether there was a damaged one.
    fn read_summary(&self) -> Result<(Option<Summary>, bool), StateError> {
        let path = self.summary_file();
        let Some(bytes) = state::read(&path)? else { return Ok((None, false)) };
        if let Some(summary) = bytes.strip_suffix(b"\n").and_then(entry::decode) {
            return Ok((Some(summary), false));
        }
        let aside = state::set_aside(&path)?;
        note(format_args!(
            "the local inventory {} is damaged; it was kept as {} and is rebuilt from the orders log",
            path.display(),
            aside.display()
        ));
        Ok((None, true))
    }

    /// Sets a damaged log aside and writes one in its place that holds its whole lines and what the holdings are.
    fn mend_log(
        &self,
        holdings: Holdings,
        decided: Vec<DecidedKey>,
        damaged: &LogContent,
        lock: Lock,
    ) -> Result<Loaded, StateError> {
        let path = self.log_file();
        let mut bytes = damaged.whole.clone();
        bytes.extend(self.encoded(&summary::restored(&holdings, decided))?);
        let what = if path.exists() {
            let aside = state::set_aside_and_replace(&path, &bytes)?;
            format!("is damaged and was kept as {}", aside.display())
        } else {
            state::replace(&path, &bytes)?;
            "is missing".to_owned()
        };
        note(format_args!(
            "the orders log {} {what}; the local inventory is rebuilt from what is legible there, from the sums in \
             holdings.json, and by asking the server about orders that stay unclear",
            path.display()
        ));
        let log_bytes = bytes.len();
        self.save_summary(&holdings, log_bytes)?;
        Ok(Loaded { holdings, log: LogContent::read(&bytes), log_bytes, _lock: lock })
    }

    fn log_file(&self) -> PathBuf {
        self.dir.join("orders.log")
    }

    fn summary_file(&self) -> PathBuf {
        self.dir.join("holdings.json")
    }
}

/// The line that keeps an order.
fn ordered(order: &KeptOrder, name: impl Fn(Upc) -> String) -> Entry {
    let key = order.key();
    match order {
        KeptOrder::Lines(order) => {
            let lines = order.lines.iter().map(|line| Line::new(line, &name(line.upc))).collect();
            Entry::Ordered { key, lines, charge: order.charge.clone() }
        }
        KeptOrder::Bulk(order) => Entry::OrderedRows { key, rows: Rows::new(order) },
        KeptOrder::Return(wanted) => {
            Entry::Returning { key, units: ReturnedUnits::new(wanted.order, &wanted.lines) }
        }
        KeptOrder::Posting(posting) => Entry::Posting { key, entry: AccountEntry::new(posting) },
        KeptOrder::BulkPosting(batch) => Entry::PostingRows { key, entries: EntryRows::new(batch) },
    }
}

/// The lines of this order as they were kept before it was sent.
fn names_of(log: &LogContent, wanted: OrderKey) -> &[Line] {
    let ordered = log.entries.iter().rev().find_map(|(_, entry)| match entry {
        Entry::Ordered { key, lines, .. } if *key == wanted => Some(lines.as_slice()),
        _ => None,
    });
    ordered.unwrap_or_default()
}
