//! Lines of credits and debits: `inventory ledger serve`, durable and not, beside the same exercise written plainly in Python
//! (`benches/peers/ledger.py`). The same senders send the same files to each; each must leave the same log.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use crate::process::{Process, disk_dir, find_program, free_port};

/// The command `ledger`.
#[derive(Debug, Args)]
pub(crate) struct Ledger {
    /// Lines that each sender sends.
    #[arg(long, value_name = "N", default_value_t = 500_000)]
    lines: u64,
    /// Senders at once.
    #[arg(long, value_name = "N", default_value_t = 4)]
    senders: u64,
    /// Accounts that the lines name.
    #[arg(long, value_name = "N", default_value_t = 5_000)]
    accounts: u64,
    /// Rounds; figures are medians.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
}

/// Who takes the lines.
const CASES: [&str; 3] = ["durable", "volatile", "python"];

/// What a run measured.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    lines: u64,
    senders: u64,
    accounts: u64,
    cases: Vec<Row>,
}

#[derive(Debug, Serialize)]
struct Row {
    case: &'static str,
    /// Lines a second over all senders, until the last one knew that its lines were kept; round by round.
    lines_per_second: Vec<f64>,
    median: f64,
    /// How many times the median of Python.
    times_python: Option<f64>,
}

impl Ledger {
    /// Has each server take the same files, in turns.
    pub(crate) fn measure(&self) -> anyhow::Result<Figures> {
        let dir = disk_dir()?;
        let files: Vec<PathBuf> = (0..self.senders)
            .map(|sender| write_file(dir.path(), self, sender))
            .collect::<anyhow::Result<_>>()?;
        let mut rates = CASES.map(|_| Vec::new());
        let mut logs: Vec<Vec<u8>> = Vec::new();
        for round in 1..=self.rounds.max(1) {
            for (case, rates) in CASES.iter().zip(&mut rates) {
                eprintln!("round {round} of {}: {case}", self.rounds);
                let Some(mut command) = server(case)? else {
                    eprintln!("  skipped: python3 is not installed");
                    continue;
                };
                let place = tempfile::tempdir_in(dir.path())?;
                let seconds = time(command.current_dir(place.path()), place.path(), &files)?;
                rates.push(lines_of(self) / seconds);
                logs.push(fs::read(place.path().join("log.txt")).context("no log was left")?);
            }
        }
        anyhow::ensure!(logs.windows(2).all(|pair| pair.first() == pair.last()), "the logs differ");
        Ok(Figures::of(self, rates))
    }
}

fn lines_of(wanted: &Ledger) -> f64 {
    wanted.lines.saturating_mul(wanted.senders) as f64
}

/// Lines of scattered accounts and amounts, the same each time.
fn write_file(dir: &Path, wanted: &Ledger, sender: u64) -> anyhow::Result<PathBuf> {
    let path = dir.join(format!("{sender}.txt"));
    let mut random = sender;
    let mut next = |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below.max(1)
    };
    let mut text = String::new();
    for _ in 0..wanted.lines {
        let (account, kind) = (next(wanted.accounts), if next(2) == 0 { "credit" } else { "debit" });
        writeln!(text, "customer{account} {kind} ${}.{:02}", next(1_000), next(100))?;
    }
    fs::write(&path, text)?;
    Ok(path)
}

/// How a server is started that takes its port as the last argument; none if it is not installed.
fn server(case: &str) -> anyhow::Result<Option<Command>> {
    if case == "python" {
        let Some(python) = find_program("PYTHON", "python3", &["/usr/bin"]) else { return Ok(None) };
        let mut command = Command::new(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("ledger.py"));
        return Ok(Some(command));
    }
    let mut command = inventory()?;
    command.args(["ledger", "serve"]);
    if case == "durable" {
        command.args(["--data", "data"]);
    }
    Ok(Some(command))
}

/// The command beside this program.
fn inventory() -> anyhow::Result<Command> {
    Ok(Command::new(std::env::current_exe()?.with_file_name("inventory")))
}

/// Seconds that a server takes to keep all files, for the second time: a new data directory still makes its first large
/// segment while the first lines come.
fn time(command: &mut Command, place: &Path, files: &[PathBuf]) -> anyhow::Result<f64> {
    let port = free_port()?;
    let mut server = Process::start(command.arg(port.to_string()), &place.join("server.out"))?;
    server.wait_for_port(port)?;
    send(port, files)?;
    let began = Instant::now();
    send(port, files)?;
    let seconds = began.elapsed().as_secs_f64();
    server.interrupt()?;
    Ok(seconds)
}

/// Sends each file in a process of its own, all at once, and waits until they are kept.
fn send(port: u16, files: &[PathBuf]) -> anyhow::Result<()> {
    let start = |file: &PathBuf| {
        let mut sender = inventory()?;
        sender.args(["ledger", "send", &port.to_string()]).arg(file).stdin(Stdio::null());
        Ok(sender.spawn()?)
    };
    for mut sender in files.iter().map(start).collect::<anyhow::Result<Vec<_>>>()? {
        anyhow::ensure!(sender.wait()?.success(), "a sender failed");
    }
    Ok(())
}

impl Figures {
    fn of(wanted: &Ledger, rates: [Vec<f64>; CASES.len()]) -> Self {
        let medians = rates.each_ref().map(|rates| median(rates));
        let python = CASES.iter().zip(medians).find_map(|(case, rate)| (*case == "python").then_some(rate));
        let python = python.filter(|rate| *rate > 0.0);
        let row = |((case, lines_per_second), median): ((&&'static str, Vec<f64>), f64)| Row {
            case,
            lines_per_second,
            median,
            times_python: python.map(|python| median / python),
        };
        let cases = CASES.iter().zip(rates).zip(medians).map(row).collect();
        Self { lines: wanted.lines, senders: wanted.senders, accounts: wanted.accounts, cases }
    }

    /// For people.
    pub(crate) fn table(&self) -> String {
        let mut text = format!(
            "{} senders of {} lines each, {} accounts\n{:<10} {:>14} {:>14}\n",
            self.senders, self.lines, self.accounts, "", "lines/s", "times Python"
        );
        for Row { case, median, times_python, .. } in &self.cases {
            let ratio = times_python.map_or("-".to_owned(), |ratio| format!("{ratio:.1}"));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{case:<10} {median:>14.0} {ratio:>14}");
        }
        text
    }
}

/// 0 if there are none.
fn median(rates: &[f64]) -> f64 {
    let mut sorted = rates.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}
