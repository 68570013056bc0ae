//! Lines of credits and debits, and a journal that fails under them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::fmt::Write as _;
use std::future::{pending, ready};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use common::{Scripted, open};
use inventory_core::journal::{Append, Journal as _};
use inventory_core::{Event, Version};
use inventory_net::ledger_lines::{CLIENT_BYTES, Discard, LineCounts, LineMeter, LineServer, LinesError};
use inventory_net::service::Service;
use inventory_net::transport::BindOptions;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

async fn bind(service: &Service) -> (LineServer, u16) {
    let address = "tcp://127.0.0.1:0".parse().unwrap();
    let server = LineServer::bind(&address, BindOptions::default(), service.clone()).await.unwrap();
    let port = server.address().rest().rsplit(':').next().unwrap().parse().unwrap();
    (server, port)
}

/// Sends these lines, and waits for the server's end.
async fn send(port: u16, lines: String) -> io::Result<usize> {
    let mut client = TcpStream::connect(("127.0.0.1", port)).await?;
    client.write_all(lines.as_bytes()).await?;
    client.shutdown().await?;
    client.read(&mut [0]).await
}

/// Runs a server until these lines are sent and kept.
async fn keep(service: &Service, lines: String) -> LineCounts {
    let (server, port) = bind(service).await;
    let (sent, when_sent) = oneshot::channel();
    let drain = async { when_sent.await.unwrap() };
    let (counts, ()) = tokio::join!(server.run(drain, pending()), async {
        assert_eq!(send(port, lines).await.unwrap(), 0);
        sent.send(()).unwrap();
    });
    counts.unwrap()
}

fn balance(service: &Service, name: &str) -> i64 {
    service.with_state(|state| state.accounts().find(name.as_bytes()).unwrap().1.balance().minor())
}

#[tokio::test]
async fn what_was_not_written_is_posted_again_once_and_in_its_order() {
    let journal = Arc::new(Scripted::default());
    let service = open(journal.clone()).await;
    journal.answer(std::iter::repeat_n(Append::Failed("no space left".into()), 3));
    let lines = (1..=60_000).fold(String::new(), |mut lines, cents| {
        writeln!(lines, "Marc credit {}.{:02}", cents / 100, cents % 100).unwrap();
        lines
    });
    let counts = keep(&service, lines + "Zoe debit 1\nnothing").await;
    assert_eq!((counts.accepted, counts.discarded(Discard::Fields), counts.clients), (60_001, 1, 1));
    assert_eq!((balance(&service, "Marc"), balance(&service, "Zoe")), (60_000 * 60_001 / 2, -100));
    assert!(posted(&journal).await.into_iter().eq((1..=60_000).chain([-100])));
}

/// The amounts of all entries, in the order in which they were posted.
async fn posted(journal: &Scripted) -> Vec<i64> {
    let mut posted = Vec::new();
    for group in journal.read(Version::ZERO, usize::MAX).await.unwrap() {
        for record in group.records() {
            if let Event::BulkPosted { rows, .. } = record.unwrap().1.event {
                posted.extend_from_slice(rows.amounts());
            }
        }
    }
    posted
}

/// More lines than may be under way at once: some are gathered behind those that were not written.
#[tokio::test]
async fn lines_read_later_wait_for_those_that_were_not_written() {
    const LINES: i64 = 400_000;
    let lines = (1..=LINES).fold(String::new(), |mut lines, cents| {
        writeln!(lines, "Marc credit {}.{:02}", cents / 100, cents % 100).unwrap();
        lines
    });
    for failures_between in 1..=2 {
        let journal = Arc::new(Scripted::default());
        let service = open(journal.clone()).await;
        let failed = || Append::Failed("no space left".into());
        for _ in 0..8 {
            journal.answer([Append::Done]);
            journal.answer(std::iter::repeat_with(failed).take(failures_between));
        }
        assert_eq!(keep(&service, lines.clone()).await.accepted, LINES.unsigned_abs());
        assert!(posted(&journal).await.into_iter().eq(1..=LINES), "{failures_between} failures between");
    }
}

#[tokio::test]
async fn a_journal_that_nobody_knows_about_ends_the_server_and_resets_its_clients() {
    let journal = Arc::new(Scripted::default());
    let service = open(journal.clone()).await;
    journal.answer(std::iter::repeat_n(Append::Unknown("fsync failed".into()), 16));
    let (server, port) = bind(&service).await;
    let client = tokio::spawn(send(port, "Marc credit 1\n".into()));
    assert!(matches!(server.run(pending(), pending()).await, Err(LinesError::Poisoned)));
    assert_eq!(client.await.unwrap().unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_journal_that_refuses_to_the_end_is_told_and_nothing_looks_kept() {
    const REFUSALS: usize = 1 << 16;
    let journal = Arc::new(Scripted::default());
    let service = open(journal.clone()).await;
    journal.answer(std::iter::repeat_n(Append::Failed("no space left".into()), REFUSALS));
    let (server, port) = bind(&service).await;
    let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    client.write_all(b"Marc credit 1\nMarc credit 1\n").await.unwrap();
    client.shutdown().await.unwrap();
    let refused = async {
        while journal.script.lock().unwrap().len() == REFUSALS {
            tokio::task::yield_now().await;
        }
    };
    let ended = server.run(ready(()), refused).await;
    assert!(matches!(ended, Err(LinesError::NotWritten(LineCounts { waiting: 2, .. }))), "{ended:?}");
    assert_eq!(client.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    assert!(service.with_state(|state| state.accounts().is_empty()));
}

#[tokio::test]
async fn what_becomes_of_lines_can_be_read_meanwhile() {
    let service = open(Arc::new(Scripted::default())).await;
    let (server, port) = bind(&service).await;
    let meter = server.meter();
    let (read, when_read) = oneshot::channel();
    let drain = async { when_read.await.unwrap() };
    let (ended, ()) = tokio::join!(server.run(drain, pending()), async {
        let mut open = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        open.write_all(b"Marc credit 1\nMarc\nMarc").await.unwrap();
        send(port, "Marc credit 1\n".into()).await.unwrap();
        let counts = loop {
            let counts = meter.read();
            // The one that has ended may leave its place a little later than it is told so.
            if (counts.accepted, counts.connected) == (2, 1) {
                break counts;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((counts.clients, counts.waiting, counts.discarded(Discard::Fields)), (2, 0, 1));
        read.send(()).unwrap();
    });
    assert_eq!(ended.unwrap(), meter.read());
    assert_eq!((meter.read().connected, meter.read().discarded(Discard::Fields)), (0, 2));
}

/// Waits until the server has taken so many lines.
async fn accepted(meter: &LineMeter, lines: u64) {
    while meter.read().accepted < lines {
        tokio::task::yield_now().await;
    }
}

/// Time passes by itself while everybody waits.
#[tokio::test(start_paused = true)]
async fn whoever_was_silent_for_long_gives_its_place_to_one_who_waits() {
    let service = open(Arc::new(Scripted::default())).await;
    let (server, port) = bind(&service).await;
    let (server, connect) = (server.with_clients_max(2), || TcpStream::connect(("127.0.0.1", port)));
    let meter = server.meter();
    let (sent, when_sent) = oneshot::channel();
    let drain = async { when_sent.await.unwrap() };
    let (ended, ()) = tokio::join!(server.run(drain, pending()), async {
        let (mut silent, mut active) = (connect().await.unwrap(), connect().await.unwrap());
        silent.write_all(b"Marc credit 1\nMarc credit").await.unwrap();
        active.write_all(b"Zoe credit 1\nZoe cre").await.unwrap();
        accepted(&meter, 2).await;
        // Nobody waits: nobody has to go.
        sleep(Duration::from_hours(1)).await;
        assert_eq!((meter.read().connected, meter.read().sent_away), (2, 0));

        active.write_all(b"dit 1\nZoe debit").await.unwrap();
        accepted(&meter, 3).await;
        assert_eq!(send(port, "Eve credit 1".into()).await.unwrap(), 0);
        assert_eq!(meter.read().sent_away, 1);
        assert_eq!(silent.read(&mut [0]).await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        active.write_all(b" 5").await.unwrap();
        active.shutdown().await.unwrap();
        assert_eq!(active.read(&mut [0]).await.unwrap(), 0);
        sent.send(()).unwrap();
    });
    let counts = ended.unwrap();
    assert_eq!((counts.clients, counts.accepted, counts.discarded_in_all()), (3, 5, 0));
    assert_eq!(["Marc", "Zoe", "Eve"].map(|name| balance(&service, name)), [100, -300, 100]);
}

/// What it sent waits to be read: it is not the one who is waited for.
#[tokio::test(start_paused = true)]
async fn a_client_that_waits_for_the_journal_is_not_silent() {
    let journal = Arc::new(Scripted::default());
    let service = open(journal.clone()).await;
    // Each time, twice as long is waited, up to a second.
    journal.answer(std::iter::repeat_n(Append::Failed("no space left".into()), 60));
    let (server, port) = bind(&service).await;
    let server = server.with_clients_max(1);
    let (sent, when_sent) = oneshot::channel();
    let drain = async { when_sent.await.unwrap() };
    // More than what is read ahead.
    let name = "m".repeat(30_000);
    let lines = format!("{name} credit 1\n").repeat(400);
    let (ended, ()) = tokio::join!(server.run(drain, pending()), async {
        let (first, second) = tokio::join!(send(port, lines), send(port, "Zoe credit 1".into()));
        assert_eq!((first.unwrap(), second.unwrap()), (0, 0));
        sent.send(()).unwrap();
    });
    let counts = ended.unwrap();
    assert_eq!((counts.accepted, counts.sent_away), (401, 0));
    assert_eq!((balance(&service, &name), balance(&service, "Zoe")), (40_000, 100));
}

/// Time passes by itself while everybody waits.
#[tokio::test(start_paused = true)]
async fn whoever_trickles_a_long_line_has_no_more_time_than_others() {
    let service = open(Arc::new(Scripted::default())).await;
    let (server, port) = bind(&service).await;
    // It is low when an eighth is left, which has room for any line: nobody finds nothing left.
    let (server, connect) = (server.with_memory_max(640 << 10), || TcpStream::connect(("127.0.0.1", port)));
    let meter = server.meter();
    let (sent, when_sent) = oneshot::channel();
    let drain = async { when_sent.await.unwrap() };
    let (ended, ()) = tokio::join!(server.run(drain, pending()), async {
        let (mut trickles, mut patient) = (connect().await.unwrap(), connect().await.unwrap());
        // A line before it is no part of it.
        patient.write_all(b"Zoe cred").await.unwrap();
        sleep(Duration::from_secs(1)).await;
        trickles.write_all(&vec![b'x'; 60_000]).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        patient.write_all(b"it 1\n").await.unwrap();
        patient.write_all(&vec![b'y'; 60_000]).await.unwrap();
        for _ in 0..10 {
            sleep(Duration::from_secs(5)).await;
            trickles.write_all(b"x").await.unwrap();
        }
        let mut others = Vec::new();
        while meter.read().sent_away == 0 {
            assert!(others.len() < 100, "memory does not run low");
            let mut other = connect().await.unwrap();
            other.write_all(&vec![b'z'; 20_000]).await.unwrap();
            sleep(Duration::from_secs(1)).await;
            others.push(other);
        }
        // Nothing comes if another was sent away.
        let end = timeout(Duration::from_secs(5), trickles.read(&mut [0])).await.expect("it is still there");
        assert_eq!(end.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        for client in others.iter_mut().chain([&mut patient]) {
            client.write_all(b" credit 1\n").await.unwrap();
            client.shutdown().await.unwrap();
            assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
        }
        sent.send(()).unwrap();
    });
    let counts = ended.unwrap();
    assert_eq!((counts.sent_away, counts.accepted), (1, counts.clients));
}

#[tokio::test]
async fn long_lines_without_an_end_cost_their_senders_the_connection_and_nobody_else() {
    const CLIENTS: usize = 100;
    let service = open(Arc::new(Scripted::default())).await;
    let (server, port) = bind(&service).await;
    // For long lines a quarter of it is there: those of a few clients.
    let server = server.with_memory_max(CLIENTS * 2 * CLIENT_BYTES * 4 / 3);
    let meter = server.meter();
    let (sent, when_sent) = oneshot::channel();
    let drain = async { when_sent.await.unwrap() };
    let (ended, reset) = tokio::join!(server.run(drain, pending()), async {
        let mut long = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            client.write_all(b"Marc credit 1\n").await.unwrap();
            client.write_all(&vec![b'x'; 60_000]).await.unwrap();
            long.push(client);
        }
        accepted(&meter, 100).await;
        assert_eq!(send(port, "Zoe credit 1".into()).await.unwrap(), 0);
        let mut reset = 0;
        for mut client in long {
            // Not those whose lines have room.
            let ended = async {
                client.write_all(b" credit 1\n").await?;
                client.shutdown().await?;
                client.read(&mut [0]).await
            };
            reset += u64::from(ended.await.is_err());
        }
        sent.send(()).unwrap();
        reset
    });
    let counts = ended.unwrap();
    assert_eq!((counts.sent_away, counts.accepted), (reset, 201 - reset));
    assert!((50..100).contains(&reset), "{reset}");
}
