//! The server that is killed, and started again on the same data.

use std::process::Stdio;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::{Place, Ran, Server, inventory};
use crate::random::Random;
use crate::sabotage::Sabotage;

/// Longest life of a server that serves.
const LIFE_MAX: Duration = Duration::from_millis(350);
/// A server killed during its recovery is killed this soon after its start, at the latest.
const RECOVERY_MAX: Duration = Duration::from_millis(50);
/// A server told to stop is killed this soon after it was told, at the latest.
const DRAIN_MAX: Duration = Duration::from_millis(30);

/// After every so many lives `inventory verify` looks at what the kill left. It reads everything each time.
const LIVES_PER_CHECK: u64 = 10;

/// How often it was killed, and when; and how often what a kill left was verified.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Kills {
    pub(crate) serving: u64,
    pub(crate) recovering: u64,
    pub(crate) draining: u64,
    pub(crate) verified: u64,
}

impl Kills {
    pub(crate) const fn total(self) -> u64 {
        self.serving + self.recovering + self.draining
    }
}

/// The server, always running between two calls.
pub(crate) struct Victim<'a> {
    place: &'a Place,
    server: Option<Server>,
    pub(crate) kills: Kills,
    random: Random,
    /// What is done to its data after each kill.
    sabotage: Option<Sabotage>,
}

impl<'a> Victim<'a> {
    pub(crate) fn start(place: &'a Place, random: Random, sabotage: Option<Sabotage>) -> Self {
        Self { place, server: Some(place.serve()), kills: Kills::default(), random, sabotage }
    }

    /// Lets it serve for a while, kills it, perhaps kills its successors while they recover, and starts it again.
    pub(crate) fn kill_and_restart(&mut self) {
        sleep(self.random.up_to(LIFE_MAX));
        let server = self.server.take().unwrap();
        if self.random.percent(10) {
            server.signal(Signal::TERM);
            sleep(self.random.up_to(DRAIN_MAX));
            self.kills.draining += 1;
        } else {
            self.kills.serving += 1;
        }
        server.kill();
        if (self.kills.serving + self.kills.draining).is_multiple_of(LIVES_PER_CHECK) {
            self.verify();
        }
        if let Some(sabotage) = self.sabotage {
            sabotage.strike(&self.place.data());
        }
        while self.random.percent(30) {
            self.kill_in_recovery();
        }
        self.server = Some(self.place.serve());
    }

    fn kill_in_recovery(&mut self) {
        let mut command = self.place.serve_command(&["--listen", &self.place.socket()]);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        sleep(self.random.up_to(RECOVERY_MAX));
        process.kill().unwrap();
        let status = process.wait().unwrap();
        assert_eq!(status.code(), None, "a server ended by itself instead of recovering");
        self.kills.recovering += 1;
    }

    /// Kills it for good: what it leaves is what counts.
    pub(crate) fn kill_at_last(&mut self) {
        if let Some(server) = self.server.take() {
            self.kills.serving += 1;
            server.kill();
            self.verify();
        }
    }

    /// The data directory is well, as a kill left it: before any recovery.
    fn verify(&mut self) {
        let checked: Ran =
            inventory(self.place.path()).arg("verify").arg(self.place.data()).output().unwrap().into();
        checked.exits(0).shows("all is well");
        self.kills.verified += 1;
    }
}
