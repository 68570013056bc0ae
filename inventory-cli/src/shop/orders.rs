//! Purchases, returns and entries to accounts, each exactly once; purchases and returns also in the local inventory: the order is
//! kept before it is sent, its outcome when it comes, and an order without an outcome is sent again, under the same key, by whatever runs next.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use futures_util::future::join_all;
use inventory_core::limits::ORDER_LINES_MAX;
use inventory_core::{
    BulkPostingReceipt, BulkReceipt, Order, OrderKey, OrderLine, PostingReceipt, Receipt, Refusal,
    ReturnReceipt, RowCodes, Time, Units, Upc, Version,
};
use inventory_net::client::{AnyReceipt, Client, ClientError, new_order_key};
use inventory_net::message::Unavailable;

use super::Shop;
use crate::holdings::{Holdings, HoldingsStore, KeptOrder, OpenOrder};
use crate::notice::note;

/// How many names are asked for at once.
const NAMES_AT_ONCE: usize = 256;

pub(super) type Names = BTreeMap<Upc, String>;

impl Shop {
    /// Buys, and has this account pay if one is named. With a key that was used before, gives the outcome of then.
    pub(crate) async fn buy(
        &mut self,
        lines: Vec<OrderLine>,
        charge: Option<&str>,
        key: Option<OrderKey>,
    ) -> anyhow::Result<Receipt> {
        let user = self.resume().await?;
        let store = self.holdings_of(&user);
        self.settle().await;

        // The server refuses an order of more lines anyway.
        let first = lines.get(..ORDER_LINES_MAX.min(lines.len())).unwrap_or_default();
        let names = names(self.client().await?, &store.load()?, first).await;
        let key = key.map_or_else(new_order_key, Ok)?;
        let order = KeptOrder::Lines(Order { key, lines: lines.into(), charge: charge.map(Into::into) });
        let is_new = store.record_order(&order, name_in(&names))?;
        match self.place(&store, &order, is_new, names).await? {
            AnyReceipt::Order(receipt) => Ok(receipt),
            _ => Err(anyhow::anyhow!("order {key} has the receipt of something else: this is a defect")),
        }
    }

    /// Sends an order that is kept, and keeps its outcome. `is_new` says that nobody sent it before.
    pub(super) async fn place(
        &mut self,
        store: &HoldingsStore,
        order: &KeptOrder,
        is_new: bool,
        names: Names,
    ) -> anyhow::Result<AnyReceipt> {
        let key = order.key();
        let client = match self.client().await {
            Ok(client) => client.clone(),
            Err(error) => {
                if is_new {
                    store.record_not_bought(key, "unsent")?;
                }
                return Err(error);
            }
        };
        match send(&client, order).await {
            Ok(receipt) => {
                record(&client, store, order, &receipt, names).await.with_context(|| {
                    format!("{} {key} was carried out, and is counted by the next command", order.noun())
                })?;
                Ok(receipt)
            }
            Err(ClientError::Refused(refusal)) => {
                // Another order has this key: an open one keeps it until its own outcome is known.
                let keep = refusal == Refusal::NotLoggedIn || (refusal == Refusal::KeyReused && !is_new);
                if !keep {
                    store.record_not_bought(key, refusal.name())?;
                }
                let is_kept = refusal == Refusal::NotLoggedIn;
                let told = self.seen(Err(ClientError::Refused(refusal)));
                if !is_kept {
                    return told;
                }
                told.with_context(|| {
                    format!("{} {key} is kept, and is sent again after the next login", order.noun())
                })
            }
            Err(error @ ClientError::Unsendable(_)) => {
                store.record_not_bought(key, "unsendable")?;
                Err(error.into())
            }
            Err(error) => not_bought_for_certain(&client, store, order, names, error).await,
        }
    }

    /// What this client has bought for the user logged in here. Asks the server only about open orders, and does
    /// without it if it cannot be asked.
    pub(crate) async fn mine(&mut self) -> anyhow::Result<Holdings> {
        let user = self.saved_user()?;
        let store = self.holdings_of(&user);
        if store.load()?.open().is_empty() {
            return Ok(store.load()?);
        }
        if let Err(error) = self.resume().await {
            note(format_args!("{error}"));
        }
        self.settle().await;
        let holdings = store.load()?;
        let mut open: BTreeMap<&str, usize> = BTreeMap::new();
        for order in holdings.open().values() {
            let count = open.entry(order.noun()).or_default();
            *count = count.saturating_add(1);
        }
        for (noun, count) in open {
            note(unsettled(noun, count));
        }
        Ok(holdings)
    }

    /// Finds out what became of the open orders of the user whose session the connection carries. What cannot be
    /// found out now stays open.
    pub(crate) async fn settle(&mut self) {
        let Some((user, client)) =
            self.connection.as_ref().and_then(|c| Some((c.session.as_ref()?.user.clone(), c.client.clone())))
        else {
            return;
        };
        let store = self.holdings_of(&user);
        if let Err(error) = settle_all(&client, &store).await {
            note(format_args!("open orders stay open: {error:#}"));
        }
    }

    pub(super) fn holdings_of(&self, user: &str) -> HoldingsStore {
        HoldingsStore::new(self.state.holdings(user))
    }
}

/// What is said of things that stay open.
fn unsettled(noun: &str, count: usize) -> String {
    let until = "until the server can be asked";
    match (noun, count) {
        ("order", 1) => format!("1 order is not settled: it is not counted here {until}"),
        ("order", n) => format!("{n} orders are not settled: they are not counted here {until}"),
        ("return", 1) => format!("1 return is not settled: its units are still counted here {until}"),
        ("return", n) => format!("{n} returns are not settled: their units are still counted here {until}"),
        (_, 1) => format!("1 {noun} is not settled {until}"),
        ("entry", n) => format!("{n} entries are not settled {until}"),
        (_, n) => format!("{n} batches of entries are not settled {until}"),
    }
}

/// A purchase got no outcome. If the server says that it did nothing and knows no such order, it is closed;
/// otherwise it stays open, and whoever runs next settles it.
async fn not_bought_for_certain(
    client: &Client,
    store: &HoldingsStore,
    order: &KeptOrder,
    names: Names,
    error: ClientError,
) -> anyhow::Result<AnyReceipt> {
    let key = order.key();
    if let ClientError::Unavailable(
        Unavailable::Overloaded | Unavailable::NotWritten | Unavailable::Draining,
    ) = &error
    {
        match client.any_receipt(key).await {
            Ok(receipt) => {
                record(client, store, order, &receipt, names).await?;
                return Ok(receipt);
            }
            // Of a return it may be the outcome: only the same return, sent again, tells.
            Err(ClientError::Refused(Refusal::UnknownOrder)) if !matches!(order, KeptOrder::Return(_)) => {
                store.record_not_bought(key, "unavailable")?;
                return Err(error.into());
            }
            Err(_) => {}
        }
    }
    Err(anyhow::Error::from(error).context(format!(
        "it is not known yet whether {} {key} was carried out; do not {} again: the next look at the local inventory \
         (mine), purchase (buy), return or entry (ledger post) settles it",
        order.noun(),
        match order {
            KeptOrder::Lines(_) | KeptOrder::Bulk(_) => "order",
            KeptOrder::Return(_) => "return it",
            KeptOrder::Posting(_) | KeptOrder::BulkPosting(_) => "post",
        }
    )))
}

/// Counts what an order bought or a return took back. `known` are the names of its items, if they were asked for before it was sent.
async fn record(
    client: &Client,
    store: &HoldingsStore,
    order: &KeptOrder,
    receipt: &AnyReceipt,
    known: Names,
) -> anyhow::Result<()> {
    if let AnyReceipt::Return(receipt) = receipt {
        let is_own = is_own(client, store, receipt).await?;
        store.record_returned(receipt, is_own)?;
        return Ok(());
    }
    if let Some((key, version, at)) = posted(receipt) {
        store.record_posted(key, version, at)?;
        return Ok(());
    }
    let Some(bought) = bought(Some(order), receipt) else { return Ok(()) };
    let named = match order {
        KeptOrder::Lines(_) => known,
        _ => names(client, &store.load()?, &bought.lines).await,
    };
    store.record_receipt(&bought, name_in(&named))?;
    Ok(())
}

/// Whether who returned an order had bought it. The server is asked only where the log has lost lines; if it does not tell, they
/// had: only administrators return what others bought.
async fn is_own(client: &Client, store: &HoldingsStore, receipt: &ReturnReceipt) -> anyhow::Result<bool> {
    if !store.may_have_lost(receipt.order)? {
        return Ok(true);
    }
    Ok(match client.any_receipt(receipt.order).await {
        Ok(AnyReceipt::Order(bought)) => bought.user == receipt.user,
        Err(ClientError::Refused(Refusal::UnknownOrder)) => false,
        _ => true,
    })
}

/// The key of the entry or batch of them that a receipt is of, and when it was decided; none if it is of
/// an order or a return.
const fn posted(receipt: &AnyReceipt) -> Option<(OrderKey, Version, Time)> {
    match receipt {
        AnyReceipt::Posting(PostingReceipt { key, version, at, .. })
        | AnyReceipt::BulkPosting(BulkPostingReceipt { key, version, at, .. }) => Some((*key, *version, *at)),
        AnyReceipt::Order(_) | AnyReceipt::Bulk(_) | AnyReceipt::Return(_) => None,
    }
}

/// What a receipt says was bought: that of a batch with its accepted rows as lines, each item once. None if the rows are
/// not known any more.
fn bought(kept: Option<&KeptOrder>, receipt: &AnyReceipt) -> Option<Receipt> {
    let receipt = match receipt {
        AnyReceipt::Order(receipt) => return Some(receipt.clone()),
        AnyReceipt::Bulk(receipt) => receipt,
        AnyReceipt::Return(_) | AnyReceipt::Posting(_) | AnyReceipt::BulkPosting(_) => return None,
    };
    let Some(KeptOrder::Bulk(order)) = kept else { return None };
    let mut sums: BTreeMap<Upc, Units> = BTreeMap::new();
    for (_, (upc, units)) in
        (0..).zip(order.rows()).filter(|(row, _)| receipt.outcome.codes.get(*row) == RowCodes::ACCEPTED)
    {
        let sum = sums.entry(upc).or_default();
        *sum = sum.saturating_add(units.into());
    }
    let BulkReceipt { key, version, user, at, outcome } = receipt.clone();
    let line = |(upc, units)| OrderLine { upc, location: order.location(), units };
    let lines = sums.into_iter().map(line).collect();
    Some(Receipt { key, version, user, at, lines, total: outcome.total, charged: None })
}

async fn settle_all(client: &Client, store: &HoldingsStore) -> anyhow::Result<()> {
    let holdings = store.load()?;
    let is_return = |open: &OpenOrder| matches!(open.kept, Some(KeptOrder::Return(_)));
    // What comes back is taken off what was bought, so that is settled first.
    let (returns, others): (Vec<_>, Vec<_>) = holdings.open().iter().partition(|(_, open)| is_return(open));
    for (key, open) in others.into_iter().chain(returns) {
        match outcome(client, *key, open).await {
            Ok(receipt) => settle_one(client, store, open, &receipt).await?,
            Err(ClientError::Refused(Refusal::NotLoggedIn)) => break,
            Err(ClientError::Refused(refusal)) => {
                if store.record_not_bought(*key, refusal.name())? {
                    let settled = match refusal {
                        // A return of such an order did nothing; one that is itself so old is a rare thing.
                        Refusal::OutcomeNotKept if !is_return(open) => {
                            "will never be known and is not counted"
                        }
                        _ => "is settled: it was refused",
                    };
                    let noun = open.noun();
                    note(format_args!("{noun} {key} of an earlier run {settled}: {refusal}"));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn settle_one(
    client: &Client,
    store: &HoldingsStore,
    open: &OpenOrder,
    receipt: &AnyReceipt,
) -> anyhow::Result<()> {
    if let AnyReceipt::Return(receipt) = receipt {
        let is_own = is_own(client, store, receipt).await?;
        if store.record_returned(receipt, is_own)? {
            note(format_args!("return {} of an earlier run is settled: it was carried out", receipt.key));
        }
        return Ok(());
    }
    if let Some((key, version, at)) = posted(receipt) {
        if store.record_posted(key, version, at)? {
            let noun = open.kept.as_ref().map_or("entry", KeptOrder::noun);
            let rows = rows_in(receipt);
            note(format_args!("{noun} {key} of an earlier run is settled: it was carried out{rows}"));
        }
        return Ok(());
    }
    let Some(bought) = bought(open.kept.as_ref(), receipt) else {
        if let AnyReceipt::Bulk(BulkReceipt { key, outcome, .. }) = receipt
            && store.record_not_bought(*key, "rows_lost")?
        {
            note(format_args!(
                "order {key} of an earlier run was carried out and bought {} units, but the orders log has lost its rows: \
                 they are not counted here (`inventory history --order {key}` on the server shows them)",
                outcome.units
            ));
        }
        return Ok(());
    };
    let named = names(client, &store.load()?, &bought.lines).await;
    if store.record_receipt(&bought, name_in(&named))? {
        note(format_args!(
            "order {} of an earlier run is settled: it was carried out{}",
            bought.key,
            rows_in(receipt)
        ));
    }
    Ok(())
}

fn rows_in(receipt: &AnyReceipt) -> String {
    let (accepted, rows) = match receipt {
        AnyReceipt::Order(_) | AnyReceipt::Return(_) | AnyReceipt::Posting(_) => return String::new(),
        AnyReceipt::Bulk(BulkReceipt { outcome, .. }) => (outcome.accepted_rows, outcome.rows),
        AnyReceipt::BulkPosting(BulkPostingReceipt { outcome, .. }) => (outcome.accepted_rows, outcome.rows),
    };
    format!(", {accepted} of {rows} rows were accepted")
}

async fn outcome(client: &Client, key: OrderKey, open: &OpenOrder) -> Result<AnyReceipt, ClientError> {
    match &open.kept {
        Some(order) => send(client, order).await,
        None => client.any_receipt(key).await,
    }
}

async fn send(client: &Client, order: &KeptOrder) -> Result<AnyReceipt, ClientError> {
    match order {
        KeptOrder::Lines(order) => client.purchase(order).await.map(AnyReceipt::Order),
        KeptOrder::Bulk(order) => client.purchase_bulk(order).await.map(AnyReceipt::Bulk),
        KeptOrder::Return(wanted) => {
            client.return_units(wanted).await.map(|receipt| AnyReceipt::Return(Box::new(receipt)))
        }
        KeptOrder::Posting(posting) => client.post(posting).await.map(AnyReceipt::Posting),
        KeptOrder::BulkPosting(batch) => client.post_bulk(batch).await.map(AnyReceipt::BulkPosting),
    }
}

/// The names of the items: those bought before, and what the server says about the others. A name that cannot be
/// had is left out: the purchase matters more.
async fn names(client: &Client, holdings: &Holdings, lines: &[OrderLine]) -> Names {
    let mut names = Names::new();
    let mut unknown = BTreeSet::new();
    for line in lines {
        match holdings.name(line.upc) {
            Some(name) => drop(names.insert(line.upc, name.to_owned())),
            None => drop(unknown.insert(line.upc)),
        }
    }
    let unknown: Vec<Upc> = unknown.into_iter().collect();
    for upcs in unknown.chunks(NAMES_AT_ONCE) {
        let told = join_all(upcs.iter().map(|upc| client.item(*upc))).await;
        names.extend(upcs.iter().zip(told).map(|(upc, rows)| {
            let name = rows.ok().and_then(|rows| Some(rows.first()?.name.to_string()));
            (*upc, name.unwrap_or_default())
        }));
    }
    names
}

fn name_in(names: &Names) -> impl Fn(Upc) -> String + '_ {
    |upc| names.get(&upc).cloned().unwrap_or_default()
}
