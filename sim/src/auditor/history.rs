//! What happened: durable groups, each event of which must be one that somebody asked for and that the shop decides
//! alike; and what a recovery may find, which is all of that and at most what was under way behind it.

use std::rc::Rc;

use inventory_core::journal::{Group, Tip};
use inventory_core::limits::SESSIONS_PER_USER_MAX;
use inventory_core::machine::{apply, verify};
use inventory_core::state::State;
use inventory_core::{
    BulkOutcome, BulkReceipt, Event, Hash, Line, Money, OneOrMany, OrderDigest, OrderKey, OrderLine, Receipt,
    Record, Refusal, RowCodes, Units, UserId, Version,
};
use inventory_net::message::{Done, ReplyBody};

use inventory_store::defect::plant;

use super::shop::Shop;
use super::{Auditor, Check, Decided, SessionRow, UserRow, Violation, ensure};
use crate::order::AnyOrder;

impl Auditor {
    /// The server takes this group for durable.
    fn durable(&mut self, group: &Group) -> Check {
        let tip = self.tip();
        ensure(group.base() == tip.version && group.previous() == tip.hash, || {
            format!("the group after version {} does not follow {tip:?}", group.base())
        })?;
        for record in group.records() {
            let (version, record) =
                record.map_err(|why| Violation(format!("a durable group cannot be read: {why}")))?;
            self.follow(version, &record)
                .map_err(|why| Violation(format!("event {version}, {:?}: {why}", record.event)))?;
            self.records.push(record);
        }
        self.groups.push(group.clone());
        Ok(())
    }

    /// A server takes these groups for durable, its own or another's: they are those that are known, or follow them.
    pub(crate) fn learned(&mut self, groups: &[Group]) -> Check {
        for group in groups {
            if self.groups.iter().any(|known| tip_of(known) == tip_of(group)) {
                continue;
            }
            self.durable(group)?;
        }
        Ok(())
    }

    /// A recovery has found these groups, the last of which ends at `end`: everything durable is among them, or, if they do
    /// not begin with the first, in front of them.
    pub(crate) fn recovered(&mut self, groups: &[Group], end: Tip) -> Check {
        self.holds(groups)?;
        let known = self.version();
        groups.iter().skip_while(|group| group.base() < known).try_for_each(|group| self.durable(group))?;
        ensure(self.tip() == end, || {
            format!("the recovered journal ends at {end:?}, not at {:?}", self.tip())
        })
    }

    /// These are the groups of a journal from some version on: everything durable behind that is among them.
    pub(crate) fn holds(&self, groups: &[Group]) -> Check {
        let found: Vec<Tip> = groups.iter().map(tip_of).collect();
        let start = groups.first().map_or(Version(u64::MAX), Group::base);
        ensure(groups.is_empty() || start <= self.discarded, || {
            format!("the journal begins at {start}, and all behind {} must be kept", self.discarded)
        })?;
        let known = self.groups.iter().filter(|group| group.base() >= start);
        ensure(found.starts_with(&known.map(tip_of).collect::<Vec<_>>()), || {
            let tip = found.last().copied().unwrap_or_default();
            format!(
                "durable groups are lost: the journal was acknowledged up to {:?} and is there up to {tip:?}",
                self.tip()
            )
        })
    }

    /// What this power loss leaves: everything durable, whatever else.
    pub(crate) fn would_recover(&self, groups: &[Group], found: Tip) -> Check {
        let kept = self.groups.last().map(tip_of).unwrap_or_default();
        ensure(groups.iter().any(|group| tip_of(group) == kept) || found == kept, || {
            format!("acknowledged and not durable: {kept:?} is, a power loss now leaves {found:?}")
        })
    }

    /// The digest of the state that all events make, from the first one on.
    pub(crate) fn replayed_digest(&self) -> Result<Hash, Violation> {
        let _right = plant(None);
        let mut state = State::new(0);
        for record in &self.records {
            verify(&state, record).map_err(|why| Violation(format!("{:?}: {why}", record.event)))?;
            apply(&mut state, record);
        }
        Ok(state.digest())
    }

    fn follow(&mut self, version: Version, record: &Record) -> Check {
        ensure(version == self.version().plus(1), || "its version is wrong".into())?;
        ensure(record.at >= self.now, || format!("time goes backwards from {}", self.now))?;
        self.now = record.at;
        let mut shop = self.shop().map(Rc::clone).unwrap_or_default();
        match &record.event {
            Event::ItemDefined { by, upc, name, price } => {
                let asked = self.definitions.contains(&(*upc, name.clone(), *price));
                ensure(asked && self.is_administrator(*by), || "nobody who may asked for it".into())?;
                Rc::make_mut(&mut shop).define(*upc, name, *price);
            }
            Event::InitialLevelSet { by, item, location, units } => {
                let upc = shop.upc(item.0).ok_or_else(|| Violation("there is no such item".into()))?;
                let asked = self.first_levels.contains(&(upc, *location, *units));
                ensure(asked && self.is_administrator(*by), || "nobody who may asked for it".into())?;
                let set = Rc::make_mut(&mut shop).set_level(upc, *location, units.get());
                ensure(set, || "the level was set before".into())?;
            }
            Event::UserAdded { by, name, password_hash, role } => {
                let asked = self.additions.contains(&(name.clone(), password_hash.clone()));
                ensure(asked && self.is_administrator(*by), || "nobody who may asked for it".into())?;
                ensure(self.user_named(name).is_none(), || "the user was there".into())?;
                let (name, password_hash) = (name.clone(), password_hash.clone());
                let (role, added, sessions) = (*role, version, Vec::new());
                self.users.push(UserRow { name, password_hash, role, added, sessions });
            }
            Event::LoggedIn { user, session, displaced } => {
                ensure(!self.sessions.contains_key(session), || "the session was used before".into())?;
                let row = self.user_mut(*user)?;
                let full = row.sessions.len() >= SESSIONS_PER_USER_MAX;
                let leaves = if full { row.sessions.first().copied() } else { None };
                ensure(leaves == *displaced, || format!("it displaces {displaced:?} and not {leaves:?}"))?;
                row.sessions.push(*session);
                self.sessions.insert(*session, SessionRow { user: *user, started: version, ended: None });
                displaced.map_or(Ok(()), |displaced| self.end_session(version, displaced))?;
            }
            Event::LoggedOut { session } => self.end_session(version, *session)?,
            Event::Purchased { key, user, digest, lines, total } => {
                let taken = order_lines(&shop, lines)?;
                self.decide(&shop, version, *key, *user, *digest, Ok(&(taken.clone(), *total)))?;
                let changed = Rc::make_mut(&mut shop);
                for line in &taken {
                    ensure(changed.take(line), || format!("{line:?}: sold more than there was"))?;
                }
                let name = self.user(*user).map(|user| user.name.clone().into()).unwrap_or_default();
                let receipt = Receipt {
                    key: *key,
                    version,
                    user: name,
                    at: record.at,
                    lines: taken.into(),
                    total: *total,
                    charged: None,
                };
                let reply = ReplyBody::Done(Done::Receipt(receipt));
                self.decided.insert(*key, Decided { version, user: *user, digest: *digest, reply });
            }
            Event::BulkPurchased { key, user, digest, total, rows, .. } => {
                let AnyOrder::Bulk(order) = self.undecided(version, *key, *user, *digest)? else {
                    return Err(Violation("no batch was sent under this key".into()));
                };
                let (codes, price) = Rc::make_mut(&mut shop).sell_rows(order);
                let found: Vec<u8> = (0..codes.len()).map(|row| rows.codes().get(row)).collect();
                ensure(found == codes && *total == price && rows.units() == order.units(), || {
                    format!("the shop decides {codes:?} at {price:?}")
                })?;
                let bought = order.rows().zip(&codes).filter(|(_, code)| **code == 0);
                let (count, units) =
                    bought.fold((0, 0), |(count, sum), ((_, units), _)| (count + 1, sum + u64::from(units)));
                let outcome = BulkOutcome {
                    rows: u32::try_from(codes.len()).unwrap_or(u32::MAX),
                    accepted_rows: count,
                    units: Units::new(units).unwrap_or_default(),
                    total: price,
                    codes: RowCodes::new(codes).unwrap_or_default(),
                };
                let name = self.user(*user).map(|user| user.name.clone().into()).unwrap_or_default();
                let receipt = BulkReceipt { key: *key, version, user: name, at: record.at, outcome };
                let reply = ReplyBody::Done(Done::BulkReceipt(receipt));
                self.decided.insert(*key, Decided { version, user: *user, digest: *digest, reply });
            }
            Event::PurchaseCharged { .. }
            | Event::Posted { .. }
            | Event::BulkPosted { .. }
            | Event::PostRefused { .. }
            | Event::FloorSet { .. } => {
                return Err(Violation("nobody posts or charges here".into()));
            }
            Event::PurchaseRefused { key, user, digest, refusal } => {
                self.decide(&shop, version, *key, *user, *digest, Err(refusal))?;
                let reply = ReplyBody::Refused(refusal.clone());
                self.decided.insert(*key, Decided { version, user: *user, digest: *digest, reply });
            }
        }
        ensure(shop.is_conserved(), || "units are not conserved".into())?;
        self.shops.push(shop);
        Ok(())
    }

    /// Whether this outcome is that of an order that this user has sent under this key, and the first.
    fn decide(
        &self,
        shop: &Shop,
        version: Version,
        key: OrderKey,
        user: UserId,
        digest: OrderDigest,
        outcome: Result<&(Vec<OrderLine>, Option<Money>), &Refusal>,
    ) -> Check {
        let AnyOrder::Lines(order) = self.undecided(version, key, user, digest)? else {
            return Err(Violation("a batch was sent under this key".into()));
        };
        let right = shop.decide(&order.lines);
        ensure(right.as_ref() == outcome, || format!("the shop decides {right:?}"))
    }

    /// What this user has sent under this key, if it may be decided now.
    fn undecided(
        &self,
        version: Version,
        key: OrderKey,
        user: UserId,
        digest: OrderDigest,
    ) -> Result<&AnyOrder, Violation> {
        ensure(!self.decided.contains_key(&key), || "the order was decided before".into())?;
        ensure(!self.too_old.contains(&key), || "a client was told that this order never happens".into())?;
        let name = self.user(user).map(|user| &*user.name).unwrap_or_default();
        let mut sent = self.orders.get(&key).into_iter().flatten();
        let order = sent
            .find(|sent| &*sent.user == name && sent.order.digest() == digest)
            .ok_or_else(|| Violation("nobody sent this order".into()))?;
        ensure(order.refuted < order.attempts, || {
            "of every attempt at it the server said that nothing was done".into()
        })?;
        ensure(version > order.floor, || {
            format!("it happened before it was asked for: {} was acknowledged then", order.floor)
        })?;
        Ok(&order.order)
    }

    fn user_mut(&mut self, id: UserId) -> Result<&mut UserRow, Violation> {
        let place = id.0.checked_sub(1).and_then(|place| usize::try_from(place).ok());
        let row = place.and_then(|place| self.users.get_mut(place));
        row.ok_or_else(|| Violation("there is no such user".into()))
    }

    fn end_session(&mut self, version: Version, session: inventory_core::SessionId) -> Check {
        let row = self.sessions.get_mut(&session).filter(|row| row.ended.is_none());
        let row = row.ok_or_else(|| Violation("there is no such session".into()))?;
        row.ended = Some(version);
        let user = row.user;
        self.user_mut(user)?.sessions.retain(|other| *other != session);
        Ok(())
    }
}

fn tip_of(group: &Group) -> Tip {
    Tip { version: group.last(), hash: group.hash() }
}

fn order_lines(shop: &Shop, lines: &OneOrMany<Line>) -> Result<Vec<OrderLine>, Violation> {
    let order_line = |line: &Line| {
        let upc = shop.upc(line.item.0).ok_or_else(|| Violation("there is no such item".into()))?;
        Ok(OrderLine { upc, location: line.location, units: line.units })
    };
    lines.iter().map(order_line).collect()
}
