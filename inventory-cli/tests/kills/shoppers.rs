//! Shoppers with the real command: processes that are killed themselves. Each buys an item that nobody else buys, so
//! that its level tells what the server has sold to that user.

use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Child, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::harness::Client;
use crate::random::Random;

/// Latest moment of a kill, from the start of the process: most are done by then if the server is there.
const LIFE_MAX: Duration = Duration::from_millis(25);
/// A command that takes longer hangs: it gives up by itself long before.
const PATIENCE: Duration = Duration::from_mins(2);
/// So many of a hundred are killed.
const KILLED_PERCENT: u64 = 60;

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
}

impl Shopper {
    /// Buys until it is told to stop.
    pub(crate) fn run(&mut self, stop: &AtomicBool) -> Shopping {
        let mut shopping = Shopping::default();
        while !stop.load(Ordering::Relaxed) {
            let units = 1 + self.random.below(3);
            shopping.units_tried += units;
            match self.buy(units) {
                None => shopping.kills += 1,
                Some((status, said)) => match status.code() {
                    Some(0) => {
                        shopping.done += 1;
                        shopping.units_done += units;
                    }
                    // The server was away.
                    Some(3) => {}
                    _ => panic!("{}: {status}: {said}", self.user),
                },
            }
        }
        shopping
    }

    /// Buys, and is killed meanwhile or not. None if it was killed.
    fn buy(&mut self, units: u64) -> Option<(ExitStatus, String)> {
        let mut said = tempfile::tempfile().unwrap();
        let mut command = self.client.command(&["buy", &self.upc, &units.to_string()]);
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
                panic!("a purchase of {} hung for {PATIENCE:?}", self.user);
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
