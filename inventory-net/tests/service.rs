//! The engine on a runtime: what is answered when, and what a misbehaving journal does to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use common::{
    BREAD, MILK, ManualClock, Scripted, add_user, batch, everything_of, on_hand, open, open_at, order, stock,
};
use inventory_core::journal::{
    Append, Group, GroupBuilder, Journal, JournalError, MemoryJournal, Snapshot, Tip,
};
use inventory_core::{
    Actor, Answer, AppendId, Command, EngineConfig, Event, OrderKey, Query, Receipt, Record, Refusal, Reply,
    Return, Role, Unavailable, UserId, Version,
};
use inventory_net::clock::Clock;
use inventory_net::service::{CloseError, Service, ServiceOptions};

fn receipt(reply: Reply) -> Receipt {
    match reply {
        Reply::Answered(Answer::Receipt(receipt)) => receipt,
        other => panic!("no receipt: {other:?}"),
    }
}

#[tokio::test]
async fn a_retry_returns_the_same_receipt_also_after_reopening() {
    let journal = Arc::new(MemoryJournal::new());
    let clock = ManualClock::new();
    let service = open_at(journal.clone(), clock.clone()).await;
    stock(&service).await;
    let alice = Actor::User(add_user(&service, "alice", "", Role::Buyer).await);
    let milk = order(clock.key(1), MILK, 2);
    let first = receipt(service.call(alice, Command::Purchase(milk.clone())).await);
    assert_eq!(receipt(service.call(alice, Command::Purchase(milk.clone())).await), first);
    service.close().await.unwrap();

    let reopened = open_at(journal, clock).await;
    assert_eq!(receipt(reopened.call(alice, Command::Purchase(milk)).await), first);
    assert_eq!(on_hand(&reopened, MILK), 98);
}

#[tokio::test]
async fn closing_saves_a_snapshot_once_something_happened() {
    let journal = Arc::new(MemoryJournal::new());
    let service = open(journal.clone()).await;
    service.close().await.unwrap();
    assert!(journal.load_snapshot().await.unwrap().is_none());

    let service = open(journal.clone()).await;
    stock(&service).await;
    service.close().await.unwrap();
    let snapshot = journal.load_snapshot().await.unwrap().unwrap();
    assert_eq!(snapshot.tip(), journal.tip().await.unwrap());
    let late = service.call(Actor::System, Query::Item { upc: common::upc(MILK) }).await;
    assert_eq!(late, Reply::Unavailable(Unavailable::Overloaded));
}

#[tokio::test]
async fn requests_made_together_share_a_group() {
    let journal = Arc::new(MemoryJournal::new());
    let service = open(journal.clone()).await;
    stock(&service).await;
    let alice = Actor::User(add_user(&service, "alice", "", Role::Buyer).await);
    let groups = |groups: Vec<_>| groups.len();
    let before = groups(journal.read(Version::ZERO, usize::MAX).await.unwrap());
    let key = |n| OrderKey::from_parts(inventory_net::clock::SystemClock.now(), n);
    let calls = (0..50).map(|n| service.call(alice, Command::Purchase(order(key(n), MILK, 1))));
    for reply in futures_util::future::join_all(calls).await {
        receipt(reply);
    }
    let after = groups(journal.read(Version::ZERO, usize::MAX).await.unwrap());
    assert_eq!(after, before + 1);
}

#[tokio::test]
async fn a_definite_failure_is_answered_and_forgotten() {
    let journal = Arc::new(Scripted::default());
    let service = open(journal.clone()).await;
    stock(&service).await;
    let alice = Actor::User(add_user(&service, "alice", "", Role::Buyer).await);
    let bread = order(OrderKey::from_parts(inventory_net::clock::SystemClock.now(), 7), BREAD, 3);
    journal.answer([Append::Failed("no space left".into())]);
    let failed = service.call(alice, Command::Purchase(bread.clone())).await;
    assert_eq!(failed, Reply::Unavailable(Unavailable::NotWritten));
    assert_eq!(on_hand(&service, BREAD), 3);
    receipt(service.call(alice, Command::Purchase(bread)).await);
    assert_eq!(on_hand(&service, BREAD), 0);
}

#[tokio::test]
async fn an_unclear_write_that_stays_unclear_poisons() {
    let journal = Arc::new(Scripted::default());
    let service = open(journal.clone()).await;
    stock(&service).await;
    journal.answer(std::iter::repeat_n(Append::Unknown("fsync failed".into()), 16));
    let define = Command::DefineItem { upc: common::upc(1), name: "Salt".into(), price: None };
    let poisoned = Reply::Unavailable(Unavailable::Poisoned);
    assert_eq!(service.call(Actor::System, define).await, poisoned);
    let read = service.call(Actor::System, Query::Item { upc: common::upc(MILK) }).await;
    assert_eq!(read, poisoned);
    assert!(matches!(service.close().await, Err(CloseError::Poisoned)));
}

#[tokio::test]
async fn an_unclear_write_that_turns_out_well_is_acknowledged() {
    let journal = Arc::new(Scripted::default());
    let service = open(journal.clone()).await;
    journal.answer([Append::Unknown("connection lost".into())]);
    stock(&service).await;
    assert_eq!(on_hand(&service, MILK), 100);
}

#[tokio::test]
async fn two_services_on_one_journal_never_sell_a_unit_twice() {
    let journal = Arc::new(MemoryJournal::new());
    let clock = ManualClock::new();
    let one = open_at(journal.clone(), clock.clone()).await;
    stock(&one).await;
    let alice = Actor::User(add_user(&one, "alice", "", Role::Buyer).await);
    let other = open_at(journal.clone(), clock.clone()).await;
    let mut sold = 0;
    for n in 0..6 {
        let service = if n % 2 == 0 { &one } else { &other };
        match service.call(alice, Command::Purchase(order(clock.key(n), BREAD, 1))).await {
            Reply::Answered(_) => sold += 1,
            Reply::Refused(Refusal::InsufficientStock { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(sold, 3);
}

#[tokio::test]
async fn several_groups_in_flight_fail_and_recover_together() {
    let journal = Arc::new(Scripted::default());
    let engine = EngineConfig { groups_in_flight_max: 4, ..EngineConfig::default() };
    let options = ServiceOptions { engine, ..ServiceOptions::default() };
    let service = Service::open(journal.clone(), options).await.unwrap();
    stock(&service).await;
    journal.answer([Append::Failed("no space left".into())]);
    let define = |n| Command::DefineItem { upc: common::upc(n), name: "Salt".into(), price: None };
    let replies =
        futures_util::future::join_all((1..20).map(|n| service.call(Actor::System, define(n)))).await;
    assert!(replies.contains(&Reply::Unavailable(Unavailable::NotWritten)));
    stock_again(&service).await;
    service.close().await.unwrap();
}

async fn stock_again(service: &Service) {
    let define = Command::DefineItem { upc: common::upc(5), name: "Pepper".into(), price: None };
    common::done(service, define).await;
}

#[tokio::test]
async fn a_retry_after_a_week_finds_its_receipt_in_the_journal() {
    let journal = Arc::new(MemoryJournal::new());
    let clock = ManualClock::new();
    let service = open_at(journal.clone(), clock.clone()).await;
    stock(&service).await;
    let alice = Actor::User(add_user(&service, "alice", "", Role::Buyer).await);
    let bob = Actor::User(add_user(&service, "bob", "", Role::Buyer).await);
    let milk = order(clock.key(1), MILK, 2);
    let too_much = order(clock.key(2), BREAD, 9);
    let never_sent = order(clock.key(3), MILK, 1);
    let first = receipt(service.call(alice, Command::Purchase(milk.clone())).await);
    let refused = service.call(alice, Command::Purchase(too_much.clone())).await;
    clock.advance_hours(7 * 24);

    assert_eq!(receipt(service.call(alice, Command::Purchase(milk.clone())).await), first);
    assert_eq!(receipt(service.call(alice, Query::Receipt { key: milk.key }).await), first);
    assert_eq!(receipt(service.call(Actor::System, Query::Receipt { key: milk.key }).await), first);
    assert_eq!(service.call(alice, Command::Purchase(too_much)).await, refused);
    let key_too_old = Reply::Refused(Refusal::KeyTooOld);
    assert_eq!(service.call(alice, Command::Purchase(never_sent)).await, key_too_old);
    assert_eq!(service.call(bob, Query::Receipt { key: milk.key }).await, key_too_old);
    let another = order(milk.key, MILK, 3);
    assert_eq!(service.call(alice, Command::Purchase(another)).await, Reply::Refused(Refusal::KeyReused));
    assert_eq!(on_hand(&service, MILK), 98);
}

#[tokio::test]
async fn an_order_of_a_time_that_is_no_longer_kept_is_not_said_to_have_never_been() {
    let journal = Arc::new(MemoryJournal::new());
    let clock = ManualClock::new();
    let service = open_at(journal.clone(), clock.clone()).await;
    stock(&service).await;
    let alice = Actor::User(add_user(&service, "alice", "", Role::Buyer).await);
    let (milk, never_sent) = (order(clock.key(1), MILK, 2), order(clock.key(2), MILK, 2));
    receipt(service.call(alice, Command::Purchase(milk.clone())).await);
    service.close().await.unwrap();
    journal.discard_through(journal.tip().await.unwrap().version).await.unwrap();
    clock.advance_hours(7 * 24);

    let service = open_at(journal, clock).await;
    let not_kept = Reply::Refused(Refusal::OutcomeNotKept);
    for order in [milk, never_sent] {
        assert_eq!(service.call(alice, Query::Receipt { key: order.key }).await, not_kept);
        assert_eq!(service.call(alice, Command::Purchase(order)).await, not_kept);
    }
    assert_eq!(on_hand(&service, MILK), 98);
}

/// A journal in memory in front of which something may happen.
struct Meddled {
    inner: Arc<MemoryJournal>,
    before_reading: Box<dyn Fn() + Send + Sync>,
    before_appending: Box<dyn Fn(&MemoryJournal) + Send + Sync>,
}

#[async_trait]
impl Journal for Meddled {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        self.inner.load_snapshot().await
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        (self.before_reading)();
        self.inner.read(after, bytes_max).await
    }

    async fn append(&self, group: Group) -> Append {
        (self.before_appending)(&self.inner);
        self.inner.append(group).await
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        self.inner.tip().await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        self.inner.save_snapshot(snapshot).await
    }

    async fn discard_through(&self, version: Version) -> Result<(), JournalError> {
        self.inner.discard_through(version).await
    }
}

/// All tasks share one thread here: were the journal read in it, nobody could be served and nobody would let it go on.
#[tokio::test]
async fn a_search_in_a_slow_journal_holds_up_nobody_else() {
    let (clock, searching) = (ManualClock::new(), Arc::new(AtomicBool::new(false)));
    let (begun, begins) = tokio::sync::mpsc::unbounded_channel();
    let (go_on, goes_on) = std::sync::mpsc::channel();
    let (goes_on, is_searching) = (Mutex::new(goes_on), Arc::clone(&searching));
    let before_reading = Box::new(move || {
        if is_searching.load(Ordering::Acquire) {
            begun.send(()).unwrap();
            // An error says that all readings may go on.
            let _ = goes_on.lock().unwrap().recv();
        }
    });
    let journal = Meddled { inner: Arc::default(), before_reading, before_appending: Box::new(|_| {}) };
    let service = open_at(Arc::new(journal), clock.clone()).await;
    stock(&service).await;
    let alice = Actor::User(add_user(&service, "alice", "", Role::Buyer).await);
    let milk = order(clock.key(1), MILK, 2);
    let first = receipt(service.call(alice, Command::Purchase(milk.clone())).await);
    clock.advance_hours(7 * 24);

    searching.store(true, Ordering::Release);
    let asks = tokio::spawn({
        let (service, milk) = (service.clone(), milk.clone());
        async move { service.call(alice, Command::Purchase(milk)).await }
    });
    let mut begins: tokio::sync::mpsc::UnboundedReceiver<()> = begins;
    begins.recv().await.unwrap();
    receipt(service.call(alice, Command::Purchase(order(clock.key(2), MILK, 1))).await);
    assert_eq!(on_hand(&service, MILK), 97);
    drop::<std::sync::mpsc::Sender<()>>(go_on);
    assert_eq!(receipt(asks.await.unwrap()), first);
}

#[tokio::test]
async fn an_order_that_grows_too_old_while_it_waits_is_asked_for_again() {
    let (clock, inner) = (ManualClock::new(), Arc::new(MemoryJournal::new()));
    let other = open_at(inner.clone(), clock.clone()).await;
    stock(&other).await;
    let alice = Actor::User(add_user(&other, "alice", "", Role::Buyer).await);
    let milk = order(clock.key(1), MILK, 2);
    let before_appending = first_another_writer_and(clock.clone(), 25);
    let journal = Meddled { inner, before_reading: Box::new(|| {}), before_appending };
    let service = open_at(Arc::new(journal), clock).await;
    let answer = service.call(alice, Command::Purchase(milk.clone())).await;
    assert_eq!(answer, Reply::Unavailable(Unavailable::Overloaded), "it was not looked for yet");
    let answer = service.call(alice, Command::Purchase(milk)).await;
    assert_eq!(answer, Reply::Refused(Refusal::KeyTooOld));
    assert_eq!(on_hand(&service, MILK), 100);
}

#[tokio::test]
async fn an_order_that_leaves_the_window_while_its_return_waits_is_looked_for_at_the_next_try() {
    let (clock, inner) = (ManualClock::new(), Arc::new(MemoryJournal::new()));
    let other = open_at(inner.clone(), clock.clone()).await;
    stock(&other).await;
    let alice = Actor::User(add_user(&other, "alice", "", Role::Buyer).await);
    let milk = order(clock.key(1), MILK, 2);
    receipt(other.call(alice, Command::Purchase(milk.clone())).await);
    clock.advance_hours(20);
    let before_appending = first_another_writer_and(clock.clone(), 5);
    let journal = Meddled { inner, before_reading: Box::new(|| {}), before_appending };
    let service = open_at(Arc::new(journal), clock.clone()).await;
    let wanted = Return { key: clock.key(2), ..everything_of(milk.key) };
    let answer = service.call(alice, Command::Return(wanted.clone())).await;
    assert_eq!(answer, Reply::Unavailable(Unavailable::OrderNotAtHand));
    assert_eq!(on_hand(&service, MILK), 98);
    let answer = service.call(alice, Command::Return(wanted)).await;
    assert!(matches!(answer, Reply::Answered(Answer::ReturnReceipt(_))), "{answer:?}");
    assert_eq!(on_hand(&service, MILK), 100);
}

/// Before the first append another writer's group is there, and so many hours go by before this writer learns of it.
fn first_another_writer_and(
    clock: Arc<ManualClock>,
    hours: u64,
) -> Box<dyn Fn(&MemoryJournal) + Send + Sync> {
    let is_first = AtomicBool::new(true);
    Box::new(move |journal: &MemoryJournal| {
        if is_first.swap(false, Ordering::Relaxed) {
            let tip = pollster::block_on(journal.tip()).unwrap();
            let mut group = GroupBuilder::new(tip.version);
            let (by, upc, name) = (UserId::SYSTEM, common::upc(5), "Salt".into());
            group.push(&Record { at: clock.now(), event: Event::ItemDefined { by, upc, name, price: None } });
            let group = group.seal(AppendId(1), tip.hash).unwrap();
            assert_eq!(pollster::block_on(journal.append(group)), Append::Done);
            clock.advance_hours(hours);
        }
    })
}

#[tokio::test]
async fn a_retry_of_a_batch_after_a_week_finds_its_receipt_in_the_journal() {
    let journal = Arc::new(MemoryJournal::new());
    let clock = ManualClock::new();
    let service = open_at(journal.clone(), clock.clone()).await;
    stock(&service).await;
    let alice = Actor::User(add_user(&service, "alice", "", Role::Buyer).await);
    let key = clock.key(1);
    let first = service.call(alice, Command::PurchaseBulk(batch(key, &[(MILK, 2), (BREAD, 9)]))).await;
    assert!(
        matches!(&first, Reply::Answered(Answer::BulkReceipt(receipt)) if receipt.outcome.accepted_rows == 1)
    );
    clock.advance_hours(7 * 24);

    let again = Command::PurchaseBulk(batch(key, &[(MILK, 2), (BREAD, 9)]));
    assert_eq!(service.call(alice, again).await, first);
    assert_eq!(service.call(alice, Query::Receipt { key }).await, first);
    let another = Command::PurchaseBulk(batch(key, &[(MILK, 2), (BREAD, 8)]));
    assert_eq!(service.call(alice, another).await, Reply::Refused(Refusal::KeyReused));
    let never_sent = Command::PurchaseBulk(batch(OrderKey::from_parts(key.time(), 2), &[(MILK, 1)]));
    assert_eq!(service.call(alice, never_sent).await, Reply::Refused(Refusal::KeyTooOld));
    assert_eq!(on_hand(&service, MILK), 98);
}

#[test]
fn a_service_is_used_from_another_thread() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let service = runtime.block_on(open(Arc::new(MemoryJournal::new())));
    let (done, finished) = tokio::sync::oneshot::channel();
    let elsewhere = service.clone();
    let thread = std::thread::spawn(move || {
        pollster::block_on(stock(&elsewhere));
        done.send(()).unwrap();
    });
    runtime.block_on(finished).unwrap();
    thread.join().unwrap();
    assert_eq!(on_hand(&service, MILK), 100);
}

/// A journal that has a bug.
struct Panics(MemoryJournal);

#[async_trait]
impl Journal for Panics {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        self.0.load_snapshot().await
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        self.0.read(after, bytes_max).await
    }

    async fn append(&self, _group: Group) -> Append {
        panic!("a bug in the journal");
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        self.0.tip().await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        self.0.save_snapshot(snapshot).await
    }

    async fn discard_through(&self, version: Version) -> Result<(), JournalError> {
        self.0.discard_through(version).await
    }
}

#[tokio::test]
async fn a_journal_that_panics_leaves_nobody_waiting() {
    let service = open(Arc::new(Panics(MemoryJournal::new()))).await;
    let define = || Command::DefineItem { upc: common::upc(MILK), name: "Milk".into(), price: None };
    let reply = service.call(Actor::System, define()).await;
    assert_eq!(reply, Reply::Unavailable(Unavailable::Poisoned), "nobody knows what was written");
    let reply = service.call(Actor::System, define()).await;
    assert!(matches!(reply, Reply::Unavailable(_)), "{reply:?}");
    assert!(matches!(service.close().await, Err(CloseError::Poisoned)));
}
