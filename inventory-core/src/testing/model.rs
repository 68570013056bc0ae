//! A naive model of the shop: plain maps, no indexes, no undo, nothing shared with the engine but the words.
//! Slow and obvious on purpose; tests hold the engine to it.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::bulk::BulkOrder;
use crate::command::{Order, OrderLine};
use crate::entry::{BulkEntries, Entry, Posting};
use crate::id::{LocationId, OrderKey, Upc, UserId};
use crate::limits::ORDER_LINES_MAX;
use crate::money::Money;
use crate::quantity::Units;
use crate::refusal::{Refusal, Shortage};
use crate::returns::Return;

/// What an accepted order took, each item and location once, and what it cost.
pub type Sale = (Vec<OrderLine>, Option<Money>);

/// What came back of an order, each item and location once, and what to which account.
pub type Comeback = (Vec<OrderLine>, Option<(Box<str>, i64)>);

/// The code of each row of a batch, and what the accepted ones cost.
pub type BulkSale = (Vec<u8>, Option<Money>);

/// What became of an order, and whose it was.
type Decided = (UserId, Order, Result<Sale, Refusal>);
/// What became of a return, and whose it was.
type ReturnDecided = (UserId, Return, Result<Comeback, Refusal>);
/// What became of a batch, and whose it was.
type BulkDecided = (UserId, BulkOrder, BulkSale);

/// The balance of each account of an entry, after it.
pub type Balances = Vec<i64>;
/// What became of an entry, and whose it was.
type PostDecided = (UserId, Posting, Result<Balances, Refusal>);
/// What became of a batch of entries, and whose it was.
type EntriesDecided = (UserId, BulkEntries, Vec<u8>);

/// A line that was bought, what one unit of it cost if it has a price, and how many came back.
#[derive(Clone, Debug)]
struct Bought {
    line: OrderLine,
    price: Option<i64>,
    came_back: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    balance: i64,
    floor: Option<i64>,
}

/// Items, levels, accounts and outcomes, kept the obvious way. Keys never leave its window.
#[derive(Clone, Debug, Default)]
pub struct Model {
    prices: BTreeMap<Upc, Option<Money>>,
    levels: BTreeMap<(Upc, LocationId), u64>,
    outcomes: BTreeMap<OrderKey, Decided>,
    bulk_outcomes: BTreeMap<OrderKey, BulkDecided>,
    bought: BTreeMap<OrderKey, Vec<Bought>>,
    returns: BTreeMap<OrderKey, ReturnDecided>,
    accounts: BTreeMap<Box<str>, Account>,
    postings: BTreeMap<OrderKey, PostDecided>,
    entries: BTreeMap<OrderKey, EntriesDecided>,
}

impl Model {
    /// Creates an item or gives it another price.
    pub fn define_item(&mut self, upc: Upc, price: Option<Money>) {
        self.prices.insert(upc, price);
    }

    /// Sets a first level; refused if there is one.
    pub fn set_initial_level(&mut self, upc: Upc, location: LocationId, units: Units) -> Result<(), Refusal> {
        if !self.prices.contains_key(&upc) {
            return Err(Refusal::UnknownItem { upc });
        }
        if self.levels.contains_key(&(upc, location)) {
            return Err(Refusal::LevelAlreadySet);
        }
        self.levels.insert((upc, location), units.get());
        Ok(())
    }

    /// Units on hand; zero if the level was never set.
    pub fn on_hand(&self, upc: Upc, location: LocationId) -> u64 {
        self.levels.get(&(upc, location)).copied().unwrap_or(0)
    }

    /// All units there are.
    pub fn units(&self) -> u64 {
        self.levels.values().fold(0, |sum, units| sum.saturating_add(*units))
    }

    /// Buys, at most once for a key.
    pub fn purchase(&mut self, user: UserId, order: &Order) -> Result<Sale, Refusal> {
        if let Some((owner, first, outcome)) = self.outcomes.get(&order.key) {
            let same = *owner == user && first == order;
            return if same { outcome.clone() } else { Err(Refusal::KeyReused) };
        }
        if self.has_decided(order.key) {
            return Err(Refusal::KeyReused);
        }
        let outcome = self.sell(order);
        if let Ok((lines, _)) = &outcome {
            let price = |upc| self.prices.get(upc).copied().flatten().map(Money::minor);
            let bought =
                lines.iter().map(|line| Bought { line: *line, price: price(&line.upc), came_back: 0 });
            self.bought.insert(order.key, bought.collect());
        }
        self.outcomes.insert(order.key, (user, order.clone(), outcome.clone()));
        outcome
    }

    /// Buys row by row, at most once for a key.
    pub fn purchase_bulk(&mut self, user: UserId, order: &BulkOrder) -> Result<BulkSale, Refusal> {
        if let Some((owner, first, outcome)) = self.bulk_outcomes.get(&order.key()) {
            let same = *owner == user && first == order;
            return if same { Ok(outcome.clone()) } else { Err(Refusal::KeyReused) };
        }
        if self.has_decided(order.key()) {
            return Err(Refusal::KeyReused);
        }
        let mut codes = Vec::new();
        let mut total: Option<i128> = Some(0);
        for (upc, units) in order.rows() {
            let (on_hand, location) = (self.on_hand(upc, order.location()), order.location());
            let price = self.prices.get(&upc).copied();
            let cost =
                price.flatten().map(|price| i128::from(price.minor()).saturating_mul(i128::from(units)));
            let with_row = total.zip(cost).map(|(total, cost)| total.saturating_add(cost));
            let code = match price {
                _ if units == 0 => 22,
                None => 20,
                Some(_) if u64::from(units) > on_hand => 21,
                Some(_) if with_row.is_some_and(|total| total > i128::from(i64::MAX)) => 23,
                Some(_) => 0,
            };
            if code == 0 {
                self.levels.insert((upc, location), on_hand.saturating_sub(u64::from(units)));
                total = with_row;
            }
            codes.push(code);
        }
        let sale = (codes, total.and_then(|total| i64::try_from(total).ok()).map(Money::from_minor));
        self.bulk_outcomes.insert(order.key(), (user, order.clone(), sale.clone()));
        Ok(sale)
    }

    /// Takes units of an order back, at most once for a key. An administrator may return anybody's.
    pub fn give_back(
        &mut self,
        user: UserId,
        is_administrator: bool,
        wanted: &Return,
    ) -> Result<Comeback, Refusal> {
        if let Some((owner, first, outcome)) = self.returns.get(&wanted.key) {
            let same = *owner == user && (first.order, &first.lines) == (wanted.order, &wanted.lines);
            return if same { outcome.clone() } else { Err(Refusal::KeyReused) };
        }
        if self.has_decided(wanted.key) {
            return Err(Refusal::KeyReused);
        }
        let outcome = self.take_back(user, is_administrator, wanted);
        self.returns.insert(wanted.key, (user, wanted.clone(), outcome.clone()));
        outcome
    }

    fn take_back(
        &mut self,
        user: UserId,
        is_administrator: bool,
        Return { order, lines, .. }: &Return,
    ) -> Result<Comeback, Refusal> {
        check(lines)?;
        let asked = summed(lines)?;
        let owner = self.owner(*order).filter(|owner| *owner == user || is_administrator);
        owner.ok_or(Refusal::UnknownOrder)?;
        let bought = self.bought.get(order).cloned().ok_or(Refusal::NotReturnable)?;
        let left = |it: &Bought| it.line.units.get().saturating_sub(it.came_back);
        let mut back = Vec::new();
        let mut shortages = Vec::new();
        if asked.is_empty() {
            for it in &bought {
                let units = Units::new(left(it)).unwrap_or_default();
                back.push(OrderLine { units, ..it.line });
            }
            back.retain(|line| !line.units.is_zero());
            if back.is_empty() {
                shortages.extend(bought.iter().map(|it| shortage_of(&it.line, 0)));
            }
        }
        for line in asked {
            let same = |it: &&Bought| (it.line.upc, it.line.location) == (line.upc, line.location);
            let left = bought.iter().find(same).map_or(0, left);
            if line.units.get() > left {
                shortages.push(shortage_of(&line, left));
            }
            back.push(line);
        }
        if !shortages.is_empty() {
            return Err(Refusal::ExceedsPurchase { shortages: shortages.into() });
        }
        let refund = self.refund(*order, &back)?;
        for line in &back {
            let level = self.levels.entry((line.upc, line.location)).or_default();
            *level = level.saturating_add(line.units.get());
            let same = |it: &&mut Bought| (it.line.upc, it.line.location) == (line.upc, line.location);
            if let Some(it) = self.bought.get_mut(order).and_then(|bought| bought.iter_mut().find(same)) {
                it.came_back = it.came_back.saturating_add(line.units.get());
            }
        }
        Ok((back, refund))
    }

    /// Gives what was paid for these lines back to the account that paid, if one did.
    fn refund(&mut self, order: OrderKey, back: &[OrderLine]) -> Result<Option<(Box<str>, i64)>, Refusal> {
        let charged = self.outcomes.get(&order).and_then(|(_, order, _)| order.charge.clone());
        let Some(account) = charged else { return Ok(None) };
        let price = |line: &OrderLine| {
            let same = |it: &&Bought| (it.line.upc, it.line.location) == (line.upc, line.location);
            self.bought.get(&order).and_then(|bought| bought.iter().find(same)?.price).unwrap_or(0)
        };
        let cost = |line: &OrderLine| i128::from(price(line)).saturating_mul(line.units.get().into());
        let amount = back.iter().map(cost).fold(0, i128::saturating_add);
        let balance = self.balance_with(&account, amount)?;
        self.accounts.entry(account.clone()).or_default().balance = balance;
        Ok(Some((account, i64::try_from(amount).unwrap_or(i64::MAX))))
    }

    /// Whose outcome this key has.
    fn owner(&self, key: OrderKey) -> Option<UserId> {
        let order = self.outcomes.get(&key).map(|decided| decided.0);
        let bulk = self.bulk_outcomes.get(&key).map(|decided| decided.0);
        let back = self.returns.get(&key).map(|decided| decided.0);
        let posting = self.postings.get(&key).map(|decided| decided.0);
        let entries = self.entries.get(&key).map(|decided| decided.0);
        order.or(bulk).or(back).or(posting).or(entries)
    }

    /// Whether this key has an outcome.
    pub fn has_decided(&self, key: OrderKey) -> bool {
        self.outcomes.contains_key(&key)
            || self.bulk_outcomes.contains_key(&key)
            || self.returns.contains_key(&key)
            || self.postings.contains_key(&key)
            || self.entries.contains_key(&key)
    }

    /// The balance of an account in minor units.
    pub fn balance(&self, account: &str) -> Option<i64> {
        self.accounts.get(account).map(|account| account.balance)
    }

    /// All accounts and their balances, by name.
    pub fn balances(&self) -> impl Iterator<Item = (&str, i64)> {
        self.accounts.iter().map(|(name, account)| (&**name, account.balance))
    }

    /// Sets a floor, or none.
    pub fn set_floor(&mut self, account: &str, floor: Option<Money>) -> Result<(), Refusal> {
        let unknown = Refusal::UnknownAccount { account: account.into() };
        let row = self.accounts.get_mut(account).ok_or(unknown)?;
        if floor.is_some_and(|floor| floor.minor() > row.balance) {
            return Err(Refusal::FloorAboveBalance { balance: Money::from_minor(row.balance) });
        }
        row.floor = floor.map(Money::minor);
        Ok(())
    }

    /// Posts an entry, at most once for a key.
    pub fn post(&mut self, user: UserId, posting: &Posting) -> Result<Balances, Refusal> {
        if let Some((owner, first, outcome)) = self.postings.get(&posting.key) {
            let same = *owner == user && first == posting;
            return if same { outcome.clone() } else { Err(Refusal::KeyReused) };
        }
        if self.has_decided(posting.key) {
            return Err(Refusal::KeyReused);
        }
        let amount = i128::from(posting.entry.amount().minor());
        let changes = match &posting.entry {
            Entry::Credit { account, .. } => [Some((account, amount)), None],
            Entry::Debit { account, .. } => [Some((account, amount.saturating_neg())), None],
            Entry::Transfer { from, to, .. } => [Some((from, amount.saturating_neg())), Some((to, amount))],
        };
        let outcome: Result<Balances, Refusal> =
            changes.iter().flatten().map(|(name, change)| self.balance_with(name, *change)).collect();
        if let Ok(balances) = &outcome {
            for ((name, _), balance) in changes.iter().flatten().zip(balances) {
                self.accounts.entry((*name).clone()).or_default().balance = *balance;
            }
        }
        self.postings.insert(posting.key, (user, posting.clone(), outcome.clone()));
        outcome
    }

    /// Posts row by row, at most once for a key; gives the code of each row.
    pub fn post_bulk(&mut self, user: UserId, batch: &BulkEntries) -> Result<Vec<u8>, Refusal> {
        if let Some((owner, first, codes)) = self.entries.get(&batch.key()) {
            let same = *owner == user && first == batch;
            return if same { Ok(codes.clone()) } else { Err(Refusal::KeyReused) };
        }
        if self.has_decided(batch.key()) {
            return Err(Refusal::KeyReused);
        }
        let mut codes = Vec::new();
        for (name, amount) in batch.rows() {
            let name = core::str::from_utf8(name).ok();
            let name = name.filter(|name| (1..=65_535).contains(&name.len()));
            let name = name.filter(|name| !name.contains([' ', '\t', '\n', '\u{b}', '\u{c}', '\r']));
            let Some(name) = name else {
                codes.push(42);
                continue;
            };
            codes.push(match self.balance_with(name, amount.into()) {
                Ok(balance) => {
                    self.accounts.entry(name.into()).or_default().balance = balance;
                    0
                }
                Err(Refusal::InsufficientFunds { .. }) => 26,
                Err(_) => 27,
            });
        }
        self.entries.insert(batch.key(), (user, batch.clone(), codes.clone()));
        Ok(codes)
    }

    fn balance_with(&self, name: &str, change: i128) -> Result<i64, Refusal> {
        let Account { balance, floor } = self.accounts.get(name).copied().unwrap_or_default();
        let after = i128::from(balance).saturating_add(change);
        match floor {
            Some(floor) if after < i128::from(floor) => {
                let short_by = i64::try_from(i128::from(floor).saturating_sub(after)).unwrap_or(i64::MAX);
                Err(Refusal::InsufficientFunds {
                    account: name.into(),
                    short_by: Money::from_minor(short_by),
                })
            }
            _ => i64::try_from(after).map_err(|_| Refusal::BalanceOutOfRange { account: name.into() }),
        }
    }

    fn sell(&mut self, Order { lines, charge, .. }: &Order) -> Result<Sale, Refusal> {
        if lines.is_empty() {
            return Err(Refusal::EmptyOrder);
        }
        check(lines)?;
        let summed = summed(lines)?;
        if let Some(line) = summed.iter().find(|line| !self.prices.contains_key(&line.upc)) {
            return Err(Refusal::UnknownItem { upc: line.upc });
        }
        let shortages: Box<[Shortage]> = summed.iter().filter_map(|line| self.shortage(line)).collect();
        if !shortages.is_empty() {
            return Err(Refusal::InsufficientStock { shortages });
        }
        let total = self.total(&summed)?;
        if let Some(account) = charge {
            self.pay(account, total, lines)?;
        }
        for line in &summed {
            if let Some(level) = self.levels.get_mut(&(line.upc, line.location)) {
                *level = level.saturating_sub(line.units.get());
            }
        }
        Ok((summed, total))
    }

    /// Charges an account for these lines, whose items are all there.
    fn pay(&mut self, account: &str, total: Option<Money>, lines: &[OrderLine]) -> Result<(), Refusal> {
        let unpriced = |line: &&OrderLine| self.prices.get(&line.upc).copied().flatten().is_none();
        let Some(total) = total else {
            let line = lines.iter().find(unpriced).ok_or(Refusal::EmptyOrder)?;
            return Err(Refusal::Unpriced { upc: line.upc });
        };
        if !self.accounts.contains_key(account) {
            return Err(Refusal::UnknownAccount { account: account.into() });
        }
        let balance = self.balance_with(account, i128::from(total.minor()).saturating_neg())?;
        self.accounts.entry(account.into()).or_default().balance = balance;
        Ok(())
    }

    fn shortage(&self, line: &OrderLine) -> Option<Shortage> {
        let on_hand = self.on_hand(line.upc, line.location);
        (line.units.get() > on_hand).then(|| shortage_of(line, on_hand))
    }

    fn total(&self, lines: &[OrderLine]) -> Result<Option<Money>, Refusal> {
        let mut total: i128 = 0;
        for line in lines {
            let Some(price) = self.prices.get(&line.upc).copied().flatten() else { return Ok(None) };
            let cost = i128::from(price.minor()).saturating_mul(i128::from(line.units.get()));
            total = total.saturating_add(cost);
            if total > i128::from(i64::MAX) {
                return Err(Refusal::Overflow { upc: line.upc });
            }
        }
        Ok(i64::try_from(total).ok().map(Money::from_minor))
    }
}

fn check(lines: &[OrderLine]) -> Result<(), Refusal> {
    if lines.len() > ORDER_LINES_MAX {
        return Err(Refusal::TooManyLines { lines: u32::try_from(lines.len()).unwrap_or(u32::MAX) });
    }
    match lines.iter().find(|line| line.units.is_zero()) {
        Some(line) => Err(Refusal::ZeroQuantity { upc: line.upc }),
        None => Ok(()),
    }
}

fn shortage_of(line: &OrderLine, available: u64) -> Shortage {
    let OrderLine { upc, location, units: requested } = *line;
    Shortage { upc, location, requested, available: Units::new(available).unwrap_or_default() }
}

/// Lines of one item and location added up, in the order of their first appearance.
fn summed(lines: &[OrderLine]) -> Result<Vec<OrderLine>, Refusal> {
    let mut summed: Vec<OrderLine> = Vec::new();
    for line in lines {
        let same = |other: &&mut OrderLine| (other.upc, other.location) == (line.upc, line.location);
        match summed.iter_mut().find(same) {
            Some(other) => {
                let sum = other.units.checked_add(line.units);
                other.units = sum.ok_or(Refusal::Overflow { upc: line.upc })?;
            }
            None => summed.push(*line),
        }
    }
    Ok(summed)
}
