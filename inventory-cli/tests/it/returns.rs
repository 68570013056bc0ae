//! Returns on the command line: units and money come back once, whatever happens in between.

use std::path::Path;
use std::process::Stdio;

use inventory_core::journal::Journal as _;
use inventory_core::{Inventory, Order, OrderKey, OrderLine, Role, Time, Upc};
use inventory_net::clock::{Clock as _, SystemClock};
use inventory_net::password::{PasswordOptions, Passwords};
use inventory_store::{FileJournal, FileJournalOptions};
use serde_json::Value;

use crate::harness::{BANANAS, Client, Place, Ran, Server, TISSUES, piped};
use crate::past::run;
use crate::proxy::{Loses, Proxy};

/// A server, and alice, who bought five boxes of tissues and two bananas; and the key of her order.
fn shop() -> (Place, Server, Client, String) {
    let place = Place::new();
    let server = place.serve();
    let alice = place.logged_in("alice");
    let order = buy(&alice, &[TISSUES, "5", BANANAS, "2"]);
    (place, server, alice, order)
}

#[track_caller]
fn buy(client: &Client, lines: &[&str]) -> String {
    let bought = client.run(&[&["buy"], lines, &["--format", "json"]].concat()).exits(0).json();
    bought["key"].as_str().unwrap().to_owned()
}

/// Units of tissues held and available.
fn tissues(client: &Client) -> (u64, u64) {
    (client.held(TISSUES), client.available(TISSUES))
}

fn key_of_now() -> String {
    inventory_net::client::new_order_key().unwrap().to_string()
}

#[test]
fn units_come_back_until_none_is_left() {
    let (_place, _server, alice, order) = shop();
    let some = alice.run(&["return", &order, TISSUES, "2"]).exits(0);
    let some = some.shows("alice returned, return ").shows(&format!("\nof order {order}, at "));
    assert!(!some.out.contains("refunded"), "nobody had paid: {some:#?}");
    assert_eq!(tissues(&alice), (3, 97));
    alice.run(&["return", &order, TISSUES, "4", BANANAS, "2"]).exits(1).tells(&format!(
        "refused: more would come back than is left of the order: {TISSUES} at main: 4 asked, 3 left"
    ));
    let rest = alice.run(&["return", &order, "--format", "csv"]).exits(0);
    let rows: Vec<Vec<&str>> = rest.out.lines().map(|line| line.split(',').collect()).collect();
    assert_eq!(rows[0].join(","), "key,version,user,at,order,upc,location,units,refund,refunded");
    assert_eq!(rows[1][4..], [&*order, TISSUES, "main", "3", "", ""]);
    assert_eq!(rows[2][4..], [&*order, BANANAS, "main", "2", "", ""]);
    assert_eq!((alice.held(TISSUES), alice.held(BANANAS), alice.available(TISSUES)), (0, 0, 100));
    alice.run(&["mine"]).exits(0).shows("nothing held");

    let nothing = alice.run(&["return", &order, "--format", "json"]).exits(1);
    let told: Value = serde_json::from_str(&nothing.err).unwrap();
    assert_eq!((&told["refusal"], &told["code"]), (&"exceeds_purchase".into(), &35.into()));
    assert_eq!(told["message"], format!("everything of order {order} has come back already"));
    assert_eq!((&told["lines"][0]["requested"], &told["lines"][0]["available"]), (&5.into(), &0.into()));
}

#[test]
fn what_an_account_paid_comes_back_to_it_at_the_price_of_then() {
    let (place, _server, alice, first) = shop();
    let admin = place.logged_in("admin");
    alice.run(&["return", &first]).exits(0);
    admin.run(&["ledger", "post", "credit", "alice", "20"]).exits(0);
    let order = buy(&alice, &[TISSUES, "2", BANANAS, "3", "--charge", "alice"]);
    admin.run(&["item", "define", TISSUES, "Tissues", "--price", "99.00"]).exits(0);
    let back = ["return", &order, TISSUES, "1", BANANAS, "2"];
    let shown = alice.run(&back).exits(0).shows(&format!("\nof order {order}, refunded 4.07 to alice, at "));
    let key = shown.out.split("return ").nth(1).unwrap().lines().next().unwrap().to_owned();
    let told = alice.run(&["receipt", &key, "--format", "json"]).exits(0).json();
    assert_eq!(
        (&told["order"], &told["refund"], &told["refunded"]),
        (&order.clone().into(), &407.into(), &"alice".into())
    );
    assert_eq!(told["lines"].as_array().unwrap().len(), 2);
    alice.run(&["receipt", &key]).exits(0).shows("refunded 4.07 to alice");

    let entries = alice.run(&["ledger", "entries", "alice", "--format", "json"]).exits(0).json();
    let last = entries.as_array().unwrap().last().unwrap();
    assert_eq!(
        (&last["reason"], &last["change"], &last["key"]),
        (&"refund".into(), &407.into(), &order.clone().into())
    );
    let data = place.data();
    let history = ["history", "--data", data.to_str().unwrap(), "--format", "json", "--order"];
    let moved = alice.run(&[&history[..], &[&order]].concat()).exits(0).json();
    let reasons: Vec<_> =
        moved.as_array().unwrap().iter().map(|row| (&row["reason"], &row["change"])).collect();
    assert_eq!(reasons[2..], [(&"return".into(), &1.into()), (&"return".into(), &2.into())]);
    let moved = alice.run(&[&history[..], &[&key]].concat()).exits(0).json();
    assert_eq!(moved.as_array().unwrap().len(), 2, "a return is found by its own key too");
    alice.run(&["verify", data.to_str().unwrap()]).exits(0).shows("all is well");
}

#[test]
fn a_return_repeated_under_its_key_comes_back_once_also_from_elsewhere() {
    let (place, server, alice, order) = shop();
    let key = key_of_now();
    let back = ["return", &*order, TISSUES, "2", "--key", &*key];
    let first = alice.run(&back).exits(0);
    assert_eq!(alice.run(&back).exits(0).out, first.out);
    server.kill();
    let _server = place.serve();
    assert_eq!(alice.run(&back).exits(0).out, first.out);
    // Another client of hers knows of neither the order nor the return: its own holdings are others.
    let other = place.client("elsewhere");
    other.log_in("alice").exits(0);
    buy(&other, &[TISSUES, "1"]);
    assert_eq!(other.run(&back).exits(0).out, first.out);
    other.run(&["return", &order, TISSUES, "1"]).exits(0);
    assert_eq!((other.held(TISSUES), tissues(&alice)), (1, (3, 97)));
    alice.run(&["return", &order, TISSUES, "1", "--key", &key]).exits(1).tells("key");
    assert_eq!(tissues(&alice), (3, 97));
}

#[test]
fn only_an_administrator_returns_what_another_bought() {
    let (place, _server, alice, order) = shop();
    let (bob, admin) = (place.logged_in("bob"), place.logged_in("admin"));
    bob.run(&["return", &order])
        .exits(1)
        .tells("refused: no order, return or entry that you may see has this key");
    alice.run(&["return", &key_of_now()]).exits(1).tells("that you may see has this key");
    admin.run(&["return", &order, TISSUES, "1"]).exits(0).shows("admin returned");
    assert_eq!(tissues(&alice), (5, 96), "the local inventory knows what was done here");
    let refused = buy(&alice, &[BANANAS, "1"]);
    alice.run(&["return", &refused]).exits(0);
    let key = key_of_now();
    alice.run(&["buy", TISSUES, "1000", "--key", &key]).exits(1);
    alice.run(&["return", &key]).exits(1).tells("nothing of this can come back: it was refused");
}

#[test]
fn what_is_no_return_never_reaches_the_server() {
    let (_place, server, alice, order) = shop();
    drop(server);
    alice.run(&["return"]).exits(2).tells("<ORDER>");
    alice.run(&["return", "milk"]).exits(2).tells("no order key");
    alice.run(&["return", TISSUES, "1"]).exits(2).tells("no order key");
    alice.run(&["return", &order, TISSUES]).exits(2).tells("has no quantity");
    alice.run(&["return", &order, TISSUES, "-1"]).exits(2).tells("\"-1\" is no quantity");
    alice.run(&["return", &order, TISSUES, "1.5"]).exits(2).tells("\"1.5\" is no quantity");
    alice.run(&["return", &order, TISSUES, "1"]).exits(3).tells("cannot reach");
}

#[test]
fn zero_units_are_refused() {
    let (_place, _server, alice, order) = shop();
    alice.run(&["return", &order, TISSUES, "0"]).exits(1).tells("zero units");
    assert_eq!(tissues(&alice), (5, 95));
}

#[test]
fn a_mistyped_code_is_told_as_one() {
    let (_place, _server, alice, order) = shop();
    alice.run(&["return", &order, "036000291453", "1"]).exits(1).tells(
        "more would come back than is left of the order: 036000291453 at main: 1 asked, 0 left \
         (its check digit is wrong: a typing error?)",
    );
    alice.run(&["return", &order, "3017620422003", "1"]).exits(1).tells("1 asked, 0 left\n");
    alice.run(&["return", "--help"]).exits(0).shows("cannot be returned");
    alice.run(&["buy", "--help"]).exits(0).shows("cannot be returned");
}

#[test]
fn the_shell_returns_too() {
    let (_place, _server, alice, order) = shop();
    let lines = format!("return {order} {TISSUES} 2\nreturn\n{order}\nmine\nreturn {order}\n");
    piped(alice.command(&["shell"]), &lines)
        .exits(1)
        .shows("return ORDER [UPC QTY]...")
        .shows("alice returned, return ")
        .tells(&format!("refused: everything of order {order} has come back already"))
        .shows("nothing held");
    assert_eq!(tissues(&alice), (0, 100));
}

/// Kills a client that waits for the answer to a return, and lets another command settle it.
fn killed_while_waiting(loses: Loses, lines: &[&str], left: u64) {
    let (place, _server, alice, order) = shop();
    let between = place.path().join("between");
    let (real, aside) = (place.path().join("s"), place.path().join("aside"));
    std::fs::rename(&real, &aside).unwrap();
    let proxy = Proxy::start(&between, &aside, loses);
    std::fs::rename(&between, &real).unwrap();
    let back = [&["return", &order], lines].concat();
    let mut returning = alice.command(&back).stdout(Stdio::null()).spawn().unwrap();
    proxy.wait_for_loss();
    returning.kill().unwrap();
    returning.wait().unwrap();
    std::fs::rename(&aside, &real).unwrap();

    alice.run(&["mine"]).exits(0).tells("of an earlier run is settled: it was carried out");
    assert_eq!(tissues(&alice), (left, 95 + 5 - left));
    assert_eq!(alice.run(&["mine"]).exits(0).err, "");
}

#[test]
fn a_client_killed_before_the_answer_counts_its_return_once() {
    killed_while_waiting(Loses::Answer, &[TISSUES, "2"], 3);
}

#[test]
fn a_client_killed_before_the_return_arrived_gets_it_once() {
    killed_while_waiting(Loses::Purchase, &[TISSUES, "2"], 3);
    killed_while_waiting(Loses::Purchase, &[], 0);
}

#[test]
fn an_open_return_is_told_as_one() {
    let (place, server, alice, order) = shop();
    let (real, between, aside) =
        (place.path().join("s"), place.path().join("between"), place.path().join("aside"));
    std::fs::rename(&real, &aside).unwrap();
    let proxy = Proxy::start(&between, &aside, Loses::Purchase);
    std::fs::rename(&between, &real).unwrap();
    let mut returning = alice.command(&["return", &order]).stdout(Stdio::null()).spawn().unwrap();
    proxy.wait_for_loss();
    returning.kill().unwrap();
    returning.wait().unwrap();
    server.kill();
    alice.run(&["mine"]).exits(0).tells("1 return is not settled: its units are still counted here");
    assert_eq!(alice.held(TISSUES), 5);
}

#[test]
fn a_return_that_was_not_sent_is_told_and_forgotten() {
    let (place, server, alice, order) = shop();
    server.kill();
    alice.run(&["return", &order]).exits(3).tells("cannot reach");
    let _server = place.serve();
    let quiet: Ran = alice.run(&["mine"]).exits(0);
    assert_eq!((quiet.err, tissues(&alice)), (String::new(), (5, 95)));
}

/// A shop of ten days ago, in which alice bought three units; and her order's key.
fn old_shop(data: &Path) -> (Inventory<FileJournal>, OrderKey) {
    let journal =
        FileJournal::open(data, FileJournalOptions { segment_bytes: 8 << 10, prepare_ahead: false });
    let mut shop = pollster::block_on(Inventory::open(journal.unwrap(), 7)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let hash = runtime.block_on(async {
        Passwords::new(PasswordOptions::default()).unwrap().hash(b"alice-demo".to_vec().into()).await.unwrap()
    });
    let then = Time::from_micros(SystemClock.now().as_micros() - 10 * 86_400 * 1_000_000);
    let upc = TISSUES.parse().unwrap();
    let key = OrderKey::from_parts(then, 1 << 8);
    pollster::block_on(async {
        shop.define_item(then, upc, "Tissues", None).await.unwrap();
        shop.set_initial_level(then, upc, "100".parse().unwrap()).await.unwrap();
        let alice = shop.add_user(then, "alice", &hash, Role::Buyer).await.unwrap();
        let order = Order { key, lines: OrderLine::new(upc, "3".parse().unwrap()).into(), charge: None };
        shop.purchase(then, alice, order).await.unwrap();
    });
    (shop, key)
}

#[test]
fn an_order_of_last_week_comes_back() {
    let place = Place::new();
    let (shop, order) = old_shop(&place.data());
    drop(shop);
    let server = Server::start(place.serve_command(&["--listen", &place.socket()])).unwrap();
    let alice = place.logged_in("alice");
    alice.run(&["return", &order.to_string(), TISSUES, "2"]).exits(0).shows("alice returned, return ");
    alice.run(&["return", &order.to_string(), TISSUES, "2"]).exits(1).tells("2 asked, 1 left");
    assert_eq!(tissues(&alice), (0, 99), "it was bought elsewhere");
    server.stop().exits(0);
    run(place.path(), &["verify", place.data().to_str().unwrap()]).exits(0).shows("all is well");
}

#[test]
fn an_order_of_a_time_that_is_no_longer_kept_does_not_come_back() {
    let place = Place::new();
    let (mut shop, order) = old_shop(&place.data());
    // A discard leaves the last segment: the order must be in one before it.
    for number in 0..100 {
        let (now, upc) = (SystemClock.now(), Upc::new(number).unwrap());
        pollster::block_on(shop.define_item(now, upc, &"long name ".repeat(20), None)).unwrap();
    }
    pollster::block_on(shop.save_snapshot()).unwrap();
    let journal = shop.into_journal();
    let tip = pollster::block_on(journal.tip()).unwrap();
    pollster::block_on(journal.discard_through(tip.version)).unwrap();
    drop(journal);
    assert!(!place.data().join("journal/00000000000000000001.seg").exists(), "something was discarded");
    let _server = Server::start(place.serve_command(&["--listen", &place.socket()])).unwrap();
    let alice = place.logged_in("alice");
    let told = alice.run(&["return", &order.to_string()]).exits(1);
    told.tells(&format!("refused: nothing of order {order} came back: ")).tells("no longer kept");
    assert_eq!(tissues(&alice), (0, 97));
}
