//! Servers that go away, connections that are cut, and a stop in the middle of it: one purchase each, and an answer.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use common::{BREAD, MILK, Running, batch, everything_of, on_hand, options, order, serve, units, upc};
use inventory_core::journal::{Append, Group, Journal, JournalError, MemoryJournal, Snapshot, Tip};
use inventory_core::{LocationId, Refusal, Return, Role, Version};
use inventory_net::client::{Client, ClientError, ClientOptions, new_order_key};
use inventory_net::connection::{ServerConfig, ServerConnection};
use inventory_net::message::{Account, Done, Op, ReplyBody, RequestBody, Token, Unavailable};
use inventory_net::transport::{Address, BindOptions, bind, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;

/// Stands between client and server; armed, it cuts the connection instead of passing the next reply on.
struct Proxy {
    address: Address,
    armed: Arc<AtomicBool>,
    cuts: Arc<AtomicUsize>,
}

impl Proxy {
    async fn start(name: &str, server: Address) -> Self {
        let mut listener = bind(&name.parse().unwrap(), BindOptions::default()).await.unwrap();
        let address = listener.address();
        let (armed, cuts) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let proxy = Self { address, armed: armed.clone(), cuts: cuts.clone() };
        tokio::spawn(async move {
            loop {
                let mut client = listener.accept().await.unwrap().stream;
                let Ok(mut upstream) = connect(&server).await else { continue };
                let (armed, cuts) = (armed.clone(), cuts.clone());
                tokio::spawn(async move {
                    let (mut there, mut back) = ([0; 4096], [0; 4096]);
                    loop {
                        tokio::select! {
                            read = client.read(&mut there) => match read {
                                Ok(read) if read > 0 => upstream.write_all(&there[..read]).await.unwrap(),
                                _ => return,
                            },
                            read = upstream.read(&mut back) => match read {
                                Ok(read) if read > 0 => {
                                    if armed.swap(false, Ordering::SeqCst) {
                                        cuts.fetch_add(1, Ordering::SeqCst);
                                        return;
                                    }
                                    client.write_all(&back[..read]).await.unwrap();
                                }
                                _ => return,
                            },
                        }
                    }
                });
            }
        });
        proxy
    }

    fn cut_the_next_reply(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    async fn client(&self, user: &str) -> Client {
        let client = Client::connect(&self.address, ClientOptions::default()).await.unwrap();
        client.log_in(user, &format!("{user}-secret")).await.unwrap();
        client
    }
}

#[tokio::test]
async fn a_purchase_whose_reply_is_lost_is_made_once() {
    let server = serve("memory://lost-reply", Arc::new(MemoryJournal::new()), options()).await;
    let proxy = Proxy::start("memory://lost-reply-proxy", server.address.clone()).await;
    let alice = proxy.client("alice").await;
    proxy.cut_the_next_reply();
    let milk = order(new_order_key().unwrap(), MILK, 3);
    let receipt = alice.purchase(&milk).await.unwrap();
    assert_eq!(proxy.cuts.load(Ordering::SeqCst), 1);
    assert_eq!(receipt.lines[0].units, units(3));
    assert_eq!(on_hand(&server.service, MILK), 97);
    assert_eq!(&*alice.who_am_i().await.unwrap().user, "alice", "the session was resumed");
    server.stop().await;
}

#[tokio::test]
async fn a_return_whose_reply_is_lost_is_made_once() {
    let server = serve("memory://lost-return", Arc::new(MemoryJournal::new()), options()).await;
    let proxy = Proxy::start("memory://lost-return-proxy", server.address.clone()).await;
    let alice = proxy.client("alice").await;
    let milk = order(new_order_key().unwrap(), MILK, 3);
    alice.purchase(&milk).await.unwrap();
    proxy.cut_the_next_reply();
    let one = Return { lines: order(milk.key, MILK, 1).lines.to_vec().into(), ..everything_of(milk.key) };
    let receipt = alice.return_units(&one).await.unwrap();
    assert_eq!(proxy.cuts.load(Ordering::SeqCst), 1);
    assert_eq!(receipt.lines[0].units, units(1));
    assert_eq!(on_hand(&server.service, MILK), 98);
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_safe_to_repeat_is_told_to_be_unclear() {
    let server = serve("memory://unclear-reply", Arc::new(MemoryJournal::new()), options()).await;
    let proxy = Proxy::start("memory://unclear-reply-proxy", server.address.clone()).await;
    let admin = proxy.client("admin").await;
    let outcome_unknown = |result: Result<Version, ClientError>| match result {
        Err(ClientError::OutcomeUnknown { op, .. }) => op,
        other => panic!("{other:?}"),
    };
    admin.define_item(upc(1), "Salt", None).await.unwrap();
    proxy.cut_the_next_reply();
    let level = admin.set_initial_level(upc(1), LocationId::MAIN, units(1)).await;
    assert_eq!(outcome_unknown(level), Op::SetInitialLevel);
    admin.who_am_i().await.unwrap();
    proxy.cut_the_next_reply();
    assert_eq!(outcome_unknown(admin.add_user("carol", "x", Role::Buyer).await), Op::AddUser);
    admin.who_am_i().await.unwrap();
    proxy.cut_the_next_reply();
    admin.define_item(upc(1), "Sea salt", None).await.unwrap();
    proxy.cut_the_next_reply();
    admin.log_out().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_gone_and_back_sells_once() {
    let journal = Arc::new(MemoryJournal::new());
    let server = serve("memory://gone", journal.clone(), options()).await;
    let alice = Client::connect(&server.address, ClientOptions::default()).await.unwrap();
    alice.log_in("alice", "alice-secret").await.unwrap();
    let milk = order(new_order_key().unwrap(), MILK, 1);
    let first = alice.purchase(&milk).await.unwrap();
    server.stop().await;

    let other = order(new_order_key().unwrap(), MILK, 1);
    let (again, next, server) = tokio::join!(alice.purchase(&milk), alice.purchase(&other), async {
        serve("memory://gone", journal.clone(), options()).await
    });
    assert_eq!(again.unwrap(), first);
    next.unwrap();
    assert_eq!(on_hand(&server.service, MILK), 98);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stays_away_is_told_when_the_time_is_up() {
    let server = serve("memory://away", Arc::new(MemoryJournal::new()), options()).await;
    let alice = Client::connect(&server.address, ClientOptions::default()).await.unwrap();
    alice.log_in("alice", "alice-secret").await.unwrap();
    server.stop().await;
    let began = tokio::time::Instant::now();
    let error = alice.purchase(&order(new_order_key().unwrap(), MILK, 1)).await.unwrap_err();
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
    let took = began.elapsed();
    assert!((Duration::from_secs(8)..=Duration::from_secs(10)).contains(&took), "{took:?}");
}

/// What a scripted server does about a request.
enum Act {
    Reply(ReplyBody),
    Nothing,
    HangUp,
}

/// A server that says hello, and then does as it is told about each request of its first, second, … connection.
async fn scripted(name: &str, act: impl Fn(usize, &RequestBody) -> Act + Send + 'static) -> Address {
    let mut listener = bind(&name.parse().unwrap(), BindOptions::default()).await.unwrap();
    let address = listener.address();
    tokio::spawn(async move {
        for connection in 1.. {
            let mut stream = listener.accept().await.unwrap().stream;
            let mut wire = ServerConnection::new(ServerConfig::default(), 0);
            'connected: while stream.read_buf(wire.read_buffer()).await.is_ok_and(|read| read > 0) {
                while let Some(request) = wire.poll_request(0) {
                    match act(connection, &request.body) {
                        Act::Reply(body) => wire.reply(request.id, &body, 0),
                        Act::Nothing => {}
                        Act::HangUp => break 'connected,
                    }
                }
                stream.write_all(wire.output()).await.unwrap();
                wire.sent(wire.output().len(), 0);
            }
        }
    });
    address
}

fn alice() -> Account {
    Account { user: "alice".into(), role: Role::Buyer }
}

#[tokio::test]
async fn a_purchase_whose_reply_is_lost_with_the_session_is_told_to_be_unclear() {
    let token = Token::generate().unwrap();
    let address = scripted("memory://lost-session", |connection, body| match body {
        RequestBody::Resume { .. } if connection == 1 => Act::Reply(ReplyBody::Done(Done::Account(alice()))),
        RequestBody::Purchase(_) if connection == 1 => Act::HangUp,
        _ => Act::Reply(ReplyBody::Refused(Refusal::NotLoggedIn)),
    })
    .await;
    let client = Client::connect(&address, ClientOptions::default()).await.unwrap();
    client.resume(&token).await.unwrap();
    let milk = order(new_order_key().unwrap(), MILK, 1);
    let error = client.purchase(&milk).await.unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown { op: Op::Purchase, .. }), "{error}");
    let error = client.purchase(&milk).await.unwrap_err();
    assert!(matches!(error, ClientError::Refused(Refusal::NotLoggedIn)), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_purchase_whose_reply_is_lost_is_unclear_also_if_the_server_then_does_nothing_more() {
    let address = scripted("memory://lost-then-busy", |connection, body| match body {
        RequestBody::Purchase(_) if connection == 1 => Act::HangUp,
        _ => Act::Reply(ReplyBody::Unavailable(Unavailable::Overloaded)),
    })
    .await;
    let client = Client::connect(&address, ClientOptions::default()).await.unwrap();
    let error = client.purchase(&order(new_order_key().unwrap(), MILK, 1)).await.unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown { op: Op::Purchase, .. }), "{error}");
}

#[tokio::test]
async fn a_batch_whose_reply_is_lost_is_sent_again_and_bought_once() {
    let server = serve("memory://lost-batch", Arc::new(MemoryJournal::new()), options()).await;
    let proxy = Proxy::start("memory://lost-batch-proxy", server.address.clone()).await;
    let alice = proxy.client("alice").await;
    // More than fits before the session is resumed.
    let rows: Vec<(u64, u32)> = (0..1_000).map(|row| if row < 10 { (MILK, 1) } else { (BREAD, 1) }).collect();
    let order = batch(new_order_key().unwrap(), &rows);
    proxy.cut_the_next_reply();
    let receipt = alice.purchase_bulk(&order).await.unwrap();
    assert_eq!((receipt.key, receipt.outcome.accepted_rows), (order.key(), 13));
    assert_eq!(on_hand(&server.service, MILK), 90);
    server.stop().await;
}

#[tokio::test]
async fn a_request_that_waits_for_its_turn_survives_the_end_of_the_connection() {
    let mut options = options();
    options.connection.in_flight_max = 1;
    let server = serve("memory://held", Arc::new(MemoryJournal::new()), options).await;
    let proxy = Proxy::start("memory://held-proxy", server.address.clone()).await;
    let alice = proxy.client("alice").await;
    proxy.cut_the_next_reply();
    let orders = [0, 1].map(|_| order(new_order_key().unwrap(), MILK, 1));
    let (first, held) = tokio::join!(alice.purchase(&orders[0]), alice.purchase(&orders[1]));
    assert_eq!(first.unwrap().key, orders[0].key);
    assert_eq!(held.unwrap().key, orders[1].key);
    assert_eq!(on_hand(&server.service, MILK), 98);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn closing_does_not_wait_longer_for_an_answer_than_whoever_asked() {
    let address = scripted("memory://mute-after-hello", |_, _| Act::Nothing).await;
    let client = Client::connect(&address, ClientOptions::default()).await.unwrap();
    let asked = async { client.who_am_i().await.unwrap_err() };
    let closed = async { tokio::time::timeout(Duration::from_mins(2), client.close()).await };
    let (_, closed) = tokio::join!(asked, closed);
    closed.expect("it ends with the reply timeout");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_does_not_answer_is_given_up() {
    let name = "memory://mute".parse().unwrap();
    let _listener = bind(&name, BindOptions::default()).await.unwrap();
    let error = Client::connect(&name, ClientOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("it did not answer in time"), "{error}");
}

#[tokio::test]
async fn a_closed_client_says_so() {
    let server = serve("memory://closed", Arc::new(MemoryJournal::new()), options()).await;
    let client = Client::connect(&server.address, ClientOptions::default()).await.unwrap();
    client.close().await;
    assert!(matches!(client.who_am_i().await, Err(ClientError::Closed)));
    server.stop().await;
}

/// A journal whose appends wait until they are let through.
struct Gated {
    inner: MemoryJournal,
    gate: Semaphore,
    waiting: Semaphore,
}

#[async_trait]
impl Journal for Gated {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        self.inner.load_snapshot().await
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        self.inner.read(after, bytes_max).await
    }

    async fn append(&self, group: Group) -> Append {
        self.waiting.add_permits(1);
        self.gate.acquire().await.unwrap().forget();
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

async fn gated(name: &str) -> (Arc<Gated>, Running, Client) {
    let (gate, waiting) = (Semaphore::new(1_000), Semaphore::new(0));
    let journal = Arc::new(Gated { inner: MemoryJournal::new(), gate, waiting });
    let server = serve(name, journal.clone(), options()).await;
    let client = Client::connect(&server.address, ClientOptions::default()).await.unwrap();
    client.log_in("alice", "alice-secret").await.unwrap();
    journal.gate.forget_permits(1_000);
    journal.waiting.forget_permits(1_000);
    (journal, server, client)
}

#[tokio::test]
async fn what_was_received_before_a_stop_is_answered_and_durable() {
    let (journal, server, alice) = gated("memory://drain").await;
    let milk = order(new_order_key().unwrap(), MILK, 1);
    let (client, wanted) = (alice.clone(), milk.clone());
    let purchase = tokio::spawn(async move { client.purchase(&wanted).await });
    journal.waiting.acquire().await.unwrap().forget();

    let address = server.address.clone();
    let stopped = server.begin_stop();
    while connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!purchase.is_finished() && !stopped.is_finished(), "the answer waits for the journal");
    journal.gate.add_permits(1);
    let receipt = purchase.await.unwrap().unwrap();
    stopped.await.unwrap().unwrap();
    assert_eq!(receipt.key, milk.key);
    assert_eq!(journal.tip().await.unwrap().version, receipt.version);
    assert_eq!(journal.load_snapshot().await.unwrap().unwrap().tip().version, receipt.version);
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_ever() {
    let (journal, server, alice) = gated("memory://stuck").await;
    let milk = order(new_order_key().unwrap(), MILK, 1);
    let purchase = tokio::spawn(async move { alice.purchase(&milk).await });
    journal.waiting.acquire().await.unwrap().forget();
    let mut stopped = server.begin_stop();
    // The connections are cut after the drain timeout; the journal still has its write.
    assert!(tokio::time::timeout(Duration::from_mins(1), &mut stopped).await.is_err());
    journal.gate.add_permits(1);
    stopped.await.unwrap().unwrap();
    let error = purchase.await.unwrap().unwrap_err();
    assert!(matches!(error, ClientError::OutcomeUnknown { op: Op::Purchase, .. }), "it was made: {error}");
}
