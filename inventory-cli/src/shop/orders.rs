//! Purchases, each exactly once in the local inventory: the order is kept before it is sent, its outcome when it comes,
//! and an order without an outcome is sent again, under the same key, by whatever runs next.

use std::collections::BTreeMap;

use anyhow::Context as _;
use inventory_core::limits::ORDER_LINES_MAX;
use inventory_core::{Order, OrderKey, OrderLine, Receipt, Refusal, Upc};
use inventory_net::client::{Client, ClientError, new_order_key};
use inventory_net::message::Unavailable;

use super::Shop;
use crate::holdings::{Holdings, HoldingsStore, OpenOrder};
use crate::notice::note;

type Names = BTreeMap<Upc, String>;

impl Shop {
    /// Buys. With a key that was used before, gives the outcome of then.
    pub(crate) async fn buy(
        &mut self,
        lines: Vec<OrderLine>,
        key: Option<OrderKey>,
    ) -> anyhow::Result<Receipt> {
        let user = self.resume().await?;
        let store = self.holdings_of(&user);
        self.settle().await;

        let client = self.client().await?.clone();
        let names = names(&client, &store.load()?, &lines).await;
        let key = key.map_or_else(new_order_key, Ok)?;
        let order = Order { key, lines: lines.into() };
        let is_new = store.record_order(&order, name_in(&names))?;
        match client.purchase(&order).await {
            Ok(receipt) => {
                store.record_receipt(&receipt, name_in(&names)).with_context(|| {
                    format!("order {} was carried out, and is counted by the next command", order.key)
                })?;
                Ok(receipt)
            }
            Err(ClientError::Refused(refusal)) => {
                // Another order has this key: an open one keeps it until its own outcome is known.
                let keep = refusal == Refusal::NotLoggedIn || (refusal == Refusal::KeyReused && !is_new);
                if !keep {
                    store.record_not_bought(order.key, refusal.name())?;
                }
                self.seen(Err(ClientError::Refused(refusal)))
            }
            Err(error @ ClientError::Unsendable(_)) => {
                store.record_not_bought(order.key, "unsendable")?;
                Err(error.into())
            }
            Err(error) => not_bought_for_certain(&client, &store, &order, &names, error).await,
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
        match holdings.open().len() {
            0 => {}
            1 => note("1 order is not settled: it is not counted here until the server can be asked"),
            n => note(format_args!(
                "{n} orders are not settled: they are not counted here until the server can be asked"
            )),
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

    fn holdings_of(&self, user: &str) -> HoldingsStore {
        HoldingsStore::new(self.state.holdings(user))
    }
}

/// A purchase got no outcome. If the server says that it did nothing and knows no such order, it is closed;
/// otherwise it stays open, and whoever runs next settles it.
async fn not_bought_for_certain(
    client: &Client,
    store: &HoldingsStore,
    order: &Order,
    names: &Names,
    error: ClientError,
) -> anyhow::Result<Receipt> {
    let key = order.key;
    if let ClientError::Unavailable(
        Unavailable::Overloaded | Unavailable::NotWritten | Unavailable::Draining,
    ) = &error
    {
        match client.receipt(key).await {
            Ok(receipt) => {
                store.record_receipt(&receipt, name_in(names))?;
                return Ok(receipt);
            }
            Err(ClientError::Refused(Refusal::UnknownOrder)) => {
                store.record_not_bought(key, "unavailable")?;
                return Err(error.into());
            }
            Err(_) => {}
        }
    }
    Err(anyhow::Error::from(error).context(format!(
        "it is not known yet whether order {key} was carried out; do not order again: the next look at the local inventory \
         (mine) or purchase (buy) settles it"
    )))
}

async fn settle_all(client: &Client, store: &HoldingsStore) -> anyhow::Result<()> {
    for (key, open) in store.load()?.open() {
        match outcome(client, *key, open).await {
            Ok(receipt) => {
                let named = names_of_receipt(client, store, &receipt).await?;
                if store.record_receipt(&receipt, name_in(&named))? {
                    note(format_args!("order {key} of an earlier run is settled: it was carried out"));
                }
            }
            Err(ClientError::Refused(Refusal::NotLoggedIn)) => break,
            Err(ClientError::Refused(refusal)) => {
                if store.record_not_bought(*key, refusal.name())? {
                    let settled = match refusal {
                        Refusal::OutcomeNotKept => "will never be known and is not counted",
                        _ => "is settled: it was refused",
                    };
                    note(format_args!("order {key} of an earlier run {settled}: {refusal}"));
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

async fn outcome(client: &Client, key: OrderKey, open: &OpenOrder) -> Result<Receipt, ClientError> {
    match &open.lines {
        Some(lines) => client.purchase(&Order { key, lines: lines.clone() }).await,
        None => client.receipt(key).await,
    }
}

/// The names of the items: those bought before, and what the server says about the others. A name that cannot be
/// had is left out: the purchase matters more.
async fn names(client: &Client, holdings: &Holdings, lines: &[OrderLine]) -> Names {
    let mut names = Names::new();
    if lines.len() > ORDER_LINES_MAX {
        // The server refuses the order anyway.
        return names;
    }
    for line in lines {
        if names.contains_key(&line.upc) {
            continue;
        }
        let known = match holdings.name(line.upc) {
            Some(name) => Some(name.to_owned()),
            None => client.item(line.upc).await.ok().and_then(|rows| Some(rows.first()?.name.to_string())),
        };
        names.insert(line.upc, known.unwrap_or_default());
    }
    names
}

async fn names_of_receipt(
    client: &Client,
    store: &HoldingsStore,
    receipt: &Receipt,
) -> anyhow::Result<Names> {
    Ok(names(client, &store.load()?, &receipt.lines).await)
}

fn name_in(names: &Names) -> impl Fn(Upc) -> String + '_ {
    |upc| names.get(&upc).cloned().unwrap_or_default()
}
