//! TigerBeetle, where a program of it is named, by its own `benchmark`: a server of its own, and transfers in full batches.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;

use crate::process::{Process, find_program};
use crate::sample::Sample;

/// Transfers in its largest batches: a few seconds of them.
pub(crate) const FULL: &[&str] = &["--transfer-count=1000000"];
/// Transfers one by one: a few seconds, too.
pub(crate) const SINGLE: &[&str] = &["--transfer-count=4000", "--transfer-batch-count=1", "--clients=32"];

/// How long one run may take.
const PATIENCE: Duration = Duration::from_mins(3);

/// One run of its benchmark, with these options. Latencies are of requests.
pub(crate) fn benchmark(dir: &Path, options: &[&str]) -> anyhow::Result<Sample> {
    anyhow::ensure!(std::env::var_os("TIGERBEETLE").is_some(), "the variable TIGERBEETLE names no program");
    let program = find_program("TIGERBEETLE", "tigerbeetle", &[]).context("there is no such program")?;
    // A file of more than 1 GB, which it leaves behind if it is ended.
    let work = tempfile::tempdir_in(dir)?;
    let log = dir.join("tigerbeetle.log");
    let mut command = Command::new(program);
    command.arg("benchmark").args(options).current_dir(work.path());
    Process::start(&mut command, &log)?.wait_for_end(PATIENCE)?;
    parse(&String::from_utf8_lossy(&std::fs::read(log)?))
}

fn parse(text: &str) -> anyhow::Result<Sample> {
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.split_once(name)?.1.split_once("= "))?;
        line.1.split(' ').next()?.parse::<f64>().ok()
    };
    let per_s = figure("load accepted").with_context(|| format!("its benchmark says {text:?}"))?;
    let ms = |name| figure(name).map(|ms| ms * 1e3);
    Ok(Sample { p50_us: ms("batch latency p50"), p99_us: ms("batch latency p99"), ..Sample::rate(per_s) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_figures_are_read() {
        let text = "transfer batch size = 8190 txs\nload accepted = 592651 tx/s\nbatch latency p50 = 9 ms\n";
        let sample = parse(text).unwrap();
        assert_eq!((sample.per_s, sample.p50_us, sample.p99_us), (592_651.0, Some(9_000.0), None));
        assert!(parse("error: out of memory").is_err());
    }
}
