//! The levels: how many units of each item are at each location.
//!
//! Invariants: reserved ≤ on hand; never negative (the types are unsigned and the arithmetic checked).

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::catalogue::index;
use crate::bulk::BulkRows;
use crate::id::{ItemId, LocationId};
use crate::quantity::Units;

/// Units of one item at one location.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Level {
    /// Units physically there.
    pub on_hand: Units,
    /// Units claimed by live reservations; at most `on_hand`.
    pub reserved: Units,
}

impl Level {
    /// What can be promised now.
    pub const fn available(&self) -> Units {
        self.on_hand.saturating_sub(self.reserved)
    }
}

/// The levels. Those of the main location lie in an array by item row, 16 bytes each, so that a purchase
/// there needs no second look-up; the others in a tree.
#[derive(Debug, Default)]
pub struct Stock {
    main: Vec<LevelCell>,
    elsewhere: BTreeMap<(ItemId, LocationId), Level>,
}

/// A level, or none, in 16 bytes: a level that was never set has more reserved than on hand.
#[derive(Clone, Copy, Debug)]
struct LevelCell(Level);

impl LevelCell {
    fn new(level: Option<Level>) -> Self {
        match (level, Units::new(1)) {
            (Some(level), _) => Self(level),
            (None, one) => Self(Level { on_hand: Units::ZERO, reserved: one.unwrap_or_default() }),
        }
    }

    fn get(&self) -> Option<Level> {
        (self.0.reserved <= self.0.on_hand).then_some(self.0)
    }
}

impl Stock {
    /// The level of this item at this location; none if it was never set.
    pub fn level(&self, item: ItemId, location: LocationId) -> Option<Level> {
        if location == LocationId::MAIN {
            self.main.get(index(item)).and_then(LevelCell::get)
        } else {
            self.elsewhere.get(&(item, location)).copied()
        }
    }

    /// What can be promised of this item at this location; zero if its level was never set.
    pub fn available(&self, item: ItemId, location: LocationId) -> Units {
        self.level(item, location).unwrap_or_default().available()
    }

    /// The levels of this item: the main location first (there always is one), then those set elsewhere.
    pub fn of_item(&self, item: ItemId) -> impl Iterator<Item = (LocationId, Level)> {
        let main = self.level(item, LocationId::MAIN).unwrap_or_default();
        core::iter::once((LocationId::MAIN, main)).chain(
            self.elsewhere
                .range((item, LocationId(0))..=(item, LocationId(u16::MAX)))
                .map(|((_, location), level)| (*location, *level)),
        )
    }

    /// Every level that was set: the main location's by item, then the others by item and location.
    pub fn iter(&self) -> impl Iterator<Item = (ItemId, LocationId, Level)> {
        let main = (0..)
            .zip(&self.main)
            .filter_map(|(item, cell)| cell.get().map(|level| (ItemId(item), LocationId::MAIN, level)));
        main.chain(self.elsewhere.iter().map(|((item, location), level)| (*item, *location, *level)))
    }

    /// Makes room for one more item.
    pub(crate) fn add_item(&mut self) {
        self.main.push(LevelCell::new(None));
    }

    /// Makes room for this many more items.
    pub(crate) fn add_items(&mut self, count: usize) {
        self.main.resize(self.main.len().saturating_add(count), LevelCell::new(None));
    }

    pub(super) fn undo_add_item(&mut self) {
        self.main.pop();
    }

    /// Sets a level and gives back what it was.
    pub(crate) fn set(&mut self, item: ItemId, location: LocationId, level: Level) -> Option<Level> {
        if location != LocationId::MAIN {
            return self.elsewhere.insert((item, location), level);
        }
        let cell = self.main.get_mut(index(item))?;
        let before = cell.get();
        *cell = LevelCell(level);
        before
    }

    /// Takes what the accepted rows of a batch take. The caller has made sure that it is there.
    pub(crate) fn take_rows(&mut self, location: LocationId, rows: &BulkRows) {
        self.change_rows(location, rows, |on_hand, units| {
            debug_assert!(units <= on_hand, "decide and verify let nothing be sold twice");
            on_hand.saturating_sub(units)
        });
    }

    pub(super) fn undo_take_rows(&mut self, location: LocationId, rows: &BulkRows) {
        self.change_rows(location, rows, Units::saturating_add);
    }

    fn change_rows(&mut self, location: LocationId, rows: &BulkRows, change: impl Fn(Units, Units) -> Units) {
        let Self { main, elsewhere } = self;
        rows.for_each_accepted(|item, units| {
            let level = if location == LocationId::MAIN {
                main.get_mut(index(item)).map(|cell| &mut cell.0)
            } else {
                elsewhere.get_mut(&(item, location))
            };
            if let Some(level) = level {
                level.on_hand = change(level.on_hand, units);
            }
        });
    }

    pub(super) fn undo_level(&mut self, item: ItemId, location: LocationId, before: Option<Level>) {
        if location == LocationId::MAIN {
            if let Some(cell) = self.main.get_mut(index(item)) {
                *cell = LevelCell::new(before);
            }
        } else if let Some(level) = before {
            self.elsewhere.insert((item, location), level);
        } else {
            self.elsewhere.remove(&(item, location));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_an_item_that_is_taken_back_is_free_again() {
        let mut stock = Stock::default();
        stock.add_item();
        stock.add_item();
        stock.undo_add_item();
        assert_eq!(stock.main.len(), 1);
    }
}
