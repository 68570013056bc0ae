//! Purchases of many rows, each for itself: as many batches as it takes, all of them kept before the first is sent.

use inventory_core::limits::BULK_ROWS_MAX;
use inventory_core::{BulkOrder, BulkReceipt, LocationId, OrderKey, Upc};
use inventory_net::client::{AnyReceipt, new_order_key};

use super::Shop;
use super::orders::Names;
use crate::holdings::KeptOrder;

/// What became of a purchase of many rows.
#[derive(Debug, Default)]
pub(crate) struct BulkPurchase {
    /// The batches with an outcome, in the order of their rows.
    pub(crate) sold: Vec<(BulkOrder, BulkReceipt)>,
    /// Why those behind them have none yet.
    error: Option<anyhow::Error>,
}

/// Some rows were refused.
#[derive(Debug, thiserror::Error)]
#[error("{refused} of {rows} rows were refused; {}", others(*refused, *rows))]
pub(crate) struct RowsRefused {
    refused: u64,
    rows: u64,
}

const fn others(refused: u64, rows: u64) -> &'static str {
    if refused == rows { "nothing was bought" } else { "the others were bought" }
}

impl BulkPurchase {
    /// An error if not every row was bought.
    pub(crate) fn into_result(self) -> anyhow::Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let (mut rows, mut accepted) = (0u64, 0u64);
        for (_, receipt) in &self.sold {
            rows = rows.saturating_add(receipt.outcome.rows.into());
            accepted = accepted.saturating_add(receipt.outcome.accepted_rows.into());
        }
        let refused = rows.saturating_sub(accepted);
        if refused > 0 { Err(RowsRefused { refused, rows }.into()) } else { Ok(()) }
    }
}

impl Shop {
    /// Buys these rows, each for itself. Whatever ends this after the first batch was kept, batches without an outcome are
    /// sent by the next command. With a key that was used before for these rows, gives the outcomes of then.
    pub(crate) async fn buy_rows(
        &mut self,
        rows: &[(Upc, u32)],
        key: Option<OrderKey>,
    ) -> anyhow::Result<BulkPurchase> {
        let user = self.resume().await?;
        let store = self.holdings_of(&user);
        self.settle().await;

        let first = key.map_or_else(new_order_key, Ok)?;
        let mut batches = Vec::new();
        for (number, rows) in (0..).zip(rows.chunks(BULK_ROWS_MAX)) {
            let order = batch(key_of_batch(first, number), rows)?;
            let is_new = store.record_order(&KeptOrder::Bulk(order.clone()), |_| String::new())?;
            batches.push((order, is_new));
        }
        let mut purchase = BulkPurchase::default();
        for (order, is_new) in batches {
            match self.place(&store, &KeptOrder::Bulk(order.clone()), is_new, Names::new()).await {
                Ok(AnyReceipt::Bulk(receipt)) => purchase.sold.push((order, receipt)),
                Ok(AnyReceipt::Order(_)) => {}
                Err(error) => {
                    purchase.error = Some(error);
                    break;
                }
            }
        }
        Ok(purchase)
    }
}

/// The key of a batch, numbered from 0, of a file whose first has this one: the same whenever it is asked for. The number
/// goes into the upper of the last 62 bits, since some generators count in the lower ones.
fn key_of_batch(first: OrderKey, number: u128) -> OrderKey {
    const SHIFT: u32 = 40;
    OrderKey::from_parts(first.time(), u128::from_be_bytes(first.to_bytes()) ^ (number << SHIFT))
}

fn batch(key: OrderKey, rows: &[(Upc, u32)]) -> anyhow::Result<BulkOrder> {
    let (upcs, units): (Vec<Upc>, Vec<u32>) = rows.iter().copied().unzip();
    Ok(BulkOrder::new(key, LocationId::MAIN, upcs, units)?)
}
