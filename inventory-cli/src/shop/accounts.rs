//! Accounts: entries, each exactly once as purchases are, and what balances and entries there are.

use inventory_core::journal::ScanPlace;
use inventory_core::{BalanceRow, Entry, Money, OrderKey, Posting, PostingReceipt, Time, Version};
use inventory_net::client::{AnyReceipt, new_order_key};
use inventory_net::message::EntryRow;

use super::Shop;
use super::orders::Names;
use crate::holdings::KeptOrder;
use crate::notice::note;

/// An entry, and the balance after it where that is known.
#[derive(Debug)]
pub(crate) struct KnownEntry {
    pub(crate) entry: EntryRow,
    /// None if the server no longer keeps what came before.
    pub(crate) balance: Option<Money>,
}

impl Shop {
    /// Posts an entry. With a key that was used before, gives the outcome of then.
    pub(crate) async fn post(
        &mut self,
        entry: Entry,
        key: Option<OrderKey>,
    ) -> anyhow::Result<PostingReceipt> {
        let user = self.resume().await?;
        let store = self.holdings_of(&user);
        self.settle().await;
        let key = key.map_or_else(new_order_key, Ok)?;
        let posting = KeptOrder::Posting(Posting { key, entry });
        let is_new = store.record_order(&posting, |_| String::new())?;
        match self.place(&store, &posting, is_new, Names::new()).await? {
            AnyReceipt::Posting(receipt) => Ok(receipt),
            _ => Err(anyhow::anyhow!("entry {key} has the receipt of something else: this is a defect")),
        }
    }

    /// Says what an account's balance never goes below from now on.
    pub(crate) async fn set_floor(&mut self, account: &str, floor: Option<Money>) -> anyhow::Result<Version> {
        let set = self.client().await?.set_floor(account, floor).await;
        self.seen(set)
    }

    /// The balance of this account; of the one that has the user's own name, if none is named.
    pub(crate) async fn balance(&mut self, account: Option<&str>) -> anyhow::Result<BalanceRow> {
        let own = self.resume().await?;
        let balance = self.client().await?.balance(account.unwrap_or(&own)).await;
        self.seen(balance)
    }

    /// The balances of all accounts after this name, sorted by the bytes of their names.
    pub(crate) async fn balances(&mut self, after: Option<String>) -> anyhow::Result<Vec<BalanceRow>> {
        let (mut balances, mut after) = (Vec::new(), after);
        loop {
            let page = self.client().await?.balances(after.as_deref(), None).await;
            let page = self.seen(page)?;
            balances.extend(page.balances);
            // A page that does not get ahead is the last, whatever the server says.
            match page.next {
                Some(next) if after.as_deref().is_none_or(|after| &*next > after) => {
                    after = Some(next.to_string());
                }
                _ => return Ok(balances),
            }
        }
    }

    /// The entries of this account in this time, oldest first.
    pub(crate) async fn entries(
        &mut self,
        account: &str,
        since: Option<Time>,
        until: Option<Time>,
    ) -> anyhow::Result<Vec<KnownEntry>> {
        let is_after = |entry: &EntryRow| until.is_some_and(|until| entry.at > until);
        let (mut found, mut place) = (Vec::new(), ScanPlace::default());
        let mut balance = Some(Money::ZERO);
        loop {
            let page = self.client().await?.entries(account, place, None).await;
            let page = self.seen(page)?;
            if let Some(start) = page.start {
                note(format_args!("the server no longer keeps what happened up to version {start}"));
                balance = None;
            }
            let is_over = page.entries.last().is_some_and(is_after);
            for entry in page.entries.into_iter().filter(|entry| !is_after(entry)) {
                balance = balance.and_then(|balance| balance.checked_add(entry.change));
                if since.is_none_or(|since| entry.at >= since) {
                    found.push(KnownEntry { entry, balance });
                }
            }
            let is_ahead = |next: &ScanPlace| (next.after, next.skip) > (place.after, place.skip);
            match page.next.filter(is_ahead) {
                Some(next) if !is_over => place = next,
                _ => return Ok(found),
            }
        }
    }
}
