//! `inventory ledger`: lines of credits and debits, taken (`serve`, and `log` for what it leaves) and sent (`send`).

mod log;
mod send;
mod serve;

pub(crate) use log::LogError;
pub(crate) use send::SendError;
pub(crate) use serve::log_counts;

use crate::args::LedgerCommand;
use crate::exit::Exit;

/// Carries out a command on accounts.
pub(crate) fn ledger(wanted: &LedgerCommand) -> anyhow::Result<Exit> {
    match wanted {
        LedgerCommand::Serve(args) => match args.port {
            Some(port) => serve::serve(port, args).map(|()| Exit::Done),
            None => Ok(usage("PORT", "serve")),
        },
        LedgerCommand::Send(args) => match (args.port, &args.file) {
            (Some(port), Some(file)) => send::send(&args.host, port, file).map(|()| Exit::Done),
            _ => Ok(usage("PORT FILE", "send")),
        },
    }
}

/// One line, as whoever types the command without anything expects it.
fn usage(operands: &str, command: &str) -> Exit {
    anstream::eprintln!("usage: inventory ledger {command} {operands}");
    Exit::Usage
}
