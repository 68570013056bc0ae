//! Purchases and entries of many rows, each for itself: as many batches as it takes, all of them kept before the first is sent.
//! Once one is certain to do nothing, those behind it are given up; if its outcome is not known, they stay kept with it.

use std::fmt;

use inventory_core::limits::{BULK_ROWS_MAX, ENTRIES_BATCH_MAX, ENTRIES_NAME_BYTES_MAX};
use inventory_core::{
    BulkEntries, BulkOrder, BulkPostingReceipt, BulkReceipt, LocationId, Money, NameColumn, OrderKey, Upc,
};
use inventory_net::client::{AnyReceipt, new_order_key};

use super::Shop;
use super::orders::Names;
use crate::holdings::{HoldingsStore, KeptOrder};

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

/// Many rows under one key.
trait Batch: Clone {
    fn kept(self) -> KeptOrder;
    fn row_count(&self) -> usize;
}

impl Batch for BulkOrder {
    fn kept(self) -> KeptOrder {
        KeptOrder::Bulk(self)
    }

    fn row_count(&self) -> usize {
        self.upcs().len()
    }
}

impl Batch for BulkEntries {
    fn kept(self) -> KeptOrder {
        KeptOrder::BulkPosting(self)
    }

    fn row_count(&self) -> usize {
        self.amounts().len()
    }
}

#[expect(private_bounds, reason = "there are two receipts, both of this file's choice")]
impl<B, R: Counted> Batches<B, R> {
    /// An error if not every row was accepted.
    pub(crate) fn into_result(self) -> anyhow::Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        let (rows, accepted) = self.rows_and_accepted();
        let refused = rows.saturating_sub(accepted);
        if refused > 0 { Err(RowsRefused { refused, rows, done: R::DONE }.into()) } else { Ok(()) }
    }

    /// Of the batches with an outcome.
    fn rows_and_accepted(&self) -> (u64, u64) {
        self.done.iter().fold((0, 0), |(rows, accepted), (_, receipt)| {
            let (of_batch, accepted_of_batch) = receipt.rows_and_accepted();
            (rows.saturating_add(of_batch.into()), accepted.saturating_add(accepted_of_batch.into()))
        })
    }
}

impl Shop {
    /// Buys these rows, each for itself. If this is killed, or the outcome of a batch is not known, what has none is sent by
    /// the next command; if a batch is certain to do nothing, those behind it are given up. With a key that was used before
    /// for these rows, gives the outcomes of then.
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
        self.place_all(batches.collect::<anyhow::Result<_>>()?, receipt).await
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
        self.place_all(batches.collect::<anyhow::Result<_>>()?, receipt).await
    }

    async fn place_all<B: Batch, R: Counted>(
        &mut self,
        batches: Vec<B>,
        of_batch: impl Fn(AnyReceipt) -> Option<R>,
    ) -> anyhow::Result<Batches<B, R>> {
        let user = self.resume().await?;
        let store = self.holdings_of(&user);
        self.settle().await;

        let rows = batches.iter().map(B::row_count).sum();
        let kept: Vec<KeptOrder> = batches.iter().cloned().map(B::kept).collect();
        let news = store.record_orders(&kept, |_| String::new())?;
        let mut placed = Batches { done: Vec::new(), error: None };
        let mut left = kept.iter().zip(news);
        for batch in batches {
            let Some((order, is_new)) = left.next() else { break };
            match self.place(&store, order, is_new, Names::new()).await {
                Ok(receipt) => placed.done.extend(of_batch(receipt).map(|receipt| (batch, receipt))),
                Err(error) => {
                    let behind: Vec<(OrderKey, bool)> = left.map(|(order, new)| (order.key(), new)).collect();
                    let (before, accepted) = placed.rows_and_accepted();
                    let became = match given_up(&store, order.key(), &behind)? {
                        Became::GivenUp if before == 0 && is_new => Became::Nothing,
                        became => became,
                    };
                    let first = kept.first().map_or(order.key(), KeptOrder::key);
                    let stopped = Stopped { rows, before, accepted, first, became, done: R::DONE };
                    placed.error = Some(error.context(stopped));
                    break;
                }
            }
        }
        Ok(placed)
    }
}

/// What became of the batches from one on that got no receipt.
enum Became {
    /// They are the whole file, and none was carried out or will be.
    Nothing,
    /// This run carried none of them out, and nothing will, unless an earlier run did.
    GivenUp,
    /// So many are kept, and the next command sends them.
    Kept(usize),
}

/// Gives up the new batches `behind` one that is closed. They may be sent if it is not: then they stay with it.
fn given_up(store: &HoldingsStore, key: OrderKey, behind: &[(OrderKey, bool)]) -> anyhow::Result<Became> {
    let holdings = store.load()?;
    if holdings.open().contains_key(&key) {
        let kept = behind.iter().filter(|(key, _)| holdings.open().contains_key(key)).count();
        return Ok(Became::Kept(kept.saturating_add(1)));
    }
    let unsent: Vec<OrderKey> = behind.iter().filter(|(_, is_new)| *is_new).map(|(key, _)| *key).collect();
    store.record_none_bought(&unsent, "unsent")?;
    Ok(Became::GivenUp)
}

/// How far a file came, and what to do.
struct Stopped {
    /// Of the whole file.
    rows: usize,
    /// Those before the batch without a receipt.
    before: u64,
    /// Those of them that were accepted.
    accepted: u64,
    /// The key of the file's first batch.
    first: OrderKey,
    became: Became,
    /// What an accepted row was: bought or posted.
    done: &'static str,
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, before, accepted, first, became, done } = self;
        let from = before.saturating_add(1);
        match became {
            Became::Nothing => write!(f, "none of the {rows} rows was {done}"),
            Became::GivenUp => {
                let left = u64::try_from(*rows).unwrap_or(u64::MAX).saturating_sub(*before);
                write!(
                    f,
                    "{accepted} of {rows} rows were {done}; this run did nothing with the {left} from row {from} on; repeat \
                     with --key {first}, under which no row is {done} twice"
                )
            }
            Became::Kept(batches) => {
                let (noun, verb) = if *batches == 1 { ("batch", "is") } else { ("batches", "are") };
                write!(
                    f,
                    "{accepted} of {rows} rows are known to be {done}; {batches} {noun}, from row {from} on, {verb} kept for \
                     the next command to send; repeat only with --key {first}"
                )
            }
        }
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
