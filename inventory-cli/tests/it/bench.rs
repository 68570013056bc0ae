//! `inventory bench`: figures that can be trusted, or none.

use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Place, Ran, TISSUES, inventory};

fn bench(place: &Place, args: &[&str]) -> Command {
    let mut command = inventory(place.path());
    command.arg("bench").args(args);
    command
}

fn run(command: &mut Command) -> Ran {
    command.output().unwrap().into()
}

#[test]
fn a_server_of_its_own_sells_exactly_what_is_gone() {
    let place = Place::new();
    let args = ["--connections", "4", "--items", "100", "--count", "500", "--format", "json"];
    let mut command = bench(&place, &args);
    let figures = run(command.env("TMPDIR", place.path())).exits(0).json();
    assert_eq!(figures["units_sold"], 500);
    assert_eq!(figures["units_gone"], 500);
    assert_eq!(
        (&figures["purchases"], &figures["requests"], &figures["unsent"]),
        (&500.into(), &500.into(), &0.into())
    );
    for name in ["rate_per_s", "p50_us", "p99_us", "p999_us", "max_us"] {
        assert!(figures[name].as_f64().unwrap() > 0.0, "{name}: {figures}");
    }
    let counted =
        figures["histogram"].as_array().unwrap().iter().map(|row| row["requests"].as_u64().unwrap());
    assert_eq!(counted.sum::<u64>(), 500);
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "its directory is gone");
}

#[test]
fn every_skew_reads_and_a_rate_make_figures_too() {
    let place = Place::new();
    let server = place.serve();
    for more in [
        &["--skew", "hot", "--in-flight", "10"][..],
        &["--skew", "zipf", "--reads", "50"],
        &["--rate", "2000"],
        &["--reads", "100"],
        &["--batch", "20", "--in-flight", "4"],
    ] {
        let socket = place.socket();
        let args = ["--server", &socket, "--connections", "3", "--items", "50", "--count", "300"];
        let ran = run(bench(&place, &args).args(more)).exits(0);
        ran.shows("units      ").shows("latency    p50 ").shows("requests\n");
    }
    server.stop().exits(0);
}

#[test]
fn only_what_the_bench_made_is_bought() {
    let place = Place::new();
    let _server = place.serve();
    let socket = place.socket();
    run(&mut bench(&place, &["--server", &socket, "--items", "10", "--count", "100"])).exits(0);
    let alice = place.logged_in("alice");
    assert_eq!(alice.available(TISSUES), 100);
}

#[test]
fn a_wrong_password_and_a_server_that_is_not_there_are_told() {
    let place = Place::new();
    let socket = place.socket();
    let args = ["--server", &socket, "--items", "1", "--count", "1"];
    run(&mut bench(&place, &args)).exits(3).tells("cannot reach the server");
    let _server = place.serve();
    run(bench(&place, &args).env("INVENTORY_PASSWORD", "nope")).exits(1).tells("wrong user name or password");
}

#[test]
fn more_in_flight_than_the_server_takes_is_told() {
    let place = Place::new();
    let _server = place.serve();
    let socket = place.socket();
    let args = ["--server", &socket, "--items", "1", "--count", "1", "--in-flight", "5000"];
    run(&mut bench(&place, &args)).exits(2).tells("at most 1024 requests in flight");
}

#[test]
fn what_makes_no_sense_is_told_before_anything_starts() {
    let place = Place::new();
    for (args, told) in [
        (&["--connections", "0"][..], "--connections"),
        (&["--batch", "8193"], "--batch"),
        (&["--format", "csv"], "table or JSON"),
        (&["--seconds", "0"], "--seconds"),
    ] {
        run(&mut bench(&place, args)).exits(2).tells(told);
    }
}

/// Starts a load without an end and waits until the server has sold something.
fn under_load(place: &Place) -> std::process::Child {
    let socket = place.socket();
    let args = ["--server", &socket, "--items", "10", "--seconds", "3600"];
    let child = bench(place, &args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let alice = place.logged_in("alice");
    // Each look is a round trip to a server that the load keeps busy.
    while !alice.run(&["stock", "--format", "csv"]).exits(0).out.lines().any(sold) {}
    child
}

/// Whether a row of the stock is of an item of the load that has been bought. One without a level yet has no units at all.
fn sold(row: &str) -> bool {
    let on_hand = row.split(',').nth(3).and_then(|units| units.parse::<u64>().ok()).unwrap_or(0);
    row.contains("load test") && (1..inventory_load::shop::UNITS_PER_ITEM).contains(&on_hand)
}

#[test]
fn a_server_that_dies_under_load_leaves_no_figures() {
    let place = Place::new();
    let server = place.serve();
    let load = under_load(&place);
    server.kill();
    let ran = Ran::from(load.wait_with_output().unwrap()).exits(3).tells("there are no figures for this run");
    assert_eq!(ran.out, "");
}

#[test]
fn an_interrupted_bench_leaves_no_figures() {
    let place = Place::new();
    let _server = place.serve();
    let load = under_load(&place);
    kill_process(Pid::from_child(&load), Signal::INT).unwrap();
    let ran = Ran::from(load.wait_with_output().unwrap()).exits(4).tells("interrupted");
    assert_eq!(ran.out, "");
}
