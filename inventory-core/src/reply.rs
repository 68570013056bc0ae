//! What the engine answers.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use crate::bulk::BulkOutcome;
use crate::command::{OrderLine, Role};
use crate::entry::{EntriesOutcome, Entry};
use crate::id::{LocationId, OrderKey, Upc, UserId, Version};
use crate::money::Money;
use crate::one_or_many::OneOrMany;
use crate::quantity::Units;
use crate::refusal::Refusal;
use crate::returns::Refund;
use crate::time::Time;

/// The durable proof of an accepted order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The order's key.
    pub key: OrderKey,
    /// The version the purchase made.
    pub version: Version,
    /// Who bought.
    pub user: Arc<str>,
    /// When.
    pub at: Time,
    /// What was bought, each item and location once.
    pub lines: OneOrMany<OrderLine>,
    /// The price of it all in minor units; none if any item has no price.
    pub total: Option<Money>,
    /// The account that paid it, if one did.
    pub charged: Option<Arc<str>>,
}

/// The durable proof that units came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnReceipt {
    /// The return's key.
    pub key: OrderKey,
    /// The version the return made.
    pub version: Version,
    /// Who gave them back.
    pub user: Arc<str>,
    /// When.
    pub at: Time,
    /// The order that they were bought with.
    pub order: OrderKey,
    /// What came back, each item and location once.
    pub lines: OneOrMany<OrderLine>,
    /// What came back to the account that paid for the order, if one did.
    pub refund: Option<Refund<Arc<str>>>,
}

/// The durable proof of what became of a batch. It does not repeat the batch's rows: the journal holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkReceipt {
    /// The order's key.
    pub key: OrderKey,
    /// The version the batch made.
    pub version: Version,
    /// Who bought.
    pub user: Arc<str>,
    /// When.
    pub at: Time,
    /// What became of the rows.
    pub outcome: BulkOutcome,
}

/// The durable proof of a posted entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostingReceipt {
    /// The posting's key.
    pub key: OrderKey,
    /// The version the entry made.
    pub version: Version,
    /// Who posted it; empty for the system itself.
    pub user: Arc<str>,
    /// When.
    pub at: Time,
    /// The entry.
    pub entry: Entry<Arc<str>>,
    /// The balance of [`Entry::account`] after it.
    pub balance: Money,
    /// The balance of [`Entry::counterpart`] after it; only a transfer has one.
    pub counterpart_balance: Option<Money>,
}

/// The durable proof of what became of a batch of entries. It does not repeat the rows: the journal holds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkPostingReceipt {
    /// The batch's key.
    pub key: OrderKey,
    /// The version the batch made.
    pub version: Version,
    /// Who posted it; empty for the system itself.
    pub user: Arc<str>,
    /// When.
    pub at: Time,
    /// What became of the rows.
    pub outcome: EntriesOutcome,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceRow {
    /// Its name.
    pub account: Arc<str>,
    /// Its balance.
    pub balance: Money,
    /// What the balance never goes below, if that was set.
    pub floor: Option<Money>,
}

/// A page of balances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BalancesPage {
    /// The accounts, sorted by the bytes of their names.
    pub balances: Vec<BalanceRow>,
    /// Ask for the page after this name next; none if this is the last page.
    pub next: Option<Arc<str>>,
}

/// One item at one location.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LevelRow {
    /// The item's code.
    pub upc: Upc,
    /// Its name.
    pub name: Box<str>,
    /// The location.
    pub location: LocationId,
    /// Units physically there.
    pub on_hand: Units,
    /// Units claimed by live reservations.
    pub reserved: Units,
    /// Price of one unit.
    pub price: Option<Money>,
}

impl LevelRow {
    /// What can be promised now: on hand less reserved.
    pub const fn available(&self) -> Units {
        self.on_hand.saturating_sub(self.reserved)
    }
}

/// A page of levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LevelsPage {
    /// The levels, sorted by UPC, then location.
    pub levels: Vec<LevelRow>,
    /// Ask for the page after this item next; none if this is the last page.
    pub next: Option<Upc>,
}

/// Who a session belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user's row number.
    pub user: UserId,
    /// The user's name.
    pub name: Arc<str>,
    /// What the user may do.
    pub role: Role,
}

/// What a server needs to verify a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The user's row number.
    pub user: UserId,
    /// The stored hash, a PHC string.
    pub password_hash: Box<str>,
}

/// A request was carried out: what there is to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To commands that have nothing else to say: the version that holds their effect.
    Done(Version),
    /// To a login and to [`Query::WhoAmI`](crate::Query::WhoAmI).
    Identity(Identity),
    /// To a purchase and to [`Query::Receipt`](crate::Query::Receipt).
    Receipt(Receipt),
    /// To a bulk purchase and to [`Query::Receipt`](crate::Query::Receipt) for one.
    BulkReceipt(BulkReceipt),
    /// To a return and to [`Query::Receipt`](crate::Query::Receipt) for one.
    ReturnReceipt(Box<ReturnReceipt>),
    /// To [`Query::Levels`](crate::Query::Levels) and [`Query::Item`](crate::Query::Item).
    Levels(LevelsPage),
    /// To a posting and to [`Query::Receipt`](crate::Query::Receipt) for one.
    PostingReceipt(PostingReceipt),
    /// To a batch of entries and to [`Query::Receipt`](crate::Query::Receipt) for one.
    BulkPostingReceipt(BulkPostingReceipt),
    /// To [`Query::Balance`](crate::Query::Balance).
    Balance(BalanceRow),
    /// To [`Query::Balances`](crate::Query::Balances).
    Balances(BalancesPage),
    /// To [`Query::Credential`](crate::Query::Credential); none if there is no such user.
    Credential(Option<Credential>),
}

/// Why a request got no outcome now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unavailable {
    /// Too much is waiting already. The request was not executed; try again.
    Overloaded,
    /// The journal could not take the write (a full disk, say) and said so for certain. The request was not
    /// executed; try again.
    NotWritten,
    /// The journal cannot tell whether a write happened. The engine acknowledges nothing more until it is
    /// restarted; a retry of the same order key after that gives the outcome.
    Poisoned,
    /// The order that a return names has left the outcome window, and the return came without what the journal says about it.
    /// The request was not executed: whoever drives the engine looks the order up
    /// ([`PastOrder::returned_by`](crate::journal::PastOrder::returned_by)) and submits the return again.
    OrderNotAtHand,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overloaded => "the server is overloaded: nothing was done, try again",
            Self::NotWritten => {
                "the journal cannot be written (is the disk full?): nothing was done, try again"
            }
            Self::Poisoned => {
                "a write to the journal failed in an unclear way and the server has stopped acknowledging: \
                 restart it, then repeat the request with the same order key"
            }
            Self::OrderNotAtHand => {
                "the order must be looked up in the journal first: nothing was done, try again"
            }
        })
    }
}

/// The engine's answer to one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Carried out, and durable.
    Answered(Answer),
    /// Not carried out, for a reason of the domain.
    Refused(Refusal),
    /// No outcome now.
    Unavailable(Unavailable),
}
