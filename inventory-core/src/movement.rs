//! Movements: every change of a quantity, with who, when and why, read off an event.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::event::{Event, Line, Record};
use crate::id::{ItemId, LocationId, OrderKey, Upc, UserId, Version};
use crate::quantity::Units;
use crate::state::State;
use crate::time::Time;

/// Why a quantity changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The location got its first units of the item.
    InitialLevel,
    /// They were bought.
    Purchase,
    /// They came back.
    Return,
}

impl Reason {
    /// The permanent name: `initial_level`, `purchase` or `return`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InitialLevel => "initial_level",
            Self::Purchase => "purchase",
            Self::Return => "return",
        }
    }
}

/// The immutable record of one quantity change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Movement {
    /// The version that it made, or was part of.
    pub version: Version,
    /// When.
    pub at: Time,
    /// Why.
    pub reason: Reason,
    /// The item.
    pub upc: Upc,
    /// Where.
    pub location: LocationId,
    /// Units that came, or left if negative.
    pub change: i64,
    /// Units on hand after it.
    pub on_hand: Units,
    /// Who; none if it was the system itself.
    pub user: Option<Arc<str>>,
    /// The order it belongs to; for what came back, the one that it was bought with.
    pub order: Option<OrderKey>,
}

/// The movements of an event, in the order of its lines or rows. `state` is the one that the event made.
pub fn movements(state: &State, record: &Record) -> Vec<Movement> {
    let on_hand = |item, location| state.stock().level(item, location).unwrap_or_default().on_hand;
    let movement = |reason, user: UserId, item: ItemId, location, change, on_hand, order| {
        Some(Movement {
            version: state.version(),
            at: record.at,
            reason,
            upc: state.catalogue().upc(item)?,
            location,
            change,
            on_hand,
            user: state.users().user(user).map(|user| user.name.clone()),
            order,
        })
    };
    match &record.event {
        Event::InitialLevelSet { by, item, location, units } => {
            let set = movement(Reason::InitialLevel, *by, *item, *location, signed(*units), *units, None);
            set.into_iter().collect()
        }
        Event::Purchased { key, user, lines, .. } | Event::PurchaseCharged { key, user, lines, .. } => lines
            .iter()
            .filter_map(|line| {
                let Line { item, location, units } = *line;
                let (change, on_hand) = (signed(units).saturating_neg(), on_hand(item, location));
                movement(Reason::Purchase, *user, item, location, change, on_hand, Some(*key))
            })
            .collect(),
        Event::Returned { user, returned, .. } => returned
            .lines
            .iter()
            .filter_map(|line| {
                let Line { item, location, units } = *line;
                let (change, on_hand) = (signed(units), on_hand(item, location));
                movement(Reason::Return, *user, item, location, change, on_hand, Some(returned.order))
            })
            .collect(),
        Event::BulkPurchased { key, user, location, rows, .. } => {
            // From the last row to the first, for the levels are those after all of them.
            let mut levels: BTreeMap<ItemId, Units> = BTreeMap::new();
            let mut movements: Vec<Movement> = rows
                .accepted()
                .rev()
                .filter_map(|(item, units)| {
                    let level = levels.entry(item).or_insert_with(|| on_hand(item, *location));
                    let (change, on_hand) = (signed(units).saturating_neg(), *level);
                    *level = level.saturating_add(units);
                    movement(Reason::Purchase, *user, item, *location, change, on_hand, Some(*key))
                })
                .collect();
            movements.reverse();
            movements
        }
        Event::ItemDefined { .. }
        | Event::UserAdded { .. }
        | Event::LoggedIn { .. }
        | Event::LoggedOut { .. }
        | Event::PurchaseRefused { .. }
        | Event::ReturnRefused { .. }
        | Event::Posted { .. }
        | Event::BulkPosted { .. }
        | Event::PostRefused { .. }
        | Event::FloorSet { .. } => Vec::new(),
    }
}

/// Quantities are bounded far below what 63 bits hold ([`limits`](crate::limits)).
fn signed(units: Units) -> i64 {
    i64::try_from(units.get()).unwrap_or(i64::MAX)
}
