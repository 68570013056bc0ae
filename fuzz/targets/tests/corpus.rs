//! The kept corpus (`fuzz/corpus/TARGET/`) through the same functions that the fuzzer calls, on the stable toolchain.
//!
//! `cargo test -p inventory-fuzz-targets --test corpus -- --ignored` writes the seeds that are made from golden bytes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use inventory_core::journal::{Append, Group, Journal as _, Snapshot, Tip};
use inventory_core::state::State;
use inventory_core::{
    Actor, AppendId, BulkEntries, Command, Engine, EngineConfig, Entry, LocationId, Money, NameColumn, Order,
    OrderKey, OrderLine, Posting, Role, Time, Units, Upc, UserId,
};
use inventory_fuzz_targets::{TARGETS, run};
use inventory_net::message::Op;
use inventory_store::disk::FaultDisk;
use inventory_store::{FileJournal, FileJournalOptions};

/// Most files and bytes that are kept of one target's corpus.
const FILES_MAX: usize = 64;
const BYTES_MAX: usize = 128 << 10;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn corpus(target: &str) -> PathBuf {
    root().join("fuzz/corpus").join(target)
}

#[test]
fn the_kept_corpus_breaks_no_promise_and_no_bound() {
    for (target, _) in TARGETS {
        let files: Vec<PathBuf> =
            fs::read_dir(corpus(target)).unwrap().map(|entry| entry.unwrap().path()).collect();
        let inputs: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
        let bytes: usize = inputs.iter().map(Vec::len).sum();
        println!("{target}: {} files, {bytes} bytes", files.len());
        assert!((1..=FILES_MAX).contains(&files.len()) && bytes <= BYTES_MAX, "{target}: keep few and small");
        for (path, input) in files.iter().zip(inputs) {
            let told = std::panic::catch_unwind(|| run(target, &input));
            assert!(told.is_ok(), "{} breaks a promise", path.display());
        }
    }
}

#[test]
fn every_target_has_its_program() {
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).unwrap();
    for (target, _) in TARGETS {
        let program = fs::read_to_string(root().join(format!("fuzz/fuzz_targets/{target}.rs"))).unwrap();
        assert!(program.contains(&format!("run(\"{target}\", data)")), "{target}");
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
    }
}

#[test]
#[ignore = "writes the seeds into the source tree"]
fn write_the_seeds() {
    let seed = |target: &str, name: &str, bytes: &[u8]| {
        let dir = corpus(target);
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(format!("seed-{}", name.replace([' ', '_'], "-"))), bytes).unwrap();
    };
    let with = |first: &[u8], bytes: &[u8]| [first, bytes].concat();
    let examples = examples();
    let (mut conversation, mut replies) = (vec![200], BTreeSet::new());
    for (name, rule, frame) in &examples {
        if rule.ends_with("-request") {
            seed("request", name, &frame[4..]);
            conversation.extend_from_slice(frame);
        } else if rule != "version-reply" || replies.insert(rule) {
            // One version is as good as another.
            seed("reply", name, &with(&[operation(rule)], &frame[4..]));
        }
    }
    seed("frame", "conversation", &conversation);

    let formats = root().join("inventory-store/tests/formats/1");
    let first = fs::read(formats.join("journal/00000000000000000001.seg")).unwrap();
    let records = &first[4096..=first.iter().rposition(|byte| *byte != 0).unwrap()];
    seed("record", "sample", &with(&[0], records));
    seed("record", "repaired", &with(&[1], &records[..600]));
    let length = usize::try_from(u32::from_le_bytes(records[32..36].try_into().unwrap())).unwrap();
    let group = &records[36..36 + length];
    assert!(Group::from_bytes(group.to_vec().into()).is_ok());
    seed("group", "sample", &with(&[0], group));
    seed("group", "events", &with(&[1, group[4]], &group[64..]));
    let snapshot = fs::read(formats.join("snapshots/00000000000000000084.snap")).unwrap();
    seed("snapshot", "sample", &with(&[0], &snapshot));
    seed("snapshot", "content", &with(&[1], &snapshot[10..snapshot.len() - 32]));
    let (group, snapshot) = accounts();
    let (bytes, content) = (group.bytes(), snapshot.bytes());
    seed("group", "accounts", &with(&[0], bytes));
    seed("group", "events of accounts", &with(&[1, bytes[4]], &bytes[64..]));
    seed("snapshot", "accounts", &with(&[0], content));
    seed("snapshot", "content with accounts", &with(&[1], &content[10..content.len() - 32]));
    seed("record", "accounts", &with(&[0], &records_of(group)));
    seed("segment", "nothing", &[]);
    seed("history", "nothing", &[]);
    for number in 0..HISTORIES {
        seed("history", &format!("drawn {number}"), &drawn(number));
    }
    for (name, text) in [
        ("upc", "036000291452"),
        ("units", "4611686018427387903"),
        ("money", "-92233720368547758.08"),
        ("key", "019a9d7c-6a00-7abc-8def-0123456789ab"),
        ("time", "2026-11-21T00:00:00.000001Z"),
        ("role", "administrator"),
        ("location", "main"),
        ("lines", "036000291452 2 12345678905 0"),
    ] {
        seed("text", name, text.as_bytes());
    }
    let lines = b"Marc credit $2\n\tZo\xc3\xab  debit 0.5 \r\n\xff credit 1\na debit 92233720368547758.08\nb credit .5\nc credit 1";
    seed("lines", "some", &with(&[3], lines));
    seed(
        "items",
        "two",
        b"upc,name,price,units\n036000291452,\"Soup, \"\"best\"\"\",1.89,100\n96385074,Nothing,,0\n",
    );
}

/// A first group in which accounts are made, moved between, charged, held by a floor and refused; and a snapshot behind it.
fn accounts() -> (Group, Snapshot) {
    const NOW: Time = Time::from_micros(1_795_219_200_000_000);
    let (upc, units) = (Upc::new(1).unwrap(), |units| Units::new(units).unwrap());
    let mut engine = Engine::new(State::new(1), Tip::default(), EngineConfig::default());
    let mut number = 0;
    let mut key = || {
        number += 1;
        OrderKey::from_parts(NOW, number << 8)
    };
    let amount = Money::from_minor;
    let credit = Entry::Credit { account: "alice".into(), amount: amount(900) };
    let transfer = Entry::Transfer { from: "alice".into(), to: "till".into(), amount: amount(200) };
    let debit = Entry::Debit { account: "alice".into(), amount: amount(800) };
    let mut names = NameColumn::default();
    assert!([&b"bob"[..], b"no name", b"alice", b"alice"].into_iter().all(|name| names.push(name)));
    let batch = BulkEntries::new(key(), names, [5, 6, -700, 7]).unwrap();
    let lines = vec![OrderLine::new(upc, units(2))].into();
    let order = Order { key: key(), lines, charge: Some("alice".into()) };
    let add = Command::AddUser { name: "alice".into(), password_hash: "".into(), role: Role::Buyer };
    let system = [
        add,
        Command::DefineItem { upc, name: "item".into(), price: Some(amount(11)) },
        Command::SetInitialLevel { upc, location: LocationId::MAIN, units: units(5) },
        Command::Post(Posting { key: key(), entry: credit }),
        Command::SetFloor { account: "alice".into(), floor: Some(amount(10)) },
        Command::Post(Posting { key: key(), entry: transfer }),
        Command::PostBulk(batch),
        Command::Post(Posting { key: key(), entry: debit }),
    ];
    for command in system {
        engine.submit(NOW, 0, Actor::System, command.into());
    }
    engine.submit(NOW, 0, Actor::User(UserId(1)), Command::Purchase(order).into());
    let group = engine.poll_append(AppendId(7)).unwrap();
    assert_eq!(group.records().count(), 9, "each of them is an event");
    engine.appended();
    while engine.poll_reply().is_some() {}
    (group, engine.snapshot().unwrap())
}

/// The records of a journal that holds this group.
fn records_of(group: Group) -> Vec<u8> {
    let disk = FaultDisk::new();
    let options = FileJournalOptions { segment_bytes: 8 << 10, prepare_ahead: false };
    let journal = FileJournal::open_on(Arc::new(disk.clone()), options).unwrap();
    assert!(matches!(pollster::block_on(journal.append(group)), Append::Done));
    drop(journal);
    let segment = disk.bytes("journal/00000000000000000001.seg").unwrap();
    segment[4096..=segment.iter().rposition(|byte| *byte != 0).unwrap()].to_vec()
}

/// Histories that are drawn, and how many bytes each has.
const HISTORIES: u64 = 24;
const HISTORY_BYTES: usize = 1_000;

/// Bytes of a history: mostly odd, for an even one ends a list.
fn drawn(number: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).unwrap()
    };
    (0..HISTORY_BYTES).map(|_| if next() < 24 { next() & !1 } else { next() | 1 }).collect()
}

#[test]
fn the_model_is_followed_through_histories_that_are_drawn() {
    for number in 0..10_000 {
        let told = std::panic::catch_unwind(|| run("history", &drawn(number)));
        assert!(told.is_ok(), "history {number} breaks a promise");
    }
}

/// The examples of PROTOCOL.md: name, rule, frame.
fn examples() -> Vec<(String, String, Vec<u8>)> {
    let text = fs::read_to_string(root().join("PROTOCOL.md")).unwrap();
    let attribute = |info: &str, name: &str| {
        info.split(&format!("{name}=\"")).nth(1)?.split('"').next().map(str::to_owned)
    };
    let blocks = text.split("\n```example ").skip(1).map(|block| block.split("\n```").next().unwrap());
    let example = |block: &str| {
        let (info, content) = block.split_once('\n').unwrap();
        let hex = content.split_once("\n\n").unwrap().1.lines().filter_map(|line| line.split('#').next());
        let digits: Vec<u8> = hex.flat_map(str::bytes).filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        (
            attribute(info, "name").unwrap(),
            attribute(info, "rule").unwrap(),
            digits.chunks(2).map(byte).collect(),
        )
    };
    blocks.map(example).collect()
}

/// An operation that this rule is the reply to.
fn operation(rule: &str) -> u8 {
    let op = match rule {
        "hello-reply" => Op::Hello,
        "log-in-reply" => Op::LogIn,
        "log-out-reply" => Op::LogOut,
        "account-reply" => Op::WhoAmI,
        "levels-reply" => Op::Levels,
        "version-reply" => Op::AddUser,
        "balance-reply" => Op::Balance,
        "balances-reply" => Op::Balances,
        "entries-reply" => Op::Entries,
        "posting-receipt-reply" => Op::Post,
        "return-receipt-reply" => Op::Return,
        "bulk-posting-receipt-reply" => Op::PostBulk,
        _ => Op::Purchase,
    };
    op as u8
}
