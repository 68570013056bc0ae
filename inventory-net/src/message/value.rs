//! Single values between CBOR and the core's types.
//!
//! A value of the wrong kind is an error of the decoder. A value of the right kind that is out of range is
//! kept apart as such ([`Checked`]): in a request it is refused by name, in a reply it is a lie.

use core::fmt;
use core::marker::PhantomData;

use inventory_core::{LocationId, Money, OrderKey, Refusal, Role, Time, Units, Upc, Version};
use serde::de::value::SeqAccessDeserializer;
use serde::de::{self, Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};

use crate::limits::{ACCOUNT_BYTES_MAX, TOKEN_BYTES};
use crate::message::entries::EntryKind;
use crate::message::{Password, Token};

/// A value of the right kind; none if it is out of range.
#[derive(Debug)]
pub(super) struct Checked<T>(pub(super) Option<T>);

impl<T> Checked<T> {
    /// The value, or the refusal that names this field.
    pub(super) fn or_refuse(self, field: &'static str) -> Result<T, Refusal> {
        self.0.ok_or(Refusal::InvalidValue { field })
    }
}

impl<'de, T: Value> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        T::deserialize(from).map(Self)
    }
}

/// An account's name in a request: no longer than receipts and refusals have room for. Whether it can be a name, the engine says.
#[derive(Debug)]
pub(super) struct AccountName(pub(super) Box<str>);

/// For optional fields: absent is none, null is not allowed.
pub(super) fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// For fields of replies: out of range is an error.
pub(super) fn valid<'de, D: Deserializer<'de>, T: Value>(from: D) -> Result<T, D::Error> {
    T::deserialize(from)?.ok_or_else(|| de::Error::custom("a value is out of range"))
}

/// For optional fields of replies.
pub(super) fn valid_if_present<'de, D: Deserializer<'de>, T: Value>(from: D) -> Result<Option<T>, D::Error> {
    valid(from).map(Some)
}

/// What has one CBOR value.
pub(super) trait Value: Sized {
    /// Reads it; none if it is out of range.
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error>;
}

macro_rules! integer_value {
    ($($type:ty: $from:expr),* $(,)?) => {$(
        impl Value for $type {
            fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
                from.deserialize_any(Integer).map(|integer| integer.try_into().ok().and_then($from))
            }
        }
    )*};
}

integer_value! {
    Upc: |value: u64| Self::new(value).ok(),
    Units: |value: u64| Self::new(value),
    LocationId: |value: u16| Some(Self(value)),
    Money: |minor: i64| Some(Self::from_minor(minor)),
    Time: |us: u64| Some(Self::from_micros(us)),
    Version: |value: u64| Some(Self(value)),
    u16: Some,
    u32: Some,
    u64: Some,
}

impl Value for OrderKey {
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        from.deserialize_any(Bytes).map(|bytes| Self::from_bytes(bytes).ok())
    }
}

impl Value for Token {
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        from.deserialize_any(Bytes::<TOKEN_BYTES>).map(|bytes| Some(Self::new(bytes)))
    }
}

impl Value for Password {
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        from.deserialize_any(Text(Self::new))
    }
}

impl Value for EntryKind {
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        from.deserialize_any(Text(Self::from_name))
    }
}

impl Value for AccountName {
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        from.deserialize_any(Text(|text: &str| (text.len() <= ACCOUNT_BYTES_MAX).then(|| Self(text.into()))))
    }
}

impl Value for Role {
    fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        from.deserialize_any(Text(|text: &str| text.parse().ok()))
    }
}

/// A row that was read to its end: a decoder of tuples stops at the last element, and would take the break behind a row
/// of indefinite length for the next row.
#[derive(Debug)]
pub(super) struct Row<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Row<T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(RowVisitor(PhantomData))
    }
}

struct RowVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for RowVisitor<T> {
    type Value = Row<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Row<T>, A::Error> {
        let row = T::deserialize(SeqAccessDeserializer::new(&mut elements))?;
        match elements.next_element::<IgnoredAny>()? {
            None => Ok(Row(row)),
            Some(_) => Err(de::Error::custom("a row has too many elements")),
        }
    }
}

struct Integer;

impl Visitor<'_> for Integer {
    type Value = i128;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an integer")
    }

    fn visit_u64<E>(self, value: u64) -> Result<i128, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<i128, E> {
        Ok(value.into())
    }

    fn visit_i128<E>(self, value: i128) -> Result<i128, E> {
        Ok(value)
    }
}

struct Bytes<const N: usize>;

impl<const N: usize> Visitor<'_> for Bytes<N> {
    type Value = [u8; N];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{N} bytes")
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<[u8; N], E> {
        bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))
    }
}

struct Text<F>(F);

impl<T, F: FnOnce(&str) -> T> Visitor<'_> for Text<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<T, E> {
        Ok((self.0)(text))
    }
}
