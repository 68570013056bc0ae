//! The inventory engine: a pure state machine that knows how many units of each item are on hand, sells
//! them, and remembers, with a trait behind which its journal is kept.
#![no_std]
#![warn(
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::float_arithmetic,
    clippy::std_instead_of_core,
    clippy::std_instead_of_alloc
)]

extern crate alloc;

pub mod column;
#[doc(hidden)]
pub mod defect;
pub mod journal;
pub mod limits;
pub mod machine;
pub mod query;
pub mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

mod bulk;
mod command;
mod engine;
mod entries;
mod entry;
mod event;
mod id;
mod inventory;
mod money;
mod movement;
mod one_or_many;
mod quantity;
mod refusal;
mod reply;
mod returns;
mod time;

pub use bulk::{BulkOrder, BulkOrderError, BulkOutcome, BulkRows, RowCodes};
pub use command::{Action, Actor, Command, Order, OrderLine, Query, Role, RoleError};
pub use engine::{Engine, EngineConfig};
pub use entries::{AccountEntry, EntryReason, entries};
pub use entry::{
    BulkEntries, BulkEntriesError, EntriesOutcome, Entry, EntryRows, NameColumn, PostedEntry, Posting,
    account_name,
};
pub use event::{Charge, Event, Line, OrderDigest, Record};
pub use id::{
    AccountId, AppendId, Hash, ItemId, LocationId, OrderKey, OrderKeyError, SessionId, Upc, UpcError, UserId,
    Version,
};
pub use inventory::{Inventory, InventoryError};
pub use money::{Money, MoneyError};
pub use movement::{Movement, Reason, movements};
pub use one_or_many::OneOrMany;
pub use quantity::{Units, UnitsError};
pub use refusal::{Refusal, Shortage};
pub use reply::{
    Answer, BalanceRow, BalancesPage, BulkPostingReceipt, BulkReceipt, Credential, Identity, LevelRow,
    LevelsPage, PostingReceipt, Receipt, Reply, ReturnReceipt, Unavailable,
};
pub use returns::{Evidence, Refund, Return, Returned};
pub use time::{Time, TimeError};
