//! `inventory serve`: starting, stopping, and what keeps it from starting.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;

use crate::harness::{BANANAS, Place, Server, TISSUES};

#[test]
fn a_first_start_makes_an_administrator_and_shows_its_password_once() {
    let place = Place::new();
    let args = ["--listen", "tcp://127.0.0.1:0"];
    let server = Server::start(place.serve_command(&args)).unwrap();
    assert!(server.before[0].starts_with("first start: the administrator is `admin`, the password is "));
    let password = server.before[0].rsplit(' ').next().unwrap().to_owned();
    let client = place.client("admin").at(&server.listening[0]);
    client.run_with(&password, &["login", "admin"]).exits(0).shows("admin (administrator)");
    client.run(&["stock"]).exits(0).shows("no items");
    server.stop().exits(0);

    let again = Server::start(place.serve_command(&args)).unwrap();
    assert_eq!(again.before, Vec::<String>::new());
}

#[test]
fn the_socket_of_the_data_directory_is_the_owners_alone() {
    let place = Place::new();
    let socket = place.data().join("inventory.sock");
    let address = format!("unix://{}", socket.display());
    let server = Server::start(place.serve_command(&["--demo-data", "--listen", &address])).unwrap();
    assert_eq!(server.listening, [address.as_str()]);
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(place.data()).unwrap().permissions().mode() & 0o777, 0o700);
    place.client("alice").at(&address).log_in("alice").exits(0);
    server.stop().exits(0);
    assert!(!socket.exists());
}

#[test]
fn demo_data_never_changes_what_is_there() {
    let place = Place::new();
    let server = place.serve();
    let client = place.logged_in("alice");
    client.run(&["buy", TISSUES, "40"]).exits(0);
    server.stop().exits(0);
    let server = place.serve();
    assert_eq!((client.available(TISSUES), client.available(BANANAS)), (60, 3));
    server.stop().exits(0).tells("is used as it is");
}

#[test]
fn sigusr1_stops_no_server() {
    let place = Place::new();
    let server = place.serve();
    server.signal(Signal::USR1);
    place.logged_in("alice").run(&["buy", TISSUES, "1"]).exits(0);
    server.stop().exits(0);
}

#[test]
fn a_signal_answers_what_was_received_and_saves_a_snapshot() {
    for signal in [Signal::INT, Signal::TERM] {
        let place = Place::new();
        let server = place.serve();
        server.signal(signal);
        server.ended().exits(0);
        let snapshots = fs::read_dir(place.data().join("snapshots")).unwrap().count();
        assert_eq!(snapshots, 1);
    }
}

#[test]
fn a_second_signal_stops_at_once_with_exit_code_4() {
    let place = Place::new();
    let server = place.serve();
    // A peer that has sent half a frame keeps the drain waiting for a while.
    let mut peer = UnixStream::connect(place.path().join("s")).unwrap();
    peer.write_all(&[0, 0]).unwrap();
    server.signal(Signal::TERM);
    server.signal(Signal::TERM);
    server.signal(Signal::INT);
    let ran = server.ended();
    // The drain may have been faster than the second signal.
    assert!(ran.code == 4 || ran.code == 0, "{ran:#?}");
}

#[test]
fn two_servers_do_not_share_a_data_directory() {
    let place = Place::new();
    let server = place.serve();
    let second = Server::start(place.serve_command(&["--listen", "tcp://127.0.0.1:0"])).err().unwrap();
    second.exits(4).tells(&format!("is in use by process {}", server.pid())).tells("stop it");
    place.logged_in("alice").run(&["buy", TISSUES, "1"]).exits(0);
}

#[test]
fn a_taken_port_is_told() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("tcp://{}", taken.local_addr().unwrap());
    let refused = Server::start(place.serve_command(&["--listen", &address])).err().unwrap();
    refused.exits(4).tells(&format!("another server listens on {address}")).tells("choose another address");
    // Nothing was begun: the next start is the first.
    drop(taken);
    let server = Server::start(place.serve_command(&["--listen", "tcp://127.0.0.1:0"])).unwrap();
    assert!(server.before[0].contains("first start"));
}

#[test]
fn plain_tcp_for_other_machines_has_to_be_allowed() {
    let place = Place::new();
    let args = ["--listen", "tcp://0.0.0.0:0"];
    let refused = Server::start(place.serve_command(&args)).err().unwrap();
    refused.exits(4).tells("plain TCP protects neither passwords nor tokens").tells("allow");
    let allowed = [&args[..], &["--allow-plain-tcp"]].concat();
    Server::start(place.serve_command(&allowed)).unwrap().stop().exits(0);
}

#[test]
fn a_data_directory_that_cannot_be_made_is_told() {
    let place = Place::new();
    fs::write(place.data(), "in the way").unwrap();
    let refused = Server::start(place.serve_command(&["--listen", "tcp://127.0.0.1:0"])).err().unwrap();
    refused.exits(2).tells("is a file, not a directory");
}

#[test]
fn a_damaged_journal_is_refused_and_left_as_it_is() {
    let place = Place::new();
    place.serve().kill();
    let segment = fs::read_dir(place.data().join("journal")).unwrap().next().unwrap().unwrap().path();
    let mut file = fs::OpenOptions::new().read(true).write(true).open(&segment).unwrap();
    // In the first record behind the segment's header of 4,096 bytes.
    let mut byte = [0];
    file.seek(SeekFrom::Start(4_196)).unwrap();
    file.read_exact(&mut byte).unwrap();
    file.seek(SeekFrom::Start(4_196)).unwrap();
    file.write_all(&[byte[0] ^ 1]).unwrap();
    let before = fs::read(&segment).unwrap();
    let refused = Server::start(place.serve_command(&["--listen", "tcp://127.0.0.1:0"])).err().unwrap();
    refused.exits(4).tells("damaged").tells(segment.to_str().unwrap());
    assert!(fs::read(&segment).unwrap() == before);
}

#[test]
fn a_killed_server_comes_back_with_everything_it_acknowledged() {
    let place = Place::new();
    let server = place.serve();
    let (alice, bob) = (place.logged_in("alice"), place.logged_in("bob"));
    alice.run(&["buy", TISSUES, "2"]).exits(0);
    bob.run(&["buy", TISSUES, "3", BANANAS, "1"]).exits(0);
    server.kill();
    alice.run(&["stock"]).exits(3).tells("cannot reach the server");
    assert_eq!(alice.held(TISSUES), 2);

    let _server = place.serve();
    // Both are still logged in.
    assert_eq!((alice.available(TISSUES), bob.available(BANANAS)), (95, 2));
    assert_eq!((alice.held(TISSUES), bob.held(TISSUES), bob.held(BANANAS)), (2, 3, 1));
    alice.run(&["buy", BANANAS, "2"]).exits(0);
    bob.run(&["buy", BANANAS, "1"]).exits(1).tells("1 asked, 0 available");
}

#[test]
fn garbage_on_the_wire_leaves_the_server_alive() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    for bytes in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0xff; 8], &[0, 0, 0, 9, 1], &[0; 4]] {
        let mut peer = UnixStream::connect(place.path().join("s")).unwrap();
        peer.write_all(bytes).unwrap();
    }
    assert_eq!(client.available(TISSUES), 100);
}

/// The data directory is a small disk of the server's own, in a mount namespace that ends with it.
#[test]
fn a_full_disk_refuses_writes_and_loses_nothing() {
    let place = Place::new();
    let command = format!("serve --demo-data --listen {} --data", place.socket());
    let server = Server::start(place.on_a_small_disk(&command)).unwrap();
    let (admin, alice) = (place.logged_in("admin"), place.logged_in("alice"));
    alice.run(&["buy", TISSUES, "1"]).exits(0);

    let file = admin.home.join("items.csv");
    fs::write(&file, long_names(20_000)).unwrap();
    let import = ["import", file.to_str().unwrap()];
    admin.run(&import).exits(4).tells("is the disk full?").tells("nothing was done");
    // A purchase is small: some still fit behind the last group of items.
    let mut bought = 1;
    let refused = loop {
        assert!(bought < 100, "the disk does not fill");
        let ran = alice.run(&["buy", TISSUES, "1"]);
        if ran.code != 0 {
            break ran;
        }
        bought += 1;
    };
    refused.exits(4).tells("is the disk full?");
    // Reading goes on.
    assert_eq!((alice.available(TISSUES), alice.held(TISSUES)), (100 - bought, bought));

    fs::remove_file(format!("/proc/{}/root{}", server.pid(), place.data().join("ballast").display()))
        .unwrap();
    alice.run(&["buy", TISSUES, "1"]).exits(0);
    admin.run(&import).exits(0).shows("items defined: 20000");
    assert_eq!((alice.available(TISSUES), alice.held(TISSUES)), (99 - bought, bought + 1));
    server.stop().exits(0);
}

/// A file of items that fills a journal.
fn long_names(items: u64) -> String {
    let name = "n".repeat(256);
    let mut text = "upc,name,price,units\n".to_owned();
    for n in 0..items {
        let upc = inventory_core::Upc::new(200_000_000_000 + n * 10).unwrap();
        writeln!(text, "{},{name},,1", upc.get() + upc.check_digit()).unwrap();
    }
    text
}
