//! The books of an audit: sums of what the events say, kept the plain way. They share nothing with the tables of the
//! state but the words, so that a mistake in one shows in the other.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::accounts::Books;
use super::claims::Claims;
use super::returns::ReturnBooks;
use super::{Breach, compare_level};
use crate::bulk::{BulkRows, RowCodes};
use crate::command::Role;
use crate::event::{Charge, Event, Line, Record};
use crate::id::{AccountId, ItemId, LocationId, OrderKey, Upc, UserId, Version};
use crate::limits::{ORDER_KEY_FUTURE_US_MAX, ORDER_WINDOW_AGE_US};
use crate::money::Money;
use crate::refusal::{Refusal, Shortage};
use crate::returns::Refund;
use crate::state::State;
use crate::time::Time;

#[derive(Debug, Default)]
pub(super) struct Ledger {
    items: BTreeMap<Upc, ItemId>,
    /// In minor units, by item row.
    prices: Vec<Option<Money>>,
    /// Units that came less units that left.
    levels: BTreeMap<(ItemId, LocationId), u64>,
    /// By user row; rows count from 1.
    users: Vec<(Role, Box<str>)>,
    accounts: Books,
    returns: ReturnBooks,
    /// Keys with an outcome, as far back as a key may be decided. Their order is that of their times.
    pub(super) decided: BTreeSet<OrderKey>,
}

impl Ledger {
    /// Books that begin with this state.
    pub(super) fn of(state: &State) -> Self {
        Self {
            items: state.catalogue().iter().map(|item| (item.upc, item.id)).collect(),
            prices: state.catalogue().iter().map(|item| item.price).collect(),
            levels: state
                .stock()
                .iter()
                .map(|(item, location, level)| ((item, location), level.on_hand.get()))
                .collect(),
            users: state.users().iter().map(|(_, user)| (user.role, (*user.name).into())).collect(),
            accounts: Books::of(state),
            returns: ReturnBooks::of(state),
            decided: state.orders().iter().map(|row| row.key).collect(),
        }
    }

    /// Units that should be at this level.
    pub(super) fn level(&self, item: ItemId, location: LocationId) -> u64 {
        self.levels.get(&(item, location)).copied().unwrap_or_default()
    }

    /// Enters the event that made this version.
    pub(super) fn enter(&mut self, version: Version, record: &Record) -> Result<(), Breach> {
        match &record.event {
            Event::ItemDefined { by, upc, name: _, price } => {
                self.check_administrator(*by)?;
                self.define(*upc, *price);
            }
            Event::InitialLevelSet { by, item, location, units } => {
                self.check_administrator(*by)?;
                self.bring(&Line { item: *item, location: *location, units: *units });
            }
            Event::UserAdded { by, role, name, .. } => {
                self.check_administrator(*by)?;
                self.users.push((*role, name.clone()));
            }
            Event::LoggedIn { .. } | Event::LoggedOut { .. } => {}
            Event::Purchased { key, lines, total, .. } => {
                self.decide(*key, record.at)?;
                lines.iter().try_for_each(|line| self.take(line))?;
                let should = self.total(lines);
                if *total != should {
                    return Err(Breach::Total { key: *key, is: *total, should });
                }
            }
            Event::BulkPurchased { key, location, total, rows, .. } => {
                self.decide(*key, record.at)?;
                let should = self.enter_rows(*key, *location, rows)?;
                if *total != should {
                    return Err(Breach::Total { key: *key, is: *total, should });
                }
            }
            Event::PurchaseCharged { key, user, lines, charge, .. } => {
                let Charge { account, total, amounts } = &**charge;
                self.check_payer(*user, *account)?;
                self.decide(*key, record.at)?;
                lines.iter().try_for_each(|line| self.take(line))?;
                let (is, should) = (Some(*total), self.total(lines));
                if is != should {
                    return Err(Breach::Total { key: *key, is, should });
                }
                // Formats before 4 do not say what each line cost.
                for (line, is) in lines.iter().zip(amounts) {
                    let (is, should) = (Some(*is), self.total(core::slice::from_ref(line)));
                    if is != should {
                        return Err(Breach::Total { key: *key, is, should });
                    }
                }
                self.accounts.enter(*account, total.minor().saturating_neg())?;
            }
            Event::Returned { key, user, returned, .. } => {
                self.decide(*key, record.at)?;
                returned.lines.iter().for_each(|line| self.bring(line));
                let owner = self.check_administrator(*user).is_err().then_some(*user);
                self.returns.enter(version, *key, owner, returned);
                if let Some(Refund { account, amount }) = returned.refund {
                    self.accounts.enter(account, amount.minor())?;
                }
            }
            Event::ReturnRefused { key, refusal, .. } => {
                self.decide(*key, record.at)?;
                self.check_return_refusal(*key, refusal)?;
            }
            Event::Posted { key, user, posted, added, .. } => {
                self.check_administrator(*user)?;
                self.decide(*key, record.at)?;
                self.accounts.post(posted, added)?;
            }
            Event::BulkPosted { key, user, rows, .. } => {
                self.check_administrator(*user)?;
                self.decide(*key, record.at)?;
                self.accounts.post_rows(*key, rows)?;
            }
            Event::PostRefused { key, user, refusal, .. } => {
                self.check_administrator(*user)?;
                self.decide(*key, record.at)?;
                self.check_refusal(*key, refusal)?;
            }
            Event::FloorSet { by, account, floor } => {
                self.check_administrator(*by)?;
                self.accounts.set_floor(*account, *floor)?;
            }
            Event::PurchaseRefused { key, refusal, .. } => {
                self.decide(*key, record.at)?;
                self.check_refusal(*key, refusal)?;
            }
        }
        Ok(())
    }

    /// Compares every row of the state with the books.
    pub(super) fn balance(&self, state: &State) -> Result<(), Breach> {
        let items = state.catalogue().iter().map(|item| (item.upc, item.id, item.price));
        let should = self.items.len() == self.prices.len() && self.prices.len() == state.catalogue().len();
        let same = |(upc, id, price): (Upc, ItemId, Option<Money>)| {
            self.items.get(&upc) == Some(&id) && self.price(id) == price
        };
        if !should || !items.into_iter().all(same) {
            return Err(Breach::Rows("items"));
        }
        self.accounts.compare_all(state)?;
        self.returns.compare_all(state)?;
        let users = state.users().iter().map(|(_, user)| (user.role, &*user.name));
        if !users.eq(self.users.iter().map(|(role, name)| (*role, &**name))) {
            return Err(Breach::Rows("users"));
        }
        for (item, location, level) in state.stock().iter() {
            compare_level(item, location, level, self.level(item, location))?;
        }
        for ((item, location), should) in &self.levels {
            let is = state.stock().level(*item, *location).unwrap_or_default();
            compare_level(*item, *location, is, *should)?;
        }
        Ok(())
    }

    fn define(&mut self, upc: Upc, price: Option<Money>) {
        let next = ItemId(u32::try_from(self.prices.len()).unwrap_or(u32::MAX));
        let item = *self.items.entry(upc).or_insert(next);
        match self.prices.get_mut(row(item.0)) {
            Some(before) => *before = price,
            None => self.prices.push(price),
        }
    }

    fn take(&mut self, line: &Line) -> Result<(), Breach> {
        let Line { item, location, units } = *line;
        let rest = self.level(item, location).checked_sub(units.get());
        let rest = rest.ok_or(Breach::Negative { item, location })?;
        self.levels.insert((item, location), rest);
        Ok(())
    }

    fn bring(&mut self, line: &Line) {
        let level = self.levels.entry((line.item, line.location)).or_default();
        *level = level.saturating_add(line.units.get());
    }

    /// Enters the rows of a batch in their order, each judged by what those before it left and cost. Gives what they cost.
    fn enter_rows(
        &mut self,
        key: OrderKey,
        location: LocationId,
        rows: &BulkRows,
    ) -> Result<Option<Money>, Breach> {
        let mut cost = Some(0i128);
        let mut unknown = rows.unknown().iter();
        for (place, item, units) in rows.rows() {
            let is_named_right = if item == BulkRows::NO_ITEM {
                unknown.next().is_some_and(|upc| !self.items.contains_key(upc))
            } else {
                self.prices.get(row(item.0)).is_some()
            };
            let is_short = u64::from(units) > self.level(item, location);
            let price = self.price(item).map(|price| i128::from(price.minor()));
            let with_row = cost
                .zip(price)
                .map(|(cost, price)| cost.saturating_add(price.saturating_mul(i128::from(units))));
            let is_too_much = with_row.is_some_and(|cost| i64::try_from(cost).is_err());
            let is_true = match rows.codes().get(place) {
                RowCodes::ZERO_QUANTITY => units == 0,
                RowCodes::UNKNOWN_ITEM => item == BulkRows::NO_ITEM,
                RowCodes::INSUFFICIENT_STOCK => is_short,
                RowCodes::OVERFLOW => is_too_much && !is_short,
                _ => {
                    self.take(&Line { item, location, units: units.into() })?;
                    cost = with_row;
                    !is_too_much
                }
            };
            if !is_named_right || !is_true {
                return Err(Breach::FalseRow { key, row: place });
            }
        }
        Ok(cost.and_then(|cost| i64::try_from(cost).ok()).map(Money::from_minor))
    }

    /// One key, one outcome, in its time.
    fn decide(&mut self, key: OrderKey, at: Time) -> Result<(), Breach> {
        let oldest = second(at.minus_micros(ORDER_WINDOW_AGE_US));
        if second(key.time()) < oldest || key.time() > at.plus_micros(ORDER_KEY_FUTURE_US_MAX) {
            return Err(Breach::KeyOutOfTime(key));
        }
        while self.decided.first().is_some_and(|first| second(first.time()) < oldest) {
            self.decided.pop_first();
        }
        if self.decided.insert(key) { Ok(()) } else { Err(Breach::OutcomeTwice(key)) }
    }

    /// What the lines come to; none if an item has no price.
    fn total(&self, lines: &[Line]) -> Option<Money> {
        let mut total = 0i128;
        for line in lines {
            let price = i128::from(self.price(line.item)?.minor());
            total = total.checked_add(price.checked_mul(i128::from(line.units.get()))?)?;
        }
        i64::try_from(total).ok().map(Money::from_minor)
    }

    fn check_refusal(&self, key: OrderKey, refusal: &Refusal) -> Result<(), Breach> {
        let is_true = |true_of: bool, upc: Upc| {
            if true_of { Ok(()) } else { Err(Breach::FalseRefusal { key, upc }) }
        };
        match refusal {
            Refusal::UnknownItem { upc } => is_true(!self.items.contains_key(upc), *upc),
            Refusal::InsufficientStock { shortages } => {
                shortages.iter().try_for_each(|short| is_true(self.is_short(short), short.upc))
            }
            Refusal::Unpriced { upc } => {
                is_true(self.items.get(upc).is_some_and(|item| self.price(*item).is_none()), *upc)
            }
            // What the order asked for is known by its digest only.
            other if self.accounts.can_refuse(other) => Ok(()),
            _ => Err(Breach::FalseEntryRefusal(key)),
        }
    }

    fn check_return_refusal(&self, key: OrderKey, refusal: &Refusal) -> Result<(), Breach> {
        match refusal {
            Refusal::ExceedsPurchase { shortages } => {
                let small = shortages.iter().find(|short| short.requested <= short.available);
                small.map_or(Ok(()), |short| Err(Breach::FalseRefusal { key, upc: short.upc }))
            }
            Refusal::TableFull if !self.returns.are_full() => Err(Breach::FalseEntryRefusal(key)),
            other => self.check_refusal(key, other),
        }
    }

    fn is_short(&self, short: &Shortage) -> bool {
        let on_hand = self.items.get(&short.upc).map(|item| self.level(*item, short.location));
        on_hand == Some(short.available.get()) && short.requested > short.available
    }

    fn check_administrator(&self, user: UserId) -> Result<(), Breach> {
        let role = self.user(user).map(|(role, _)| *role);
        if user == UserId::SYSTEM || role == Some(Role::Administrator) {
            Ok(())
        } else {
            Err(Breach::NotPermitted(user))
        }
    }

    /// An administrator charges any account, a buyer the one of his own name.
    fn check_payer(&self, user: UserId, account: AccountId) -> Result<(), Breach> {
        let own = self.user(user).and_then(|(_, name)| self.accounts.id(name));
        if own == Some(account) { Ok(()) } else { self.check_administrator(user) }
    }

    fn user(&self, user: UserId) -> Option<&(Role, Box<str>)> {
        self.users.get(row(user.0.checked_sub(1)?))
    }

    pub(super) fn leave_claims(&mut self) {
        self.returns.leave_claims();
    }

    pub(super) fn into_claims(self) -> Claims {
        self.returns.into_claims()
    }

    pub(super) const fn returns(&self) -> &ReturnBooks {
        &self.returns
    }

    pub(super) const fn accounts(&self) -> &Books {
        &self.accounts
    }

    fn price(&self, item: ItemId) -> Option<Money> {
        self.prices.get(row(item.0)).copied().flatten()
    }
}

fn row(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

const fn second(time: Time) -> u64 {
    time.as_micros() / 1_000_000
}
