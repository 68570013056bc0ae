//! Frames: a payload behind its length. Knows nothing of what a payload holds.
//!
//! ```
//! use bytes::{BufMut, BytesMut};
//! use inventory_net::frame::{self, FrameError};
//!
//! let mut bytes = BytesMut::new();
//! frame::append(&mut bytes, 100, |to| {
//!     to.put_slice(b"payload");
//!     Ok::<(), FrameError>(())
//! })?;
//! assert_eq!(&bytes[..4], [0, 0, 0, 7]);
//! assert_eq!(frame::first_payload(&bytes, 100)?, Some(&b"payload"[..]));
//! assert_eq!(frame::first_payload(&bytes[..9], 100)?, None, "incomplete");
//! # Ok::<(), FrameError>(())
//! ```

use bytes::{BufMut, BytesMut};

use crate::limits::FRAME_HEADER_BYTES;

/// Why bytes are no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The length is zero.
    #[error("a frame of no bytes: a payload is exactly one message")]
    Empty,
    /// The length is above the limit of the moment.
    #[error("a frame of {bytes} bytes: at most {bytes_max} are taken now")]
    TooLarge {
        /// The length that was given.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// The payload of the frame that `buffer` begins with; none while it is incomplete.
///
/// The length is judged as soon as it is there, before any of the payload: nobody waits or makes room for a
/// payload above `payload_bytes_max`. After use, drop [`FRAME_HEADER_BYTES`] and the payload from the buffer.
pub fn first_payload(buffer: &[u8], payload_bytes_max: usize) -> Result<Option<&[u8]>, FrameError> {
    let Some((header, rest)) = buffer.split_first_chunk::<FRAME_HEADER_BYTES>() else { return Ok(None) };
    let bytes = usize::try_from(u32::from_be_bytes(*header)).unwrap_or(usize::MAX);
    if bytes == 0 {
        return Err(FrameError::Empty);
    }
    if bytes > payload_bytes_max {
        return Err(FrameError::TooLarge { bytes, bytes_max: payload_bytes_max });
    }
    Ok(rest.get(..bytes))
}

/// Appends one frame: `write` puts the payload straight into `to`, and its length is filled in afterwards.
///
/// If `write` fails or the payload is empty or above `payload_bytes_max`, nothing is appended.
pub fn append<E: From<FrameError>>(
    to: &mut BytesMut,
    payload_bytes_max: usize,
    write: impl FnOnce(&mut BytesMut) -> Result<(), E>,
) -> Result<(), E> {
    let start = to.len();
    to.put_u32(0);
    let written = write(to).and_then(|()| fill_in_length(to, start, payload_bytes_max).map_err(E::from));
    if written.is_err() {
        to.truncate(start);
    }
    written
}

fn fill_in_length(to: &mut BytesMut, start: usize, payload_bytes_max: usize) -> Result<(), FrameError> {
    let bytes = to.len().saturating_sub(start).saturating_sub(FRAME_HEADER_BYTES);
    let too_large = FrameError::TooLarge { bytes, bytes_max: payload_bytes_max };
    if bytes == 0 {
        return Err(FrameError::Empty);
    }
    if bytes > payload_bytes_max {
        return Err(too_large);
    }
    let length = u32::try_from(bytes).map_err(|_| too_large)?;
    if let Some(header) = to.get_mut(start..).and_then(|frame| frame.first_chunk_mut()) {
        *header = length.to_be_bytes();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_given_when_it_is_complete() {
        let bytes = [0, 0, 0, 2, 7, 8, 9];
        for end in 0..6 {
            assert_eq!(first_payload(&bytes[..end], 10), Ok(None), "{end}");
        }
        assert_eq!(first_payload(&bytes, 10), Ok(Some(&[7, 8][..])));
    }

    #[test]
    fn a_length_is_judged_before_its_payload() {
        assert_eq!(first_payload(&[0, 0, 0, 0], 10), Err(FrameError::Empty));
        assert_eq!(
            first_payload(&[255, 255, 255, 255], 10),
            Err(FrameError::TooLarge { bytes: 0xffff_ffff, bytes_max: 10 })
        );
        assert_eq!(first_payload(&[0, 0, 0, 11], 10), Err(FrameError::TooLarge { bytes: 11, bytes_max: 10 }));
    }

    #[test]
    fn what_cannot_be_sent_leaves_no_trace() {
        let mut out = BytesMut::from(&b"before"[..]);
        let too_large = append(&mut out, 3, |to| {
            to.put_slice(b"four");
            Ok::<(), FrameError>(())
        });
        assert_eq!(too_large, Err(FrameError::TooLarge { bytes: 4, bytes_max: 3 }));
        assert_eq!(append(&mut out, 3, |_| Ok::<(), FrameError>(())), Err(FrameError::Empty));
        assert_eq!(&out[..], b"before");
        append(&mut out, 4, |to| {
            to.put_slice(b"four");
            Ok::<(), FrameError>(())
        })
        .unwrap();
        assert_eq!(&out[..], b"before\0\0\0\x04four");
    }
}
