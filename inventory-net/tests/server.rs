//! Server and client together: sessions, purchases, restarts and stops.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{BREAD, MILK, Running, Scripted, batch, options, order, serve, units, upc};
use inventory_core::journal::{Append, MemoryJournal};
use inventory_core::limits::BULK_ROWS_MAX;
use inventory_core::{BulkOrder, LocationId, Money, Order, OrderKey, OrderLine, Refusal, Role, Time};
use inventory_net::client::{AnyReceipt, Client, ClientError, ClientOptions, new_order_key};
use inventory_net::message::{Token, Unavailable};

async fn client(server: &Running) -> Client {
    Client::connect(&server.address, ClientOptions::default()).await.unwrap()
}

async fn alice(server: &Running) -> Client {
    let client = client(server).await;
    client.log_in("alice", "alice-secret").await.unwrap();
    client
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Refusal {
    match result {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("no refusal: {other:?}"),
    }
}

async fn buys_on(address: &str) {
    let server = serve(address, Arc::new(MemoryJournal::new()), options()).await;
    let client = client(&server).await;
    let session = client.log_in("alice", "alice-secret").await.unwrap();
    assert_eq!((&*session.account.user, session.account.role), ("alice", Role::Buyer));
    let milk = order(new_order_key().unwrap(), MILK, 2);
    let receipt = client.purchase(&milk).await.unwrap();
    assert_eq!(
        (receipt.key, &*receipt.user, receipt.total),
        (milk.key, "alice", Some(Money::from_minor(258)))
    );
    assert_eq!(client.purchase(&milk).await.unwrap(), receipt, "the same key gives the same receipt");
    assert_eq!(client.receipt(milk.key).await.unwrap(), receipt);
    assert_eq!(client.any_receipt(milk.key).await.unwrap(), AnyReceipt::Order(receipt));
    assert_eq!(client.item(upc(MILK)).await.unwrap()[0].on_hand, units(98));
    let bulk = batch(new_order_key().unwrap(), &[(MILK, 3), (BREAD, 4)]);
    let bulk_receipt = client.purchase_bulk(&bulk).await.unwrap();
    let outcome = &bulk_receipt.outcome;
    assert_eq!((outcome.accepted_rows, outcome.codes.get(0), outcome.codes.get(1)), (1, 0, 21));
    assert_eq!(
        client.purchase_bulk(&bulk).await.unwrap(),
        bulk_receipt,
        "the same key gives the same receipt"
    );
    assert_eq!(client.any_receipt(bulk.key()).await.unwrap(), AnyReceipt::Bulk(bulk_receipt));
    assert!(matches!(client.receipt(bulk.key()).await, Err(ClientError::WrongAnswer { .. })));
    assert_eq!(client.item(upc(MILK)).await.unwrap()[0].on_hand, units(95));
    client.log_out().await.unwrap();
    assert_eq!(refusal(client.purchase(&milk).await), Refusal::NotLoggedIn);
    assert_eq!(refusal(client.resume(&session.token).await), Refusal::NotLoggedIn, "the token is dead");
    client.close().await;
    server.stop().await;
}

#[tokio::test]
async fn batches_of_the_largest_size_are_bought_many_at_a_time() {
    let server = serve("tcp://127.0.0.1:0", Arc::new(MemoryJournal::new()), options()).await;
    let alice = alice(&server).await;
    let rows: Vec<(u64, u32)> =
        (0..BULK_ROWS_MAX).map(|row| if row % 2 == 0 { (MILK, 1) } else { (7, 1) }).collect();
    let batches: Vec<BulkOrder> = (0..3).map(|_| batch(new_order_key().unwrap(), &rows)).collect();
    let (a, b, c) = tokio::join!(
        alice.purchase_bulk(&batches[0]),
        alice.purchase_bulk(&batches[1]),
        alice.purchase_bulk(&batches[2])
    );
    let accepted: u32 = [a, b, c].map(|receipt| receipt.unwrap().outcome.accepted_rows).iter().sum();
    assert_eq!(accepted, 100, "all the milk there was");
    assert_eq!(alice.item(upc(MILK)).await.unwrap()[0].on_hand, units(0));
    server.stop().await;
}

#[tokio::test]
async fn a_user_logs_in_buys_retries_and_logs_out_over_tcp() {
    buys_on("tcp://127.0.0.1:0").await;
}

#[tokio::test]
async fn a_user_logs_in_buys_retries_and_logs_out_over_a_unix_socket() {
    let directory = tempfile::tempdir().unwrap();
    buys_on(&format!("unix://{}/server.sock", directory.path().display())).await;
}

#[tokio::test]
async fn a_user_logs_in_buys_retries_and_logs_out_in_memory() {
    buys_on("memory://buys").await;
}

#[tokio::test]
async fn a_token_still_works_after_a_restart_and_is_dead_after_logout() {
    let journal = Arc::new(MemoryJournal::new());
    let server = serve("memory://restart", journal.clone(), options()).await;
    let token = client(&server).await.log_in("alice", "alice-secret").await.unwrap().token;
    server.stop().await;

    let server = serve("memory://restart", journal.clone(), options()).await;
    let again = client(&server).await;
    assert_eq!(&*again.resume(&token).await.unwrap().user, "alice");
    again.log_out().await.unwrap();
    server.stop().await;

    let server = serve("memory://restart", journal, options()).await;
    assert_eq!(refusal(client(&server).await.resume(&token).await), Refusal::NotLoggedIn);
    server.stop().await;
}

#[tokio::test]
async fn a_session_that_was_ended_elsewhere_is_refused_and_can_be_started_anew() {
    let server = serve("memory://elsewhere", Arc::new(MemoryJournal::new()), options()).await;
    let here = client(&server).await;
    let token = here.log_in("alice", "alice-secret").await.unwrap().token;
    let there = client(&server).await;
    there.resume(&token).await.unwrap();
    there.log_out().await.unwrap();
    assert_eq!(refusal(here.levels(None, None).await), Refusal::NotLoggedIn);
    here.log_in("alice", "alice-secret").await.unwrap();
    assert_eq!(here.all_levels().await.unwrap().len(), 2);
    server.stop().await;
}

#[tokio::test]
async fn an_order_key_of_another_user_is_refused() {
    let server = serve("memory://keys", Arc::new(MemoryJournal::new()), options()).await;
    let alice = alice(&server).await;
    let bob = client(&server).await;
    bob.log_in("bob", "bob-secret").await.unwrap();
    let milk = order(new_order_key().unwrap(), MILK, 1);
    alice.purchase(&milk).await.unwrap();
    assert_eq!(refusal(bob.purchase(&milk).await), Refusal::KeyReused);
    assert_eq!(refusal(bob.receipt(milk.key).await), Refusal::UnknownOrder);
    server.stop().await;
}

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_are_refused_alike() {
    let server = serve("memory://refused", Arc::new(MemoryJournal::new()), options()).await;
    let client = client(&server).await;
    for (user, password) in [("alice", "wrong"), ("alice", ""), ("mallory", "alice-secret"), ("", "")] {
        assert_eq!(refusal(client.log_in(user, password).await), Refusal::BadCredentials, "{user}");
    }
    let endless = "x".repeat(5_000);
    assert_eq!(refusal(client.log_in("alice", &endless).await), Refusal::BadCredentials);
    server.stop().await;
}

#[tokio::test]
async fn logins_beyond_the_queue_are_turned_away_and_nothing_else_waits_for_them() {
    let mut options = options();
    options.passwords.at_once_max = 1;
    options.passwords.waiting_max = 1;
    options.passwords.cost.memory_kib = 16 << 10;
    let server = serve("memory://queue", Arc::new(MemoryJournal::new()), options).await;
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let once = ClientOptions { retry_for: Duration::ZERO, ..ClientOptions::default() };
        let client = Client::connect(&server.address, once).await.unwrap();
        attempts.spawn(async move { client.log_in("alice", "alice-secret").await });
    }
    let results = attempts.join_all().await;
    let logged_in = results.iter().filter(|result| result.is_ok()).count();
    let overloaded =
        |result: &&Result<_, _>| matches!(result, Err(ClientError::Unavailable(Unavailable::Overloaded)));
    assert!(logged_in >= 2, "{results:?}");
    assert_eq!(results.iter().filter(overloaded).count(), 8 - logged_in, "{results:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_second_login_on_a_connection_is_refused() {
    let server = serve("memory://double", Arc::new(MemoryJournal::new()), options()).await;
    let alice = alice(&server).await;
    assert_eq!(refusal(alice.log_in("bob", "bob-secret").await), Refusal::AlreadyLoggedIn);
    assert_eq!(&*alice.who_am_i().await.unwrap().user, "alice");
    server.stop().await;
}

#[tokio::test]
async fn a_resume_on_a_connection_with_a_live_session_is_refused_and_changes_nothing() {
    let server = serve("memory://resume-twice", Arc::new(MemoryJournal::new()), options()).await;
    let alice = alice(&server).await;
    let bob = client(&server).await.log_in("bob", "bob-secret").await.unwrap().token;
    for token in [bob, Token::new([7; 32])] {
        assert_eq!(refusal(alice.resume(&token).await), Refusal::AlreadyLoggedIn);
        assert_eq!(&*alice.who_am_i().await.unwrap().user, "alice");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_failed_resume_leaves_a_connection_anonymous_and_a_good_one_may_follow() {
    let server = serve("memory://resume-again", Arc::new(MemoryJournal::new()), options()).await;
    let token = client(&server).await.log_in("bob", "bob-secret").await.unwrap().token;
    let here = client(&server).await;
    assert_eq!(refusal(here.resume(&Token::new([7; 32])).await), Refusal::NotLoggedIn);
    assert_eq!(refusal(here.who_am_i().await), Refusal::NotLoggedIn);
    assert_eq!(&*here.resume(&token).await.unwrap().user, "bob");
    server.stop().await;
}

#[tokio::test]
async fn without_a_login_nothing_is_told_or_done() {
    let server = serve("memory://anonymous", Arc::new(MemoryJournal::new()), options()).await;
    let client = client(&server).await;
    assert_eq!(refusal(client.levels(None, None).await), Refusal::NotLoggedIn);
    assert_eq!(refusal(client.item(upc(MILK)).await), Refusal::NotLoggedIn);
    assert_eq!(refusal(client.who_am_i().await), Refusal::NotLoggedIn);
    assert_eq!(refusal(client.log_out().await), Refusal::NotLoggedIn);
    let milk = order(new_order_key().unwrap(), MILK, 1);
    assert_eq!(refusal(client.purchase(&milk).await), Refusal::NotLoggedIn);
    assert_eq!(refusal(client.receipt(milk.key).await), Refusal::NotLoggedIn);
    assert_eq!(
        refusal(client.add_user("eve", "eve-secret", Role::Administrator).await),
        Refusal::NotLoggedIn
    );
    assert_eq!(refusal(client.resume(&Token::new([7; 32])).await), Refusal::NotLoggedIn);
    server.stop().await;
}

#[tokio::test]
async fn an_administrator_stocks_the_shop_and_a_buyer_may_not() {
    let server = serve("memory://admin", Arc::new(MemoryJournal::new()), options()).await;
    let admin = client(&server).await;
    admin.log_in("admin", "admin-secret").await.unwrap();
    let tea = upc(96_385_074);
    admin.define_item(tea, "Tea", Some(Money::from_minor(499))).await.unwrap();
    admin.set_initial_level(tea, LocationId::MAIN, units(5)).await.unwrap();
    let twice = admin.set_initial_level(tea, LocationId::MAIN, units(5)).await;
    assert_eq!(refusal(twice), Refusal::LevelAlreadySet);
    admin.add_user("carol", "carol-secret", Role::Buyer).await.unwrap();
    assert_eq!(refusal(admin.add_user("carol", "x", Role::Buyer).await), Refusal::UserExists);

    let carol = client(&server).await;
    carol.log_in("carol", "carol-secret").await.unwrap();
    carol.purchase(&order(new_order_key().unwrap(), 96_385_074, 5)).await.unwrap();
    assert_eq!(refusal(carol.define_item(tea, "Mine", None).await), Refusal::NotPermitted);
    assert_eq!(refusal(carol.add_user("eve", "x", Role::Administrator).await), Refusal::NotPermitted);
    server.stop().await;
}

#[tokio::test]
async fn bad_orders_are_refused_and_the_connection_goes_on() {
    let server = serve("memory://bad-orders", Arc::new(MemoryJournal::new()), options()).await;
    let alice = alice(&server).await;
    let key = || new_order_key().unwrap();
    let lines = |lines: Vec<OrderLine>| Order { key: key(), lines: lines.into(), charge: None };
    assert_eq!(refusal(alice.purchase(&lines(vec![])).await), Refusal::EmptyOrder);
    assert_eq!(
        refusal(alice.purchase(&order(key(), MILK, 0)).await),
        Refusal::ZeroQuantity { upc: upc(MILK) }
    );
    assert_eq!(refusal(alice.purchase(&order(key(), 1, 1)).await), Refusal::UnknownItem { upc: upc(1) });
    let too_much = refusal(alice.purchase(&order(key(), BREAD, 4)).await);
    assert!(matches!(too_much, Refusal::InsufficientStock { ref shortages } if shortages.len() == 1));
    let ten_thousand = lines(vec![OrderLine::new(upc(MILK), units(1)); 10_000]);
    assert_eq!(refusal(alice.purchase(&ten_thousand).await), Refusal::TooManyLines { lines: 10_000 });
    let ancient = OrderKey::from_parts(Time::ZERO, 1);
    assert_eq!(refusal(alice.purchase(&order(ancient, MILK, 1)).await), Refusal::KeyTooOld);
    let twice = lines(vec![OrderLine::new(upc(MILK), units(1)), OrderLine::new(upc(MILK), units(2))]);
    assert_eq!(alice.purchase(&twice).await.unwrap().lines[0].units, units(3));
    server.stop().await;
}

#[tokio::test]
async fn many_requests_are_in_flight_on_one_connection() {
    let server = serve("tcp://127.0.0.1:0", Arc::new(MemoryJournal::new()), options()).await;
    let alice = alice(&server).await;
    let mut purchases = tokio::task::JoinSet::new();
    for _ in 0..120 {
        let alice = alice.clone();
        let milk = order(new_order_key().unwrap(), MILK, 1);
        purchases.spawn(async move { alice.purchase(&milk).await });
    }
    let results = purchases.join_all().await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 100, "never sold twice");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_connections_on_many_threads_never_sell_a_unit_twice() {
    let server = serve("memory://threads", Arc::new(MemoryJournal::new()), options()).await;
    let mut buyers = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let client = alice(&server).await;
        buyers.spawn(async move {
            let mut bought = 0;
            for _ in 0..12 {
                let milk = order(new_order_key().unwrap(), MILK, 1);
                bought += u64::from(client.purchase(&milk).await.is_ok());
            }
            bought
        });
    }
    assert_eq!(buyers.join_all().await.iter().sum::<u64>(), 100);
    server.stop().await;
}

#[tokio::test]
async fn a_full_disk_is_told_and_forgotten() {
    let journal = Arc::new(Scripted::default());
    let server = serve("memory://full-disk", journal.clone(), options()).await;
    let once = ClientOptions { retry_for: Duration::ZERO, ..ClientOptions::default() };
    let alice = Client::connect(&server.address, once).await.unwrap();
    alice.log_in("alice", "alice-secret").await.unwrap();
    let milk = order(new_order_key().unwrap(), MILK, 1);
    journal.answer([Append::Failed("no space left on device".into())]);
    let failed = alice.purchase(&milk).await.unwrap_err();
    assert!(matches!(failed, ClientError::Unavailable(Unavailable::NotWritten)), "{failed}");
    assert_eq!(alice.item(upc(MILK)).await.unwrap()[0].on_hand, units(100));
    alice.purchase(&milk).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_client_waits_out_a_full_disk() {
    let journal = Arc::new(Scripted::default());
    let server = serve("memory://waits-out", journal.clone(), options()).await;
    let alice = alice(&server).await;
    journal.answer(std::iter::repeat_n(Append::Failed("no space left on device".into()), 3));
    alice.purchase(&order(new_order_key().unwrap(), MILK, 1)).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn an_unclear_write_is_told_as_such() {
    let journal = Arc::new(Scripted::default());
    let server = serve("memory://unclear", journal.clone(), options()).await;
    let alice = alice(&server).await;
    journal.answer(std::iter::repeat_n(Append::Unknown("fsync failed".into()), 16));
    let unclear = alice.purchase(&order(new_order_key().unwrap(), MILK, 1)).await.unwrap_err();
    assert!(matches!(unclear, ClientError::Unavailable(Unavailable::Poisoned)), "{unclear}");
    assert!(unclear.to_string().contains("restart it, then repeat"), "{unclear}");
    assert!(server.try_stop().await.is_err());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_at_once() {
    let nowhere = "memory://nowhere".parse().unwrap();
    let error = Client::connect(&nowhere, ClientOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("cannot reach the server at memory://nowhere"), "{error}");
}
