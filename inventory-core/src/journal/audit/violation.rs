//! What an audit can find.

use alloc::boxed::Box;
use core::fmt;

use crate::id::{AccountId, ItemId, LocationId, OrderKey, Upc, UserId, Version};
use crate::journal::{ReplayError, SnapshotError};
use crate::money::Money;
use crate::state::Level;

/// The first thing that is wrong in a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The version at which it shows: that of the event, or of the snapshot.
    pub version: Version,
    /// What is wrong.
    pub breach: Breach,
}

impl Violation {
    pub(super) const fn new(version: Version, breach: Breach) -> Self {
        Self { version, breach }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at version {}: {}", self.version, self.breach)
    }
}

impl core::error::Error for Violation {}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Breach {
    /// A group cannot be read or does not follow, or an event cannot have happened.
    #[error("{0}")]
    Replay(Box<ReplayError>),
    /// More units left a level than had come.
    #[error("more units of item row {} left location {location} than had come there", item.0)]
    Negative {
        /// The item.
        item: ItemId,
        /// The location.
        location: LocationId,
    },
    /// A level is not the sum of its movements, or has units reserved without a reservation.
    #[error(
        "the level of item row {} at location {location} is {} on hand, {} reserved; \
         its movements add up to {should} on hand, 0 reserved", item.0, is.on_hand, is.reserved
    )]
    Level {
        /// The item.
        item: ItemId,
        /// The location.
        location: LocationId,
        /// The level in the state.
        is: Level,
        /// The sum of its movements, in units.
        should: u64,
    },
    /// An order key has a second outcome, or the outcome recorded is another one.
    #[error("order {0} has more than one outcome")]
    OutcomeTwice(OrderKey),
    /// An order was decided although its key was older than the outcome window, or too far in the future.
    #[error("order {0} was decided when its key was too old or in the future")]
    KeyOutOfTime(OrderKey),
    /// A receipt's total is not its units at the prices of their time.
    #[error("the receipt of order {key} says {}; its lines come to {}", shown(*is), shown(*should))]
    Total {
        /// The order.
        key: OrderKey,
        /// The total that was recorded.
        is: Option<Money>,
        /// What the lines come to; none if an item has no price or the sum does not fit.
        should: Option<Money>,
    },
    /// A refusal names an item that was there, or a shortage that was none.
    #[error("the refusal of order {key} is not true of {upc}")]
    FalseRefusal {
        /// The order.
        key: OrderKey,
        /// The item it names.
        upc: Upc,
    },
    /// A row of a batch has an outcome that it should not have: refused without reason, or accepted although there was one.
    #[error("row {row} of bulk order {key} should not have the outcome that it has")]
    FalseRow {
        /// The order.
        key: OrderKey,
        /// The row, counted from 0.
        row: usize,
    },
    /// What came back of an order is not the sum of its returns.
    #[error("what came back of order {0} is not the sum of its returns")]
    CameBack(OrderKey),
    /// A return is not of what was bought: of another order or user, of more units, or of another amount.
    #[error("return {0} is not of what its order bought and paid")]
    FalseReturn(OrderKey),
    /// An account's balance is not the sum of its entries.
    #[error("the balance of account row {} is {}; its entries add up to {}", account.0, shown(*is), shown(*should))]
    Balance {
        /// The account.
        account: AccountId,
        /// The balance in the state or in the event; none if there is none.
        is: Option<Money>,
        /// What its entries add up to; none if there is no such account.
        should: Option<Money>,
    },
    /// An entry took a balance below its floor or out of range, or a floor was set above the balance.
    #[error("the balance of account row {} is below its floor or out of range", .0.0)]
    BalanceOutOfBounds(AccountId),
    /// An entry or a charge was refused for a reason that was none.
    #[error("the refusal of {0} cannot be true")]
    FalseEntryRefusal(OrderKey),
    /// Somebody who is no administrator changed items, levels, users or accounts, or charged another one's account.
    #[error("user {} may not do that", .0.0)]
    NotPermitted(UserId),
    /// The items, users or accounts of the state are not those that were defined, added and made.
    #[error("the {0} are not those of the journal")]
    Rows(&'static str),
    /// A snapshot cannot be read.
    #[error("the snapshot cannot be read: {0}")]
    SnapshotUnreadable(SnapshotError),
    /// A snapshot stands where no group ends, or at the end of another one.
    #[error("the snapshot does not stand at the end of a group of this journal")]
    SnapshotElsewhere,
    /// A snapshot holds another state than the journal makes.
    #[error("the snapshot's state is not the one that the journal makes")]
    SnapshotDiffers,
}

fn shown(amount: Option<Money>) -> impl fmt::Display {
    amount.map_or_else(|| "none".into(), |amount| alloc::format!("{amount}"))
}
