//! Refusals on the wire: a permanent code with its name, a sentence for people, and the details of the code.

use inventory_core::{LocationId, Refusal, Shortage, Units, Upc};
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
const FIELDS: [&str; 10] =
    ["after", "key", "limit", "location", "password", "price", "role", "token", "units", "upc"];

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
    message: &'a str,
    refusal: &'static str,
}

impl<'a> RefusalOut<'a> {
    /// `message` is the refusal's sentence; a long one is cut.
    pub(super) fn new(refusal: &'a Refusal, message: &'a str) -> Self {
        let (mut upc, mut count, mut field, mut lines) = (None, None, None, None);
        match refusal {
            Refusal::UnknownItem { upc: item }
            | Refusal::ZeroQuantity { upc: item }
            | Refusal::Overflow { upc: item } => upc = Some(item.get()),
            Refusal::InsufficientStock { shortages } => lines = Some(ShortageRows(shortages)),
            Refusal::TooManyLines { lines } => count = Some(*lines),
            Refusal::InvalidValue { field: name } => field = Some(*name),
            _ => {}
        }
        let (code, refusal) = (refusal.code(), refusal.name());
        Self { upc, code, count, field, lines, message: cut(message, TEXT_BYTES_MAX), refusal }
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
    message: Box<str>,
    refusal: Box<str>,
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
            21 => Refusal::InsufficientStock {
                shortages: self.lines?.iter().map(|Row(short)| short.get()).collect(),
            },
            22 => Refusal::ZeroQuantity { upc: self.upc? },
            23 => Refusal::Overflow { upc: self.upc? },
            24 => Refusal::TooManyLines { lines: self.count? },
            25 => Refusal::EmptyOrder,
            30 => Refusal::KeyReused,
            31 => Refusal::KeyTooOld,
            32 => Refusal::KeyFromFuture,
            33 => Refusal::UnknownOrder,
            34 => Refusal::OutcomeNotKept,
            40 => Refusal::UserExists,
            41 => Refusal::LevelAlreadySet,
            42 => Refusal::InvalidName,
            43 => Refusal::InvalidPrice,
            44 => Refusal::TableFull,
            45 => match FIELDS.into_iter().find(|name| self.field.as_deref() == Some(*name)) {
                Some(field) => Refusal::InvalidValue { field },
                None => return Some(Err(self.unknown())),
            },
            _ => return Some(Err(self.unknown())),
        }))
    }

    fn unknown(self) -> UnknownRefusal {
        UnknownRefusal { code: self.code, name: self.refusal, message: self.message }
    }
}

impl ShortageRow {
    const fn get(&self) -> Shortage {
        Shortage { upc: self.0, location: self.1, requested: self.2, available: self.3 }
    }
}
