//! Returns: units of an accepted purchase come back to the shelf, and what an account paid for them comes back to it.

use alloc::borrow::Cow;
use alloc::boxed::Box;

use crate::command::OrderLine;
use crate::event::{Charge, Line};
use crate::id::{AccountId, OrderKey, UserId, Version};
use crate::money::Money;
use crate::one_or_many::OneOrMany;

/// A return: units of an accepted purchase come back to where they were taken from, all that are asked for or none, at most
/// once for its key. If an account paid for the order, what it paid for these units comes back to it in the same event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Return {
    /// The return's own idempotency key, as an order's. A retry carries the same key, order and lines.
    pub key: OrderKey,
    /// The order whose units come back: one of the actor's own, or anybody's if the actor is an administrator. It may be of any
    /// age.
    pub order: OrderKey,
    /// What comes back; if empty, everything of the order that has not come back yet. Lines that name the same item and
    /// location are summed before they are checked.
    pub lines: Box<[OrderLine]>,
    /// What the journal says about the order, if it has left the outcome window. It is no part of what was asked: a retry may
    /// come with or without it.
    pub evidence: Option<Box<Evidence>>,
}

/// What the journal says about an order that has left the outcome window: what
/// [`PastOrder::testify`](crate::journal::PastOrder::testify) gives a return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    order: OrderKey,
    found: Found<'static>,
}

/// What was found under an order's key. Borrowed where it lies at hand: a purchase has up to
/// [`ORDER_LINES_MAX`](crate::limits::ORDER_LINES_MAX) lines, and a return may be of one of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// An accepted purchase.
    Bought { version: Version, user: UserId, lines: Cow<'a, [Line]>, charge: Option<Cow<'a, Charge>> },
    /// The outcome of something else.
    Other { user: UserId },
    /// Nothing up to this version.
    NeverDecided { read: Version },
    /// It can no longer be said.
    NotKept,
}

impl Found<'_> {
    pub(crate) fn borrowed(&self) -> Found<'_> {
        match self {
            Self::Bought { version, user, lines, charge } => Found::Bought {
                version: *version,
                user: *user,
                lines: Cow::Borrowed(lines),
                charge: charge.as_deref().map(Cow::Borrowed),
            },
            Self::Other { user } => Found::Other { user: *user },
            Self::NeverDecided { read } => Found::NeverDecided { read: *read },
            Self::NotKept => Found::NotKept,
        }
    }

    fn into_owned(self) -> Found<'static> {
        match self {
            Self::Bought { version, user, lines, charge } => Found::Bought {
                version,
                user,
                lines: Cow::Owned(lines.into_owned()),
                charge: charge.map(|charge| Cow::Owned(charge.into_owned())),
            },
            Self::Other { user } => Found::Other { user },
            Self::NeverDecided { read } => Found::NeverDecided { read },
            Self::NotKept => Found::NotKept,
        }
    }
}

impl Evidence {
    pub(crate) fn new(order: OrderKey, found: Found<'_>) -> Self {
        Self { order, found: found.into_owned() }
    }

    /// About how much memory it takes.
    pub(crate) fn bytes(&self) -> usize {
        let lines_bytes = match &self.found {
            Found::Bought { lines, .. } => lines.len().saturating_mul(size_of::<(Line, Money)>()),
            Found::Other { .. } | Found::NeverDecided { .. } | Found::NotKept => 0,
        };
        lines_bytes.saturating_add(size_of::<Self>())
    }

    /// What was found, if that is about this order.
    pub(crate) fn about(&self, order: OrderKey) -> Option<Found<'_>> {
        (self.order == order).then(|| self.found.borrowed())
    }
}

/// Money that comes back to an account. `A` is how accounts are named, as for an [`Entry`](crate::Entry).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refund<A = AccountId> {
    /// The account that paid for the order.
    pub account: A,
    /// What it paid for the units that come back; never negative.
    pub amount: Money,
}

/// Units as they came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The order that they were bought with.
    pub order: OrderKey,
    /// The version that the purchase made.
    pub purchased: Version,
    /// What came back, each item and location once.
    pub lines: OneOrMany<Line>,
    /// What came back to the account that paid for the order, if one did.
    pub refund: Option<Refund>,
}
