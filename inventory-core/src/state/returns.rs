//! What came back: by order key, the units of it that were returned so far.
//!
//! Invariants: only orders of which something came back have a row; a row lists each item and location once, in their order, and
//! none of them with zero units; at most [`RETURNED_ORDERS_MAX`] rows. Rows are kept for ever: an order of any age can be
//! returned.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::event::Line;
use crate::id::{ItemId, LocationId, OrderKey};
use crate::limits::RETURNED_ORDERS_MAX;
use crate::one_or_many::OneOrMany;
use crate::quantity::Units;

/// The units that came back.
#[derive(Debug)]
pub struct Returns {
    rows: BTreeMap<OrderKey, OneOrMany<Line>>,
    /// [`RETURNED_ORDERS_MAX`], or fewer in tests.
    count_max: usize,
}

/// The row of an order as it was before something came back.
#[derive(Debug)]
pub(crate) struct RowBefore {
    order: OrderKey,
    lines: Option<OneOrMany<Line>>,
}

impl Default for Returns {
    fn default() -> Self {
        Self { rows: BTreeMap::new(), count_max: RETURNED_ORDERS_MAX }
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
        let lines = self.of(order);
        let found = lines.binary_search_by_key(&(item, location), place).ok();
        found.and_then(|at| lines.get(at)).map_or(Units::ZERO, |line| line.units)
    }

    /// Whether something may come back of this order: there is a row of it, or room for one more.
    pub fn has_room_for(&self, order: OrderKey) -> bool {
        self.rows.len() < self.count_max || self.rows.contains_key(&order)
    }

    /// The orders of which something came back, by key, and what did.
    pub fn iter(&self) -> impl Iterator<Item = (OrderKey, &[Line])> {
        self.rows.iter().map(|(order, lines)| (*order, &**lines))
    }

    /// Holds fewer orders than [`RETURNED_ORDERS_MAX`]: a test cannot fill that.
    #[cfg(test)]
    pub(crate) fn hold_at_most(&mut self, count_max: usize) {
        self.count_max = count_max;
    }

    /// Adds what came back. The caller has made sure that there is room, and that it was bought and had not come back.
    pub(crate) fn add(&mut self, order: OrderKey, lines: &[Line]) -> RowBefore {
        let before = self.rows.get(&order).cloned();
        let mut sum: Vec<Line> = before.as_deref().into_iter().flatten().chain(lines).copied().collect();
        sum.sort_unstable_by_key(place);
        sum.dedup_by(|line, kept| {
            let is_same = place(line) == place(kept);
            if is_same {
                kept.units = kept.units.saturating_add(line.units);
            }
            is_same
        });
        self.rows.insert(order, sum.into());
        RowBefore { order, lines: before }
    }

    pub(super) fn undo_add(&mut self, before: RowBefore) {
        match before.lines {
            Some(lines) => drop(self.rows.insert(before.order, lines)),
            None => drop(self.rows.remove(&before.order)),
        }
    }
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
        let first = returns.add(order, &[line(2, 0, 1), line(1, 7, 3)]);
        assert_eq!(returns.of(order), [line(1, 7, 3), line(2, 0, 1)]);
        let second = returns.add(order, &[line(1, 0, 5), line(2, 0, 4)]);
        assert_eq!(returns.of(order), [line(1, 0, 5), line(1, 7, 3), line(2, 0, 5)]);
        assert_eq!(returns.units(order, ItemId(2), LocationId(0)), line(2, 0, 5).units);
        assert_eq!(returns.units(order, ItemId(2), LocationId(7)), Units::ZERO);
        returns.undo_add(second);
        assert_eq!(returns.of(order), [line(1, 7, 3), line(2, 0, 1)]);
        returns.undo_add(first);
        assert!(returns.is_empty() && returns.of(order).is_empty());
    }

    #[test]
    fn a_full_table_takes_more_of_the_orders_that_it_holds() {
        let mut returns = Returns::default();
        returns.hold_at_most(1);
        let [held, other] = [1, 2].map(|random| OrderKey::from_parts(Time::ZERO, random << 8));
        assert!(returns.has_room_for(held));
        returns.add(held, &[line(0, 0, 1)]);
        assert!(returns.has_room_for(held) && !returns.has_room_for(other));
    }
}
