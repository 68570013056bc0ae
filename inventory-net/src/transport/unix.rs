//! Unix sockets, for clients of the same machine. The socket file is open to its owner only, from its first moment.

use std::fs::{self, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::{UnixListener, UnixSocket, UnixStream};

use super::{Address, BindError, BindOptions, Incoming, Listener, Stream, Transport, bind_error};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 4_096;
/// Owner reads and writes: whoever can write to a socket can connect to it.
const SOCKET_MODE: u32 = 0o600;
/// What the system is asked to keep for a peer that does not read, in bytes; it may take twice as much. The usual 208 KiB are
/// six pages of replies made in vain, and no part of what the server counts. What is larger than this the system cuts: with
/// less, the small rest of a page that waits would look like room for another.
const SEND_BUFFER_BYTES: usize = 36 << 10;

pub(super) struct Unix;

struct UnixAccept {
    listener: UnixListener,
    address: Address,
    path: PathBuf,
    /// Held until the socket file is gone: tells two servers on one path from a server and a dead one's leftover.
    _lock: File,
}

#[async_trait]
impl Transport for Unix {
    fn scheme(&self) -> &'static str {
        "unix"
    }

    fn form(&self) -> &'static str {
        "unix:///path"
    }

    fn check(&self, rest: &str) -> Result<(), &'static str> {
        if rest.starts_with('/') { Ok(()) } else { Err("the path is not absolute") }
    }

    async fn bind(&self, address: &Address, _options: BindOptions) -> Result<Box<dyn Listener>, BindError> {
        let failed = |source| bind_error(address, source);
        let path = PathBuf::from(address.rest());
        let lock = lock(&path).map_err(failed)?;
        remove_leftover(address, &path)?;
        let listener = listen(&path).map_err(failed)?;
        Ok(Box::new(UnixAccept { listener, address: address.clone(), path, _lock: lock }))
    }

    async fn connect(&self, rest: &str) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(UnixStream::connect(rest).await?))
    }
}

/// Takes the lock beside the socket; `AddrInUse` if a live server has it. The lock file stays: to remove it would
/// let two servers lock two files of one name.
fn lock(socket: &Path) -> io::Result<File> {
    let mut path = socket.as_os_str().to_owned();
    path.push(".lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(SOCKET_MODE).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::AddrInUse.into()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes the socket file of a server that died. Refuses if anybody answers there, or if it is another kind of file.
fn remove_leftover(address: &Address, path: &Path) -> Result<(), BindError> {
    let failed = |source| bind_error(address, source);
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(found) if !found.file_type().is_socket() => return Err(BindError::NotASocket(address.clone())),
        Ok(_) => {}
    }
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
        Ok(_) => Err(BindError::InUse(address.clone())),
    }
}

/// Binds, narrows the mode, and only then listens: before that nobody can connect, whatever the umask.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(SOCKET_MODE))?;
    socket.listen(BACKLOG)
}

#[async_trait]
impl Listener for UnixAccept {
    async fn accept(&mut self) -> io::Result<Incoming> {
        let (stream, _) = self.listener.accept().await?;
        set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES)?;
        // A client's end has no name; its process has.
        let peer = stream.peer_cred().ok();
        let origin = peer.map_or_else(|| "unix".into(), |peer| format!("unix user {}", peer.uid()));
        let process = peer.and_then(|peer| peer.pid());
        let peer = process.map_or_else(|| "unix".into(), |pid| format!("unix process {pid}"));
        Ok(Incoming { stream: Box::new(stream), peer, origin })
    }

    fn address(&self) -> Address {
        self.address.clone()
    }
}

impl Drop for UnixAccept {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!("cannot remove the socket file {}: {error}", self.path.display());
        }
    }
}
