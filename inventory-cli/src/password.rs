//! Where a password comes from: a file, the environment, or a prompt that does not show what is typed.

use std::env;
use std::fs;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::parse::UsageError;

/// The environment variable that may hold the password.
const PASSWORD_VARIABLE: &str = "INVENTORY_PASSWORD";

/// A password, wiped from memory when dropped.
pub(crate) type Password = Zeroizing<String>;

/// The password from the first line of the file, else from the environment; none if it has to be asked for.
pub(crate) fn given(file: Option<&Path>) -> Result<Option<Password>, UsageError> {
    let Some(path) = file else {
        return Ok(env::var(PASSWORD_VARIABLE).ok().map(Zeroizing::new));
    };
    let text = fs::read_to_string(path).map(Zeroizing::new);
    let text =
        text.map_err(|e| UsageError::new(format!("cannot read the password file {}: {e}", path.display())))?;
    Ok(Some(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())))
}

/// Says that the password has to come from somewhere else if nobody can be asked.
pub(crate) fn check_can_ask() -> Result<(), UsageError> {
    if io::stdin().is_terminal() {
        return Ok(());
    }
    Err(UsageError::new(format!(
        "no password: there is no terminal to ask on; set {PASSWORD_VARIABLE} or give --password-file"
    )))
}

/// Why no password was typed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    /// Ctrl-C or Ctrl-D.
    #[error("no password was given")]
    Cancelled,
    /// The terminal cannot be used.
    #[error("cannot ask for the password: {0}")]
    Terminal(#[from] io::Error),
}

/// Asks on the terminal, without showing what is typed.
pub(crate) fn ask(prompt: &str) -> Result<Password, AskError> {
    let mut err = io::stderr().lock();
    write!(err, "{prompt}")?;
    err.flush()?;
    let typed = {
        let _hidden = Hidden::start()?;
        read_typed(io::stdin().lock())
    };
    writeln!(err)?;
    typed
}

/// The terminal gives every key at once and shows none, until this is dropped.
struct Hidden {
    before: Termios,
}

impl Hidden {
    fn start() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        // Without ISIG, Ctrl-C arrives as a key: the terminal is always put back.
        hidden.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Now, &hidden)?;
        Ok(Self { before })
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Nothing better can be done if the terminal has gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

fn read_typed(keys: impl io::BufRead) -> Result<Password, AskError> {
    const CTRL_C: u8 = 3;
    const CTRL_D: u8 = 4;
    const BACKSPACE: [u8; 2] = [8, 127];
    const CTRL_U: u8 = 21;
    let mut typed: Zeroizing<Vec<u8>> = Zeroizing::new(Vec::with_capacity(256));
    for key in keys.bytes() {
        match key? {
            b'\n' | b'\r' => {
                let text = std::str::from_utf8(&typed).map_err(io::Error::other)?;
                return Ok(Zeroizing::new(text.to_owned()));
            }
            CTRL_C => return Err(AskError::Cancelled),
            CTRL_D if typed.is_empty() => return Err(AskError::Cancelled),
            CTRL_U => typed.clear(),
            key if BACKSPACE.contains(&key) => {
                // A character may be several bytes: those that continue one begin with the bits 10.
                while typed.pop().is_some_and(|byte| byte >> 6 == 0b10) {}
            }
            key => typed.push(key),
        }
    }
    Err(AskError::Cancelled)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &str) -> Option<String> {
        read_typed(keys.as_bytes()).ok().map(|password| password.to_string())
    }

    #[test]
    fn keys_make_a_password() {
        assert_eq!(typed("secret\nrest"), Some("secret".into()));
        assert_eq!(typed("secré\u{7f}et\r"), Some("secret".into()));
        assert_eq!(typed("wrong\u{15}right\n"), Some("right".into()));
        assert_eq!(typed("\u{7f}\n"), Some(String::new()));
    }

    #[test]
    fn control_keys_and_a_lost_terminal_cancel() {
        assert_eq!(typed("secret\u{3}\n"), None);
        assert_eq!(typed("\u{4}"), None);
        assert_eq!(typed("secret"), None);
    }
}
