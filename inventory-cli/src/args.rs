//! What can be asked on the command line.
#![expect(clippy::doc_markdown, reason = "these comments are the help text, which has no markup")]

mod accounts;

pub use accounts::{AccountCommand, BalancesArgs, EntriesArgs, EntryCommand, PostArgs};

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Args as ClapArgs, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use inventory_core::limits::{BULK_ROWS_MAX, ITEMS_MAX};
use inventory_core::{LocationId, Money, OrderKey, Role, Time, Units, Upc};
use inventory_net::transport::Address;
use inventory_store::{Retain, Upkeep};

use crate::output::Format;
use crate::parse::{self, Moment};

/// Where help shows what only clients take.
const CLIENT_OPTIONS: &str = "Client options";

/// The options of clients, which servers refuse.
const OPTIONS_OF_CLIENTS: [&str; 3] = ["server", "state", "format"];

/// An inventory that never sells a unit twice and never forgets a sale.
#[derive(Debug, Parser)]
#[command(
    name = "inventory",
    version,
    about,
    after_help = "Without a command, on a terminal: the shell.\n\n\
        Exit codes: 0 done, 1 refused, 2 wrong usage, 3 the server cannot be reached or talked to, 4 failure."
)]
pub struct Args {
    /// What to do; the shell if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Which server a client talks to and where it keeps its own files.
    #[command(flatten)]
    pub connect: ConnectArgs,
    /// How to write the result.
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t, help_heading = CLIENT_OPTIONS)]
    pub format: Format,
}

impl Args {
    /// The command line's meaning; or the help, the version or the mistake that it asks to be told.
    pub fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = Self::described();
        let matches = command.try_get_matches_from_mut(line)?;
        let mut args = Self::from_arg_matches(&matches)?;
        let said = |option: &&str| matches.value_source(option) == Some(ValueSource::CommandLine);
        if let Some(Command::Bench(bench)) = &mut args.command {
            // Not from the environment: nobody loads a shop's server by mistake.
            bench.server = said(&"server").then(|| args.connect.server.clone());
        }
        let instead = match args.command {
            Some(Command::Serve(_) | Command::Demo(_) | Command::Ledger(LedgerCommand::Serve(_))) => {
                "servers take --data"
            }
            Some(Command::Ledger(LedgerCommand::Send(_))) => {
                "a ledger server is named by its port and --host, and nothing is shown"
            }
            _ => return Ok(args),
        };
        if let Some(option) = OPTIONS_OF_CLIENTS.into_iter().find(said) {
            let told = format!("--{option} is for clients of the shop; {instead}");
            return Err(command.error(ErrorKind::ArgumentConflict, told));
        }
        Ok(args)
    }

    /// All commands; the help of those that are no clients of the shop leaves out what clients take.
    fn described() -> clap::Command {
        let command = Self::command();
        let options: Vec<_> = command
            .get_arguments()
            .filter(|option| OPTIONS_OF_CLIENTS.contains(&option.get_id().as_str()))
            .map(|option| option.clone().hide(true))
            .collect();
        let without = |command: clap::Command| command.args(options.iter());
        command
            .mut_subcommand("serve", without)
            .mut_subcommand("demo", without)
            .mut_subcommand("ledger", |ledger| {
                ledger.mut_subcommand("serve", without).mut_subcommand("send", without)
            })
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server.
    Serve(ServeArgs),
    /// Try it: a server with demo items in this process, and the shell on top.
    Demo(DemoArgs),
    /// Look and buy in a conversation. Reads commands from a pipe too; the exit code is then the last command's.
    Shell,
    /// Commands that do one thing.
    #[command(flatten)]
    Once(OnceCommand),
    /// Check a data directory: every byte, every event, every snapshot. Changes nothing; the server may be running.
    ///
    /// Exit code 0 if all is well, 4 if not.
    Verify(VerifyArgs),
    /// Save a snapshot of a data directory, which shortens the server's next start. The server may be running.
    Snapshot(SnapshotArgs),
    /// Show the movements in a data directory: what came and left, when, through whom and why. The server may be running.
    History(HistoryArgs),
    /// Copy a data directory, also of a running server, and check the copy. It holds all that was acknowledged before.
    Backup(BackupArgs),
    /// Make a data directory of a backup. Checks it first: a backup that is damaged or not whole is refused.
    Restore(RestoreArgs),
    /// Measure how fast a server sells: --server URL, or one of its own on a temporary directory, durable like any other.
    ///
    /// Logs in as admin, with the password in INVENTORY_PASSWORD or else the demo's. Makes the items that it buys, under
    /// codes that begin with 20, and fails unless as many units are gone as were sold.
    Bench(BenchArgs),
    /// Accounts: credits, debits, balances.
    #[command(subcommand)]
    Ledger(LedgerCommand),
}

/// Commands on accounts.
#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// Commands that ask a server, or look at a data directory.
    #[command(flatten)]
    Accounts(AccountCommand),
    /// Take credits and debits as lines of text until a signal, then write the balances into a file.
    ///
    /// A line is NAME credit|debit AMOUNT, such as: Marc credit $2. SIGINT or SIGTERM: it accepts no more clients, reads those
    /// that are connected to their end, and writes the balances, sorted by name. A second signal ends the reading at once.
    /// SIGUSR1: it logs how many lines were accepted, and discarded for each reason, so far.
    #[command(override_usage = "inventory ledger serve PORT [OPTIONS]")]
    Serve(LedgerServeArgs),
    /// Send the lines of a file to such a server, and wait until it has kept them.
    #[command(override_usage = "inventory ledger send PORT FILE [OPTIONS]")]
    Send(LedgerSendArgs),
}

/// Settings of `ledger serve`.
#[derive(Clone, Debug, ClapArgs)]
pub struct LedgerServeArgs {
    /// The port on 127.0.0.1; 0 for one that is free.
    #[arg(value_parser = parse::port)]
    pub port: Option<u16>,
    /// A data directory that keeps the balances; made at the first start [default: none, they end with the process].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where the balances are written at the end.
    #[arg(long, value_name = "FILE", default_value = "log.txt")]
    pub log: PathBuf,
    /// How long to wait at the end for clients that are connected, in seconds.
    #[arg(long, value_name = "S", default_value = "30", value_parser = parse::seconds)]
    pub drain_seconds: Duration,
    /// How often to log the numbers of clients and lines if they have changed, in seconds.
    #[arg(long, value_name = "S", default_value = "60", value_parser = parse::seconds)]
    pub stats_seconds: Duration,
}

/// Settings of `ledger send`.
#[derive(Clone, Debug, ClapArgs)]
pub struct LedgerSendArgs {
    /// The server's port.
    #[arg(value_parser = parse::port_of_server)]
    pub port: Option<u16>,
    /// The file of lines; standard input is not taken.
    pub file: Option<PathBuf>,
    /// The server's host.
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
}

/// Settings of `serve`.
#[derive(Clone, Debug, ClapArgs)]
pub struct ServeArgs {
    /// The directory of the server's data; made at the first start.
    #[arg(long, value_name = "DIR", default_value = "./inventory-data")]
    pub data: PathBuf,
    /// Where to listen, may be given several times [default: unix://DIR/inventory.sock and tcp://127.0.0.1:7411].
    #[arg(long, value_name = "URL")]
    pub listen: Vec<Address>,
    /// Take credits and debits as lines of text on this address too, from whoever can reach it: tcp://127.0.0.1:7412.
    ///
    /// What becomes of the lines is logged once a minute if it has changed, and at SIGUSR1.
    #[arg(long, value_name = "URL")]
    pub ledger_lines: Option<Address>,
    /// Fill an empty data directory with demo items and the users alice, bob and admin.
    #[arg(long)]
    pub demo_data: bool,
    /// Listen on plain TCP also where other machines can reach it: passwords then cross the network in the clear.
    #[arg(long)]
    pub allow_plain_tcp: bool,
    /// Most memory that the server takes, whatever clients do: 512MiB, 2GiB. Items, users, orders and accounts come on top.
    ///
    /// It holds the process itself, connections and what they keep, lines on their way, requests and replies that wait, and
    /// passwords being hashed. When it runs low, connections that are kept waiting by their peers are dropped, and requests are answered
    /// overloaded: those were not carried out and may be sent again.
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = parse::memory)]
    pub memory_max: u64,
    /// Save a snapshot whenever the journal has grown by this much: a size such as 256MiB, or never.
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse::snapshot_every)]
    pub snapshot_every: u64,
    /// How much of the past to keep: all, a time such as 30d, or a size such as 50GB. What the snapshots need is always kept.
    #[arg(long, value_name = "all|TIME|SIZE", default_value = "all", value_parser = parse::retain)]
    pub retain: Retain,
}

impl ServeArgs {
    /// What the server does for its journal by itself.
    pub(crate) const fn upkeep(&self) -> Upkeep {
        Upkeep { snapshot_every_bytes: self.snapshot_every, retain: self.retain }
    }
}

/// Settings of `demo`.
#[derive(Clone, Debug, ClapArgs)]
pub struct DemoArgs {
    /// The directory of the demo's data; made at the first start, kept for the next.
    #[arg(long, value_name = "DIR", default_value = "./inventory-demo")]
    pub data: PathBuf,
}

/// Settings of `verify`.
#[derive(Clone, Debug, ClapArgs)]
pub struct VerifyArgs {
    /// The data directory, or a copy of one.
    #[arg(value_name = "DIR", default_value = "./inventory-data")]
    pub data: PathBuf,
}

/// Settings of `snapshot`.
#[derive(Clone, Debug, ClapArgs)]
pub struct SnapshotArgs {
    /// The data directory.
    #[arg(long, value_name = "DIR", default_value = "./inventory-data")]
    pub data: PathBuf,
}

/// Settings of `history`.
#[derive(Clone, Debug, ClapArgs)]
pub struct HistoryArgs {
    /// The data directory, or a copy of one.
    #[arg(long, value_name = "DIR", default_value = "./inventory-data")]
    pub data: PathBuf,
    /// Only movements of this item.
    #[arg(long, value_parser = parse::upc)]
    pub upc: Option<Upc>,
    /// Only what this user did.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// Only what this order moved and what came back of it, or what this return moved.
    #[arg(long, value_name = "KEY", value_parser = parse::order_key)]
    pub order: Option<OrderKey>,
    /// Only from this time on, in UTC: 2026-11-21T08:15:00Z, or a date for its first instant.
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub since: Option<Time>,
    /// Only up to this time, written the same way.
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub until: Option<Time>,
}

/// Settings of `backup`.
#[derive(Clone, Debug, ClapArgs)]
pub struct BackupArgs {
    /// The backup's own directory: empty, or not there yet. It gets this name when it is whole.
    #[arg(value_name = "DEST")]
    pub dest: PathBuf,
    /// The data directory. The server may be running.
    #[arg(long, value_name = "DIR", default_value = "./inventory-data")]
    pub data: PathBuf,
}

/// Settings of `restore`.
#[derive(Clone, Debug, ClapArgs)]
pub struct RestoreArgs {
    /// The backup. It is left as it is.
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,
    /// The data directory to make: empty, or not there yet.
    #[arg(long, value_name = "DIR", default_value = "./inventory-data")]
    pub data: PathBuf,
}

/// Settings of `bench`.
#[derive(Clone, Debug, ClapArgs)]
pub struct BenchArgs {
    /// The server that the command line names; none for one of its own.
    #[arg(skip)]
    pub server: Option<Address>,
    /// Connections.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,
    /// Requests in flight on each connection; with --rate, at most so many.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub in_flight: u32,
    /// Purchases in a request: 1, or the rows of a bulk purchase.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=BULK_ROWS_MAX as i64))]
    pub batch: u32,
    /// Items to buy from.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=ITEMS_MAX as u64))]
    pub items: u64,
    /// How often each item is bought: uniform, zipf (item k in proportion to 1/k^0.99) or hot (always the same one).
    #[arg(long, value_enum, value_name = "SKEW", default_value_t)]
    pub skew: Skew,
    /// How many of 100 requests look at an item instead of buying one unit of it.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=100))]
    pub reads: u32,
    /// How long, in seconds.
    #[arg(long, value_name = "S", default_value = "10", value_parser = parse::seconds, conflicts_with = "count")]
    pub seconds: Duration,
    /// How many requests, instead of for how long.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// Requests a second, whatever the answers do (an open loop): latency counts from when each should have been sent
    /// [default: the next request goes when an answer comes].
    #[arg(long, value_name = "R", value_parser = parse::rate)]
    pub rate: Option<f64>,
}

/// How often each item of `bench` is bought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Skew {
    /// Each as often as any other.
    #[default]
    Uniform,
    /// Item k in proportion to 1/k^0.99.
    Zipf,
    /// Always the same one.
    Hot,
}

/// Which server a client talks to and where it keeps its own files. Taken before or after a command's name.
#[derive(Clone, Debug, ClapArgs)]
#[command(next_help_heading = CLIENT_OPTIONS)]
pub struct ConnectArgs {
    /// The server's address: tcp://host:port or unix:///path.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "INVENTORY_SERVER",
        default_value = "tcp://127.0.0.1:7411"
    )]
    pub server: Address,
    /// The directory of sessions and local inventory [default: $XDG_STATE_HOME/inventory or ~/.local/state/inventory].
    #[arg(long, global = true, value_name = "DIR", env = "INVENTORY_STATE")]
    pub state: Option<PathBuf>,
}

/// Where a password comes from. It is never an argument: other users of the machine can see those.
#[derive(Clone, Debug, Default, ClapArgs)]
pub struct PasswordArgs {
    /// Take the password from the first line of this file [else: INVENTORY_PASSWORD, else a prompt].
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Commands that do one thing and end.
#[derive(Debug, Subcommand)]
pub enum OnceCommand {
    /// Log in. The session is kept for later commands.
    Login {
        /// The user's name.
        user: String,
        /// Where the password comes from.
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Log out.
    Logout,
    /// Show the server's inventory: all items, or these.
    Stock {
        /// Items by their UPCs.
        #[arg(value_name = "UPC", value_parser = parse::upc)]
        upcs: Vec<Upc>,
        /// Show it as it was at this version or time (2026-11-21T08:15:00Z), read from a data directory: needs --data.
        #[arg(long, value_name = "VERSION|TIME", requires = "data", value_parser = parse::moment)]
        at: Option<Moment>,
        /// The data directory that --at looks at, or a copy of one. The server may be running.
        #[arg(long, value_name = "DIR", requires = "at")]
        data: Option<PathBuf>,
    },
    /// Buy: all lines or nothing; or the rows of a file, each for itself.
    Buy {
        /// UPC and quantity, in pairs.
        #[arg(value_name = "UPC QTY", allow_negative_numbers = true)]
        lines: Vec<String>,
        /// The order's key, a UUID of version 7. Repeating an order under its key never buys twice, nor does a file; the
        /// keys of all batches of a file follow from it [default: a new key].
        #[arg(long, value_parser = parse::order_key)]
        key: Option<OrderKey>,
        /// Buy the rows of a CSV file with the columns upc,units, each for itself: some may be refused and the others bought.
        /// Such a batch cannot be returned.
        #[arg(long, value_name = "FILE", conflicts_with = "lines")]
        from: Option<PathBuf>,
        /// Have this account pay: units and money move together or not at all. A buyer may name the account that has the buyer's
        /// own name, an administrator any.
        #[arg(long, value_name = "ACCOUNT", conflicts_with = "from", value_parser = parse::account)]
        charge: Option<String>,
    },
    /// Give units of an order back, once: all that are asked for or none.
    ///
    /// If an account paid for them, what it paid comes back to it. A buyer may return the orders of the buyer's own, an administrator anybody's, of any age.
    /// A batch (buy --from) cannot be returned.
    Return {
        /// The order's key. Receipts show it.
        #[arg(value_name = "ORDER", value_parser = parse::order_key)]
        order: OrderKey,
        /// UPC and quantity, in pairs [default: all of the order that has not come back yet].
        #[arg(value_name = "UPC QTY", allow_negative_numbers = true)]
        lines: Vec<String>,
        /// The return's own key, a UUID of version 7. Repeating a return under its key never returns twice [default: a new key].
        #[arg(long, value_parser = parse::order_key)]
        key: Option<OrderKey>,
    },
    /// Show the local inventory: what this client has bought and not returned.
    Mine,
    /// Show the receipt of an order, return or entry; of a batch, also the rows that were refused.
    Receipt {
        /// The order's, return's or entry's key.
        #[arg(value_parser = parse::order_key)]
        key: OrderKey,
    },
    /// Items (administrators only).
    #[command(subcommand)]
    Item(ItemCommand),
    /// Levels (administrators only).
    #[command(subcommand)]
    Level(LevelCommand),
    /// Users (administrators only).
    #[command(subcommand)]
    User(UserCommand),
    /// Define the items of a CSV file with the columns upc,name,price,units and set their levels (administrators only).
    ///
    /// May be repeated: levels that were set before are left as they are.
    Import {
        /// The file.
        file: PathBuf,
    },
}

/// Commands on items.
#[derive(Debug, Subcommand)]
pub enum ItemCommand {
    /// Create an item, or give it another name and price.
    Define {
        /// The item's code.
        #[arg(value_parser = parse::upc)]
        upc: Upc,
        /// Its name.
        name: String,
        /// Price of one unit, such as 3.49.
        #[arg(long, allow_negative_numbers = true)]
        price: Option<Money>,
        /// Take a code whose check digit is wrong, such as a house code.
        #[arg(long)]
        no_check_digit: bool,
    },
}

/// Commands on levels.
#[derive(Debug, Subcommand)]
pub enum LevelCommand {
    /// Say how many units a location starts with; once for each item and location.
    Set {
        /// The item.
        #[arg(value_parser = parse::upc)]
        upc: Upc,
        /// Units on hand.
        #[arg(allow_negative_numbers = true, value_parser = parse::units)]
        units: Units,
        /// The location: main, or its number.
        #[arg(long, default_value = "main", value_parser = parse::location)]
        location: LocationId,
    },
}

/// Commands on users.
#[derive(Debug, Subcommand)]
pub enum UserCommand {
    /// Add a user.
    Add {
        /// The user's name.
        name: String,
        /// What the user may do: buyer or administrator.
        #[arg(long, default_value = "buyer")]
        role: Role,
        /// Where the new user's password comes from.
        #[command(flatten)]
        password: PasswordArgs,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Args::command().debug_assert();
    }

    fn read(line: &str) -> Result<Args, clap::Error> {
        Args::read(line.split(' ').map(OsString::from))
    }

    #[test]
    fn a_negative_quantity_reaches_the_check() {
        let args = read("inventory buy 036000291452 -1 --format json").unwrap();
        let Some(Command::Once(OnceCommand::Buy { lines, .. })) = args.command else {
            panic!("not a purchase");
        };
        assert_eq!(lines, ["036000291452", "-1"]);
        assert_eq!(args.format, Format::Json);
    }

    #[test]
    fn client_options_are_taken_before_and_after_the_command() {
        for line in [
            "inventory --server tcp://127.0.0.1:9 --state s stock",
            "inventory stock --server tcp://127.0.0.1:9 --state s",
        ] {
            let args = read(line).unwrap();
            assert_eq!(args.connect.server.to_string(), "tcp://127.0.0.1:9");
            assert_eq!(args.connect.state.unwrap().to_str(), Some("s"));
        }
    }

    #[test]
    fn a_bench_loads_only_a_server_that_the_command_line_names() {
        let server = |line: &str| match read(line).unwrap().command {
            Some(Command::Bench(bench)) => bench.server.map(|server| server.to_string()),
            other => panic!("{other:?}"),
        };
        assert_eq!(server("inventory bench"), None);
        assert_eq!(server("inventory bench --server tcp://[::1]:9"), Some("tcp://[::1]:9".into()));
        assert_eq!(server("inventory --server unix:///s bench"), Some("unix:///s".into()));
    }

    #[test]
    fn a_bench_of_nothing_is_no_bench() {
        for options in [
            "--connections 0",
            "--in-flight 0",
            "--items 0",
            "--reads 101",
            "--seconds 0",
            "--rate 0",
            "--rate x",
        ] {
            assert_eq!(
                read(&format!("inventory bench {options}")).unwrap_err().kind(),
                ErrorKind::ValueValidation,
                "{options}"
            );
        }
        let both = read("inventory bench --seconds 1 --count 1").unwrap_err();
        assert_eq!(both.kind(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn a_server_takes_no_client_options() {
        for line in ["inventory serve --server tcp://127.0.0.1:9", "inventory --format json demo"] {
            assert_eq!(read(line).unwrap_err().kind(), ErrorKind::ArgumentConflict, "{line}");
        }
    }
}
