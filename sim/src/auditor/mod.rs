//! The auditor: sees what clients send, what they are answered, and which groups are durable; and checks every one of the
//! promises against a naive shop of its own. It never looks into the engine, except to compare the tables when the
//! engine claims that they are durable.
//!
//! | file | what is checked |
//! |---|---|
//! | `history` | each durable event is one that a client asked for and that the naive shop decides alike; nothing durable is lost |
//! | `replies` | each reply is what the history says, at a version between the last acknowledged before it was asked for and the last durable when it arrived |
//! | `returns` | what came back was bought and had not come back, and what was paid for it came back with it |
//! | `entries` | pages of an account's entries have every change of its balance, once and in order |
//! | `tables` | the engine's tables are those of the naive shop |
//! | `shop`, `accounts` | the naive shop, and its naive accounts |

mod accounts;
mod entries;
mod history;
mod replies;
mod returns;
mod shop;
mod tables;

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use inventory_core::journal::{Group, Tip};
use inventory_core::{
    LocationId, Money, OrderDigest, OrderKey, OrderLine, Record, Role, SessionId, Time, Units, Upc, UserId,
    Version,
};
use inventory_net::message::{Done, EntryRow, ReplyBody, RequestBody};

use crate::order::AnyOrder;
pub(crate) use replies::outcome_name;
use returns::CameBack;
use shop::Shop;

/// A promise was broken: which, and how it shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Violation(pub String);

/// What a check gives.
pub(crate) type Check = Result<(), Violation>;

/// Fails with this text unless the condition holds.
pub(crate) fn ensure(holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(Violation(what())) }
}

/// A request that was sent, and what was known then.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) body: RequestBody,
    /// Whose request it is; the session is that of the connection, none if it was not logged in.
    pub(crate) user: Box<str>,
    pub(crate) session: Option<SessionId>,
    /// The server that it was sent to, and the last version that it had acknowledged to anybody before.
    pub(crate) server: usize,
    pub(crate) floor: Version,
    /// The step in which it, or the first attempt at the same order, was sent.
    pub(crate) step: u64,
}

/// An order that was sent, in one or more attempts.
#[derive(Debug)]
struct SentOrder {
    user: Box<str>,
    order: AnyOrder,
    attempts: u32,
    /// Attempts of which the server said that nothing was done.
    refuted: u32,
    floor: Version,
}

/// The durable outcome of an order.
#[derive(Debug)]
struct Decided {
    version: Version,
    user: UserId,
    digest: OrderDigest,
    reply: ReplyBody,
}

#[derive(Debug)]
struct UserRow {
    name: Box<str>,
    password_hash: Box<str>,
    role: Role,
    added: Version,
    /// Oldest first.
    sessions: Vec<SessionId>,
}

#[derive(Debug)]
struct SessionRow {
    user: UserId,
    started: Version,
    ended: Option<Version>,
}

/// See the top of this file.
#[derive(Debug, Default)]
pub(crate) struct Auditor {
    /// What was asked for, so that nothing else happens.
    orders: BTreeMap<OrderKey, Vec<SentOrder>>,
    definitions: BTreeSet<(Upc, Box<str>, Option<Money>)>,
    first_levels: BTreeSet<(Upc, LocationId, Units)>,
    additions: BTreeSet<(Box<str>, Box<str>)>,
    floors: BTreeSet<(Box<str>, Option<Money>)>,
    /// What happened.
    groups: Vec<Group>,
    records: Vec<Record>,
    /// The shop at every version, the first at version 0.
    shops: Vec<Rc<Shop>>,
    users: Vec<UserRow>,
    sessions: BTreeMap<SessionId, SessionRow>,
    decided: BTreeMap<OrderKey, Decided>,
    came_back: CameBack,
    /// By account, oldest first.
    entries: BTreeMap<Box<str>, Vec<EntryRow>>,
    now: Time,
    /// What was answered.
    acknowledged: BTreeMap<usize, Version>,
    answered: BTreeMap<(OrderKey, Box<str>, u64), ReplyBody>,
    /// Orders of which a client was told that they will never be carried out.
    too_old: BTreeSet<OrderKey>,
    /// What happened up to here may be gone from the journal.
    discarded: Version,
    /// The latest time that any clock has shown.
    latest: Time,
}

/// The password hash of the simulation: hashing for real would take all its time.
pub(crate) fn password_hash(password: &str) -> Box<str> {
    format!("sim:{password}").into()
}

impl Auditor {
    pub(crate) fn new() -> Self {
        Self { shops: vec![Rc::default()], ..Self::default() }
    }

    /// A clock shows this.
    pub(crate) fn see_time(&mut self, time: Time) {
        self.latest = self.latest.max(time);
    }

    /// A client sends this.
    pub(crate) fn sent(
        &mut self,
        step: u64,
        server: usize,
        user: &str,
        session: Option<SessionId>,
        body: &RequestBody,
    ) -> Asked {
        // Another server may know less for a while; what happens, happens behind everything that was said.
        let floor = self.acknowledged.values().copied().max().unwrap_or_default();
        if let Some(order) = AnyOrder::of(body) {
            let known = self.orders.entry(order.key()).or_default();
            match known.iter_mut().find(|sent| &*sent.user == user && sent.order == order) {
                Some(sent) => sent.attempts += 1,
                None => {
                    known.push(SentOrder { user: user.into(), order, attempts: 1, refuted: 0, floor });
                }
            }
        }
        match body {
            RequestBody::DefineItem { upc, name, price } => {
                self.definitions.insert((*upc, name.clone(), *price));
            }
            RequestBody::SetInitialLevel { upc, location, units } => {
                self.first_levels.insert((*upc, *location, *units));
            }
            RequestBody::AddUser { name, password, .. } => {
                self.additions.insert((name.clone(), password_hash(password.reveal())));
            }
            RequestBody::SetFloor { account, floor } => {
                self.floors.insert((account.clone(), *floor));
            }
            _ => {}
        }
        let floor = self.acknowledged.get(&server).copied().unwrap_or_default();
        Asked { body: body.clone(), user: user.into(), session, server, floor, step }
    }

    /// The end of what is durable, as far as the server has said.
    pub(crate) fn tip(&self) -> Tip {
        self.groups
            .last()
            .map_or_else(Tip::default, |group| Tip { version: group.last(), hash: group.hash() })
    }

    /// The journal need no longer hold what happened up to this version.
    pub(crate) fn discarded(&mut self, version: Version) {
        self.discarded = self.discarded.max(version);
    }

    /// The version in front of the first event at this time or later; none if there is no such event.
    pub(crate) fn begin_of(&self, time: Time) -> Option<Version> {
        let before = self.records.partition_point(|record| record.at < time);
        Some(Version(before as u64)).filter(|version| *version < self.version())
    }

    /// Every durable outcome: its key, and what a client must know of it.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (OrderKey, &ReplyBody)> {
        self.decided.iter().map(|(key, decided)| (*key, &decided.reply))
    }

    /// What was bought with this order, for all that is durable.
    pub(crate) fn bought(&self, order: OrderKey) -> &[OrderLine] {
        match self.decided.get(&order).map(|decided| &decided.reply) {
            Some(ReplyBody::Done(Done::Receipt(receipt))) => &receipt.lines,
            _ => &[],
        }
    }

    pub(crate) fn version(&self) -> Version {
        Version(self.records.len() as u64)
    }

    fn shop(&self) -> Option<&Rc<Shop>> {
        self.shops.last()
    }

    fn shop_at(&self, version: Version) -> Option<&Shop> {
        self.shops.get(usize::try_from(version.0).ok()?).map(|shop| &**shop)
    }

    fn record_at(&self, version: Version) -> Option<&Record> {
        self.records.get(usize::try_from(version.0.checked_sub(1)?).ok()?)
    }

    fn user(&self, id: UserId) -> Option<&UserRow> {
        self.users.get(usize::try_from(id.0.checked_sub(1)?).ok()?)
    }

    fn user_named(&self, name: &str) -> Option<(UserId, &UserRow)> {
        (1..).map(UserId).zip(&self.users).find(|(_, user)| &*user.name == name)
    }

    /// Whether this user may see this account and charge it.
    fn may_use(&self, id: UserId, account: &str) -> bool {
        self.is_administrator(id) || self.user(id).is_some_and(|user| &*user.name == account)
    }

    fn is_administrator(&self, id: UserId) -> bool {
        id == UserId::SYSTEM || self.user(id).is_some_and(|user| user.role == Role::Administrator)
    }
}
