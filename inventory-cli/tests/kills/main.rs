//! The real server under load, killed at random moments, in recovery and while it drains too; the real client as well.
//! Nothing that was acknowledged is lost, nothing is sold twice, every order has one outcome.
//!
//! `INVENTORY_KILLS` says how often the server is killed (100 by default; `scripts/kills 2000` for a long run),
//! `INVENTORY_KILLS_SEED` repeats the choices of an earlier run. The machine's own timing is not repeated.
//!
//! A killed process leaves its written bytes with the system. What a loss of power leaves is for the tests of the store.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod audit;
mod audited;
mod buyers;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "shared with the other tests of the command, each uses its part")]
mod harness;
mod outcomes;
mod poster;
mod random;
mod sabotage;
mod shoppers;
mod victim;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use audit::Ledger;
use buyers::{Buyer, Goods, connect};
use futures_util::StreamExt as _;
use futures_util::future::{join, join_all};
use futures_util::stream;
use harness::Place;
use inventory_core::{Entry, LocationId, Money, OrderKey, Posting, Role, Units, Upc};
use inventory_net::clock::{Clock as _, SystemClock};
use inventory_net::message::Token;
use inventory_net::transport::Address;
use outcomes::{Outcome, Outcomes};
use poster::{Posted, Poster};
use random::Random;
use sabotage::Sabotage;
use shoppers::{Shopper, Shopping};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use victim::Victim;

const BUYERS: usize = 5;
const SHOPPERS: usize = 2;
const PASSWORD: &str = "kills-secret";
const PLENTY_CODE: u64 = 1;
const PLENTY: u64 = 10_000_000;
const SCARCE: u64 = 400;
const PRICE: i64 = 7;
const ALLOWANCE: i64 = 100_000;
/// How many of the latest outcomes are looked at after each restart.
const LOOK_AT: usize = 50;
/// Receipts asked for at once in the end.
const ASK_AT_ONCE: usize = 256;

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_sold_twice_whenever_processes_are_killed() {
    kill(from_env("INVENTORY_KILLS").unwrap_or(100), None);
}

#[test]
fn a_server_that_acknowledges_before_it_writes_is_found_out() {
    // Which of the checks is first depends on what was written last, and on who asks first.
    let checks = [
        "an answer that no kill explains",
        "is not told as before",
        "two outcomes of order",
        "the session that was acknowledged",
        "a client has failed",
    ];
    is_found_out(100, Sabotage::LoseLastWrite, &checks);
}

#[test]
fn a_server_that_sells_unasked_is_found_out() {
    is_found_out(2, Sabotage::SellUnasked(Upc::new(PLENTY_CODE).unwrap()), &["sold and receipts"]);
}

/// A run with this defect fails by one of these checks, within so many kills.
fn is_found_out(kills: u64, sabotage: Sabotage, checks: &[&str]) {
    let panic = std::panic::catch_unwind(|| kill(kills, Some(sabotage)));
    let panic = panic.expect_err("nobody noticed");
    let said = panic.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).expect("assertions have messages");
    assert!(checks.iter().any(|check| said.contains(check)), "found by another check: {said}");
}

/// Kills the server so often, under load; then nothing acknowledged is lost, and nothing was sold twice.
fn kill(kills: u64, sabotage: Option<Sabotage>) {
    let seed = from_env("INVENTORY_KILLS_SEED").unwrap_or_else(seed_of_now);
    println!("{kills} kills; INVENTORY_KILLS_SEED={seed} makes these choices again");
    let mut random = Random::new(seed);
    let place = Place::new();
    let address: Address = place.socket().parse().unwrap();
    let mut victim = Victim::start(&place, random.split(), sabotage);
    let runtime = runtime();
    let (shop, admin) = runtime.block_on(Shop::open(&address));

    let (outcomes, posted) = (Arc::new(Outcomes::default()), Posted::default());
    let began = Instant::now();
    let shoppers: Vec<Shopper> = shop.shoppers.iter().map(|upc| shopper(&place, *upc, &mut random)).collect();
    let load = Load::start(&address, &shop, &admin, &outcomes, &posted, shoppers, &mut random);
    while victim.kills.total() < kills {
        let acknowledged = outcomes.latest(LOOK_AT);
        victim.kill_and_restart();
        runtime.block_on(are_told_again(&address, &admin, &acknowledged));
        load.is_alive();
    }
    let (shoppers, shopping) = load.stop();
    let took = began.elapsed();

    runtime.block_on(are_told_again(&address, &admin, &outcomes.latest(usize::MAX)));
    let held: Vec<u64> = shoppers.iter().map(Shopper::held_at_last).collect();
    let on_hand = runtime.block_on(on_hand(&address, &admin));
    let balances = runtime.block_on(balances(&address, &admin));
    victim.kill_at_last();
    let ledger = runtime.block_on(Ledger::read(&place.data()));
    assert_eq!(*ledger.on_hand(), on_hand, "the server's levels are the sum of its journal");
    assert_eq!(*ledger.balances(), balances, "the server's balances are the sum of its journal");
    buyers_have_what_they_were_told(&ledger, &outcomes, shop.goods, &shop.shoppers);
    balances_are_what_was_told(&ledger, &outcomes, &posted, &shop.allowances);
    for ((shopper, upc), (held, shopping)) in
        shoppers.iter().zip(&shop.shoppers).zip(held.iter().zip(&shopping))
    {
        assert_eq!(*held, ledger.sold(*upc), "{}'s local inventory is what was sold", shopper.user);
        assert_eq!(*held, ledger.sold_to(&shopper.user, *upc));
        assert!(
            (shopping.held_at_least()..=shopping.held_at_most()).contains(held),
            "{held} of {shopping:?}"
        );
    }
    let client_kills: u64 = shopping.iter().map(|shopping| shopping.kills).sum();
    let client_done: u64 = shopping.iter().map(|shopping| shopping.done).sum();
    let client_returns: u64 = shopping.iter().map(|shopping| shopping.returns).sum();
    println!(
        "{:?} and {client_kills} of clients in {took:.1?}: {} outcomes told, {client_done} purchases and \
         {client_returns} returns of the command, {} outcomes in the journal, all as told",
        victim.kills,
        outcomes.len(),
        ledger.outcomes.len()
    );
    assert!(outcomes.len() > usize::try_from(kills).unwrap(), "there was no load to speak of");
}

/// Every outcome that was told is in the journal, at the version that was told; nothing else was sold or came back.
fn buyers_have_what_they_were_told(ledger: &Ledger, outcomes: &Outcomes, goods: Goods, of_shoppers: &[Upc]) {
    let told = outcomes.all();
    let (mut sold, mut back) = (BTreeMap::<Upc, u64>::new(), BTreeMap::<Upc, u64>::new());
    let mut versions = BTreeSet::new();
    for (key, outcome) in &told {
        let recorded = ledger.outcomes.get(key).unwrap_or_else(|| panic!("order {key} is lost"));
        match outcome {
            Outcome::Bought(receipt) => {
                assert_eq!((receipt.version, &*receipt.user), (recorded.version, &*recorded.user), "{key}");
                assert!(versions.insert(receipt.version), "two receipts of version {}", receipt.version);
                let lines: BTreeMap<Upc, u64> =
                    receipt.lines.iter().map(|line| (line.upc, line.units.get())).collect();
                assert_eq!(recorded.bought.as_ref(), Some(&lines), "{key}");
                let charged = receipt.charged.as_ref().zip(receipt.total);
                let charged = charged.map(|(account, total)| ((**account).into(), total.minor()));
                assert_eq!(recorded.charged, charged, "{key}");
                for (upc, units) in lines {
                    *sold.entry(upc).or_default() += units;
                }
            }
            Outcome::Returned(receipt) => {
                assert_eq!((receipt.version, &*receipt.user), (recorded.version, &*recorded.user), "{key}");
                assert!(versions.insert(receipt.version), "two receipts of version {}", receipt.version);
                let lines: BTreeMap<Upc, u64> =
                    receipt.lines.iter().map(|line| (line.upc, line.units.get())).collect();
                let refund = receipt.refund.as_ref();
                let refund = refund.map(|refund| ((*refund.account).into(), refund.amount.minor()));
                assert_eq!(recorded.charged, refund, "{key}");
                assert_eq!(recorded.returned.as_ref(), Some(&(receipt.order, lines.clone())), "{key}");
                for (upc, units) in lines {
                    *back.entry(upc).or_default() += units;
                }
            }
            Outcome::Refused(_) => {
                assert_eq!((&recorded.bought, &recorded.returned), (&None, &None), "{key}");
            }
        }
    }
    for upc in [goods.plenty, goods.scarce] {
        let told = [&sold, &back].map(|units| units.get(&upc).copied().unwrap_or_default());
        assert_eq!(ledger.sold(upc) + told[1], told[0], "{upc}: sold and receipts");
    }
    // The buyers had asked until every order had its outcome: the rest are the shoppers' orders.
    let others = ledger.outcomes.iter().filter(|(key, _)| !told.contains_key(key));
    for (key, recorded) in others {
        let returned = recorded.returned.as_ref().map(|(_, lines)| lines);
        let bought = recorded.bought.as_ref().or(returned).expect("shoppers are refused nothing");
        assert!(
            bought.keys().all(|upc| of_shoppers.contains(upc)),
            "order {key} was never told: {recorded:?}"
        );
    }
}

/// Each account holds what clients were told: its allowance and the entries posted to it, less what it was charged.
fn balances_are_what_was_told(
    ledger: &Ledger,
    outcomes: &Outcomes,
    posted: &Posted,
    allowances: &BTreeMap<OrderKey, Box<str>>,
) {
    let posted = posted.lock().unwrap();
    let mut sums: BTreeMap<Box<str>, i64> = BTreeMap::new();
    for account in allowances.values() {
        *sums.entry(account.clone()).or_default() += ALLOWANCE;
    }
    for (key, told) in &*posted {
        assert_eq!(ledger.posted.get(key), Some(told), "posting {key} is not as it was told");
        for (account, minor) in &told.1 {
            *sums.entry(account.clone()).or_default() += minor;
        }
    }
    let mut refunds = 0;
    for outcome in outcomes.all().values() {
        let (account, minor) = match outcome {
            Outcome::Bought(receipt) => match receipt.charged.as_ref().zip(receipt.total) {
                Some((account, total)) => (account, -total.minor()),
                None => continue,
            },
            Outcome::Returned(receipt) => match &receipt.refund {
                Some(refund) => (&refund.account, refund.amount.minor()),
                None => continue,
            },
            Outcome::Refused(_) => continue,
        };
        refunds += u64::from(minor > 0);
        *sums.entry((**account).into()).or_default() += minor;
    }
    assert_eq!(*ledger.balances(), sums, "balances and what was told");
    let others = ledger.posted.keys().filter(|key| !posted.contains_key(*key));
    assert!(others.eq(allowances.keys()), "an entry was posted that nobody was told");
    assert!(!posted.is_empty(), "nobody posted");
    println!("{} postings and {refunds} refunds told, all in the journal as told", posted.len());
}

/// The server tells again what it has told, after however many kills.
async fn are_told_again(address: &Address, admin: &Token, acknowledged: &[(OrderKey, Outcome)]) {
    let client = connect(address).await;
    client.resume(admin).await.expect("the session that was acknowledged is still there");
    let client = &client;
    stream::iter(acknowledged)
        .for_each_concurrent(ASK_AT_ONCE, async |(key, outcome)| {
            let again = Outcome::of(client.any_receipt(*key).await);
            assert_eq!(again.as_ref(), Some(outcome), "order {key} is not told as before");
        })
        .await;
    client.close().await;
}

async fn on_hand(address: &Address, admin: &Token) -> BTreeMap<Upc, u64> {
    let client = connect(address).await;
    client.resume(admin).await.unwrap();
    let levels = client.all_levels().await.unwrap();
    levels.iter().map(|level| (level.upc, level.on_hand.get())).collect()
}

async fn balances(address: &Address, admin: &Token) -> BTreeMap<Box<str>, i64> {
    let client = connect(address).await;
    client.resume(admin).await.unwrap();
    let page = client.balances(None, None).await.unwrap();
    assert!(page.next.is_none(), "there are few accounts");
    page.balances.iter().map(|row| ((*row.account).into(), row.balance.minor())).collect()
}

/// What is sold.
struct Shop {
    goods: Goods,
    /// One item for each shopper.
    shoppers: Vec<Upc>,
    /// The postings that give each buyer's account its first money.
    allowances: BTreeMap<OrderKey, Box<str>>,
}

impl Shop {
    /// Stocks the shop and adds its users; gives the administrator's session too.
    async fn open(address: &Address) -> (Self, Token) {
        let client = connect(address).await;
        let admin = client.log_in("admin", "admin-demo").await.unwrap().token;
        let stock = async |code: u64, units: u64, price: Option<i64>| {
            let upc = Upc::new(code).unwrap();
            client.define_item(upc, "Goods", price.map(Money::from_minor)).await.unwrap();
            client.set_initial_level(upc, LocationId::MAIN, Units::new(units).unwrap()).await.unwrap();
            upc
        };
        let goods = Goods {
            plenty: stock(PLENTY_CODE, PLENTY, Some(PRICE)).await,
            scarce: stock(2, SCARCE, Some(PRICE)).await,
        };
        let mut shoppers = Vec::new();
        for code in (100..).take(SHOPPERS) {
            let upc = stock(code, PLENTY, None).await;
            client.add_user(&shopper_name(upc), PASSWORD, Role::Buyer).await.unwrap();
            shoppers.push(upc);
        }
        for number in 0..BUYERS {
            client.add_user(&buyer_name(number), PASSWORD, Role::Buyer).await.unwrap();
        }
        let mut allowances = BTreeMap::new();
        for number in 0..BUYERS {
            let account: Box<str> = buyer_name(number).into();
            let key = OrderKey::from_parts(SystemClock.now(), (number as u128) << 8);
            let entry = Entry::Credit { account: account.clone(), amount: Money::from_minor(ALLOWANCE) };
            client.post(&Posting { key, entry }).await.unwrap();
            allowances.insert(key, account);
        }
        (Self { goods, shoppers, allowances }, admin)
    }
}

fn shopper(place: &Place, upc: Upc, random: &mut Random) -> Shopper {
    let user = shopper_name(upc);
    let client = place.client(&user);
    client.run_with(PASSWORD, &["login", &user]).exits(0);
    Shopper { client, user, upc: upc.to_string(), random: random.split() }
}

fn shopper_name(upc: Upc) -> String {
    format!("shopper-{upc}")
}

fn buyer_name(number: usize) -> String {
    format!("buyer-{number}")
}

/// Buyers in one thread, shoppers in one each.
struct Load {
    stop_buyers: watch::Sender<bool>,
    stop_shoppers: Arc<AtomicBool>,
    buyers: thread::JoinHandle<()>,
    shoppers: Vec<thread::JoinHandle<(Shopper, Shopping)>>,
}

impl Load {
    /// Starts to buy, once everybody is logged in.
    fn start(
        address: &Address,
        shop: &Shop,
        admin: &Token,
        outcomes: &Arc<Outcomes>,
        told: &Posted,
        shoppers: Vec<Shopper>,
        random: &mut Random,
    ) -> Self {
        let (stop_buyers, stopped) = watch::channel(false);
        let runtime = runtime();
        let buyers: Vec<Buyer> = runtime.block_on(join_all((0..BUYERS).map(|number| {
            let (outcomes, random, user) = (Arc::clone(outcomes), random.split(), buyer_name(number));
            async move { Buyer::log_in(address, &user, PASSWORD, shop.goods, outcomes, random).await }
        })));
        let accounts = std::iter::once("till".into()).chain(shop.allowances.values().cloned()).collect();
        let administrator = Poster::start(address, admin, accounts, Arc::clone(told), random.split());
        let administrator = runtime.block_on(administrator);
        let buyers = thread::spawn(move || {
            let posting = administrator.run(stopped.clone());
            let buying = join_all(buyers.into_iter().map(|buyer| buyer.run(stopped.clone())));
            runtime.block_on(join(posting, buying));
        });
        let stop_shoppers = Arc::new(AtomicBool::new(false));
        let shop = |mut shopper: Shopper| {
            let ended = Arc::clone(&stop_shoppers);
            thread::spawn(move || {
                let shopping = shopper.run(&ended);
                (shopper, shopping)
            })
        };
        let shoppers = shoppers.into_iter().map(shop).collect();
        Self { stop_buyers, stop_shoppers, buyers, shoppers }
    }

    /// A client that has panicked ends the test at once, not at the end.
    #[track_caller]
    fn is_alive(&self) {
        let ended = self.buyers.is_finished() || self.shoppers.iter().any(thread::JoinHandle::is_finished);
        assert!(!ended, "a client has failed: see above");
    }

    fn stop(self) -> (Vec<Shopper>, Vec<Shopping>) {
        self.stop_buyers.send_replace(true);
        self.stop_shoppers.store(true, Ordering::Relaxed);
        self.buyers.join().unwrap();
        self.shoppers.into_iter().map(|shopper| shopper.join().unwrap()).unzip()
    }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn seed_of_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    u64::try_from(since.as_nanos() & u128::from(u64::MAX)).unwrap()
}
