//! The entries of an event: every change of a balance, with who, when and why, read off the event.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::entry::PostedEntry;
use crate::event::{Event, Record};
use crate::id::{AccountId, OrderKey, UserId, Version};
use crate::money::Money;
use crate::returns::Refund;
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
    /// Units that the account had paid for came back.
    Refund,
}

impl EntryReason {
    /// The permanent name: `posting`, `purchase` or `refund`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Posting => "posting",
            Self::Purchase => "purchase",
            Self::Refund => "refund",
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
    /// The posting or order that it belongs to; for a refund, the order that was paid for.
    pub key: OrderKey,
}

/// Why, through whom and under which key an event changes balances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cause {
    pub(crate) reason: EntryReason,
    pub(crate) user: UserId,
    /// The posting or order.
    pub(crate) key: OrderKey,
}

/// What an event does to balances: each account and its change in minor units, in the order of the entries. None if it changes
/// none.
pub(crate) fn balance_changes(
    event: &Event,
) -> Option<(Cause, impl DoubleEndedIterator<Item = (AccountId, i64)>)> {
    let mut changes = [None, None];
    let mut batch = None;
    let (reason, user, key) = match event {
        Event::PurchaseCharged { key, user, charge, .. } => {
            changes[0] = Some((charge.account, charge.total.minor().saturating_neg()));
            (EntryReason::Purchase, user, key)
        }
        Event::Returned { user, returned, .. } => {
            let Refund { account, amount } = returned.refund?;
            changes[0] = Some((account, amount.minor()));
            (EntryReason::Refund, user, &returned.order)
        }
        Event::Posted { key, user, posted, .. } => {
            let PostedEntry { entry, .. } = &**posted;
            let counterpart = entry.counterpart().map(|account| (*account, entry.amount().minor()));
            changes = [Some((*entry.account(), entry.change().minor())), counterpart];
            (EntryReason::Posting, user, key)
        }
        Event::BulkPosted { key, user, rows, .. } => {
            batch = Some(rows);
            (EntryReason::Posting, user, key)
        }
        Event::ItemDefined { .. }
        | Event::InitialLevelSet { .. }
        | Event::UserAdded { .. }
        | Event::LoggedIn { .. }
        | Event::LoggedOut { .. }
        | Event::Purchased { .. }
        | Event::BulkPurchased { .. }
        | Event::PurchaseRefused { .. }
        | Event::ReturnRefused { .. }
        | Event::PostRefused { .. }
        | Event::FloorSet { .. } => return None,
    };
    let rows =
        batch.into_iter().flat_map(|rows| rows.accepted().map(|(_, account, change)| (account, change)));
    let changes = changes.into_iter().flatten().chain(rows);
    Some((Cause { reason, user: *user, key: *key }, changes))
}

/// The entries of an event: a transfer's two sides, a batch's accepted rows in their order. `state` is the one that the event made.
pub fn entries(state: &State, record: &Record) -> Vec<AccountEntry> {
    let Some((Cause { reason, user, key }, changes)) = balance_changes(&record.event) else {
        return Vec::new();
    };
    let user = state.users().user(user).map(|user| user.name.clone());
    // From the last change to the first, for the balances are those after all of them. Sums in 64 bits are exact.
    let mut balances: BTreeMap<AccountId, i64> = BTreeMap::new();
    let mut entries: Vec<AccountEntry> = changes
        .rev()
        .filter_map(|(id, change)| {
            let account = state.accounts().account(id)?;
            let after = balances.entry(id).or_insert_with(|| account.balance().minor());
            let balance = *after;
            *after = balance.wrapping_sub(change);
            Some(AccountEntry {
                version: state.version(),
                at: record.at,
                reason,
                account: Arc::clone(account.name()),
                change: Money::from_minor(change),
                balance: Money::from_minor(balance),
                user: user.clone(),
                key,
            })
        })
        .collect();
    entries.reverse();
    entries
}
