//! Commands on a data directory: `verify`, `history` and `stock --at`.

use std::fs;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use inventory_core::journal::{Append, GroupBuilder, Journal as _, replay};
use inventory_core::{
    AppendId, Event, Inventory, ItemId, Line, LocationId, Money, Order, OrderDigest, OrderKey, OrderLine,
    Record, Role, Time, Units, Upc, UserId, Version,
};
use inventory_store::{FileJournal, FileJournalOptions, Retain};

use crate::harness::{BANANAS, Place, Ran, TISSUES, inventory};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);

/// Runs a command that needs no server.
pub(crate) fn run(home: &Path, args: &[&str]) -> Ran {
    inventory(home).args(args).output().unwrap().into()
}

pub(crate) fn open(data: &Path) -> FileJournal {
    FileJournal::open(data, FileJournalOptions { segment_bytes: 8 << 10, prepare_ahead: false }).unwrap()
}

/// A shop on a data directory: ten units of item 1 at 2.00, sold one at a time, a second apart.
pub(crate) struct Shop {
    inventory: Inventory<FileJournal>,
    alice: UserId,
    sold: u64,
}

impl Shop {
    pub(crate) fn open(data: &Path, units: u64) -> Self {
        let mut inventory = pollster::block_on(Inventory::open(open(data), 7)).unwrap();
        let alice = pollster::block_on(async {
            inventory.define_item(NOW, item(), "soup", Some(Money::from_minor(200))).await?;
            inventory.set_initial_level(NOW, item(), Units::new(units).unwrap()).await?;
            inventory.add_user(NOW, "alice", "", Role::Buyer).await
        });
        Self { inventory, alice: alice.unwrap(), sold: 0 }
    }

    pub(crate) fn sell(&mut self, count: u64) {
        for _ in 0..count {
            self.sold += 1;
            let now = NOW.plus_micros(self.sold * 1_000_000);
            let lines = OrderLine::new(item(), Units::new(1).unwrap()).into();
            let order = Order { key: OrderKey::from_parts(now, 1), lines, charge: None };
            pollster::block_on(self.inventory.purchase(now, self.alice, order)).unwrap();
        }
    }

    pub(crate) fn save_snapshot(&mut self) {
        pollster::block_on(self.inventory.save_snapshot()).unwrap();
    }
}

fn item() -> Upc {
    Upc::new(36_000_291_452).unwrap()
}

fn copied(from: &Path, to: &Path) -> PathBuf {
    for part in ["journal", "snapshots"] {
        fs::create_dir_all(to.join(part)).unwrap();
        for entry in fs::read_dir(from.join(part)).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, to.join(part).join(path.file_name().unwrap())).unwrap();
        }
    }
    to.to_owned()
}

pub(crate) fn last_segment(data: &Path) -> PathBuf {
    let segments = fs::read_dir(data.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    segments.filter(|path| path.extension().is_some_and(|ending| ending == "seg")).max().unwrap()
}

/// Inverts the byte at this offset.
pub(crate) fn damage(path: &Path, at: usize) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let byte = fs::read(path).unwrap()[at];
    file.seek(SeekFrom::Start(at as u64)).unwrap();
    file.write_all(&[!byte]).unwrap();
}

#[test]
fn a_directory_is_verified_while_its_server_runs_and_after_it_and_as_a_copy() {
    let place = Place::new();
    let server = place.serve();
    let alice = place.logged_in("alice");
    alice.run(&["buy", TISSUES, "2"]).exits(0);
    alice.run(&["buy", BANANAS, "4"]).exits(1);
    let data = place.data();
    let verify = |data: &Path| {
        run(place.path(), &["verify", data.to_str().unwrap(), "--format", "json"]).exits(0).json()
    };
    let live = verify(&data);
    assert_eq!(
        (&live["violations"], &live["replayed_from"]),
        (&serde_json::json!([]), &serde_json::json!([0]))
    );
    let copy = verify(&copied(&data, &place.path().join("copy")));
    server.stop().exits(0);
    let stopped = verify(&data);
    assert_eq!(stopped["replayed_from"], serde_json::json!([0, live["version"]]));
    for same in ["version", "head_hash", "state_digest", "events", "groups"] {
        assert_eq!((&live[same], &copy[same]), (&stopped[same], &stopped[same]), "{same}");
    }
    let table = run(place.path(), &["verify", data.to_str().unwrap()]).exits(0);
    table.shows("all is well").shows(stopped["state_digest"].as_str().unwrap());
}

#[test]
fn verify_names_the_damage_with_its_file_and_version() {
    let place = Place::new();
    let mut shop = Shop::open(&place.data(), 1_000);
    shop.sell(40);
    shop.save_snapshot();
    shop.sell(40);
    drop(shop);
    let check = |data: &Path| run(place.path(), &["verify", data.to_str().unwrap(), "--format", "json"]);

    let in_journal = copied(&place.data(), &place.path().join("a"));
    let segment = in_journal.join("journal/00000000000000000001.seg");
    damage(&segment, 4_196);
    let found = check(&in_journal).exits(4).json();
    let violation = &found["violations"][0];
    assert_eq!((&violation["version"], &violation["offset"]), (&1.into(), &4_096.into()), "{found}");
    assert_eq!(violation["file"], segment.to_str().unwrap());
    assert_eq!(found["state_digest"], serde_json::Value::Null);
    let damaged = run(place.path(), &["history", "--data", in_journal.to_str().unwrap()]);
    damaged.exits(4).tells("is damaged").tells("`inventory verify`");

    let in_snapshot = copied(&place.data(), &place.path().join("b"));
    let snapshot = in_snapshot.join(format!("snapshots/{:020}.snap", 43));
    damage(&snapshot, 100);
    let found = check(&in_snapshot).exits(4).json();
    assert_eq!(found["violations"][0]["file"], snapshot.to_str().unwrap());
    assert_eq!((&found["version"], &found["replayed_from"]), (&83.into(), &serde_json::json!([0])));
}

#[test]
fn a_torn_end_is_told_and_is_no_violation() {
    let place = Place::new();
    let mut shop = Shop::open(&place.data(), 10);
    shop.sell(2);
    drop(shop);
    let segment = last_segment(&place.data());
    let end = fs::read(&segment).unwrap().iter().rposition(|byte| *byte != 0).unwrap();
    damage(&segment, end.next_multiple_of(8) + 8);
    let before = fs::read(&segment).unwrap();
    let data = place.data();
    run(place.path(), &["verify", data.to_str().unwrap()]).exits(0).shows("torn end").shows("all is well");
    assert!(fs::read(&segment).unwrap() == before, "nothing is changed");
}

/// Its checksums and hashes are right: only the audit can see it.
#[test]
fn verify_names_the_version_of_an_event_that_a_correct_server_cannot_have_written() {
    let place = Place::new();
    let mut shop = Shop::open(&place.data(), 10);
    shop.sell(2);
    let alice = shop.alice;
    drop(shop);
    let journal = open(&place.data());
    let (state, tip) = pollster::block_on(replay(&journal, 0)).unwrap();
    let line = Line { item: ItemId(0), location: LocationId::MAIN, units: Units::new(3).unwrap() };
    let event = Event::Purchased {
        key: OrderKey::from_parts(NOW, 99),
        user: alice,
        digest: OrderDigest(0),
        lines: vec![line].into(),
        total: Some(Money::from_minor(5)),
    };
    let mut builder = GroupBuilder::new(tip.version);
    builder.push(&Record { at: state.now(), event });
    let group = builder.seal(AppendId(1), tip.hash).unwrap();
    assert_eq!(pollster::block_on(journal.append(group)), Append::Done);
    drop(journal);
    let found = run(place.path(), &["verify", place.data().to_str().unwrap()]).exits(4);
    found.shows("at version 6: the receipt of order").shows("says 0.05; its lines come to 6.00");
}

#[test]
fn movements_are_shown_with_who_when_and_why() {
    let place = Place::new();
    let data = place.data();
    let mut shop = Shop::open(&data, 10);
    shop.sell(2);
    let data = data.to_str().unwrap();
    let history = |args: &[&str]| run(place.path(), &[&["history", "--data", data][..], args].concat());
    let (first, second) = (OrderKey::from_parts(NOW.plus_micros(1_000_000), 1), NOW.plus_micros(2_000_000));
    let table = history(&[]).exits(0).out;
    assert!(table.lines().all(|line| line == line.trim_end()), "{table:?}");
    insta::assert_snapshot!(table, @r"
    version  at                           reason         upc           location  change  on hand  user        order
          2  2026-11-21T00:00:00.000000Z  initial level  036000291452  main         +10       10  the system
          4  2026-11-21T00:00:01.000000Z  purchase       036000291452  main          -1        9  alice       01a1fb67-1be8-7000-8000-000000000001
          5  2026-11-21T00:00:02.000000Z  purchase       036000291452  main          -1        8  alice       01a1fb67-1fd0-7000-8000-000000000001
    ");
    insta::assert_snapshot!(history(&["--order", &first.to_string(), "--format", "json"]).exits(0).out, @r#"
    [
      {
        "version": 4,
        "at": "2026-11-21T00:00:01.000000Z",
        "reason": "purchase",
        "upc": "036000291452",
        "location": "main",
        "change": -1,
        "on_hand": 9,
        "user": "alice",
        "order": "01a1fb67-1be8-7000-8000-000000000001",
        "charged": null
      }
    ]
    "#);
    insta::assert_snapshot!(history(&["--since", &second.to_string(), "--format", "csv"]).exits(0).out, @r"
    version,at,reason,upc,location,change,on_hand,user,order,charged
    5,2026-11-21T00:00:02.000000Z,purchase,036000291452,main,-1,8,alice,01a1fb67-1fd0-7000-8000-000000000001,
    ");
    history(&["--until", "2026-11-21"]).exits(0).shows("initial level").shows("the system");
    history(&["--user", "alice", "--upc", TISSUES]).exits(0).shows("alice");
    history(&["--user", "bob"]).exits(2).tells("no user bob");
    history(&["--upc", BANANAS]).exits(1).tells("unknown item");
    history(&["--order", "019a9d7c-6a00-7abc-8def-0123456789ab"]).exits(1).tells("no order");
    history(&["--since", "yesterday"]).exits(2).tells("is no time");
    history(&["--since", "9999-01-01"]).exits(2).tells("in the future");
    history(&["--since", "2026-11-22", "--until", "2026-11-21"]).exits(2);
}

#[test]
fn a_refused_order_says_why_it_moved_nothing() {
    let place = Place::new();
    let server = place.serve();
    let key = "019a9d7c-6a00-7abc-8def-0123456789ab";
    let alice = place.logged_in("alice");
    // A key of this moment.
    let bought = alice.run(&["buy", BANANAS, "1", "--format", "json"]).exits(0).json()["key"].clone();
    let fresh = format!("{}{}", &bought.as_str().unwrap()[..24], &key[24..]);
    alice.run(&["buy", BANANAS, "9", "--key", &fresh]).exits(1);
    let data = place.data();
    let order = ["history", "--data", data.to_str().unwrap(), "--order", &fresh];
    run(place.path(), &order).exits(1).tells("moved nothing").tells("9 asked, 2 available");
    drop(server);
}

#[test]
fn stock_is_shown_as_it_was_at_a_version_or_a_time() {
    let place = Place::new();
    let mut shop = Shop::open(&place.data(), 10);
    shop.sell(2);
    shop.save_snapshot();
    shop.sell(3);
    let data = place.data();
    let stock = |at: &str, more: &[&str]| {
        let args = ["stock", "--at", at, "--data", data.to_str().unwrap()];
        run(place.path(), &[&args[..], more].concat())
    };
    for (at, on_hand) in [("2", 10), ("3", 10), ("4", 9), ("5", 8), ("6", 7), ("8", 5)] {
        let rows = stock(at, &["--format", "json"]).exits(0).json();
        assert_eq!((&rows[0]["on_hand"], &rows[0]["upc"]), (&on_hand.into(), &TISSUES.into()), "{at}");
    }
    // The clock of this machine may be before the shop's.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros();
    if now > u128::from(NOW.as_micros()) + 10_000_000 {
        let at = |seconds: u64| NOW.plus_micros(seconds * 1_000_000).to_string();
        for (at, on_hand) in [(at(0), 10), (at(1), 9), (at(2), 8), (at(3), 7), (at(9), 5)] {
            let rows = stock(&at, &[TISSUES, "--format", "json"]).exits(0).json();
            assert_eq!(rows[0]["on_hand"], on_hand, "{at}");
        }
    }
    stock("4", &[]).exits(0).tells("as of version 4");
    stock("0", &[]).exits(0).shows("no items");
    stock("1", &[BANANAS]).exits(1).tells("unknown item");
    stock("9", &[]).exits(1).tells("the journal ends at version 8");
    stock("2020-01-01", &[]).exits(1).tells("there was nothing yet");
    stock("9999-01-01", &[]).exits(1).tells("in the future");
    run(place.path(), &["stock", "--at", "3"]).exits(2).tells("--data");
}

#[test]
fn what_is_no_longer_kept_is_an_error_and_never_an_empty_answer() {
    let place = Place::new();
    let data = place.data();
    let mut shop = Shop::open(&data, 1_000);
    shop.sell(60);
    shop.save_snapshot();
    shop.sell(5);
    let journal = shop.inventory.into_journal();
    pollster::block_on(journal.discard_through(Version(63))).unwrap();
    drop(journal);
    assert!(!data.join("journal/00000000000000000001.seg").exists(), "something was discarded");
    let dir = data.to_str().unwrap();
    let history = |args: &[&str]| run(place.path(), &[&["history", "--data", dir][..], args].concat());
    history(&[]).exits(1).tells("movements up to version 63 are no longer kept").tells("--since");
    history(&["--since", "2026-11-21"]).exits(1).tells("no longer kept");
    let after = NOW.plus_micros(60_500_000).to_string();
    let kept = history(&["--since", &after, "--format", "json"]).exits(0).json();
    assert_eq!(kept.as_array().unwrap().len(), 5);
    let stock = |at: &str| run(place.path(), &["stock", "--at", at, "--data", dir, "--format", "json"]);
    stock("62").exits(1).tells("version 62 is no longer kept");
    assert_eq!(stock("64").exits(0).json()[0]["on_hand"], 939);
    let verified = run(place.path(), &["verify", dir, "--format", "json"]).exits(0).json();
    assert_eq!((&verified["replayed_from"], &verified["version"]), (&serde_json::json!([63]), &68.into()));
    assert!(verified["start"].as_u64().unwrap() > 0);
}

/// An order's key says from when on it can have been decided: what was before need not be kept.
#[test]
fn the_history_of_an_order_needs_no_more_than_its_time() {
    let place = Place::new();
    let data = place.data();
    let mut shop = Shop::open(&data, 1_000);
    shop.sell(60);
    shop.save_snapshot();
    shop.sell(70);
    let journal = shop.inventory.into_journal();
    pollster::block_on(journal.discard_through(Version(63))).unwrap();
    drop(journal);
    let history = |second: u64| {
        let key = OrderKey::from_parts(NOW.plus_micros(second * 1_000_000), 1).to_string();
        run(place.path(), &["history", "--data", data.to_str().unwrap(), "--order", &key, "--format", "json"])
    };
    assert_eq!(history(130).exits(0).json()[0]["on_hand"], 870);
    history(30).exits(1).tells("no longer kept");
}

#[test]
fn what_the_older_snapshot_needs_is_kept_and_read_from_compressed_segments_too() {
    let place = Place::new();
    let data = place.data();
    let mut shop = Shop::open(&data, 1_000);
    for _ in 0..3 {
        shop.sell(60);
        shop.save_snapshot();
    }
    shop.sell(5);
    let journal = shop.inventory.into_journal();
    journal.tidy(Retain::Bytes(0), NOW).unwrap();
    drop(journal);
    let dir = data.to_str().unwrap();
    let stock = |at: &str| run(place.path(), &["stock", "--at", at, "--data", dir, "--format", "json"]);
    stock("122").exits(1).tells("version 122 is no longer kept").tells("from version 123");
    for (at, on_hand) in [("123", 880), ("130", 873), ("183", 820), ("188", 815)] {
        assert_eq!(stock(at).exits(0).json()[0]["on_hand"], on_hand, "{at}");
    }
    let verified = run(place.path(), &["verify", dir, "--format", "json"]).exits(0).json();
    assert_eq!(verified["replayed_from"], serde_json::json!([123, 183]));
    let packed = fs::read_dir(data.join("journal")).unwrap().filter(|entry| {
        let path = entry.as_ref().unwrap().path();
        fs::read(path).unwrap().get(8) == Some(&2)
    });
    assert!(packed.count() > 0, "nothing was compressed");
}

#[test]
fn a_snapshot_is_saved_by_hand_beside_a_running_server_and_of_a_stopped_one() {
    let place = Place::new();
    let server = place.serve();
    let alice = place.logged_in("alice");
    alice.run(&["buy", TISSUES, "2"]).exits(0);
    alice.run(&["buy", TISSUES, "1"]).exits(0);
    let data = place.data();
    let dir = data.to_str().unwrap();
    let snapshot = || run(place.path(), &["snapshot", "--data", dir, "--format", "json"]);
    let running = snapshot().exits(0).json()["version"].as_u64().unwrap();
    snapshot().exits(0).tells("nothing happened");
    server.kill();
    let server = place.serve();
    alice.run(&["buy", TISSUES, "1"]).exits(0);
    server.kill();
    let stopped = snapshot().exits(0).json()["version"].as_u64().unwrap();
    assert!(stopped > running, "{stopped}");
    let verified = run(place.path(), &["verify", dir, "--format", "json"]).exits(0).json();
    assert_eq!(verified["replayed_from"], serde_json::json!([0, running, stopped]));
    run(place.path(), &["snapshot", "--data", "/nowhere"]).exits(2).tells("is no data directory");
}

#[test]
fn a_server_saves_snapshots_as_its_journal_grows() {
    let place = Place::new();
    let socket = place.socket();
    let often = ["--demo-data", "--listen", &socket, "--snapshot-every", "1kB"];
    let server = crate::harness::Server::start(place.serve_command(&often)).unwrap();
    let alice = place.logged_in("alice");
    let snapshots = || fs::read_dir(place.data().join("snapshots")).unwrap().count();
    let bought = (0..50).find(|_| {
        alice.run(&["buy", TISSUES, "1"]).exits(0);
        snapshots() >= 2
    });
    assert!(bought.is_some(), "no snapshot was saved");
    drop(server);
    run(place.path(), &["verify", place.data().to_str().unwrap()]).exits(0).shows("all is well");
    for wrong in [["--retain", "30"], ["--snapshot-every", "often"]] {
        place.serve_command(&wrong).output().map(Ran::from).unwrap().exits(2).tells(wrong[1]);
    }
}

#[test]
fn a_directory_without_a_journal_is_named() {
    let place = Place::new();
    let path = place.path().to_str().unwrap();
    for args in [
        &["verify", path][..],
        &["history", "--data", path],
        &["stock", "--at", "1", "--data", path],
        &["verify", "/nowhere"],
    ] {
        run(place.path(), args).exits(2).tells("is no data directory");
    }
}
