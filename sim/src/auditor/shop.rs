//! A naive shop: what the engine should decide, worked out again from plain maps. It shares no code with the engine,
//! only its words, and is slow and obvious on purpose.

use std::collections::BTreeMap;

use inventory_core::limits::ORDER_LINES_MAX;
use inventory_core::{
    BulkOrder, LevelRow, LocationId, Money, Order, OrderLine, Refusal, Shortage, Units, Upc,
};

use super::accounts::Accounts;

/// What an accepted order takes, each item and location once, and what it costs.
pub(super) type Sale = (Vec<OrderLine>, Option<Money>);

/// The code of each row of a batch, and what the accepted ones cost.
pub(super) type BulkSale = (Vec<u8>, Option<Money>);

/// Items, levels and accounts at one version.
#[derive(Clone, Debug, Default)]
pub(super) struct Shop {
    /// Codes in the order in which they were defined: the engine's row numbers.
    rows: Vec<Upc>,
    items: BTreeMap<Upc, (Box<str>, Option<Money>)>,
    levels: BTreeMap<(Upc, LocationId), u64>,
    /// Units that ever came in, that were ever sold, and of those that ever came back.
    received: u128,
    sold: u128,
    returned: u128,
    pub(super) accounts: Accounts,
}

impl Shop {
    pub(super) fn upc(&self, row: u32) -> Option<Upc> {
        self.rows.get(usize::try_from(row).ok()?).copied()
    }

    pub(super) fn items(&self) -> impl Iterator<Item = (Upc, &str, Option<Money>)> {
        self.rows.iter().filter_map(|upc| self.items.get(upc).map(|(name, price)| (*upc, &**name, *price)))
    }

    pub(super) fn levels(&self) -> &BTreeMap<(Upc, LocationId), u64> {
        &self.levels
    }

    pub(super) fn item(&self, upc: Upc) -> Option<(&str, Option<Money>)> {
        self.items.get(&upc).map(|(name, price)| (&**name, *price))
    }

    pub(super) fn define(&mut self, upc: Upc, name: &str, price: Option<Money>) {
        if self.items.insert(upc, (name.into(), price)).is_none() {
            self.rows.push(upc);
        }
    }

    /// False if the level was set before, or there is no such item.
    pub(super) fn set_level(&mut self, upc: Upc, location: LocationId, units: u64) -> bool {
        if !self.items.contains_key(&upc) || self.levels.contains_key(&(upc, location)) {
            return false;
        }
        self.levels.insert((upc, location), units);
        self.received += u128::from(units);
        true
    }

    /// Takes units away; false if there are not so many.
    pub(super) fn take(&mut self, line: &OrderLine) -> bool {
        let Some(level) = self.levels.get_mut(&(line.upc, line.location)) else { return false };
        let Some(rest) = level.checked_sub(line.units.get()) else { return false };
        *level = rest;
        self.sold += u128::from(line.units.get());
        true
    }

    /// Puts units back that were bought.
    pub(super) fn bring_back(&mut self, line: &OrderLine) {
        *self.levels.entry((line.upc, line.location)).or_default() += line.units.get();
        self.returned += u128::from(line.units.get());
    }

    /// Whether what came in is what is there and what was sold and did not come back.
    pub(super) fn is_conserved(&self) -> bool {
        let there: u128 = self.levels.values().map(|units| u128::from(*units)).sum();
        self.returned <= self.sold && there + self.sold == self.received + self.returned
    }

    /// What becomes of an order here and now.
    pub(super) fn decide(&self, order: &Order) -> Result<Sale, Refusal> {
        let (lines, total) = self.fill(&order.lines)?;
        if let Some(account) = &order.charge {
            let unpriced =
                order.lines.iter().find(|line| self.item(line.upc).is_none_or(|item| item.1.is_none()));
            let why = || unpriced.map_or(Refusal::EmptyOrder, |line| Refusal::Unpriced { upc: line.upc });
            let total = total.ok_or_else(why)?;
            self.accounts.can_pay(account, total)?;
        }
        Ok((lines, total))
    }

    fn fill(&self, lines: &[OrderLine]) -> Result<Sale, Refusal> {
        let wanted = check_and_add_up(lines)?;
        if wanted.is_empty() {
            return Err(Refusal::EmptyOrder);
        }
        if let Some(line) = wanted.iter().find(|line| !self.items.contains_key(&line.upc)) {
            return Err(Refusal::UnknownItem { upc: line.upc });
        }
        let shortages: Vec<Shortage> = wanted.iter().filter_map(|line| self.shortage(line)).collect();
        if !shortages.is_empty() {
            return Err(Refusal::InsufficientStock { shortages: shortages.into() });
        }
        let total = self.price_of(&wanted)?;
        Ok((wanted, total))
    }

    /// What becomes of the rows of a batch: a code each, and what the accepted ones cost. Takes what they take.
    pub(super) fn sell_rows(&mut self, order: &BulkOrder) -> BulkSale {
        let (mut codes, mut total) = (Vec::new(), Some(0i128));
        for (upc, units) in order.rows() {
            let price = self.items.get(&upc).map(|(_, price)| price.map(|price| i128::from(price.minor())));
            let there = self.levels.get(&(upc, order.location())).copied().unwrap_or(0);
            let so_far = price.flatten().zip(total).map(|(price, total)| total + price * i128::from(units));
            let code = if units == 0 {
                22
            } else if price.is_none() {
                20
            } else if u64::from(units) > there {
                21
            } else if so_far.is_some_and(|total| total > i128::from(i64::MAX)) {
                23
            } else {
                0
            };
            if code == 0 {
                total = so_far;
                self.take(&OrderLine { upc, location: order.location(), units: units.into() });
            }
            codes.push(code);
        }
        (codes, total.and_then(|total| i64::try_from(total).ok()).map(Money::from_minor))
    }

    fn shortage(&self, line: &OrderLine) -> Option<Shortage> {
        let OrderLine { upc, location, units: requested } = *line;
        let there = self.levels.get(&(upc, location)).copied().unwrap_or(0);
        let available = Units::new(there).unwrap_or_default();
        (requested.get() > there).then_some(Shortage { upc, location, requested, available })
    }

    fn price_of(&self, lines: &[OrderLine]) -> Result<Option<Money>, Refusal> {
        let mut total: i128 = 0;
        for line in lines {
            let Some((_, Some(price))) = self.item(line.upc) else { return Ok(None) };
            total += i128::from(price.minor()) * i128::from(line.units.get());
            if total > i128::from(i64::MAX) {
                return Err(Refusal::Overflow { upc: line.upc });
            }
        }
        Ok(i64::try_from(total).ok().map(Money::from_minor))
    }

    /// The levels that are shown of an item, the main location's first: it always has one.
    pub(super) fn shown(&self, upc: Upc) -> Vec<LevelRow> {
        let Some((name, price)) = self.item(upc) else { return Vec::new() };
        let mut places: BTreeMap<LocationId, u64> = BTreeMap::from([(LocationId::MAIN, 0)]);
        places.extend(
            self.levels.iter().filter(|((of, _), _)| *of == upc).map(|((_, at), units)| (*at, *units)),
        );
        let row = |(location, units)| LevelRow {
            upc,
            name: name.into(),
            location,
            on_hand: Units::new(units).unwrap_or_default(),
            reserved: Units::ZERO,
            price,
        };
        places.into_iter().map(row).collect()
    }

    /// At most `limit` items after this one, and where the next page begins.
    pub(super) fn page(&self, after: Option<Upc>, limit: usize) -> (Vec<LevelRow>, Option<Upc>) {
        let mut upcs: Vec<Upc> =
            self.items.keys().copied().filter(|upc| after.is_none_or(|after| *upc > after)).collect();
        let more = upcs.len() > limit;
        upcs.truncate(limit);
        let next = if more { upcs.last().copied() } else { None };
        (upcs.into_iter().flat_map(|upc| self.shown(upc)).collect(), next)
    }
}

/// Lines of one item and location as one, where the first of them stood; none of zero units, and not too many.
pub(super) fn check_and_add_up(lines: &[OrderLine]) -> Result<Vec<OrderLine>, Refusal> {
    if lines.len() > ORDER_LINES_MAX {
        return Err(Refusal::TooManyLines { lines: u32::try_from(lines.len()).unwrap_or(u32::MAX) });
    }
    if let Some(line) = lines.iter().find(|line| line.units == Units::ZERO) {
        return Err(Refusal::ZeroQuantity { upc: line.upc });
    }
    let mut sums: Vec<OrderLine> = Vec::new();
    for line in lines {
        match sums.iter_mut().find(|sum| sum.upc == line.upc && sum.location == line.location) {
            Some(sum) => {
                let units = sum.units.get().saturating_add(line.units.get());
                sum.units = Units::new(units).ok_or(Refusal::Overflow { upc: line.upc })?;
            }
            None => sums.push(*line),
        }
    }
    Ok(sums)
}
