//! Files that are replaced whole, appended to durably, set aside when damaged, and locked between processes.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};

use super::StateError;

/// Makes a directory of mode 0700 and those above it, unless they are there.
pub(crate) fn create_dir(dir: &Path) -> Result<(), StateError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(StateError::write(dir))
}

/// The whole file; none if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    let mut bytes = Vec::new();
    match File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)) {
        Ok(_) => Ok(Some(bytes)),
        // The second: a file stands where a directory should. What is not there cannot be read; a write says why.
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(StateError::read(path)(e)),
    }
}

/// Puts these bytes in the place of the file at once and durably: after a crash there is the old file or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    replace_with(path, 0o600, |file| file.write_all(bytes)).map_err(StateError::write(path))
}

/// Puts what is written into a new file of this mode (less what the process's mask takes) in the place of the file, at once
/// and durably.
pub(crate) fn replace_with(
    path: &Path,
    mode: u32,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let dir = parent(path);
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(mode)).tempfile_in(dir)?;
    write(file.as_file_mut())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    sync_dir(dir)
}

/// Adds these bytes at the end of the file, durably and whole: what a failed attempt wrote is cut off again.
pub(crate) fn append(path: &Path, bytes: &[u8]) -> Result<(), StateError> {
    let appended = || {
        let mut file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let before = file.metadata()?.len();
        let written = file.write_all(bytes).and_then(|()| file.sync_data());
        if written.is_err() {
            // If this fails too, a torn last line stays, which the next reader cuts.
            let _ = file.set_len(before);
        }
        if before == 0 { written.and_then(|()| sync_dir(parent(path))) } else { written }
    };
    appended().map_err(StateError::write(path))
}

/// Gives a damaged file a name of its own beside its old place, and says which.
pub(crate) fn set_aside(path: &Path) -> Result<PathBuf, StateError> {
    let aside = free_name(path);
    fs::rename(path, &aside).and_then(|()| sync_dir(parent(path))).map_err(StateError::write(path))?;
    Ok(aside)
}

/// Keeps a damaged file under a second name and then replaces it: at no moment is there no file in its place.
pub(crate) fn set_aside_and_replace(path: &Path, bytes: &[u8]) -> Result<PathBuf, StateError> {
    let aside = free_name(path);
    fs::hard_link(path, &aside).map_err(StateError::write(path))?;
    replace(path, bytes)?;
    Ok(aside)
}

fn free_name(path: &Path) -> PathBuf {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let named = |suffix: String| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let mut aside = named(format!(".damaged-{seconds}"));
    let mut attempt = 1u32;
    while aside.exists() {
        attempt = attempt.saturating_add(1);
        aside = named(format!(".damaged-{seconds}-{attempt}"));
    }
    aside
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Holds off every other process that wants the same lock, until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits for the lock that this file stands for.
    pub(crate) fn wait(path: &Path) -> Result<Self, StateError> {
        let locked = || {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
            loop {
                match flock(&file, FlockOperation::LockExclusive) {
                    Ok(()) => return Ok(Self { _file: file }),
                    Err(rustix::io::Errno::INTR) => {}
                    Err(e) => return Err(e.into()),
                }
            }
        };
        locked().map_err(StateError::write(path))
    }
}
