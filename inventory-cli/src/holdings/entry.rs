//! The lines of the orders log, and their bytes: 16 hexadecimal digits of checksum, a space, JSON, a line feed.

use inventory_core::{
    BulkEntries, BulkOrder, Hash, LocationId, Money, NameColumn, Order, OrderKey, OrderLine, Posting, Return,
    Units, Upc,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::KeptOrder;

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// This order is about to be sent.
    Ordered {
        #[serde(with = "as_text")]
        key: OrderKey,
        lines: Vec<Line>,
        /// The account that is to pay.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        charge: Option<Box<str>>,
    },
    /// This batch of rows is about to be sent.
    OrderedRows {
        #[serde(with = "as_text")]
        key: OrderKey,
        rows: Rows,
    },
    /// This return is about to be sent.
    Returning {
        #[serde(with = "as_text")]
        key: OrderKey,
        units: ReturnedUnits,
    },
    /// This entry to accounts is about to be sent.
    Posting {
        #[serde(with = "as_text")]
        key: OrderKey,
        entry: AccountEntry,
    },
    /// This batch of entries is about to be sent.
    PostingRows {
        #[serde(with = "as_text")]
        key: OrderKey,
        entries: EntryRows,
    },
    /// The server has decided the entry or batch of them that has this key.
    Posted {
        #[serde(with = "as_text")]
        key: OrderKey,
        version: u64,
        at_us: u64,
    },
    /// The server sold this.
    Bought(Bought),
    /// The server took this back. Lists only what the holdings fall by.
    Returned {
        #[serde(with = "as_text")]
        key: OrderKey,
        version: u64,
        at_us: u64,
        units: ReturnedUnits,
    },
    /// The order with this key bought nothing, and never will.
    NotBought {
        #[serde(with = "as_text")]
        key: OrderKey,
        why: String,
    },
    /// What the holdings were here, known from elsewhere: lines before this one are missing.
    Restored {
        items: Vec<Holding>,
        open: Vec<Open>,
        /// What was decided before, and whose outcome is missing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        decided: Vec<DecidedKey>,
    },
}

/// The key of something decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct DecidedKey(#[serde(with = "as_text")] pub(super) OrderKey);

/// What a receipt says, and the names of its items.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bought {
    #[serde(with = "as_text")]
    pub(super) key: OrderKey,
    pub(super) version: u64,
    pub(super) at_us: u64,
    pub(super) lines: Vec<Line>,
    /// Minor units.
    pub(super) total: Option<i64>,
}

/// Units of one item at one location.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    #[serde(with = "as_text")]
    pub(super) upc: Upc,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) name: String,
    pub(super) location: u16,
    #[serde(with = "as_text")]
    pub(super) units: Units,
}

impl Line {
    pub(super) fn new(line: &OrderLine, name: &str) -> Self {
        Self { upc: line.upc, name: name.to_owned(), location: line.location.0, units: line.units }
    }

    pub(super) fn order_line(&self) -> OrderLine {
        OrderLine { upc: self.upc, location: LocationId(self.location), units: self.units }
    }
}

/// Units of an order that come back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReturnedUnits {
    #[serde(with = "as_text")]
    pub(super) order: OrderKey,
    /// Before it is sent: empty for all that is left.
    pub(super) lines: Vec<Line>,
}

impl ReturnedUnits {
    pub(super) fn new(order: OrderKey, lines: &[OrderLine]) -> Self {
        Self { order, lines: lines.iter().map(|line| Line::new(line, "")).collect() }
    }

    pub(super) fn wanted(&self, key: OrderKey) -> Return {
        let lines = self.lines.iter().map(Line::order_line).collect();
        Return { key, order: self.order, lines, evidence: None }
    }
}

/// The rows of a batch, as columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rows {
    location: u16,
    upc: Vec<u64>,
    units: Vec<u32>,
}

impl Rows {
    pub(super) fn new(order: &BulkOrder) -> Self {
        let upc = order.upcs().iter().map(|upc| upc.get()).collect();
        Self { location: order.location().0, upc, units: order.units().to_vec() }
    }

    /// The batch; none if these are no rows of one.
    pub(super) fn order(&self, key: OrderKey) -> Option<BulkOrder> {
        let upcs: Vec<Upc> = self.upc.iter().map(|code| Upc::new(*code).ok()).collect::<Option<_>>()?;
        BulkOrder::new(key, LocationId(self.location), upcs, self.units.as_slice()).ok()
    }
}

/// A credit, a debit or a transfer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub(super) enum AccountEntry {
    Credit { account: Box<str>, amount: i64 },
    Debit { account: Box<str>, amount: i64 },
    Transfer { account: Box<str>, to: Box<str>, amount: i64 },
}

impl AccountEntry {
    pub(super) fn new(posting: &Posting) -> Self {
        use inventory_core::Entry;
        let amount = posting.entry.amount().minor();
        match posting.entry.clone() {
            Entry::Credit { account, .. } => Self::Credit { account, amount },
            Entry::Debit { account, .. } => Self::Debit { account, amount },
            Entry::Transfer { from: account, to, .. } => Self::Transfer { account, to, amount },
        }
    }

    pub(super) fn posting(&self, key: OrderKey) -> Posting {
        use inventory_core::Entry;
        let money = Money::from_minor;
        let entry = match self.clone() {
            Self::Credit { account, amount } => Entry::Credit { account, amount: money(amount) },
            Self::Debit { account, amount } => Entry::Debit { account, amount: money(amount) },
            Self::Transfer { account: from, to, amount } => {
                Entry::Transfer { from, to, amount: money(amount) }
            }
        };
        Posting { key, entry }
    }
}

/// The rows of a batch of entries, as columns.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EntryRows {
    account: Vec<String>,
    /// Minor units; negative for a debit.
    amount: Vec<i64>,
}

impl EntryRows {
    pub(super) fn new(batch: &BulkEntries) -> Self {
        let name = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        Self { account: batch.names().iter().map(name).collect(), amount: batch.amounts().to_vec() }
    }

    /// The batch; none if these are no rows of one.
    pub(super) fn batch(&self, key: OrderKey) -> Option<BulkEntries> {
        let mut names = NameColumn::default();
        let fits = self.account.iter().all(|name| names.push(name.as_bytes()));
        BulkEntries::new(key, names, self.amount.as_slice()).ok().filter(|_| fits)
    }
}

/// Units held of one item.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holding {
    #[serde(with = "as_text")]
    pub(super) upc: Upc,
    pub(super) name: String,
    #[serde(with = "as_text")]
    pub(super) units: Units,
}

/// An order without a known outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Open {
    #[serde(with = "as_text")]
    pub(super) key: OrderKey,
    pub(super) lines: Option<Vec<Line>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rows: Option<Rows>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) charge: Option<Box<str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) returning: Option<ReturnedUnits>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) entry: Option<AccountEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) entries: Option<EntryRows>,
}

impl Open {
    pub(super) fn new(key: OrderKey, kept: Option<&KeptOrder>) -> Self {
        let mut open =
            Self { key, lines: None, rows: None, charge: None, returning: None, entry: None, entries: None };
        match kept {
            Some(KeptOrder::Lines(order)) => {
                open.lines = Some(order.lines.iter().map(|line| Line::new(line, "")).collect());
                open.charge.clone_from(&order.charge);
            }
            Some(KeptOrder::Bulk(order)) => open.rows = Some(Rows::new(order)),
            Some(KeptOrder::Return(wanted)) => {
                open.returning = Some(ReturnedUnits::new(wanted.order, &wanted.lines));
            }
            Some(KeptOrder::Posting(posting)) => open.entry = Some(AccountEntry::new(posting)),
            Some(KeptOrder::BulkPosting(batch)) => open.entries = Some(EntryRows::new(batch)),
            None => {}
        }
        open
    }

    pub(super) fn kept(&self) -> Option<KeptOrder> {
        let key = self.key;
        match (&self.lines, &self.rows, &self.returning, &self.entry, &self.entries) {
            (Some(lines), ..) => Some(kept_lines(key, lines, self.charge.as_deref())),
            (_, Some(rows), ..) => rows.order(key).map(KeptOrder::Bulk),
            (_, _, Some(units), ..) => Some(KeptOrder::Return(units.wanted(key))),
            (.., Some(entry), _) => Some(KeptOrder::Posting(entry.posting(key))),
            (.., Some(entries)) => entries.batch(key).map(KeptOrder::BulkPosting),
            (None, None, None, None, None) => None,
        }
    }
}

pub(super) fn kept_lines(key: OrderKey, lines: &[Line], charge: Option<&str>) -> KeptOrder {
    let lines = lines.iter().map(Line::order_line).collect();
    KeptOrder::Lines(Order { key, lines, charge: charge.map(Into::into) })
}

/// This value as a line with its checksum.
pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let json = serde_json::to_vec(value)?;
    let mut line = checksum(&json).into_bytes();
    line.push(b' ');
    line.extend(json);
    line.push(b'\n');
    Ok(line)
}

/// The value of a line without its line feed; none if the line is not what was written.
pub(super) fn decode<T: DeserializeOwned>(line: &[u8]) -> Option<T> {
    let (sum, json) = line.split_at_checked(CHECKSUM_DIGITS)?;
    let json = json.strip_prefix(b" ")?;
    if checksum(json).as_bytes() != sum {
        return None;
    }
    serde_json::from_slice(json).ok()
}

const CHECKSUM_DIGITS: usize = 16;

/// The first 64 bits of the BLAKE3 hash, in hexadecimal.
fn checksum(bytes: &[u8]) -> String {
    let mut digits = Hash::of(bytes).to_string();
    digits.truncate(CHECKSUM_DIGITS);
    digits
}

/// The order key that can still be read in a damaged line.
pub(super) fn legible_key(line: &[u8]) -> Option<OrderKey> {
    const MARK: &[u8] = b"\"key\":\"";
    const KEY_CHARS: usize = 36;
    let start = line.windows(MARK.len()).position(|window| window == MARK)?.checked_add(MARK.len())?;
    let key = line.get(start..start.checked_add(KEY_CHARS)?)?;
    std::str::from_utf8(key).ok()?.parse().ok()
}

/// Values kept as the text that people read and write.
mod as_text {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_and_every_flipped_bit_is_seen() {
        let key: OrderKey = "019a9d7c-6a00-7abc-8def-0123456789ab".parse().unwrap();
        let line = OrderLine::new("036000291452".parse().unwrap(), Units::new(2).unwrap());
        let entry = Entry::Ordered { key, lines: vec![Line::new(&line, "Tissues")], charge: None };
        let bytes = encode(&entry).unwrap();
        let (last, line) = bytes.split_last().unwrap();
        assert_eq!(*last, b'\n');
        assert_eq!(decode(line), Some(entry));
        assert_eq!(legible_key(line), Some(key));
        for at in 0..line.len() {
            for bit in 0..8 {
                let mut wrong = line.to_vec();
                wrong[at] ^= 1 << bit;
                assert_eq!(decode::<Entry>(&wrong), None, "byte {at} bit {bit}");
            }
        }
    }
}
