//! Accounts over the wire: entries once for their key, who may see what, pages, and purchases that an account pays.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use common::{MILK, Running, Scripted, options, order, serve, units, upc};
use inventory_core::journal::{Append, MemoryJournal, ScanPlace};
use inventory_core::{
    BulkEntries, Entry, Money, NameColumn, Order, OrderKey, Posting, Refusal, RowCodes, Version,
};
use inventory_net::client::{AnyReceipt, Client, ClientError, ClientOptions, new_order_key};
use inventory_net::limits::ACCOUNT_BYTES_MAX;

async fn user(server: &Running, name: &str) -> Client {
    let client = Client::connect(&server.address, ClientOptions::default()).await.unwrap();
    client.log_in(name, &format!("{name}-secret")).await.unwrap();
    client
}

async fn shop(address: &str) -> Running {
    serve(address, Arc::new(MemoryJournal::new()), options()).await
}

fn refusal<T: std::fmt::Debug>(result: Result<T, ClientError>) -> Refusal {
    match result {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("no refusal: {other:?}"),
    }
}

fn money(minor: i64) -> Money {
    Money::from_minor(minor)
}

fn posting(entry: Entry) -> Posting {
    Posting { key: new_order_key().unwrap(), entry }
}

fn credit(account: &str, minor: i64) -> Posting {
    posting(Entry::Credit { account: account.into(), amount: money(minor) })
}

fn batch(key: OrderKey, rows: &[(&str, i64)]) -> BulkEntries {
    let mut names = NameColumn::default();
    assert!(rows.iter().all(|(name, _)| names.push(name.as_bytes())));
    BulkEntries::new(key, names, rows.iter().map(|(_, amount)| *amount).collect::<Vec<_>>()).unwrap()
}

#[tokio::test]
async fn entries_are_posted_once_for_their_key_and_told_again() {
    let server = shop("memory://posts").await;
    let root = user(&server, "admin").await;
    let first = credit("Marc", 250);
    let receipt = root.post(&first).await.unwrap();
    assert_eq!((receipt.balance, &*receipt.user), (money(250), "admin"));
    assert_eq!(root.post(&first).await.unwrap(), receipt);
    assert_eq!(root.any_receipt(first.key).await.unwrap(), AnyReceipt::Posting(receipt));
    let other = Posting { key: first.key, entry: credit("Marc", 251).entry };
    assert_eq!(refusal(root.post(&other).await), Refusal::KeyReused);

    let moved = posting(Entry::Transfer { from: "Marc".into(), to: "Zoë".into(), amount: money(100) });
    let receipt = root.post(&moved).await.unwrap();
    assert_eq!((receipt.balance, receipt.counterpart_balance), (money(150), Some(money(100))));

    let rows = batch(new_order_key().unwrap(), &[("Marc", 200), ("two words", 1), ("Zoë", -300)]);
    let receipt = root.post_bulk(&rows).await.unwrap();
    assert_eq!((receipt.outcome.accepted_rows, receipt.outcome.codes.get(1)), (2, RowCodes::INVALID_NAME));
    assert_eq!(root.post_bulk(&rows).await.unwrap(), receipt);
    assert_eq!(root.any_receipt(rows.key()).await.unwrap(), AnyReceipt::BulkPosting(receipt));
    assert_eq!(root.balance("Marc").await.unwrap().balance, money(350));
    assert_eq!(root.balance("Zoë").await.unwrap().balance, money(-200));
    server.stop().await;
}

#[tokio::test]
async fn an_entry_that_was_not_written_is_sent_again_under_its_key() {
    let journal = Arc::new(Scripted::default());
    let server = serve("memory://again", journal.clone(), options()).await;
    let root = user(&server, "admin").await;
    journal.answer([Append::Failed("no space".into())]);
    let receipt = root.post(&credit("Marc", 250)).await.unwrap();
    assert_eq!(receipt.balance, money(250));
    server.stop().await;
}

#[tokio::test]
async fn a_floor_is_kept_and_the_refusal_says_by_how_much() {
    let server = shop("memory://floors").await;
    let root = user(&server, "admin").await;
    assert_eq!(
        refusal(root.set_floor("Marc", None).await),
        Refusal::UnknownAccount { account: "Marc".into() }
    );
    root.post(&credit("Marc", 250)).await.unwrap();
    assert_eq!(
        refusal(root.set_floor("Marc", Some(money(251))).await),
        Refusal::FloorAboveBalance { balance: money(250) }
    );
    root.set_floor("Marc", Some(money(0))).await.unwrap();
    assert_eq!(root.balance("Marc").await.unwrap().floor, Some(money(0)));
    let much = posting(Entry::Debit { account: "Marc".into(), amount: money(300) });
    let short = Refusal::InsufficientFunds { account: "Marc".into(), short_by: money(50) };
    assert_eq!(refusal(root.post(&much).await), short);
    root.set_floor("Marc", None).await.unwrap();
    assert_eq!(refusal(root.post(&much).await), short, "the outcome of its key stays");
    server.stop().await;
}

#[tokio::test]
async fn a_purchase_moves_units_and_money_or_neither() {
    let server = shop("memory://charges").await;
    let (root, alice) = (user(&server, "admin").await, user(&server, "alice").await);
    let charged = |units, account: &str| Order {
        charge: Some(account.into()),
        ..order(new_order_key().unwrap(), MILK, units)
    };
    let unknown = Refusal::UnknownAccount { account: "alice".into() };
    assert_eq!(refusal(alice.purchase(&charged(1, "alice")).await), unknown);
    root.post(&credit("alice", 300)).await.unwrap();
    root.set_floor("alice", Some(money(0))).await.unwrap();
    let two = charged(2, "alice");
    let receipt = alice.purchase(&two).await.unwrap();
    assert_eq!((receipt.charged.as_deref(), receipt.total), (Some("alice"), Some(money(258))));
    assert_eq!(alice.purchase(&two).await.unwrap(), receipt);
    assert_eq!(alice.receipt(two.key).await.unwrap(), receipt);
    let uncharged = Order { charge: None, ..two };
    assert_eq!(refusal(alice.purchase(&uncharged).await), Refusal::KeyReused);
    let short = Refusal::InsufficientFunds { account: "alice".into(), short_by: money(87) };
    assert_eq!(refusal(alice.purchase(&charged(1, "alice")).await), short);
    assert_eq!(alice.item(upc(MILK)).await.unwrap()[0].on_hand, units(98));
    assert_eq!(alice.balance("alice").await.unwrap().balance, money(42));
    server.stop().await;
}

#[tokio::test]
async fn a_buyer_sees_and_charges_the_own_account_and_no_other() {
    let server = shop("memory://own").await;
    let (root, alice) = (user(&server, "admin").await, user(&server, "alice").await);
    root.post(&credit("alice", 300)).await.unwrap();
    root.post(&credit("bob", 300)).await.unwrap();
    assert_eq!(alice.balance("alice").await.unwrap().balance, money(300));
    assert_eq!(alice.entries("alice", ScanPlace::default(), None).await.unwrap().entries.len(), 1);
    let bobs = Order { charge: Some("bob".into()), ..order(new_order_key().unwrap(), MILK, 1) };
    for refused in [
        refusal(alice.balance("bob").await),
        refusal(alice.balances(None, None).await),
        refusal(alice.entries("bob", ScanPlace::default(), None).await),
        refusal(alice.entries("nobody", ScanPlace::default(), None).await),
        refusal(alice.post(&credit("alice", 1)).await),
        refusal(alice.post_bulk(&batch(new_order_key().unwrap(), &[("alice", 1)])).await),
        refusal(alice.set_floor("alice", None).await),
        refusal(alice.purchase(&bobs).await),
    ] {
        assert_eq!(refused, Refusal::NotPermitted);
    }
    server.stop().await;
}

#[tokio::test]
async fn pages_of_balances_are_sorted_by_bytes_and_complete() {
    let server = shop("memory://pages").await;
    let root = user(&server, "admin").await;
    // Together far above one frame.
    let long = |n: u32| format!("{n:03}{}", "é".repeat(30_000));
    let mut names: Vec<String> = (0..600).map(|n| format!("account-{}", n * 7 % 600)).collect();
    names.extend((0..30).map(long));
    for rows in names.chunks(3) {
        let rows: Vec<_> = rows.iter().map(|name| (&**name, 1)).collect();
        let receipt = root.post_bulk(&batch(new_order_key().unwrap(), &rows)).await.unwrap();
        assert_eq!(receipt.outcome.accepted_rows, receipt.outcome.rows);
    }
    let (mut after, mut told) = (None::<Arc<str>>, Vec::new());
    loop {
        let page = root.balances(after.as_deref(), None).await.unwrap();
        told.extend(page.balances.iter().map(|row| row.account.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    names.sort_unstable();
    assert_eq!(told, names);
    server.stop().await;
}

#[tokio::test]
async fn pages_of_entries_hold_each_entry_once_and_add_up() {
    let server = shop("memory://entries").await;
    let root = user(&server, "admin").await;
    for n in 1..=5 {
        root.post(&credit("Marc", n)).await.unwrap();
        let rows: Vec<_> = (0..100).map(|_| ("Marc", 1)).chain([("Zoë", 1)]).collect();
        root.post_bulk(&batch(new_order_key().unwrap(), &rows)).await.unwrap();
    }
    for limit in [None, Some(0), Some(7), Some(1_000_000)] {
        let (mut place, mut told) = (Some(ScanPlace::default()), Vec::new());
        while let Some(from) = place {
            let page = root.entries("Marc", from, limit).await.unwrap();
            told.extend(page.entries);
            place = page.next;
        }
        let sum: i64 = told.iter().map(|entry| entry.change.minor()).sum();
        assert_eq!((told.len(), sum), (505, 515), "{limit:?}");
        assert!(told.is_sorted_by_key(|entry| entry.version));
        assert!(
            told.iter().all(|entry| entry.user.as_deref() == Some("admin") && &*entry.reason == "posting")
        );
    }
    let far = ScanPlace { after: Version(1_000_000), skip: 0 };
    assert_eq!(refusal(root.entries("Marc", far, None).await), Refusal::InvalidValue { field: "after" });
    server.stop().await;
}

#[tokio::test]
async fn a_name_that_answers_have_no_room_for_is_out_of_range() {
    let server = shop("memory://long").await;
    let root = user(&server, "admin").await;
    let longest = "x".repeat(ACCOUNT_BYTES_MAX);
    let too_long = "y".repeat(ACCOUNT_BYTES_MAX + 1);
    let between = |from: &str, to: &str| {
        posting(Entry::Transfer { from: from.into(), to: to.into(), amount: money(1) })
    };
    let receipt = root.post(&between(&longest, "Marc")).await.unwrap();
    assert_eq!(&**receipt.entry.account(), &*longest);
    let out_of_range = |field| Refusal::InvalidValue { field };
    assert_eq!(refusal(root.post(&between(&too_long, "Marc")).await), out_of_range("account"));
    assert_eq!(refusal(root.post(&between("Marc", &too_long)).await), out_of_range("to"));
    assert_eq!(refusal(root.balance(&too_long).await), out_of_range("account"));
    let order = Order { charge: Some(too_long.into()), ..order(new_order_key().unwrap(), MILK, 1) };
    assert_eq!(refusal(root.purchase(&order).await), out_of_range("charge"));
    assert_eq!(refusal(root.post(&credit("two words", 1)).await), Refusal::InvalidName);
    assert_eq!(refusal(root.post(&between("Marc", "Marc")).await), Refusal::SameAccount);
    server.stop().await;
}
