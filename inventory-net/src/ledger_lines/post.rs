//! Batches to the service: some at a time, in their order. What was not written for certain is posted again, under the same
//! key; what may or may not have been written ends everything.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesOrdered;
use inventory_core::{Actor, Answer, BulkEntries, Command, OrderKey, Reply, Unavailable};

use super::line::Discard;
use super::{LinesError, Phase, Shared, lock};

/// Batches that may be under way at once.
const POSTED_MAX: usize = 16;
/// How long to wait before batches that were not written are posted again: doubled each time, up to a second.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A batch with its number, and what became of it.
type Posted = (u64, BulkEntries, Reply);

/// Posts what is gathered until there is nothing left and nothing more will come.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), LinesError> {
    Poster {
        shared,
        posted: FuturesOrdered::new(),
        again: Vec::new(),
        is_again: false,
        newest: 0,
        pause: PAUSE_MIN,
    }
    .run()
    .await
}

struct Poster {
    shared: Arc<Shared>,
    posted: FuturesOrdered<Pin<Box<dyn Future<Output = Posted> + Send>>>,
    /// Batches that were not written, oldest first.
    again: Vec<(u64, BulkEntries)>,
    /// Among those posted are some that were posted before: newer ones than they may be durable.
    is_again: bool,
    /// The newest batch that is durable.
    newest: u64,
    pause: Duration,
}

impl Poster {
    async fn run(&mut self) -> Result<(), LinesError> {
        loop {
            self.post_gathered()?;
            tokio::select! {
                Some(posted) = self.posted.next() => self.settle(posted)?,
                () = self.shared.work.notified() => {}
            }
            if self.posted.is_empty() && !self.again.is_empty() {
                self.post_again().await?;
            }
            if self.is_done() {
                return Ok(());
            }
        }
    }

    /// A batch that is still filling waits while others are under way.
    fn post_gathered(&mut self) -> Result<(), LinesError> {
        while self.again.is_empty() && self.posted.len() < POSTED_MAX {
            let taken = lock(&self.shared.gatherer).take(self.posted.is_empty());
            let Some((number, columns)) = taken else { break };
            self.shared.room.notify_one();
            let mut random = [0; 16];
            getrandom::fill(&mut random)?;
            let key = OrderKey::from_parts(self.shared.service.now(), u128::from_le_bytes(random));
            self.post(number, columns.entries(key)?);
        }
        Ok(())
    }

    fn post(&mut self, number: u64, entries: BulkEntries) {
        let service = self.shared.service.clone();
        self.posted.push_back(Box::pin(async move {
            let reply = service.call(Actor::System, Command::PostBulk(entries.clone())).await;
            (number, entries, reply)
        }));
    }

    fn settle(&mut self, (number, entries, reply): Posted) -> Result<(), LinesError> {
        match reply {
            Reply::Answered(Answer::BulkPostingReceipt(receipt)) => {
                let outcome = receipt.outcome;
                let mut gatherer = lock(&self.shared.gatherer);
                let accepted = u64::from(outcome.accepted_rows);
                gatherer.counts.accepted = gatherer.counts.accepted.saturating_add(accepted);
                let refused = u64::from(outcome.rows).saturating_sub(accepted);
                gatherer.counts.count_discarded(Discard::Refused, refused);
                self.newest = self.newest.max(number);
            }
            Reply::Unavailable(Unavailable::NotWritten | Unavailable::Overloaded) => {
                self.again.push((number, entries));
            }
            Reply::Unavailable(Unavailable::Poisoned) => return Err(LinesError::Poisoned),
            other => return Err(LinesError::Unexpected(format!("{other:?}"))),
        }
        if self.again.is_empty() && (self.posted.is_empty() || !self.is_again) {
            self.is_again = false;
            self.pause = PAUSE_MIN;
            self.shared.durable.send_replace(self.newest);
        }
        Ok(())
    }

    /// All that were under way are settled: those that were not written go again, in their order.
    async fn post_again(&mut self) -> Result<(), LinesError> {
        if *self.shared.phase.borrow() != Phase::Reading {
            let rows = self.again.iter().map(|(_, entries)| entries.amounts().len()).sum();
            return Err(LinesError::NotWritten { rows });
        }
        tokio::time::sleep(self.pause).await;
        self.pause = self.pause.saturating_mul(2).min(PAUSE_MAX);
        self.is_again = true;
        for (number, entries) in std::mem::take(&mut self.again) {
            self.post(number, entries);
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.posted.is_empty()
            && *self.shared.phase.borrow() == Phase::Ended
            && lock(&self.shared.gatherer).is_empty()
    }
}
