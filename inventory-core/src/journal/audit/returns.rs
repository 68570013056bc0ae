//! The books of the returns: what came back of each order, kept the plain way, and what each return claims of its purchase.

use alloc::collections::BTreeMap;

use super::Breach;
use super::claims::{Claim, ClaimedLine, Claims};
use crate::event::Line;
use crate::id::{ItemId, LocationId, OrderKey, UserId, Version};
use crate::limits::{ORDER_LINES_MAX, RETURNED_LINES_MAX, RETURNED_ORDERS_MAX};
use crate::returns::Returned;
use crate::state::State;

#[derive(Debug, Default)]
pub(super) struct ReturnBooks {
    came_back: BTreeMap<OrderKey, BTreeMap<(ItemId, LocationId), u64>>,
    /// Lines of all orders.
    lines: usize,
    claims: Claims,
    /// Whether nobody asks for the claims.
    leaves_claims: bool,
}

impl ReturnBooks {
    /// Books that begin with this state.
    pub(super) fn of(state: &State) -> Self {
        let units = |lines: &[Line]| {
            lines.iter().map(|line| ((line.item, line.location), line.units.get())).collect()
        };
        let came_back = state.returns().iter().map(|(order, lines)| (order, units(lines))).collect();
        let lines = state.returns().iter().map(|(_, lines)| lines.len()).sum();
        Self { came_back, lines, ..Self::default() }
    }

    /// Enters what came back by the return with this key, which made this version. `owner` is whose order it must be, if not
    /// anybody's.
    pub(super) fn enter(
        &mut self,
        version: Version,
        key: OrderKey,
        owner: Option<UserId>,
        returned: &Returned,
    ) {
        let Returned { order, purchased, lines, refund } = returned;
        let so_far = self.came_back.entry(*order).or_default();
        let before = so_far.len();
        let mut add = |line: &Line| {
            let units = so_far.entry((line.item, line.location)).or_default();
            *units = units.saturating_add(line.units.get());
            ClaimedLine { line: *line, so_far: *units }
        };
        let lines = lines.iter().map(&mut add).collect();
        self.lines = self.lines.saturating_add(so_far.len().saturating_sub(before));
        let claim = Claim { version, key, order: *order, owner, lines, refund: *refund };
        if !self.leaves_claims {
            self.claims.add(*purchased, claim);
        }
    }

    /// What the returns claim of their purchases.
    pub(super) fn into_claims(self) -> Claims {
        self.claims
    }

    /// Keeps no claims.
    pub(super) fn leave_claims(&mut self) {
        self.leaves_claims = true;
    }

    /// Whether there was no room for one more order, or for all lines that one may have.
    pub(super) fn are_full(&self) -> bool {
        let lines = self.lines.saturating_add(ORDER_LINES_MAX);
        self.came_back.len() >= RETURNED_ORDERS_MAX || lines > RETURNED_LINES_MAX
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
