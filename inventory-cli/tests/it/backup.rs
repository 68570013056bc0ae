//! `inventory backup` and `inventory restore`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use futures_util::future::join_all;
use inventory_core::{LocationId, Order, OrderLine, Receipt, Units, Upc};
use inventory_net::client::{Client, ClientError, ClientOptions, new_order_key};
use inventory_net::transport::Address;

use crate::harness::{BANANAS, Place, Ran, Server, TISSUES, inventory};
use crate::past::{Shop, damage, last_segment, run};

/// What the clients in `Load` buy.
const GOODS: u64 = 1;
const BUYERS: usize = 4;

type Bought = (Order, Receipt);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn backup(home: &Path, data: &Path, dest: &Path) -> Ran {
    run(home, &["backup", "--data", text(data), text(dest), "--format", "json"])
}

fn restore(home: &Path, backup: &Path, data: &Path) -> Ran {
    run(home, &["restore", text(backup), "--data", text(data), "--format", "json"])
}

fn block_on<T>(what: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(what)
}

async fn log_in(address: &str, user: &str) -> Client {
    let address: Address = address.parse().unwrap();
    let client = Client::connect(&address, ClientOptions::default()).await.unwrap();
    client.log_in(user, &format!("{user}-demo")).await.unwrap();
    client
}

fn order(units: u64) -> Order {
    let lines = OrderLine::new(Upc::new(GOODS).unwrap(), Units::new(units).unwrap()).into();
    Order { key: new_order_key().unwrap(), lines, charge: None }
}

/// Clients that buy, in a thread of their own, until the other end no longer listens; each purchase is told when it is
/// acknowledged.
fn buy_on(address: String, acknowledged: mpsc::Sender<Bought>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        block_on(join_all((0..BUYERS).map(|_| async {
            let client = log_in(&address, "alice").await;
            loop {
                let order = order(1);
                let receipt = client.purchase(&order).await.unwrap();
                if acknowledged.send((order, receipt)).is_err() {
                    return;
                }
            }
        })));
    })
}

/// The unfinished directories in this one.
fn left_unfinished(parent: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| text(path).contains(".unfinished-")).collect()
}

#[test]
fn a_backup_under_load_holds_all_that_was_acknowledged_before_it_and_its_restored_copy_serves_on() {
    let place = Place::new();
    let server = place.serve();
    let goods = Upc::new(GOODS).unwrap();
    block_on(async {
        let admin = log_in(&place.socket(), "admin").await;
        admin.define_item(goods, "Goods", None).await.unwrap();
        admin.set_initial_level(goods, LocationId::MAIN, Units::new(1_000_000).unwrap()).await.unwrap();
    });
    let (acknowledge, acknowledged) = mpsc::channel();
    let buyers = buy_on(place.socket(), acknowledge);
    let mut before: Vec<Bought> = acknowledged.iter().take(300).collect();
    before.extend(acknowledged.try_iter());
    let dest = place.path().join("backups/today");
    let made = backup(place.path(), &place.data(), &dest).exits(0).json();
    // The server went on meanwhile, and goes on.
    let after: Vec<Bought> = acknowledged
        .iter()
        .filter(|(_, receipt)| receipt.version.0 > made["version"].as_u64().unwrap())
        .take(100)
        .collect();
    drop(acknowledged);
    buyers.join().unwrap();
    server.stop().exits(0);

    let latest = before.iter().map(|(_, receipt)| receipt.version.0).max().unwrap();
    assert!(made["version"].as_u64().unwrap() >= latest, "{made} does not reach {latest}");
    assert_eq!(left_unfinished(dest.parent().unwrap()), Vec::<PathBuf>::new());
    let restored = place.path().join("restored");
    assert_eq!(restore(place.path(), &dest, &restored).exits(0).json(), made);
    for copy in [&dest, &restored] {
        let verified = run(place.path(), &["verify", text(copy), "--format", "json"]).exits(0).json();
        for same in ["version", "time", "head_hash", "state_digest"] {
            assert_eq!(verified[same], made[same], "{same} of {}", copy.display());
        }
    }

    let address = format!("unix://{}", place.path().join("r").display());
    let mut serve = inventory(place.path());
    serve.args(["serve", "--listen", &address, "--data", text(&restored)]);
    let server = Server::start(serve).unwrap();
    block_on(async {
        let alice = log_in(&address, "alice").await;
        let sold =
            |client: Client| async move { 1_000_000 - client.item(goods).await.unwrap()[0].on_hand.get() };
        let sold_before = sold(alice.clone()).await;
        assert!(sold_before >= before.len() as u64);
        for (order, receipt) in &before {
            assert_eq!(alice.purchase(order).await.unwrap(), *receipt, "a retry gets the same outcome");
        }
        assert_eq!(sold(alice.clone()).await, sold_before, "and buys nothing more");
        // What was acknowledged after the backup never happened here: sent again, it happens now.
        let (lost, receipt) = &after[0];
        let anew = alice.purchase(lost).await.unwrap();
        assert_eq!((&anew.lines, anew.key), (&receipt.lines, receipt.key));
        alice.purchase(&order(2)).await.unwrap();
        assert_eq!(sold(alice.clone()).await, sold_before + 3);
        let unknown = alice.receipt(after[1].0.key).await;
        assert!(matches!(unknown, Err(ClientError::Refused(inventory_core::Refusal::UnknownOrder))));
    });
    server.stop().exits(0);
    run(place.path(), &["verify", text(&restored)]).exits(0).shows("all is well");
}

/// A shop that is not running, with a snapshot and several segments.
fn closed_shop(place: &Place) -> PathBuf {
    let mut shop = Shop::open(&place.data(), 1_000);
    shop.sell(40);
    shop.save_snapshot();
    shop.sell(40);
    place.data()
}

#[test]
fn what_a_backup_says_is_a_contract() {
    let place = Place::new();
    let data = closed_shop(&place);
    let dest = place.path().join("b");
    let made = backup(place.path(), &data, &dest).exits(0).out;
    assert_eq!(fs::read_to_string(dest.join("backup.json")).unwrap().trim(), made.trim());
    let fields: Vec<&str> = made.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!(fields, ["format", "version", "time", "head_hash", "state_digest", "bytes"]);
    let table = run(place.path(), &["backup", "--data", text(&data), text(&place.path().join("c"))]).exits(0);
    table
        .shows("version       83\ntime          2026-11-21T00:01:20.000000Z\nhead hash     ")
        .shows("bytes         ");
}

#[test]
fn an_empty_shop_is_backed_up_and_restored() {
    let place = Place::new();
    drop(crate::past::open(&place.data()));
    let dest = place.path().join("b");
    let made = backup(place.path(), &place.data(), &dest).exits(0).json();
    assert_eq!((&made["version"], &made["time"]), (&0.into(), &serde_json::Value::Null));
    restore(place.path(), &dest, &place.path().join("r")).exits(0);
}

#[test]
fn neither_writes_where_something_is() {
    let place = Place::new();
    let data = closed_shop(&place);
    let (dest, file) = (place.path().join("b"), place.path().join("file"));
    fs::write(&file, "mine").unwrap();
    backup(place.path(), &data, &data).exits(2).tells("is not empty");
    backup(place.path(), &data, &file).exits(2).tells("is no directory");
    fs::create_dir(&dest).unwrap();
    backup(place.path(), &data, &dest).exits(0);
    backup(place.path(), &data, &dest).exits(2).tells("is not empty");
    restore(place.path(), &dest, &data).exits(2).tells("is not empty");
    backup(place.path(), &place.path().join("nothing"), &place.path().join("c"))
        .exits(2)
        .tells("no data directory");
    restore(place.path(), &place.path().join("nothing"), &place.path().join("c"))
        .exits(4)
        .tells("no whole backup");
    restore(place.path(), &data, &place.path().join("c")).exits(4).tells("there is no backup.json in it");
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert!(!place.path().join("c").exists());
    assert_eq!(left_unfinished(place.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_server_does_not_write_into_a_backup() {
    let place = Place::new();
    let data = closed_shop(&place);
    let dest = place.path().join("b");
    backup(place.path(), &data, &dest).exits(0);
    run(place.path(), &["serve", "--data", text(&dest)])
        .exits(2)
        .tells("is a backup")
        .tells("inventory restore");
    restore(place.path(), &dest, &place.path().join("r")).exits(0);
}

#[test]
fn damage_in_the_source_is_found_wherever_it_is_and_nothing_is_left_behind() {
    let place = Place::new();
    let data = closed_shop(&place);
    let dest = place.path().join("b");
    let first = data.join("journal/00000000000000000001.seg");
    for (segment, at) in [(&first, 4_196), (&first, 100), (&last_segment(&data), 4_196)] {
        damage(segment, at);
        let told = backup(place.path(), &data, &dest).exits(4).tells("is damaged").tells("`inventory verify");
        told.tells(text(segment));
        assert!(!dest.exists());
        // The same byte inverted again.
        damage(segment, at);
    }
    assert_eq!(left_unfinished(place.path()), Vec::<PathBuf>::new());
    backup(place.path(), &data, &dest).exits(0);
}

#[test]
fn a_damaged_snapshot_is_left_out_of_a_backup_and_said_to_be() {
    let place = Place::new();
    let data = closed_shop(&place);
    let snapshot = data.join(format!("snapshots/{:020}.snap", 43));
    damage(&snapshot, 100);
    let dest = place.path().join("b");
    backup(place.path(), &data, &dest).exits(0).tells("left out a damaged snapshot").tells(text(&snapshot));
    restore(place.path(), &dest, &place.path().join("r")).exits(0);
}

#[test]
fn a_backup_that_is_not_what_was_written_is_not_restored() {
    let place = Place::new();
    let data = closed_shop(&place);
    let refused = |name: &str, spoil: &dyn Fn(&Path), why: &str| {
        let (dest, restored) = (place.path().join(name), place.path().join(format!("{name}-restored")));
        backup(place.path(), &data, &dest).exits(0);
        spoil(&dest);
        restore(place.path(), &dest, &restored).exits(4).tells(why).tells("another backup");
        assert!(!restored.exists(), "{name}");
    };
    let first = |dest: &Path| dest.join("journal/00000000000000000001.seg");
    refused("byte", &|dest| damage(&first(dest), 4_196), "is damaged");
    // Without its first segment a journal looks discarded there, without its last it looks whole: the backup knows better.
    refused("first", &|dest| fs::remove_file(first(dest)).unwrap(), "is not whole");
    refused("last", &|dest| fs::remove_file(last_segment(dest)).unwrap(), "is not whole");
    refused("snapshots", &|dest| fs::remove_dir_all(dest.join("snapshots")).unwrap(), "is not whole");
    refused("manifest", &|dest| fs::write(dest.join("backup.json"), "{").unwrap(), "is not what");
    assert_eq!(left_unfinished(place.path()), Vec::<PathBuf>::new());
}

/// Runs a backup that may write files of at most 4 KiB, as on a disk that becomes full.
fn backup_without_room(place: &Place, dest: &Path, is_told: bool) -> Ran {
    let trap = if is_told { "trap '' XFSZ; " } else { "" };
    let script = format!("{trap}ulimit -f 8; exec \"$@\"");
    let mut command = Command::new("sh");
    crate::harness::clean(&mut command, place.path());
    command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_inventory"), "backup", "--data"]);
    command.arg(place.data()).arg(dest).output().unwrap().into()
}

#[test]
fn a_disk_that_becomes_full_leaves_no_backup_and_says_so() {
    let place = Place::new();
    closed_shop(&place);
    let dest = place.path().join("b");
    backup_without_room(&place, &dest, true).exits(4).tells("cannot write the copy");
    assert!(!dest.exists());
    assert_eq!(left_unfinished(place.path()), Vec::<PathBuf>::new());
}

#[test]
fn a_backup_that_is_killed_half_way_has_not_its_name() {
    let place = Place::new();
    let data = closed_shop(&place);
    let dest = place.path().join("b");
    // A signal ends it at the first write beyond the limit.
    backup_without_room(&place, &dest, false).exits(-1);
    assert!(!dest.exists());
    let left = left_unfinished(place.path());
    assert_eq!(left.len(), 1);
    restore(place.path(), &left[0], &place.path().join("r")).exits(4).tells("no whole backup");
    backup(place.path(), &data, &dest).exits(0);
}

#[test]
fn a_backup_shows_what_a_data_directory_shows() {
    let place = Place::new();
    let server = place.serve();
    place.logged_in("alice").run(&["buy", TISSUES, "2"]).exits(0);
    let dest = place.path().join("b");
    backup(place.path(), &place.data(), &dest).exits(0);
    drop(server);
    run(place.path(), &["history", "--data", text(&dest), "--user", "alice"]).exits(0).shows(TISSUES);
    run(place.path(), &["stock", "--at", "9999999", "--data", text(&dest), BANANAS]).exits(1);
}
