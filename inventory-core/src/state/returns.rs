//! What came back: by order key, the units of it that were returned so far.
//!
//! Invariants: only orders of which something came back have a row; a row lists each item and location once, in their order, and
//! none of them with zero units; at most [`RETURNED_ORDERS_MAX`] rows with [`RETURNED_LINES_MAX`] lines. Rows are kept for ever: an order of any age can be
//! returned.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::event::Line;
use crate::id::{ItemId, LocationId, OrderKey};
use crate::limits::{RETURNED_LINES_MAX, RETURNED_ORDERS_MAX};
use crate::one_or_many::OneOrMany;
use crate::quantity::Units;

/// The units that came back.
#[derive(Debug)]
pub struct Returns {
    rows: BTreeMap<OrderKey, OneOrMany<Line>>,
    /// [`RETURNED_ORDERS_MAX`], or fewer in tests.
    count_max: usize,
    /// Lines of all rows.
    lines: usize,
    /// [`RETURNED_LINES_MAX`], or fewer in tests.
    lines_max: usize,
}

/// What came back at one event, to be taken back again: not the row, which may have many more lines.
#[derive(Debug)]
pub(crate) struct Added {
    order: OrderKey,
    lines: OneOrMany<Line>,
}

impl Default for Returns {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            count_max: RETURNED_ORDERS_MAX,
            lines: 0,
            lines_max: RETURNED_LINES_MAX,
        }
    }
}

impl Returns {
    /// Of how many orders something came back.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing ever came back.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// What came back of this order so far, in the order of items and locations.
    pub fn of(&self, order: OrderKey) -> &[Line] {
        self.rows.get(&order).map_or(&[], |lines| lines)
    }

    /// How many units of this item came back so far to this location from this order.
    pub fn units(&self, order: OrderKey, item: ItemId, location: LocationId) -> Units {
        units_in(self.of(order), item, location)
    }

    /// Whether these lines may come back of this order: there is a row of it, or room for one more, and room for those that it does
    /// not have yet.
    pub fn has_room_for(&self, order: OrderKey, lines: &[Line]) -> bool {
        let has_row = self.rows.len() < self.count_max || self.rows.contains_key(&order);
        has_row && self.lines.saturating_add(self.new_lines(order, lines)) <= self.lines_max
    }

    /// How many of these lines the row of this order does not have yet.
    pub(crate) fn new_lines(&self, order: OrderKey, lines: &[Line]) -> usize {
        let row = self.of(order);
        lines.iter().filter(|line| units_in(row, line.item, line.location).is_zero()).count()
    }

    /// The orders of which something came back, by key, and what did.
    pub fn iter(&self) -> impl Iterator<Item = (OrderKey, &[Line])> {
        self.rows.iter().map(|(order, lines)| (*order, &**lines))
    }

    /// Holds fewer orders and lines than [`RETURNED_ORDERS_MAX`] and [`RETURNED_LINES_MAX`]: a test cannot fill those.
    #[cfg(test)]
    pub(crate) fn hold_at_most(&mut self, count_max: usize, lines_max: usize) {
        (self.count_max, self.lines_max) = (count_max, lines_max);
    }

    /// Adds what came back, each item and location once. The caller has made sure that there is room, and that it was bought and had
    /// not come back.
    pub(crate) fn add(&mut self, order: OrderKey, lines: &OneOrMany<Line>) -> Added {
        self.lines = self.lines.saturating_add(self.new_lines(order, lines));
        let Some(row) = self.rows.get_mut(&order) else {
            let mut row: Vec<Line> = lines.to_vec();
            row.sort_unstable_by_key(place);
            self.rows.insert(order, row.into());
            return Added { order, lines: lines.clone() };
        };
        let mut new = Vec::new();
        for line in lines.iter() {
            match find(row, line) {
                Some(there) => there.units = there.units.saturating_add(line.units),
                None => new.push(*line),
            }
        }
        if !new.is_empty() {
            new.extend_from_slice(row);
            new.sort_unstable_by_key(place);
            *row = new.into();
        }
        Added { order, lines: lines.clone() }
    }

    pub(super) fn undo_add(&mut self, added: &Added) {
        let Some(row) = self.rows.get_mut(&added.order) else { return };
        let mut is_any_empty = false;
        for line in added.lines.iter() {
            if let Some(there) = find(row, line) {
                there.units = there.units.saturating_sub(line.units);
                is_any_empty |= there.units.is_zero();
            }
        }
        if is_any_empty {
            let before = row.len();
            *row = row.iter().filter(|line| !line.units.is_zero()).copied().collect();
            self.lines = self.lines.saturating_sub(before.saturating_sub(row.len()));
        }
        if row.is_empty() {
            self.rows.remove(&added.order);
        }
    }
}

/// How many units of this item at this location a row has.
pub(crate) fn units_in(row: &[Line], item: ItemId, location: LocationId) -> Units {
    let found = row.binary_search_by_key(&(item, location), place).ok();
    found.and_then(|at| row.get(at)).map_or(Units::ZERO, |line| line.units)
}

/// The line of a row that is of this one's item and location.
fn find<'a>(row: &'a mut [Line], line: &Line) -> Option<&'a mut Line> {
    let at = row.binary_search_by_key(&place(line), place).ok()?;
    row.get_mut(at)
}

const fn place(line: &Line) -> (ItemId, LocationId) {
    (line.item, line.location)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Time;

    fn line(item: u32, location: u16, units: u64) -> Line {
        Line { item: ItemId(item), location: LocationId(location), units: Units::new(units).unwrap() }
    }

    #[test]
    fn what_came_back_adds_up_and_is_taken_back_exactly() {
        let mut returns = Returns::default();
        let order = OrderKey::from_parts(Time::ZERO, 1 << 8);
        let first = returns.add(order, &[line(2, 0, 1), line(1, 7, 3)].to_vec().into());
        assert_eq!(returns.of(order), [line(1, 7, 3), line(2, 0, 1)]);
        let second = returns.add(order, &[line(1, 0, 5), line(2, 0, 4)].to_vec().into());
        assert_eq!(returns.of(order), [line(1, 0, 5), line(1, 7, 3), line(2, 0, 5)]);
        assert_eq!(returns.units(order, ItemId(2), LocationId(0)), line(2, 0, 5).units);
        assert_eq!(returns.units(order, ItemId(2), LocationId(7)), Units::ZERO);
        returns.undo_add(&second);
        assert_eq!(returns.of(order), [line(1, 7, 3), line(2, 0, 1)]);
        returns.undo_add(&first);
        assert!(returns.is_empty() && returns.of(order).is_empty());
    }

    #[test]
    fn what_it_takes_to_go_back_is_as_large_as_what_came_back_and_not_as_the_row() {
        let mut returns = Returns::default();
        let order = OrderKey::from_parts(Time::ZERO, 1 << 8);
        let row: Vec<Line> = (0..1_024).map(|item| line(item, 0, 2)).collect();
        let first = returns.add(order, &row.clone().into());
        let second = returns.add(order, &line(700, 0, 1).into());
        assert_eq!(
            (second.lines.len(), returns.units(order, ItemId(700), LocationId(0))),
            (1, line(0, 0, 3).units)
        );
        returns.undo_add(&second);
        assert_eq!(returns.of(order), row);
        returns.undo_add(&first);
        assert!(returns.is_empty());
    }

    #[test]
    fn a_full_table_takes_more_of_the_orders_that_it_holds() {
        let mut returns = Returns::default();
        returns.hold_at_most(1, 2);
        let [held, other] = [1, 2].map(|random| OrderKey::from_parts(Time::ZERO, random << 8));
        assert!(returns.has_room_for(held, &[line(0, 0, 1)]));
        returns.add(held, &line(0, 0, 1).into());
        let [same, next, third] = [0, 1, 2].map(|item| line(item, 0, 1));
        assert!(returns.has_room_for(held, &[same]) && !returns.has_room_for(other, &[same]));
        assert!(returns.has_room_for(held, &[same, next]) && !returns.has_room_for(held, &[next, third]));
        let added = returns.add(held, &next.into());
        assert!(returns.has_room_for(held, &[same, next]) && !returns.has_room_for(held, &[third]));
        returns.undo_add(&added);
        assert!(returns.has_room_for(held, &[third]));
    }
}
