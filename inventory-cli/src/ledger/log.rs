//! What `inventory ledger serve` leaves: the balances, one account a line.

use std::fs;
use std::io::{self, BufWriter, Write};
use std::path::{self, Path, PathBuf};

use inventory_core::state::State;

use crate::parse::UsageError;
use crate::state::replace_with;

/// The log could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}; what it held before is kept", path.display())]
pub(crate) struct LogError {
    path: PathBuf,
    source: io::Error,
}

/// Where a log can be written, found out before anything is taken that should be in it: the file that a link points to, not
/// the link.
pub(crate) fn place(path: &Path) -> anyhow::Result<PathBuf> {
    let refused = |why| Err(UsageError::new(format!("cannot write {}: {why}", path.display())).into());
    let place = match fs::canonicalize(path) {
        Ok(place) if place.is_dir() => return refused("it is a directory"),
        Ok(place) if !place.is_file() => return refused("it is no file"),
        Ok(place) => place,
        Err(_) if path.is_symlink() => return refused("it is a link to nothing"),
        Err(_) => path::absolute(path)?,
    };
    match place.parent() {
        Some(dir) if dir.is_dir() => match tempfile::NamedTempFile::new_in(dir) {
            Ok(_) => Ok(place),
            Err(source) => Err(LogError { path: place, source }.into()),
        },
        _ => refused("there is no such directory"),
    }
}

/// Puts the balances in the place of the file at once: sorted by the bytes of the accounts' names, `Name $100.00`.
pub(crate) fn write(path: &Path, state: &State) -> Result<(), LogError> {
    let written = replace_with(path, 0o666, |file| {
        let mut out = BufWriter::with_capacity(256 << 10, file);
        for account in state.accounts().sorted_after(None) {
            writeln!(out, "{} ${}", account.name(), account.balance())?;
        }
        out.flush()
    });
    written.map_err(|source| LogError { path: path.to_owned(), source })
}
