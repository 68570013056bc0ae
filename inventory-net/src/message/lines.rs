//! The rows of an order: `[upc, units]` from the main location, `[upc, units, location]` from another.

use core::fmt;
use core::iter;

use inventory_core::{LocationId, OneOrMany, OrderLine, Units, Upc};
use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeTuple, Serializer};

use crate::message::value::Checked;

/// Rows that were read, and the first field that was out of range, if any was.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) lines: OneOrMany<OrderLine>,
    pub(super) invalid: Option<&'static str>,
}

/// Rows to write.
#[derive(Debug)]
pub(super) struct Rows<'a>(pub(super) &'a [OrderLine]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.iter().map(Row))
    }
}

struct Row<'a>(&'a OrderLine);

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let OrderLine { upc, location, units } = *self.0;
        let elsewhere = location != LocationId::MAIN;
        let mut row = to.serialize_tuple(if elsewhere { 3 } else { 2 })?;
        row.serialize_element(&upc.get())?;
        row.serialize_element(&units.get())?;
        if elsewhere {
            row.serialize_element(&location.0)?;
        }
        row.end()
    }
}

impl<'de> Deserialize<'de> for Lines {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LinesVisitor)
    }
}

struct LinesVisitor;

impl<'de> Visitor<'de> for LinesVisitor {
    type Value = Lines;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of lines")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut rows: A) -> Result<Lines, A::Error> {
        let (mut invalid, mut broken) = (None, None);
        // The length that the array declares makes no room: memory grows with rows that are there.
        let lines = iter::from_fn(|| match rows.next_element::<CheckedLine>() {
            Ok(row) => row,
            Err(error) => {
                broken = Some(error);
                None
            }
        })
        .filter_map(|CheckedLine(line)| match line {
            Ok(line) => Some(line),
            Err(field) => {
                invalid.get_or_insert(field);
                None
            }
        })
        .collect();
        match broken {
            Some(error) => Err(error),
            None => Ok(Lines { lines, invalid }),
        }
    }
}

/// A line, or the field of it that is out of range.
struct CheckedLine(Result<OrderLine, &'static str>);

impl<'de> Deserialize<'de> for CheckedLine {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LineVisitor)
    }
}

struct LineVisitor;

impl<'de> Visitor<'de> for LineVisitor {
    type Value = CheckedLine;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a line: [upc, units] or [upc, units, location]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut row: A) -> Result<CheckedLine, A::Error> {
        let too_short = |length| de::Error::invalid_length(length, &self);
        let upc: Checked<Upc> = row.next_element()?.ok_or_else(|| too_short(0))?;
        let units: Checked<Units> = row.next_element()?.ok_or_else(|| too_short(1))?;
        let location = match row.next_element::<Checked<LocationId>>()? {
            // Behind the end of a row of indefinite length the next row begins: only one that has not ended is asked on.
            None => Checked(Some(LocationId::MAIN)),
            Some(_) if row.next_element::<de::IgnoredAny>()?.is_some() => {
                return Err(de::Error::custom("a line has more than three elements"));
            }
            Some(location) => location,
        };
        Ok(CheckedLine(match (upc.0, units.0, location.0) {
            (Some(upc), Some(units), Some(location)) => Ok(OrderLine { upc, location, units }),
            (None, _, _) => Err("upc"),
            (_, None, _) => Err("units"),
            (_, _, None) => Err("location"),
        }))
    }
}
