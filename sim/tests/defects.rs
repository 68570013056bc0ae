//! Planted defects: the simulator finds each of them within a number of seeds that is stated here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use inventory_sim::{Defect, Options, run};

/// The first seed that finds the defect, and what it says.
fn found(defect: Defect) -> (u64, String) {
    (0..200)
        .find_map(|seed| {
            let failure = run(seed, Options { steps: 600, defect: Some(defect) }).err()?;
            Some((seed, failure.to_string()))
        })
        .unwrap_or_else(|| panic!("nothing found {defect:?}"))
}

#[test]
fn every_planted_defect_is_found() {
    for defect in Defect::ALL {
        let (seed, what) = found(defect);
        println!("{defect:?}: {what:.300}");
        assert!(seed < 200, "{defect:?}: {seed}");
    }
}
