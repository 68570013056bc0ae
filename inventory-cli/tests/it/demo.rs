//! `inventory demo`, as a newcomer would try it, from a pipe.

use crate::harness::{BANANAS, Place, TISSUES, inventory, piped};

fn demo(place: &Place, lines: &str) -> crate::harness::Ran {
    let mut command = inventory(place.path());
    command.args(["demo", "--data", "demo"]);
    piped(command, lines)
}

#[test]
fn the_demo_sells_and_remembers() {
    let place = Place::new();
    let first =
        demo(&place, &format!("login alice\nalice-demo\nstock\nbuy {TISSUES} 2\nmine\nquit\n")).exits(0);
    let first = first
        .shows("log in as alice/alice-demo (buyer), bob/bob-demo (buyer), admin/admin-demo (administrator)")
        .shows("1  log in")
        .shows("6  quit")
        .shows("logged in as alice")
        .shows("Organic Bananas")
        .shows("alice bought");
    assert!(!first.out.contains("inventory> ") && !first.out.contains("password:"), "{first:#?}");
    let second = demo(&place, &format!("mine\nstock {TISSUES}\nlogout\n")).exits(0);
    second.shows("logged in as alice").shows("Kleenex Facial Tissues, 160 count      2").shows("98");
}

#[test]
fn the_numbered_menu_asks_for_what_is_missing() {
    let place = Place::new();
    let ran = demo(&place, &format!("1\nbob\nbob-demo\n2\n4\n{BANANAS}\n1\n3\n5\n6\n")).exits(0);
    ran.shows("logged in as bob").shows("bob bought").shows("bob is logged out");
}

#[test]
fn a_script_exits_like_its_last_command() {
    let place = Place::new();
    let log_in = "login alice\nalice-demo\n";
    demo(&place, &format!("{log_in}buy {BANANAS} 9\nquit\n")).exits(1).tells("9 asked, 3 available");
    demo(&place, &format!("buy {BANANAS} 9\nbuy milk 1\n")).exits(2).tells("is no UPC");
    demo(&place, "dance\nmenu\n").exits(0).tells("type menu").shows("view local inventory");
    demo(&place, "").exits(0);
}

#[test]
fn another_terminal_joins_the_demo() {
    let place = Place::new();
    let mut command = inventory(place.path());
    command.args(["demo", "--data", "demo"]);
    let mut demo = command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = std::io::BufReader::new(demo.stdout.take().unwrap());
    let mut told = String::new();
    while !told.contains("show this menu") {
        assert_ne!(std::io::BufRead::read_line(&mut out, &mut told).unwrap(), 0, "{told}");
    }
    let socket =
        format!("unix://{}", place.path().canonicalize().unwrap().join("demo/inventory.sock").display());
    assert!(told.contains(&format!("inventory shell --server {socket}")), "{told}");
    let bob = place.client("bob").at(&socket);
    bob.log_in("bob").exits(0);
    bob.run(&["buy", BANANAS, "3"]).exits(0);
    let mut input = demo.stdin.take().unwrap();
    let lines = format!("login alice\nalice-demo\nbuy {BANANAS} 1\n");
    std::io::Write::write_all(&mut input, lines.as_bytes()).unwrap();
    drop(input);
    let ran = crate::harness::Ran::from(demo.wait_with_output().unwrap());
    ran.exits(1).tells("1 asked, 0 available");
}
