//! `inventory ledger`: lines of credits and debits, taken (`serve`, `counts` of them, and `log` for what it leaves) and sent (`send`).

mod counts;
mod log;
mod send;
mod serve;

pub(crate) use counts::{STATS_EVERY, Stats, log_counts};
pub(crate) use log::LogError;
pub(crate) use send::SendError;

use crate::args::{LedgerSendArgs, LedgerServeArgs};
use crate::exit::Exit;

/// Takes lines until a signal.
pub(crate) fn serve(args: &LedgerServeArgs) -> anyhow::Result<Exit> {
    match args.port {
        Some(port) => serve::serve(port, args).map(|()| Exit::Done),
        None => Ok(usage("PORT", "serve")),
    }
}

/// Sends the lines of a file.
pub(crate) fn send(args: &LedgerSendArgs) -> anyhow::Result<Exit> {
    match (args.port, &args.file) {
        (Some(port), Some(file)) => send::send(&args.host, port, file).map(|()| Exit::Done),
        _ => Ok(usage("PORT FILE", "send")),
    }
}

/// One line, as whoever types the command without anything expects it.
fn usage(operands: &str, command: &str) -> Exit {
    anstream::eprintln!("usage: inventory ledger {command} {operands}");
    Exit::Usage
}
