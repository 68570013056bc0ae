//! The books of the returns: what came back of each order, kept the plain way.

use alloc::collections::BTreeMap;

use super::Breach;
use crate::event::Line;
use crate::id::{ItemId, LocationId, OrderKey};
use crate::limits::RETURNED_ORDERS_MAX;
use crate::returns::Returned;
use crate::state::State;

#[derive(Debug, Default)]
pub(super) struct ReturnBooks {
    came_back: BTreeMap<OrderKey, BTreeMap<(ItemId, LocationId), u64>>,
}

impl ReturnBooks {
    /// Books that begin with this state.
    pub(super) fn of(state: &State) -> Self {
        let units = |lines: &[Line]| {
            lines.iter().map(|line| ((line.item, line.location), line.units.get())).collect()
        };
        Self { came_back: state.returns().iter().map(|(order, lines)| (order, units(lines))).collect() }
    }

    /// Enters what came back.
    pub(super) fn enter(&mut self, returned: &Returned) {
        let so_far = self.came_back.entry(returned.order).or_default();
        for line in returned.lines.iter() {
            let units = so_far.entry((line.item, line.location)).or_default();
            *units = units.saturating_add(line.units.get());
        }
    }

    /// Whether there was no room for one more order.
    pub(super) fn are_full(&self) -> bool {
        self.came_back.len() >= RETURNED_ORDERS_MAX
    }

    /// Compares what came back of one order with the books.
    pub(super) fn compare(&self, order: OrderKey, is: &[Line]) -> Result<(), Breach> {
        let should = self.came_back.get(&order).into_iter().flatten();
        let should = should.map(|((item, location), units)| (*item, *location, *units));
        let is = is.iter().map(|line| (line.item, line.location, line.units.get()));
        if is.eq(should) { Ok(()) } else { Err(Breach::CameBack(order)) }
    }

    /// Compares what came back of every order with the books.
    pub(super) fn compare_all(&self, state: &State) -> Result<(), Breach> {
        if state.returns().len() != self.came_back.len() {
            return Err(Breach::Rows("returned orders"));
        }
        state.returns().iter().try_for_each(|(order, lines)| self.compare(order, lines))
    }
}
