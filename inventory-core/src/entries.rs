//! The entries of an event: every change of a balance, with who, when and why, read off the event.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::event::{Event, Record};
use crate::id::{AccountId, OrderKey, UserId, Version};
use crate::money::Money;
use crate::state::State;
use crate::time::Time;

/// Why a balance changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EntryReason {
    /// An entry was posted: a credit, a debit or one side of a transfer.
    Posting,
    /// A purchase was charged to the account.
    Purchase,
}

impl EntryReason {
    /// The permanent name: `posting` or `purchase`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Posting => "posting",
            Self::Purchase => "purchase",
        }
    }
}

/// The immutable record of one change of a balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountEntry {
    /// The version that it made, or was part of.
    pub version: Version,
    /// When.
    pub at: Time,
    /// Why.
    pub reason: EntryReason,
    /// The account's name.
    pub account: Arc<str>,
    /// By how much the balance rose, or fell if negative.
    pub change: Money,
    /// The balance after it.
    pub balance: Money,
    /// Who; none if it was the system itself.
    pub user: Option<Arc<str>>,
    /// The posting or order that it belongs to.
    pub key: OrderKey,
}

/// The entries of an event: a transfer's two sides, a batch's accepted rows in their order. `state` is the one that the event made.
pub fn entries(state: &State, record: &Record) -> Vec<AccountEntry> {
    let balance_of = |id| state.accounts().account(id).map_or(0, |account| account.balance().minor());
    let entry = |reason, user: UserId, key, id: AccountId, change: i64, balance: i64| {
        Some(AccountEntry {
            version: state.version(),
            at: record.at,
            reason,
            account: Arc::clone(state.accounts().account(id)?.name()),
            change: Money::from_minor(change),
            balance: Money::from_minor(balance),
            user: state.users().user(user).map(|user| user.name.clone()),
            key,
        })
    };
    match &record.event {
        Event::PurchaseCharged { key, user, account, total, .. } => {
            let change = total.minor().saturating_neg();
            entry(EntryReason::Purchase, *user, *key, *account, change, balance_of(*account))
                .into_iter()
                .collect()
        }
        Event::Posted { key, user, posted, .. } => {
            let first = (*posted.entry.account(), posted.entry.change(), Some(posted.balance));
            let counterpart = posted.entry.counterpart();
            let second = counterpart.map(|id| (*id, posted.entry.amount(), posted.counterpart_balance));
            let sides = [Some(first), second].into_iter().flatten();
            sides
                .filter_map(|(id, change, balance)| {
                    entry(EntryReason::Posting, *user, *key, id, change.minor(), balance?.minor())
                })
                .collect()
        }
        Event::BulkPosted { key, user, rows, .. } => {
            // From the last row to the first, for the balances are those after all of them. Sums in 64 bits are exact.
            let mut balances: BTreeMap<AccountId, i64> = BTreeMap::new();
            let mut entries: Vec<AccountEntry> = rows
                .accepted()
                .rev()
                .filter_map(|(_, id, change)| {
                    let after = balances.entry(id).or_insert_with(|| balance_of(id));
                    let balance = *after;
                    *after = balance.wrapping_sub(change);
                    entry(EntryReason::Posting, *user, *key, id, change, balance)
                })
                .collect();
            entries.reverse();
            entries
        }
        Event::ItemDefined { .. }
        | Event::InitialLevelSet { .. }
        | Event::UserAdded { .. }
        | Event::LoggedIn { .. }
        | Event::LoggedOut { .. }
        | Event::Purchased { .. }
        | Event::BulkPurchased { .. }
        | Event::PurchaseRefused { .. }
        | Event::PostRefused { .. }
        | Event::FloorSet { .. } => Vec::new(),
    }
}
