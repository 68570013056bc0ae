//! Buyers with the client library: several connections, many orders and returns at a time, each under its own key, sent again
//! through whichever connection there is until there is an outcome.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join, join_all};
use inventory_core::{Order, OrderKey, OrderLine, Receipt, Return, Time, Units, Upc};
use inventory_net::client::{AnyReceipt, Client, ClientError, ClientOptions};
use inventory_net::clock::{Clock as _, SystemClock};
use inventory_net::transport::Address;
use tokio::sync::watch;

use crate::outcomes::{Outcome, Outcomes};
use crate::random::Random;

/// Orders that a buyer has under way at once.
const AT_ONCE: u64 = 4;
/// Longest rest between two handfuls of orders.
const REST_MAX: Duration = Duration::from_millis(12);
/// How long an order may stay without an outcome: longer than any pause between two servers.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// What a client is answered.
type Answer = Result<AnyReceipt, ClientError>;

/// What they buy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Goods {
    /// Of this there is enough for all.
    pub(crate) plenty: Upc,
    /// This is sold out before the end.
    pub(crate) scarce: Upc,
}

/// One user with two connections.
pub(crate) struct Buyer {
    user: Box<str>,
    clients: [Client; 2],
    goods: Goods,
    outcomes: Arc<Outcomes>,
    random: Random,
}

impl Buyer {
    /// Logs in twice.
    pub(crate) async fn log_in(
        address: &Address,
        user: &str,
        password: &str,
        goods: Goods,
        outcomes: Arc<Outcomes>,
        random: Random,
    ) -> Self {
        let connected = join(connect(address), connect(address)).await;
        let clients = [connected.0, connected.1];
        for client in &clients {
            client.log_in(user, password).await.unwrap();
        }
        Self { user: user.into(), clients, goods, outcomes, random }
    }

    /// Buys until it is told to stop, then until every order has its outcome.
    pub(crate) async fn run(mut self, stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let orders: Vec<(Order, Manner)> =
                (0..=self.random.below(AT_ONCE)).map(|_| (self.order(), self.manner())).collect();
            join_all(orders.iter().map(|(order, manner)| self.buy(order, *manner))).await;
            if self.random.below(3) == 0
                && let Some(bought) = self.outcomes.any_bought_by(&self.user, &mut self.random)
            {
                let (wanted, manner) = (self.regret(&bought), self.manner());
                self.settle(wanted.key, manner, async |client| {
                    client.return_units(&wanted).await.map(Box::new).map(AnyReceipt::Return)
                })
                .await;
            }
            if let Some(key) = self.outcomes.any(&mut self.random) {
                self.ask_again(key).await;
            }
            tokio::time::sleep(self.random.up_to(REST_MAX)).await;
        }
    }

    fn order(&mut self) -> Order {
        let key = new_key(SystemClock.now(), &mut self.random);
        let line = |upc, units| OrderLine::new(upc, Units::new(units).unwrap());
        let Goods { plenty, scarce } = self.goods;
        let units = 1 + self.random.below(3);
        let lines = match self.random.below(10) {
            0 => vec![line(scarce, units)],
            // All or nothing: the one is refused because of the other.
            1 => vec![line(plenty, units), line(scarce, 1)],
            2 => vec![line(plenty, 1), line(plenty, units)],
            _ => vec![line(plenty, units)],
        };
        let charge = (self.random.below(3) == 0).then(|| self.user.clone());
        Order { key, lines: lines.into(), charge }
    }

    /// Gives back all of an order that has not come back, or one unit of each line, whether there is one left or not.
    fn regret(&mut self, bought: &Receipt) -> Return {
        let key = new_key(SystemClock.now(), &mut self.random);
        let one = |line: &OrderLine| OrderLine { units: Units::new(1).unwrap(), ..*line };
        let lines =
            if self.random.below(2) == 0 { Box::default() } else { bought.lines.iter().map(one).collect() };
        Return { key, order: bought.key, lines, evidence: None }
    }

    fn manner(&mut self) -> Manner {
        match self.random.below(8) {
            0 => Manner::Twice,
            n if n % 2 == 0 => Manner::Through(0),
            _ => Manner::Through(1),
        }
    }

    async fn buy(&self, order: &Order, manner: Manner) {
        let ask = async |client: &Client| client.purchase(order).await.map(AnyReceipt::Order);
        self.settle(order.key, manner, ask).await;
    }

    /// Asks until there is an outcome.
    async fn settle(&self, key: OrderKey, manner: Manner, ask: impl AsyncFn(&Client) -> Answer) {
        match manner {
            Manner::Through(first) => self.settle_through(key, first, &ask).await,
            Manner::Twice => {
                join(self.settle_through(key, 0, &ask), self.settle_through(key, 1, &ask)).await;
            }
        }
    }

    async fn settle_through(&self, key: OrderKey, first: usize, ask: &impl AsyncFn(&Client) -> Answer) {
        let decided = async {
            for client in self.clients.iter().cycle().skip(first) {
                if let Some(outcome) = Outcome::of(ask(client).await) {
                    return self.outcomes.told(key, outcome);
                }
            }
        };
        let in_time = tokio::time::timeout(PATIENCE, decided).await;
        assert!(in_time.is_ok(), "{key} has no outcome after {PATIENCE:?}");
    }

    /// Asks what became of an order, its own or another's: whoever may know is told the same again.
    async fn ask_again(&self, key: OrderKey) {
        use inventory_core::Refusal::UnknownOrder;
        use inventory_net::client::ClientError::Refused;
        match self.clients[0].any_receipt(key).await {
            // Another buyer's.
            Err(Refused(UnknownOrder)) => {}
            answer => {
                if let Some(outcome) = Outcome::of(answer) {
                    self.outcomes.told(key, outcome);
                }
            }
        }
    }
}

/// How an order is sent.
#[derive(Clone, Copy, Debug)]
enum Manner {
    /// Through one connection first.
    Through(usize),
    /// Through both at the same time.
    Twice,
}

pub(crate) fn new_key(now: Time, random: &mut Random) -> OrderKey {
    OrderKey::from_parts(now, u128::from(random.next()) << 64 | u128::from(random.next()))
}

/// Connects; the server may be on its way.
pub(crate) async fn connect(address: &Address) -> Client {
    // Short, so that an order soon goes another way.
    let options = ClientOptions { retry_for: Duration::from_secs(2), ..ClientOptions::default() };
    Client::connect(address, options).await.unwrap()
}
