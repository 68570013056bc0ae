//! Files of every released format open, and this program still writes its own format byte by byte.
//!
//! `tests/formats/N/` is a data directory as format N wrote it, with `expected`, which says what is in it. They are
//! written by `cargo test -p inventory-store --test formats -- --ignored`; those of older formats are never touched again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use inventory_core::journal::{Auditor, Journal, replay};
use inventory_core::{
    Actor, BulkEntries, BulkOrder, Command, Entry, Inventory, LocationId, Money, NameColumn, Order, OrderKey,
    OrderLine, Posting, Return, Role, SessionId, Time, Units, Upc, UserId, Version,
};
use inventory_store::{FileJournal, FileJournalOptions, Retain, View};
use pollster::block_on;

/// The format that is written now.
const NEWEST: &str = "4";
/// Segments that were compressed later. Their bytes depend on the version of the compressor, so they are read and not compared.
const COMPRESSED: &str = "4-compressed";
const NOW: Time = Time::from_micros(1_795_219_200_000_000);

fn formats() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats")
}

fn small() -> FileJournalOptions {
    FileJournalOptions { segment_bytes: 8 << 10, prepare_ahead: false }
}

/// The files that make a data directory, by their names in it.
fn files(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for part in ["journal", "snapshots"] {
        for entry in fs::read_dir(dir.join(part)).unwrap() {
            let path = entry.unwrap().path();
            files.push((path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap()));
        }
    }
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    for (name, bytes) in files(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// What is in a data directory, replayed from its beginning and from each snapshot.
fn content(dir: &Path) -> String {
    let view = View::new(dir);
    let snapshots = view.snapshots().unwrap();
    assert_eq!(snapshots.damaged, []);
    let mut auditors = vec![Auditor::new(1)];
    let mut snapshot_versions = Vec::new();
    let report = view.read(Version::ZERO, |group| {
        for auditor in &mut auditors {
            auditor.follow(group).unwrap();
        }
        let at = snapshots.whole.iter().filter(|snapshot| snapshot.tip().version == group.last());
        for snapshot in at {
            auditors[0].check_snapshot(snapshot).unwrap();
            auditors.push(Auditor::after(snapshot, 2).unwrap());
            snapshot_versions.push(snapshot.tip().version.0);
        }
        ControlFlow::Continue(())
    });
    let report = report.unwrap();
    assert_eq!((report.damage, auditors.len()), (None, 1 + snapshots.whole.len()));
    let digest = auditors[0].state().digest();
    for auditor in &auditors {
        auditor.check_books().unwrap();
        assert_eq!((auditor.tip(), auditor.state().digest()), (report.tip, digest));
    }
    format!(
        "version {}\nhead {}\ndigest {digest}\nsegments {}\nsnapshots {snapshot_versions:?}\n",
        report.tip.version,
        report.tip.hash,
        report.segments.len()
    )
}

#[test]
fn files_of_every_format_open_and_hold_what_they_held() {
    let mut seen = 0;
    for entry in fs::read_dir(formats()).unwrap() {
        let format = entry.unwrap().path();
        let expected = fs::read_to_string(format.join("expected")).unwrap();
        let parent = tempfile::tempdir().unwrap();
        let dir = parent.path().join("data");
        copy(&format, &dir);
        assert_eq!(content(&dir), expected, "{}", format.display());
        // Also by the way a server takes, which writes a mark, and again after it.
        for _ in 0..2 {
            let journal = FileJournal::open(&dir, small()).unwrap();
            let (state, tip) = block_on(replay(&journal, 3)).unwrap();
            assert!(
                expected.contains(&tip.hash.to_string()) && expected.contains(&state.digest().to_string())
            );
            assert_eq!(block_on(journal.tip()).unwrap(), tip);
        }
        assert_eq!(content(&dir), expected, "{}", format.display());
        seen += 1;
    }
    assert!(seen > 0);
}

/// Snapshots, compression and retention on a directory that an older program left.
#[test]
fn directories_of_every_format_are_looked_after_like_new_ones() {
    for entry in fs::read_dir(formats()).unwrap() {
        let format = entry.unwrap().path();
        let expected = fs::read_to_string(format.join("expected")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        copy(&format, dir.path());
        for retain in [Retain::Everything, Retain::Bytes(0)] {
            let journal = FileJournal::open(dir.path(), small()).unwrap();
            journal.take_snapshot().unwrap();
            journal.tidy(retain, NOW).unwrap();
            drop(journal);
            let report = View::new(dir.path()).read(Version::ZERO, |_| ControlFlow::Continue(())).unwrap();
            assert_eq!(report.damage, None);
            assert_eq!(report.start > Version::ZERO, retain != Retain::Everything);
            let is_packed = fs::read(&report.segments[0].path).unwrap()[8] == 2;
            assert!(is_packed || report.segments.len() == 1, "{}: {report:?}", format.display());
            let journal = FileJournal::open(dir.path(), small()).unwrap();
            let (state, tip) = block_on(replay(&journal, 3)).unwrap();
            for held in [tip.hash.to_string(), state.digest().to_string()] {
                assert!(expected.contains(&held), "{}", format.display());
            }
        }
    }
}

/// A change of a byte here is a change of format: files of the old one stay, and the number goes up.
#[test]
fn the_format_written_is_the_newest_byte_by_byte() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    write_sample(&dir);
    let (written, kept) = (files(&dir), files(&formats().join(NEWEST)));
    let names = |files: &[(PathBuf, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&written), names(&kept));
    for ((name, written), (_, kept)) in written.iter().zip(&kept) {
        let differs = written.iter().zip(kept).position(|(a, b)| a != b);
        assert_eq!((differs, written.len()), (None, kept.len()), "{}", name.display());
    }
}

/// Each row of a `hex` block is an offset and the bytes there, in the first segment or the one that the block names.
#[test]
fn the_worked_bytes_of_the_documentation_are_those_of_the_sample() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = fs::read_to_string(root.join("docs/journal-format.md")).unwrap();
    let journal = formats().join(NEWEST).join("journal");
    let mut checked = 0;
    for block in text.split("```hex").skip(1) {
        let (segment, rows) = block.split("```").next().unwrap().split_once('\n').unwrap();
        let segment: u64 = if segment.is_empty() { 1 } else { segment.trim().parse().unwrap() };
        let sample = fs::read(journal.join(format!("{segment:020}.seg"))).unwrap();
        for row in rows.lines() {
            let mut words = row.split_whitespace();
            let offset: usize = words.next().unwrap().parse().unwrap();
            let bytes: Vec<u8> = words.map(|word| u8::from_str_radix(word, 16).unwrap()).collect();
            assert_eq!(sample[offset..offset + bytes.len()], bytes, "{row}");
            checked += bytes.len();
        }
    }
    assert!(checked > 300, "only {checked} bytes seen");
}

#[test]
#[ignore = "writes the sample files of the newest format into the source tree"]
fn write_the_sample_files() {
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    write_sample(&dir);
    let kept = formats().join(NEWEST);
    copy(&dir, &kept);
    fs::write(kept.join("expected"), content(&dir)).unwrap();
    let journal = FileJournal::open(&dir, small()).unwrap();
    journal.tidy(Retain::Everything, NOW).unwrap();
    drop(journal);
    let compressed = formats().join(COMPRESSED);
    copy(&dir, &compressed);
    fs::write(compressed.join("expected"), content(&dir)).unwrap();
}

/// Every kind of event and of recorded refusal, several segments, two snapshots; the same bytes every time.
fn write_sample(dir: &Path) {
    let mut shop = block_on(Inventory::open(FileJournal::open(dir, small()).unwrap(), 7)).unwrap();
    let (soup, bread, nothing) =
        (Upc::new(36_000_291_452).unwrap(), Upc::new(12_345_678_905).unwrap(), Upc::new(96_385_074).unwrap());
    let units = |number| Units::new(number).unwrap();
    let line = |upc, number| OrderLine::new(upc, units(number));
    let mut do_all = |steps: Vec<(Actor, Command)>| {
        for (actor, command) in steps {
            // Refusals are part of the sample.
            let _ = block_on(shop.execute(NOW, actor, command));
        }
        block_on(shop.save_snapshot()).unwrap();
    };
    let system = |command| (Actor::System, command);
    let define = |upc, name: &str, price: Option<i64>| {
        let price = price.map(Money::from_minor);
        system(Command::DefineItem { upc, name: name.into(), price })
    };
    let level =
        |upc, location, number| system(Command::SetInitialLevel { upc, location, units: units(number) });
    let user = |name: &str, role| {
        system(Command::AddUser { name: name.into(), password_hash: "$argon2id$".into(), role })
    };
    let buy = |key: u128, lines: Vec<OrderLine>| {
        let order = Order { key: OrderKey::from_parts(NOW, key << 8), lines: lines.into(), charge: None };
        (Actor::User(UserId(1)), Command::Purchase(order))
    };
    let session = |byte| SessionId([byte; 32]);
    do_all(vec![
        define(soup, "Tomato soup", Some(189)),
        define(bread, "Rye bread, 500 g — «Müller»", None),
        level(soup, LocationId::MAIN, 1_000),
        level(bread, LocationId::MAIN, 3),
        level(bread, LocationId(7), u64::MAX / 4),
        user("alice", Role::Buyer),
        user("admin", Role::Administrator),
        system(Command::LogIn { user: UserId(1), session: session(1) }),
        system(Command::LogIn { user: UserId(2), session: session(2) }),
        (Actor::Session(session(2)), Command::LogOut),
        buy(1, vec![line(soup, 2)]),
        buy(2, vec![line(soup, 2), line(bread, 1), line(soup, 1)]),
    ]);
    let refused = vec![
        buy(3, vec![line(soup, 5_000), line(bread, 9)]),
        buy(4, vec![line(nothing, 1)]),
        buy(5, vec![line(soup, 0)]),
        buy(6, vec![line(soup, u64::MAX / 4), line(soup, 1)]),
        buy(7, vec![line(soup, 1); 1_025]),
        buy(8, vec![]),
    ];
    let mut more = refused;
    more.push(define(soup, "Tomato soup, 400 ml", Some(199)));
    // 64 sessions and one more, which ends the oldest.
    more.extend((3..=67).map(|byte| system(Command::LogIn { user: UserId(1), session: session(byte) })));
    do_all(more);
    do_all((9..40).map(|key| buy(key, vec![line(soup, 1)])).collect());
    let buy_bulk = |key: u128, location, upcs: &[Upc], units: &[u32]| {
        let order = BulkOrder::new(OrderKey::from_parts(NOW, key << 8), location, upcs, units);
        (Actor::User(UserId(1)), Command::PurchaseBulk(order.unwrap()))
    };
    do_all(vec![
        buy_bulk(40, LocationId::MAIN, &[soup, soup], &[2, 3]),
        buy_bulk(41, LocationId(7), &[bread, nothing, soup, nothing, bread], &[4, 1, 1, 0, u32::MAX]),
    ]);
    let post =
        |key: u128, entry| system(Command::Post(Posting { key: OrderKey::from_parts(NOW, key << 8), entry }));
    let money = Money::from_minor;
    let post_bulk = |key: u128, rows: &[(&str, i64)]| {
        let mut names = NameColumn::default();
        assert!(rows.iter().all(|(name, _)| names.push(name.as_bytes())));
        let amounts: Vec<i64> = rows.iter().map(|(_, amount)| *amount).collect();
        let batch = BulkEntries::new(OrderKey::from_parts(NOW, key << 8), names, amounts);
        system(Command::PostBulk(batch.unwrap()))
    };
    let charge = |key: u128, account: &str, lines: Vec<OrderLine>| {
        let charge = Some(account.into());
        let order = Order { key: OrderKey::from_parts(NOW, key << 8), lines: lines.into(), charge };
        (Actor::User(UserId(1)), Command::Purchase(order))
    };
    do_all(vec![
        charge(42, "alice", vec![line(soup, 1)]),
        post(43, Entry::Credit { account: "alice".into(), amount: money(1_000) }),
        post(44, Entry::Debit { account: "Zoë".into(), amount: money(5) }),
        post(45, Entry::Transfer { from: "Zoë".into(), to: "Marc".into(), amount: money(200) }),
        system(Command::SetFloor { account: "alice".into(), floor: Some(money(-100)) }),
        system(Command::SetFloor { account: "Marc".into(), floor: Some(money(0)) }),
        system(Command::SetFloor { account: "Marc".into(), floor: None }),
        charge(46, "alice", vec![line(soup, 2)]),
        charge(47, "alice", vec![line(soup, 4)]),
        charge(48, "alice", vec![line(bread, 1)]),
        post(49, Entry::Debit { account: "alice".into(), amount: money(703) }),
        post(50, Entry::Credit { account: "Marc".into(), amount: money(i64::MAX) }),
        post_bulk(51, &[("Marc", 200), ("Marc", -100)]),
        post_bulk(52, &[("Marc", 1), ("Anna", -7), ("no name", 1), ("alice", -703), ("Marc", i64::MAX)]),
    ]);
    do_all(returns(soup, bread, nothing));
}

/// Orders charged by line, and returns of them and of others, whole, in part and refused.
fn returns(soup: Upc, bread: Upc, nothing: Upc) -> Vec<(Actor, Command)> {
    let key_of = |number: u128| OrderKey::from_parts(NOW, number << 8);
    let line = |upc, number| OrderLine::new(upc, Units::new(number).unwrap());
    let elsewhere = |number| OrderLine { location: LocationId(3), ..line(soup, number) };
    let give_back = |key: u128, order: u128, lines: Vec<OrderLine>| {
        let (key, order) = (key_of(key), key_of(order));
        let wanted = Return { key, order, lines: lines.into(), evidence: None };
        (Actor::User(UserId(1)), Command::Return(wanted))
    };
    let (location, units) = (LocationId(3), Units::new(10).unwrap());
    let entry = Entry::Credit { account: "alice".into(), amount: Money::from_minor(2_000) };
    let lines = vec![line(soup, 3), elsewhere(2)].into();
    let order = Order { key: key_of(54), lines, charge: Some("alice".into()) };
    let mut steps = vec![
        (Actor::System, Command::SetInitialLevel { upc: soup, location, units }),
        (Actor::System, Command::Post(Posting { key: key_of(53), entry })),
        (Actor::User(UserId(1)), Command::Purchase(order)),
        give_back(55, 54, vec![elsewhere(1), line(soup, 2)]),
        give_back(56, 54, vec![]),
        give_back(57, 46, vec![]),
        give_back(58, 2, vec![line(bread, 1)]),
        give_back(59, 1, vec![line(soup, 3), line(nothing, 1)]),
        give_back(60, 56, vec![]),
        give_back(61, 62, vec![]),
        give_back(62, 1, vec![line(soup, 0)]),
        give_back(63, 1, vec![line(soup, 1); 1_025]),
        give_back(64, 1, vec![line(soup, u64::MAX / 4), line(soup, 1)]),
    ];
    // Many orders of which something came back.
    steps.extend((9..24).map(|order| give_back(order + 56, order, vec![])));
    steps
}
