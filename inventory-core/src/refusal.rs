//! Why a valid request was not carried out. A refusal is a normal answer, not an error.
//!
//! Codes are permanent: a code is never given another meaning. Those of 20 to 29 are outcomes of an order or
//! posting and are recorded under its key. A return records what is found about its order too: `UnknownOrder`,
//! `OutcomeNotKept`, `ExceedsPurchase`, `NotReturnable` and `TableFull`. All others leave no trace.

use alloc::boxed::Box;
use core::fmt;

use crate::id::{LocationId, Upc};
use crate::limits;
use crate::money::Money;
use crate::quantity::Units;

/// One short line of an order or return: what was asked and what there was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// The item.
    pub upc: Upc,
    /// The location it was asked from.
    pub location: LocationId,
    /// Units the order or return asked for, over all its lines for this item and location.
    pub requested: Units,
    /// Units that were available: for a return, that were bought and have not come back.
    pub available: Units,
}

/// Why a valid request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The request needs a session: none was given, or it has ended.
    NotLoggedIn,
    /// The user is unknown or the password is wrong; which of them is not told.
    BadCredentials,
    /// The actor's role does not allow the request.
    NotPermitted,
    /// The session is already in use; log out first.
    AlreadyLoggedIn,

    /// No item has this code.
    UnknownItem {
        /// The first such code of the order.
        upc: Upc,
    },
    /// At least one line asks for more than is available. Every short line is listed.
    InsufficientStock {
        /// The short lines, in the order of the order's lines.
        shortages: Box<[Shortage]>,
    },
    /// A line asks for zero units.
    ZeroQuantity {
        /// The line's item.
        upc: Upc,
    },
    /// The lines of one item, or the order's total price, add up to more than fits; or a level with what a return brings.
    Overflow {
        /// The item at which it no longer fits.
        upc: Upc,
    },
    /// The order has more lines than [`ORDER_LINES_MAX`](limits::ORDER_LINES_MAX).
    TooManyLines {
        /// How many it has.
        lines: u32,
    },
    /// The order has no line.
    EmptyOrder,
    /// The account's balance would fall below its floor.
    InsufficientFunds {
        /// The account's name.
        account: Box<str>,
        /// By how much it would be below.
        short_by: Money,
    },
    /// The account's balance would not fit 64 bits of minor units.
    BalanceOutOfRange {
        /// The account's name.
        account: Box<str>,
    },
    /// The order names an account to charge, and an item of it has no price.
    Unpriced {
        /// The first such item of the order.
        upc: Upc,
    },
    /// There is no account of this name.
    UnknownAccount {
        /// The name.
        account: Box<str>,
    },

    /// The key belongs to another order, or to another user's order. Orders are the same if they have the same
    /// lines in the same sequence, before lines of one item are added up.
    KeyReused,
    /// The key is older than the outcome window: the order is not carried out now or later. Whether it was before
    /// is for the journal to say ([`PastOrder`](crate::journal::PastOrder)); whoever has looked there and answers this has
    /// found that it was not.
    KeyTooOld,
    /// The key's time is too far ahead of the server's clock.
    KeyFromFuture,
    /// No order of the actor's has this key.
    UnknownOrder,
    /// The key is older than the outcome window: the order is not carried out now or later. Whether it was before can no
    /// longer be said: a part of the journal that could tell was discarded, and nothing else of it tells.
    OutcomeNotKept,
    /// More would come back than was bought and has not come back yet. Every such line is listed; if nothing was named and
    /// nothing is left, every line of the order.
    ExceedsPurchase {
        /// The lines, in the order of the return's.
        shortages: Box<[Shortage]>,
    },
    /// The key is not that of an accepted order whose lines can come back: it is of a batch, a return, a posting or a refused
    /// order, or of several lines charged to an account before their prices were recorded one by one.
    NotReturnable,

    /// A user of this name exists.
    UserExists,
    /// This item's level at this location was set before.
    LevelAlreadySet,
    /// A name is empty, too long, or has characters that it may not have.
    InvalidName,
    /// The price is negative.
    InvalidPrice,
    /// The catalogue, the user table, the account table or the table of returned orders is full.
    TableFull,
    /// The floor is above the account's present balance.
    FloorAboveBalance {
        /// The balance.
        balance: Money,
    },
    /// A transfer names the same account twice.
    SameAccount,
    /// A value is of the right kind but outside its range: a UPC of 15 digits, a negative quantity.
    InvalidValue {
        /// Which: the field's name as PROTOCOL.md spells it.
        field: &'static str,
    },
}

impl Refusal {
    /// The permanent code.
    pub const fn code(&self) -> u16 {
        match self {
            Self::NotLoggedIn => 10,
            Self::BadCredentials => 11,
            Self::NotPermitted => 12,
            Self::AlreadyLoggedIn => 13,
            Self::UnknownItem { .. } => 20,
            Self::InsufficientStock { .. } => 21,
            Self::ZeroQuantity { .. } => 22,
            Self::Overflow { .. } => 23,
            Self::TooManyLines { .. } => 24,
            Self::EmptyOrder => 25,
            Self::InsufficientFunds { .. } => 26,
            Self::BalanceOutOfRange { .. } => 27,
            Self::Unpriced { .. } => 28,
            Self::UnknownAccount { .. } => 29,
            Self::KeyReused => 30,
            Self::KeyTooOld => 31,
            Self::KeyFromFuture => 32,
            Self::UnknownOrder => 33,
            Self::OutcomeNotKept => 34,
            Self::ExceedsPurchase { .. } => 35,
            Self::NotReturnable => 36,
            Self::UserExists => 40,
            Self::LevelAlreadySet => 41,
            Self::InvalidName => 42,
            Self::InvalidPrice => 43,
            Self::TableFull => 44,
            Self::InvalidValue { .. } => 45,
            Self::FloorAboveBalance { .. } => 46,
            Self::SameAccount => 47,
        }
    }

    /// The permanent name, as JSON and PROTOCOL.md spell it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotLoggedIn => "not_logged_in",
            Self::BadCredentials => "bad_credentials",
            Self::NotPermitted => "not_permitted",
            Self::AlreadyLoggedIn => "already_logged_in",
            Self::UnknownItem { .. } => "unknown_item",
            Self::InsufficientStock { .. } => "insufficient_stock",
            Self::ZeroQuantity { .. } => "zero_quantity",
            Self::Overflow { .. } => "overflow",
            Self::TooManyLines { .. } => "too_many_lines",
            Self::EmptyOrder => "empty_order",
            Self::InsufficientFunds { .. } => "insufficient_funds",
            Self::BalanceOutOfRange { .. } => "balance_out_of_range",
            Self::Unpriced { .. } => "unpriced",
            Self::UnknownAccount { .. } => "unknown_account",
            Self::KeyReused => "key_reused",
            Self::KeyTooOld => "key_too_old",
            Self::KeyFromFuture => "key_from_future",
            Self::UnknownOrder => "unknown_order",
            Self::OutcomeNotKept => "outcome_not_kept",
            Self::ExceedsPurchase { .. } => "exceeds_purchase",
            Self::NotReturnable => "not_returnable",
            Self::UserExists => "user_exists",
            Self::LevelAlreadySet => "level_already_set",
            Self::InvalidName => "invalid_name",
            Self::InvalidPrice => "invalid_price",
            Self::TableFull => "table_full",
            Self::InvalidValue { .. } => "invalid_value",
            Self::FloorAboveBalance { .. } => "floor_above_balance",
            Self::SameAccount => "same_account",
        }
    }
}

/// One sentence for people: what happened, and what to do where there is something to do.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotLoggedIn => f.write_str("not logged in: log in first"),
            Self::BadCredentials => f.write_str("wrong user name or password"),
            Self::NotPermitted => f.write_str("not permitted: this needs an administrator"),
            Self::AlreadyLoggedIn => f.write_str("already logged in: log out first"),
            Self::UnknownItem { upc } => {
                write!(f, "unknown item {upc}")?;
                write_check(f, *upc)
            }
            Self::InsufficientStock { shortages } => {
                f.write_str("not enough stock")?;
                write_shortages(f, shortages, "available", |_| false)
            }
            Self::ZeroQuantity { upc } => write!(f, "zero units of {upc} asked: ask for at least one"),
            Self::Overflow { upc } => {
                write!(f, "the quantity or the price of {upc} is too large to add up")
            }
            Self::TooManyLines { lines } => write!(
                f,
                "{lines} lines are too many for one order: at most {} are taken",
                limits::ORDER_LINES_MAX
            ),
            Self::EmptyOrder => f.write_str("the order has no lines"),
            Self::InsufficientFunds { account, short_by } => {
                write!(f, "not enough money: account {account} is short by {short_by} of its floor")
            }
            Self::BalanceOutOfRange { account } => {
                write!(f, "the balance of account {account} would be too large")
            }
            Self::Unpriced { upc } => {
                write!(f, "item {upc} has no price, so no account can be charged for it: give it one first")
            }
            Self::UnknownAccount { account } => {
                write!(f, "no account is named {account}: its first entry makes it")
            }
            Self::KeyReused => f.write_str(
                "this key belongs to another order, return or entry: ask for its receipt first, and make a new key only \
                 when you know the outcome",
            ),
            Self::KeyTooOld => f.write_str(
                "the order key is too old: the order is not carried out now or later, and no earlier outcome of it was \
                 found",
            ),
            Self::KeyFromFuture => f.write_str("the order key is from the future: set this machine's clock"),
            Self::UnknownOrder => f.write_str("no order, return or entry that you may see has this key"),
            Self::OutcomeNotKept => f.write_str(
                "the order key is too old: the order is not carried out now or later; whether it was before can no longer be \
                 said, because that part of the journal is no longer kept: ask whoever has a backup of it",
            ),
            Self::ExceedsPurchase { shortages } => {
                f.write_str("more would come back than is left of the order")?;
                // An order never holds a code that was mistyped for it: there is no such item.
                let mistyped = |short: &Shortage| short.available == Units::ZERO;
                write_shortages(f, shortages, "left", mistyped)
            }
            Self::NotReturnable => f.write_str(
                "nothing of this can come back: it was refused, is a batch, return or entry, or was charged without prices \
                 by line",
            ),
            Self::UserExists => f.write_str("a user of this name exists"),
            Self::LevelAlreadySet => f.write_str("the level of this item at this location was set before"),
            Self::InvalidName => write!(
                f,
                "the name is empty, too long ({} bytes for an item, {} for a user, {} for an account), or has characters \
                 that are not allowed",
                limits::ITEM_NAME_BYTES_MAX,
                limits::USER_NAME_BYTES_MAX,
                limits::ACCOUNT_NAME_BYTES_MAX
            ),
            Self::InvalidPrice => f.write_str("a price is never negative"),
            Self::TableFull => f.write_str("the table is full: no more can be added"),
            Self::FloorAboveBalance { balance } => {
                write!(f, "the floor is above the account's balance, which is {balance}")
            }
            Self::SameAccount => f.write_str("a transfer needs two accounts; this one names one twice"),
            Self::InvalidValue { field } => write!(f, "the value of {field} is out of range"),
        }
    }
}

fn write_shortages(
    f: &mut fmt::Formatter<'_>,
    shortages: &[Shortage],
    there_are: &str,
    may_be_mistyped: impl Fn(&Shortage) -> bool,
) -> fmt::Result {
    for (at, short) in shortages.iter().enumerate() {
        let Shortage { upc, location, requested, available } = short;
        let separator = if at == 0 { ":" } else { ";" };
        write!(f, "{separator} {upc} at {location}: {requested} asked, {available} {there_are}")?;
        if may_be_mistyped(short) {
            write_check(f, *upc)?;
        }
    }
    Ok(())
}

/// Asks about a code that was most likely mistyped.
fn write_check(f: &mut fmt::Formatter<'_>, upc: Upc) -> fmt::Result {
    if upc.has_valid_check_digit() {
        Ok(())
    } else {
        f.write_str(" (its check digit is wrong: a typing error?)")
    }
}
