//! One client's connection: its bytes are read to their end, and its side is closed when all of them are durable.
//!
//! Until then a connection is set to be reset when it is closed, for whatever reason, the death of the process included. So
//! a client that sees an orderly close knows that all it sent was kept, and what was not kept never looks like it.

use std::future::poll_fn;
use std::io;
use std::task::Poll;

use rustix::net::sockopt::set_socket_linger;
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::clients::Place;
use super::reader::{KEPT_BYTES, LineReader};
use super::{Phase, lock};

pub(super) async fn run(mut place: Place, stream: TcpStream) {
    let mut phase = place.shared.phase.subscribe();
    let read = tokio::select! {
        read = read_to_end(&mut place, &stream) => read,
        // The sender lives in `shared`: it cannot be gone.
        _ = phase.wait_for(|phase| *phase != Phase::Reading) => return,
    };
    // A client that breaks off may have meant more than it sent: its unfinished line is no line.
    let Ok(newest) = read else { return };
    if place.shared.durable.subscribe().wait_for(|durable| *durable >= newest).await.is_ok() {
        // If it fails, the client believes that it was not heard.
        let _ = set_socket_linger(&stream, None);
    }
}

/// Gives the number of the batch that has to be durable before the connection is closed.
async fn read_to_end(place: &mut Place, stream: &TcpStream) -> io::Result<u64> {
    let mut lines = LineReader::default();
    // Since when the unfinished line has waited for its end: its own bytes make it no younger.
    let mut line_since = None;
    loop {
        let now = Instant::now();
        let since = *line_since.get_or_insert(now);
        readable(place, stream, lines.bytes(), now, since).await?;
        // One client at a time reads, in turns; it waits until the batches have room, and all others behind it.
        let shared = &place.shared;
        let mut buffer = shared.turn.lock().await;
        shared.has_room().await;
        let count = match stream.try_read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let mut is_new_line = !lines.is_within_a_line();
        let newest = {
            let mut gatherer = lock(&shared.gatherer);
            if count == 0 {
                lines.finish(|line| gatherer.put(line));
            } else {
                lines.push(buffer.get(..count).unwrap_or_default(), |line| {
                    is_new_line = true;
                    gatherer.put(line);
                });
            }
            gatherer.newest()
        };
        shared.work.notify_one();
        if count == 0 {
            return Ok(newest);
        }
        drop(buffer);
        if is_new_line {
            line_since = None;
        }
        place.memory.set(lines.bytes(), || line_since);
        if lines.bytes() > KEPT_BYTES && !place.memory.has_left() {
            return Err(sent_away(place));
        }
        tokio::task::yield_now().await;
    }
}

/// Waits until the client has sent something, or must go.
async fn readable(
    place: &mut Place,
    stream: &TcpStream,
    unfinished_bytes: usize,
    now: Instant,
    line_since: Instant,
) -> io::Result<()> {
    place.set_silent_since(Some(now));
    place.memory.set(unfinished_bytes, || Some(line_since));
    let must_go = poll_fn(|cx| if place.memory.must_go(cx) { Poll::Ready(()) } else { Poll::Pending });
    tokio::select! {
        readable = stream.readable() => readable?,
        () = must_go => return Err(sent_away(place)),
    }
    place.memory.set(unfinished_bytes, || None);
    place.set_silent_since(None);
    Ok(())
}

/// Counts it. What it sent before counts, too.
fn sent_away(place: &Place) -> io::Error {
    place.count_sent_away();
    io::ErrorKind::OutOfMemory.into()
}
