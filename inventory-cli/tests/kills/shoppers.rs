//! Shoppers with the real command: processes that are killed themselves. Each buys an item that nobody else buys, so
//! that its level tells what the server has sold to that user.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use inventory_core::OrderKey;
use inventory_net::clock::{Clock as _, SystemClock};

use crate::buyers::new_key;
use crate::harness::Client;
use crate::random::Random;

/// Latest moment of a kill, from the start of the process: most are done by then if the server is there.
const LIFE_MAX: Duration = Duration::from_millis(25);
/// A command that takes longer hangs: it gives up by itself long before.
const PATIENCE: Duration = Duration::from_mins(2);
/// So many of a hundred are killed.
const KILLED_PERCENT: u64 = 60;
/// So many of a hundred commands return an order that was bought.
const RETURNED_PERCENT: u64 = 25;

/// One user with the command and its own state directory.
pub(crate) struct Shopper {
    pub(crate) client: Client,
    pub(crate) user: String,
    pub(crate) upc: String,
    pub(crate) random: Random,
}

/// What a shopper did and saw.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Shopping {
    pub(crate) kills: u64,
    /// Purchases that the command said were made.
    pub(crate) done: u64,
    /// Their units.
    pub(crate) units_done: u64,
    /// Units of all purchases, whatever became of them.
    pub(crate) units_tried: u64,
    /// Returns that the command said were made, and their units; and the units of all, whatever became of them.
    pub(crate) returns: u64,
    units_returned: u64,
    units_offered: u64,
}

impl Shopping {
    pub(crate) const fn held_at_least(&self) -> u64 {
        self.units_done.saturating_sub(self.units_offered)
    }

    pub(crate) const fn held_at_most(&self) -> u64 {
        self.units_tried - self.units_returned
    }
}

impl Shopper {
    /// Buys and returns until it is told to stop.
    pub(crate) fn run(&mut self, stop: &AtomicBool) -> Shopping {
        let mut shopping = Shopping::default();
        // What was bought for sure, and nobody has tried to return.
        let mut held: Vec<(OrderKey, u64)> = Vec::new();
        while !stop.load(Ordering::Relaxed) {
            if self.random.percent(RETURNED_PERCENT)
                && let Some((order, units)) = held.pop()
            {
                shopping.units_offered += units;
                if self.ask(&["return", &order.to_string()], &mut shopping.kills) {
                    shopping.returns += 1;
                    shopping.units_returned += units;
                }
                continue;
            }
            let (units, key) = (1 + self.random.below(3), new_key(SystemClock.now(), &mut self.random));
            shopping.units_tried += units;
            let (upc, count, under) = (self.upc.clone(), units.to_string(), key.to_string());
            if self.ask(&["buy", &upc, &count, "--key", &under], &mut shopping.kills) {
                shopping.done += 1;
                shopping.units_done += units;
                held.push((key, units));
            }
        }
        shopping
    }

    /// Whether the command said that it was done.
    fn ask(&mut self, arguments: &[&str], kills: &mut u64) -> bool {
        let ended = self.run_or_kill(arguments);
        *kills += u64::from(ended.is_none());
        match ended.map(|(status, said)| (status.code(), said)) {
            Some((Some(0), _)) => true,
            // It was killed, or the server was away.
            None | Some((Some(3), _)) => false,
            Some((code, said)) => panic!("{}: {arguments:?} ended with {code:?}: {said}", self.user),
        }
    }

    /// Runs the command, which is killed meanwhile or not. None if it was killed.
    fn run_or_kill(&mut self, arguments: &[&str]) -> Option<(ExitStatus, String)> {
        let mut said = tempfile::tempfile().unwrap();
        let mut command = self.client.command(arguments);
        command.stdout(Stdio::null()).stderr(said.try_clone().unwrap());
        let mut process = command.spawn().unwrap();
        if self.random.percent(KILLED_PERCENT) {
            sleep(self.random.up_to(LIFE_MAX));
            process.kill().unwrap();
        }
        let status = self.ended(&mut process);
        status.code().map(|_| (status, written(&mut said)))
    }

    /// Waits for a process, but not for one that hangs.
    fn ended(&self, process: &mut Child) -> ExitStatus {
        let began = Instant::now();
        loop {
            if let Some(status) = process.try_wait().unwrap() {
                return status;
            }
            if began.elapsed() > PATIENCE {
                process.kill().unwrap();
                panic!("a command of {} hung for {PATIENCE:?}", self.user);
            }
            sleep(Duration::from_millis(1));
        }
    }

    /// Settles what is open, and gives the units that the local inventory has.
    pub(crate) fn held_at_last(&self) -> u64 {
        let settled = self.client.run(&["mine"]).exits(0);
        assert!(!settled.err.contains("stay open") && !settled.err.contains("not settled"), "{settled:#?}");
        assert!(!settled.err.contains("damaged"), "{settled:#?}");
        let again = self.client.run(&["mine"]).exits(0);
        assert_eq!(again.err, "", "nothing is left to settle");
        self.client.held(&self.upc)
    }
}

fn written(file: &mut File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}
