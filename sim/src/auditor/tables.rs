//! The engine's tables against those of the naive shop, at a moment when all of them are durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use inventory_core::state::{Account, Outcome, State};
use inventory_core::{AccountId, BalanceRow, LocationId, Refund, Refusal, Upc};
use inventory_net::message::{Done, ReplyBody};

use super::{Auditor, Check, Violation, ensure};

impl Auditor {
    /// Whether this state, all of which is said to be durable, is what the events make.
    pub(crate) fn same_tables(&self, state: &State) -> Check {
        ensure(state.version() == self.version(), || {
            format!("the tables are of version {} instead of {}", state.version(), self.version())
        })?;
        ensure(state.now() == self.now, || format!("the state's time is {}, not {}", state.now(), self.now))?;
        let shop = self.shop().ok_or_else(|| Violation("no shop".into()))?;
        let items = state.catalogue().iter().map(|item| (item.upc, item.name, item.price));
        ensure(items.eq(shop.items()), || "the catalogue differs".into())?;
        let levels: BTreeMap<(Upc, LocationId), u64> = state
            .stock()
            .iter()
            .filter_map(|(item, location, level)| {
                Some(((state.catalogue().upc(item)?, location), level.on_hand.get()))
            })
            .collect();
        ensure(levels == *shop.levels(), || {
            format!("the levels are {levels:?} instead of {:?}", shop.levels())
        })?;
        self.same_accounts(state)?;
        self.same_returns(state)?;
        self.same_users(state)?;
        self.same_orders(state)
    }

    /// Each account has the balance that its entries add up to, and its floor; in the order in which they were made, and in that
    /// of their names.
    fn same_accounts(&self, state: &State) -> Check {
        let naive = &self.shop().ok_or_else(|| Violation("no shop".into()))?.accounts;
        let row = |account: &Account| BalanceRow {
            account: Arc::clone(account.name()),
            balance: account.balance(),
            floor: account.floor(),
        };
        let found: Vec<BalanceRow> = state.accounts().iter().map(|(_, account)| row(account)).collect();
        ensure(found.iter().cloned().eq(naive.made()), || {
            format!("the accounts are {found:?} instead of {:?}", naive.made().collect::<Vec<_>>())
        })?;
        let sorted = state.accounts().sorted_after(None).map(row);
        ensure(sorted.eq(naive.sorted()), || "the accounts are not in the order of their names".into())
    }

    fn same_users(&self, state: &State) -> Check {
        ensure(state.users().len() == self.users.len(), || "the number of users differs".into())?;
        for ((_, found), row) in state.users().iter().zip(&self.users) {
            let same = *found.name == *row.name
                && found.password_hash == row.password_hash
                && found.role == row.role
                && found.sessions.iter().eq(&row.sessions);
            ensure(same, || format!("user {} differs: {found:?}", row.name))?;
        }
        Ok(())
    }

    /// The window holds nothing but outcomes, and every one whose key is young enough.
    fn same_orders(&self, state: &State) -> Check {
        for row in state.orders().iter() {
            let decided = self.decided.get(&row.key);
            let same = decided.is_some_and(|decided| {
                let alike = match (&row.outcome, &decided.reply) {
                    (Outcome::Accepted { total, .. }, ReplyBody::Done(Done::Receipt(receipt))) => {
                        receipt.total == *total && receipt.charged.is_none() && receipt.at == row.at
                    }
                    (Outcome::Charged { charge, .. }, ReplyBody::Done(Done::Receipt(receipt))) => {
                        let account = state.accounts().account(charge.account).map(Account::name);
                        receipt.total == Some(charge.total)
                            && receipt.charged.as_ref() == account
                            && receipt.at == row.at
                    }
                    (Outcome::Returned(back), ReplyBody::Done(Done::ReturnReceipt(receipt))) => {
                        let refund = back.refund.and_then(|Refund { account, amount }| {
                            let account = Arc::clone(state.accounts().account(account)?.name());
                            Some(Refund { account, amount })
                        });
                        back.order == receipt.order && refund == receipt.refund && receipt.at == row.at
                    }
                    (Outcome::Posted(posted), ReplyBody::Done(Done::PostingReceipt(receipt))) => {
                        let name =
                            |id: &AccountId| state.accounts().account(*id).map(|it| Arc::clone(it.name()));
                        posted.entry.map(name).as_ref() == Some(&receipt.entry)
                            && (posted.balance, posted.counterpart_balance)
                                == (receipt.balance, receipt.counterpart_balance)
                            && receipt.at == row.at
                    }
                    (Outcome::Entries(entries), ReplyBody::Done(Done::BulkPostingReceipt(receipt))) => {
                        receipt.outcome == **entries && receipt.at == row.at
                    }
                    (Outcome::Bulk(bulk), ReplyBody::Done(Done::BulkReceipt(receipt))) => {
                        receipt.outcome == **bulk && receipt.at == row.at
                    }
                    (Outcome::Refused(found), ReplyBody::Refused(refusal)) => Refusal::eq(found, refusal),
                    _ => false,
                };
                alike && decided.version == row.version && decided.user == row.user
            });
            ensure(same, || format!("the window holds another outcome of order {}", row.key))?;
        }
        let start = state.orders().start(state.now());
        let young = self.decided.keys().filter(|key| key.time() >= start).count();
        let held = state.orders().iter().filter(|row| row.key.time() >= start).count();
        ensure(young == held, || format!("the window holds {held} of {young} outcomes"))
    }
}
