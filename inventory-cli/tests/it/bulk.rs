//! Buying the rows of a file, each for itself.

use std::fmt::Write as _;
use std::fs;
use std::process::Stdio;

use serde_json::json;

use crate::harness::{BANANAS, Client, Place, TISSUES};
use crate::proxy::{Loses, Proxy};

fn write_rows(client: &Client, rows: &[(&str, u32)]) {
    let mut text = "upc,units\n".to_owned();
    for (upc, units) in rows {
        writeln!(text, "{upc},{units}").unwrap();
    }
    fs::write(client.home.join("rows.csv"), text).unwrap();
}

const BUY: [&str; 3] = ["buy", "--from", "rows.csv"];

#[test]
fn all_rows_are_bought_and_counted() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    write_rows(&client, &[(TISSUES, 2), (BANANAS, 1), (TISSUES, 3)]);
    client.run(&BUY).exits(0).shows("alice bought 6 units in 3 of 3 rows").shows("accepted");
    assert_eq!((client.held(TISSUES), client.held(BANANAS), client.available(TISSUES)), (5, 1, 95));
    client.run(&["mine"]).exits(0).shows("Kleenex");
}

#[test]
fn rows_that_cannot_be_had_are_refused_and_the_others_bought() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    write_rows(&client, &[(BANANAS, 2), (BANANAS, 2), ("96385074", 1), (BANANAS, 1), (TISSUES, 0)]);
    let ran =
        client.run(&[&BUY[..], &["--format", "csv"]].concat()).exits(1).tells("3 of 5 rows were refused");
    let rows: Vec<_> = ran.out.lines().map(|line| line.split_once(',').unwrap().1).collect();
    assert_eq!(
        rows,
        [
            "row,upc,units,outcome,code",
            "1,012345678905,2,accepted,0",
            "2,012345678905,2,insufficient_stock,21",
            "3,96385074,1,unknown_item,20",
            "4,012345678905,1,accepted,0",
            "5,036000291452,0,zero_quantity,22",
        ]
    );
    assert_eq!((client.held(BANANAS), client.available(BANANAS)), (3, 0));
}

#[test]
fn a_batch_has_a_receipt_and_its_rows_are_movements() {
    let place = Place::new();
    let server = place.serve();
    let client = place.logged_in("alice");
    write_rows(&client, &[(TISSUES, 2), (BANANAS, 9), (TISSUES, 3)]);
    let rows = client.run(&[&BUY[..], &["--format", "json"]].concat()).exits(1).json();
    let key = rows[0]["key"].as_str().unwrap().to_owned();
    let receipt = client.run(&["receipt", &key, "--format", "json"]).exits(0).json();
    assert_eq!(
        (&receipt["rows"], &receipt["accepted"], &receipt["units"]),
        (&3.into(), &2.into(), &5.into())
    );
    let refused = json!({ "row": 2, "outcome": "insufficient_stock", "code": 21 });
    let accepted = |row: u32| json!({ "row": row, "outcome": "accepted", "code": 0 });
    assert_eq!(receipt["outcomes"], json!([accepted(1), refused, accepted(3)]));
    let shown = client.run(&["receipt", &key]).exits(0);
    assert!(
        shown.out.starts_with("row  refused\n  2  insufficient stock\nalice bought 5 units in 2 of 3 rows"),
        "{}",
        shown.out
    );
    let rows = client.run(&["receipt", &key, "--format", "csv"]).exits(0).out;
    let rows: Vec<_> = rows.lines().collect();
    assert_eq!(rows[0], "key,version,user,at,rows,accepted,units,total,row,outcome,code");
    assert_eq!(rows.len(), 4);
    assert!(
        rows[2].starts_with(&key) && rows[2].ends_with(",3,2,5,1245,2,insufficient_stock,21"),
        "{}",
        rows[2]
    );
    server.stop().exits(0);
    let data = place.data();
    let history = ["history", "--data", data.to_str().unwrap(), "--order", &key, "--format", "json"];
    let moved = client.run(&history).exits(0).json();
    let moved: Vec<_> =
        moved.as_array().unwrap().iter().map(|row| (&row["change"], &row["on_hand"])).collect();
    assert_eq!(moved, [(&(-2).into(), &98.into()), (&(-3).into(), &95.into())]);
    client.run(&["verify", data.to_str().unwrap()]).exits(0);
}

#[test]
fn more_rows_than_fit_a_batch_are_bought_in_several() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let mut rows = vec![("96385074", 1); 10_000];
    rows[0] = (TISSUES, 1);
    rows[9_999] = (TISSUES, 1);
    write_rows(&client, &rows);
    let ran = client.run(&[&BUY[..], &["--format", "json"]].concat()).exits(1);
    let told = ran.json();
    let told = told.as_array().unwrap();
    assert_eq!(told.len(), 10_000);
    assert_ne!(told[0]["key"], told[9_999]["key"]);
    assert_eq!((&told[9_999]["outcome"], client.held(TISSUES)), (&"accepted".into(), 2));
}

/// An order key of now, which scripts make for themselves.
fn key_of_now() -> String {
    inventory_net::client::new_order_key().unwrap().to_string()
}

#[test]
fn a_file_bought_again_under_its_key_is_bought_once() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let mut rows = vec![("96385074", 1); 20_000];
    rows[0] = (TISSUES, 1);
    rows[19_999] = (TISSUES, 1);
    write_rows(&client, &rows);
    let key = key_of_now();
    let buy = [&BUY[..], &["--key", &key, "--format", "csv"]].concat();
    let first = client.run(&buy).exits(1);
    let again = client.run(&buy).exits(1);
    assert_eq!((first.out == again.out, first.err == again.err), (true, true));
    assert_eq!((client.held(TISSUES), client.available(TISSUES)), (2, 98));
    // Another client knows nothing of the first one's log: the server alone says what happened.
    let other = place.client("elsewhere");
    other.log_in("alice").exits(0);
    write_rows(&other, &rows);
    assert_eq!(other.run(&buy).exits(1).out, first.out);
    assert_eq!(client.available(TISSUES), 98);
}

#[test]
fn another_file_under_the_same_key_is_refused() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let key = key_of_now();
    let buy = [&BUY[..], &["--key", &key]].concat();
    write_rows(&client, &[(TISSUES, 1)]);
    client.run(&buy).exits(0).shows(&format!("order {key}"));
    write_rows(&client, &[(TISSUES, 2)]);
    client.run(&buy).exits(1).tells("key");
    let rows = vec![(TISSUES, 1); 10_000];
    write_rows(&client, &rows);
    client
        .run(&buy)
        .exits(1)
        .tells("0 of 10000 rows were bought; this run did nothing with the 10000 from row 1 on");
    let other = place.client("elsewhere");
    other.log_in("alice").exits(0);
    write_rows(&other, &rows);
    other.run(&buy).exits(1).tells("none of the 10000 rows was bought: this key belongs to another");
    for client in [&client, &other] {
        assert_eq!(client.run(&["mine"]).exits(0).err, "");
    }
    assert_eq!((client.held(TISSUES), client.available(TISSUES)), (1, 99));
}

#[test]
fn a_file_of_which_all_rows_are_refused_says_that_nothing_was_bought() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    write_rows(&client, &[(BANANAS, 9), (TISSUES, 0)]);
    client.run(&BUY).exits(1).tells("2 of 2 rows were refused; nothing was bought");
}

#[test]
fn a_file_that_is_wrong_anywhere_buys_nothing() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    write_rows(&client, &[(TISSUES, 2), ("036000291453", 1)]);
    client.run(&BUY).exits(2).tells("line 3: upc \"036000291453\"");
    client.run(&["buy", "--from", "nowhere.csv"]).exits(2).tells("cannot read nowhere.csv");
    client.run(&["buy", "--from", "rows.csv", TISSUES, "1"]).exits(2);
    assert_eq!((client.held(TISSUES), client.available(TISSUES)), (0, 100));
}

/// Kills a client that waits for the answer to its batch, and restarts it against the real server.
fn killed_while_waiting(loses: Loses) {
    let place = Place::new();
    let _server = place.serve();
    let (real, between) = (place.path().join("s"), place.path().join("between"));
    let client = place.client("alice").at(&format!("unix://{}", between.display()));
    std::os::unix::fs::symlink(&real, &between).unwrap();
    client.log_in("alice").exits(0);
    write_rows(&client, &[(TISSUES, 2), (BANANAS, 9), (TISSUES, 1)]);
    fs::remove_file(&between).unwrap();
    let proxy = Proxy::start(&between, &real, loses);
    let mut buying = client.command(&BUY).stdout(Stdio::null()).spawn().unwrap();
    proxy.wait_for_loss();
    buying.kill().unwrap();
    buying.wait().unwrap();
    drop(proxy);
    std::os::unix::fs::symlink(&real, &between).unwrap();

    client.run(&["mine"]).exits(0).tells("settled: it was carried out, 2 of 3 rows were accepted");
    assert_eq!((client.held(TISSUES), client.available(TISSUES)), (3, 97));
    assert_eq!(client.run(&["mine"]).exits(0).err, "");
}

#[test]
fn a_client_killed_before_the_answer_counts_its_batch_once() {
    killed_while_waiting(Loses::Answer);
}

#[test]
fn a_client_killed_before_its_batch_arrived_gets_it_once() {
    killed_while_waiting(Loses::Purchase);
}
