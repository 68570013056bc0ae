//! The real server among clients that mean no good: 5,000 that only sit there, and others that send slowly, never read,
//! flood, lie and guess. An honest client is served all the while, and the server's memory stays below its setting.
//!
//! Times are printed and never asserted: `scripts/hostile` measures them on the release build. Each purchase is followed by
//! one at a second server, the control: nobody attacks it, the same crowd is at another server of its machine. What a
//! purchase takes there is the machine's doing, which the crowd works as well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod crowd;
mod frames;
#[path = "../it/harness.rs"]
#[allow(dead_code, reason = "shared with the other tests of the command, each uses its part")]
mod harness;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crowd::{Crowd, Knowledge, Manner, with_session};
use futures_util::future::try_join_all;
use harness::{Place, Server};
use inventory_core::{LocationId, Order, OrderLine, Units, Upc};
use inventory_net::client::{Client, ClientError, ClientOptions, new_order_key};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::UnixStream;
use tokio::runtime::Builder;

/// Clients that only sit there.
const IDLE: usize = 5_000;
/// How many of them a server takes by default, and what they may take then, in MiB.
const MANY_IDLE: usize = 10_000;
const MANY_IDLE_MIB_MAX: u64 = 200;
/// The others, in all.
const BUSY: usize = 200 + 400 + 20 + 40 + 10 + 30;
/// Files that each process needs beside the connections.
const OTHER_FILES: u64 = 200;
/// What the server is told that it may take, in MiB. With the few items of this shop that is all it takes.
const MEMORY_MIB_MAX: u64 = 320;
/// Items with long names: a request of a few bytes asks for a page of all of them.
const ITEMS: u64 = 1_000;
/// Purchases that are timed, one each millisecond at most, unless `INVENTORY_HOSTILE_PURCHASES` says otherwise. All crowds come,
/// or only those whose names contain `INVENTORY_HOSTILE_CROWD`.
const PURCHASES: usize = 100;

/// The aim: the slowest hundredth of purchases takes at most so many times what it takes when all is quiet,
const OF_QUIET_MAX: f64 = 5.0;
/// or so many times what it takes at the control meanwhile.
const OF_CONTROL_MAX: f64 = 2.0;

#[test]
fn an_honest_client_is_served_among_thousands_that_mean_no_good_within_bounded_memory() {
    let idle = raise_open_files(IDLE, BUSY);
    let (place, elsewhere) = (Place::new(), Place::new());
    let (server, bystander) = (serve(&place), serve(&elsewhere));
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let upc = Upc::new(1).unwrap();
    let (honest, there, token) = runtime.block_on(async {
        stock(&place).await;
        stock(&elsewhere).await;
        let (honest, there) = (client(&place).await, client(&elsewhere).await);
        for client in [&honest, &there] {
            client.log_in("alice", "alice-demo").await.unwrap();
        }
        let astray = client(&place).await.log_in("bob", "bob-demo").await.unwrap();
        (honest, there, bytes(&astray.token.to_hex()))
    });
    let purchases = || runtime.block_on(purchases([&honest, &there], upc));
    purchases();
    let quiet = purchases();
    println!("{:24} {quiet}, peak {} MiB", "alone:", resident_peak_mib(&server));

    let knowledge = Knowledge { socket: place.path().join("s"), token, rounds: Default::default() };
    let knowledge = Arc::new(knowledge);
    let only = std::env::var("INVENTORY_HOSTILE_CROWD").unwrap_or_default();
    for (what, members) in crowds(idle).into_iter().filter(|(what, _)| what.contains(&only)) {
        let crowd = Crowd::start(&knowledge, &members);
        let times = purchases();
        let began = Instant::now();
        if let Err(error) = runtime.block_on(log_in_anew(&place)) {
            panic!("{what} a user who was there before was kept out for {:.1?}: {error}", began.elapsed());
        }
        println!("{what:24} {times}, peak {} MiB, login {:.1?}", resident_peak_mib(&server), began.elapsed());
        println!("{:24} {}", "", times.beside(&quiet));
        crowd.stop();
        println!("{:24} began anew: {:?}", "", knowledge.take_rounds());
    }
    let peak = resident_peak_mib(&server);
    assert!(peak <= MEMORY_MIB_MAX, "{peak} MiB");

    runtime.block_on(async { tokio::join!(honest.close(), there.close()) });
    server.stop().exits(0);
    bystander.stop().exits(0);
}

#[test]
fn ten_thousand_idle_connections_take_at_most_200_mib() {
    let wanted = raise_open_files(MANY_IDLE, 0);
    let place = Place::new();
    let server = place.serve();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let idle = runtime.block_on(async {
        let astray = client(&place).await;
        let token = bytes(&astray.log_in("bob", "bob-demo").await.unwrap().token.to_hex());
        astray.close().await;
        let mut idle = Vec::with_capacity(wanted);
        while idle.len() < wanted {
            let at_once = (wanted - idle.len()).min(100);
            idle.extend(try_join_all((0..at_once).map(|_| idles(&place, token))).await.unwrap());
        }
        idle
    });
    let resident = resident_mib(&server, "VmRSS:");
    println!("{} idle connections: {resident} MiB resident", idle.len());
    assert!(resident <= MANY_IDLE_MIB_MAX, "{resident} MiB");
    drop(idle);
    server.stop().exits(0);
}

async fn idles(place: &Place, token: [u8; 32]) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(place.path().join("s")).await?;
    with_session(&token, &mut stream).await?;
    Ok(stream)
}

fn serve(place: &Place) -> Server {
    let (socket, memory) = (place.socket(), format!("{MEMORY_MIB_MAX}MiB"));
    Server::start(place.serve_command(&["--demo-data", "--listen", &socket, "--memory-max", &memory]))
        .unwrap()
}

/// What happens, one after the other, and at last all at once.
fn crowds(idle: usize) -> Vec<(&'static str, Vec<(Manner, usize)>)> {
    let silent = idle / 4;
    let quiet =
        vec![(Manner::Silent, silent), (Manner::Idle, silent), (Manner::IdleWithSession, idle - 2 * silent)];
    let slow = vec![(Manner::SlowSender, 200)];
    let unread = vec![(Manner::NeverReads, 400)];
    let flood = vec![(Manner::Floods, 20)];
    let broken = vec![(Manner::Garbage, 40), (Manner::Huge, 10)];
    let guesses = vec![(Manner::Guesses, 30)];
    let all = [&quiet, &slow, &unread, &flood, &broken, &guesses].into_iter().flatten().copied().collect();
    vec![
        ("idle connections:", quiet),
        ("slow senders:", slow),
        ("receivers never read:", unread),
        ("floods before a login:", flood),
        ("garbage, huge, nested:", broken),
        ("password guessing:", guesses),
        ("all of it:", all),
    ]
}

/// Lets this process and the server, which inherits it, open as many files as the system allows. Gives how many idle
/// connections fit beside the busy ones, and says so if they are fewer than wanted.
fn raise_open_files(wanted: usize, busy: usize) -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let fit = limit.maximum.map_or(u64::MAX, |files| files.saturating_sub(OTHER_FILES + busy as u64));
    let idle = usize::try_from(fit).unwrap_or(usize::MAX).min(wanted);
    if idle < wanted {
        println!(
            "NOT THE FULL TEST: the limit on open files allows {idle} idle connections instead of {wanted}"
        );
    }
    idle
}

async fn client(place: &Place) -> Client {
    // Where a server drops what is too much, an honest client is among those who come again.
    Client::connect(&place.socket().parse().unwrap(), ClientOptions::default()).await.unwrap()
}

fn bytes(hex: &str) -> [u8; 32] {
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

async fn log_in_anew(place: &Place) -> Result<(), ClientError> {
    client(place).await.log_in("alice", "alice-demo").await.map(drop)
}

async fn stock(place: &Place) {
    let admin = client(place).await;
    admin.log_in("admin", "admin-demo").await.unwrap();
    let name = "n".repeat(256);
    let define = |number| admin.define_item(Upc::new(number).unwrap(), &name, None);
    try_join_all((1..=ITEMS).map(define)).await.unwrap();
    let units = Units::new(10_000_000).unwrap();
    admin.set_initial_level(Upc::new(1).unwrap(), LocationId::MAIN, units).await.unwrap();
}

/// How long purchases took here, and at a server that nobody attacks.
struct Times([Vec<Duration>; 2]);

/// Buys one unit after the other, here and there in turn. Every purchase is carried out.
async fn purchases(clients: [&Client; 2], upc: Upc) -> Times {
    let count =
        std::env::var("INVENTORY_HOSTILE_PURCHASES").map_or(PURCHASES, |count| count.parse().unwrap());
    let mut times = [const { Vec::new() }; 2];
    for _ in 0..count {
        for (client, times) in clients.iter().zip(&mut times) {
            let key = new_order_key().unwrap();
            let order =
                Order { key, lines: OrderLine::new(upc, Units::new(1).unwrap()).into(), charge: None };
            let began = Instant::now();
            client.purchase(&order).await.unwrap();
            times.push(began.elapsed());
            // The pace of somebody who is not hostile.
            tokio::time::sleep(Duration::from_millis(1).saturating_sub(began.elapsed())).await;
        }
    }
    for times in &mut times {
        times.sort_unstable();
    }
    Times(times)
}

impl Times {
    /// In seconds, here and elsewhere.
    fn slowest_hundredth(&self) -> [f64; 2] {
        self.0.each_ref().map(|times| at(times, 99).as_secs_f64())
    }

    /// How the slowest hundredth compares with quiet times, here and elsewhere, and whether that is within the aim.
    fn beside(&self, quiet: &Self) -> String {
        let [here, there] = self.slowest_hundredth();
        let [usual, usual_control] = quiet.slowest_hundredth();
        let (of_quiet, of_control) = (here / usual, here / there);
        let verdict =
            if of_quiet <= OF_QUIET_MAX || of_control <= OF_CONTROL_MAX { "within" } else { "MISSED" };
        format!(
            "p99 {of_quiet:.1} x quiet (the control {:.1} x), {of_control:.1} x the control: {verdict}",
            there / usual_control
        )
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [here, there] = &self.0;
        for (name, of) in [("", here), ("; elsewhere ", there)] {
            write!(f, "{name}p50 {:>8.1?}  p99 {:>8.1?}  max {:>8.1?}", at(of, 50), at(of, 99), at(of, 100))?;
        }
        Ok(())
    }
}

fn at(times: &[Duration], percent: usize) -> Duration {
    times[(times.len() - 1) * percent / 100]
}

/// The most memory that the server ever had, in MiB.
fn resident_peak_mib(server: &Server) -> u64 {
    resident_mib(server, "VmHWM:")
}

/// The memory that the server has, by this line of its status, in MiB.
fn resident_mib(server: &Server, line: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let kilobytes = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    kilobytes.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1_024
}
