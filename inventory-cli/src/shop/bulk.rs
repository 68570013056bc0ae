//! Purchases and entries of many rows, each for itself: as many batches as it takes, all of them kept before the first is sent.

use inventory_core::limits::{BULK_ROWS_MAX, ENTRIES_BATCH_MAX, ENTRIES_NAME_BYTES_MAX};
use inventory_core::{
    BulkEntries, BulkOrder, BulkPostingReceipt, BulkReceipt, LocationId, Money, NameColumn, OrderKey, Upc,
};
use inventory_net::client::{AnyReceipt, new_order_key};

use super::Shop;
use super::orders::Names;
use crate::holdings::KeptOrder;

/// What became of batches of rows.
#[derive(Debug)]
pub(crate) struct Batches<B, R> {
    /// The batches with an outcome, in the order of their rows.
    pub(crate) done: Vec<(B, R)>,
    /// Why those behind them have none yet.
    error: Option<anyhow::Error>,
}

/// A purchase of many rows.
pub(crate) type BulkPurchase = Batches<BulkOrder, BulkReceipt>;
/// Entries of many rows.
pub(crate) type BulkPosting = Batches<BulkEntries, BulkPostingReceipt>;

/// Some rows were refused.
#[derive(Debug, thiserror::Error)]
#[error("{refused} of {rows} rows were refused; {} {done}", others(*refused, *rows))]
pub(crate) struct RowsRefused {
    refused: u64,
    rows: u64,
    /// What became of the others: bought or posted.
    done: &'static str,
}

const fn others(refused: u64, rows: u64) -> &'static str {
    if refused == rows { "nothing was" } else { "the others were" }
}

/// How many rows a receipt is about, and how many of them were accepted.
trait Counted {
    const DONE: &'static str;
    fn rows_and_accepted(&self) -> (u32, u32);
}

impl Counted for BulkReceipt {
    const DONE: &'static str = "bought";

    fn rows_and_accepted(&self) -> (u32, u32) {
        (self.outcome.rows, self.outcome.accepted_rows)
    }
}

impl Counted for BulkPostingReceipt {
    const DONE: &'static str = "posted";

    fn rows_and_accepted(&self) -> (u32, u32) {
        (self.outcome.rows, self.outcome.accepted_rows)
    }
}

#[expect(private_bounds, reason = "there are two receipts, both of this file's choice")]
impl<B, R: Counted> Batches<B, R> {
    /// An error if not every row was accepted.
    pub(crate) fn into_result(self) -> anyhow::Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let (mut rows, mut accepted) = (0u64, 0u64);
        for (_, receipt) in &self.done {
            let (of_batch, accepted_of_batch) = receipt.rows_and_accepted();
            rows = rows.saturating_add(of_batch.into());
            accepted = accepted.saturating_add(accepted_of_batch.into());
        }
        let refused = rows.saturating_sub(accepted);
        if refused > 0 { Err(RowsRefused { refused, rows, done: R::DONE }.into()) } else { Ok(()) }
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
        let first = key.map_or_else(new_order_key, Ok)?;
        let batches = (0..).zip(rows.chunks(BULK_ROWS_MAX));
        let batches = batches.map(|(number, rows)| batch(key_of_batch(first, number), rows));
        let receipt = |receipt| match receipt {
            AnyReceipt::Bulk(receipt) => Some(receipt),
            _ => None,
        };
        self.place_all(batches.collect::<anyhow::Result<_>>()?, KeptOrder::Bulk, receipt).await
    }

    /// Posts these entries, each for itself: name and amount, negative for a debit. As [`buy_rows`](Self::buy_rows).
    pub(crate) async fn post_rows(
        &mut self,
        rows: &[(String, Money)],
        key: Option<OrderKey>,
    ) -> anyhow::Result<BulkPosting> {
        let first = key.map_or_else(new_order_key, Ok)?;
        let batches = (0..).zip(entry_chunks(rows));
        let batches = batches.map(|(number, rows)| entry_batch(key_of_batch(first, number), rows));
        let receipt = |receipt| match receipt {
            AnyReceipt::BulkPosting(receipt) => Some(receipt),
            _ => None,
        };
        self.place_all(batches.collect::<anyhow::Result<_>>()?, KeptOrder::BulkPosting, receipt).await
    }

    async fn place_all<B: Clone, R>(
        &mut self,
        batches: Vec<B>,
        kept: impl Fn(B) -> KeptOrder,
        of_batch: impl Fn(AnyReceipt) -> Option<R>,
    ) -> anyhow::Result<Batches<B, R>> {
        let user = self.resume().await?;
        let store = self.holdings_of(&user);
        self.settle().await;

        let mut news = Vec::new();
        for batch in &batches {
            news.push(store.record_order(&kept(batch.clone()), |_| String::new())?);
        }
        let mut placed = Batches { done: Vec::new(), error: None };
        for (batch, is_new) in batches.into_iter().zip(news) {
            match self.place(&store, &kept(batch.clone()), is_new, Names::new()).await {
                Ok(receipt) => placed.done.extend(of_batch(receipt).map(|receipt| (batch, receipt))),
                Err(error) => {
                    placed.error = Some(error);
                    break;
                }
            }
        }
        Ok(placed)
    }
}

/// As many rows at a time as a batch takes, by their number and by the bytes of their names.
fn entry_chunks(mut rows: &[(String, Money)]) -> impl Iterator<Item = &[(String, Money)]> {
    std::iter::from_fn(move || {
        let mut bytes = 0usize;
        let fits = |(name, _): &&(String, Money)| {
            bytes = bytes.saturating_add(name.len());
            bytes <= ENTRIES_NAME_BYTES_MAX
        };
        let count = rows.iter().take(ENTRIES_BATCH_MAX).take_while(fits).count();
        let (chunk, rest) = rows.split_at_checked(count).filter(|(chunk, _)| !chunk.is_empty())?;
        rows = rest;
        Some(chunk)
    })
}

fn entry_batch(key: OrderKey, rows: &[(String, Money)]) -> anyhow::Result<BulkEntries> {
    let mut names = NameColumn::default();
    let fits = rows.iter().all(|(name, _)| names.push(name.as_bytes()));
    anyhow::ensure!(fits, "the names of a batch are too long together: this is a defect");
    Ok(BulkEntries::new(key, names, rows.iter().map(|(_, amount)| amount.minor()).collect::<Vec<_>>())?)
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
