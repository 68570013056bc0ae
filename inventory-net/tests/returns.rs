//! Returns: over the wire, and of orders that the engine no longer knows.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use common::{
    BREAD, Gate, MILK, ManualClock, Running, Scripted, add_user, batch, everything_of, on_hand, open_at,
    options, order, serve, stock, units, upc,
};
use inventory_core::journal::{Journal as _, MemoryJournal, ScanPlace};
use inventory_core::{
    Actor, Answer, Command, Entry, LocationId, Money, Order, OrderKey, OrderLine, Posting, Query, Refund,
    Refusal, Reply, Return, ReturnReceipt, Role, Shortage, Unavailable,
};
use inventory_net::client::{AnyReceipt, Client, ClientError, ClientOptions, new_order_key};
use inventory_net::service::Service;
use tokio::task::JoinHandle;

async fn user(server: &Running, name: &str) -> Client {
    let client = Client::connect(&server.address, ClientOptions::default()).await.unwrap();
    client.log_in(name, &format!("{name}-secret")).await.unwrap();
    client
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Refusal {
    match result {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("no refusal: {other:?}"),
    }
}

fn lines(rows: &[(u64, u64)]) -> Box<[OrderLine]> {
    rows.iter().map(|(item, count)| OrderLine::new(upc(*item), units(*count))).collect()
}

fn some_of(order: OrderKey, rows: &[(u64, u64)]) -> Return {
    Return { lines: lines(rows), ..everything_of(order) }
}

fn exceeds(item: u64, requested: u64, available: u64) -> Refusal {
    let (requested, available) = (units(requested), units(available));
    let shortage = Shortage { upc: upc(item), location: LocationId::MAIN, requested, available };
    Refusal::ExceedsPurchase { shortages: Box::new([shortage]) }
}

#[tokio::test]
async fn units_come_back_with_what_was_paid_for_them_and_once() {
    let server = serve("memory://returns", Arc::new(MemoryJournal::new()), options()).await;
    let (root, alice) = (user(&server, "admin").await, user(&server, "alice").await);
    let money = Money::from_minor;
    let credit = Entry::Credit { account: "alice".into(), amount: money(1_000) };
    root.post(&Posting { key: new_order_key().unwrap(), entry: credit }).await.unwrap();
    let bought = Order { charge: Some("alice".into()), ..order(new_order_key().unwrap(), MILK, 3) };
    alice.purchase(&bought).await.unwrap();
    root.define_item(upc(MILK), "Milk", Some(money(999))).await.unwrap();

    let first = some_of(bought.key, &[(MILK, 1), (MILK, 1)]);
    let receipt = alice.return_units(&first).await.unwrap();
    let refund = Refund { account: "alice".into(), amount: money(258) };
    assert_eq!((&receipt.lines[..], receipt.refund.as_ref()), (&*lines(&[(MILK, 2)]), Some(&refund)));
    assert_eq!((receipt.key, receipt.order, &*receipt.user), (first.key, bought.key, "alice"));
    assert_eq!(alice.return_units(&first).await.unwrap(), receipt);
    assert_eq!(alice.any_receipt(first.key).await.unwrap(), AnyReceipt::Return(Box::new(receipt)));
    let otherwise = Return { lines: lines(&[(MILK, 2)]), ..first };
    assert_eq!(refusal(alice.return_units(&otherwise).await), Refusal::KeyReused);

    let too_many = some_of(bought.key, &[(MILK, 2)]);
    assert_eq!(refusal(alice.return_units(&too_many).await), exceeds(MILK, 2, 1));
    assert_eq!(refusal(alice.any_receipt(too_many.key).await), exceeds(MILK, 2, 1));
    let rest = alice.return_units(&everything_of(bought.key)).await.unwrap();
    assert_eq!(rest.lines[..], *lines(&[(MILK, 1)]));
    assert_eq!(refusal(alice.return_units(&everything_of(bought.key)).await), exceeds(MILK, 3, 0));

    assert_eq!(on_hand(&server.service, MILK), 100);
    assert_eq!(alice.balance("alice").await.unwrap().balance, money(1_000));
    let page = alice.entries("alice", ScanPlace::default(), None).await.unwrap();
    let told: Vec<_> = page.entries.iter().map(|row| (&*row.reason, row.change.minor(), row.key)).collect();
    let paid_back = [("refund", 258, bought.key), ("refund", 129, bought.key)];
    assert_eq!(told[1..], [&[("purchase", -387, bought.key)][..], &paid_back].concat());
    server.stop().await;
}

#[tokio::test]
async fn nobody_returns_the_order_of_another_but_an_administrator() {
    let server = serve("memory://foreign-returns", Arc::new(MemoryJournal::new()), options()).await;
    let (root, alice, bob) =
        (user(&server, "admin").await, user(&server, "alice").await, user(&server, "bob").await);
    let bought = order(new_order_key().unwrap(), MILK, 3);
    alice.purchase(&bought).await.unwrap();
    assert_eq!(refusal(bob.return_units(&everything_of(bought.key)).await), Refusal::UnknownOrder);
    let unheard_of = everything_of(new_order_key().unwrap());
    assert_eq!(refusal(bob.return_units(&unheard_of).await), Refusal::UnknownOrder);
    let receipt = root.return_units(&some_of(bought.key, &[(MILK, 1)])).await.unwrap();
    assert_eq!((&*receipt.user, receipt.refund), ("admin", None));
    assert_eq!(refusal(root.return_units(&everything_of(receipt.key)).await), Refusal::NotReturnable);
    alice.return_units(&some_of(bought.key, &[(MILK, 2)])).await.unwrap();
    assert_eq!(on_hand(&server.service, MILK), 100);
    server.stop().await;
}

#[tokio::test]
async fn a_return_is_told_again_after_a_restart() {
    let journal = Arc::new(MemoryJournal::new());
    let server = serve("memory://returns-restarted", journal.clone(), options()).await;
    let alice = user(&server, "alice").await;
    let bought = order(new_order_key().unwrap(), MILK, 3);
    alice.purchase(&bought).await.unwrap();
    let wanted = everything_of(bought.key);
    let receipt = alice.return_units(&wanted).await.unwrap();
    server.stop().await;

    let server = serve("memory://returns-restarted", journal, options()).await;
    assert_eq!(alice.return_units(&wanted).await.unwrap(), receipt);
    assert_eq!(refusal(alice.return_units(&everything_of(bought.key)).await), exceeds(MILK, 3, 0));
    assert_eq!(on_hand(&server.service, MILK), 100);
    server.stop().await;
}

/// A service with a clock that can be moved, and what is asked of it.
struct Shop {
    clock: Arc<ManualClock>,
    service: Service,
    alice: Actor,
}

impl Shop {
    async fn open(journal: Arc<dyn inventory_core::journal::Journal>) -> Self {
        let clock = ManualClock::new();
        let service = open_at(journal, clock.clone()).await;
        stock(&service).await;
        let alice = Actor::User(add_user(&service, "alice", "", Role::Buyer).await);
        Self { clock, service, alice }
    }

    async fn buy(&self, number: u128, item: u64, count: u64) -> OrderKey {
        let order = order(self.clock.key(number), item, count);
        let key = order.key;
        let reply = self.service.call(self.alice, Command::Purchase(order)).await;
        assert!(matches!(reply, Reply::Answered(Answer::Receipt(_))), "{reply:?}");
        key
    }

    /// A return under a key of now.
    fn wanted(&self, number: u128, order: OrderKey, rows: &[(u64, u64)]) -> Return {
        Return { key: self.clock.key(number), ..some_of(order, rows) }
    }

    async fn give_back(&self, actor: Actor, wanted: Return) -> Result<ReturnReceipt, Refusal> {
        match self.service.call(actor, Command::Return(wanted)).await {
            Reply::Answered(Answer::ReturnReceipt(receipt)) => Ok(*receipt),
            Reply::Refused(refusal) => Err(refusal),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_order_that_left_the_window_comes_back_from_the_journal() {
    let shop = Shop::open(Arc::new(MemoryJournal::new())).await;
    let Shop { clock, service, alice } = &shop;
    let bob = Actor::User(add_user(service, "bob", "", Role::Buyer).await);
    let root = Actor::User(add_user(service, "root", "", Role::Administrator).await);
    let milk = shop.buy(1, MILK, 3).await;
    let (rows, never_sent) = (batch(clock.key(2), &[(BREAD, 1)]), clock.key(3));
    let rows_key = rows.key();
    service.call(*alice, Command::PurchaseBulk(rows)).await;
    let refused = clock.key(4);
    service.call(*alice, Command::Purchase(order(refused, BREAD, 9))).await;
    clock.advance_hours(7 * 24);

    let first = shop.wanted(10, milk, &[(MILK, 1)]);
    let receipt = shop.give_back(*alice, first.clone()).await.unwrap();
    assert_eq!(on_hand(service, MILK), 98);
    assert_eq!(shop.give_back(*alice, first.clone()).await.as_ref(), Ok(&receipt));
    let nothing = Err(Refusal::UnknownOrder);
    assert_eq!(shop.give_back(bob, shop.wanted(11, milk, &[])).await, nothing);
    assert_eq!(shop.give_back(*alice, shop.wanted(12, never_sent, &[])).await, nothing);
    for (number, order) in [(13, rows_key), (14, refused)] {
        let wanted = shop.wanted(number, order, &[]);
        assert_eq!(shop.give_back(*alice, wanted).await, Err(Refusal::NotReturnable));
    }
    let too_many = shop.wanted(15, milk, &[(MILK, 3)]);
    assert_eq!(shop.give_back(*alice, too_many.clone()).await, Err(exceeds(MILK, 3, 2)));

    // Both the order and its return have left the window.
    clock.advance_hours(7 * 24);
    assert_eq!(shop.give_back(*alice, first.clone()).await, Ok(receipt.clone()));
    let told = service.call(*alice, Query::Receipt { key: first.key }).await;
    assert_eq!(told, Reply::Answered(Answer::ReturnReceipt(Box::new(receipt))));
    assert_eq!(shop.give_back(*alice, too_many).await, Err(exceeds(MILK, 3, 2)));
    let otherwise = Return { lines: lines(&[(MILK, 2)]), ..first };
    assert_eq!(shop.give_back(*alice, otherwise).await, Err(Refusal::KeyReused));
    let never_sent = Return { key: OrderKey::from_parts(milk.time(), 9 << 8), ..everything_of(milk) };
    assert_eq!(shop.give_back(*alice, never_sent).await, Err(Refusal::KeyTooOld));
    shop.give_back(root, shop.wanted(16, milk, &[])).await.unwrap();
    assert_eq!(on_hand(service, MILK), 100);
}

#[tokio::test]
async fn an_order_of_a_time_that_is_no_longer_kept_does_not_come_back() {
    let journal = Arc::new(MemoryJournal::new());
    let shop = Shop::open(journal.clone()).await;
    let milk = shop.buy(1, MILK, 3).await;
    shop.service.close().await.unwrap();
    journal.discard_through(journal.tip().await.unwrap().version).await.unwrap();
    shop.clock.advance_hours(7 * 24);

    let service = open_at(journal, shop.clock.clone()).await;
    let shop = Shop { service, ..shop };
    let wanted = shop.wanted(2, milk, &[]);
    assert_eq!(shop.give_back(shop.alice, wanted.clone()).await, Err(Refusal::OutcomeNotKept));
    assert_eq!(shop.give_back(shop.alice, wanted).await, Err(Refusal::OutcomeNotKept));
    assert_eq!(on_hand(&shop.service, MILK), 97);
}

#[tokio::test]
async fn of_two_returns_at_once_the_second_gets_what_the_first_left() {
    for hours in [0, 7 * 24] {
        let shop = Shop::open(Arc::new(MemoryJournal::new())).await;
        let milk = shop.buy(1, MILK, 3).await;
        shop.clock.advance_hours(hours);
        let give_back = |number| shop.give_back(shop.alice, shop.wanted(number, milk, &[(MILK, 2)]));
        let (one, other) = tokio::join!(give_back(2), give_back(3));
        assert_eq!(one.unwrap().lines[..], *lines(&[(MILK, 2)]));
        assert_eq!(other, Err(exceeds(MILK, 2, 1)));
        assert_eq!(on_hand(&shop.service, MILK), 99);
    }
}

#[tokio::test]
async fn the_journal_is_read_for_an_old_order_only_and_not_for_strangers_or_too_many_lines() {
    let journal = Arc::new(Scripted::default());
    let shop = Shop::open(journal.clone()).await;
    let milk = shop.buy(1, MILK, 3).await;
    let readings = || journal.readings.load(Ordering::SeqCst);
    let before = readings();
    shop.give_back(shop.alice, shop.wanted(2, milk, &[(MILK, 1)])).await.unwrap();
    shop.clock.advance_hours(7 * 24);
    let refused = shop.give_back(Actor::Anonymous, shop.wanted(3, milk, &[])).await;
    assert_eq!((refused, readings()), (Err(Refusal::NotLoggedIn), before));
    let too_many = shop.wanted(5, milk, &vec![(MILK, 1); 1_025]);
    let refused = shop.give_back(shop.alice, too_many).await;
    assert_eq!((refused, readings()), (Err(Refusal::TooManyLines { lines: 1_025 }), before));
    let wanted = shop.wanted(4, milk, &[]);
    shop.give_back(shop.alice, wanted.clone()).await.unwrap();
    let after = readings();
    assert!(after > before);
    shop.give_back(shop.alice, wanted).await.unwrap();
    assert_eq!(readings(), after, "its outcome is known");
}

/// A shop whose alice returns an old order while the journal stands still, the key of the return, and what waits for it.
async fn searching(journal: &Arc<Scripted>) -> (Shop, Return, Gate, JoinHandle<Reply>) {
    let shop = Shop::open(journal.clone()).await;
    let milk = shop.buy(1, MILK, 3).await;
    shop.clock.advance_hours(7 * 24);
    let wanted = shop.wanted(2, milk, &[(MILK, 1)]);
    let before = journal.readings.load(Ordering::SeqCst);
    let gate = journal.shut();
    let first = ask(&shop, &wanted);
    while journal.readings.load(Ordering::SeqCst) == before {
        tokio::task::yield_now().await;
    }
    (shop, wanted, gate, first)
}

fn ask(shop: &Shop, wanted: &Return) -> JoinHandle<Reply> {
    let (service, alice, wanted) = (shop.service.clone(), shop.alice, wanted.clone());
    tokio::spawn(async move { service.call(alice, Command::Return(wanted)).await })
}

#[tokio::test]
async fn a_return_whose_order_is_looked_for_is_not_unknown() {
    let journal = Arc::new(Scripted::default());
    let (shop, wanted, gate, first) = searching(&journal).await;
    let receipt = || shop.service.call(shop.alice, Query::Receipt { key: wanted.key });
    assert_eq!(receipt().await, Reply::Unavailable(Unavailable::Overloaded));
    drop(gate);
    let told = first.await.unwrap();
    assert!(matches!(told, Reply::Answered(Answer::ReturnReceipt(_))), "{told:?}");
    assert_eq!(receipt().await, told);
}

#[tokio::test]
async fn a_return_that_nobody_waits_for_any_more_is_not_carried_out_after_the_search() {
    let journal = Arc::new(Scripted::default());
    let (shop, wanted, gate, first) = searching(&journal).await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    drop(gate);
    let receipt = || shop.service.call(shop.alice, Query::Receipt { key: wanted.key });
    while receipt().await == Reply::Unavailable(Unavailable::Overloaded) {
        tokio::task::yield_now().await;
    }
    assert_eq!(receipt().await, Reply::Refused(Refusal::UnknownOrder));
    assert_eq!(on_hand(&shop.service, MILK), 97);
    shop.give_back(shop.alice, wanted).await.unwrap();
    assert_eq!(on_hand(&shop.service, MILK), 98);
}

#[tokio::test]
async fn a_return_asked_for_again_joins_the_search_that_is_under_way() {
    let journal = Arc::new(Scripted::default());
    let (shop, wanted, gate, first) = searching(&journal).await;
    // More than may wait.
    let again: Vec<_> = (0..100).map(|_| ask(&shop, &wanted)).collect();
    tokio::task::yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    drop(gate);
    for asked in again {
        let told = asked.await.unwrap();
        assert!(matches!(told, Reply::Answered(Answer::ReturnReceipt(_))), "{told:?}");
    }
    assert_eq!(on_hand(&shop.service, MILK), 98);
}
