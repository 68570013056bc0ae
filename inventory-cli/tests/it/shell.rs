//! The shell on a pipe, against a server that comes and goes.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::harness::{BANANAS, Place, Ran, TISSUES, piped};

#[test]
fn the_shell_and_the_one_shot_commands_share_the_session() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let script = format!("buy {TISSUES} 1 {BANANAS} 1\nlogin bob\nbob-demo\nmine\n");
    let ran = piped(client.command(&["shell"]), &script).exits(0);
    ran.shows("logged in as alice").shows("total 3.28").tells("already logged in as alice");
    assert_eq!((client.held(TISSUES), client.held(BANANAS)), (1, 1));
    piped(client.command(&["shell"]), "logout\n").exits(0);
    client.run(&["mine"]).exits(1);
}

#[test]
fn receipts_are_shown_by_key() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let bought = client.run(&["buy", TISSUES, "1", "--format", "json"]).json();
    let key = bought["key"].as_str().unwrap();
    piped(client.command(&["shell"]), &format!("receipt {key}\nreceipt\n{key}\n"))
        .exits(0)
        .shows("total 2.49");
}

#[test]
fn an_order_refused_because_the_session_ended_is_sent_again_after_the_login() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let mut shell = Shell::start(client.command(&["shell"]));
    shell.types(&format!("buy {TISSUES} 1")).shows("alice bought");
    let session = client.files("session.json").remove(0);
    let kept = std::fs::read(&session).unwrap();
    client.run(&["logout"]).exits(0);
    std::fs::write(&session, &kept).unwrap();
    shell.types(&format!("buy {TISSUES} 1"));
    shell
        .ends()
        .exits(1)
        .tells("is kept, and is sent again after the next login")
        .tells("has ended: log in again");
    client.log_in("alice").exits(0).tells("of an earlier run is settled: it was carried out");
    assert_eq!((client.held(TISSUES), client.available(TISSUES)), (2, 98));
}

/// A shell on a pipe, typed into as it goes.
struct Shell {
    child: Child,
    input: ChildStdin,
    out: BufReader<ChildStdout>,
}

impl Shell {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (input, out) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, input, out }
    }

    fn types(&mut self, line: &str) -> &mut Self {
        writeln!(self.input, "{line}").unwrap();
        self
    }

    /// Waits for a line with this text.
    fn shows(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(self.out.read_line(&mut line).unwrap(), 0, "{text}");
        }
    }

    /// Closes its input and waits for its end.
    fn ends(self) -> Ran {
        drop(self.input);
        Ran::from(self.child.wait_with_output().unwrap())
    }
}

#[test]
fn a_shell_never_acts_for_another_user_unasked() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let mut shell = Shell::start(client.command(&["shell"]));
    shell.types(&format!("buy {TISSUES} 1")).shows("alice bought");
    client.run(&["logout"]).exits(0);
    client.log_in("bob").exits(0);
    shell.types(&format!("buy {TISSUES} 5")).types("mine").shows("nothing held");
    shell.ends().exits(0).tells("alice was logged out elsewhere").tells("nothing was done");
    assert_eq!((client.held(TISSUES), client.available(TISSUES)), (0, 99));
}

#[test]
fn the_shell_outlives_its_server() {
    let place = Place::new();
    let server = place.serve();
    let client = place.logged_in("alice");
    let mut shell = Shell::start(client.command(&["shell"]));
    shell.types(&format!("buy {TISSUES} 1")).shows("total 2.49");
    server.kill();
    let _server = place.serve();
    shell.types(&format!("buy {TISSUES} 2")).shows("total 4.98");
    shell.ends().exits(0);
    assert_eq!((client.held(TISSUES), client.available(TISSUES)), (3, 97));
}

#[test]
fn what_is_no_text_is_told_and_the_shell_goes_on() {
    let place = Place::new();
    let _server = place.serve();
    let client = place.logged_in("alice");
    let mut shell = client.command(&["shell"]);
    let mut shell =
        shell.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut input = shell.stdin.take().unwrap();
    input.write_all(b"\xff\xfe\0\nmine\n").unwrap();
    drop(input);
    Ran::from(shell.wait_with_output().unwrap()).exits(0).tells("type menu").shows("nothing held");
}

#[test]
fn without_a_server_the_shell_says_so_and_goes_on() {
    let place = Place::new();
    let client = place.client("alice");
    let ran = piped(client.command(&["shell"]), "login alice\nalice-demo\nstock\n");
    ran.exits(1).tells("cannot reach the server").tells("not logged in");
}
