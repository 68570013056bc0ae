//! One run: a world drawn from a seed, and what is said about it.

use inventory_net::message::Op;
use inventory_store::defect::plant;

use crate::auditor::Violation;
use crate::coverage::Coverage;
use crate::defect::Defect;
use crate::world::World;

/// How a run is made.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Steps before the quiet end.
    pub steps: u64,
    /// What is wrong on purpose.
    pub defect: Option<Defect>,
    /// What clients ask for more often than anything else; if nothing is said, the seed draws it.
    pub favourite: Option<Op>,
}

/// What a run without a violation has seen.
#[derive(Clone, Debug)]
pub struct Report {
    /// XXH3-64 of all that happened: the same for every run of a seed.
    pub trace: u64,
    /// Durable events.
    pub events: u64,
    /// What was covered.
    pub coverage: Coverage,
}

/// A run that found a violation.
#[derive(Clone, Debug, thiserror::Error)]
#[error("seed {seed}, step {step}: {violation}")]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// The step at which it was found.
    pub step: u64,
    /// What was violated.
    pub violation: Violation,
}

/// Runs one seed.
pub fn run(seed: u64, options: Options) -> Result<Report, Failure> {
    let _planted = plant(options.defect.and_then(Defect::inside));
    let mut world = World::new(seed, options);
    match world.run(options.steps) {
        Ok(()) => {
            Ok(Report { trace: world.trace(), events: world.events(), coverage: world.into_coverage() })
        }
        Err(violation) => Err(Failure { seed, step: world.step(), violation }),
    }
}
