//! A simulated client: one user at the real client's end of a connection, who logs in, looks, buys, and sends each order
//! again under its key, through whatever connection there is, until it has an outcome.

use std::collections::BTreeMap;

use inventory_core::journal::ScanPlace;
use inventory_core::{OrderKey, Refusal, Time};
use inventory_net::connection::{ClientConnection, ClientError};
use inventory_net::message::{Done, Op, ProtocolErrorCode, ReplyBody, RequestBody, RequestId, Token};

use crate::auditor::{Asked, Auditor, Check, Violation, ensure};
use crate::coverage::{Coverage, Fault};
use crate::defect::Defect;
use crate::network::{LinkId, Network, take};
use crate::order::AnyOrder;
use crate::workload::{Workload, password, user_name, wrong_password};

/// A client that has waited for a reply this long may try another connection, in microseconds.
const PATIENCE_US: u64 = 10_000_000;
/// Most requests that a client has in flight.
const IN_FLIGHT: usize = 6;

/// How many requests are drawn at most until one is the favourite of the run.
const DRAWS_MAX: usize = 50;

/// Orders of no more lines fit the frames of a connection that has not logged in.
const LINES_WITHOUT_SESSION: usize = 100;

/// An order, and whether it has an outcome.
#[derive(Debug)]
pub(crate) struct Intent {
    pub(crate) order: AnyOrder,
    pub(crate) outcome: Option<ReplyBody>,
    /// The step in which it was first sent.
    since: u64,
}

#[derive(Debug)]
pub(crate) struct Client {
    number: u64,
    pub(crate) link: Option<LinkId>,
    wire: ClientConnection,
    /// What a client keeps on its own disk: its session and its orders.
    token: Option<Token>,
    pub(crate) intents: Vec<Intent>,
    in_flight: BTreeMap<RequestId, Asked>,
    /// When it began to wait for the next reply.
    waits_since: Option<Time>,
    /// Where the next page of some account's entries begins, or of any: a place is one in the journal.
    place: ScanPlace,
    /// Whether this connection was bound to the session of `token`.
    bound: bool,
    rng: fastrand::Rng,
}

/// What surrounds a client.
pub(crate) struct Around<'a> {
    pub(crate) step: u64,
    pub(crate) now: Time,
    pub(crate) network: &'a mut Network,
    pub(crate) auditor: &'a mut Auditor,
    pub(crate) coverage: &'a mut Coverage,
    pub(crate) workload: &'a Workload,
    /// The last step at which each fault was about.
    pub(crate) faults: &'a BTreeMap<Fault, u64>,
    /// How many servers there are.
    pub(crate) servers: usize,
    pub(crate) defect: Option<Defect>,
    /// Nothing new is begun.
    pub(crate) closing: bool,
}

impl Client {
    pub(crate) fn new(number: u64, rng: fastrand::Rng) -> Self {
        Self {
            number,
            link: None,
            wire: ClientConnection::new("sim"),
            token: None,
            intents: Vec::new(),
            in_flight: BTreeMap::new(),
            waits_since: None,
            place: ScanPlace::default(),
            bound: false,
            rng,
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.open_orders().next().is_none()
    }

    /// The orders that have no outcome yet.
    pub(crate) fn open_orders(&self) -> impl Iterator<Item = &AnyOrder> {
        self.intents.iter().filter(|intent| intent.outcome.is_none()).map(|intent| &intent.order)
    }

    /// Does one thing.
    pub(crate) fn act(&mut self, around: &mut Around<'_>) {
        if !around.closing && self.has_waited_too_long(around.now) && self.rng.bool() {
            self.give_up(around.network);
        }
        let Some(link) = self.link else { return self.connect(around) };
        if self.wire.server().is_some()
            && self.in_flight.len() < IN_FLIGHT
            && let Some(body) = self.next_request(around)
        {
            self.ask(around, &body);
        }
        self.flush(link, around.network);
    }

    fn has_waited_too_long(&self, now: Time) -> bool {
        self.waits_since.is_some_and(|since| now > since.plus_micros(PATIENCE_US))
    }

    fn connect(&mut self, around: &mut Around<'_>) {
        if around.defect == Some(Defect::ClientForgetsOrders) {
            self.intents.retain(|intent| intent.outcome.is_some());
        }
        let link = around.network.open(self.rng.usize(..around.servers));
        self.link = Some(link);
        self.wire = ClientConnection::new("sim");
        self.bound = false;
        self.in_flight.clear();
        self.waits_since = None;
        self.flush(link, around.network);
    }

    /// Leaves the connection; what was sent may still arrive. The replies to it are lost.
    pub(crate) fn give_up(&mut self, network: &mut Network) {
        if let Some(link) = self.link.take().and_then(|link| network.link(link)) {
            link.client_gone = true;
            link.to_client.clear();
        }
        self.in_flight.clear();
        self.waits_since = None;
        self.bound = false;
    }

    fn flush(&mut self, link: LinkId, network: &mut Network) {
        if let Some(link) = network.link(link) {
            link.to_server.extend(self.wire.output());
            self.wire.sent(self.wire.output().len());
        }
    }

    fn next_request(&mut self, around: &Around<'_>) -> Option<RequestBody> {
        // Until it is clear who asks, it is not clear which answer is right.
        let is_awaited = |op| self.in_flight.values().any(|asked| asked.body.op() == op);
        let leaving = is_awaited(Op::LogOut);
        if is_awaited(Op::LogIn) || is_awaited(Op::Resume) || (leaving && (!self.bound || self.rng.bool())) {
            return None;
        }
        if !self.bound {
            return Some(self.binding(around));
        }
        if around.closing || self.rng.u8(..3) == 0 {
            if let Some(mut order) = self.unsettled() {
                if around.defect == Some(Defect::ClientRenamesRetries) {
                    order = order.under(OrderKey::from_parts(around.now, self.rng.u128(..)));
                }
                return Some(order.request());
            }
            if around.closing {
                return None;
            }
        }
        let mut body = self.any_request(around);
        if self.rng.u8(..4) == 0 {
            let mut others = (0..DRAWS_MAX).map(|_| self.any_request(around));
            body = others.find(|other| other.op() == around.workload.favourite).unwrap_or(body);
        }
        if let Some(order) = AnyOrder::of(&body)
            && !self.intents.iter().any(|intent| intent.order == order)
        {
            self.intents.push(Intent { order, outcome: None, since: around.step });
        }
        Some(body)
    }

    fn any_request(&mut self, around: &Around<'_>) -> RequestBody {
        match self.rng.u8(..40) {
            0 => RequestBody::LogOut,
            1 => RequestBody::LogIn { user: user_name(self.number), password: password(self.number) },
            2..20 => self.any_order(around).request(),
            _ => {
                let keys: Vec<OrderKey> = self.intents.iter().map(|intent| intent.order.key()).collect();
                if self.number == 0 && self.rng.u8(..3) == 0 {
                    around.workload.administration(&mut self.rng)
                } else {
                    around.workload.request(&mut self.rng, &keys, self.place, around.now)
                }
            }
        }
    }

    /// How an unbound connection gets its session; sometimes something that needs one is asked without.
    fn binding(&mut self, around: &Around<'_>) -> RequestBody {
        let user = user_name(self.number);
        if !around.closing {
            match self.rng.u8(..20) {
                0 => return RequestBody::LogIn { user, password: wrong_password() },
                1 => return RequestBody::LogOut,
                2 => return RequestBody::WhoAmI,
                3 => return around.workload.request(&mut self.rng, &[], ScanPlace::default(), around.now),
                _ => {}
            }
        }
        match self.token.clone().filter(|_| self.rng.u8(..8) > 0) {
            Some(token) => RequestBody::Resume { token },
            None => RequestBody::LogIn { user, password: password(self.number) },
        }
    }

    fn unsettled(&mut self) -> Option<AnyOrder> {
        let open: Vec<AnyOrder> = self.open_orders().cloned().collect();
        self.rng.choice(open)
    }

    fn any_order(&mut self, around: &Around<'_>) -> AnyOrder {
        let order = if self.rng.u8(..5) == 0 {
            self.any_return(around)
        } else {
            around.workload.order(&mut self.rng, self.number, around.now)
        };
        match (self.rng.u8(..20), self.rng.choice(&self.intents)) {
            // Another order under a key that was used.
            (0, Some(used)) => order.under(used.order.key()),
            // An order whose outcome is known, again.
            (1, Some(used)) => used.order.clone(),
            _ => order,
        }
    }

    /// A return: mostly of an order of its own that was accepted, now and then of another's, or of what cannot come back.
    fn any_return(&mut self, around: &Around<'_>) -> AnyOrder {
        let orders = || self.intents.iter().map(|intent| intent.order.key());
        let of_all: Vec<OrderKey> = match self.rng.u8(..16) {
            0 => Vec::new(),
            1 => orders().collect(),
            2 => orders().last().into_iter().collect(),
            3..6 => around.auditor.outcomes().map(|(key, _)| key).collect(),
            _ => orders().filter(|key| !around.auditor.bought(*key).is_empty()).collect(),
        };
        let ago_us = self.rng.u64(..60) * 3_600_000_000;
        let random = OrderKey::from_parts(around.now.minus_micros(ago_us), self.rng.u128(..));
        let order = self.rng.choice(of_all).unwrap_or(random);
        around.workload.give_back(&mut self.rng, around.now, order, around.auditor.bought(order))
    }

    fn ask(&mut self, around: &mut Around<'_>, body: &RequestBody) {
        // What is not sent was not asked: an order that is too long for now stays an intent.
        let Ok(id) = self.wire.request(body) else { return };
        let session = self.token.as_ref().filter(|_| self.bound).map(Token::session);
        let server = self.link.map_or(0, |link| around.network.server(link));
        self.waits_since.get_or_insert(around.now);
        let mut asked = around.auditor.sent(around.step, server, &user_name(self.number), session, body);
        if let Some(order) = AnyOrder::of(body)
            && let Some(intent) = self.intents.iter().find(|intent| intent.order == order)
        {
            asked.step = intent.since;
        }
        self.in_flight.insert(id, asked);
    }

    /// Bytes arrive.
    pub(crate) fn receive(&mut self, around: &mut Around<'_>, count: usize) -> Check {
        let Some(id) = self.link else { return Ok(()) };
        let Some(link) = around.network.link(id) else {
            self.give_up(around.network);
            return Ok(());
        };
        let bytes = take(&mut link.to_client, count);
        let ended = link.server_gone && link.to_client.is_empty();
        self.wire.read_buffer().extend_from_slice(&bytes);
        loop {
            match self.wire.poll_reply() {
                Ok(Some(reply)) => {
                    let asked = reply.id.and_then(|id| self.in_flight.remove(&id));
                    let asked = asked.ok_or_else(|| Violation("a reply to no request".into()))?;
                    self.waits_since = Some(around.now).filter(|_| !self.in_flight.is_empty());
                    self.take_reply(around, &asked, reply.body)?;
                }
                Ok(None) => break,
                Err(ClientError::BrokenOff(error))
                    if error.is(ProtocolErrorCode::TimedOut)
                        || (error.is(ProtocolErrorCode::FrameTooLarge)
                            && self.has_long_order_in_flight()) =>
                {
                    self.give_up(around.network);
                    return Ok(());
                }
                Err(error) => return Err(Violation(format!("a client's connection broke: {error}"))),
            }
        }
        if ended {
            self.give_up(around.network);
        }
        Ok(())
    }

    /// A session may end while an order is under way that is too long for a connection without one: then the server
    /// breaks off.
    fn has_long_order_in_flight(&self) -> bool {
        let is_long = |asked: &Asked| {
            AnyOrder::of(&asked.body).is_some_and(|order| order.rows() > LINES_WITHOUT_SESSION)
        };
        self.in_flight.values().any(is_long)
    }

    fn take_reply(&mut self, around: &mut Around<'_>, asked: &Asked, body: ReplyBody) -> Check {
        around.auditor.replied(asked, &body)?;
        let about: Vec<Fault> =
            around.faults.iter().filter(|(_, step)| **step >= asked.step).map(|(fault, _)| *fault).collect();
        let about = if about.is_empty() { vec![Fault::None] } else { about };
        let op = asked.body.op();
        around.coverage.replied(op, crate::auditor::outcome_name(op, &body), &about);
        match (&asked.body, &body) {
            (_, ReplyBody::Done(Done::LoggedIn { token, .. })) => {
                self.token = Some(token.clone());
                self.bound = true;
            }
            (_, ReplyBody::Done(Done::Entries(page))) => {
                let next = page.next.map(|next| ScanPlace { skip: 0, ..next });
                self.place = next.unwrap_or_default();
            }
            (RequestBody::Resume { .. }, ReplyBody::Done(_)) => self.bound = true,
            (RequestBody::Resume { .. }, ReplyBody::Refused(Refusal::NotLoggedIn))
            | (RequestBody::LogOut, ReplyBody::Done(_)) => {
                self.token = None;
                self.bound = false;
            }
            (_, ReplyBody::Refused(Refusal::NotLoggedIn)) => {
                let current = self.token.as_ref().map(Token::session);
                self.bound = self.bound && (asked.session.is_none() || asked.session != current);
            }
            (_, ReplyBody::Done(_) | ReplyBody::Refused(_)) => {
                if let Some(order) = AnyOrder::of(&asked.body) {
                    return self.settle(&order, body);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn settle(&mut self, order: &AnyOrder, body: ReplyBody) -> Check {
        let Some(intent) = self.intents.iter_mut().find(|intent| intent.order == *order) else {
            return Ok(());
        };
        // An attempt that is still under way may come of age.
        if body == ReplyBody::Refused(Refusal::KeyFromFuture) {
            return Ok(());
        }
        // What a refusal of the key says depends on the clock; the outcome of an order does not.
        let is_about_key = |body: &ReplyBody| {
            use Refusal::{KeyReused, KeyTooOld, OutcomeNotKept};
            matches!(body, ReplyBody::Refused(KeyTooOld | KeyReused | OutcomeNotKept))
        };
        if let Some(outcome) =
            intent.outcome.as_ref().filter(|known| !is_about_key(known) && !is_about_key(&body))
        {
            ensure(*outcome == body, || format!("order {} had {outcome:?} and now {body:?}", order.key()))?;
        }
        if intent.outcome.as_ref().is_none_or(is_about_key) {
            intent.outcome = Some(body);
        }
        Ok(())
    }
}
