//! TigerBeetle, where a program of it is named, by its own `benchmark`: a server of its own, and transfers in full batches.

use std::process::Command;

use anyhow::Context as _;

use crate::process::find_program;
use crate::sample::Sample;

/// Transfers of one run: a few seconds of it.
const TRANSFERS: u64 = 1_000_000;

/// One run of its benchmark. Latencies are of batches.
pub(crate) fn benchmark(dir: &std::path::Path) -> anyhow::Result<Sample> {
    anyhow::ensure!(std::env::var_os("TIGERBEETLE").is_some(), "the variable TIGERBEETLE names no program");
    let program = find_program("TIGERBEETLE", "tigerbeetle", &[]).context("there is no such program")?;
    let transfers = format!("--transfer-count={TRANSFERS}");
    let output = Command::new(program).args(["benchmark", &transfers]).current_dir(dir).output()?;
    let text = [output.stdout, output.stderr].concat();
    parse(&String::from_utf8_lossy(&text))
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
