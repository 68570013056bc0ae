//! The client's own directory: where its sessions, holdings and command history lie.
//!
//! One folder for each server, one below it for each user. Directories have mode 0700, files 0600. Nothing
//! is created before something is to be written.

mod file;
mod session;
mod slug;

pub(crate) use file::{
    Lock, append, create_dir, read, replace, replace_with, set_aside, set_aside_and_replace,
};
pub use session::SavedSession;

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use slug::slug;

/// Why the client's own files cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// A file or directory cannot be written.
    #[error(
        "cannot write the client's state in {}: {source}; free the place, or name another directory with \
         --state or INVENTORY_STATE",
        path.display()
    )]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be read.
    #[error("cannot read the client's state in {}: {source}; check who owns the file", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Neither an option nor the environment says where the state is to be.
    #[error("no place for the client's state: name a directory with --state or INVENTORY_STATE, or set HOME")]
    NoPlace,
}

impl StateError {
    pub(crate) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Write { path: path.to_owned(), source }
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Read { path: path.to_owned(), source }
    }
}

/// The client's own directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// The directory that was named; else `$XDG_STATE_HOME/inventory`; else `~/.local/state/inventory`
    /// (XDG Base Directory Specification: a relative `XDG_STATE_HOME` does not count).
    pub fn find(named: Option<PathBuf>) -> Result<Self, StateError> {
        let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        named
            .or_else(|| absolute("XDG_STATE_HOME").map(|base| base.join("inventory")))
            .or_else(|| absolute("HOME").map(|home| home.join(".local/state/inventory")))
            .map(|root| Self { root })
            .ok_or(StateError::NoPlace)
    }

    /// What is kept about the server at this address.
    pub fn server(&self, address: &str) -> ServerState {
        ServerState { dir: self.root.join(slug(address)) }
    }

    /// Where the shell keeps its command history.
    pub fn history(&self) -> PathBuf {
        self.root.join("history")
    }

    /// Makes the directory, unless it is there.
    pub fn create(&self) -> Result<(), StateError> {
        create_dir(&self.root)
    }
}

/// What the client keeps about one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerState {
    dir: PathBuf,
}

impl ServerState {
    /// Makes sure, by doing it, that this folder can be written.
    pub fn check_writable(&self) -> Result<(), StateError> {
        create_dir(&self.dir)?;
        let probe = tempfile::NamedTempFile::new_in(&self.dir).map_err(StateError::write(&self.dir))?;
        probe.close().map_err(StateError::write(&self.dir))
    }

    /// Where the holdings of one of the server's users lie.
    pub fn holdings(&self, user: &str) -> PathBuf {
        self.dir.join("holdings").join(slug(user))
    }

    fn session_file(&self) -> PathBuf {
        self.dir.join("session.json")
    }
}
