//! CBOR messages: whatever is read is written as a message that means the same.

use bytes::BytesMut;
use inventory_net::connection::ClientConnection;
use inventory_net::limits::FRAME_BYTES_MAX;
use inventory_net::message::{Op, decode_reply, decode_request, encode_reply, encode_request};

pub(crate) fn request(bytes: &[u8]) {
    let Ok(request) = decode_request(bytes) else { return };
    let mut written = BytesMut::new();
    encode_request(&mut written, request.id, &request.body).expect("what was read can be written");
    assert_eq!(decode_request(&written).as_ref(), Ok(&request));
}

/// The first byte says to which operation the rest is a reply.
pub(crate) fn reply(bytes: &[u8]) {
    let Some((op, bytes)) = bytes.split_first() else { return };
    let op = Op::from_code(u64::from(*op));
    if let Ok(reply) = decode_reply(bytes, |_| op) {
        let mut written = BytesMut::new();
        encode_reply(&mut written, reply.id, &reply.body).expect("what was read can be written");
        let read_again = decode_reply(&written, |_| op).expect("what was written can be read");
        let mut written_again = BytesMut::new();
        encode_reply(&mut written_again, read_again.id, &read_again.body).expect("it can be written again");
        assert_eq!(written, written_again, "{reply:?}");
    }
    // As the answer to a hello, in a frame of its own.
    let mut client = ClientConnection::new("fuzz");
    let length = u32::try_from(bytes.len().min(FRAME_BYTES_MAX)).unwrap_or(u32::MAX);
    client.read_buffer().extend_from_slice(&length.to_be_bytes());
    client.read_buffer().extend_from_slice(bytes);
    while matches!(client.poll_reply(), Ok(Some(_))) {}
}
