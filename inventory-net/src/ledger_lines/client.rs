//! One client's connection: its bytes are read to their end, and its side is closed when all of them are durable.
//!
//! Until then a connection is set to be reset when it is closed, for whatever reason, the death of the process included. So
//! a client that sees an orderly close knows that all it sent was kept, and what was not kept never looks like it.

use std::io;

use rustix::net::sockopt::set_socket_linger;
use tokio::net::TcpStream;

use super::reader::LineReader;
use super::{Connected, Phase, Shared, lock};

pub(super) async fn run(place: Connected, stream: TcpStream) {
    let shared = &place.0;
    let mut phase = shared.phase.subscribe();
    let read = tokio::select! {
        read = read_to_end(shared, &stream) => read,
        // The sender lives in `shared`: it cannot be gone.
        _ = phase.wait_for(|phase| *phase != Phase::Reading) => return,
    };
    // A client that breaks off may have meant more than it sent: its unfinished line is no line.
    let Ok(newest) = read else { return };
    if shared.durable.subscribe().wait_for(|durable| *durable >= newest).await.is_ok() {
        // If it fails, the client believes that it was not heard.
        let _ = set_socket_linger(&stream, None);
    }
}

/// Gives the number of the batch that has to be durable before the connection is closed.
async fn read_to_end(shared: &Shared, stream: &TcpStream) -> io::Result<u64> {
    let mut lines = LineReader::default();
    loop {
        stream.readable().await?;
        // One client at a time reads, in turns; it waits until the batches have room, and all others behind it.
        let mut buffer = shared.turn.lock().await;
        shared.has_room().await;
        let count = match stream.try_read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        let newest = {
            let mut gatherer = lock(&shared.gatherer);
            if count == 0 {
                lines.finish(|line| gatherer.put(line));
            } else {
                lines.push(buffer.get(..count).unwrap_or_default(), |line| gatherer.put(line));
            }
            gatherer.newest()
        };
        shared.work.notify_one();
        if count == 0 {
            return Ok(newest);
        }
        drop(buffer);
        tokio::task::yield_now().await;
    }
}
