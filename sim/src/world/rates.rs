//! How often each thing happens in a run.

use crate::coverage::Fault;

/// How often each thing happens: drawn anew for every seed, so that seeds differ in kind.
#[derive(Debug)]
pub(super) struct Rates {
    pub(super) act: u32,
    pub(super) to_server: u32,
    pub(super) to_client: u32,
    pub(super) commit: u32,
    pub(super) probe: u32,
    pub(super) snapshot: u32,
    pub(super) faults: Vec<(Fault, u32)>,
}

impl Rates {
    pub(super) fn draw(rng: &mut fastrand::Rng) -> Self {
        let faults = Fault::ALL.into_iter().filter(|fault| fault.is_drawn());
        let faults = faults.filter(|_| rng.bool()).collect::<Vec<_>>();
        let faults = faults.into_iter().map(|fault| (fault, rng.u32(1..8))).collect();
        Self {
            act: rng.u32(100..400),
            to_server: rng.u32(100..400),
            to_client: rng.u32(100..400),
            commit: rng.u32(60..400),
            probe: 4,
            snapshot: if rng.u8(..4) == 0 { rng.u32(20..80) } else { rng.u32(..8) },
            faults,
        }
    }
}
