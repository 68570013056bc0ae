//! The session a client keeps between runs: one for each server, in a file of mode 0600.

use std::fmt;
use std::fs;
use std::io;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize as _, Zeroizing};

use super::{ServerState, StateError, file};
use crate::notice::note;

/// A login that outlives the process.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedSession {
    /// The user's name.
    pub user: String,
    /// The session's secret token, as text.
    pub token: String,
}

/// Without the token.
impl fmt::Debug for SavedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SavedSession").field("user", &self.user).finish_non_exhaustive()
    }
}

impl Drop for SavedSession {
    fn drop(&mut self) {
        self.token.zeroize();
    }
}

impl ServerState {
    /// The saved session; none if nobody is logged in. A damaged file is set aside, and a note says so.
    pub fn session(&self) -> Result<Option<SavedSession>, StateError> {
        let path = self.session_file();
        let Some(bytes) = file::read(&path)?.map(Zeroizing::new) else { return Ok(None) };
        if let Ok(session) = serde_json::from_slice(&bytes) {
            return Ok(Some(session));
        }
        let aside = file::set_aside(&path)?;
        note(format_args!(
            "the saved session {} is damaged and was kept as {}: log in again",
            path.display(),
            aside.display()
        ));
        Ok(None)
    }

    /// Keeps a session, in the place of one before it.
    pub fn save_session(&self, session: &SavedSession) -> Result<(), StateError> {
        file::create_dir(&self.dir)?;
        let path = self.session_file();
        let bytes = serde_json::to_vec(session).map(Zeroizing::new);
        let bytes = bytes.map_err(|e| StateError::write(&path)(e.into()))?;
        file::replace(&path, &bytes)
    }

    /// Drops the saved session, if there is one.
    pub fn forget_session(&self) -> Result<(), StateError> {
        let path = self.session_file();
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(StateError::write(&path)(e)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::state::StateDir;

    #[test]
    fn a_session_is_kept_for_the_owner_alone_and_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::find(Some(dir.path().join("state"))).unwrap().server("tcp://a:1");
        assert!(state.session().unwrap().is_none());
        state.save_session(&SavedSession { user: "alice".into(), token: "secret".into() }).unwrap();
        let kept = state.session().unwrap().unwrap();
        assert_eq!((kept.user.as_str(), kept.token.as_str()), ("alice", "secret"));
        assert!(!format!("{kept:?}").contains("secret"));
        let mode = |path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(state.session_file()), 0o600);
        assert_eq!(mode(state.dir.clone()), 0o700);
        state.forget_session().unwrap();
        state.forget_session().unwrap();
        assert!(state.session().unwrap().is_none());
    }

    #[test]
    fn a_damaged_session_file_is_kept_aside() {
        let dir = tempfile::tempdir().unwrap();
        let state = StateDir::find(Some(dir.path().to_owned())).unwrap().server("tcp://a:1");
        state.check_writable().unwrap();
        fs::write(state.session_file(), b"{\"user\":").unwrap();
        assert!(state.session().unwrap().is_none());
        let names = fs::read_dir(&state.dir).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        assert_eq!(names.len(), 1);
        assert!(names[0].starts_with("session.json.damaged-"), "{names:?}");
    }
}
