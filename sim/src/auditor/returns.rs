//! Naive returns: what came back of each order, and what still may, worked out from what its buyer was told and from the shop
//! as it was when it was bought. They share no code with the engine, only its words.

use std::collections::BTreeMap;

use inventory_core::state::State;
use inventory_core::{
    LocationId, Money, OrderKey, OrderLine, Receipt, Refund, Refusal, Return, ReturnReceipt, Returned,
    Shortage, Time, Units, Upc, UserId, Version,
};
use inventory_net::message::{Done, ReplyBody};

use super::history::{Cause, named, order_lines};
use super::shop::{Shop, check_and_add_up};
use super::{Auditor, Check, Violation, ensure};
use crate::order::AnyOrder;

/// The units that came back, by order.
pub(super) type CameBack = BTreeMap<OrderKey, BTreeMap<(Upc, LocationId), u64>>;

/// What comes back: lines, and what for them to whom.
type Back = (Vec<OrderLine>, Option<Refund<Box<str>>>);

impl Auditor {
    /// Units come back to their levels, and what was paid for them to who paid. Gives what the client must be told.
    pub(super) fn returned(
        &mut self,
        shop: &mut Shop,
        (version, at): (Version, Time),
        (key, user, digest): Cause,
        returned: &Returned,
    ) -> Result<ReplyBody, Violation> {
        let AnyOrder::Return(wanted) = self.undecided(version, key, user, digest)? else {
            return Err(Violation("no return was sent under this key".into()));
        };
        let lines = order_lines(shop, &returned.lines)?;
        let refund = match returned.refund {
            Some(Refund { account, amount }) => {
                Some(Refund { account: named(&shop.accounts, account)?, amount })
            }
            None => None,
        };
        let order = wanted.order;
        let right = self.decide_return(shop, user, wanted);
        ensure(right == Ok((lines.clone(), refund.clone())), || format!("the shop decides {right:?}"))?;
        let bought = self.decided.get(&order).map(|decided| decided.version);
        ensure(bought == Some(returned.purchased), || format!("the order was decided at {bought:?}"))?;
        let came_back = self.came_back.entry(order).or_default();
        for line in &lines {
            shop.bring_back(line);
            *came_back.entry((line.upc, line.location)).or_default() += line.units.get();
        }
        if let Some(Refund { account, amount }) = &refund {
            shop.accounts.refund(account, *amount);
        }
        let refund = refund.map(|Refund { account, amount }| Refund { account: account.into(), amount });
        let (user, lines) = (self.name_of(user), lines.into());
        let receipt = ReturnReceipt { key, version, user, at, order, lines, refund };
        Ok(ReplyBody::Done(Done::ReturnReceipt(Box::new(receipt))))
    }

    /// A return is refused, for the reason that the naive shop has.
    pub(super) fn return_refused(
        &self,
        shop: &Shop,
        version: Version,
        (key, user, digest): Cause,
        refusal: &Refusal,
    ) -> Result<ReplyBody, Violation> {
        let AnyOrder::Return(wanted) = self.undecided(version, key, user, digest)? else {
            return Err(Violation("no return was sent under this key".into()));
        };
        let right = self.decide_return(shop, user, wanted).err();
        let is_lost = *refusal == Refusal::OutcomeNotKept
            && self.is_gone(wanted.order)
            && check_and_add_up(&wanted.lines).is_ok();
        ensure(right.as_ref() == Some(refusal) || is_lost, || format!("the shop decides {right:?}"))?;
        Ok(ReplyBody::Refused(refusal.clone()))
    }

    /// What becomes of a return here and now.
    fn decide_return(&self, shop: &Shop, user: UserId, wanted: &Return) -> Result<Back, Refusal> {
        let asked = check_and_add_up(&wanted.lines)?;
        let decided = self.decided.get(&wanted.order).ok_or(Refusal::UnknownOrder)?;
        if decided.user != user && !self.is_administrator(user) {
            return Err(Refusal::UnknownOrder);
        }
        let ReplyBody::Done(Done::Receipt(receipt)) = &decided.reply else {
            return Err(Refusal::NotReturnable);
        };
        let lines = self.pick(receipt, &asked)?;
        let refund = receipt.charged.as_ref().map(|account| {
            let amount = self.paid_for(receipt, &lines);
            Refund { account: Box::from(&**account), amount: Money::from_minor(amount) }
        });
        if let Some(Refund { account, amount }) = &refund {
            shop.accounts.can_get(account, *amount)?;
        }
        Ok((lines, refund))
    }

    fn pick(&self, receipt: &Receipt, asked: &[OrderLine]) -> Result<Vec<OrderLine>, Refusal> {
        let left_of = |upc, location| {
            let bought = receipt.lines.iter().find(|line| (line.upc, line.location) == (upc, location));
            let came_back = self.came_back.get(&receipt.key).and_then(|back| back.get(&(upc, location)));
            bought.map_or(0, |line| line.units.get() - came_back.copied().unwrap_or(0))
        };
        let left = |line: &OrderLine| Units::new(left_of(line.upc, line.location)).unwrap_or_default();
        let short = |line: &OrderLine| Shortage {
            upc: line.upc,
            location: line.location,
            requested: line.units,
            available: left(line),
        };
        let (lines, shortages): (Vec<OrderLine>, Vec<Shortage>) = if asked.is_empty() {
            let rest = receipt.lines.iter().map(|line| OrderLine { units: left(line), ..*line });
            let rest: Vec<OrderLine> = rest.filter(|line| line.units > Units::ZERO).collect();
            let shortages = if rest.is_empty() { receipt.lines.iter().map(short).collect() } else { vec![] };
            (rest, shortages)
        } else {
            (asked.to_vec(), asked.iter().filter(|line| line.units > left(line)).map(short).collect())
        };
        if shortages.is_empty() {
            Ok(lines)
        } else {
            Err(Refusal::ExceedsPurchase { shortages: shortages.into() })
        }
    }

    /// What these lines of an order cost, at the prices in front of its purchase.
    fn paid_for(&self, receipt: &Receipt, lines: &[OrderLine]) -> i64 {
        let shop = self.shop_at(Version(receipt.version.0.saturating_sub(1)));
        let price_of = |upc| shop.and_then(|shop| shop.item(upc)?.1).map_or(0, Money::minor);
        let amount = |line: &OrderLine| price_of(line.upc) * i64::try_from(line.units.get()).unwrap_or(0);
        lines.iter().map(amount).sum()
    }

    /// The table of what came back is what came back.
    pub(super) fn same_returns(&self, state: &State) -> Check {
        let upc = |item| state.catalogue().upc(item).ok_or_else(|| Violation("there is no such item".into()));
        let mut found = CameBack::new();
        for (order, lines) in state.returns().iter() {
            for line in lines {
                let row = found.entry(order).or_default();
                row.insert((upc(line.item)?, line.location), line.units.get());
            }
        }
        ensure(found == self.came_back, || {
            format!("of orders came back {found:?} instead of {:?}", self.came_back)
        })
    }
}
