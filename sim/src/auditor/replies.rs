//! What clients are answered, held against the history.

use inventory_core::limits::ORDER_WINDOW_AGE_US;
use inventory_core::{
    BulkPostingReceipt, BulkReceipt, Event, LevelsPage, OrderKey, Posting, PostingReceipt, Receipt, Refusal,
    ReturnReceipt, SessionId, Upc, UserId, Version,
};
use inventory_net::message::{Account, Done, Op, ReplyBody, RequestBody};

use super::accounts::is_name;
use super::shop::Shop;
use super::{Asked, Auditor, Check, Violation, ensure, password_hash};
use crate::order::AnyOrder;

impl Auditor {
    /// A client was answered this.
    pub(crate) fn replied(&mut self, asked: &Asked, body: &ReplyBody) -> Check {
        self.check(asked, body).map_err(|why| {
            Violation(format!(
                "{} of {} at floor {} was answered {body:?}: {why}",
                asked.body.op().name(),
                asked.user,
                asked.floor
            ))
        })
    }

    fn check(&mut self, asked: &Asked, body: &ReplyBody) -> Check {
        match body {
            ReplyBody::Unavailable(reason) => {
                if let Some(order) = AnyOrder::of(&asked.body).filter(|_| reason.nothing_was_done()) {
                    self.refute(asked, &order)?;
                }
                return Ok(());
            }
            ReplyBody::Refused(Refusal::NotLoggedIn) => return self.check_not_logged_in(asked),
            ReplyBody::Refused(refusal) => self.check_refusal(asked, refusal, body)?,
            ReplyBody::Done(done) => self.check_done(asked, done, body)?,
            ReplyBody::RefusedOtherwise(_) | ReplyBody::ProtocolError(_) => {
                return Err(Violation("a server that this client knows says nothing of this kind".into()));
            }
        }
        self.check_session_lives(asked)
    }

    /// The server says of one attempt that nothing was done.
    fn refute(&mut self, asked: &Asked, order: &AnyOrder) -> Check {
        let sent = self.orders.get_mut(&order.key()).into_iter().flatten();
        for sent in sent {
            if sent.user == asked.user && sent.order == *order {
                sent.refuted += 1;
                let digest = order.digest();
                let happened = self.decided.get(&order.key()).is_some_and(|decided| decided.digest == digest);
                ensure(!happened || sent.refuted < sent.attempts, || "it happened all the same".into())?;
            }
        }
        Ok(())
    }

    fn check_not_logged_in(&self, asked: &Asked) -> Check {
        let session = match &asked.body {
            RequestBody::Resume { token } => Some(token.session()),
            _ => asked.session,
        };
        let Some(session) = session else { return Ok(()) };
        let row = self.sessions.get(&session);
        // A server need not know of a session before it has acknowledged anything that happened since.
        let gone = row.is_some_and(|row| row.ended.is_some() || row.started > asked.floor);
        ensure(gone, || "its session was not ended".into())
    }

    /// Nothing is done for a session whose end was acknowledged before.
    fn check_session_lives(&self, asked: &Asked) -> Check {
        let session = match &asked.body {
            RequestBody::LogIn { .. } => return Ok(()),
            RequestBody::Resume { token } => Some(token.session()),
            _ => asked.session,
        };
        let session = session.ok_or_else(|| Violation("the connection has no session".into()))?;
        let row = self.sessions.get(&session).ok_or_else(|| Violation("no such session".into()))?;
        ensure(row.ended.is_none_or(|ended| ended > asked.floor), || "its session was ended before".into())
    }

    fn check_refusal(&mut self, asked: &Asked, refusal: &Refusal, body: &ReplyBody) -> Check {
        let user = self.user_named(&asked.user).map(|(id, _)| id);
        let permitted = user.is_some_and(|user| self.is_administrator(user));
        if let Some(order) = AnyOrder::of(&asked.body) {
            return self.check_order_refusal(asked, user, &order, refusal, body);
        }
        let is_outcome = |key| self.decided.get(&key).is_some_and(|decided| decided.reply == *body);
        let holds = match (&asked.body, refusal) {
            // The outcome of a return, or what is said of a key: which of them, nobody can tell.
            (RequestBody::Receipt { key }, Refusal::UnknownOrder | Refusal::OutcomeNotKept)
                if is_outcome(*key) =>
            {
                true
            }
            (RequestBody::Receipt { key }, Refusal::KeyTooOld) => {
                self.is_too_old(*key) && !self.is_known(asked, *key)
            }
            (RequestBody::Receipt { key }, Refusal::OutcomeNotKept) => self.is_gone(*key),
            (RequestBody::Receipt { key }, Refusal::UnknownOrder) => {
                let known = self.decided.get(key).filter(|decided| decided.version <= asked.floor);
                known.is_none_or(|decided| Some(decided.user) != user && !permitted)
            }
            (RequestBody::Receipt { key }, _) => return self.check_told(asked, *key, body),
            (RequestBody::Item { upc }, Refusal::UnknownItem { upc: unknown }) => {
                return self.check_read(asked, |shop| shop.item(*upc).is_none() && upc == unknown);
            }
            (RequestBody::LogIn { user, password }, Refusal::BadCredentials) => {
                let hash = password_hash(password.reveal());
                let known = self.user_named(user).filter(|(_, user)| user.added <= asked.floor);
                known.is_none_or(|(_, user)| user.password_hash != hash)
            }
            (RequestBody::LogIn { .. }, Refusal::AlreadyLoggedIn) => asked.session.is_some(),
            (
                RequestBody::DefineItem { .. }
                | RequestBody::SetInitialLevel { .. }
                | RequestBody::AddUser { .. }
                | RequestBody::SetFloor { .. }
                | RequestBody::Balances { .. },
                Refusal::NotPermitted,
            ) => !permitted,
            (
                RequestBody::Balance { account } | RequestBody::Entries { account, .. },
                Refusal::NotPermitted,
            ) => !permitted && *account != asked.user,
            // Another server has named the place, and this one does not know it yet.
            (RequestBody::Entries { place, .. }, Refusal::InvalidValue { field: "after" }) => {
                place.after > asked.floor
            }
            (
                RequestBody::Balance { account }
                | RequestBody::Entries { account, .. }
                | RequestBody::SetFloor { account, .. },
                Refusal::UnknownAccount { account: unknown },
            ) => {
                return self
                    .check_read(asked, |shop| shop.accounts.row(account).is_none() && account == unknown);
            }
            (RequestBody::SetFloor { account, floor }, Refusal::FloorAboveBalance { balance }) => {
                return self.check_read(asked, |shop| {
                    let is_above = floor.is_some_and(|floor| floor > *balance);
                    is_above && shop.accounts.row(account).is_some_and(|row| row.balance == *balance)
                });
            }
            (RequestBody::DefineItem { name, .. }, Refusal::InvalidName) => name.is_empty(),
            (RequestBody::AddUser { name, .. }, Refusal::InvalidName) => {
                name.is_empty() || name.contains(' ')
            }
            (RequestBody::DefineItem { price, .. }, Refusal::InvalidPrice) => {
                price.is_some_and(|price| price.minor() < 0)
            }
            (RequestBody::SetInitialLevel { upc, .. }, Refusal::UnknownItem { .. }) => {
                return self.check_read(asked, |shop| shop.item(*upc).is_none());
            }
            (RequestBody::SetInitialLevel { upc, location, .. }, Refusal::LevelAlreadySet) => {
                self.shop().is_some_and(|shop| shop.levels().contains_key(&(*upc, *location)))
            }
            (RequestBody::AddUser { name, .. }, Refusal::UserExists) => self.user_named(name).is_some(),
            _ => false,
        };
        ensure(holds, || "there is no reason for this refusal".into())
    }

    /// Whether this order surely has an outcome that this user may see.
    fn is_known(&self, asked: &Asked, key: OrderKey) -> bool {
        let user = self.user_named(&asked.user).map(|(id, _)| id);
        let anybodys = matches!(asked.body, RequestBody::Receipt { .. })
            && user.is_some_and(|user| self.is_administrator(user));
        let decided = self.decided.get(&key).filter(|decided| Some(decided.user) == user || anybodys);
        decided.is_some_and(|decided| decided.version <= asked.floor)
    }

    /// Whether the journal need no longer hold the outcome of this order, if there is one.
    pub(super) fn is_gone(&self, key: OrderKey) -> bool {
        let decided = self.decided.get(&key);
        let is_gone = decided.is_none_or(|decided| decided.version <= self.discarded);
        is_gone && self.discarded > Version::ZERO && self.is_too_old(key)
    }

    fn check_order_refusal(
        &mut self,
        asked: &Asked,
        user: Option<UserId>,
        order: &AnyOrder,
        refusal: &Refusal,
        body: &ReplyBody,
    ) -> Check {
        let decided = self.decided.get(&order.key());
        let holds = match refusal {
            Refusal::KeyReused => {
                decided.is_some_and(|decided| Some(decided.user) != user || decided.digest != order.digest())
            }
            Refusal::KeyTooOld => {
                if decided.is_none() {
                    self.too_old.insert(order.key());
                }
                self.is_too_old(order.key()) && !self.is_known(asked, order.key())
            }
            // Of a return this may be the outcome, too.
            Refusal::OutcomeNotKept if decided.is_none_or(|decided| decided.reply != *body) => {
                if decided.is_none() {
                    self.too_old.insert(order.key());
                }
                self.is_gone(order.key())
            }
            Refusal::KeyFromFuture => true,
            // These leave no trace, whatever the key.
            Refusal::NotPermitted => user.is_some_and(|user| !self.may_ask(user, order)),
            Refusal::InvalidName => {
                matches!(order, AnyOrder::Entry(Posting { entry, .. })
                    if !is_name(entry.account()) || !entry.counterpart().is_none_or(|name| is_name(name)))
            }
            Refusal::SameAccount => {
                matches!(order, AnyOrder::Entry(Posting { entry, .. })
                    if entry.counterpart() == Some(entry.account()))
            }
            _ => return self.check_outcome(asked, order, body),
        };
        ensure(holds, || "there is no reason for this refusal".into())
    }

    /// Whether this user may ask for this.
    fn may_ask(&self, user: UserId, order: &AnyOrder) -> bool {
        match order {
            AnyOrder::Lines(order) => order.charge.as_ref().is_none_or(|account| self.may_use(user, account)),
            AnyOrder::Bulk(_) | AnyOrder::Return(_) => true,
            AnyOrder::Entry(_) | AnyOrder::Entries(_) => self.is_administrator(user),
        }
    }

    fn is_too_old(&self, key: OrderKey) -> bool {
        key.time().plus_micros(ORDER_WINDOW_AGE_US) <= self.latest.plus_micros(1_000_000)
    }

    fn check_done(&mut self, asked: &Asked, done: &Done, body: &ReplyBody) -> Check {
        match (&asked.body, done) {
            (RequestBody::Purchase(_), Done::Receipt(_))
            | (RequestBody::PurchaseBulk(_), Done::BulkReceipt(_))
            | (RequestBody::Return(_), Done::ReturnReceipt(_))
            | (RequestBody::Post(_), Done::PostingReceipt(_))
            | (RequestBody::PostBulk(_), Done::BulkPostingReceipt(_)) => {
                let order = AnyOrder::of(&asked.body);
                order.map_or(Ok(()), |order| self.check_outcome(asked, &order, body))
            }
            (
                RequestBody::Receipt { key },
                Done::Receipt(Receipt { user, .. })
                | Done::BulkReceipt(BulkReceipt { user, .. })
                | Done::PostingReceipt(PostingReceipt { user, .. })
                | Done::BulkPostingReceipt(BulkPostingReceipt { user, .. }),
            ) => {
                self.check_told(asked, *key, body)?;
                self.check_may_see(asked, user)
            }
            (RequestBody::Receipt { key }, Done::ReturnReceipt(receipt)) => {
                let ReturnReceipt { user, .. } = &**receipt;
                self.check_told(asked, *key, body)?;
                self.check_may_see(asked, user)
            }
            (RequestBody::Levels { after, limit }, Done::Levels(page)) => {
                let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(1_000).max(1);
                self.check_read(asked, |shop| {
                    let (levels, next) = shop.page(*after, limit);
                    *page == LevelsPage { levels, next }
                })
            }
            (RequestBody::Item { upc }, Done::Levels(page)) => self.check_read(asked, |shop| {
                shop.item(*upc).is_some() && page.levels == shop.shown(*upc) && page.next.is_none()
            }),
            (RequestBody::Balance { account }, Done::Balance(row)) => {
                self.check_may_see(asked, account)?;
                self.check_read(asked, |shop| shop.accounts.row(account).as_ref() == Some(row))
            }
            (RequestBody::Entries { account, place, limit }, Done::Entries(page)) => {
                self.check_may_see(asked, account)?;
                self.check_entries(asked, account, *place, *limit, page)
            }
            (RequestBody::Balances { after, limit }, Done::Balances(page)) => {
                self.check_may_see(asked, "")?;
                let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(256).max(1);
                self.check_read(asked, |shop| {
                    let (balances, next) = shop.accounts.page(after.as_deref(), limit);
                    page.balances == balances && page.next.as_deref() == next.as_deref()
                })
            }
            (RequestBody::WhoAmI, Done::Account(account)) => self.check_account(asked.session, account),
            (RequestBody::Resume { token }, Done::Account(account)) => {
                self.check_account(Some(token.session()), account)
            }
            (RequestBody::LogIn { user, password }, Done::LoggedIn { token, account }) => {
                let hash = password_hash(password.reveal());
                let right = self.user_named(user).is_some_and(|(_, user)| user.password_hash == hash);
                ensure(right && account.user == *user, || "the password is wrong".into())?;
                let session = token.session();
                let started = self.sessions.get(&session).map(|row| row.started);
                let started = started.ok_or_else(|| Violation("the session is not durable".into()))?;
                ensure(started > asked.floor, || "the session is an old one".into())?;
                self.acknowledge(asked, started);
                self.check_account(Some(session), account)
            }
            (RequestBody::LogOut, Done::LoggedOut) => {
                let row = asked.session.and_then(|session| self.sessions.get(&session));
                let ended = row.and_then(|row| row.ended);
                let ended = ended.ok_or_else(|| Violation("the logout is not durable".into()))?;
                self.acknowledge(asked, ended);
                Ok(())
            }
            (_, Done::Version(version)) => self.check_version(asked, *version),
            _ => Err(Violation("this is no answer to it".into())),
        }
    }

    /// A purchase's outcome: that of the history, and the same each time.
    fn check_outcome(&mut self, asked: &Asked, order: &AnyOrder, body: &ReplyBody) -> Check {
        let decided = self.decided.get(&order.key());
        let decided = decided.ok_or_else(|| Violation("its outcome is not durable".into()))?;
        let digest = order.digest();
        let mine = self.user(decided.user).is_some_and(|user| user.name == asked.user);
        ensure(mine && decided.digest == digest, || "the key belongs to another order".into())?;
        self.check_told(asked, order.key(), body)?;
        let first = self.answered.entry((order.key(), asked.user.clone(), digest.0)).or_insert(body.clone());
        ensure(first == body, || format!("it was answered {first:?} before"))
    }

    /// The outcome of this key is this.
    fn check_told(&mut self, asked: &Asked, key: OrderKey, body: &ReplyBody) -> Check {
        let decided = self.decided.get(&key).ok_or_else(|| Violation("its outcome is not durable".into()))?;
        ensure(decided.reply == *body, || format!("its durable outcome is {:?}", decided.reply))?;
        self.acknowledge(asked, decided.version);
        Ok(())
    }

    fn check_may_see(&self, asked: &Asked, owner: &str) -> Check {
        let user = self.user_named(&asked.user).map(|(id, _)| id);
        let may = *owner == *asked.user || user.is_some_and(|user| self.is_administrator(user));
        ensure(may, || "it is another user's".into())
    }

    fn check_account(&self, session: Option<SessionId>, account: &Account) -> Check {
        let user =
            session.and_then(|session| self.sessions.get(&session)).and_then(|row| self.user(row.user));
        let right = user.is_some_and(|user| user.name == account.user && user.role == account.role);
        ensure(right, || "it is another user's session".into())
    }

    /// A read shows the shop at some version from the last acknowledged before it was asked for to the last durable now.
    fn check_read(&mut self, asked: &Asked, shows: impl Fn(&Shop) -> bool) -> Check {
        let versions = asked.floor.0..=self.version().0;
        let seen = versions.map(Version).find(|version| self.shop_at(*version).is_some_and(&shows));
        let seen = seen.ok_or_else(|| {
            let last = self.version();
            Violation(format!("the shop looked like this at no version from {} to {last}", asked.floor))
        })?;
        // Whoever reads later sees at least as much.
        self.acknowledge(asked, seen);
        Ok(())
    }

    /// A change by an administrator is in the version that the answer names.
    fn check_version(&mut self, asked: &Asked, version: Version) -> Check {
        ensure(version <= self.version(), || "the version is not durable".into())?;
        ensure(version >= asked.floor, || "the version was acknowledged before it was asked for".into())?;
        let event = self.record_at(version).map(|record| &record.event);
        let holds = match (&asked.body, event) {
            // To define an item as it is changes nothing.
            (RequestBody::DefineItem { upc, name, price }, _) => {
                self.shop_at(version).and_then(|shop| shop.item(*upc)) == Some((&**name, *price))
            }
            (
                RequestBody::SetInitialLevel { upc, location, units },
                Some(Event::InitialLevelSet { item, location: at, units: set, .. }),
            ) => self.upc_of(item.0) == Some(*upc) && at == location && set == units,
            (RequestBody::AddUser { name, .. }, Some(Event::UserAdded { name: added, .. })) => name == added,
            // To set a floor as it is changes nothing.
            (RequestBody::SetFloor { account, floor }, _) => {
                let row = self.shop_at(version).and_then(|shop| shop.accounts.row(account));
                row.is_some_and(|row| row.floor == *floor)
            }
            _ => false,
        };
        ensure(holds, || format!("version {version} holds {event:?}"))?;
        self.acknowledge(asked, version);
        Ok(())
    }

    fn upc_of(&self, row: u32) -> Option<Upc> {
        self.shop().and_then(|shop| shop.upc(row))
    }

    fn acknowledge(&mut self, asked: &Asked, version: Version) {
        let acknowledged = self.acknowledged.entry(asked.server).or_default();
        *acknowledged = version.max(*acknowledged);
    }
}

/// How a reply is called in the table of what was covered.
pub(crate) fn outcome_name(op: Op, body: &ReplyBody) -> &'static str {
    match body {
        ReplyBody::Done(Done::ReturnReceipt(receipt))
            if receipt.at > receipt.order.time().plus_micros(ORDER_WINDOW_AGE_US) =>
        {
            "done_of_old_order"
        }
        ReplyBody::Done(_) => "done",
        ReplyBody::Refused(refusal) => refusal.name(),
        ReplyBody::RefusedOtherwise(_) => "refused_otherwise",
        ReplyBody::Unavailable(reason) => reason.name(),
        ReplyBody::ProtocolError(_) if op == Op::Hello => "hello_refused",
        ReplyBody::ProtocolError(_) => "protocol_error",
    }
}
