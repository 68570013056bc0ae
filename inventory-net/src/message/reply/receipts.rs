//! The bodies of receipts: see `bodies`.

use inventory_core::{
    BulkOutcome, BulkPostingReceipt, BulkReceipt, EntriesOutcome, Money, OneOrMany, OrderKey, OrderLine,
    PostingReceipt, Receipt, Refund, ReturnReceipt, RowCodes, Time, Units, Version,
};
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, ByteBuf};

use crate::message::entries::EntryKind;
use crate::message::lines::{Lines, Rows};
use crate::message::reply::Done;
use crate::message::value::{valid, valid_if_present};

#[derive(Serialize)]
pub(super) struct ReceiptOut<'a> {
    at: u64,
    key: ByteArray<16>,
    user: &'a str,
    lines: Rows<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charged: Option<&'a str>,
    version: u64,
}

impl<'a> From<&'a Receipt> for ReceiptOut<'a> {
    fn from(receipt: &'a Receipt) -> Self {
        let Receipt { key, version, user, at, lines, total, charged } = receipt;
        Self {
            at: at.as_micros(),
            key: ByteArray::new(key.to_bytes()),
            user,
            lines: Rows(lines),
            total: total.map(Money::minor),
            charged: charged.as_deref(),
            version: version.0,
        }
    }
}

#[derive(Serialize)]
pub(super) struct BulkReceiptOut<'a> {
    at: u64,
    key: ByteArray<16>,
    rows: u32,
    user: &'a str,
    #[serde(skip_serializing_if = "<[u8]>::is_empty", with = "serde_bytes")]
    codes: &'a [u8],
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<i64>,
    units: u64,
    version: u64,
    accepted: u32,
}

impl<'a> From<&'a BulkReceipt> for BulkReceiptOut<'a> {
    fn from(receipt: &'a BulkReceipt) -> Self {
        let BulkReceipt { key, version, user, at, outcome } = receipt;
        let BulkOutcome { rows, accepted_rows, units, total, codes } = outcome;
        Self {
            at: at.as_micros(),
            key: ByteArray::new(key.to_bytes()),
            rows: *rows,
            user,
            codes: codes.bytes(),
            total: total.map(Money::minor),
            units: units.get(),
            version: version.0,
            accepted: *accepted_rows,
        }
    }
}

#[derive(Serialize)]
pub(super) struct ReturnReceiptOut<'a> {
    at: u64,
    key: ByteArray<16>,
    user: &'a str,
    order: ByteArray<16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refund: Option<i64>,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refunded: Option<&'a str>,
    returned: Rows<'a>,
}

impl<'a> From<&'a ReturnReceipt> for ReturnReceiptOut<'a> {
    fn from(receipt: &'a ReturnReceipt) -> Self {
        let ReturnReceipt { key, version, user, at, order, lines, refund } = receipt;
        Self {
            at: at.as_micros(),
            key: ByteArray::new(key.to_bytes()),
            user,
            order: ByteArray::new(order.to_bytes()),
            refund: refund.as_ref().map(|refund| refund.amount.minor()),
            version: version.0,
            refunded: refund.as_ref().map(|refund| &*refund.account),
            returned: Rows(lines),
        }
    }
}

#[derive(Serialize)]
pub(super) struct PostingReceiptOut<'a> {
    at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    key: ByteArray<16>,
    #[serde(rename = "type")]
    kind: &'static str,
    user: &'a str,
    amount: i64,
    account: &'a str,
    balance: i64,
    version: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    to_balance: Option<i64>,
}

impl<'a> From<&'a PostingReceipt> for PostingReceiptOut<'a> {
    fn from(receipt: &'a PostingReceipt) -> Self {
        let PostingReceipt { key, version, user, at, entry, balance, counterpart_balance } = receipt;
        Self {
            at: at.as_micros(),
            to: entry.counterpart().map(|name| &**name),
            key: ByteArray::new(key.to_bytes()),
            kind: EntryKind::of(entry).name(),
            user,
            amount: entry.amount().minor(),
            account: entry.account(),
            balance: balance.minor(),
            version: version.0,
            to_balance: counterpart_balance.map(Money::minor),
        }
    }
}

#[derive(Serialize)]
pub(super) struct BulkPostingReceiptOut<'a> {
    at: u64,
    key: ByteArray<16>,
    rows: u32,
    user: &'a str,
    #[serde(skip_serializing_if = "<[u8]>::is_empty", with = "serde_bytes")]
    codes: &'a [u8],
    version: u64,
    accepted: u32,
}

impl<'a> From<&'a BulkPostingReceipt> for BulkPostingReceiptOut<'a> {
    fn from(receipt: &'a BulkPostingReceipt) -> Self {
        let BulkPostingReceipt { key, version, user, at, outcome } = receipt;
        let EntriesOutcome { rows, accepted_rows, codes } = outcome;
        Self {
            at: at.as_micros(),
            key: ByteArray::new(key.to_bytes()),
            rows: *rows,
            user,
            codes: codes.bytes(),
            version: version.0,
            accepted: *accepted_rows,
        }
    }
}

/// The receipt of an order or, if it counts rows, of a batch: one of purchases adds up units, one of entries does not. That of
/// an entry says what type it is of, that of a return what was returned.
#[derive(Deserialize)]
pub(super) struct AnyReceiptIn {
    #[serde(deserialize_with = "valid")]
    at: Time,
    #[serde(default)]
    to: Option<Box<str>>,
    #[serde(deserialize_with = "valid")]
    key: OrderKey,
    #[serde(default, deserialize_with = "valid_if_present")]
    rows: Option<u32>,
    #[serde(default, rename = "type", deserialize_with = "valid_if_present")]
    kind: Option<EntryKind>,
    user: Box<str>,
    #[serde(default, deserialize_with = "valid_if_present")]
    order: Option<OrderKey>,
    #[serde(default)]
    codes: ByteBuf,
    #[serde(default)]
    lines: Option<Lines>,
    #[serde(default, deserialize_with = "valid_if_present")]
    total: Option<Money>,
    #[serde(default, deserialize_with = "valid_if_present")]
    units: Option<Units>,
    #[serde(default, deserialize_with = "valid_if_present")]
    amount: Option<Money>,
    #[serde(default, deserialize_with = "valid_if_present")]
    refund: Option<Money>,
    #[serde(default)]
    account: Option<Box<str>>,
    #[serde(default, deserialize_with = "valid_if_present")]
    balance: Option<Money>,
    #[serde(default)]
    charged: Option<Box<str>>,
    #[serde(deserialize_with = "valid")]
    version: Version,
    #[serde(default)]
    refunded: Option<Box<str>>,
    #[serde(default)]
    returned: Option<Lines>,
    #[serde(default, deserialize_with = "valid_if_present")]
    accepted: Option<u32>,
    #[serde(default, deserialize_with = "valid_if_present")]
    to_balance: Option<Money>,
}

impl AnyReceiptIn {
    pub(super) fn get(self) -> Result<Done, String> {
        if self.kind.is_some() {
            return self.posting().map(Done::PostingReceipt);
        }
        if self.returned.is_some() {
            return self.returned().map(Box::new).map(Done::ReturnReceipt);
        }
        let Self { at, key, rows, user, codes, lines, total, units, version, accepted, charged, .. } = self;
        let (user, charged) = (user.into(), charged.map(Into::into));
        if let Some(rows) = rows {
            let accepted_rows =
                accepted.ok_or("the receipt of a batch lacks its units or its accepted rows")?;
            let codes = codes.into_vec();
            let codes = if units.is_some() { RowCodes::new(codes) } else { RowCodes::of_entries(codes) };
            let codes = codes.ok_or("a code of a row is unknown")?;
            if !usize::try_from(rows).is_ok_and(|rows| codes.fit(rows)) {
                return Err("there are more or fewer codes than rows".into());
            }
            return Ok(if let Some(units) = units {
                let outcome = BulkOutcome { rows, accepted_rows, units, total, codes };
                Done::BulkReceipt(BulkReceipt { key, version, user, at, outcome })
            } else {
                let outcome = EntriesOutcome { rows, accepted_rows, codes };
                Done::BulkPostingReceipt(BulkPostingReceipt { key, version, user, at, outcome })
            });
        }
        let lines = valid_lines(lines.ok_or("the receipt lacks its lines")?)?;
        Ok(Done::Receipt(Receipt { key, version, user, at, lines, total, charged }))
    }

    fn returned(self) -> Result<ReturnReceipt, String> {
        let Self { at, key, user, version, order, returned, refund, refunded, .. } = self;
        let (order, lines) = order.zip(returned).ok_or("the receipt of a return lacks its order")?;
        let refund = match (refund, refunded) {
            (Some(amount), Some(account)) => Some(Refund { account: account.into(), amount }),
            (None, None) => None,
            _ => return Err("a refund is an amount and an account".into()),
        };
        let lines = valid_lines(lines)?;
        Ok(ReturnReceipt { key, version, user: user.into(), at, order, lines, refund })
    }

    fn posting(self) -> Result<PostingReceipt, String> {
        let Self { at, to, key, kind, user, version, account, amount, balance, to_balance, .. } = self;
        let entry = kind.zip(account).zip(amount).and_then(|((kind, account), amount)| {
            let entry = kind.entry(account.into(), to.map(Into::into), amount)?;
            (entry.counterpart().is_some() == to_balance.is_some()).then_some(entry)
        });
        let (entry, balance) = entry.zip(balance).ok_or("the receipt of an entry lacks a part of it")?;
        Ok(PostingReceipt {
            key,
            version,
            user: user.into(),
            at,
            entry,
            balance,
            counterpart_balance: to_balance,
        })
    }
}

fn valid_lines(lines: Lines) -> Result<OneOrMany<OrderLine>, String> {
    match lines {
        Lines { invalid: Some(field), .. } => Err(format!("{field} is out of range")),
        Lines { lines, .. } => Ok(lines),
    }
}
