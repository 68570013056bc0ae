//! What can be asked of the engine: commands, which may change the state, and queries, which never do.

use alloc::boxed::Box;
use core::fmt;
use core::str::FromStr;

use crate::bulk::BulkOrder;
use crate::entry::{BulkEntries, Posting};
use crate::id::{LocationId, OrderKey, SessionId, Upc, UserId};
use crate::money::Money;
use crate::one_or_many::OneOrMany;
use crate::quantity::Units;
use crate::returns::Return;

/// On whose behalf a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// Nobody: a client that has not logged in.
    Anonymous,
    /// Whoever the session belongs to; checked again at every request, so that a logout takes effect at once.
    Session(SessionId),
    /// A user the embedding program vouches for.
    User(UserId),
    /// The operator or the embedding program itself: may do everything but own an order. It posts entries under keys of its own.
    System,
}

/// What a user may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Looks and buys.
    Buyer,
    /// Also defines items, sets levels and adds users.
    Administrator,
}

impl Role {
    /// The role's name: `buyer` or `administrator`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Buyer => "buyer",
            Self::Administrator => "administrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is no role's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a role is buyer or administrator")]
pub struct RoleError;

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        [Self::Buyer, Self::Administrator].into_iter().find(|role| role.name() == text).ok_or(RoleError)
    }
}

/// One line of an order: this many units of this item from this location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OrderLine {
    /// The item.
    pub upc: Upc,
    /// Where the units are taken from.
    pub location: LocationId,
    /// How many units.
    pub units: Units,
}

impl OrderLine {
    /// A line that takes `units` of `upc` from the main location.
    pub const fn new(upc: Upc, units: Units) -> Self {
        Self { upc, location: LocationId::MAIN, units }
    }
}

/// A purchase: one or more lines, applied all or nothing, at most once for its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// The order's idempotency key. A retry carries the same key, the same lines and the same account.
    pub key: OrderKey,
    /// The lines. Those that name the same item and location are summed before they are checked.
    pub lines: OneOrMany<OrderLine>,
    /// The account that pays, if one does: units and money move in one event or not at all. A buyer may name only the
    /// account that has the buyer's own name, an administrator any.
    pub charge: Option<Box<str>>,
}

/// A validated intent: input of the state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Creates an item, or gives an existing one this name and price; its levels stay. Administrators only.
    DefineItem {
        /// The item's code.
        upc: Upc,
        /// Its name: 1 to [`ITEM_NAME_BYTES_MAX`](crate::limits::ITEM_NAME_BYTES_MAX) bytes, no control characters.
        name: Box<str>,
        /// Price of one unit, not negative; none if the item is not priced.
        price: Option<Money>,
    },
    /// Says how many units a location starts with. Once for each item and location. Administrators only.
    SetInitialLevel {
        /// The item.
        upc: Upc,
        /// The location.
        location: LocationId,
        /// Units on hand.
        units: Units,
    },
    /// Adds a user. Administrators only.
    AddUser {
        /// Unique: 1 to [`USER_NAME_BYTES_MAX`](crate::limits::USER_NAME_BYTES_MAX) bytes, no white space or control characters.
        name: Box<str>,
        /// The password's hash as a PHC string; the engine never sees the password.
        password_hash: Box<str>,
        /// What the user may do.
        role: Role,
    },
    /// Starts a session for a user whose password the caller has verified.
    LogIn {
        /// The user, as [`Query::Credential`] named it.
        user: UserId,
        /// Hash of the new session's secret token.
        session: SessionId,
    },
    /// Ends the actor's session.
    LogOut,
    /// Buys.
    Purchase(Order),
    /// Buys a batch of independent rows.
    PurchaseBulk(BulkOrder),
    /// Gives units of an earlier purchase back.
    Return(Return),
    /// Posts an entry. Administrators only. An account is made by its first entry.
    Post(Posting),
    /// Posts a batch of independent entries. Administrators only.
    PostBulk(BulkEntries),
    /// Says what an account's balance never goes below from now on: debits and charges that would are refused. Administrators
    /// only.
    SetFloor {
        /// The account's name.
        account: Box<str>,
        /// The floor, at most the present balance; none to take it away.
        floor: Option<Money>,
    },
}

/// A question about the state. Answered at a version; the answer leaves when that version is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Query {
    /// A page of levels, sorted by UPC, then location.
    Levels {
        /// Only items after this one; from the first if none.
        after: Option<Upc>,
        /// Most items on the page; at most [`LEVELS_PAGE_MAX`](crate::limits::LEVELS_PAGE_MAX) are given.
        limit: u32,
    },
    /// One item's levels at all its locations.
    Item {
        /// The item.
        upc: Upc,
    },
    /// Who the actor is.
    WhoAmI,
    /// The outcome of one order, return or posting of the actor's own; of anybody's for an administrator.
    Receipt {
        /// The order's, return's or posting's key.
        key: OrderKey,
    },
    /// One account's balance: the one that has the actor's own name; any for an administrator.
    Balance {
        /// The account's name.
        account: Box<str>,
    },
    /// A page of balances, sorted by the bytes of the accounts' names. Administrators only.
    Balances {
        /// Only accounts after this name, whether there is such an account or not; from the first if none.
        after: Option<Box<str>>,
        /// Most accounts on the page; at most [`BALANCES_PAGE_MAX`](crate::limits::BALANCES_PAGE_MAX) are given, and fewer if
        /// their names are long.
        limit: u32,
    },
    /// The stored password hash of a user. For the server that verifies passwords; never offered on a wire.
    Credential {
        /// The user's name.
        name: Box<str>,
    },
}

/// A command or a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// May change the state.
    Command(Command),
    /// Never changes the state.
    Query(Query),
}

impl From<Command> for Action {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

impl From<Query> for Action {
    fn from(query: Query) -> Self {
        Self::Query(query)
    }
}
