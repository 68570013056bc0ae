//! Purchases of many rows, each for itself: as many batches as it takes, all of them kept before the first is sent.

use inventory_core::limits::BULK_ROWS_MAX;
use inventory_core::{BulkOrder, BulkReceipt, LocationId, Upc};
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
#[error("{refused} of {rows} rows were refused; the others were bought")]
pub(crate) struct RowsRefused {
    refused: u64,
    rows: u64,
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
    /// sent by the next command.
    pub(crate) async fn buy_rows(&mut self, rows: &[(Upc, u32)]) -> anyhow::Result<BulkPurchase> {
        let user = self.resume().await?;
        let store = self.holdings_of(&user);
        self.settle().await;

        let batches = rows.chunks(BULK_ROWS_MAX).map(batch).collect::<anyhow::Result<Vec<_>>>()?;
        for order in &batches {
            store.record_order(&KeptOrder::Bulk(order.clone()), |_| String::new())?;
        }
        let mut purchase = BulkPurchase::default();
        for order in batches {
            match self.place(&store, &KeptOrder::Bulk(order.clone()), true, Names::new()).await {
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

fn batch(rows: &[(Upc, u32)]) -> anyhow::Result<BulkOrder> {
    let (upcs, units): (Vec<Upc>, Vec<u32>) = rows.iter().copied().unzip();
    Ok(BulkOrder::new(new_order_key()?, LocationId::MAIN, upcs, units)?)
}
