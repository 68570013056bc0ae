//! Clients that mean no good, on a thread of their own, until they are told to stop. Each does one thing and starts
//! again when the server has had enough of it.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use futures_util::future::try_join;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use crate::frames::{self, LEVELS, WHO_AM_I};

/// What they know and count.
pub(crate) struct Knowledge {
    pub(crate) socket: PathBuf,
    /// A session of a user who has gone astray.
    pub(crate) token: [u8; 32],
    /// How often any of them came as far as it could.
    pub(crate) rounds: [AtomicU64; Manner::ALL.len()],
}

impl Knowledge {
    /// How often members of each manner came as far as they could since the last call, where any did.
    pub(crate) fn take_rounds(&self) -> Vec<(Manner, u64)> {
        let rounds =
            Manner::ALL.map(|manner| (manner, self.rounds[manner as usize].swap(0, Ordering::Relaxed)));
        rounds.into_iter().filter(|(_, rounds)| *rounds > 0).collect()
    }
}

/// What a hostile client does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Connects and says nothing.
    Silent,
    /// Says hello and nothing more.
    Idle,
    /// Has a session and does nothing.
    IdleWithSession,
    /// Sends a byte a second.
    SlowSender,
    /// Asks for pages and never reads one.
    NeverReads,
    /// Asks without a session, as much and as fast as it can.
    Floods,
    /// Breaks the contract.
    Garbage,
    /// Has a session and breaks the contract at length.
    Huge,
    /// Guesses passwords.
    Guesses,
}

impl Manner {
    pub(crate) const ALL: [Self; 9] = [
        Self::Silent,
        Self::Idle,
        Self::IdleWithSession,
        Self::SlowSender,
        Self::NeverReads,
        Self::Floods,
        Self::Garbage,
        Self::Huge,
        Self::Guesses,
    ];
}

/// Hostile clients at work.
pub(crate) struct Crowd {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
}

impl Crowd {
    /// Starts so many of each manner; returns when all have been connected once.
    pub(crate) fn start(knowledge: &Arc<Knowledge>, members: &[(Manner, usize)]) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (connected, mut all_connected) = mpsc::unbounded_channel();
        let (knowledge, members) = (Arc::clone(knowledge), members.to_vec());
        let count: usize = members.iter().map(|(_, count)| count).sum();
        let thread = std::thread::spawn(move || {
            Builder::new_current_thread().enable_all().build().unwrap().block_on(async move {
                for (manner, count) in members {
                    for number in 0..count {
                        let (knowledge, connected) = (Arc::clone(&knowledge), connected.clone());
                        tokio::spawn(member(knowledge, manner, number, connected));
                    }
                }
                let mut stopped = stopped;
                let _ = stopped.wait_for(|stop| *stop).await;
            });
        });
        for _ in 0..count {
            assert!(all_connected.blocking_recv().is_some(), "the crowd has come to an end");
        }
        Self { stop, thread }
    }

    pub(crate) fn stop(self) {
        self.stop.send_replace(true);
        self.thread.join().unwrap();
    }
}

async fn member(
    knowledge: Arc<Knowledge>,
    manner: Manner,
    number: usize,
    connected: mpsc::UnboundedSender<()>,
) {
    let mut first = Some(connected);
    loop {
        if let Ok(mut stream) = UnixStream::connect(&knowledge.socket).await {
            if let Some(first) = first.take() {
                let _ = first.send(());
            }
            // However it ends, it begins anew.
            let _ = behave(&knowledge, manner, number, &mut stream).await;
            knowledge.rounds[manner as usize].fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn behave(
    knowledge: &Knowledge,
    manner: Manner,
    number: usize,
    stream: &mut UnixStream,
) -> io::Result<()> {
    match manner {
        Manner::Silent => drained(stream).await,
        Manner::Idle => {
            stream.write_all(&frames::hello()).await?;
            drained(stream).await
        }
        Manner::IdleWithSession => {
            with_session(&knowledge.token, stream).await?;
            drained(stream).await
        }
        Manner::SlowSender => {
            for byte in frames::hello() {
                stream.write_all(&[byte]).await?;
                sleep(Duration::from_secs(1)).await;
            }
            Ok(())
        }
        Manner::NeverReads => {
            with_session(&knowledge.token, stream).await?;
            let mut id = 3;
            loop {
                stream.write_all(&frames::plain(id, LEVELS)).await?;
                id = id.wrapping_add(1).max(3);
            }
        }
        Manner::Floods => {
            stream.write_all(&frames::hello()).await?;
            let (mut reader, mut writer) = stream.split();
            let requests: Vec<u8> = (3..1_000).flat_map(|id| frames::plain(id, WHO_AM_I)).collect();
            let write = async {
                loop {
                    if let Err(error) = writer.write_all(&requests).await {
                        break Err::<(), io::Error>(error);
                    }
                }
            };
            let read = async {
                let mut replies = vec![0; 64 << 10];
                while reader.read(&mut replies).await? > 0 {}
                Err::<(), _>(io::ErrorKind::UnexpectedEof.into())
            };
            // Neither ends but by an error.
            try_join(write, read).await.map(|(never, ())| never)
        }
        Manner::Garbage => {
            let wrong = frames::wrong();
            stream.write_all(&frames::hello()).await?;
            stream.write_all(&wrong[number % wrong.len()]).await?;
            drained(stream).await
        }
        Manner::Huge => {
            with_session(&knowledge.token, stream).await?;
            stream.write_all(&frames::huge_and_nested()).await?;
            drained(stream).await
        }
        Manner::Guesses => {
            let user = ["carol", "admin", "nobody"][number % 3];
            stream.write_all(&frames::hello()).await?;
            stream.write_all(&frames::log_in(user, "guess")).await?;
            two_replies(stream).await
        }
    }
}

/// Says hello and resumes the session, and waits until the server has taken it in.
pub(crate) async fn with_session(token: &[u8; 32], stream: &mut UnixStream) -> io::Result<()> {
    stream.write_all(&frames::hello()).await?;
    stream.write_all(&frames::resume(token)).await?;
    two_replies(stream).await
}

async fn two_replies(stream: &mut UnixStream) -> io::Result<()> {
    for _ in 0..2 {
        let length = stream.read_u32().await?;
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        stream.read_exact(&mut payload).await?;
    }
    Ok(())
}

/// Reads until the server ends the connection.
async fn drained(stream: &mut UnixStream) -> io::Result<()> {
    let mut bytes = [0; 512];
    while stream.read(&mut bytes).await? > 0 {}
    Ok(())
}
