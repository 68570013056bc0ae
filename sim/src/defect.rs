//! Planted defects: what the simulator must catch. Some live in the simulator's own layer (the cable to the disk, a wrapper
//! of the journal, the server's loop); those inside the crates are named in `inventory_core::defect`.

use inventory_core::defect::Defect as Inside;

/// Something that is wrong on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Files are never made durable.
    NoSync,
    /// Directories are never made durable.
    NoDirectorySync,
    /// A group is acknowledged when it is taken, and written when the next one comes.
    AcknowledgeBeforeAppend,
    /// A group that was not written counts as written.
    FailureIsSuccess,
    /// A group that was written counts as not written.
    SuccessIsFailure,
    /// An append whose outcome is unknown counts as not written, and the server goes on.
    UnknownIsFailure,
    /// The last group is not read back.
    LoseLastGroup,
    /// The server gives every purchase that arrives a key of its own, and answers with the client's.
    ForgetKeys,
    /// Reads are answered from a copy that is refreshed seldom.
    StaleReads,
    /// Receipts name the version before their own.
    VersionOffByOne,
    /// A logout is answered and not carried out.
    ForgetLogout,
    /// Now and then a reply goes to another connection.
    CrossesReplies,
    /// A new connection begins with what the last one that was cut had received.
    KeepsCutBytes,
    /// A client sends an order again under another key.
    ClientRenamesRetries,
    /// A client forgets its open orders when it connects anew.
    ClientForgetsOrders,
    /// One inside the crates.
    Inside(Inside),
}

impl Defect {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        let around = [
            Self::NoSync,
            Self::NoDirectorySync,
            Self::AcknowledgeBeforeAppend,
            Self::FailureIsSuccess,
            Self::SuccessIsFailure,
            Self::UnknownIsFailure,
            Self::LoseLastGroup,
            Self::ForgetKeys,
            Self::StaleReads,
            Self::VersionOffByOne,
            Self::ForgetLogout,
            Self::CrossesReplies,
            Self::KeepsCutBytes,
            Self::ClientRenamesRetries,
            Self::ClientForgetsOrders,
        ];
        around.into_iter().chain(Inside::ALL.iter().copied().map(Self::Inside))
    }

    /// What is to be planted inside the crates.
    pub(crate) fn inside(self) -> Option<Inside> {
        match self {
            Self::Inside(defect) => Some(defect),
            _ => None,
        }
    }
}
