//! Everything a person can get wrong: a clear message, the right exit code, nothing bought.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;

use crate::harness::{BANANAS, Client, Place, TISSUES, inventory};

/// What is refused leaves stock and holdings as they were.
fn nothing_was_bought(client: &Client) {
    assert_eq!((client.available(TISSUES), client.available(BANANAS)), (100, 3));
    assert_eq!((client.held(TISSUES), client.held(BANANAS)), (0, 0));
}

#[test]
fn a_wrong_password_and_an_unknown_user_are_refused_alike() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.client("alice");
    let wrong = client.run_with("nope", &["login", "alice"]).exits(1);
    let unknown = client.run_with("nope", &["login", "nobody"]).exits(1);
    assert_eq!(wrong.err, unknown.err);
    wrong.tells("wrong user name or password");
}

#[test]
fn without_a_login_everything_is_refused() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.client("alice");
    for args in [
        &["stock"][..],
        &["buy", TISSUES, "1"],
        &["mine"],
        &["receipt", "019a9d7c-6a00-7abc-8def-0123456789ab"],
        &["logout"],
        &["item", "define", TISSUES, "x"],
    ] {
        client.run(args).exits(1).tells("not logged in").tells("log in first");
    }
    let refused = client.run(&["stock", "--format", "json"]).exits(1);
    assert!(refused.err.starts_with(r#"{"refusal":"not_logged_in","code":10,"#), "{refused:#?}");
}

#[test]
fn a_double_login_is_refused_until_logout() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    client
        .log_in("bob")
        .exits(1)
        .tells(&format!("already logged in as alice at {}: log out first", client.server));
    client.run(&["logout"]).exits(0);
    client.log_in("bob").exits(0).shows("logged in as bob");
}

#[test]
fn a_session_ended_elsewhere_is_forgotten_and_a_login_goes_through() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let session = client.files("session.json").remove(0);
    let kept = std::fs::read(&session).unwrap();
    client.run(&["logout"]).exits(0);
    std::fs::write(&session, &kept).unwrap();
    client.run(&["stock"]).exits(1).tells("has ended: log in again");
    std::fs::write(&session, &kept).unwrap();
    client.log_in("bob").exits(0);
}

#[test]
fn what_makes_no_sense_never_reaches_the_server() {
    let place = Place::new();
    let server = place.serve();
    let client = place.logged_in("alice");
    // Nobody is there to answer: only what the client finds by itself can exit with 2.
    server.stop().exits(0);
    for (args, told) in [
        (&["buy"][..], "at least one UPC and its quantity"),
        (&["buy", TISSUES], "036000291452 has no quantity"),
        (&["buy", TISSUES, "1", BANANAS], "012345678905 has no quantity"),
        (&["buy", "milk", "1"], "\"milk\" is no UPC"),
        (&["buy", TISSUES, "-1"], "\"-1\" is no quantity"),
        (&["buy", TISSUES, "two"], "\"two\" is no quantity"),
        (&["buy", TISSUES, "1.5"], "\"1.5\" is no quantity"),
        (&["buy", TISSUES, "99999999999999999999999"], "a quantity is at most"),
        (&["buy", "123456789012345", "1"], "1 to 14 digits"),
        (&["buy", TISSUES, "1", "--key", "x"], "is no order key"),
        (&["buy", TISSUES, "1", "--key", "f47ac10b-58cc-4372-a567-0e02b2c3d479"], "version 7"),
        (&["stock", "milk"], "\"milk\" is no UPC"),
        (&["receipt", "x"], "is no order key"),
        (&["import", "no-such-file.csv"], "cannot read no-such-file.csv"),
        (&["stock", "--server", "localhost:7411"], "begins with its scheme"),
        (&["stock", "--format", "xml"], "xml"),
        (&["dance"], "dance"),
    ] {
        client.run(args).exits(2).tells(told);
    }
    client.run(&["logout"]).exits(3).tells("cannot reach the server").tells("is it running?");
}

#[test]
fn the_server_refuses_what_only_it_can_judge() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    client.run(&["buy", TISSUES, "0"]).exits(1).tells("ask for at least one");
    client.run(&["buy", "96385074", "1"]).exits(1).tells("unknown item 96385074");
    client.run(&["buy", "036000291453", "1"]).exits(1).tells("check digit is wrong");
    client.run(&["buy", BANANAS, "4"]).exits(1).tells("4 asked, 3 available");
    client.run(&["buy", BANANAS, "2", TISSUES, "1", BANANAS, "2"]).exits(1).tells("4 asked, 3 available");
    client.run(&["buy", TISSUES, "4611686018427387903", TISSUES, "1"]).exits(1).tells("too large");
    let many = [TISSUES, "1"].repeat(10_000);
    client.run(&[&["buy"][..], &many].concat()).exits(1).tells("10000 lines are too many");
    nothing_was_bought(&client);
    client.run(&["buy", TISSUES, "1", TISSUES, "2"]).exits(0);
    assert_eq!((client.available(TISSUES), client.held(TISSUES)), (97, 3));
}

#[test]
fn an_order_key_used_again_gives_the_same_receipt_or_is_refused() {
    let place = Place::new();
    let _server = place.serve();
    let (alice, bob) = (place.logged_in("alice"), place.logged_in("bob"));
    let bought = alice.run(&["buy", TISSUES, "2", "--format", "json"]).exits(0);
    let key = bought.json()["key"].as_str().unwrap().to_owned();
    let again = alice.run(&["buy", TISSUES, "2", "--key", &key, "--format", "json"]).exits(0);
    assert_eq!(again.out, bought.out);
    alice.run(&["buy", TISSUES, "3", "--key", &key]).exits(1).tells("belongs to another order");
    bob.run(&["buy", TISSUES, "2", "--key", &key]).exits(1).tells("belongs to another order");
    bob.run(&["receipt", &key]).exits(1);
    assert_eq!((alice.held(TISSUES), bob.held(TISSUES), alice.available(TISSUES)), (2, 0, 98));
}

#[test]
fn a_password_is_never_guessed_nor_an_argument() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.client("alice");
    client.run(&["login", "alice"]).exits(2).tells("INVENTORY_PASSWORD").tells("--password-file");
    client.run(&["login", "alice", "alice-demo"]).exits(2);
    let file = client.home.join("password");
    client
        .run(&["login", "alice", "--password-file", "password"])
        .exits(2)
        .tells("cannot read the password file");
    std::fs::write(&file, "alice-demo\n").unwrap();
    client.run(&["login", "alice", "--password-file", "password"]).exits(0);
}

#[test]
fn a_state_directory_that_cannot_be_written_is_told_before_anything_is_bought() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.client("alice");
    let nowhere = |args: &[&str]| {
        let mut command = client.command(args);
        command.env("INVENTORY_STATE", "/dev/null/state").env("INVENTORY_PASSWORD", "alice-demo");
        crate::harness::Ran::from(command.output().unwrap())
    };
    nowhere(&["login", "alice"])
        .exits(4)
        .tells("cannot write the client's state in /dev/null/state")
        .tells("--state");
    nowhere(&["mine"]).exits(1).tells("not logged in");

    client.log_in("alice").exits(0);
    // A session that can be read beside holdings that cannot be written.
    let holdings = client.files("session.json")[0].with_file_name("holdings");
    std::fs::write(&holdings, "in the way").unwrap();
    client.run(&["buy", TISSUES, "1"]).exits(4).tells("cannot write the client's state in");
    std::fs::remove_file(holdings).unwrap();
    nothing_was_bought(&client);
}

#[test]
fn what_the_client_keeps_is_for_its_owner_alone() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    client.run(&["buy", TISSUES, "1"]).exits(0);
    for file in client.files("") {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", file.display());
        let dir = std::fs::metadata(file.parent().unwrap()).unwrap().permissions().mode() & 0o777;
        assert_eq!(dir, 0o700, "{}", file.display());
    }
}

#[test]
fn something_else_that_listens_is_not_talked_to() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", listener.local_addr().unwrap());
    let other = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").unwrap();
    });
    let client = place.client("alice").at(&address);
    client.run_with("alice-demo", &["login", "alice"]).exits(3).tells("do not understand each other");
    other.join().unwrap();
}

#[test]
fn without_a_command_and_a_terminal_there_is_help() {
    let place = Place::new();
    let ran = crate::harness::Ran::from(inventory(place.path()).output().unwrap());
    ran.exits(2).tells("Usage: inventory");
    let ran = crate::harness::Ran::from(inventory(place.path()).arg("--help").output().unwrap());
    ran.exits(0).shows("Exit codes: 0 done, 1 refused");
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = client.command(&["stock"]);
    let ran = command.stdout(writer).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let ran = crate::harness::Ran::from(ran.wait_with_output().unwrap()).exits(0);
    assert_eq!(ran.err, "");
}
