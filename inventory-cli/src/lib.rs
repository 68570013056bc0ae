//! The `inventory` command as a library: the server front end, the client front ends, and what the client keeps.
//!
//! [`args`] says what can be asked, [`exit`] what the exit code says. `serve` and `demo` compose journal, engine and
//! server; `shop` is what a client does, used alike by the one-shot commands and the shell; `past` looks at a data
//! directory without a server; `bench` measures a server; `ledger` takes and sends lines of credits and debits.

pub mod args;
pub mod csv_rows;
pub mod exit;
pub mod holdings;
pub mod import;
pub mod items;
pub mod output;
pub mod parse;
pub mod state;

mod accounts;
mod bench;
mod demo;
mod entry_rows;
mod ledger;
mod legible;
mod notice;
mod once;
mod order_rows;
mod password;
mod past;
mod serve;
mod shell;
mod shop;

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::CommandFactory as _;

use args::{Args, Command, LedgerCommand};
use exit::Exit;
use output::Output;

/// Runs the command that the process was started with, reports what went wrong, and says how to exit.
pub fn run() -> Exit {
    let args = match Args::read(std::env::args_os()) {
        Ok(args) => args,
        Err(told) => return told_by_clap(&told),
    };
    let format = args.format;
    match carry_out(args) {
        Ok(exit) => exit,
        Err(error) => exit::report(&error, Output::new(format)),
    }
}

/// Help and version go to standard output and are no error; anything else is wrong usage.
fn told_by_clap(told: &clap::Error) -> Exit {
    // If it cannot be written, the exit code still tells.
    let _ = told.print();
    if told.use_stderr() { Exit::Usage } else { Exit::Done }
}

fn carry_out(args: Args) -> anyhow::Result<Exit> {
    match args.command {
        Some(Command::Serve(args)) => {
            log_to_stderr("info");
            serve::serve(&args).map(|()| Exit::Done)
        }
        Some(Command::Demo(args)) => {
            log_to_stderr("warn");
            demo::demo(&args)
        }
        Some(Command::Shell) => {
            log_to_stderr("warn");
            shell::shell(&args.connect)
        }
        Some(Command::Once(command)) => {
            log_to_stderr("warn");
            once::once(command, &args.connect, Output::new(args.format)).map(|()| Exit::Done)
        }
        Some(Command::Verify(wanted)) => {
            log_to_stderr("warn");
            past::verify(&wanted, Output::new(args.format))
        }
        Some(Command::Snapshot(wanted)) => {
            log_to_stderr("warn");
            past::snapshot(&wanted, Output::new(args.format)).map(|()| Exit::Done)
        }
        Some(Command::History(wanted)) => {
            log_to_stderr("warn");
            past::history(&wanted, Output::new(args.format)).map(|()| Exit::Done)
        }
        Some(Command::Backup(wanted)) => {
            log_to_stderr("warn");
            past::backup(&wanted, Output::new(args.format)).map(|()| Exit::Done)
        }
        Some(Command::Restore(wanted)) => {
            log_to_stderr("warn");
            past::restore(&wanted, Output::new(args.format)).map(|()| Exit::Done)
        }
        Some(Command::Bench(wanted)) => {
            log_to_stderr("warn");
            bench::bench(&wanted, Output::new(args.format)).map(|()| Exit::Done)
        }
        Some(Command::Ledger(LedgerCommand::Accounts(wanted))) => {
            log_to_stderr("warn");
            accounts::accounts(wanted, &args.connect, Output::new(args.format)).map(|()| Exit::Done)
        }
        Some(Command::Ledger(LedgerCommand::Serve(wanted))) => {
            log_to_stderr("info");
            ledger::serve(&wanted)
        }
        Some(Command::Ledger(LedgerCommand::Send(wanted))) => {
            log_to_stderr("warn");
            ledger::send(&wanted)
        }
        None if io::stdin().is_terminal() && io::stdout().is_terminal() => {
            log_to_stderr("warn");
            shell::shell(&args.connect)
        }
        None => {
            let mut err = anstream::stderr().lock();
            write!(err, "{}", Args::command().render_long_help().ansi()).context("cannot show the help")?;
            Ok(Exit::Usage)
        }
    }
}

/// Logs go to standard error; `INVENTORY_LOG` says which (tracing-subscriber's filter syntax).
fn log_to_stderr(default: &str) {
    let filter = tracing_subscriber::EnvFilter::try_from_env("INVENTORY_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let colour = anstream::AutoStream::choice(&io::stderr()) != anstream::ColorChoice::Never;
    // It fails only if a log was set up before, which then serves.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(colour)
        .try_init();
}
