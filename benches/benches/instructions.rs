//! Instructions of the hot path, counted by valgrind's callgrind: no noise, so that a few percent show.
//!
//! `scripts/instructions` counts and compares with `benches/instructions.txt`; more than 5 % above it is an error.
//! `scripts/instructions --renew` writes the counts there, to be committed with what changed them.
//!
//! Only what runs inside [`counted`] counts. The counts belong to a compiler and a target: with another one they are
//! printed and not compared. The C library and BLAKE3 choose code by the processor's features, of which valgrind
//! shows those up to AVX2.
#![allow(missing_docs, reason = "the main function of a bench")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use inventory_benches::server::{fill, runtime, session};
use inventory_benches::{AnyError, BUYER, NOW, engine, ledger_lines, order, receipt_of, settle, upc};
use inventory_core::journal::{GroupBuilder, MemoryJournal};
use inventory_core::machine::{Decision, apply, decide};
use inventory_core::{
    Actor, AppendId, BulkEntries, Command as Wanted, Hash, NameColumn, OrderKey, Record, Time, Version,
};
use inventory_load::shop::{Buying, Purchases, connect};
use inventory_load::workload::Skew;
use inventory_load::{Exchange as _, Lane};
use inventory_net::frame;
use inventory_net::ledger_lines::LineReader;
use inventory_net::limits::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES};
use inventory_net::message::{
    Done, Op, ReplyBody, RequestBody, RequestId, decode_reply, decode_request, encode_reply, encode_request,
};
use inventory_net::server::{Server, ServerOptions};
use inventory_net::service::{Service, ServiceOptions};
use inventory_net::transport::Address;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Purchases that each case makes; rows that a case of entries posts are counted in the same number.
const PURCHASES: u64 = 1_024;
/// Purchases that one group carries.
const GROUP: usize = 64;
/// Rows of a posting for each purchase of the other cases.
const ROWS_EACH: u64 = 4;
/// Accounts that they go to.
const ACCOUNTS: u64 = 1_000;
/// Items of the shop.
const ITEMS: u64 = 10_000;
/// How much more may be counted than before.
const TOLERANCE: f64 = 1.05;
/// What a case is called and what it does once for each purchase.
type Case = (&'static str, fn() -> Result<(), AnyError>);

const CASES: [Case; 11] = [
    ("decide_and_apply", decide_and_apply),
    ("post_rows", post_rows),
    ("engine", through_the_engine),
    ("encode_group", encode_group),
    ("decode_group", decode_group),
    ("decode_request", decode_a_request),
    ("encode_receipt", encode_a_receipt),
    ("decode_receipt", decode_a_receipt),
    ("read_line", read_lines),
    ("served_one", || serve(64, 1)),
    ("served_in_flight", || serve(8, 64)),
];

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode, AnyError> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let said = |option: &str| args.iter().any(|arg| arg == option);
    if let Some(place) = args.iter().position(|arg| arg == "--count") {
        let wanted = args.get(place + 1).ok_or("--count what?")?;
        let case = CASES.iter().find(|case| case.0 == wanted).ok_or("there is no such case")?;
        case.1()?;
        return Ok(ExitCode::SUCCESS);
    }
    if !said("--bench") {
        // Under `cargo test` each case runs once, to show that it runs at all.
        CASES.iter().try_for_each(|case| case.1())?;
        return Ok(ExitCode::SUCCESS);
    }
    if Command::new("valgrind").arg("--version").output().is_err() {
        println!("instructions: skipped, valgrind is not installed");
        return Ok(ExitCode::SUCCESS);
    }
    let counts: BTreeMap<&str, u64> =
        CASES.iter().map(|case| Ok((case.0, count(case.0)?))).collect::<Result<_, AnyError>>()?;
    let toolchain = toolchain()?;
    if said("--renew") {
        let mut text = format!("{toolchain}\n");
        for (name, count) in &counts {
            writeln!(text, "{name} {count}")?;
        }
        std::fs::write(figures(), text)?;
    }
    compare(&counts, &toolchain)
}

/// What is counted: everything that happens in it, whatever it is called from.
#[inline(never)]
fn counted<R>(work: impl FnOnce() -> R) -> R {
    black_box(work())
}

/// Instructions of a case for each purchase.
fn count(case: &str) -> Result<u64, AnyError> {
    let output = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--callgrind-out-file=/dev/null",
            "--toggle-collect=instructions::counted*",
        ])
        .arg(std::env::current_exe()?)
        .args(["--count", case])
        .output()?;
    let told = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("{case}: {told}").into());
    }
    let total = told.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse::<u64>().ok());
    match total {
        Some(total) if total > PURCHASES => Ok(total / PURCHASES),
        _ => Err(format!("{case}: nothing was counted: {told}").into()),
    }
}

/// The compiler and the target, in one line.
fn toolchain() -> Result<String, AnyError> {
    let output = Command::new("rustc").arg("-vV").output()?;
    let text = String::from_utf8(output.stdout)?;
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    Ok(format!("rustc {} {}", value("release:").ok_or("rustc -vV")?, value("host:").ok_or("rustc -vV")?))
}

fn figures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("instructions.txt")
}

fn compare(counts: &BTreeMap<&str, u64>, toolchain: &str) -> Result<ExitCode, AnyError> {
    let committed = std::fs::read_to_string(figures())?;
    let (belongs_to, rows) = committed.split_once('\n').ok_or("instructions.txt is empty")?;
    let before: BTreeMap<&str, u64> = rows
        .lines()
        .filter_map(|row| row.split_once(' '))
        .map(|(name, count)| Ok((name, count.parse()?)))
        .collect::<Result<_, AnyError>>()?;
    let comparable = belongs_to == toolchain;
    if !comparable {
        println!("not compared: the committed counts are of {belongs_to}, this is {toolchain}");
    }
    println!("{:<18} {:>12} {:>12} {:>8}", "per purchase", "instructions", "committed", "change");
    let mut worse = Vec::new();
    for (name, count) in counts {
        let Some(before) = before.get(name) else {
            return Err(format!("{name} is not in instructions.txt: scripts/instructions --renew").into());
        };
        #[expect(clippy::cast_precision_loss, reason = "counts of instructions of one purchase")]
        let change = *count as f64 / (*before).max(1) as f64;
        println!("{name:<18} {count:>12} {before:>12} {:>+7.1}%", (change - 1.0) * 100.0);
        if change > TOLERANCE {
            worse.push(*name);
        }
    }
    if comparable && !worse.is_empty() {
        println!("more than 5 % worse: {}; if it has to be, scripts/instructions --renew", worse.join(", "));
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// One-line purchases of scattered items, each under its key.
fn commands() -> Result<Vec<Wanted>, AnyError> {
    let wanted = |sequence: u64| {
        let item = upc(sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) % ITEMS)?;
        Ok(Wanted::Purchase(order(sequence, item)))
    };
    (0..PURCHASES).map(wanted).collect()
}

fn time_at(sequence: u64) -> Time {
    NOW.plus_micros(sequence * 10)
}

fn decide_and_apply() -> Result<(), AnyError> {
    let mut state = engine(ITEMS)?.into_state();
    let commands = commands()?;
    counted(|| {
        for (sequence, command) in (0..).zip(&commands) {
            let at = time_at(sequence);
            if let Decision::Happens(event) = decide(&state, at, BUYER, command) {
                black_box(apply(&mut state, &Record { at, event }));
            }
        }
    });
    Ok(())
}

/// One posting of 4,096 rows to accounts that are there. What is printed as of one purchase is of [`ROWS_EACH`] rows.
fn post_rows() -> Result<(), AnyError> {
    let mut state = engine(1)?.into_state();
    let each = entries(1, ACCOUNTS, |row| row)?;
    let scattered =
        entries(2, PURCHASES * ROWS_EACH, |row| row.wrapping_mul(0x9e37_79b9_7f4a_7c15) % ACCOUNTS)?;
    let mut post = |at, command: &Wanted| match decide(&state, at, Actor::System, command) {
        Decision::Happens(event) => Ok(apply(&mut state, &Record { at, event })),
        Decision::Stands(reply) => Err(format!("{reply:?}")),
    };
    post(time_at(1), &Wanted::PostBulk(each))?;
    let scattered = Wanted::PostBulk(scattered);
    counted(|| post(time_at(2), &scattered))?;
    Ok(())
}

/// A batch of so many rows, each to one of the accounts.
fn entries(sequence: u64, rows: u64, account_of: fn(u64) -> u64) -> Result<BulkEntries, AnyError> {
    let mut names = NameColumn::default();
    let mut amounts = Vec::new();
    for row in 0..rows {
        let account = account_of(row);
        if !names.push(format!("account-{account:04}").as_bytes()) {
            return Err("a name too many".into());
        }
        amounts.push(if row % 2 == 0 { 200 } else { -100 });
    }
    Ok(BulkEntries::new(OrderKey::from_parts(NOW, u128::from(sequence) << 8), names, amounts)?)
}

fn through_the_engine() -> Result<(), AnyError> {
    let mut shop = engine(ITEMS)?;
    let commands = commands()?;
    counted(|| {
        for (sequence, command) in (1..).zip(commands) {
            shop.submit(time_at(sequence), sequence, BUYER, command.into());
            if sequence % GROUP as u64 == 0 {
                settle(&mut shop);
            }
        }
    });
    Ok(())
}

/// What the purchases are in the journal.
fn records() -> Result<Vec<Record>, AnyError> {
    let state = engine(ITEMS)?.into_state();
    let record = |(sequence, command)| {
        let at = time_at(sequence);
        match decide(&state, at, BUYER, &command) {
            Decision::Happens(event) => Ok(Record { at, event }),
            Decision::Stands(reply) => Err(format!("{reply:?}").into()),
        }
    };
    (0..).zip(commands()?).map(record).collect()
}

fn encode_group() -> Result<(), AnyError> {
    let records = records()?;
    counted(|| {
        for records in records.chunks(GROUP) {
            let mut group = GroupBuilder::new(Version::ZERO);
            for record in records {
                group.push(record);
            }
            black_box(group.seal(AppendId(1), Hash::ZERO));
        }
    });
    Ok(())
}

fn decode_group() -> Result<(), AnyError> {
    let mut group = GroupBuilder::new(Version::ZERO);
    for record in &records()? {
        group.push(record);
    }
    let group = group.seal(AppendId(1), Hash::ZERO).ok_or("an empty group")?;
    let decoded = counted(|| group.records().filter(|record| black_box(record).is_ok()).count());
    if decoded as u64 == PURCHASES { Ok(()) } else { Err("a group that cannot be read".into()) }
}

fn decode_a_request() -> Result<(), AnyError> {
    let id = RequestId::new(7).ok_or("an id")?;
    let request = RequestBody::Purchase(order(1, upc(7)?));
    let mut bytes = BytesMut::new();
    frame::append(&mut bytes, FRAME_BYTES_MAX, |to| encode_request(to, id, &request))?;
    let decoded = counted(|| {
        let decode = || decode_request(frame::first_payload(black_box(&bytes), FRAME_BYTES_MAX).ok()??).ok();
        (0..PURCHASES).filter(|_| black_box(decode()).is_some()).count()
    });
    if decoded as u64 == PURCHASES { Ok(()) } else { Err("a request that cannot be read".into()) }
}

fn encode_a_receipt() -> Result<(), AnyError> {
    let id = RequestId::new(7).ok_or("an id")?;
    let reply = ReplyBody::Done(Done::Receipt(receipt_of(&order(1, upc(7)?))));
    let mut out = BytesMut::with_capacity(4 << 10);
    counted(|| {
        (0..PURCHASES).try_for_each(|_| {
            out.clear();
            frame::append(&mut out, FRAME_BYTES_MAX, |to| encode_reply(to, Some(id), black_box(&reply)))
        })
    })?;
    Ok(())
}

fn decode_a_receipt() -> Result<(), AnyError> {
    let id = RequestId::new(7).ok_or("an id")?;
    let reply = ReplyBody::Done(Done::Receipt(receipt_of(&order(1, upc(7)?))));
    let mut payload = BytesMut::new();
    encode_reply(&mut payload, Some(id), &reply)?;
    let decoded = counted(|| {
        let decode = || decode_reply(black_box(&payload), |_| Some(Op::Purchase)).ok();
        (0..PURCHASES).filter(|_| black_box(decode()).is_some()).count()
    });
    if decoded as u64 == PURCHASES { Ok(()) } else { Err("a receipt that cannot be read".into()) }
}

/// As many lines of credits and debits as there are purchases.
fn read_lines() -> Result<(), AnyError> {
    let text = ledger_lines(PURCHASES);
    let mut sum = 0i64;
    counted(|| {
        let add = |line: Result<(&[u8], i64), _>| sum = sum.wrapping_add(line.map_or(0, |(_, minor)| minor));
        LineReader::default().push(black_box(text.as_bytes()), add);
    });
    if sum == 0 { Err("lines that cannot be read".into()) } else { Ok(()) }
}

/// The way through the whole server, from bytes to bytes: so many connections in memory, each with so many purchases in
/// flight, a journal in memory, all on one thread. What the client does to write and find the answers is in it.
fn serve(connections: usize, in_flight: u32) -> Result<(), AnyError> {
    let rounds = PURCHASES / connections as u64 / u64::from(in_flight);
    let runtime = runtime()?;
    let mut lanes = runtime.block_on(async {
        let service = Service::open(Arc::new(MemoryJournal::new()), ServiceOptions::default()).await?;
        fill(&service, ITEMS).await?;
        let mut server = Server::new(service, ServerOptions::default())?;
        let address: Address = "memory://instructions".parse()?;
        server.bind(&address).await?;
        tokio::spawn(server.run(std::future::pending()));
        let buying = Buying { in_flight, items: ITEMS, skew: Skew::Uniform, batch: 1, reads_percent: 0 };
        let session = session(&address).await?;
        let lanes = connect(&address, &session, connections, &buying).await?;
        Ok::<_, AnyError>(lanes)
    })?;
    // A round before those that count: what is made once is there then.
    let mut requests = requests(&mut lanes, in_flight, rounds + 1)?.into_iter();
    let first = requests.next().ok_or("no round")?;
    runtime.block_on(exchange(&mut lanes, &first, in_flight))?;
    counted(|| {
        runtime.block_on(async {
            for round in requests {
                exchange(&mut lanes, &round, in_flight).await?;
            }
            Ok(())
        })
    })
}

/// What each lane sends in each round.
fn requests(
    lanes: &mut [Lane<Purchases>],
    in_flight: u32,
    rounds: u64,
) -> Result<Vec<Vec<BytesMut>>, AnyError> {
    let mut of_lane = |lane: &mut Lane<Purchases>| {
        let mut bytes = BytesMut::new();
        (0..in_flight).try_for_each(|slot| lane.exchange.ask(slot, &mut bytes))?;
        Ok(bytes)
    };
    (0..rounds).map(|_| lanes.iter_mut().map(&mut of_lane).collect()).collect()
}

/// One round: all lanes ask, then each takes its answers.
async fn exchange(
    lanes: &mut [Lane<Purchases>],
    requests: &[BytesMut],
    in_flight: u32,
) -> Result<(), AnyError> {
    for (lane, request) in lanes.iter_mut().zip(requests) {
        lane.stream.write_all(request).await?;
    }
    let mut input = BytesMut::with_capacity(16 << 10);
    for lane in lanes {
        for _ in 0..in_flight {
            let frame_bytes = loop {
                match frame::first_payload(&input, FRAME_BYTES_MAX)? {
                    Some(payload) => break FRAME_HEADER_BYTES + payload.len(),
                    None => lane.stream.read_buf(&mut input).await?,
                };
            };
            input.advance(frame_bytes);
        }
    }
    Ok(())
}
