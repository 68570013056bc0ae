//! Buffers that grow with the bytes that are there and let go of what a large message took.

use bytes::BytesMut;

/// Room made for one read, in bytes.
const READ_BYTES: usize = 4 << 10;
/// An empty buffer larger than this is given back, in bytes.
const KEPT_BYTES_MAX: usize = 64 << 10;

/// Makes sure that a read has room.
pub(super) fn make_room(buffer: &mut BytesMut) {
    if buffer.capacity().saturating_sub(buffer.len()) < READ_BYTES / 4 {
        buffer.reserve(READ_BYTES);
    }
}

/// Gives a large buffer back once it is empty.
pub(super) fn let_go(buffer: &mut BytesMut) {
    if buffer.is_empty() && buffer.capacity() > KEPT_BYTES_MAX {
        *buffer = BytesMut::new();
    }
}
