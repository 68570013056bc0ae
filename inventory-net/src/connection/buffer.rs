//! Buffers that grow with the bytes that are there and let go of what a large message took.

use bytes::BytesMut;

use crate::limits::BUFFER_BYTES_MIN;

/// Room made for one read, in bytes.
const READ_BYTES: usize = 4 << 10;
/// An empty buffer larger than this is given back, in bytes.
const KEPT_BYTES_MAX: usize = BUFFER_BYTES_MIN / 2;

/// Makes sure that a read has room.
pub(super) fn make_room(buffer: &mut BytesMut) {
    if !has_room(buffer) {
        buffer.reserve(READ_BYTES);
    }
}

/// Whether a read has room and leaves the buffer as small as any.
pub(super) fn stays_small(buffer: &BytesMut) -> bool {
    has_room(buffer) || buffer.len().saturating_add(READ_BYTES) <= BUFFER_BYTES_MIN
}

fn has_room(buffer: &BytesMut) -> bool {
    buffer.capacity().saturating_sub(buffer.len()) >= READ_BYTES / 4
}

/// Gives a large buffer back once it is empty.
pub(super) fn let_go(buffer: &mut BytesMut) {
    // The capacity alone does not count what was taken from the front.
    if buffer.is_empty() && buffer.try_reclaim(KEPT_BYTES_MAX.saturating_add(1)) {
        *buffer = BytesMut::new();
    }
}

#[cfg(test)]
mod tests {
    use bytes::Buf as _;

    use super::*;

    #[test]
    fn what_a_large_message_took_is_given_back_once_it_was_taken_out() {
        let mut buffer = BytesMut::zeroed(1 << 20);
        buffer.advance(buffer.len());
        assert!(buffer.capacity() < KEPT_BYTES_MAX, "it does not show");
        let_go(&mut buffer);
        assert!(!buffer.try_reclaim(1));
    }

    #[test]
    fn a_small_buffer_is_kept() {
        let mut buffer = BytesMut::new();
        make_room(&mut buffer);
        let_go(&mut buffer);
        assert!(buffer.capacity() > 0);
    }
}
