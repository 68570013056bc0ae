//! Batches to the service: some at a time, in their order. What was not written for certain is posted again, under the same
//! key; what may or may not have been written ends everything.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt as _, StreamExt as _};
use inventory_core::{Actor, Answer, BulkEntries, Command, OrderKey, Reply, Unavailable};

use super::{LinesError, Phase, Shared, lock};

/// Batches that may be under way at once.
pub(super) const POSTED_MAX: usize = 16;
/// How long to wait before batches that were not written are posted again: doubled each time, up to a second.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A batch with its number, and what became of it.
type Posted = (u64, BulkEntries, Reply);

/// Posts what is gathered until there is nothing left and nothing more will come.
pub(super) async fn run(shared: Arc<Shared>) -> Result<(), LinesError> {
    Poster::new(shared).run().await
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
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            posted: FuturesOrdered::new(),
            again: Vec::new(),
            is_again: false,
            newest: 0,
            pause: PAUSE_MIN,
        }
    }

    async fn run(&mut self) -> Result<(), LinesError> {
        loop {
            self.settle_answered()?;
            if self.posted.is_empty() && !self.again.is_empty() {
                self.post_again().await?;
            }
            self.post_gathered()?;
            if self.is_done() {
                return Ok(());
            }
            tokio::select! {
                biased;
                Some(posted) = self.posted.next() => self.settle(posted)?,
                () = self.shared.work.notified() => {}
            }
        }
    }

    /// What was answered by now comes before anything newer is posted: if it was not written, that has to wait.
    fn settle_answered(&mut self) -> Result<(), LinesError> {
        while let Some(Some(posted)) = self.posted.next().now_or_never() {
            self.settle(posted)?;
        }
        Ok(())
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

    /// Makes the request at once, not when its reply is asked for: so batches are posted in the order of these calls.
    fn post(&mut self, number: u64, entries: BulkEntries) {
        let reply = self.shared.service.request(Actor::System, Command::PostBulk(entries.clone()).into());
        self.posted.push_back(Box::pin(async move { (number, entries, reply.await) }));
    }

    fn settle(&mut self, (number, entries, reply): Posted) -> Result<(), LinesError> {
        match reply {
            Reply::Answered(Answer::BulkPostingReceipt(receipt)) => {
                let outcome = receipt.outcome;
                lock(&self.shared.gatherer).count_decided(outcome.rows, outcome.accepted_rows);
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
            return Err(LinesError::NotWritten(self.shared.counts()));
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

#[cfg(test)]
mod tests {
    use inventory_core::Time;
    use inventory_core::journal::Volatile;

    use super::*;
    use crate::service::{Service, ServiceOptions};

    #[tokio::test]
    async fn lines_that_are_still_gathered_count_among_those_that_are_not_written() {
        let service = Service::open(Arc::new(Volatile::new()), ServiceOptions::default()).await.unwrap();
        let mut poster = Poster::new(Arc::new(Shared::new(service)));
        let put = |lines| {
            let mut gatherer = lock(&poster.shared.gatherer);
            (0..lines).for_each(|_| gatherer.put(Ok((b"a", 1))));
        };
        put(7);
        assert!(lock(&poster.shared.gatherer).take(true).is_some());
        lock(&poster.shared.gatherer).count_decided(7, 7);
        put(2);
        let (number, columns) = lock(&poster.shared.gatherer).take(true).unwrap();
        put(10_000);
        poster.again.push((number, columns.entries(OrderKey::from_parts(Time::ZERO, 1)).unwrap()));
        poster.shared.phase.send_replace(Phase::Cut);
        let Err(LinesError::NotWritten(counts)) = poster.post_again().await else { panic!() };
        assert_eq!((counts.waiting, counts.accepted), (10_002, 7));
    }
}
