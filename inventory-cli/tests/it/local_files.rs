//! Damage to what the client keeps: it is told, kept aside, and mended.

use std::fs;

use crate::harness::{BANANAS, Client, Place, Ran, TISSUES};

fn shop() -> (Place, crate::harness::Server, Client) {
    let place = Place::new();
    let server = place.serve();
    let client = place.logged_in("alice");
    client.run(&["buy", TISSUES, "2"]).exits(0);
    client.run(&["buy", BANANAS, "1"]).exits(0);
    (place, server, client)
}

fn damage(client: &Client, name: &str) -> String {
    let file = client.files(name).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    bytes[30] ^= 1;
    fs::write(&file, bytes).unwrap();
    file.display().to_string()
}

fn told_and_mended(client: &Client, file: &str, ran: Ran) {
    ran.exits(0).tells(file).tells(".damaged-").shows("Bananas").shows("Kleenex");
    assert_eq!((client.held(TISSUES), client.held(BANANAS)), (2, 1));
    client.run(&["buy", TISSUES, "1"]).exits(0);
    assert_eq!(client.held(TISSUES), 3);
}

#[test]
fn a_damaged_holdings_file_is_kept_aside_and_rebuilt() {
    let (_place, _server, client) = shop();
    let file = damage(&client, "holdings.json");
    let ran = client.run(&["mine"]);
    told_and_mended(&client, &file, ran);
}

#[test]
fn a_damaged_orders_log_is_kept_aside_and_rebuilt() {
    let (_place, _server, client) = shop();
    let file = damage(&client, "orders.log");
    let ran = client.run(&["mine"]);
    told_and_mended(&client, &file, ran);
}

#[test]
fn with_both_damaged_the_server_fills_the_gap() {
    let (_place, _server, client) = shop();
    damage(&client, "holdings.json");
    let log = client.files("orders.log").remove(0);
    // Every line of the first order: only its key is legible.
    let text = fs::read_to_string(&log).unwrap().replace(TISSUES, "036000291450");
    fs::write(&log, text).unwrap();
    client.run(&["mine"]).exits(0).tells("of an earlier run is settled").shows("Kleenex").shows("Bananas");
    assert_eq!((client.held(TISSUES), client.held(BANANAS)), (2, 1));
    assert_eq!(client.files(".damaged-").len(), 2);
}

#[test]
fn a_damaged_session_is_kept_aside_and_a_login_asked_for() {
    let (_place, _server, client) = shop();
    let file = client.files("session.json").remove(0);
    fs::write(&file, "{").unwrap();
    client.run(&["mine"]).exits(1).tells(file.to_str().unwrap()).tells("log in again");
    client.log_in("alice").exits(0);
    assert_eq!(client.held(TISSUES), 2);
}

#[test]
fn without_a_named_directory_the_state_is_where_xdg_says() {
    let place = Place::new();
    let _server = place.serve();
    for (variable, value, below) in [
        ("XDG_STATE_HOME", place.path().join("xdg"), "xdg/inventory"),
        ("HOME", place.path().join("h"), "h/.local/state/inventory"),
    ] {
        let mut command = crate::harness::inventory(place.path());
        command.args(["login", "alice", "--server", &place.socket()]).env("INVENTORY_PASSWORD", "alice-demo");
        Ran::from(command.env(variable, value).output().unwrap()).exits(0);
        assert_eq!(fs::read_dir(place.path().join(below)).unwrap().count(), 1, "{variable}");
    }
}

#[test]
fn many_clients_share_one_state_directory() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let buying: Vec<_> = (0..8)
        .map(|_| client.command(&["buy", TISSUES, "1"]).stdout(std::process::Stdio::null()).spawn().unwrap())
        .collect();
    for mut one in buying {
        assert_eq!(one.wait().unwrap().code(), Some(0));
    }
    assert_eq!((client.held(TISSUES), client.available(TISSUES)), (8, 92));
}
