//! Columns on the wire: typed arrays of little-endian integers (RFC 8746), a byte string behind a tag.

use ciborium::tag::Required;
use inventory_core::{Upc, column};
use serde_bytes::ByteBuf;

/// The tag of 32-bit unsigned integers, little-endian.
pub(super) const U32_TAG: u64 = 70;
/// The tag of 64-bit unsigned integers, little-endian.
pub(super) const U64_TAG: u64 = 71;

/// The tag of 64-bit signed integers, little-endian.
pub(super) const I64_TAG: u64 = 79;

/// A column of amounts in minor units, as it travels.
pub(super) type AmountsColumn = Required<ByteBuf, I64_TAG>;
/// A column of places in a list, as it travels.
pub(super) type PlacesColumn = UnitsColumn;
/// A column of units, as it travels.
pub(super) type UnitsColumn = Required<ByteBuf, U32_TAG>;
/// A column of UPCs, as it travels.
pub(super) type UpcColumn = Required<ByteBuf, U64_TAG>;

pub(super) fn units_to_column(units: &[u32]) -> UnitsColumn {
    Required(to_bytes(units, u32::to_le_bytes))
}

pub(super) fn upcs_to_column(upcs: &[Upc]) -> UpcColumn {
    Required(to_bytes(upcs, |upc| upc.get().to_le_bytes()))
}

pub(super) fn amounts_to_column(amounts: &[i64]) -> AmountsColumn {
    Required(to_bytes(amounts, i64::to_le_bytes))
}

/// The amounts; none if the bytes do not come out even.
pub(super) fn amounts_of(column: &AmountsColumn) -> Option<Vec<i64>> {
    Some(column::read(&column.0)?.iter().map(|value| i64::from_le_bytes(*value)).collect())
}

/// The units; none if the bytes do not come out even.
pub(super) fn units_of(column: &UnitsColumn) -> Option<Vec<u32>> {
    Some(column::read(&column.0)?.iter().map(|value| u32::from_le_bytes(*value)).collect())
}

/// The UPCs; none if the bytes do not come out even, or one has more than 14 digits.
pub(super) fn upcs_of(column: &UpcColumn) -> Option<Vec<Upc>> {
    column::read(&column.0)?.iter().map(|value| Upc::new(u64::from_le_bytes(*value)).ok()).collect()
}

fn to_bytes<T: Copy, const N: usize>(values: &[T], value_to_bytes: impl Fn(T) -> [u8; N]) -> ByteBuf {
    let mut bytes = Vec::with_capacity(size_of_val(values));
    column::write(values, value_to_bytes, |block| bytes.extend_from_slice(block));
    ByteBuf::from(bytes)
}
