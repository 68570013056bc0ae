//! What happened: output of the state machine and content of the journal. Events are facts; they are
//! never refused and never changed.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::bulk::BulkRows;
use crate::command::Role;
use crate::entry::{EntryRows, PostedEntry};
use crate::id::{AccountId, ItemId, LocationId, OrderKey, SessionId, Upc, UserId};
use crate::money::Money;
use crate::one_or_many::OneOrMany;
use crate::quantity::Units;
use crate::refusal::Refusal;
use crate::returns::Returned;
use crate::time::Time;

/// Units taken from one item's level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// The item.
    pub item: ItemId,
    /// The location.
    pub location: LocationId,
    /// How many units.
    pub units: Units,
}

/// What an account paid for a purchase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The account.
    pub account: AccountId,
    /// The price of it all, which the account's balance fell by.
    pub total: Money,
    /// What each line cost, if there are several: the price of a unit at that time, times the units. Empty for one line, which cost
    /// the total; and for several of a purchase that was written before format 4, which did not say.
    pub amounts: Box<[Money]>,
}

impl Charge {
    /// Whether it says what a unit of each of its lines cost.
    pub(crate) fn says_unit_prices(&self, lines: &[Line]) -> bool {
        if lines.len() == 1 { self.unit_price(lines, 0).is_some() } else { self.amounts.len() == lines.len() }
    }

    /// What one unit of the line at this place cost; none if the purchase does not say.
    pub(crate) fn unit_price(&self, lines: &[Line], place: usize) -> Option<Money> {
        let amount = if lines.len() == 1 { Some(&self.total) } else { self.amounts.get(place) };
        let (amount, units) = (amount?.minor(), i64::try_from(lines.get(place)?.units.get()).ok()?);
        let is_whole = amount.checked_rem(units)? == 0;
        is_whole.then_some(Money::from_minor(amount.checked_div(units)?))
    }
}

/// XXH3-64 of an order, return or posting as it was sent: tells a retry from another one under the same key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderDigest(pub u64);

/// A fact that happened. Each one advances the version by one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// An item was created, or given another name and price.
    ItemDefined {
        /// Who did it.
        by: UserId,
        /// The item's code.
        upc: Upc,
        /// Its name.
        name: Box<str>,
        /// Its price.
        price: Option<Money>,
    },
    /// A location got its first units of an item.
    InitialLevelSet {
        /// Who did it.
        by: UserId,
        /// The item.
        item: ItemId,
        /// The location.
        location: LocationId,
        /// Units on hand.
        units: Units,
    },
    /// A user was added.
    UserAdded {
        /// Who did it.
        by: UserId,
        /// The new user's name.
        name: Box<str>,
        /// The password's hash, a PHC string.
        password_hash: Box<str>,
        /// What the user may do.
        role: Role,
    },
    /// A session started.
    LoggedIn {
        /// Whose.
        user: UserId,
        /// Hash of its token.
        session: SessionId,
        /// The user's oldest session, ended to keep their number in its bound.
        displaced: Option<SessionId>,
    },
    /// A session ended.
    LoggedOut {
        /// Which.
        session: SessionId,
    },
    /// Units were bought.
    Purchased {
        /// The order's key.
        key: OrderKey,
        /// Who bought.
        user: UserId,
        /// Digest of the order.
        digest: OrderDigest,
        /// What was taken, each item and location once.
        lines: OneOrMany<Line>,
        /// The price of it all; none if any item has no price.
        total: Option<Money>,
    },
    /// A batch of independent rows was decided: each was bought or refused.
    BulkPurchased {
        /// The order's key.
        key: OrderKey,
        /// Who asked.
        user: UserId,
        /// Digest of the order.
        digest: OrderDigest,
        /// Where the units were taken from.
        location: LocationId,
        /// The price of the accepted rows; none if an item of theirs has no price.
        total: Option<Money>,
        /// The rows and what became of each. Shared with what it takes to take them back.
        rows: Arc<BulkRows>,
    },
    /// A purchase was refused: the outcome of its key.
    PurchaseRefused {
        /// The order's key.
        key: OrderKey,
        /// Who asked.
        user: UserId,
        /// Digest of the order.
        digest: OrderDigest,
        /// Why.
        refusal: Refusal,
    },
    /// Units were bought and an account paid for them.
    PurchaseCharged {
        /// The order's key.
        key: OrderKey,
        /// Who bought.
        user: UserId,
        /// Digest of the order.
        digest: OrderDigest,
        /// What was taken, each item and location once.
        lines: OneOrMany<Line>,
        /// The account that paid, and what.
        charge: Box<Charge>,
    },
    /// Units of an earlier purchase came back, and what an account paid for them with them.
    Returned {
        /// The return's key.
        key: OrderKey,
        /// Who gave them back.
        user: UserId,
        /// Digest of the return.
        digest: OrderDigest,
        /// What came back.
        returned: Box<Returned>,
    },
    /// A return was refused: the outcome of its key.
    ReturnRefused {
        /// The return's key.
        key: OrderKey,
        /// Who asked.
        user: UserId,
        /// Digest of the return.
        digest: OrderDigest,
        /// Why.
        refusal: Refusal,
    },
    /// An entry was posted.
    Posted {
        /// The posting's key.
        key: OrderKey,
        /// Who posted it.
        user: UserId,
        /// Digest of the entry.
        digest: OrderDigest,
        /// The entry, and the balances after it.
        posted: Box<PostedEntry>,
        /// Names of the accounts that it made, in the order of their rows, which are the next ones.
        added: Box<[Box<str>]>,
    },
    /// A batch of independent entries was decided: each was posted or refused.
    BulkPosted {
        /// The batch's key.
        key: OrderKey,
        /// Who posted it.
        user: UserId,
        /// Digest of the batch.
        digest: OrderDigest,
        /// The rows, what became of each, and the accounts that they made. Shared with what it takes to take them back.
        rows: Arc<EntryRows>,
    },
    /// An entry was refused: the outcome of its key.
    PostRefused {
        /// The posting's key.
        key: OrderKey,
        /// Who asked.
        user: UserId,
        /// Digest of the entry.
        digest: OrderDigest,
        /// Why.
        refusal: Refusal,
    },
    /// An account got a floor, another one, or none.
    FloorSet {
        /// Who did it.
        by: UserId,
        /// The account.
        account: AccountId,
        /// What its balance never goes below from now on.
        floor: Option<Money>,
    },
}

impl Event {
    /// The key of the order, return or posting whose outcome this is; none if it is nobody's.
    pub const fn order_key(&self) -> Option<OrderKey> {
        match self {
            Self::Purchased { key, .. }
            | Self::BulkPurchased { key, .. }
            | Self::PurchaseCharged { key, .. }
            | Self::Returned { key, .. }
            | Self::ReturnRefused { key, .. }
            | Self::Posted { key, .. }
            | Self::BulkPosted { key, .. }
            | Self::PostRefused { key, .. }
            | Self::PurchaseRefused { key, .. } => Some(*key),
            Self::ItemDefined { .. }
            | Self::InitialLevelSet { .. }
            | Self::UserAdded { .. }
            | Self::LoggedIn { .. }
            | Self::LoggedOut { .. }
            | Self::FloorSet { .. } => None,
        }
    }
}

/// An event and when it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When. Never before the record in front of it.
    pub at: Time,
    /// What.
    pub event: Event,
}
