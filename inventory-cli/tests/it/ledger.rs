//! `inventory ledger serve` and `send`, and `serve --ledger-lines`: what clients that only write lines can count on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsRawFd as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};

use crate::harness::{Place, Ran, Server, clean, inventory};

impl Place {
    fn ledger_command(&self, args: &[&str]) -> Command {
        let mut command = inventory(self.path());
        command.args(["ledger", "serve", "0"]).args(args);
        command
    }

    fn ledger(&self, args: &[&str]) -> Server {
        Server::start(self.ledger_command(args)).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path().join("log.txt")).unwrap()
    }

    /// Writes a file of lines and gives the command that sends it.
    fn send_command(&self, port: u16, name: &str, lines: impl AsRef<[u8]>) -> Command {
        fs::write(self.path().join(name), lines).unwrap();
        let mut command = inventory(self.path());
        command.args(["ledger", "send", &port.to_string(), name]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn send(&self, port: u16, name: &str, lines: impl AsRef<[u8]>) -> Ran {
        self.send_command(port, name, lines).output().unwrap().into()
    }
}

fn port(server: &Server) -> u16 {
    server.listening[0].rsplit(':').next().unwrap().parse().unwrap()
}

/// Where a shop's server takes lines.
fn lines_port(server: &Server) -> Option<u16> {
    let told = server.before.iter().find_map(|line| line.strip_prefix("taking lines on tcp://127.0.0.1:"));
    Some(told?.parse().unwrap())
}

fn connect(port: u16) -> TcpStream {
    TcpStream::connect(("127.0.0.1", port)).unwrap()
}

/// Ends the sending and waits until the server says that it has kept everything.
fn kept(client: TcpStream) -> io::Result<()> {
    client.shutdown(Shutdown::Write)?;
    closed(client)
}

/// Waits until the server closes the connection without a word.
fn closed(mut client: TcpStream) -> io::Result<()> {
    assert_eq!(client.read(&mut [0])?, 0);
    Ok(())
}

/// As a client that knows nothing but sockets.
fn write_lines(port: u16, lines: impl AsRef<[u8]>) {
    let mut client = connect(port);
    client.write_all(lines.as_ref()).unwrap();
    kept(client).unwrap();
}

fn interrupt(server: Server) -> Ran {
    server.signal(Signal::INT);
    server.ended()
}

#[test]
fn a_hundred_senders_at_once_and_a_signal_leave_an_exact_log() {
    let place = Place::new();
    let server = place.ledger(&[]);
    fs::write(place.path().join("small.txt"), "Marc credit $2\nMarc debit $1\n").unwrap();
    let mut send = inventory(place.path());
    send.args(["ledger", "send", &port(&server).to_string(), "small.txt"]);
    let senders: Vec<_> = (0..100).map(|_| send.spawn().unwrap()).collect();
    for mut sender in senders {
        assert!(sender.wait().unwrap().success());
    }
    interrupt(server).exits(0).tells("100 clients, 200 lines accepted, 0 discarded");
    assert_eq!(place.log(), "Marc $100.00\n");
}

/// The memory that the server has, by this line of its status, in KiB.
fn memory_kib(server: &Server, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let found = status.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    found.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The next of a sequence that looks random.
fn next(random: &mut u64) -> u32 {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    u32::try_from(*random >> 33).unwrap()
}

/// Lines of one client, one in ten of them invalid, and what the others add up to.
fn random_lines(client: u64, count: u64, balances: &mut BTreeMap<String, i128>) -> String {
    let mut random = client;
    let mut lines = String::new();
    for _ in 0..count {
        let names = ["Marc", "Zoë", "名前", "marc", "MARC", "a\u{a0}b", "$5", "credit", "🦀", "\u{1}"];
        let name = format!("{}{}", names[next(&mut random) as usize % names.len()], next(&mut random) % 50);
        let cents = next(&mut random) % 1_000_000;
        let sign = if next(&mut random).is_multiple_of(2) { 1 } else { -1 };
        let kind = if sign == 1 { "credit" } else { "debit" };
        let (major, minor) = (cents / 100, cents % 100);
        let (text, cents) = match next(&mut random) % 5 {
            0 => (format!("${major}"), major * 100),
            1 => (format!("{major}.{}", minor / 10), cents / 10 * 10),
            2 => (format!("0000{major}.{minor:02}"), cents),
            _ => (format!("${major}.{minor:02}"), cents),
        };
        match next(&mut random) % 20 {
            0 => writeln!(lines, "{name} {kind} -{text}").unwrap(),
            1 => writeln!(lines, "{name} {kind}ed {text}").unwrap(),
            choice => {
                let (gap, end) = [(" ", ""), ("\t\t", "\r"), (" \u{b}\u{c} ", "  ")][choice as usize % 3];
                writeln!(lines, "{gap}{name}{gap}{kind}{gap}{text}{end}").unwrap();
                *balances.entry(name).or_default() += sign * i128::from(cents);
            }
        }
    }
    lines
}

fn expected(balances: &BTreeMap<String, i128>) -> String {
    balances.iter().fold(String::new(), |mut log, (name, cents)| {
        let sign = if *cents < 0 { "-" } else { "" };
        let cents = cents.unsigned_abs();
        writeln!(log, "{name} ${sign}{}.{:02}", cents / 100, cents % 100).unwrap();
        log
    })
}

#[test]
fn fifty_clients_of_ten_thousand_lines_leave_the_exact_sums() {
    for data in [&[][..], &["--data", "data"]] {
        let place = Place::new();
        let server = place.ledger(data);
        let mut balances = BTreeMap::new();
        let senders: Vec<_> = (1..=50)
            .map(|client| {
                let lines = random_lines(client, 10_000, &mut balances);
                place.send_command(port(&server), &format!("{client}.txt"), lines).spawn().unwrap()
            })
            .collect();
        for sender in senders {
            Ran::from(sender.wait_with_output().unwrap()).exits(0);
        }
        interrupt(server).exits(0).tells("50 clients, ");
        let (log, expected) = (place.log(), expected(&balances));
        assert!(log.lines().count() > 400);
        for (line, wanted) in log.lines().zip(expected.lines()) {
            assert_eq!(line, wanted);
        }
        assert_eq!(log, expected);
    }
}

#[test]
fn each_invalid_line_is_discarded_and_no_other() {
    let place = Place::new();
    let server = place.ledger(&[]);
    let mut lines =
        b"a credit 1\n\n \nb\na credit\na credit 1 2\na Credit 1\na credit $\na credit 1.234\n".to_vec();
    lines.extend_from_slice(b"\xff credit 1\nb debit \xc3\x28\na credit -1\n\xef\xbb\xbfbom credit 1\n");
    lines.extend_from_slice(
        b"big credit 000000000000000000000000000001\nbig credit 999999999999999999999999999999\n",
    );
    lines.extend_from_slice(
        b"max credit 92233720368547758.07\nmax credit 0.01\nmax credit 92233720368547758.08\n",
    );
    lines.extend_from_slice(
        b"min debit 92233720368547758.07\nmin debit 0.01\nmin debit .02\nmin debit 0.02\nzero credit 0",
    );
    write_lines(port(&server), &lines);
    interrupt(server).exits(0).tells(
        "1 client, 7 lines accepted, 16 discarded, 2 not UTF-8, 5 not three fields, 1 neither credit nor debit, \
         4 no amount, 2 amount too large, 2 refused by the account",
    );
    assert_eq!(
        place.log(),
        "a $1.00\nbig $1.00\nmax $92233720368547758.07\nmin $-92233720368547758.08\nzero $0.00\n\u{feff}bom $1.00\n"
    );
}

#[test]
fn garbage_and_an_endless_line_cost_nobody_else_anything() {
    let place = Place::new();
    let server = place.ledger(&[]);
    let mut random = 7;
    let garbage: Vec<u8> = (0..1 << 20).map(|_| next(&mut random).to_le_bytes()[0]).collect();
    write_lines(port(&server), &garbage);
    let mut endless = connect(port(&server));
    for _ in 0..64 {
        endless.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    write_lines(port(&server), "Marc credit 5");
    endless.write_all(b" credit 1\nZoe debit 2").unwrap();
    kept(endless).unwrap();
    let peak_kib = memory_kib(&server, "VmHWM:");
    assert!(peak_kib < 64 << 10, "{peak_kib} KiB");
    interrupt(server).exits(0).tells(" too long");
    let log = place.log();
    assert!(log.contains("Marc $5.00\n") && log.contains("Zoe $-2.00\n"), "{log}");
}

#[test]
fn three_thousand_clients_at_once_are_all_heard_and_take_little_memory() {
    const CLIENTS: u64 = 3_000;
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let place = Place::new();
    let server = place.ledger(&[]);
    // The first ones, with whom it makes room for what all share.
    write_lines(port(&server), "Marc credit 0");
    let before = memory_kib(&server, "VmRSS:");
    let mut clients: Vec<TcpStream> = (0..CLIENTS).map(|_| connect(port(&server))).collect();
    for client in &mut clients {
        client.write_all(b"Marc credit $2\nMarc deb").unwrap();
    }
    write_lines(port(&server), "Marc credit 0");
    let taken = memory_kib(&server, "VmRSS:").saturating_sub(before);
    assert!(taken < CLIENTS * 4, "{taken} KiB");
    for client in &mut clients {
        client.write_all(b"it $1").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
    }
    for client in clients {
        closed(client).unwrap();
    }
    interrupt(server).exits(0).tells("3002 clients, 6002 lines accepted");
    assert_eq!(place.log(), "Marc $3000.00\n");
}

/// Of each, the server could keep 64 KiB.
#[test]
fn a_crowd_of_long_lines_beside_a_shop_takes_its_share_of_memory_at_most() {
    let place = Place::new();
    let args = ["--listen", "tcp://127.0.0.1:0", "--ledger-lines", "tcp://127.0.0.1:0"];
    let server =
        Server::start(place.serve_command(&[&args[..], &["--memory-max", "96MiB"]].concat())).unwrap();
    let port = lines_port(&server).unwrap();
    // What all share.
    write_lines(port, "Marc credit 1\n".repeat(100_000));
    let before = memory_kib(&server, "VmHWM:");
    let long = vec![b'x'; 60_000];
    let mut crowd = Vec::new();
    for _ in 0..900 {
        let mut client = connect(port);
        // Many are sent away before they have sent all.
        let _ = client.write_all(&long);
        crowd.push(client);
    }
    write_lines(port, "Zoe credit 1");
    let taken = memory_kib(&server, "VmHWM:") - before;
    assert!(taken < 8 << 10, "{taken} KiB");
    drop(crowd);
    server.stop().exits(0).tells("902 clients, 100001 lines accepted").tells(" clients sent away");
}

#[test]
fn a_signal_lets_connected_clients_finish_and_accepts_those_that_the_system_has_connected() {
    let place = Place::new();
    let server = place.ledger(&[]);
    // Nobody accepts these before the signal comes.
    server.signal(Signal::STOP);
    let waiting: Vec<TcpStream> = (0..50).map(|_| connect(port(&server))).collect();
    server.signal(Signal::INT);
    server.signal(Signal::CONT);
    for mut client in waiting {
        client.write_all(b"Marc credit 1.5\nMarc credit .5\nMarc credit 0.5").unwrap();
        kept(client).unwrap();
    }
    server.ended().exits(0).tells("50 clients, 100 lines accepted, 50 discarded");
    assert_eq!(place.log(), "Marc $100.00\n");
}

#[test]
fn a_second_signal_or_time_ends_the_wait_for_a_client_that_never_closes() {
    for drain in ["0.2", "3600"] {
        let place = Place::new();
        let server = place.ledger(&["--drain-seconds", drain]);
        let mut idle = connect(port(&server));
        idle.write_all(b"Marc credit 1\nMarc credit 1").unwrap();
        // Behind it: what the idle client sent has been read when this one is kept.
        write_lines(port(&server), "Zoe credit 1");
        server.signal(Signal::INT);
        if drain == "3600" {
            // Two signals at once are one: the second counts once the first was heard.
            server.wait_until_it_tells("stopping");
            server.signal(Signal::TERM);
        }
        server.ended().exits(0).tells("clients that have not ended and are cut: 1");
        assert_eq!(place.log(), "Marc $1.00\nZoe $1.00\n");
        assert_eq!(idle.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn senders_that_a_signal_meets_half_way_are_kept_whole() {
    let place = Place::new();
    let server = place.ledger(&["--data", "data"]);
    let lines = "Marc credit 0.01\n".repeat(100_000);
    let first = place.send_command(port(&server), "1.txt", &lines).spawn().unwrap();
    let second = place.send_command(port(&server), "2.txt", &lines).spawn().unwrap();
    // Once one is connected; whoever comes too late is told so.
    write_lines(port(&server), "Zoe credit 1");
    server.signal(Signal::INT);
    let mut cents = 0;
    for sender in [first, second] {
        let ran = Ran::from(sender.wait_with_output().unwrap());
        assert!(ran.code == 0 || ran.code == 3, "{ran:#?}");
        cents += if ran.code == 0 { 100_000 } else { 0 };
    }
    server.ended().exits(0);
    let marc = if cents == 0 { String::new() } else { format!("Marc ${}.00\n", cents / 100) };
    assert_eq!(place.log(), format!("{marc}Zoe $1.00\n"));
}

#[test]
fn a_data_directory_keeps_the_balances() {
    let place = Place::new();
    let data = ["--data", "data"];
    let server = place.ledger(&data);
    place.send(port(&server), "a.txt", "Marc credit $2\n").exits(0);
    interrupt(server).exits(0);
    let server = place.ledger(&data);
    place.send(port(&server), "a.txt", "Marc debit $5\nZoe credit 1\n").exits(0);
    interrupt(server).exits(0);
    assert_eq!(place.log(), "Marc $-3.00\nZoe $1.00\n");
    // Without one, nothing is left.
    interrupt(place.ledger(&[])).exits(0);
    assert_eq!(place.log(), "");
}

#[test]
fn what_a_closed_sender_saw_survives_a_kill_and_no_other_looks_like_it() {
    let place = Place::new();
    let data = ["--data", "data"];
    let mut cents = 0;
    for _ in 0..3 {
        let server = place.ledger(&data);
        let lines = "Marc credit 0.01\n".repeat(20_000);
        place.send(port(&server), "a.txt", &lines).exits(0);
        cents += 20_000;
        let mut open = connect(port(&server));
        open.write_all(b"Zoe credit 1\n").unwrap();
        write_lines(port(&server), "Marc credit 1");
        cents += 100;
        server.kill();
        // Its line was read, and it had not said that it was done.
        assert_eq!(open.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }
    interrupt(place.ledger(&data)).exits(0);
    let log = place.log();
    assert!(log.starts_with(&format!("Marc ${}.00\n", cents / 100)), "{log}");
}

#[test]
fn a_server_that_dies_while_a_file_is_sent_is_told_with_how_far_it_came() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let lines = "Marc credit 1\n".repeat(1 << 20);
    let sender = place.send_command(port, "a.txt", &lines).spawn().unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.read_exact(&mut vec![0; 1 << 20]).unwrap();
    // With bytes that nobody has read: the system resets the connection.
    drop(server);
    let ran = Ran::from(sender.wait_with_output().unwrap()).exits(3).tells("broke off after");
    ran.tells(&format!("of {} bytes were sent", lines.len()));
}

/// An orderly end would make the half line that was on its way a whole one: of $1000000.00, $100 might be left.
#[test]
fn a_sender_that_is_killed_resets_the_connection() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // More than what the system keeps of a connection: it is not done when it is killed.
    let mut sender = place.send_command(port, "a.txt", "Marc credit 1\n".repeat(1 << 22)).spawn().unwrap();
    let (mut server, _) = listener.accept().unwrap();
    server.read_exact(&mut vec![0; 1 << 20]).unwrap();
    sender.kill().unwrap();
    sender.wait().unwrap();
    assert_eq!(server.read_to_end(&mut Vec::new()).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn what_cannot_be_a_port_a_file_or_a_directory_is_told() {
    let place = Place::new();
    fs::write(place.path().join("lines.txt"), "Marc credit 1\n").unwrap();
    for (args, told) in [
        (&["serve", "abc"][..], "\"abc\" is no port: a number from 0 to 65535"),
        (&["serve", "65536"], "\"65536\" is no port"),
        (&["send", "lines.txt", "5000"], "\"lines.txt\" is no port of a server: a number from 1 to 65535"),
        (&["send", "0", "lines.txt"], "\"0\" is no port of a server"),
        (&["send", "5000", "-"], "cannot read -: standard input is not taken"),
        (&["serve", "0", "--data", "lines.txt"], "the data directory lines.txt is a file, not a directory"),
        (
            &["send", "5000", "lines.txt", "--format", "json"],
            "--format is for clients of the shop; a ledger server is",
        ),
        (&["serve", "0", "--state", "x"], "--state is for clients of the shop; servers take --data"),
    ] {
        let ran = Ran::from(inventory(place.path()).arg("ledger").args(args).output().unwrap());
        ran.exits(2).tells(told);
    }
}

#[test]
fn help_shows_the_options_of_clients_where_they_are_taken() {
    let place = Place::new();
    for (command, takes) in [
        (&["ledger", "serve"][..], false),
        (&["ledger", "send"], false),
        (&["serve"], false),
        (&["demo"], false),
        (&["ledger", "post"], true),
        (&["buy"], true),
    ] {
        let ran = Ran::from(inventory(place.path()).args(command).arg("--help").output().unwrap()).exits(0);
        for option in ["--server <", "--state <", "--format <", "Client options"] {
            assert_eq!(ran.out.contains(option), takes, "{command:?} {option}");
        }
    }
}

#[test]
fn without_arguments_the_usage_is_one_line() {
    let place = Place::new();
    for (args, usage) in [
        (&["serve"][..], "usage: inventory ledger serve PORT\n"),
        (&["send"], "usage: inventory ledger send PORT FILE\n"),
        (&["send", "5000"], "usage: inventory ledger send PORT FILE\n"),
    ] {
        let ran = Ran::from(inventory(place.path()).arg("ledger").args(args).output().unwrap()).exits(2);
        assert_eq!((ran.err.as_str(), ran.out.as_str()), (usage, ""));
    }
}

#[test]
fn what_cannot_be_served_or_sent_is_told() {
    let place = Place::new();
    let run = |args: &[&str]| Ran::from(inventory(place.path()).arg("ledger").args(args).output().unwrap());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_port = taken.local_addr().unwrap().port().to_string();
    run(&["serve", &taken_port]).exits(4).tells("another server listens on").tells("choose another");
    drop(taken);
    fs::write(place.path().join("a.txt"), "Marc credit 1\n").unwrap();
    run(&["send", &taken_port, "a.txt"]).exits(3).tells("cannot reach a ledger server at 127.0.0.1:");
    run(&["send", &taken_port, "missing.txt"]).exits(2).tells("missing.txt").tells("No such file");
    run(&["send", &taken_port, "."]).exits(2).tells("is a directory");
    for port in ["65536", "-1", "x", ""] {
        run(&["serve", port]).exits(2);
        run(&["send", port, "a.txt"]).exits(2);
    }
    run(&["serve", "0", "--log", "."]).exits(2).tells("is a directory");
    run(&["serve", "0", "--log", "missing/log.txt"]).exits(2).tells("no such directory");
    run(&["serve", "0", "--data", "a.txt"]).exits(2).tells("a.txt");
    // Whatever answers is something else.
    let shop = Server::start(place.serve_command(&["--listen", "tcp://127.0.0.1:0"])).unwrap();
    run(&["send", &port(&shop).to_string(), "a.txt"]).exits(3).tells("ledger server");
}

#[test]
fn a_log_goes_where_a_link_points_and_in_the_place_of_files_only() {
    let place = Place::new();
    let linked = place.path().join("log.txt");
    let refuses = |log: &str, code, why| {
        let refused = Server::start(place.ledger_command(&["--log", log])).err();
        refused.unwrap().exits(code).tells("cannot write").tells(why);
    };
    std::os::unix::fs::symlink("real.txt", &linked).unwrap();
    refuses("log.txt", 2, "it is a link to nothing");
    let _socket = UnixListener::bind(place.path().join("socket")).unwrap();
    refuses("socket", 2, "it is no file");
    // A directory in which nobody can make files.
    refuses("/proc/log.txt", 4, "/proc/log.txt");
    fs::write(place.path().join("real.txt"), "before").unwrap();
    let server = place.ledger(&[]);
    write_lines(port(&server), "Marc credit 1");
    interrupt(server).exits(0);
    assert!(linked.is_symlink());
    assert_eq!(fs::read_to_string(place.path().join("real.txt")).unwrap(), "Marc $1.00\n");
}

#[test]
fn servers_of_lines_allow_themselves_as_many_open_files_as_they_may() {
    let place = Place::new();
    let shop = place.serve_command(&["--listen", "tcp://127.0.0.1:0", "--ledger-lines", "tcp://127.0.0.1:0"]);
    for command in [place.ledger_command(&[]), shop] {
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -Sn 100; exec \"$0\" \"$@\""]).arg(command.get_program());
        clean(&mut limited, place.path());
        let server = Server::start({
            limited.args(command.get_args());
            limited
        })
        .unwrap();
        let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
        let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
        let files: Vec<_> = files.split_whitespace().collect();
        assert_eq!(files[0], files[1]);
    }
}

#[test]
fn what_becomes_of_lines_is_told_when_asked_and_from_time_to_time() {
    let place = Place::new();
    let shop = place.serve_command(&["--listen", "tcp://127.0.0.1:0", "--ledger-lines", "tcp://127.0.0.1:0"]);
    for (command, asks) in [
        (place.ledger_command(&[]), true),
        (shop, true),
        (place.ledger_command(&["--stats-seconds", "0.001"]), false),
    ] {
        let server = Server::start(command).unwrap();
        let port = lines_port(&server).unwrap_or_else(|| port(&server));
        let mut open = connect(port);
        open.write_all(b"Marc credit 1\nMarc credit\n\xff\nMarc").unwrap();
        // Behind it: what the open one sent has been read when this one is kept.
        write_lines(port, "Zoe credit 1");
        if asks {
            server.signal(Signal::USR1);
        }
        server.wait_until_it_tells(
            "2 clients, 2 lines accepted, 2 discarded, 1 not UTF-8, 1 not three fields; 1 client connected, 0 lines wait",
        );
        kept(open).unwrap();
        server
            .stop()
            .exits(0)
            .tells("2 clients, 2 lines accepted, 3 discarded, 1 not UTF-8, 2 not three fields\n");
    }
}

/// Needs `unshare` (util-linux), and root or user namespaces.
#[test]
fn a_full_disk_keeps_the_log_from_before() {
    let place = Place::new();
    let disk = place.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let disk = disk.display();
    let script = format!(
        "mount -t tmpfs -o size=64k,mode=700 tmpfs {disk} && printf 'before\\n' > {disk}/log.txt && \
         exec {} ledger serve 0 --log {disk}/log.txt",
        env!("CARGO_BIN_EXE_inventory"),
    );
    let mut command = Command::new("unshare");
    clean(&mut command, place.path());
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.args(["--mount", "sh", "-c", &script]);
    let server = Server::start(command).unwrap();
    // The directory of the other namespace, which ends with the server: held from here.
    let inside = fs::File::open(format!("/proc/{}/root{disk}", server.pid())).unwrap();
    let lines = (0..10_000).fold(String::new(), |mut lines, n| {
        writeln!(lines, "account{n} credit 1").unwrap();
        lines
    });
    write_lines(port(&server), lines);
    interrupt(server).exits(4).tells("cannot write").tells("what it held before is kept");
    let seen = fs::read_dir(format!("/proc/self/fd/{}", inside.as_raw_fd())).unwrap();
    let names: Vec<_> = seen.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["log.txt"]);
    let log = fs::read_to_string(format!("/proc/self/fd/{}/log.txt", inside.as_raw_fd())).unwrap();
    assert_eq!(log, "before\n");
}

/// A file of lines of new accounts, which fills a journal.
fn long_names(piece: u32) -> String {
    (0..200).fold(String::new(), |mut lines, n| {
        writeln!(lines, "{:0>1000} credit 1", piece * 200 + n).unwrap();
        lines
    })
}

#[test]
fn a_full_disk_under_the_journal_loses_nothing_that_looked_kept() {
    for command in [
        "ledger serve 0 --drain-seconds 0.1 --data",
        "serve --listen tcp://127.0.0.1:0 --ledger-lines tcp://127.0.0.1:0 --data",
    ] {
        let place = Place::new();
        let server = Server::start(place.on_a_small_disk(command)).unwrap();
        let port = lines_port(&server).unwrap_or_else(|| port(&server));
        // The directory of the other namespace, which ends with the server: held from here.
        let inside = format!("/proc/{}/root{}", server.pid(), place.data().display());
        let inside = fs::File::open(inside).unwrap();
        let mut kept = 0;
        let mut unkept = loop {
            assert!(kept < 100, "the disk does not fill");
            let mut client = connect(port);
            client.write_all(long_names(kept).as_bytes()).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            client.set_nonblocking(true).unwrap();
            while client.read(&mut [0]).is_err() && !server.has_told("the journal cannot be written") {
                std::thread::yield_now();
            }
            if server.has_told("the journal cannot be written") {
                break client;
            }
            kept += 1;
        };
        assert!(kept > 0);
        server.signal(Signal::INT);
        let ran = server.ended().exits(4);
        unkept.set_nonblocking(false).unwrap();
        assert_eq!(unkept.read(&mut [0]).unwrap_err().kind(), io::ErrorKind::ConnectionReset);

        let copy = place.path().join("copy");
        copy_files(format!("/proc/self/fd/{}", inside.as_raw_fd()).as_ref(), &copy);
        interrupt(place.ledger(&["--data", "copy", "--log", "copy.txt"])).exits(0);
        let log = fs::read_to_string(place.path().join("copy.txt")).unwrap();
        if command.starts_with("ledger") {
            assert!(place.log() == log);
        }
        // All that looked kept, and from the beginning on some of what did not.
        let lines = (kept + 1) * 200;
        let in_log = u32::try_from(log.lines().count()).unwrap();
        assert!((kept * 200..lines).contains(&in_log), "{in_log} of {lines}");
        let wanted = (0..in_log).fold(String::new(), |mut log, n| {
            writeln!(log, "{n:0>1000} $1.00").unwrap();
            log
        });
        assert!(log == wanted);
        ran.tells(&format!("{} clients, {in_log} lines accepted", kept + 1)).tells(&format!(
            "the journal cannot be written: the last {} lines are not in it",
            lines - in_log
        ));
    }
}

/// All files of a server that has ended, but not what filled its disk.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy_files(&from, &to);
        } else if from.is_file() && !from.ends_with("ballast") {
            fs::copy(from, to).unwrap();
        }
    }
}

#[test]
fn a_shops_server_takes_lines_too() {
    let place = Place::new();
    let args = ["--listen", "tcp://127.0.0.1:0", "--ledger-lines", "tcp://127.0.0.1:0"];
    let server = Server::start(place.serve_command(&args)).unwrap();
    let lines_port = lines_port(&server).unwrap();
    place.send(lines_port, "a.txt", "Marc credit $2\nMarc debit $1\n").exits(0);
    // One that is not done when the signal comes is read to its end.
    let mut client = connect(lines_port);
    client.write_all(b"Marc credit $2\nMarc deb").unwrap();
    server.signal(Signal::TERM);
    client.write_all(b"it $1").unwrap();
    kept(client).unwrap();
    server.ended().exits(0).tells("2 clients, 4 lines accepted");
    let data = place.data();
    interrupt(place.ledger(&["--data", data.to_str().unwrap()])).exits(0);
    assert_eq!(place.log(), "Marc $2.00\n");
}

#[test]
fn lines_from_other_machines_have_to_be_allowed() {
    let place = Place::new();
    let args = ["--listen", "tcp://127.0.0.1:0", "--ledger-lines", "tcp://0.0.0.0:0"];
    Server::start(place.serve_command(&args))
        .err()
        .unwrap()
        .exits(4)
        .tells("can be reached from other machines");
    let unix = ["--listen", "tcp://127.0.0.1:0", "--ledger-lines", "unix:///tmp/x"];
    Server::start(place.serve_command(&unix)).err().unwrap().exits(4).tells("no address of plain TCP");
}
