//! An administrator who posts entries, one by one and in batches, each under its own key, again and again until it is told
//! that it was posted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use inventory_core::{BulkEntries, Entry, Money, NameColumn, OrderKey, Posting, Version};
use inventory_net::client::Client;
use inventory_net::clock::{Clock as _, SystemClock};
use inventory_net::message::Token;
use inventory_net::transport::Address;
use tokio::sync::watch;

use crate::buyers::{PATIENCE, connect, new_key};
use crate::outcomes::unless_killed;
use crate::random::Random;

/// Longest rest between two postings.
const REST_MAX: Duration = Duration::from_millis(12);

/// What was told of each posting: its version, and what it changed.
pub(crate) type Posted = Arc<Mutex<BTreeMap<OrderKey, (Version, BTreeMap<Box<str>, i64>)>>>;

pub(crate) struct Poster {
    client: Client,
    accounts: Vec<Box<str>>,
    posted: Posted,
    random: Random,
}

impl Poster {
    pub(crate) async fn start(
        address: &Address,
        admin: &Token,
        accounts: Vec<Box<str>>,
        posted: Posted,
        random: Random,
    ) -> Self {
        let client = connect(address).await;
        client.resume(admin).await.unwrap();
        Self { client, accounts, posted, random }
    }

    /// Posts until it is told to stop.
    pub(crate) async fn run(mut self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let key = new_key(SystemClock.now(), &mut self.random);
            let in_time = tokio::time::timeout(PATIENCE, self.post(key)).await;
            assert!(in_time.is_ok(), "posting {key} has no outcome after {PATIENCE:?}");
            tokio::time::sleep(self.random.up_to(REST_MAX)).await;
        }
    }

    async fn post(&mut self, key: OrderKey) {
        let account = |random: &mut Random, among: &[Box<str>]| {
            among[usize::try_from(random.below(among.len() as u64)).unwrap()].clone()
        };
        let (from, to) = (account(&mut self.random, &self.accounts[1..]), self.accounts[0].clone());
        let minor = i64::try_from(self.random.below(1_000)).unwrap();
        let amount = Money::from_minor(minor);
        let (version, changes) = match self.random.below(4) {
            0 => {
                let mut names = NameColumn::default();
                let rows = [(&from, minor), (&to, -3), (&from, -1)];
                assert!(rows.iter().all(|(name, _)| names.push(name.as_bytes())));
                let batch = BulkEntries::new(key, names, rows.map(|(_, minor)| minor)).unwrap();
                let receipt = until_told(async || self.client.post_bulk(&batch).await).await;
                assert_eq!(receipt.outcome.accepted_rows, 3, "there is no floor");
                (receipt.version, rows.map(|(name, minor)| (name.clone(), minor)).to_vec())
            }
            kind => {
                let (entry, changes) = match kind {
                    1 => (Entry::Credit { account: from.clone(), amount }, vec![(from, minor)]),
                    2 => (Entry::Debit { account: from.clone(), amount }, vec![(from, -minor)]),
                    _ => {
                        let entry = Entry::Transfer { from: from.clone(), to: to.clone(), amount };
                        (entry, vec![(from, -minor), (to, minor)])
                    }
                };
                let posting = Posting { key, entry };
                let receipt = until_told(async || self.client.post(&posting).await).await;
                (receipt.version, changes)
            }
        };
        let mut sums: BTreeMap<Box<str>, i64> = BTreeMap::new();
        for (name, minor) in changes {
            *sums.entry(name).or_default() += minor;
        }
        self.posted.lock().unwrap().insert(key, (version, sums));
    }
}

async fn until_told<T>(ask: impl AsyncFn() -> Result<T, inventory_net::client::ClientError>) -> T {
    loop {
        if let Some(told) = unless_killed(ask().await) {
            return told;
        }
    }
}
