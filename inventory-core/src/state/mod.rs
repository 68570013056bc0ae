//! The tables. Each keeps its own invariants; [`State`] holds them together with the version, the clock
//! and the undo log. Only [`machine::apply`](crate::machine::apply) changes them.

mod accounts;
mod actor;
mod catalogue;
mod orders;
mod returns;
mod stock;
mod undo;
mod users;

pub use accounts::{Account, Accounts};
pub use catalogue::{Catalogue, Item};
pub use orders::{Lookup, Orders, Outcome, OutcomeRow};
pub use returns::Returns;
pub use stock::{Level, Stock};
pub use users::{Session, User, Users};

pub(crate) use returns::units_in;
pub(crate) use undo::{Change, UndoLog};

use crate::defect::{self, Defect};
use crate::id::Version;
use crate::time::Time;

/// Everything the engine knows, at one version.
#[derive(Debug)]
pub struct State {
    pub(crate) catalogue: Catalogue,
    pub(crate) stock: Stock,
    pub(crate) users: Users,
    pub(crate) orders: Orders,
    pub(crate) accounts: Accounts,
    pub(crate) returns: Returns,
    pub(crate) version: Version,
    pub(crate) now: Time,
    pub(crate) undo: UndoLog,
}

impl State {
    /// The state before the first event.
    ///
    /// `hash_seed` keys the hash tables, so that clients cannot choose keys that collide; give it random bits.
    /// It changes no answer.
    pub fn new(hash_seed: u64) -> Self {
        Self {
            catalogue: Catalogue::new(hash_seed),
            stock: Stock::default(),
            users: Users::new(hash_seed),
            orders: Orders::new(hash_seed),
            accounts: Accounts::new(hash_seed),
            returns: Returns::default(),
            version: Version::ZERO,
            now: Time::ZERO,
            undo: UndoLog::default(),
        }
    }

    /// The number of events applied.
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The time of the last event.
    pub const fn now(&self) -> Time {
        self.now
    }

    /// The items.
    pub const fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    /// The levels.
    pub const fn stock(&self) -> &Stock {
        &self.stock
    }

    /// The users and their sessions.
    pub const fn users(&self) -> &Users {
        &self.users
    }

    /// The outcomes of recent orders.
    pub const fn orders(&self) -> &Orders {
        &self.orders
    }

    /// The accounts.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The units that came back.
    pub const fn returns(&self) -> &Returns {
        &self.returns
    }

    /// From here on, keeps what is needed to take events back, until
    /// [`forget_undo_through`](Self::forget_undo_through) says that they are durable.
    pub(crate) fn record_undo(&mut self) {
        self.undo.start(self.version);
    }

    /// Keeps nothing to take events back any more.
    pub(crate) fn stop_undo(&mut self) {
        self.undo = UndoLog::default();
    }

    /// Takes back every event after `version`, newest first: the state is again exactly what it was there.
    ///
    /// `version` is not before the last one forgotten.
    pub(crate) fn roll_back_to(&mut self, version: Version) {
        while self.version > version {
            let Some(change) = self.undo.pop() else {
                debug_assert!(false, "no undo for version {}", self.version);
                return;
            };
            match change {
                Change::Began { now } => {
                    self.now = now;
                    self.version = Version(self.version.0.saturating_sub(1));
                }
                Change::ItemAdded => {
                    self.catalogue.undo_add();
                    self.stock.undo_add_item();
                }
                Change::ItemReplaced(before) => self.catalogue.undo_replace(&before),
                Change::Level { .. } if defect::is(Defect::UndoKeepsLevels) => {}
                Change::Level { item, location, before } => {
                    self.stock.undo_level(item, location, before);
                }
                Change::RowsTaken { location, rows } => self.stock.undo_take_rows(location, &rows),
                Change::AccountAdded if defect::is(Defect::UndoKeepsAccounts) => {}
                Change::AccountAdded => self.accounts.undo_add(),
                Change::BalanceChanged { .. } if defect::is(Defect::UndoKeepsBalances) => {}
                Change::BalanceChanged { account, change } => self.accounts.undo_change(account, change),
                Change::UnitsReturned(_) if defect::is(Defect::UndoKeepsReturns) => {}
                Change::UnitsReturned(added) => self.returns.undo_add(&added),
                Change::FloorSet { account, before } => drop(self.accounts.set_floor(account, before)),
                Change::EntriesPosted(_) if defect::is(Defect::UndoKeepsBatches) => {}
                Change::EntriesPosted(rows) => self.accounts.undo_post_rows(&rows),
                Change::UserAdded => self.users.undo_add(),
                Change::SessionStarted(user) => self.users.undo_start_session(user),
                Change::SessionEnded(before) => self.users.undo_end_session(&before),
                Change::OrderRecorded(_) if defect::is(Defect::UndoKeepsOutcomes) => {}
                Change::OrderRecorded(key) => self.orders.undo_record(key),
                Change::WindowAdvanced(before) => self.orders.undo_advance(*before),
            }
        }
    }

    /// Drops what would take back events up to `version`: they are durable.
    pub(crate) fn forget_undo_through(&mut self, version: Version) {
        self.undo.forget_through(version);
    }
}
