//! A proxy between client and server that can lose a purchase or a return, or the answer to it.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// What happens to a purchase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loses {
    /// It never reaches the server.
    Purchase,
    /// It reaches the server; the answer never reaches the client.
    Answer,
}

/// Listens on a socket until it is dropped.
pub(crate) struct Proxy {
    socket: PathBuf,
    lost: Receiver<()>,
}

impl Proxy {
    /// Listens on `socket` and passes everything on to `server`, until a purchase comes.
    pub(crate) fn start(socket: &Path, server: &Path, loses: Loses) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let server = server.to_owned();
        let (tell, lost) = mpsc::channel();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, UnixStream::connect(&server)) else { return };
                pass_on(client, server, loses, &tell);
            }
        });
        Self { socket: socket.to_owned(), lost }
    }

    /// Waits until something was lost.
    pub(crate) fn wait_for_loss(&self) {
        self.lost.recv().unwrap();
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}

fn pass_on(client: UnixStream, server: UnixStream, loses: Loses, lost: &Sender<()>) {
    let purchased = Arc::new(AtomicBool::new(false));
    let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let (mut from_server, mut to_client) = (server, client);
    let (seen, tell) = (Arc::clone(&purchased), lost.clone());
    thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(length @ 1..) = from_client.read(&mut bytes) {
            // Names, or beginnings of names, of fields that only orders, returns, entries and batches have.
            let names = [&b"lines"[..], b"units", b"amoun", b"order"];
            if bytes[..length].windows(5).any(|window| names.contains(&window)) {
                seen.store(true, Ordering::SeqCst);
                if loses == Loses::Purchase {
                    let _ = tell.send(());
                    continue;
                }
            }
            if to_server.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        let _ = to_server.shutdown(Shutdown::Both);
    });
    let tell = lost.clone();
    thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(length @ 1..) = from_server.read(&mut bytes) {
            if purchased.load(Ordering::SeqCst) {
                let _ = tell.send(());
            } else if to_client.write_all(&bytes[..length]).is_err() {
                break;
            }
        }
        let _ = to_client.shutdown(Shutdown::Both);
    });
}
