//! Mistakes that tests plant on purpose, to show that the simulator and the conformance kit find them.
//!
//! Where a mistake would be made there is a line that asks [`is`] whether it is planted. Without the feature `defects`, which
//! only the simulator asks for, the answer is a constant `false` and nothing is left of the line. With it, the answer is that
//! of the function that was given to `ask`: who runs in which thread is not this crate's to know.

macro_rules! defects {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A mistake that can be planted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Defect {
            $($(#[$doc])* $name,)*
        }

        impl Defect {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

defects! {
    /// A retry is known by its key alone: another order under the same key gets the first one's outcome.
    DigestIgnored,
    /// Lines of one item and location are each checked against the level, and not their sum.
    LinesNotSummed,
    /// The last unit of a level is never sold.
    LastUnitKept,
    /// An order costs what one unit of each line costs.
    PriceOfOneUnit,
    /// A refused purchase is answered and not recorded: a retry may get another answer.
    RefusalNotRecorded,
    /// Outcomes leave the window after seconds, and the window does not know that they were there.
    OutcomesLeaveEarly,
    /// The outcome of an order whose group was not written stays in the window.
    UndoKeepsOutcomes,
    /// The levels that a group changed that was not written stay changed.
    UndoKeepsLevels,
    /// An event's time is that of the clock, also if that is before the last event's.
    TimeGoesBack,
    /// A query is answered at once from the working state, whether that is durable or not.
    ReadsUndurable,
    /// Replies leave as soon as they are made.
    RepliesBeforeDurable,
    /// After a conflict the requests that waited are forgotten.
    ConflictDropsWaiting,
    /// After a conflict the requests that waited are answered as they were decided before it.
    ConflictKeepsReplies,
    /// After a conflict the effects of the group that was not written stay.
    ConflictKeepsEffects,
    /// A logout is recorded and the session lives on.
    LogoutKeepsSession,
    /// What a snapshot says of the outcomes of orders is not restored.
    SnapshotLosesOutcomes,
    /// A snapshot says that it is of the version before its own.
    SnapshotNamesOtherVersion,
    /// Groups are not synced.
    GroupNotSynced,
    /// The directory is not synced after a segment has got its name.
    SegmentNameNotSynced,
    /// A snapshot gets its name before it is durable.
    SnapshotNotSynced,
    /// A record is read whatever its checksum says.
    ChecksumIgnored,
    /// Where no whole record begins the journal ends, whatever stands behind.
    DamageTakenForTornEnd,
    /// With a torn end the record in front of it is cut too.
    TornEndCutTooFar,
    /// A sync that failed is tried again, and its success believed.
    FailedSyncRetried,
    /// After a sync that failed the writer goes on as if nothing had been written.
    FailedSyncForgotten,
    /// What a recovery found last is not written again.
    LastRecordNotRewritten,
    /// A write that stopped half way is not taken back.
    ShortWriteLeft,
    /// A group is written behind any group of the right version, whatever its hash.
    PreviousHashIgnored,
    /// Segments are discarded up to the version asked for, whether a snapshot covers them or not.
    DiscardsUncovered,
    /// Of several snapshots the oldest is loaded.
    OldestSnapshotLoaded,
    /// A compressed segment takes the place of the other before it is durable.
    CompressedNotSynced,
    /// Of the segments that are kept for their age the oldest is discarded.
    YoungSegmentDiscarded,
    /// A balance may fall below its floor.
    FloorIgnored,
    /// A purchase that charges an account takes its units and no money.
    ChargeTakesNoMoney,
    /// A transfer gives to one account and takes from none.
    TransferOnlyGives,
    /// The balances that single entries and charges changed in a group that was not written stay changed.
    UndoKeepsBalances,
    /// An account that was made in a group that was not written stays.
    UndoKeepsAccounts,
    /// What a batch of entries changed in a group that was not written stays: decided again, it counts twice.
    UndoKeepsBatches,
    /// A row of a batch of entries does not see those before it.
    RowsApart,
    /// What a snapshot says of floors is not restored.
    SnapshotForgetsFloors,
    /// It is not remembered what came back: it can be returned again.
    ReturnsForgotten,
    /// What is refunded is what the units cost now.
    RefundAtPresentPrice,
    /// A return refunds the money and leaves the units away.
    RefundWithoutUnits,
    /// Anybody can return anybody's order.
    ReturnsOthersOrder,
    /// What came back in a group that was not written counts as returned.
    UndoKeepsReturns,
    /// What a snapshot says of returns is not restored.
    SnapshotForgetsReturns,
}

/// Whether this defect is planted here and now.
#[cfg(not(feature = "defects"))]
#[inline]
pub const fn is(_: Defect) -> bool {
    false
}

#[cfg(feature = "defects")]
pub use planted::{ask, is};

#[cfg(feature = "defects")]
mod planted {
    use spin::Once;

    use super::Defect;

    static ANSWER: Once<fn(Defect) -> bool> = Once::new();

    /// Lets this function say from now on which defects are planted. The first that is given stays.
    pub fn ask(answer: fn(Defect) -> bool) {
        ANSWER.call_once(|| answer);
    }

    /// Whether this defect is planted here and now.
    pub fn is(defect: Defect) -> bool {
        ANSWER.get().is_some_and(|answer| answer(defect))
    }
}
