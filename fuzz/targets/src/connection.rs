//! Bytes as a server's connection gets them: cut anywhere, they mean the same.

use inventory_core::Refusal;
use inventory_net::connection::{ServerConfig, ServerConnection};
use inventory_net::frame;
use inventory_net::limits::{ANONYMOUS_FRAME_BYTES_MAX, FRAME_HEADER_BYTES};
use inventory_net::message::{ReplyBody, RequestBody};

/// The first byte says how long the pieces are in which the rest arrives.
pub(crate) fn frame(bytes: &[u8]) {
    let Some((size, bytes)) = bytes.split_first() else { return };
    let size = usize::from(*size).saturating_add(1);
    assert_eq!(requests(bytes.chunks(size)), requests([bytes].into_iter()), "pieces of {size} bytes");
    let (payloads, _) = payloads(bytes);
    assert!(payloads.iter().all(|payload| (1..=ANONYMOUS_FRAME_BYTES_MAX).contains(&payload.len())));
}

/// The whole frames in front, and how many bytes they take.
fn payloads(bytes: &[u8]) -> (Vec<&[u8]>, usize) {
    let (mut found, mut used) = (Vec::new(), 0_usize);
    while let Ok(Some(payload)) =
        frame::first_payload(bytes.get(used..).unwrap_or_default(), ANONYMOUS_FRAME_BYTES_MAX)
    {
        found.push(payload);
        used = used.saturating_add(FRAME_HEADER_BYTES).saturating_add(payload.len());
    }
    (found, used)
}

/// What a connection makes of these pieces, and all that it answers, if each request is refused at once.
fn requests<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<RequestBody>, Vec<u8>, bool) {
    let mut connection = ServerConnection::new(ServerConfig::default(), 0);
    let (mut requests, mut output) = (Vec::new(), Vec::new());
    for piece in pieces {
        if !connection.wants_read() {
            break;
        }
        connection.read_buffer().extend_from_slice(piece);
        while let Some(request) = connection.poll_request(0) {
            connection.reply(request.id, &ReplyBody::Refused(Refusal::NotLoggedIn), 0);
            requests.push(request.body);
            output.extend_from_slice(connection.output());
            connection.sent(connection.output().len(), 0);
        }
        output.extend_from_slice(connection.output());
        connection.sent(connection.output().len(), 0);
    }
    (requests, output, connection.is_finished())
}
