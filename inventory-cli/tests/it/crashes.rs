//! The client and the server killed at the worst moments: every order counts exactly once.

use std::process::Stdio;

use crate::harness::{Place, TISSUES};
use crate::proxy::{Loses, Proxy};

/// Kills a client that waits for the answer to a purchase, and restarts it against the real server at the same address.
fn killed_while_waiting(loses: Loses, restart: &[&str]) {
    let place = Place::new();
    let _server = place.serve();
    let (real, between) = (place.path().join("s"), place.path().join("between"));
    let address = format!("unix://{}", between.display());
    std::os::unix::fs::symlink(&real, &between).unwrap();
    let client = place.client("alice").at(&address);
    client.log_in("alice").exits(0);
    client.run(&["buy", TISSUES, "1"]).exits(0);

    std::fs::remove_file(&between).unwrap();
    let proxy = Proxy::start(&between, &real, loses);
    let mut buying = client.command(&["buy", TISSUES, "2"]).stdout(Stdio::null()).spawn().unwrap();
    proxy.wait_for_loss();
    buying.kill().unwrap();
    buying.wait().unwrap();
    drop(proxy);
    std::os::unix::fs::symlink(&real, &between).unwrap();

    let restarted = client.run(restart).exits(0).tells("of an earlier run is settled: it was carried out");
    drop(restarted);
    assert_eq!((client.held(TISSUES), client.available(TISSUES)), (3, 97));
    let again = client.run(restart).exits(0);
    assert_eq!(again.err, "");
    assert_eq!((client.held(TISSUES), client.available(TISSUES)), (3, 97));
}

#[test]
fn a_client_killed_before_the_answer_counts_its_order_once() {
    killed_while_waiting(Loses::Answer, &["mine"]);
}

#[test]
fn a_client_killed_before_the_order_arrived_gets_it_once() {
    killed_while_waiting(Loses::Purchase, &["mine"]);
}

#[test]
fn the_next_purchase_settles_an_open_order_too() {
    let place = Place::new();
    let server = place.serve();
    let client = place.logged_in("alice");
    open_an_order(&client, &place);
    client.run(&["buy", TISSUES, "5"]).exits(0).tells("settled: it was carried out");
    assert_eq!((client.held(TISSUES), client.available(TISSUES)), (7, 93));
    drop(server);
}

#[test]
fn holdings_are_shown_with_a_warning_while_the_server_is_away() {
    let place = Place::new();
    let server = place.serve();
    let client = place.logged_in("alice");
    client.run(&["buy", TISSUES, "1"]).exits(0);
    open_an_order(&client, &place);
    server.kill();
    client.run(&["mine"]).exits(0).shows("Kleenex").tells("1 order is not settled").tells("cannot reach");
    assert_eq!(client.held(TISSUES), 1);
    let _server = place.serve();
    assert_eq!(client.held(TISSUES), 3);
}

#[test]
fn an_open_order_that_can_no_longer_be_had_is_closed_with_a_note() {
    let place = Place::new();
    let _server = place.serve();
    let (alice, bob) = (place.logged_in("alice"), place.logged_in("bob"));
    open_an_order(&alice, &place);
    bob.run(&["buy", TISSUES, "99"]).exits(0);
    alice.run(&["mine"]).exits(0).shows("nothing held").tells("it was refused: not enough stock");
    let quiet = alice.run(&["mine"]).exits(0);
    assert_eq!(quiet.err, "");
}

/// Lets a purchase of two be killed before it reaches the server.
fn open_an_order(client: &crate::harness::Client, place: &Place) {
    let between = place.path().join("between");
    let (real, aside) = (place.path().join("s"), place.path().join("aside"));
    std::fs::rename(&real, &aside).unwrap();
    let proxy = Proxy::start(&between, &aside, Loses::Purchase);
    std::fs::rename(&between, &real).unwrap();
    let mut buying = client.command(&["buy", TISSUES, "2"]).stdout(Stdio::null()).spawn().unwrap();
    proxy.wait_for_loss();
    buying.kill().unwrap();
    buying.wait().unwrap();
    std::fs::rename(&aside, &real).unwrap();
}

#[test]
fn a_server_gone_in_the_middle_of_a_purchase_and_back_sells_once() {
    let place = Place::new();
    let server = place.serve();
    let client = place.logged_in("alice");
    let (real, between) = (place.path().join("s"), place.path().join("between"));
    let proxy = Proxy::start(&between, &real, Loses::Answer);
    let through = place.client("alice").at(&format!("unix://{}", between.display()));
    through.run_with("alice-demo", &["login", "alice"]).exits(0);
    let buying =
        through.command(&["buy", TISSUES, "2"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let buying = buying.unwrap();
    proxy.wait_for_loss();
    drop(proxy);
    // The connection ends; the client looks for the server at the same address until it is back.
    server.kill();
    let _server = place.serve();
    std::os::unix::fs::symlink(&real, &between).unwrap();
    crate::harness::Ran::from(buying.wait_with_output().unwrap()).exits(0);
    assert_eq!((through.held(TISSUES), client.available(TISSUES)), (2, 98));
}
