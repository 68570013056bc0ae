//! Accounts on the command line: entries, balances, floors, and purchases that an account pays.

use std::fs;
use std::process::Stdio;

use inventory_core::OrderKey;
use serde_json::{Value, json};

use crate::harness::{Client, Place, Ran, Server, TISSUES, piped};
use crate::proxy::{Loses, Proxy};

/// A server, and its administrator.
fn shop() -> (Place, Server, Client) {
    let place = Place::new();
    let server = place.serve();
    let admin = place.logged_in("admin");
    (place, server, admin)
}

#[track_caller]
fn post(client: &Client, entry: &[&str]) {
    client.run(&[&["ledger", "post"], entry].concat()).exits(0);
}

#[track_caller]
fn balance(client: &Client, account: &str) -> i64 {
    let told = client.run(&["ledger", "balances", account, "--format", "json"]).exits(0).json();
    told[0]["balance"].as_i64().unwrap()
}

fn key_of_now() -> String {
    inventory_net::client::new_order_key().unwrap().to_string()
}

#[test]
fn entries_are_posted_and_shown_with_the_balance_after_each() {
    let (_place, _server, admin) = shop();
    admin
        .run(&["ledger", "post", "credit", "Marc", "2.50"])
        .exits(0)
        .shows("admin credited Marc with 2.50, key ")
        .shows("Marc has 2.50, at ");
    post(&admin, &["debit", "Marc", "0.5"]);
    admin
        .run(&["ledger", "post", "transfer", "Marc", "Zoë", "3"])
        .exits(0)
        .shows("admin transferred 3.00 from Marc to Zoë")
        .shows("Marc has -1.00, Zoë has 3.00, at ");
    insta::assert_snapshot!(admin.run(&["ledger", "balances"]).exits(0).out, @r"
    account  balance  floor
    Marc       -1.00
    Zoë         3.00
    ");
    let after = admin.run(&["ledger", "balances", "--after", "Marc", "--format", "csv"]).exits(0);
    assert_eq!(after.out, "account,balance,floor\nZoë,300,\n");
    let entries = admin.run(&["ledger", "entries", "Marc", "--format", "json"]).exits(0).json();
    let rows: Vec<_> =
        entries.as_array().unwrap().iter().map(|row| (&row["change"], &row["balance"])).collect();
    assert_eq!(
        rows,
        [(&250.into(), &250.into()), (&(-50).into(), &200.into()), (&(-300).into(), &(-100).into())]
    );
    let first = &entries[0];
    assert_eq!(
        (&first["reason"], &first["user"], &first["account"]),
        (&"posting".into(), &"admin".into(), &"Marc".into())
    );
    admin.run(&["ledger", "entries", "Marc"]).exits(0).shows("-3.00").shows("version");
    let key = first["key"].as_str().unwrap();
    let receipt = admin.run(&["receipt", key, "--format", "json"]).exits(0).json();
    assert_eq!(
        (&receipt["type"], &receipt["amount"], &receipt["balance"]),
        (&"credit".into(), &250.into(), &250.into())
    );
    admin.run(&["ledger", "balances", "Marco"]).exits(1).tells("no account is named Marco");
    admin.run(&["ledger", "entries", "Marco"]).exits(1).tells("no account is named Marco");
}

#[test]
fn a_debit_below_the_floor_is_refused_and_says_by_how_much() {
    let (_place, _server, admin) = shop();
    admin.run(&["ledger", "floor", "Marc", "0"]).exits(1).tells("no account is named Marc");
    post(&admin, &["credit", "Marc", "2.50"]);
    admin.run(&["ledger", "floor", "Marc", "3"]).exits(1).tells("which is 2.50");
    admin.run(&["ledger", "floor", "Marc", "-1.00"]).exits(0).shows("Marc never goes below -1.00 (version");
    let debit = ["ledger", "post", "debit", "Marc", "5"];
    admin.run(&debit).exits(1).tells("refused: not enough money: account Marc is short by 1.50 of its floor");
    let told = admin.run(&[&debit[..], &["--format", "json"]].concat()).exits(1);
    let told: Value = serde_json::from_str(&told.err).unwrap();
    assert_eq!((&told["refusal"], &told["code"]), (&"insufficient_funds".into(), &26.into()));
    admin.run(&["ledger", "balances"]).exits(0).shows("-1.00");
    admin.run(&["ledger", "floor", "Marc", "none"]).exits(0).shows("Marc has no floor");
    post(&admin, &["debit", "Marc", "5"]);
    assert_eq!(balance(&admin, "Marc"), -250);
}

#[test]
fn an_entry_posted_again_under_its_key_is_posted_once() {
    let (place, _server, admin) = shop();
    let key = key_of_now();
    let credit = ["ledger", "post", "credit", "Marc", "2.50", "--key", &key];
    let first = admin.run(&credit).exits(0);
    assert_eq!(admin.run(&credit).exits(0).out, first.out);
    // Another client knows nothing of the first one's log: the server alone says what happened.
    let other = place.client("elsewhere");
    other.log_in("admin").exits(0);
    assert_eq!(
        other.run(&["ledger", "post", "--key", &key, "credit", "Marc", "2.50"]).exits(0).out,
        first.out
    );
    admin.run(&["ledger", "post", "credit", "Marc", "2.51", "--key", &key]).exits(1).tells("key");
    assert_eq!(balance(&admin, "Marc"), 250);
}

#[test]
fn the_rows_of_a_file_are_posted_each_for_itself() {
    let (_place, _server, admin) = shop();
    post(&admin, &["credit", "Marc", "1"]);
    admin.run(&["ledger", "floor", "Marc", "0"]).exits(0);
    let file = "account,type,amount\nMarc,debit,0.60\nMarc,debit,0.60\nZoë,credit,3\nMarc,credit,1\n";
    fs::write(admin.home.join("rows.csv"), file).unwrap();
    let key = key_of_now();
    let from = ["ledger", "post", "--from", "rows.csv", "--key", &key, "--format", "csv"];
    let ran = admin.run(&from).exits(1).tells("1 of 4 rows were refused; the others were posted");
    let rows: Vec<_> = ran.out.lines().map(|line| line.split_once(',').unwrap().1).collect();
    assert_eq!(
        rows,
        [
            "row,account,amount,outcome,code",
            "1,Marc,-60,accepted,0",
            "2,Marc,-60,insufficient_funds,26",
            "3,Zoë,300,accepted,0",
            "4,Marc,100,accepted,0",
        ]
    );
    assert_eq!(admin.run(&from).exits(1).out, ran.out);
    assert_eq!((balance(&admin, "Marc"), balance(&admin, "Zoë")), (140, 300));
    let shown = admin.run(&["receipt", &key]).exits(0).shows("row  refused\n  2  insufficient funds\n");
    shown.shows("admin posted 3 of 4 entries");
    let receipt = admin.run(&["receipt", &key, "--format", "json"]).exits(0).json();
    assert_eq!(receipt["outcomes"].as_array().unwrap().len(), 4);
    assert_eq!(receipt["outcomes"][1]["outcome"], "insufficient_funds");
    fs::write(admin.home.join("rows.csv"), "account,type,amount\nMarc,debit,1.41\n").unwrap();
    admin
        .run(&["ledger", "post", "--from", "rows.csv"])
        .exits(1)
        .shows("insufficient funds")
        .tells("1 of 1 rows were refused; nothing was posted");
}

#[test]
fn more_rows_than_a_batch_takes_are_posted_in_several_and_add_up() {
    let (_place, _server, admin) = shop();
    // Names of 100 bytes fill a batch before 8,192 rows do.
    let long = "n".repeat(100);
    let mut file = "account,type,amount\n".to_owned();
    file.push_str(&format!("{long},credit,0.01\n").repeat(10_000));
    file.push_str(&"Marc,credit,0.01\n".repeat(10_000));
    fs::write(admin.home.join("rows.csv"), file).unwrap();
    let ran = admin.run(&["ledger", "post", "--from", "rows.csv"]).exits(0);
    assert!(ran.out.matches(" entries, key ").count() >= 5, "{}", ran.out.lines().last().unwrap());
    assert_eq!((balance(&admin, &long), balance(&admin, "Marc")), (10_000, 10_000));
    let entries = admin.run(&["ledger", "entries", "Marc", "--format", "json"]).exits(0).json();
    let entries = entries.as_array().unwrap();
    assert_eq!((entries.len(), &entries[9_999]["balance"]), (10_000, &10_000.into()));
}

#[test]
fn what_is_no_entry_asks_the_server_nothing() {
    let place = Place::new();
    let client = place.client("nobody");
    fs::write(client.home.join("rows.csv"), "account,type,amount\nMarc,gift,1\n").unwrap();
    let long = "n".repeat(16_385);
    for (args, message) in [
        (&["post", "credit", "two words", "1"][..], "is no account"),
        (&["post", "credit", "Marc", "-1"], "is no amount"),
        (&["post", "credit", "Marc", "1.234"], "at most two decimals"),
        (&["post", "credit", "Marc"], "AMOUNT"),
        (&["post"], "--from"),
        (&["post", "--from", "nowhere.csv"], "cannot read nowhere.csv"),
        (&["post", "--from", "rows.csv", "credit", "Marc", "1"], "not both"),
        (&["floor", "Marc", "nothing"], "is no floor"),
        (&["post", "credit", &long, "1"], "a name of 16385 bytes is too long here: at most 16384"),
        (&["floor", &long, "1"], "is too long here"),
        (&["balances", "Marc", &long], "is too long here"),
        (&["entries", &long], "is too long here"),
        (&["balances", "--at", "3"], "--data"),
        (&["balances", "Marc", "--after", "A"], "cannot be used with"),
        (&["entries", "Marc", "--since", "2026-11-02", "--until", "2026-11-01"], "is after"),
    ] {
        client.run(&[&["ledger"], args].concat()).exits(2).tells(message);
    }
    let server = place.serve();
    let admin = place.logged_in("admin");
    fs::write(admin.home.join("rows.csv"), "account,type,amount\nMarc,credit,1\nMarc,gift,1\n").unwrap();
    admin.run(&["ledger", "post", "--from", "rows.csv"]).exits(2).tells("line 3: type \"gift\"");
    admin.run(&["ledger", "balances"]).exits(0).shows("no accounts");
    drop(server);
}

#[test]
fn an_account_pays_for_a_purchase_or_nothing_happens() {
    let (place, server, admin) = shop();
    let alice = place.logged_in("alice");
    let buy = ["buy", TISSUES, "2", "--charge", "alice"];
    alice.run(&buy).exits(1).tells("no account is named alice");
    post(&admin, &["credit", "alice", "6"]);
    admin.run(&["ledger", "floor", "alice", "0"]).exits(0);
    alice.run(&buy).exits(0).shows("total 4.98, charged to alice, at ");
    let receipt = alice.run(&[&buy[..], &["--format", "json"]].concat()).exits(1);
    assert!(receipt.err.contains("short by 3.96"), "{}", receipt.err);
    assert_eq!((alice.held(TISSUES), alice.available(TISSUES), balance(&alice, "alice")), (2, 98, 102));

    post(&admin, &["credit", "bob", "6"]);
    alice.run(&["buy", TISSUES, "1", "--charge", "bob"]).exits(1).tells("not permitted");
    alice.run(&["ledger", "balances", "bob"]).exits(1).tells("not permitted");
    alice.run(&["ledger", "balances"]).exits(1).tells("not permitted");
    alice.run(&["ledger", "entries", "bob"]).exits(1).tells("not permitted");
    alice.run(&["ledger", "post", "credit", "alice", "1"]).exits(1).tells("not permitted");
    alice.run(&["ledger", "floor", "alice", "none"]).exits(1).tells("not permitted");
    let entries = alice.run(&["ledger", "entries", "alice", "--format", "json"]).exits(0).json();
    assert_eq!((&entries[1]["reason"], &entries[1]["change"]), (&"purchase".into(), &(-498).into()));

    server.stop().exits(0);
    let data = place.data();
    let data = data.to_str().unwrap();
    alice.run(&["history", "--data", data, "--user", "alice"]).exits(0).shows("charged").shows("alice");
    let moved =
        alice.run(&["history", "--data", data, "--user", "alice", "--format", "json"]).exits(0).json();
    assert_eq!((&moved[0]["change"], &moved[0]["charged"]), (&(-2).into(), &"alice".into()));
}

#[test]
fn a_data_directory_tells_balances_and_entries_of_the_past() {
    let (place, server, admin) = shop();
    let version = |ran: &str| ran.split("(version ").nth(1).unwrap().split(')').next().unwrap().to_owned();
    let first = version(&admin.run(&["ledger", "post", "credit", "Marc", "2.50"]).exits(0).out);
    post(&admin, &["transfer", "Marc", "Zoë", "4"]);
    let data = place.data();
    let data = data.to_str().unwrap();
    let at = |args: &[&str]| admin.run(&[&["ledger"], args, &["--data", data]].concat());
    at(&["balances", "--at", &first]).exits(0).shows("2.50").tells(&format!("as of version {first}"));
    let all = at(&["balances", "--at", "999999"]).exits(1);
    assert!(all.err.contains("there is no version 999999 yet"), "{}", all.err);
    at(&["balances", "Zoë", "--at", &first]).exits(1).tells("no account is named Zoë").tells(&first);
    at(&["balances", "Marc", "--at", &first]).exits(0).shows("2.50");
    let asked = admin.run(&["ledger", "entries", "Marc", "--format", "json"]).exits(0);
    assert_eq!(at(&["entries", "Marc", "--format", "json"]).exits(0).out, asked.out);
    at(&["entries", "Marc", "--until", "2020-01-01"]).exits(0).shows("no entries");
    at(&["entries", "Marco"]).exits(1).tells("no account is named Marco");
    let long = "n".repeat(65_535);
    fs::write(admin.home.join("rows.csv"), format!("account,type,amount\n{long},debit,0\n")).unwrap();
    admin.run(&["ledger", "post", "--from", "rows.csv"]).exits(0);
    assert_eq!(at(&["entries", &long, "--format", "json"]).exits(0).json()[0]["account"], *long);
    server.stop().exits(0);
    let verified = admin.run(&["verify", data, "--format", "json"]).exits(0).json();
    assert_eq!((&verified["accounts"], &verified["balances"]), (&json!(3), &json!(250)));
    admin.run(&["verify", data]).exits(0).shows("accounts      3, with 2.50 together");
}

#[test]
fn the_shell_shows_a_balance_and_buys_on_an_account() {
    let (place, _server, admin) = shop();
    post(&admin, &["credit", "alice", "6"]);
    let alice = place.logged_in("alice");
    let lines = format!("balance\nbuy {TISSUES} 2 charge alice\nbalance alice\n");
    piped(alice.command(&["shell"]), &lines).exits(0).shows("6.00").shows("charged to alice").shows("1.02");
}

/// Whoever sends lines may name accounts, and what administrators see is not to obey them.
#[test]
fn control_characters_of_a_name_are_shown_and_do_nothing() {
    let (place, server, admin) = shop();
    let (name, shown) = ("\u{1b}[31mRED\u{7}\u{202e}", r"\u{1b}[31mRED\u{7}\u{202e}");
    admin
        .run(&["ledger", "post", "credit", name, "6"])
        .exits(0)
        .shows(&format!("admin credited {shown} with 6.00"))
        .shows(&format!("{shown} has 6.00"));
    admin.run(&["ledger", "balances"]).exits(0).shows(&format!("{shown}     6.00"));
    admin.run(&["ledger", "floor", name, "0"]).exits(0).shows(&format!("{shown} never goes below 0.00"));
    admin
        .run(&["ledger", "post", "debit", name, "7"])
        .exits(1)
        .tells(&format!("account {shown} is short by"));
    fs::write(admin.home.join("rows.csv"), format!("account,type,amount\n{name},debit,1\n")).unwrap();
    admin.run(&["ledger", "post", "--from", "rows.csv"]).exits(0).shows(&format!("{shown}   -1.00"));
    let bought = admin.run(&["buy", TISSUES, "1", "--charge", name]).exits(0);
    bought.shows(&format!("charged to {shown}, at"));
    let data = place.data();
    let data = data.to_str().unwrap();
    admin.run(&["history", "--data", data, "--user", "admin"]).exits(0).shows(shown);

    // Programs get the name as it is.
    let balances = admin.run(&["ledger", "balances", "--format", "json"]).exits(0).json();
    assert_eq!(balances[0]["account"], name);
    let balances = admin.run(&["ledger", "balances", "--format", "csv"]).exits(0);
    assert_eq!(balances.out, format!("account,balance,floor\n{name},251,0\n"));
    server.stop().exits(0);
}

/// Kills a client that waits for the answer to its entry, and restarts it against the real server.
fn killed_while_waiting(loses: Loses, args: &[&str]) {
    let place = Place::new();
    let _server = place.serve();
    let (real, between) = (place.path().join("s"), place.path().join("between"));
    let client = place.client("admin").at(&format!("unix://{}", between.display()));
    std::os::unix::fs::symlink(&real, &between).unwrap();
    client.log_in("admin").exits(0);
    fs::write(client.home.join("rows.csv"), "account,type,amount\nMarc,credit,1\nMarc,credit,1.50\n")
        .unwrap();
    fs::remove_file(&between).unwrap();
    let proxy = Proxy::start(&between, &real, loses);
    let mut posting = client.command(args).stdout(Stdio::null()).spawn().unwrap();
    proxy.wait_for_loss();
    posting.kill().unwrap();
    posting.wait().unwrap();
    drop(proxy);
    std::os::unix::fs::symlink(&real, &between).unwrap();

    client
        .run(&["ledger", "post", "credit", "Zoë", "1"])
        .exits(0)
        .tells("of an earlier run is settled: it was carried out");
    assert_eq!(balance(&client, "Marc"), 250);
    assert_eq!(client.run(&["ledger", "post", "credit", "Zoë", "1"]).exits(0).err, "");
}

#[test]
fn a_client_killed_before_the_answer_posts_its_entry_once() {
    killed_while_waiting(Loses::Answer, &["ledger", "post", "credit", "Marc", "2.50"]);
}

#[test]
fn a_client_killed_before_its_entry_arrived_posts_it_once() {
    killed_while_waiting(Loses::Purchase, &["ledger", "post", "credit", "Marc", "2.50"]);
}

#[test]
fn a_client_killed_before_the_answer_posts_its_batch_once() {
    killed_while_waiting(Loses::Answer, &["ledger", "post", "--from", "rows.csv"]);
}

/// Rows for three batches, each of one cent for Marc.
fn three_batches(client: &Client) {
    let file = "account,type,amount\n".to_owned() + &"Marc,credit,0.01\n".repeat(20_000);
    fs::write(client.home.join("rows.csv"), file).unwrap();
}

/// The key of a batch, numbered from 0, of a file whose first has this one.
fn key_of_batch(first: &str, number: u128) -> String {
    let first: OrderKey = first.parse().unwrap();
    OrderKey::from_parts(first.time(), u128::from_be_bytes(first.to_bytes()) ^ (number << 40)).to_string()
}

#[test]
fn the_batches_behind_a_refused_one_are_not_posted_later() {
    let (place, _server, admin) = shop();
    let key = key_of_now();
    let other = place.client("elsewhere");
    other.log_in("admin").exits(0);
    post(&other, &["credit", "Zoë", "1", "--key", &key_of_batch(&key, 1)]);
    three_batches(&admin);
    let from = ["ledger", "post", "--from", "rows.csv", "--key", &key];
    admin
        .run(&from)
        .exits(1)
        .tells("8192 of 20000 rows were posted; this run did nothing with the 11808 from row 8193 on")
        .tells(&format!("--key {key}"));
    assert_eq!(admin.run(&["ledger", "post", "credit", "Zoë", "1"]).exits(0).err, "");
    assert_eq!(balance(&admin, "Marc"), 8_192);
    admin.run(&from).exits(1).tells("8192 of 20000 rows were posted");
    assert_eq!(balance(&admin, "Marc"), 8_192);
}

#[test]
fn batches_whose_connection_was_lost_are_kept_and_said_to_be() {
    let place = Place::new();
    let server = place.serve();
    let (real, between) = (place.path().join("s"), place.path().join("between"));
    let client = place.client("admin").at(&format!("unix://{}", between.display()));
    std::os::unix::fs::symlink(&real, &between).unwrap();
    client.log_in("admin").exits(0);
    three_batches(&client);
    fs::remove_file(&between).unwrap();
    let proxy = Proxy::start(&between, &real, Loses::Answer);
    let mut posting = client.command(&["ledger", "post", "--from", "rows.csv", "--format", "csv"]);
    let posting = posting.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    proxy.wait_for_loss();
    drop(proxy);
    server.kill();
    let ran = Ran::from(posting.wait_with_output().unwrap()).exits(3).tells(
        "0 of 20000 rows are known to be posted; 3 batches, from row 1 on, are kept for the next command to send",
    );
    let key =
        ran.err.split("--key ").nth(1).unwrap().split(|c: char| !c.is_ascii_hexdigit() && c != '-').next();
    let key = key.unwrap().to_owned();

    let _server = place.serve();
    std::os::unix::fs::symlink(&real, &between).unwrap();
    client.run(&["ledger", "post", "credit", "Zoë", "1"]).exits(0).tells("of an earlier run is settled");
    assert_eq!(balance(&client, "Marc"), 20_000);
    client.run(&["ledger", "post", "--from", "rows.csv", "--key", &key]).exits(0);
    assert_eq!(balance(&client, "Marc"), 20_000);
}

/// The account is kept with the order: without it the same key would be another order.
#[test]
fn a_client_killed_while_an_account_pays_has_it_pay_once() {
    let place = Place::new();
    let _server = place.serve();
    let admin = place.logged_in("admin");
    post(&admin, &["credit", "alice", "6"]);
    let (real, between) = (place.path().join("s"), place.path().join("between"));
    let client = place.client("alice").at(&format!("unix://{}", between.display()));
    std::os::unix::fs::symlink(&real, &between).unwrap();
    client.log_in("alice").exits(0);
    fs::remove_file(&between).unwrap();
    let proxy = Proxy::start(&between, &real, Loses::Answer);
    let buy = ["buy", TISSUES, "2", "--charge", "alice"];
    let mut buying = client.command(&buy).stdout(Stdio::null()).spawn().unwrap();
    proxy.wait_for_loss();
    buying.kill().unwrap();
    buying.wait().unwrap();
    drop(proxy);
    std::os::unix::fs::symlink(&real, &between).unwrap();
    client.run(&["mine"]).exits(0).tells("settled: it was carried out");
    assert_eq!((client.held(TISSUES), balance(&client, "alice")), (2, 102));
}
