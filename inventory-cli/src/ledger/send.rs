//! `inventory ledger send`: a file's bytes to a ledger server, and the wait until it has kept what they say.

use std::fs::File;
use std::io::{self, Read as _};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressStyle};
use rustix::net::sockopt::{set_socket_keepalive, set_socket_linger};

use crate::parse::UsageError;

/// Bytes that are sent between two looks at the progress.
const PIECE_BYTES: u64 = 1 << 20;
/// Files of at least so many bytes get a progress bar on a terminal.
const LARGE_BYTES: u64 = 16 << 20;

/// Why a ledger server has not kept a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// Nobody listens there.
    #[error("cannot reach a ledger server at {server}: {source}; start one with `inventory ledger serve`")]
    Connect { server: String, source: io::Error },
    /// It broke off.
    #[error(
        "the ledger server at {server} broke off after {sent} of {size} bytes were sent: {source}; \
         its log or its balances say which of the lines it has kept"
    )]
    Lost { server: String, sent: u64, size: u64, source: io::Error },
    /// It answered, which a ledger server never does.
    #[error("what listens at {server} is no ledger server: it answers")]
    Answered { server: String },
}

/// Sends the file and waits until the server says, by closing the connection, that all of it is kept.
pub(crate) fn send(host: &str, port: u16, path: &Path) -> anyhow::Result<()> {
    let (file, size) = open(path)?;
    let server = format!("{host}:{port}");
    let connected = TcpStream::connect((host, port));
    let mut stream = connected.map_err(|source| SendError::Connect { server: server.clone(), source })?;
    // Whatever ends this process before all is sent resets the connection: an orderly end would make what is on its way of
    // a line a whole one.
    set_socket_linger(&stream, Some(Duration::ZERO)).context("cannot set up the connection")?;
    // A server whose machine has vanished would else be waited for for ever.
    set_socket_keepalive(&stream, true).context("cannot set up the connection")?;
    let progress = progress(size);
    let mut sent = 0;
    let outcome = send_all(&file, &mut stream, |bytes| {
        sent += bytes;
        progress.set_position(sent);
    });
    progress.finish_and_clear();
    match outcome {
        Ok(true) => Ok(()),
        Ok(false) => Err(SendError::Answered { server }.into()),
        Err(source) if is_of_the_connection(&source) => {
            Err(SendError::Lost { server, sent, size, source }.into())
        }
        Err(error) => Err(error).with_context(|| format!("cannot send {}", path.display())),
    }
}

fn open(path: &Path) -> anyhow::Result<(File, u64)> {
    let unreadable = |why: String| UsageError::new(format!("cannot read {}: {why}", path.display()));
    if path == Path::new("-") {
        return Err(unreadable(
            "standard input is not taken; name a file of lines, ./- if it has this name".into(),
        )
        .into());
    }
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| unreadable(error.to_string()))?;
    if metadata.is_dir() {
        return Err(unreadable("it is a directory; name a file of lines".into()).into());
    }
    Ok((file, metadata.len()))
}

/// Gives whether the server closed the connection without a word.
fn send_all(file: &File, stream: &mut TcpStream, mut sent: impl FnMut(u64)) -> io::Result<bool> {
    loop {
        // From the file to the socket within the system, where it can.
        let bytes = io::copy(&mut file.take(PIECE_BYTES), stream)?;
        if bytes == 0 {
            break;
        }
        sent(bytes);
    }
    set_socket_linger(&*stream, None)?;
    stream.shutdown(Shutdown::Write)?;
    Ok(stream.read(&mut [0])? == 0)
}

fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::BrokenPipe
            | Kind::ConnectionReset
            | Kind::ConnectionAborted
            | Kind::NotConnected
            | Kind::TimedOut
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
    )
}

/// Shown on a terminal only.
fn progress(size: u64) -> ProgressBar {
    if size < LARGE_BYTES {
        return ProgressBar::hidden();
    }
    let template = "{bar:40} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(size).with_style(style)
}
