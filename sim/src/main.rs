//! `inventory-sim`: runs seeds, prints what was covered, and says how to replay the first that fails.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use inventory_sim::{Coverage, Options, run};

/// Simulates the whole system, one seed after the other, until one fails or all are done.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// How many seeds to run; 1000 if nothing else is said.
    #[arg(long)]
    seeds: Option<u64>,
    /// Run this seed, twice; with `--minutes` or `--seeds`, begin with it.
    #[arg(long)]
    seed: Option<u64>,
    /// Run seeds for this long, however many.
    #[arg(long, conflicts_with = "seeds")]
    minutes: Option<u64>,
    /// Steps of each run.
    #[arg(long, default_value_t = 600)]
    steps: u64,
}

/// How many seeds to run if nothing is said.
const SEEDS: u64 = 1_000;
/// One seed in so many is run twice, and must leave the same trace.
const REPEAT_ONE_IN: u64 = 100;
const PROGRESS_INTERVAL: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let args = Args::parse();
    let only_one = args.seed.is_some() && args.minutes.is_none() && args.seeds.is_none();
    let first = args.seed.unwrap_or(0);
    let count = match (args.seeds, args.minutes) {
        (Some(seeds), _) => seeds,
        (None, Some(_)) => u64::MAX,
        (None, None) if only_one => 1,
        (None, None) => SEEDS,
    };
    let began = Instant::now();
    let until = args.minutes.map(|minutes| began + Duration::from_secs(minutes.saturating_mul(60)));
    let options = Options { steps: args.steps, defect: None, favourite: None };
    let (mut coverage, mut events, mut done) = (Coverage::default(), 0, 0);
    let mut next_progress = began + PROGRESS_INTERVAL;
    for seed in (first..=u64::MAX).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        if until.is_some_and(|until| Instant::now() >= until) {
            break;
        }
        let repeat = only_one || seed % REPEAT_ONE_IN == 0;
        match run_checked(seed, options, repeat) {
            Ok(report) => {
                coverage.add(&report.coverage);
                events += report.events;
                done += 1;
                if only_one {
                    println!("trace {:016x}, {} events", report.trace, report.events);
                }
            }
            Err(failure) => {
                eprintln!("{failure}");
                eprintln!(
                    "replay: cargo run -p inventory-sim --release -- --seed {seed} --steps {}",
                    args.steps
                );
                return ExitCode::FAILURE;
            }
        }
        if Instant::now() >= next_progress {
            eprintln!("{done} seeds, {events} events, {:.0} s", began.elapsed().as_secs_f64());
            next_progress += PROGRESS_INTERVAL;
        }
    }
    if !only_one {
        print!("{coverage}");
    }
    println!(
        "{done} seeds of {} steps, {events} events, {:.1} s: no violation",
        args.steps,
        began.elapsed().as_secs_f64()
    );
    ExitCode::SUCCESS
}

fn run_checked(seed: u64, options: Options, repeat: bool) -> Result<inventory_sim::Report, String> {
    let report = run(seed, options).map_err(|failure| failure.to_string())?;
    if repeat {
        let again = run(seed, options).map_err(|failure| failure.to_string())?;
        if again.trace != report.trace {
            return Err(format!(
                "seed {seed} is not deterministic: traces {:016x} and {:016x}",
                report.trace, again.trace
            ));
        }
    }
    Ok(report)
}
