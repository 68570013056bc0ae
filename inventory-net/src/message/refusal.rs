//! Refusals on the wire: a permanent code with its name, a sentence for people, and the details of the code.

use inventory_core::{LocationId, Money, Refusal, Shortage, Units, Upc};
use serde::{Deserialize, Serialize};

use crate::limits::TEXT_BYTES_MAX;
use crate::message::cut;
use crate::message::value::{Row, valid, valid_if_present};

/// A refusal with a code newer than this program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRefusal {
    /// Its code.
    pub code: u16,
    /// Its name.
    pub name: Box<str>,
    /// What the server says about it.
    pub message: Box<str>,
}

/// Names that [`Refusal::InvalidValue`] gives.
const FIELDS: [&str; 20] = [
    "account", "after", "amount", "charge", "floor", "key", "limit", "lines", "location", "names", "order",
    "password", "price", "role", "skip", "to", "token", "type", "units", "upc",
];

#[derive(Serialize)]
pub(super) struct RefusalOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    upc: Option<u64>,
    code: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<ShortageRows<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<i64>,
    message: &'a str,
    refusal: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    short_by: Option<i64>,
}

impl<'a> RefusalOut<'a> {
    /// `message` is the refusal's sentence; a long one is cut.
    pub(super) fn new(refusal: &'a Refusal, message: &'a str) -> Self {
        let (mut upc, mut count, mut field, mut lines) = (None, None, None, None);
        let (mut account, mut balance, mut short_by) = (None, None, None);
        match refusal {
            Refusal::UnknownItem { upc: item }
            | Refusal::ZeroQuantity { upc: item }
            | Refusal::Unpriced { upc: item }
            | Refusal::Overflow { upc: item } => upc = Some(item.get()),
            Refusal::InsufficientFunds { account: name, short_by: amount } => {
                account = Some(&**name);
                short_by = Some(amount.minor());
            }
            Refusal::BalanceOutOfRange { account: name } | Refusal::UnknownAccount { account: name } => {
                account = Some(&**name);
            }
            Refusal::FloorAboveBalance { balance: amount } => balance = Some(amount.minor()),
            Refusal::InsufficientStock { shortages } | Refusal::ExceedsPurchase { shortages } => {
                lines = Some(ShortageRows(shortages));
            }
            Refusal::TooManyLines { lines } => count = Some(*lines),
            Refusal::InvalidValue { field: name } => field = Some(*name),
            _ => {}
        }
        let (code, refusal) = (refusal.code(), refusal.name());
        let message = cut(message, TEXT_BYTES_MAX);
        Self { upc, code, count, field, lines, account, balance, message, refusal, short_by }
    }
}

struct ShortageRows<'a>(&'a [Shortage]);

impl Serialize for ShortageRows<'_> {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(
            self.0.iter().map(|short| {
                (short.upc.get(), short.location.0, short.requested.get(), short.available.get())
            }),
        )
    }
}

#[derive(Deserialize)]
pub(super) struct RefusalIn {
    #[serde(default, deserialize_with = "valid_if_present")]
    upc: Option<Upc>,
    #[serde(deserialize_with = "valid")]
    code: u16,
    #[serde(default, deserialize_with = "valid_if_present")]
    count: Option<u32>,
    #[serde(default)]
    field: Option<Box<str>>,
    #[serde(default)]
    lines: Option<Box<[Row<ShortageRow>]>>,
    #[serde(default)]
    account: Option<Box<str>>,
    #[serde(default, deserialize_with = "valid_if_present")]
    balance: Option<Money>,
    message: Box<str>,
    refusal: Box<str>,
    #[serde(default, deserialize_with = "valid_if_present")]
    short_by: Option<Money>,
}

#[derive(Deserialize)]
struct ShortageRow(
    #[serde(deserialize_with = "valid")] Upc,
    #[serde(deserialize_with = "valid")] LocationId,
    #[serde(deserialize_with = "valid")] Units,
    #[serde(deserialize_with = "valid")] Units,
);

impl RefusalIn {
    /// The refusal, or what there is of one that is newer than this program; none if its details are missing.
    pub(super) fn check(self) -> Option<Result<Refusal, UnknownRefusal>> {
        Some(Ok(match self.code {
            10 => Refusal::NotLoggedIn,
            11 => Refusal::BadCredentials,
            12 => Refusal::NotPermitted,
            13 => Refusal::AlreadyLoggedIn,
            20 => Refusal::UnknownItem { upc: self.upc? },
            21 => Refusal::InsufficientStock { shortages: shortages(&self.lines?) },
            22 => Refusal::ZeroQuantity { upc: self.upc? },
            23 => Refusal::Overflow { upc: self.upc? },
            24 => Refusal::TooManyLines { lines: self.count? },
            25 => Refusal::EmptyOrder,
            26 => Refusal::InsufficientFunds { account: self.account?, short_by: self.short_by? },
            27 => Refusal::BalanceOutOfRange { account: self.account? },
            28 => Refusal::Unpriced { upc: self.upc? },
            29 => Refusal::UnknownAccount { account: self.account? },
            30 => Refusal::KeyReused,
            31 => Refusal::KeyTooOld,
            32 => Refusal::KeyFromFuture,
            33 => Refusal::UnknownOrder,
            34 => Refusal::OutcomeNotKept,
            35 => Refusal::ExceedsPurchase { shortages: shortages(&self.lines?) },
            36 => Refusal::NotReturnable,
            40 => Refusal::UserExists,
            41 => Refusal::LevelAlreadySet,
            42 => Refusal::InvalidName,
            43 => Refusal::InvalidPrice,
            44 => Refusal::TableFull,
            45 => match FIELDS.into_iter().find(|name| self.field.as_deref() == Some(*name)) {
                Some(field) => Refusal::InvalidValue { field },
                None => return Some(Err(self.unknown())),
            },
            46 => Refusal::FloorAboveBalance { balance: self.balance? },
            47 => Refusal::SameAccount,
            _ => return Some(Err(self.unknown())),
        }))
    }

    fn unknown(self) -> UnknownRefusal {
        UnknownRefusal { code: self.code, name: self.refusal, message: self.message }
    }
}

fn shortages(rows: &[Row<ShortageRow>]) -> Box<[Shortage]> {
    rows.iter().map(|Row(short)| short.get()).collect()
}

impl ShortageRow {
    const fn get(&self) -> Shortage {
        Shortage { upc: self.0, location: self.1, requested: self.2, available: self.3 }
    }
}
