//! Entries as they are on the wire: their kind by name, and pages of what an account's entries were.

use inventory_core::journal::ScanPlace;
use inventory_core::{Entry, Money, OrderKey, Time, Version};

/// What an entry does. The names are permanent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    Credit,
    Debit,
    Transfer,
}

impl EntryKind {
    /// What this entry does.
    pub(super) const fn of<A>(entry: &Entry<A>) -> Self {
        match entry {
            Entry::Credit { .. } => Self::Credit,
            Entry::Debit { .. } => Self::Debit,
            Entry::Transfer { .. } => Self::Transfer,
        }
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Credit => "credit",
            Self::Debit => "debit",
            Self::Transfer => "transfer",
        }
    }

    pub(super) fn from_name(name: &str) -> Option<Self> {
        [Self::Credit, Self::Debit, Self::Transfer].into_iter().find(|kind| kind.name() == name)
    }

    /// The entry of this kind; none if it lacks the account that a transfer gives to, or has one without being a transfer.
    pub(super) fn entry<A>(self, account: A, to: Option<A>, amount: Money) -> Option<Entry<A>> {
        match (self, to) {
            (Self::Credit, None) => Some(Entry::Credit { account, amount }),
            (Self::Debit, None) => Some(Entry::Debit { account, amount }),
            (Self::Transfer, Some(to)) => Some(Entry::Transfer { from: account, to, amount }),
            _ => None,
        }
    }
}

/// One change of an account's balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// The version that it made, or was part of.
    pub version: Version,
    /// When.
    pub at: Time,
    /// Why: `posting`, `purchase`, `refund`, or what a newer server knows beside.
    pub reason: Box<str>,
    /// By how much the balance rose, or fell if negative.
    pub change: Money,
    /// Who; none if it was the system itself.
    pub user: Option<Box<str>>,
    /// The posting or order that it belongs to; for a refund, the order that was paid for.
    pub key: OrderKey,
}

/// A page of one account's entries, oldest first. It may have none and still not be the last: only `next` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntriesPage {
    /// The entries.
    pub entries: Vec<EntryRow>,
    /// Ask from this place on next; none if this is the last page.
    pub next: Option<ScanPlace>,
    /// The server no longer keeps what happened up to this version and was asked for: the page begins behind it.
    pub start: Option<Version>,
}
