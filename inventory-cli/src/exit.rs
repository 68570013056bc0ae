//! How the process ends: exit codes, and the one place that turns errors into them.

use std::io;
use std::process::ExitCode;

use inventory_core::{OrderKey, Refusal};
use inventory_load::LoadError;
use inventory_net::client::ClientError;
use inventory_net::ledger_lines::LinesError;
use inventory_net::message::Unavailable;
use inventory_net::transport::BindError;

use crate::csv_rows::CsvError;
use crate::ledger::{LogError, SendError};
use crate::notice::note;
use crate::output::{Output, RefusalView};
use crate::parse::UsageError;
use crate::past::NotRetained;
use crate::shop::{NotSettled, RowsRefused};

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done. Also when the reader of the output has left: a closed pipe is no error.
    Done,
    /// 1: the request was valid and was refused.
    Refused,
    /// 2: the request makes no sense; nothing was asked of the server.
    Usage,
    /// 3: the server cannot be reached or talked to.
    Unreachable,
    /// 4: something broke: a disk, a file, the journal.
    Failure,
}

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Refused => 1,
            Self::Usage => 2,
            Self::Unreachable => 3,
            Self::Failure => 4,
        }
    }

    /// How an error ends the process: by the first cause that says so, as failure if none does.
    pub fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(by_cause).unwrap_or(Self::Failure)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}

fn by_cause(cause: &(dyn std::error::Error + 'static)) -> Option<Exit> {
    if let Some(error) = cause.downcast_ref::<io::Error>() {
        return (error.kind() == io::ErrorKind::BrokenPipe).then_some(Exit::Done);
    }
    if let Some(error) = cause.downcast_ref::<ClientError>() {
        return Some(of_client(error));
    }
    if let Some(error) = cause.downcast_ref::<LoadError>() {
        return of_load(error);
    }
    if cause.is::<SendError>() || cause.is::<NotSettled>() {
        return Some(Exit::Unreachable);
    }
    if cause.is::<RefusedHere>() || cause.is::<RowsRefused>() || cause.is::<NotRetained>() {
        return Some(Exit::Refused);
    }
    if cause.is::<UsageError>() || cause.is::<CsvError>() {
        return Some(Exit::Usage);
    }
    (cause.is::<BindError>() || cause.is::<LinesError>() || cause.is::<LogError>()).then_some(Exit::Failure)
}

/// None if another cause says it.
fn of_load(error: &LoadError) -> Option<Exit> {
    match error {
        LoadError::Client(_) => None,
        LoadError::InFlight { .. } | LoadError::Batch { .. } | LoadError::ForeignItem { .. } => {
            Some(Exit::Usage)
        }
        LoadError::Connect { .. }
        | LoadError::Lost(_)
        | LoadError::Unexpected(_)
        | LoadError::Stalled { .. } => Some(Exit::Unreachable),
        _ => Some(Exit::Failure),
    }
}

fn of_client(error: &ClientError) -> Exit {
    match error {
        ClientError::Refused(_) | ClientError::RefusedOtherwise(_) => Exit::Refused,
        ClientError::Unavailable(why) => of_unavailable(why),
        ClientError::Unsendable(_) => Exit::Usage,
        _ => Exit::Unreachable,
    }
}

/// A server that is busy may be asked later; one that cannot write has failed.
fn of_unavailable(why: &Unavailable) -> Exit {
    match why {
        Unavailable::NotWritten | Unavailable::Poisoned => Exit::Failure,
        _ => Exit::Unreachable,
    }
}

/// The client refuses in the server's words, because it knows the answer.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct RefusedHere {
    pub(crate) refusal: Refusal,
    /// What happened, why, and what to do.
    pub(crate) message: String,
}

/// Of a return of all that is left of an order: that nothing was, in words for that.
pub(crate) fn of_all(error: anyhow::Error, order: OrderKey) -> anyhow::Error {
    match error.downcast_ref() {
        Some(ClientError::Refused(refusal @ Refusal::ExceedsPurchase { .. })) => RefusedHere {
            refusal: refusal.clone(),
            message: format!("everything of order {order} has come back already"),
        }
        .into(),
        _ => error,
    }
}

/// Tells on standard error what went wrong, and says how to exit.
pub(crate) fn report(error: &anyhow::Error, output: Output) -> Exit {
    let exit = Exit::of(error);
    if exit != Exit::Done {
        match refusal_in(error) {
            Some(refusal) => output.refusal(&refusal, &message(error)),
            None => note(message(error)),
        }
    }
    exit
}

fn refusal_in(error: &anyhow::Error) -> Option<RefusalView<'_>> {
    error.chain().find_map(|cause| {
        if let Some(here) = cause.downcast_ref::<RefusedHere>() {
            return Some(RefusalView::from(&here.refusal));
        }
        match cause.downcast_ref::<ClientError>()? {
            ClientError::Refused(refusal) => Some(RefusalView::from(refusal)),
            ClientError::RefusedOtherwise(unknown) => {
                Some(RefusalView { name: &unknown.name, code: unknown.code, shortages: &[] })
            }
            _ => None,
        }
    })
}

/// The error and its causes in one line; a cause that the text before it already tells is left out.
fn message(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}
