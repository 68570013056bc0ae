//! A user of the client library: buys, alone and in batches, several at a time, looks, loses patience, comes back over another
//! connection, and writes down all that it was told.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use inventory_core::{
    BulkOrder, BulkReceipt, LevelRow, Order, OrderKey, OrderLine, Receipt, Refusal, Version,
};
use inventory_net::client::{Client, ClientError, ClientOptions};
use inventory_net::message::Token;
use inventory_net::transport::Address;
use tokio::time::sleep;

use super::Mistake;
use super::common::{batch, units, upc};
use super::journal::Storage;
use super::world::WorldClock;

/// Items there are, and one that there is not.
pub(super) const ITEMS: u64 = 4;

/// What is bought under one key.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    Order(Order),
    Batch(BulkOrder),
}

impl Wanted {
    pub(super) fn key(&self) -> OrderKey {
        match self {
            Self::Order(order) => order.key,
            Self::Batch(order) => order.key(),
        }
    }

    fn with_key(self, key: OrderKey) -> Self {
        match self {
            Self::Order(order) => Self::Order(Order { key, ..order }),
            Self::Batch(order) => {
                Self::Batch(BulkOrder::new(key, order.location(), order.upcs(), order.units()).unwrap())
            }
        }
    }
}

/// What the client library said became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Receipt(Receipt),
    BatchReceipt(BulkReceipt),
    Refused(Refusal),
}

/// An order, and what its shopper knows of it.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) user: String,
    pub(super) wanted: Wanted,
    /// When, in the order of all questions and answers.
    pub(super) since: u64,
    /// Whether an attempt may have been carried out.
    pub(super) unclear: bool,
    /// When it was answered first, and how.
    pub(super) answered: Option<(u64, Outcome)>,
}

/// Levels as a shopper saw them.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) asked: u64,
    /// Where the journal ended when the answer came.
    pub(super) tip: Version,
    pub(super) levels: Vec<LevelRow>,
}

/// What all shoppers share.
pub(super) struct Street {
    pub(super) entrance: Address,
    pub(super) clock: Arc<WorldClock>,
    pub(super) storage: Arc<Storage>,
    pub(super) asked: Mutex<Vec<Asked>>,
    pub(super) looks: Mutex<Vec<Look>>,
    pub(super) violations: Mutex<Vec<String>>,
    pub(super) moment: AtomicU64,
}

impl Street {
    fn moment(&self) -> u64 {
        self.moment.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn violation(&self, what: String) {
        self.violations.lock().unwrap().push(what);
    }
}

pub(super) struct Shopper {
    pub(super) street: Arc<Street>,
    pub(super) user: String,
    pub(super) token: Token,
    pub(super) rng: Rng,
}

impl Shopper {
    /// Shops while things go wrong.
    pub(super) async fn shop(mut self, rounds: usize) -> Self {
        let mut client = None;
        for _ in 0..rounds {
            if self.rng.u8(..4) == 0 {
                client = None;
            }
            let Some(connected) = self.connected(client.take()).await else { continue };
            let count = self.rng.usize(1..=3);
            let wanted: Vec<usize> = (0..count).map(|_| self.want()).collect();
            let looks = self.rng.bool();
            let asked = wanted.iter().map(|place| self.ask(&connected, *place));
            let (unsettled, ()) = tokio::join!(join_all(asked), self.look(&connected, looks));
            client = Some(connected);
            for place in unsettled.into_iter().flatten() {
                self.insist(place).await;
            }
            sleep(Duration::from_millis(self.rng.u64(0..200))).await;
        }
        self
    }

    /// Asks once more for every order that may have been carried out, and for every outcome that it knows.
    pub(super) async fn settle(mut self) {
        let asked = self.street.asked.lock().unwrap().clone();
        for (place, order) in asked.iter().enumerate() {
            if order.user != self.user || (order.answered.is_none() && !order.unclear) {
                continue;
            }
            loop {
                let client = self.connected(None).await;
                if let Some(client) = client
                    && self.ask(&client, place).await.is_none()
                {
                    break;
                }
                sleep(Duration::from_millis(100)).await;
            }
        }
    }

    async fn connected(&mut self, client: Option<Client>) -> Option<Client> {
        if client.is_some() {
            return client;
        }
        // Half of them leave it to the shopper to ask again.
        let retry_for_ms = if self.rng.bool() { 0 } else { self.rng.u64(0..3_000) };
        let options = ClientOptions {
            retry_for: Duration::from_millis(retry_for_ms),
            reply_timeout: Some(Duration::from_millis(self.rng.u64(200..2_000))),
            connect_timeout: Duration::from_secs(1),
            ..ClientOptions::default()
        };
        let client = Client::connect(&self.street.entrance, options).await.ok()?;
        match client.resume(&self.token).await {
            Ok(account) if *account.user == *self.user => Some(client),
            Ok(account) => {
                self.street.violation(format!("{} resumed the session of {}", self.user, account.user));
                None
            }
            Err(ClientError::Refused(refusal)) => {
                self.street.violation(format!("the session of {} is gone: {refusal:?}", self.user));
                None
            }
            Err(_) => None,
        }
    }

    /// Thinks of something to buy; gives its place among all orders.
    fn want(&mut self) -> usize {
        let key = self.street.clock.key(&mut self.rng);
        let mut row = || (self.rng.u64(1..=ITEMS + 1).min(self.rng.u64(1..=ITEMS + 1)), self.rng.u32(0..6));
        let rows: Vec<(u64, u32)> = (0..3).map(|_| row()).collect();
        let wanted = if self.rng.u8(..3) == 0 {
            let rows: Vec<_> = rows.iter().copied().cycle().take(self.rng.usize(1..40)).collect();
            Wanted::Batch(batch(key, &rows))
        } else {
            let rows = &rows[..self.rng.usize(1..=3)];
            let lines = rows
                .iter()
                .map(|(item, count)| OrderLine::new(upc(*item), units(u64::from(*count))))
                .collect();
            Wanted::Order(Order { key, lines, charge: None })
        };
        let (user, since) = (self.user.clone(), self.street.moment());
        let mut all = self.street.asked.lock().unwrap();
        all.push(Asked { user, wanted, since, unclear: false, answered: None });
        all.len() - 1
    }

    /// Asks for an order that was not settled once or twice more, or gives up.
    async fn insist(&mut self, place: usize) {
        for _ in 0..self.rng.u8(..3) {
            sleep(Duration::from_millis(self.rng.u64(0..2_000))).await;
            let Some(client) = self.connected(None).await else { continue };
            if self.ask(&client, place).await.is_none() {
                return;
            }
        }
    }

    /// Asks for an order once; gives it back if its outcome is still not known.
    async fn ask(&self, client: &Client, place: usize) -> Option<usize> {
        let wanted = self.street.asked.lock().unwrap()[place].wanted.clone();
        let outcome = match &wanted {
            Wanted::Order(order) => client.purchase(order).await.map(Outcome::Receipt),
            Wanted::Batch(order) => client.purchase_bulk(order).await.map(Outcome::BatchReceipt),
        };
        match outcome {
            Ok(outcome) => self.note(place, outcome),
            Err(ClientError::Refused(refusal)) => self.note(place, Outcome::Refused(refusal)),
            // Nothing was done, this time.
            Err(
                ClientError::Unreachable { .. }
                | ClientError::Unavailable(
                    inventory_net::message::Unavailable::Overloaded
                    | inventory_net::message::Unavailable::NotWritten
                    | inventory_net::message::Unavailable::Draining,
                ),
            ) => return Some(place),
            Err(ClientError::OutcomeUnknown { .. } | ClientError::Unavailable(_)) => {
                let order = &mut self.street.asked.lock().unwrap()[place];
                order.unclear = true;
                if self.street.storage.mistake == Some(Mistake::AsksUnderAnotherKey) {
                    let key = self.street.clock.key(&mut Rng::with_seed(place as u64));
                    order.wanted = wanted.with_key(key);
                }
                return Some(place);
            }
            Err(other) => self.street.violation(format!("{:?}: {other}", wanted.key())),
        }
        None
    }

    fn note(&self, place: usize, outcome: Outcome) {
        let moment = self.street.moment();
        let order = &mut self.street.asked.lock().unwrap()[place];
        match &order.answered {
            None => order.answered = Some((moment, outcome)),
            Some((_, first)) if *first == outcome => {}
            Some((_, first)) => {
                let key = order.wanted.key();
                self.street.violation(format!("two answers to {key}: {first:?}, then {outcome:?}"));
            }
        }
    }

    async fn look(&self, client: &Client, wanted: bool) {
        if !wanted {
            return;
        }
        let asked = self.street.moment();
        if let Ok(page) = client.levels(None, None).await {
            let tip = self.street.storage.tip().version;
            self.street.looks.lock().unwrap().push(Look { asked, tip, levels: page.levels });
        }
    }
}
