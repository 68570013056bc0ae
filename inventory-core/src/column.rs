//! Columns of integers as bytes: little-endian values, one after the other, in the journal, on the wire (RFC 8746) and
//! under a digest alike.

/// How many values are turned into bytes at a time.
const BLOCK: usize = 128;

/// Gives the bytes of a column to `sink`, a block at a time.
///
/// ```
/// # use inventory_core::column;
/// let mut bytes = Vec::new();
/// column::write(&[1u32, 2], |value| value.to_le_bytes(), |block| bytes.extend_from_slice(block));
/// assert_eq!(bytes, [1, 0, 0, 0, 2, 0, 0, 0]);
/// ```
pub fn write<T: Copy, const N: usize>(
    values: &[T],
    to_bytes: impl Fn(T) -> [u8; N],
    mut sink: impl FnMut(&[u8]),
) {
    let mut block = [[0; N]; BLOCK];
    for values in values.chunks(BLOCK) {
        for (bytes, value) in block.iter_mut().zip(values) {
            *bytes = to_bytes(*value);
        }
        sink(block.get(..values.len()).unwrap_or_default().as_flattened());
    }
}

/// The bytes of each value of a column; none if they do not come out even.
///
/// ```
/// # use inventory_core::column;
/// let values = column::read(&[1, 0, 0, 0, 2, 0, 0, 0]).unwrap();
/// assert!(values.iter().map(|value| u32::from_le_bytes(*value)).eq([1, 2]));
/// assert!(column::read::<4>(&[1, 0, 0]).is_none());
/// ```
pub const fn read<const N: usize>(bytes: &[u8]) -> Option<&[[u8; N]]> {
    match bytes.as_chunks() {
        (values, []) => Some(values),
        _ => None,
    }
}
