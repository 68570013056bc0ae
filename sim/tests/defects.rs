//! Planted defects: the simulator finds each of them within a number of seeds that is stated here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use inventory_sim::{Defect, Options, run};

/// Each defect, and within how many seeds it is found: about four times what it takes now.
const FOUND_WITHIN: [(Defect, u64); 12] = [
    (Defect::NoSync, 4),
    (Defect::NoDirectorySync, 4),
    (Defect::AcknowledgeBeforeAppend, 4),
    (Defect::FailureIsSuccess, 20),
    (Defect::SuccessIsFailure, 8),
    (Defect::UnknownIsFailure, 60),
    (Defect::LoseLastGroup, 4),
    (Defect::ForgetKeys, 4),
    (Defect::StaleReads, 40),
    (Defect::VersionOffByOne, 4),
    (Defect::ForgetLogout, 20),
    (Defect::RefusalNotRecorded, 4),
];

#[test]
fn every_planted_defect_is_found() {
    assert!(Defect::ALL.iter().all(|defect| FOUND_WITHIN.iter().any(|(planted, _)| planted == defect)));
    for (defect, seeds) in FOUND_WITHIN {
        let options = Options { steps: 600, defect: Some(defect) };
        let found = (0..seeds).find_map(|seed| run(seed, options).err());
        let failure = found.unwrap_or_else(|| panic!("{defect:?} was not found in {seeds} seeds"));
        println!("{defect:?}: {:.300}", failure.to_string());
    }
}
