//! Peers that break the contract, or only sit there: the server says what is wrong, ends the connection, and
//! serves the others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use common::{Gate, MILK, ManualClock, Running, Scripted, done, options, order, serve, serve_at, upc};
use inventory_core::journal::{MemoryJournal, ScanPlace};
use inventory_core::limits::UPC_MAX;
use inventory_core::{Actor, Command, Entry, Money, OrderKey, Posting};
use inventory_net::client::{Client, ClientError, ClientOptions, new_order_key};
use inventory_net::frame;
use inventory_net::limits::FRAME_BYTES_MAX;
use inventory_net::message::{
    ClientHello, Done, Op, ProtocolError, ProtocolErrorCode, ReplyBody, RequestBody, RequestId, Unavailable,
    decode_reply, encode_request,
};
use inventory_net::server::Server;
use inventory_net::transport::{Stream, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

async fn raw(server: &Running) -> Box<dyn Stream> {
    connect(&server.address).await.unwrap()
}

fn request(id: u32, body: &RequestBody) -> BytesMut {
    let mut bytes = BytesMut::new();
    let id = RequestId::new(id).unwrap();
    frame::append(&mut bytes, FRAME_BYTES_MAX, |to| encode_request(to, id, body)).unwrap();
    bytes
}

fn hello() -> RequestBody {
    let frame_bytes_max = u32::try_from(FRAME_BYTES_MAX).unwrap();
    RequestBody::Hello(ClientHello { protocol: vec![1], client: "test".into(), frame_bytes_max })
}

/// Reads to the end of the connection; its last frame is the protocol error that ended it.
async fn broken_off(mut stream: Box<dyn Stream>) -> ProtocolError {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    let mut rest = &bytes[..];
    let mut last = None;
    while let Some(payload) = frame::first_payload(rest, FRAME_BYTES_MAX).unwrap() {
        last = Some(decode_reply(payload, |_| Some(Op::Hello)).unwrap());
        rest = &rest[4 + payload.len()..];
    }
    match last.expect("a reply").body {
        ReplyBody::ProtocolError(error) => error,
        other => panic!("no protocol error: {other:?}"),
    }
}

async fn is_alive(server: &Running) {
    let client = Client::connect(&server.address, ClientOptions::default()).await.unwrap();
    client.log_in("alice", "alice-secret").await.unwrap();
    client.purchase(&order(new_order_key().unwrap(), MILK, 1)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bytes_that_break_the_contract_are_answered_with_what_is_wrong() {
    let server = serve("memory://garbage", Arc::new(MemoryJournal::new()), options()).await;
    let too_new = RequestBody::Hello(ClientHello {
        protocol: vec![99],
        client: "test".into(),
        frame_bytes_max: 1 << 20,
    });
    let unknown_op = [0, 0, 0, 5, 0x83, 0x01, 0x18, 0x63, 0xa0];
    let cases: [(&[u8], ProtocolErrorCode); 7] = [
        (b"GET / HTTP/1.1\r\n\r\n", ProtocolErrorCode::FrameTooLarge),
        (&[0xff; 64], ProtocolErrorCode::FrameTooLarge),
        (&[0; 64], ProtocolErrorCode::FrameEmpty),
        (&[0, 0, 0, 3, 1, 2, 3], ProtocolErrorCode::Malformed),
        (&unknown_op, ProtocolErrorCode::UnknownOp),
        (&request(1, &RequestBody::WhoAmI), ProtocolErrorCode::HelloExpected),
        (&request(1, &too_new), ProtocolErrorCode::UnsupportedProtocol),
    ];
    for (bytes, code) in cases {
        let mut stream = raw(&server).await;
        stream.write_all(bytes).await.unwrap();
        let error = broken_off(stream).await;
        assert!(error.is(code), "{error}");
        is_alive(&server).await;
    }
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn half_a_frame_then_silence_ends_the_connection_in_time() {
    let server = serve("memory://half", Arc::new(MemoryJournal::new()), options()).await;
    let mut stream = raw(&server).await;
    stream.write_all(&request(1, &hello())[..7]).await.unwrap();
    let began = tokio::time::Instant::now();
    assert!(broken_off(stream).await.is(ProtocolErrorCode::TimedOut));
    let took = began.elapsed();
    assert!((Duration::from_secs(30)..Duration::from_secs(32)).contains(&took), "{took:?}");
    is_alive(&server).await;
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_trickles_bytes_has_no_more_time_than_others() {
    let server = serve("memory://trickle", Arc::new(MemoryJournal::new()), options()).await;
    let mut stream = raw(&server).await;
    let began = tokio::time::Instant::now();
    for byte in &request(1, &hello())[..12] {
        if stream.write_all(&[*byte]).await.is_err() {
            break;
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert!(broken_off(stream).await.is(ProtocolErrorCode::TimedOut));
    assert!(began.elapsed() < Duration::from_secs(65));
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_before_a_login_is_sent_away() {
    let server = serve("memory://silent", Arc::new(MemoryJournal::new()), options()).await;
    let mut stream = raw(&server).await;
    stream.write_all(&request(1, &hello())).await.unwrap();
    assert!(broken_off(stream).await.is(ProtocolErrorCode::TimedOut));
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_is_logged_in_may_be_silent() {
    let server = serve("memory://patient", Arc::new(MemoryJournal::new()), options()).await;
    let client = Client::connect(&server.address, ClientOptions::default()).await.unwrap();
    client.log_in("alice", "alice-secret").await.unwrap();
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!(&*client.who_am_i().await.unwrap().user, "alice");
    server.stop().await;
}

/// Pipelines page requests and never reads an answer. Gives how many the server took before it stopped reading.
async fn never_reads(stream: &mut Box<dyn Stream>, token: RequestBody) -> u32 {
    stream.write_all(&request(1, &hello())).await.unwrap();
    stream.write_all(&request(2, &token)).await.unwrap();
    let page = RequestBody::Levels { after: None, limit: None };
    for id in 3.. {
        let bytes = request(id, &page);
        let written = stream.write_all(&bytes);
        if tokio::time::timeout(Duration::from_secs(1), written).await.is_err() {
            return id;
        }
    }
    0
}

#[tokio::test(start_paused = true)]
async fn replies_that_are_never_read_are_bounded_and_end_the_connection() {
    let mut options = options();
    options.connection.output_bytes_target = 4 << 10;
    let server = serve("memory://unread", Arc::new(MemoryJournal::new()), options).await;
    let client = Client::connect(&server.address, ClientOptions::default()).await.unwrap();
    let token = client.log_in("alice", "alice-secret").await.unwrap().token;
    let mut stream = raw(&server).await;
    // 64 KiB of pipe in each direction and a reply of about 80 bytes to a request of 5: a few thousand fit.
    let accepted = never_reads(&mut stream, RequestBody::Resume { token }).await;
    assert!((100..20_000).contains(&accepted), "{accepted}");
    tokio::time::sleep(Duration::from_secs(31)).await;
    let gone = stream.write_all(&vec![0; 1 << 20]).await;
    assert!(gone.is_err(), "the server has closed");
    is_alive(&server).await;
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn connections_beyond_the_limit_wait_until_there_is_room() {
    let mut options = options();
    options.connections_max = 2;
    let server = serve("memory://limit", Arc::new(MemoryJournal::new()), options).await;
    let (first, second) = (raw(&server).await, raw(&server).await);
    let mut third = raw(&server).await;
    third.write_all(&request(1, &hello())).await.unwrap();
    let mut byte = [0];
    let waits = tokio::time::timeout(Duration::from_secs(5), third.read(&mut byte)).await;
    assert!(waits.is_err(), "there is no room for a third");
    drop(first);
    assert_eq!(third.read(&mut byte).await.unwrap(), 1);
    drop((second, third));
    server.stop().await;
}

/// A session's token, and a client that holds it.
async fn alice(server: &Running) -> (Client, RequestBody) {
    session(server, "alice").await
}

async fn session(server: &Running, name: &str) -> (Client, RequestBody) {
    let client = Client::connect(&server.address, ClientOptions::default()).await.unwrap();
    let token = client.log_in(name, &format!("{name}-secret")).await.unwrap().token;
    (client, RequestBody::Resume { token })
}

/// Sends most of a large frame and stops there.
async fn begins_a_large_frame(server: &Running, token: &RequestBody) -> Box<dyn Stream> {
    let mut stream = raw(server).await;
    stream.write_all(&request(1, &hello())).await.unwrap();
    stream.write_all(&request(2, token)).await.unwrap();
    for _ in 0..2 {
        let length = stream.read_u32().await.unwrap();
        stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
    }
    stream.write_all(&(1u32 << 20).to_be_bytes()).await.unwrap();
    stream.write_all(&vec![0x81; 900 << 10]).await.unwrap();
    stream
}

async fn is_open(stream: &mut Box<dyn Stream>) -> bool {
    let mut byte = [0];
    tokio::time::timeout(Duration::from_millis(1), stream.read(&mut byte)).await.is_err()
}

#[tokio::test(start_paused = true)]
async fn when_memory_runs_low_those_who_keep_the_server_waiting_for_the_longest_are_dropped() {
    let mut options = options();
    options.connections_bytes_max = 8 << 20;
    let server = serve("memory://hoards", Arc::new(MemoryJournal::new()), options).await;
    let (honest, token) = alice(&server).await;
    let mut hoards = Vec::new();
    for _ in 0..40 {
        hoards.push(begins_a_large_frame(&server, &token).await);
        tokio::time::advance(Duration::from_millis(1)).await;
        honest.purchase(&order(new_order_key().unwrap(), MILK, 1)).await.unwrap();
        honest.levels(None, None).await.unwrap();
    }
    let mut open = Vec::new();
    for hoard in &mut hoards {
        open.push(is_open(hoard).await);
    }
    let kept = open.iter().filter(|open| **open).count();
    // Each takes one or two mebibytes, by how its buffer grew, and seven are there to be taken.
    assert!((3..=7).contains(&kept), "{kept}");
    assert!(open.is_sorted(), "the oldest went first: {open:?}");
    is_alive(&server).await;
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn among_as_many_connections_as_fit_whoever_reads_slowly_stays_connected() {
    let mut options = options();
    options.connections_bytes_max = 2 << 20;
    let places = options.connections_bytes_max / 4 * 3 / (16 << 10);
    let server = serve("memory://full-house", Arc::new(MemoryJournal::new()), options).await;
    define_long_names(&server, 128).await;
    let (_honest, token) = alice(&server).await;
    let mut slow = resumed(&server, &token).await;
    let mut idle = Vec::new();
    while idle.len() + 2 < places {
        idle.push(resumed(&server, &token).await);
    }
    let page = RequestBody::Levels { after: None, limit: None };
    for id in 3..6 {
        slow.write_all(&request(id, &page)).await.unwrap();
    }
    // The server has sent what fits between the two, and keeps the rest.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for id in 3..6 {
        let (answered, reply) = next_reply(&mut slow, Op::Levels).await;
        assert!(answered == id && matches!(reply, ReplyBody::Done(Done::Levels(_))), "{reply:?}");
    }
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn with_hardly_any_memory_small_requests_are_served_and_large_reads_turned_away() {
    let mut options = options();
    options.connections_bytes_max = 48 << 10;
    let server = serve("memory://poor", Arc::new(MemoryJournal::new()), options).await;
    let (honest, _) = alice(&server).await;
    honest.purchase(&order(new_order_key().unwrap(), MILK, 1)).await.unwrap();
    assert_eq!(honest.levels(None, Some(10)).await.unwrap().levels.len(), 2);
    let turned_away = honest.levels(None, None).await;
    assert!(matches!(turned_away, Err(ClientError::Unavailable(Unavailable::Overloaded))), "{turned_away:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_quiet_listener_keeps_no_place_from_a_busy_one() {
    let service = common::open(Arc::new(MemoryJournal::new())).await;
    let mut options = options();
    options.connections_max = 1;
    let mut server = Server::new(service, options).unwrap();
    for address in ["memory://quiet", "memory://busy"] {
        server.bind(&address.parse().unwrap()).await.unwrap();
    }
    let running = tokio::spawn(server.run(std::future::pending()));
    for address in ["memory://busy", "memory://quiet", "memory://busy"] {
        let client = Client::connect(&address.parse().unwrap(), ClientOptions::default()).await.unwrap();
        client.close().await;
    }
    running.abort();
}

#[tokio::test]
async fn a_length_of_4_gib_is_refused_at_once_over_tcp() {
    let server = serve("tcp://127.0.0.1:0", Arc::new(MemoryJournal::new()), options()).await;
    let mut stream = raw(&server).await;
    stream.write_all(&[0xff, 0xff, 0xff, 0xff]).await.unwrap();
    stream.write_all(&vec![0x61; 60_000]).await.unwrap();
    assert!(broken_off(stream).await.is(ProtocolErrorCode::FrameTooLarge));
    is_alive(&server).await;
    server.stop().await;
}

#[tokio::test]
async fn requests_behind_a_login_on_the_same_connection_wait_for_it() {
    let server = serve("memory://pipelined", Arc::new(MemoryJournal::new()), options()).await;
    let mut stream = raw(&server).await;
    let password = inventory_net::message::Password::new("alice-secret").unwrap();
    let mut bytes = request(1, &hello());
    bytes.unsplit(request(2, &RequestBody::LogIn { user: "alice".into(), password }));
    let milk = order(new_order_key().unwrap(), MILK, 1);
    bytes.unsplit(request(3, &RequestBody::Purchase(milk)));
    bytes.unsplit(request(4, &RequestBody::LogOut));
    bytes.unsplit(request(5, &RequestBody::WhoAmI));
    stream.write_all(&bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answered = Vec::new();
    stream.read_to_end(&mut answered).await.unwrap();
    let ops = [Op::Hello, Op::LogIn, Op::Purchase, Op::LogOut, Op::WhoAmI];
    let mut rest = &answered[..];
    let mut statuses = Vec::new();
    while let Some(payload) = frame::first_payload(rest, FRAME_BYTES_MAX).unwrap() {
        let reply = decode_reply(payload, |id| ops.get(id.get() as usize - 1).copied()).unwrap();
        statuses.push((reply.id.unwrap().get(), reply.body.status().name()));
        rest = &rest[4 + payload.len()..];
    }
    let done = |id| (id, "done");
    assert_eq!(statuses, [done(1), done(2), done(3), done(4), (5, "refused")]);
    server.stop().await;
}

/// Asks who it is as fast as it can and reads the answers. Counts them in `answers`.
async fn floods(mut stream: Box<dyn Stream>, token: RequestBody, answers: Arc<AtomicUsize>) {
    stream.write_all(&request(1, &hello())).await.unwrap();
    stream.write_all(&request(2, &token)).await.unwrap();
    for _ in 0..2 {
        let length = stream.read_u32().await.unwrap();
        stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
    }
    let questions: Vec<u8> = (3..503).flat_map(|id| request(id, &RequestBody::WhoAmI)).collect();
    loop {
        stream.write_all(&questions).await.unwrap();
        for _ in 3..503 {
            let length = stream.read_u32().await.unwrap();
            stream.read_exact(&mut vec![0; length as usize]).await.unwrap();
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn however_many_sessions_have_much_to_do_whoever_has_little_waits_for_few_of_them() {
    let server = serve("memory://busy-sessions", Arc::new(MemoryJournal::new()), options()).await;
    let (honest, token) = alice(&server).await;
    let answers = Arc::new(AtomicUsize::new(0));
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let (stream, answers) = (raw(&server).await, Arc::clone(&answers));
        let token = token.clone();
        crowd.spawn(floods(stream, token, answers));
    }
    while answers.load(Ordering::Relaxed) < 100_000 {
        tokio::task::yield_now().await;
    }
    let mut meanwhile = Vec::new();
    for _ in 0..20 {
        let before = answers.load(Ordering::Relaxed);
        honest.purchase(&order(new_order_key().unwrap(), MILK, 1)).await.unwrap();
        meanwhile.push(answers.load(Ordering::Relaxed) - before);
    }
    meanwhile.sort_unstable();
    // A round of all of them would be 25,000.
    assert!(meanwhile[18] < 5_000, "{meanwhile:?}");
    crowd.shutdown().await;
    server.stop().await;
}

/// Defines so many items with long names.
async fn define_long_names(server: &Running, items: u64) {
    for code in 1..=items {
        let define = Command::DefineItem { upc: upc(code), name: "n".repeat(256).into(), price: None };
        done(&server.service, define).await;
    }
}

#[tokio::test]
async fn few_pages_are_made_for_a_peer_that_never_reads_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let address = format!("unix://{}", path.display());
    let server = serve(&address, Arc::new(MemoryJournal::new()), options()).await;
    define_long_names(&server, 128).await;
    let (honest, token) = alice(&server).await;
    let mut never_reads = UnixStream::connect(&path).await.unwrap();
    let page = RequestBody::Levels { after: None, limit: None };
    let mut requests = request(1, &hello());
    requests.unsplit(request(2, &token));
    (3..100).for_each(|id| requests.unsplit(request(id, &page)));
    never_reads.write_all(&requests).await.unwrap();
    // Each has its turns behind those of the other: as many pages could have been made for both.
    for _ in 0..8 {
        assert_eq!(honest.levels(None, None).await.unwrap().levels.len(), 128);
    }
    let (mut sent, mut bytes) = (0, vec![0; 64 << 10]);
    while let Ok(more) = never_reads.try_read(&mut bytes) {
        sent += more;
    }
    // A page is 34 KiB.
    assert!((34_000..110_000).contains(&sent), "{sent}");
    drop(never_reads);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_reads_all_pages_gets_them_among_many_who_ask_for_pages_and_never_read() {
    let server = serve("memory://readers", Arc::new(MemoryJournal::new()), options()).await;
    define_long_names(&server, 1_000).await;
    let (honest, token) = alice(&server).await;
    let mut crowd = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (mut stream, token) = (raw(&server).await, token.clone());
        crowd.spawn(async move { never_reads(&mut stream, token).await });
    }
    let page = honest.levels(None, Some(1_000)).await.unwrap();
    assert_eq!((page.levels.len(), page.next), (128, Some(upc(128))));
    assert_eq!(honest.all_levels().await.unwrap().len(), 1_002);
    crowd.shutdown().await;
    server.stop().await;
}

/// An `item` request whose code has one digit too many.
fn item_out_of_range(id: u32) -> BytesMut {
    let mut bytes = request(id, &RequestBody::Item { upc: upc(UPC_MAX) });
    let number = bytes.len() - 8;
    assert_eq!(bytes[number..], UPC_MAX.to_be_bytes(), "the code is the last of it");
    bytes[number..].copy_from_slice(&(UPC_MAX + 1).to_be_bytes());
    bytes
}

async fn next_reply(stream: &mut Box<dyn Stream>, op: Op) -> (u32, ReplyBody) {
    let length = stream.read_u32().await.unwrap();
    let mut payload = vec![0; length as usize];
    stream.read_exact(&mut payload).await.unwrap();
    let reply = decode_reply(&payload, |_| Some(op)).unwrap();
    (reply.id.unwrap().get(), reply.body)
}

/// A connection of this session.
async fn resumed(server: &Running, token: &RequestBody) -> Box<dyn Stream> {
    let mut stream = raw(server).await;
    for (id, body, op) in [(1, &hello(), Op::Hello), (2, token, Op::Resume)] {
        stream.write_all(&request(id, body)).await.unwrap();
        let (_, answer) = next_reply(&mut stream, op).await;
        assert!(matches!(answer, ReplyBody::Done(_)), "{answer:?}");
    }
    stream
}

#[tokio::test(start_paused = true)]
async fn refusals_of_what_was_read_before_there_was_room_to_answer_leave_at_once() {
    let server = serve("memory://refusals", Arc::new(MemoryJournal::new()), options()).await;
    let (_client, token) = alice(&server).await;
    for count in 80..=200 {
        let mut stream = resumed(&server, &token).await;
        let requests: Vec<u8> = (1..=count).flat_map(item_out_of_range).collect();
        let began = tokio::time::Instant::now();
        stream.write_all(&requests).await.unwrap();
        for id in 1..=count {
            let (answered, reply) = next_reply(&mut stream, Op::Item).await;
            assert_eq!(answered, id, "of {count}");
            assert!(matches!(reply, ReplyBody::Refused(_)), "{reply:?}");
        }
        assert_eq!(began.elapsed(), Duration::ZERO, "of {count}");
    }
    server.stop().await;
}

/// A shop with an old order, and a session that has asked for a hundred pages of entries in one go. The journal gives none.
struct PagesAsked {
    server: Running,
    journal: Arc<Scripted>,
    gate: Gate,
    honest: Box<dyn Stream>,
    old: OrderKey,
    greedy: Box<dyn Stream>,
}

const PAGES: u32 = 100;

async fn pages_asked(address: &str) -> PagesAsked {
    let (journal, clock) = (Arc::new(Scripted::default()), ManualClock::new());
    let server = serve_at(address, journal.clone(), clock.clone(), options()).await;
    let old = clock.key(1);
    alice(&server).await.0.purchase(&order(old, MILK, 1)).await.unwrap();
    let entry = Entry::Credit { account: "Marc".into(), amount: Money::from_minor(1) };
    server.service.call(Actor::System, Command::Post(Posting { key: clock.key(2), entry })).await;
    clock.advance_hours(7 * 24);
    let (_, token) = alice(&server).await;
    let honest = resumed(&server, &token).await;
    let (_, root) = session(&server, "admin").await;
    let mut greedy = resumed(&server, &root).await;
    let gate = journal.shut();
    let began = journal.readings.load(Ordering::SeqCst);
    let place = ScanPlace::default();
    let page = RequestBody::Entries { account: "Marc".into(), place, limit: Some(1) };
    let requests: Vec<u8> = (1..=PAGES).flat_map(|id| request(id, &page)).collect();
    greedy.write_all(&requests).await.unwrap();
    for _ in 0..1_000_000 {
        if journal.readings.load(Ordering::SeqCst) > began {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(journal.readings.load(Ordering::SeqCst), began + 1);
    // Each of them that has its turn does what it does before the journal is asked.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    PagesAsked { server, journal, gate, honest, old, greedy }
}

#[tokio::test(start_paused = true)]
async fn whoever_asks_for_many_pages_of_entries_keeps_no_old_order_from_being_found() {
    let PagesAsked { server, gate, mut honest, old, mut greedy, .. } =
        pages_asked("memory://old-orders").await;
    for id in [3, 4] {
        honest.write_all(&request(id, &RequestBody::Receipt { key: old })).await.unwrap();
    }
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    // Enough for a few pages and for looking twice.
    gate.0.add_permits(20);
    for _ in 0..2 {
        let (_, receipt) = next_reply(&mut honest, Op::Receipt).await;
        assert!(matches!(receipt, ReplyBody::Done(Done::Receipt(_))), "{receipt:?}");
    }
    drop(gate);
    for _ in 0..PAGES {
        let (_, reply) = next_reply(&mut greedy, Op::Entries).await;
        assert!(matches!(reply, ReplyBody::Done(Done::Entries(_))), "{reply:?}");
    }
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_time_that_small_pages_of_entries_take_is_not_that_of_long_reads() {
    let PagesAsked { server, gate, mut honest, mut greedy, .. } = pages_asked("memory://slow-pages").await;
    tokio::time::advance(Duration::from_millis(5)).await;
    gate.0.add_permits(20);
    while !matches!(next_reply(&mut greedy, Op::Entries).await.1, ReplyBody::Done(_)) {}
    drop(gate);
    let began = tokio::time::Instant::now();
    honest.write_all(&request(3, &RequestBody::Levels { after: None, limit: None })).await.unwrap();
    let (_, levels) = next_reply(&mut honest, Op::Levels).await;
    assert!(matches!(levels, ReplyBody::Done(Done::Levels(_))), "{levels:?}");
    assert_eq!(began.elapsed(), Duration::ZERO);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn pages_of_entries_for_a_connection_that_is_gone_are_not_made() {
    let PagesAsked { server, journal, gate, greedy, .. } = pages_asked("memory://gone").await;
    drop(greedy);
    drop(gate);
    // Its turn is behind all of theirs.
    let (root, _) = session(&server, "admin").await;
    root.entries("Marc", ScanPlace::default(), Some(1)).await.unwrap();
    let readings = journal.readings.load(Ordering::SeqCst);
    assert!(readings < 20, "{readings}");
    server.stop().await;
}
