//! What the shoppers were told, held against what is durable in the end, and both against a naive shop.

use std::collections::BTreeMap;

use inventory_core::journal::{Auditor, Group};
use inventory_core::testing::Model;
use inventory_core::{Event, LocationId, OrderKey, OrderLine, Record, Refusal, UserId, Version};

use super::common::upc;
use super::shopper::{Asked, ITEMS, Look, Outcome, Wanted};

/// Levels of all items.
type Levels = Vec<u64>;

/// The durable history, retold.
pub(super) struct History<'a> {
    wanted: BTreeMap<OrderKey, &'a Asked>,
    auditor: Auditor,
    model: Model,
    /// The version at which each order was decided, and what the receipt says or the refusal.
    decided: BTreeMap<OrderKey, (Version, Event)>,
    /// The levels at each version.
    levels: Vec<Levels>,
    initial_units: u64,
    sold_units: u64,
}

type Verdict = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Verdict {
    if holds { Ok(()) } else { Err(what()) }
}

/// Checks everything; gives how many orders were decided.
pub(super) fn check(
    groups: &[Group],
    asked: &[Asked],
    looks: &[Look],
    one_server: bool,
) -> Result<usize, String> {
    let mut history = History {
        wanted: asked.iter().map(|order| (order.wanted.key(), order)).collect(),
        auditor: Auditor::new(0),
        model: Model::default(),
        decided: BTreeMap::new(),
        levels: vec![vec![0; 4]],
        initial_units: 0,
        sold_units: 0,
    };
    for group in groups {
        history.auditor.follow(group).map_err(|violation| violation.to_string())?;
        for record in group.records() {
            let (version, record) = record.map_err(|error| error.to_string())?;
            history.retell(version, &record).map_err(|why| format!("version {version}: {why}"))?;
        }
    }
    history.auditor.check_books().map_err(|violation| violation.to_string())?;
    let left = history.model.units();
    ensure(history.initial_units == history.sold_units + left, || {
        format!("{} units, {} sold, {left} left", history.initial_units, history.sold_units)
    })?;
    asked.iter().try_for_each(|order| history.check_answer(order))?;
    history.check_order(asked)?;
    looks.iter().try_for_each(|look| history.check_look(look, asked, one_server))?;
    Ok(history.decided.len())
}

impl History<'_> {
    /// Lets the naive shop do what the event says, and compares.
    fn retell(&mut self, version: Version, record: &Record) -> Verdict {
        match &record.event {
            Event::ItemDefined { upc, price, .. } => self.model.define_item(*upc, *price),
            Event::InitialLevelSet { item, location, units, .. } => {
                let upc = self.auditor.state().catalogue().upc(*item).ok_or("a level of no item")?;
                self.initial_units += units.get();
                self.model
                    .set_initial_level(upc, *location, *units)
                    .map_err(|refusal| format!("{refusal:?}"))?;
            }
            Event::Purchased { key, user, .. }
            | Event::PurchaseRefused { key, user, .. }
            | Event::BulkPurchased { key, user, .. } => {
                self.decide(*key, *user, &record.event)?;
                let twice = self.decided.insert(*key, (version, record.event.clone()));
                ensure(twice.is_none(), || format!("order {key} was decided twice"))?;
            }
            Event::PurchaseCharged { .. }
            | Event::Posted { .. }
            | Event::BulkPosted { .. }
            | Event::PostRefused { .. }
            | Event::Returned { .. }
            | Event::ReturnRefused { .. }
            | Event::FloorSet { .. } => return Err("nobody posts, charges or returns here".into()),
            Event::UserAdded { .. } | Event::LoggedIn { .. } | Event::LoggedOut { .. } => {}
        }
        self.levels.push((1..=ITEMS).map(|item| self.model.on_hand(upc(item), LocationId::MAIN)).collect());
        Ok(())
    }

    fn decide(&mut self, key: OrderKey, user: UserId, event: &Event) -> Verdict {
        let asked = self.wanted.get(&key).ok_or_else(|| format!("order {key}, that nobody wants"))?;
        let owner = self.auditor.state().users().id(&asked.user);
        ensure(owner == Some(user), || format!("order {key} of {} is {user:?}'s", asked.user))?;
        let before = self.model.units();
        let is_right = match (&asked.wanted, event) {
            (Wanted::Order(order), Event::Purchased { lines, total, .. }) => {
                let catalogue = self.auditor.state().catalogue();
                let lines: Option<Vec<OrderLine>> = lines
                    .iter()
                    .map(|line| {
                        let upc = catalogue.upc(line.item)?;
                        Some(OrderLine { upc, location: line.location, units: line.units })
                    })
                    .collect();
                let sale = lines.map(|lines| (lines, *total));
                self.model.purchase(user, order).ok() == sale
            }
            (Wanted::Order(order), Event::PurchaseRefused { refusal, .. }) => {
                self.model.purchase(user, order).as_ref() == Err(refusal)
            }
            (Wanted::Batch(order), Event::BulkPurchased { rows, total, .. }) => {
                let codes = (0..rows.items().len()).map(|row| rows.codes().get(row)).collect();
                self.model.purchase_bulk(user, order) == Ok((codes, *total))
            }
            _ => false,
        };
        self.sold_units += before - self.model.units();
        ensure(is_right, || format!("{:?} became {event:?}", asked.wanted))
    }

    /// What the shopper was told is what is durable.
    fn check_answer(&self, order: &Asked) -> Verdict {
        let (key, durable) = (order.wanted.key(), self.decided.get(&order.wanted.key()));
        let answer = order.answered.as_ref().map(|(_, outcome)| outcome);
        let is_right = match (answer, durable) {
            (Some(Outcome::Receipt(receipt)), Some((version, Event::Purchased { total, lines, .. }))) => {
                let units = |lines: &[OrderLine]| lines.iter().map(|line| line.units.get()).sum::<u64>();
                let durable: u64 = lines.iter().map(|line| line.units.get()).sum();
                (receipt.key, receipt.version, receipt.total) == (key, *version, *total)
                    && *receipt.user == *order.user
                    && units(&receipt.lines) == durable
            }
            (
                Some(Outcome::BatchReceipt(receipt)),
                Some((version, Event::BulkPurchased { total, rows, .. })),
            ) => {
                (receipt.key, receipt.version, receipt.outcome.total) == (key, *version, *total)
                    && *receipt.user == *order.user
                    && receipt.outcome.codes == *rows.codes()
            }
            // Too old to be carried out, and it never was.
            (Some(Outcome::Refused(Refusal::KeyTooOld)), None) => true,
            (Some(Outcome::Refused(refusal)), Some((_, Event::PurchaseRefused { refusal: durable, .. }))) => {
                refusal == durable
            }
            // Every attempt was answered: nothing was done.
            (None, None) => !order.unclear,
            _ => false,
        };
        ensure(is_right, || format!("{} was told {answer:?} of {key}; durable is {durable:?}", order.user))
    }

    /// What was answered before something was asked for happened before it.
    fn check_order(&self, asked: &[Asked]) -> Verdict {
        asked.iter().try_for_each(|later| match self.decided.get(&later.wanted.key()) {
            Some((version, _)) if *version <= self.known_at(later.since, asked) => {
                Err(format!("{} was decided at {version}, before it was asked for", later.wanted.key()))
            }
            _ => Ok(()),
        })
    }

    /// The last version that anybody had been told of at this moment.
    fn known_at(&self, moment: u64, asked: &[Asked]) -> Version {
        let told =
            asked.iter().filter(|order| order.answered.as_ref().is_some_and(|(when, _)| *when < moment));
        let versions = told.filter_map(|order| Some(self.decided.get(&order.wanted.key())?.0));
        versions.max().unwrap_or_default()
    }

    /// What was seen is what there was at one durable version, and not older than what was known.
    fn check_look(&self, look: &Look, asked: &[Asked], one_server: bool) -> Verdict {
        let place = |version: Version| usize::try_from(version.0).unwrap_or(usize::MAX);
        // A server that has not written for a while does not know what another wrote.
        let from = if one_server { place(self.known_at(look.asked, asked)) } else { 0 };
        let seen: Levels = look.levels.iter().map(|row| row.on_hand.get()).collect();
        let versions = self.levels.get(from..=place(look.tip)).unwrap_or_default();
        ensure(versions.contains(&seen), || {
            format!("levels {seen:?} at no version from {from} to {}", look.tip)
        })
    }
}
