//! Planted defects: the simulator finds each of them within a number of seeds that is stated here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::panic::catch_unwind;

use inventory_core::defect::Defect as In;
use inventory_core::testing::conformance;
use inventory_sim::{Defect, Options, run};
use inventory_store::defect::plant;
use inventory_store::{FileJournal, FileJournalOptions};

/// Each defect, and within how many seeds it is found: some times what it takes now, since any change of the workload moves it.
const FOUND_WITHIN: &[(Defect, u64)] = &[
    (Defect::NoSync, 4),
    (Defect::NoDirectorySync, 20),
    (Defect::AcknowledgeBeforeAppend, 4),
    (Defect::FailureIsSuccess, 40),
    (Defect::SuccessIsFailure, 40),
    (Defect::UnknownIsFailure, 60),
    (Defect::LoseLastGroup, 4),
    (Defect::ForgetKeys, 4),
    (Defect::StaleReads, 40),
    (Defect::VersionOffByOne, 4),
    (Defect::ForgetLogout, 20),
    (Defect::CrossesReplies, 20),
    (Defect::KeepsCutBytes, 300),
    (Defect::ClientRenamesRetries, 4),
    (Defect::ClientForgetsOrders, 4),
    (Defect::Inside(In::DigestIgnored), 60),
    (Defect::Inside(In::LinesNotSummed), 60),
    (Defect::Inside(In::LastUnitKept), 60),
    (Defect::Inside(In::PriceOfOneUnit), 20),
    (Defect::Inside(In::RefusalNotRecorded), 20),
    (Defect::Inside(In::OutcomesLeaveEarly), 60),
    (Defect::Inside(In::UndoKeepsOutcomes), 60),
    (Defect::Inside(In::UndoKeepsLevels), 60),
    (Defect::Inside(In::TimeGoesBack), 40),
    (Defect::Inside(In::ReadsUndurable), 60),
    (Defect::Inside(In::RepliesBeforeDurable), 20),
    (Defect::Inside(In::LogoutKeepsSession), 60),
    (Defect::Inside(In::SnapshotLosesOutcomes), 60),
    (Defect::Inside(In::SnapshotNamesOtherVersion), 20),
    (Defect::Inside(In::GroupNotSynced), 20),
    (Defect::Inside(In::SegmentNameNotSynced), 60),
    (Defect::Inside(In::SnapshotNotSynced), 200),
    (Defect::Inside(In::ChecksumIgnored), 150),
    (Defect::Inside(In::DamageTakenForTornEnd), 300),
    (Defect::Inside(In::TornEndCutTooFar), 60),
    (Defect::Inside(In::LastRecordNotRewritten), 100),
    (Defect::Inside(In::ConflictDropsWaiting), 40),
    (Defect::Inside(In::ConflictKeepsReplies), 40),
    (Defect::Inside(In::ConflictKeepsEffects), 150),
    (Defect::Inside(In::FailedSyncRetried), 100),
    (Defect::Inside(In::FailedSyncForgotten), 100),
    (Defect::Inside(In::ShortWriteLeft), 300),
    (Defect::Inside(In::PreviousHashIgnored), 300),
    (Defect::Inside(In::CompressedNotSynced), 300),
    (Defect::Inside(In::YoungSegmentDiscarded), 600),
    (Defect::Inside(In::FloorIgnored), 300),
    (Defect::Inside(In::ChargeTakesNoMoney), 20),
    (Defect::Inside(In::TransferOnlyGives), 20),
    (Defect::Inside(In::UndoKeepsBalances), 150),
    (Defect::Inside(In::UndoKeepsAccounts), 300),
    (Defect::Inside(In::UndoKeepsBatches), 150),
    (Defect::Inside(In::RowsApart), 400),
    (Defect::Inside(In::SnapshotForgetsFloors), 60),
    (Defect::Inside(In::ReturnsForgotten), 20),
    (Defect::Inside(In::RefundAtPresentPrice), 900),
    (Defect::Inside(In::RefundWithoutUnits), 20),
    (Defect::Inside(In::ReturnsOthersOrder), 200),
    (Defect::Inside(In::UndoKeepsReturns), 300),
    (Defect::Inside(In::SnapshotForgetsReturns), 20),
];

/// Defects that the conformance kit finds.
const FOUND_BY_THE_KIT: [In; 3] = [In::PreviousHashIgnored, In::DiscardsUncovered, In::OldestSnapshotLoaded];

#[test]
fn every_planted_defect_is_found() {
    for (defect, seeds) in FOUND_WITHIN {
        let found = (0..*seeds).find_map(|seed| find(seed, *defect));
        let found = found.unwrap_or_else(|| panic!("{defect:?} was not found in {seeds} seeds"));
        println!("{defect:?}: {found:.300}");
    }
}

/// What the run of this seed finds; an assertion in the code that fails is found too.
fn find(seed: u64, defect: Defect) -> Option<String> {
    let ended = catch_unwind(|| run(seed, Options { steps: 600, defect: Some(defect), favourite: None }));
    ended.map_or_else(
        |panic| {
            Some(format!("seed {seed}: {}", panic.downcast_ref::<&str>().unwrap_or(&"an assertion failed")))
        },
        |ended| ended.err().map(|failure| failure.to_string()),
    )
}

#[test]
fn the_conformance_kit_finds_what_needs_no_crash() {
    for defect in FOUND_BY_THE_KIT {
        let _planted = plant(Some(defect));
        let fresh = || {
            let dir = tempfile::tempdir().unwrap();
            async move || {
                let options = FileJournalOptions { segment_bytes: 64 << 10, prepare_ahead: false };
                FileJournal::open(dir.path(), options).map_err(|why| why.to_string())
            }
        };
        let found = pollster::block_on(conformance::check(fresh));
        println!("{defect:?}: {}", found.expect_err("the kit finds nothing"));
    }
}

#[test]
fn every_defect_is_in_a_table() {
    let by_seeds = |defect: &Defect| FOUND_WITHIN.iter().any(|(other, _)| other == defect);
    let by_kit = |defect: &Defect| FOUND_BY_THE_KIT.iter().any(|other| Defect::Inside(*other) == *defect);
    let missing: Vec<Defect> = Defect::all().filter(|defect| !by_seeds(defect) && !by_kit(defect)).collect();
    assert_eq!(missing, []);
}
