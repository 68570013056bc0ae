//! What happened: durable groups, each event of which must be one that somebody asked for and that the shop decides
//! alike; and what a recovery may find, which is all of that and at most what was under way behind it.

use std::rc::Rc;
use std::sync::Arc;

use inventory_core::journal::{Group, Tip};
use inventory_core::limits::SESSIONS_PER_USER_MAX;
use inventory_core::machine::{apply, verify};
use inventory_core::state::State;
use inventory_core::{
    AccountId, BulkOutcome, BulkPostingReceipt, BulkReceipt, BulkRows, EntriesOutcome, EntryRows, Event,
    Hash, Line, Money, OneOrMany, OrderDigest, OrderKey, OrderLine, PostedEntry, Posting, PostingReceipt,
    Receipt, Record, RowCodes, Time, Units, UserId, Version,
};
use inventory_net::message::{Done, ReplyBody};

use inventory_store::defect::plant;

use super::accounts::Accounts;
use super::shop::Shop;
use super::{Auditor, Check, Decided, SessionRow, UserRow, Violation, ensure};
use crate::order::AnyOrder;

/// The key of an outcome, whose it is, and of which order.
pub(super) type Cause = (OrderKey, UserId, OrderDigest);

/// What an event says of a purchase.
struct Sold<'a> {
    lines: &'a OneOrMany<Line>,
    total: Option<Money>,
    account: Option<AccountId>,
}

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
        let at = (version, record.at);
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
            Event::Purchased { key, user, digest, lines, .. }
            | Event::PurchaseCharged { key, user, digest, lines, .. } => {
                let (total, account) = paid(&record.event);
                let sale = Sold { lines, total, account };
                let reply = self.sold(Rc::make_mut(&mut shop), at, (*key, *user, *digest), &sale)?;
                self.decided.insert(*key, Decided { version, user: *user, digest: *digest, reply });
            }
            Event::BulkPurchased { key, user, digest, total, rows, .. } => {
                let cause = (*key, *user, *digest);
                let reply = self.rows_sold(Rc::make_mut(&mut shop), at, cause, *total, rows)?;
                self.decided.insert(*key, Decided { version, user: *user, digest: *digest, reply });
            }
            Event::Posted { key, user, digest, posted, added } => {
                let accounts = &mut Rc::make_mut(&mut shop).accounts;
                let reply = self.posted(accounts, at, (*key, *user, *digest), posted, added)?;
                self.decided.insert(*key, Decided { version, user: *user, digest: *digest, reply });
            }
            Event::BulkPosted { key, user, digest, rows } => {
                let accounts = &mut Rc::make_mut(&mut shop).accounts;
                let reply = self.batch_posted(accounts, at, (*key, *user, *digest), rows)?;
                self.decided.insert(*key, Decided { version, user: *user, digest: *digest, reply });
            }
            Event::Returned { key, user, digest, returned } => {
                let cause = (*key, *user, *digest);
                let reply = self.returned(Rc::make_mut(&mut shop), at, cause, returned)?;
                self.decided.insert(*key, Decided { version, user: *user, digest: *digest, reply });
            }
            Event::ReturnRefused { key, user, digest, refusal } => {
                let reply = self.return_refused(&shop, version, (*key, *user, *digest), refusal)?;
                self.decided.insert(*key, Decided { version, user: *user, digest: *digest, reply });
            }
            Event::FloorSet { by, account, floor } => {
                self.set_floor(&mut Rc::make_mut(&mut shop).accounts, *by, *account, *floor)?;
            }
            Event::PurchaseRefused { key, user, digest, refusal }
            | Event::PostRefused { key, user, digest, refusal } => {
                let right = match self.undecided(version, *key, *user, *digest)? {
                    AnyOrder::Lines(order) => shop.decide(order).err(),
                    AnyOrder::Entry(posting) => shop.accounts.decide(&posting.entry).err(),
                    AnyOrder::Bulk(_) | AnyOrder::Entries(_) | AnyOrder::Return(_) => None,
                };
                ensure(right.as_ref() == Some(refusal), || format!("the shop decides {right:?}"))?;
                let reply = ReplyBody::Refused(refusal.clone());
                self.decided.insert(*key, Decided { version, user: *user, digest: *digest, reply });
            }
        }
        ensure(shop.is_conserved(), || "units are not conserved".into())?;
        ensure(shop.accounts.add_up(), || "money is not conserved, or a floor is broken".into())?;
        let changes = Rc::make_mut(&mut shop).accounts.take_changes();
        self.enter(version, record, changes);
        self.shops.push(shop);
        Ok(())
    }

    /// A purchase takes its units, and its price from an account if it names one. Gives what its client must be told.
    fn sold(
        &self,
        shop: &mut Shop,
        (version, at): (Version, Time),
        (key, user, digest): Cause,
        sold: &Sold<'_>,
    ) -> Result<ReplyBody, Violation> {
        let AnyOrder::Lines(order) = self.undecided(version, key, user, digest)? else {
            return Err(Violation("no order was sent under this key".into()));
        };
        let (taken, total) = (order_lines(shop, sold.lines)?, sold.total);
        let charged = sold.account.map(|account| named(&shop.accounts, account)).transpose()?;
        ensure(order.charge == charged, || format!("it charges {charged:?} and not {:?}", order.charge))?;
        let right = shop.decide(order);
        ensure(right == Ok((taken.clone(), total)), || format!("the shop decides {right:?}"))?;
        for line in &taken {
            ensure(shop.take(line), || format!("{line:?}: sold more than there was"))?;
        }
        if let Some((name, total)) = charged.as_ref().zip(total) {
            ensure(self.may_use(user, name), || "the account is another's".into())?;
            shop.accounts.pay(name, total);
        }
        let (user, lines) = (self.name_of(user), taken.into());
        let charged = charged.map(Into::into);
        Ok(ReplyBody::Done(Done::Receipt(Receipt { key, version, user, at, lines, total, charged })))
    }

    /// The rows of a batch, each for itself and each after the one before it.
    fn rows_sold(
        &self,
        shop: &mut Shop,
        (version, at): (Version, Time),
        (key, user, digest): Cause,
        total: Option<Money>,
        rows: &BulkRows,
    ) -> Result<ReplyBody, Violation> {
        let AnyOrder::Bulk(order) = self.undecided(version, key, user, digest)? else {
            return Err(Violation("no batch was sent under this key".into()));
        };
        let (codes, price) = shop.sell_rows(order);
        let found: Vec<u8> = (0..codes.len()).map(|row| rows.codes().get(row)).collect();
        ensure(found == codes && total == price && rows.units() == order.units(), || {
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
        let receipt = BulkReceipt { key, version, user: self.name_of(user), at, outcome };
        Ok(ReplyBody::Done(Done::BulkReceipt(receipt)))
    }

    /// An entry changes the balances of its accounts, and makes those that are new.
    fn posted(
        &self,
        accounts: &mut Accounts,
        (version, at): (Version, Time),
        (key, user, digest): Cause,
        posted: &PostedEntry,
        added: &[Box<str>],
    ) -> Result<ReplyBody, Violation> {
        let AnyOrder::Entry(Posting { entry, .. }) = self.undecided(version, key, user, digest)? else {
            return Err(Violation("no entry was sent under this key".into()));
        };
        ensure(self.is_administrator(user), || "nobody who may asked for it".into())?;
        let right = accounts.decide(entry);
        let found = std::iter::once(posted.balance).chain(posted.counterpart_balance);
        let found: Vec<i64> = found.map(Money::minor).collect();
        ensure(right.as_ref() == Ok(&found), || format!("the shop decides {right:?}"))?;
        let made = accounts.post(entry);
        ensure(made == added, || format!("it makes the accounts {made:?}"))?;
        let by_name = posted.entry.map(|id| accounts.name(id.0).map(Box::from));
        ensure(by_name.as_ref() == Some(entry), || format!("{entry:?} was asked for"))?;
        let entry = entry.map(|name| Some((**name).into())).ok_or_else(|| Violation("no entry".into()))?;
        let &PostedEntry { balance, counterpart_balance, .. } = posted;
        let user = self.name_of(user);
        let receipt = PostingReceipt { key, version, user, at, entry, balance, counterpart_balance };
        Ok(ReplyBody::Done(Done::PostingReceipt(receipt)))
    }

    fn set_floor(
        &self,
        accounts: &mut Accounts,
        by: UserId,
        account: AccountId,
        floor: Option<Money>,
    ) -> Check {
        let name = named(accounts, account)?;
        let asked = self.floors.contains(&(name.clone(), floor));
        ensure(asked && self.is_administrator(by), || "nobody who may asked for it".into())?;
        ensure(accounts.set_floor(&name, floor), || "the floor may not be set".into())
    }

    /// The rows of a batch of entries, each for itself and each after the one before it.
    fn batch_posted(
        &self,
        accounts: &mut Accounts,
        (version, at): (Version, Time),
        (key, user, digest): Cause,
        rows: &EntryRows,
    ) -> Result<ReplyBody, Violation> {
        let AnyOrder::Entries(batch) = self.undecided(version, key, user, digest)? else {
            return Err(Violation("no batch of entries was sent under this key".into()));
        };
        ensure(self.is_administrator(user), || "nobody who may asked for it".into())?;
        let before = accounts.len();
        let codes = accounts.post_rows(batch);
        let found: Vec<u8> = (0..codes.len()).map(|row| rows.codes().get(row)).collect();
        ensure(found == codes && rows.amounts() == batch.amounts(), || {
            format!("the shop decides {codes:?}")
        })?;
        let name = |id: &AccountId| accounts.name(id.0).unwrap_or_default().as_bytes();
        let asked =
            batch.rows().zip(&codes).map(|((name, _), code)| if *code == 42 { &[][..] } else { name });
        ensure(rows.accounts().iter().map(name).eq(asked), || "the rows name other accounts".into())?;
        let made = (before..accounts.len()).filter_map(|row| u32::try_from(row).ok().map(AccountId));
        let made: Vec<&[u8]> = made.map(|id| name(&id)).collect();
        ensure(rows.added().iter().eq(made.iter().copied()), || format!("it makes the accounts {made:?}"))?;
        let accepted = codes.iter().map(|code| usize::from(*code == 0)).sum::<usize>();
        let outcome = EntriesOutcome {
            rows: u32::try_from(codes.len()).unwrap_or(u32::MAX),
            accepted_rows: u32::try_from(accepted).unwrap_or(u32::MAX),
            codes: RowCodes::of_entries(codes).unwrap_or_default(),
        };
        let receipt = BulkPostingReceipt { key, version, user: self.name_of(user), at, outcome };
        Ok(ReplyBody::Done(Done::BulkPostingReceipt(receipt)))
    }

    pub(super) fn name_of(&self, user: UserId) -> Arc<str> {
        self.user(user).map(|user| user.name.clone().into()).unwrap_or_default()
    }

    /// What this user has sent under this key, if it may be decided now.
    pub(super) fn undecided(
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

/// What a purchase cost, and the account that paid if one did.
fn paid(purchase: &Event) -> (Option<Money>, Option<AccountId>) {
    match purchase {
        Event::Purchased { total, .. } => (*total, None),
        Event::PurchaseCharged { charge, .. } => (Some(charge.total), Some(charge.account)),
        _ => (None, None),
    }
}

pub(super) fn named(accounts: &Accounts, id: AccountId) -> Result<Box<str>, Violation> {
    accounts.name(id.0).map(Box::from).ok_or_else(|| Violation("there is no such account".into()))
}

fn tip_of(group: &Group) -> Tip {
    Tip { version: group.last(), hash: group.hash() }
}

pub(super) fn order_lines(shop: &Shop, lines: &OneOrMany<Line>) -> Result<Vec<OrderLine>, Violation> {
    let order_line = |line: &Line| {
        let upc = shop.upc(line.item.0).ok_or_else(|| Violation("there is no such item".into()))?;
        Ok(OrderLine { upc, location: line.location, units: line.units })
    };
    lines.iter().map(order_line).collect()
}
