//! Commands on accounts.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Subcommand};
use inventory_core::{Entry, Money, OrderKey, Time};

use crate::parse::{self, Floor, Moment};

/// Commands on accounts that ask a server, or look at a data directory.
#[derive(Debug, Subcommand)]
pub enum AccountCommand {
    /// Post an entry, or those of a file (administrators only). An account is made by its first entry.
    Post(PostArgs),
    /// Show balances: of these accounts, or of all, sorted by name.
    ///
    /// A buyer sees the account that has the buyer's own name, an administrator all.
    Balances(BalancesArgs),
    /// Show what changed an account's balance, oldest first, with the balance after it.
    Entries(EntriesArgs),
    /// Say what an account's balance never goes below, or none (administrators only).
    Floor {
        /// The account's name.
        #[arg(value_parser = parse::account)]
        account: String,
        /// An amount such as 0 or -50.00, at most the present balance; or none.
        #[arg(value_name = "AMOUNT|none", allow_negative_numbers = true, value_parser = parse::floor)]
        floor: Floor,
    },
}

/// Settings of `ledger post`.
#[derive(Debug, ClapArgs)]
#[command(subcommand_negates_reqs = true)]
pub struct PostArgs {
    /// The entry.
    #[command(subcommand)]
    pub entry: Option<EntryCommand>,
    /// Post the rows of a CSV file with the columns account,type,amount, each for itself: some may be refused and the others
    /// posted. A type is credit or debit.
    #[arg(long, value_name = "FILE", required = true)]
    pub from: Option<PathBuf>,
    /// The key, a UUID of version 7. Repeating an entry under its key never posts it twice, nor does a file; the keys of all
    /// batches of a file follow from it [default: a new key].
    #[arg(long, global = true, value_parser = parse::order_key)]
    pub key: Option<OrderKey>,
}

/// An entry.
#[derive(Debug, Subcommand)]
pub enum EntryCommand {
    /// The balance rises.
    Credit {
        /// Whose.
        #[arg(value_parser = parse::account)]
        account: String,
        /// By how much, such as 2.50.
        #[arg(allow_negative_numbers = true, value_parser = parse::amount)]
        amount: Money,
    },
    /// The balance falls.
    Debit {
        /// Whose.
        #[arg(value_parser = parse::account)]
        account: String,
        /// By how much, such as 2.50.
        #[arg(allow_negative_numbers = true, value_parser = parse::amount)]
        amount: Money,
    },
    /// The balance of one account falls and that of another rises, or neither changes.
    Transfer {
        /// Whose balance falls.
        #[arg(value_parser = parse::account)]
        from: String,
        /// Whose rises.
        #[arg(value_parser = parse::account)]
        to: String,
        /// By how much, such as 2.50.
        #[arg(allow_negative_numbers = true, value_parser = parse::amount)]
        amount: Money,
    },
}

impl EntryCommand {
    /// The entry.
    pub(crate) fn entry(self) -> Entry {
        match self {
            Self::Credit { account, amount } => Entry::Credit { account: account.into(), amount },
            Self::Debit { account, amount } => Entry::Debit { account: account.into(), amount },
            Self::Transfer { from, to, amount } => {
                Entry::Transfer { from: from.into(), to: to.into(), amount }
            }
        }
    }
}

/// Settings of `ledger balances`.
#[derive(Debug, ClapArgs)]
pub struct BalancesArgs {
    /// Accounts by their names.
    #[arg(value_name = "NAME", value_parser = parse::stored_account)]
    pub accounts: Vec<String>,
    /// Only accounts whose names come after this one, compared by their bytes.
    #[arg(long, value_name = "NAME", conflicts_with = "accounts")]
    pub after: Option<String>,
    /// Show them as they were at this version or time (2026-11-21T08:15:00Z), read from a data directory: needs --data.
    #[arg(long, value_name = "VERSION|TIME", requires = "data", value_parser = parse::moment)]
    pub at: Option<Moment>,
    /// The data directory that --at looks at, or a copy of one. The server may be running.
    #[arg(long, value_name = "DIR", requires = "at")]
    pub data: Option<PathBuf>,
}

/// Settings of `ledger entries`.
#[derive(Debug, ClapArgs)]
pub struct EntriesArgs {
    /// The account's name.
    #[arg(value_name = "NAME", value_parser = parse::stored_account)]
    pub account: String,
    /// Only from this time on, in UTC: 2026-11-21T08:15:00Z, or a date for its first instant.
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub since: Option<Time>,
    /// Only up to this time, written the same way.
    #[arg(long, value_name = "TIME", value_parser = parse::time)]
    pub until: Option<Time>,
    /// Read them from this data directory, or a copy of one, instead of asking the server. The server may be running.
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}
