//! Where the shell's lines come from: a terminal with editing, history and completion, or a pipe.

use std::fs::OpenOptions;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustyline::error::ReadlineError;
use rustyline::history::DefaultHistory;
use rustyline::{Config, Editor};
use zeroize::Zeroizing;

use super::completion::{Completion, Wanted};
use crate::notice::note;
use crate::password::{self, AskError, Password};

/// What came when a line was wanted.
#[derive(Debug)]
pub(super) enum Typed {
    Line(String),
    /// Ctrl-C: this line is not meant.
    Cancelled,
    /// Ctrl-D, or the end of the pipe.
    End,
}

/// Where lines come from.
pub(super) enum Input {
    Terminal(Box<Terminal>),
    Pipe,
}

/// A terminal with line editing.
pub(super) struct Terminal {
    editor: Editor<Completion, DefaultHistory>,
    history: PathBuf,
}

impl Input {
    /// Standard input, whichever it is.
    pub(super) fn open(history: PathBuf) -> anyhow::Result<Self> {
        if !io::stdin().is_terminal() {
            return Ok(Self::Pipe);
        }
        let config = Config::builder().max_history_size(1_000)?.history_ignore_space(true).build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Completion::default()));
        // The first time there is none; one that cannot be read is missed by nobody.
        let _ = editor.load_history(&history);
        Ok(Self::Terminal(Box::new(Terminal { editor, history })))
    }

    pub(super) const fn is_terminal(&self) -> bool {
        matches!(self, Self::Terminal(_))
    }

    /// The next request, kept in the history.
    pub(super) fn request(&mut self) -> anyhow::Result<Typed> {
        let typed = self.line("inventory> ", Wanted::Request)?;
        if let (Self::Terminal(terminal), Typed::Line(line)) = (self, &typed) {
            terminal.editor.add_history_entry(line.as_str())?;
        }
        Ok(typed)
    }

    /// Something that a request left out. On a pipe it is the next line, and nothing is asked.
    pub(super) fn line(&mut self, prompt: &str, wanted: Wanted) -> anyhow::Result<Typed> {
        match self {
            Self::Pipe => next_line(),
            Self::Terminal(terminal) => {
                if let Some(completion) = terminal.editor.helper_mut() {
                    completion.wanted = wanted;
                }
                match terminal.editor.readline(prompt) {
                    Ok(line) => Ok(Typed::Line(line)),
                    Err(ReadlineError::Interrupted) => Ok(Typed::Cancelled),
                    Err(ReadlineError::Eof) => Ok(Typed::End),
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    /// A password; none if it was cancelled.
    pub(super) fn password(&mut self, prompt: &str) -> anyhow::Result<Option<Password>> {
        match self {
            Self::Pipe => Ok(match next_line()? {
                Typed::Line(line) => Some(Zeroizing::new(line)),
                Typed::Cancelled | Typed::End => None,
            }),
            Self::Terminal(_) => match password::ask(prompt) {
                Ok(password) => Ok(Some(password)),
                Err(AskError::Cancelled) => Ok(None),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Offers these codes when a UPC is begun.
    pub(super) fn learn_codes(&mut self, codes: impl Iterator<Item = String>) {
        if let Self::Terminal(terminal) = self
            && let Some(completion) = terminal.editor.helper_mut()
        {
            completion.codes.extend(codes);
        }
    }

    /// Keeps the history for the next time.
    pub(super) fn close(self) {
        if let Self::Terminal(mut terminal) = self {
            let saved = create_private(&terminal.history)
                .map_err(ReadlineError::from)
                .and_then(|()| terminal.editor.save_history(&terminal.history));
            if let Err(error) = saved {
                note(format_args!("the history {} was not saved: {error}", terminal.history.display()));
            }
        }
    }
}

/// The next line of standard input, without its line feed. Bytes that are no UTF-8 are shown as such in what is told
/// about the line.
fn next_line() -> anyhow::Result<Typed> {
    let mut bytes = Zeroizing::new(Vec::new());
    if io::stdin().lock().read_until(b'\n', &mut bytes)? == 0 {
        return Ok(Typed::End);
    }
    let line = String::from_utf8_lossy(&bytes);
    Ok(Typed::Line(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Makes the file for its owner alone, unless it is there.
fn create_private(path: &Path) -> io::Result<()> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path).map(|_| ())
}
