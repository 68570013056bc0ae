//! The simulated server process: the real engine, journal and connections, driven by hand. It does what the server of
//! `inventory-net` does (see its `server` and `service`), without its runtime; passwords are compared instead of hashed.

mod wrong;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use inventory_core::journal::{
    AccountScan, Commit, Group, Journal, JournalError, PastOrder, ScanPlace, ScannedEntry, Tip, commit,
    commit_again,
};
use inventory_core::limits::LEVELS_PAGE_MAX;
use inventory_core::state::State;
use inventory_core::{
    Action, Actor, Answer, AppendId, Command, Engine, EngineConfig, OrderKey, Query, Refusal, Reply, Role,
    SessionId, Time, Version,
};
use inventory_net::connection::{ServerConfig, ServerConnection};
use inventory_net::limits::ACCOUNT_ROWS_MAX;
use inventory_net::message::{
    Done, EntriesPage, EntryRow, Op, Password, ReplyBody, Request, RequestBody, RequestId, Token, Unavailable,
};
use pollster::block_on;

use crate::auditor::password_hash;
use crate::defect::Defect;
use crate::journal::Line;
use crate::network::LinkId;
use crate::order::AnyOrder;

/// How much of other servers' groups is read at once, in bytes.
const READ_BYTES: usize = 1 << 20;

/// What comes back from the engine with a reply.
#[derive(Debug)]
struct Ticket {
    link: LinkId,
    id: RequestId,
    op: Op,
    stage: Stage,
    /// Where to look further if the engine no longer knows the order.
    past_order: Option<PastOrder>,
    /// The client's key, where [`Defect::ForgetKeys`] has put another in its place.
    renamed: Option<OrderKey>,
}

/// What the engine's reply is for.
#[derive(Debug)]
enum Stage {
    Answer,
    /// A login first asks whether the connection has a session, then for the password hash, then starts a session.
    LogInWhoAmI(Box<str>, Password),
    LogInCredential(Password),
    LogInSession(Token),
    /// Entries are read once the engine says that they may be.
    Entries(Box<str>, ScanPlace, u32),
    /// Adding a user first asks for permission.
    AddUserWhoAmI(Box<str>, Password, Role),
}

/// The server's end of a connection.
#[derive(Debug)]
struct End {
    wire: ServerConnection,
    actor: Actor,
    awaited: Awaited,
}

/// Whether the next request must wait until a reply says who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    Nothing,
    /// With the session that a resume binds the connection to.
    Actor(Option<SessionId>),
}

/// What became of the oldest group under way.
#[derive(Debug)]
pub(crate) enum Committed {
    /// Nothing is under way.
    Nothing,
    /// These groups are durable.
    Durable(Vec<Group>),
    /// As `Durable`, and then these were not, for this reason.
    NotWritten { durable: Vec<Group>, lost: Vec<Group>, why: Commit },
}

#[derive(Debug)]
pub(crate) struct Node {
    journal: Arc<Line>,
    engine: Engine<Option<Ticket>>,
    /// Groups that were taken from the engine, oldest first, and are not written yet.
    under_way: VecDeque<Group>,
    /// Groups older than those, of which the journal's answer has not come yet: the disk is slow.
    unanswered: VecDeque<(Group, Commit)>,
    ends: BTreeMap<LinkId, End>,
    append_id: u128,
    rng: fastrand::Rng,
    defect: Option<Defect>,
    stale: HashMap<String, (ReplyBody, u32)>,
    /// Returns of which the journal was asked what it says about their orders, with the answer.
    looked_up: Vec<(Option<Ticket>, Actor, Action)>,
    /// Under [`Defect::KeepsCutBytes`]: what a connection that was cut had received.
    kept: Vec<u8>,
}

impl Node {
    pub(crate) fn new(
        journal: Arc<Line>,
        state: State,
        tip: Tip,
        config: EngineConfig,
        mut rng: fastrand::Rng,
    ) -> Self {
        let defect = journal.defect;
        Self {
            journal,
            engine: Engine::new(state, tip, config),
            under_way: VecDeque::new(),
            unanswered: VecDeque::new(),
            ends: BTreeMap::new(),
            append_id: rng.u128(..),
            rng,
            defect,
            stale: HashMap::new(),
            looked_up: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// The state, if all of it is durable.
    pub(crate) fn durable_state(&self) -> Option<&State> {
        let durable = self.engine.is_idle() && !self.engine.is_poisoned();
        durable.then(|| self.engine.state())
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.engine.is_poisoned()
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.under_way.is_empty() || !self.unanswered.is_empty()
    }

    /// Whether a request is neither under way nor answered.
    pub(crate) fn has_forgotten_a_request(&self) -> bool {
        let is_asked = |end: &End| end.wire.in_flight() > 0 && !end.wire.is_closing();
        self.engine.is_idle() && self.looked_up.is_empty() && self.ends.values().any(is_asked)
    }

    /// What the operator does before the shop opens.
    pub(crate) fn submit_as_system(&mut self, now: Time, command: Command) {
        self.engine.submit(now, None, Actor::System, command.into());
    }

    /// Saves a snapshot if everything is durable; gives its version if it was saved.
    pub(crate) fn save_snapshot(&self) -> Option<Version> {
        let snapshot = self.engine.snapshot()?;
        let version = snapshot.tip().version;
        block_on(self.journal.save_snapshot(snapshot)).ok().map(|()| version)
    }

    /// Lets go of the journal's oldest segments; the snapshot must cover them.
    pub(crate) fn discard_through(&self, version: Version) {
        // If it fails, more is kept than need be.
        let _kept = block_on(self.journal.discard_through(version));
    }

    pub(crate) fn accept(&mut self, link: LinkId, now_us: u64) {
        let wire = ServerConnection::new(ServerConfig::default(), now_us);
        let kept = &mut self.kept;
        self.ends.entry(link).or_insert_with(|| {
            let mut end = End { wire, actor: Actor::Anonymous, awaited: Awaited::Nothing };
            end.wire.read_buffer().extend_from_slice(&std::mem::take(kept));
            end
        });
    }

    pub(crate) fn wants_read(&self, link: LinkId) -> bool {
        self.ends.get(&link).is_some_and(|end| end.awaited == Awaited::Nothing && end.wire.wants_read())
    }

    /// Bytes arrived; none say that the client has ended its side.
    pub(crate) fn receive(&mut self, link: LinkId, bytes: &[u8]) {
        let Some(end) = self.ends.get_mut(&link) else { return };
        if bytes.is_empty() {
            end.wire.stop_reading();
        } else {
            end.wire.read_buffer().extend_from_slice(bytes);
        }
    }

    /// The connection is gone without a word.
    pub(crate) fn drop_link(&mut self, link: LinkId) {
        let end = self.ends.remove(&link);
        if self.defect == Some(Defect::KeepsCutBytes) {
            self.kept = end.map(|mut end| end.wire.read_buffer().to_vec()).unwrap_or_default();
        }
    }

    /// Lets every connection notice that it has waited too long.
    pub(crate) fn handle_timeouts(&mut self, now_us: u64) {
        for end in self.ends.values_mut() {
            end.wire.handle_timeout(now_us);
        }
    }

    /// Starts the requests that have arrived and hands out the replies that may leave.
    pub(crate) fn turn(&mut self, now: Time, now_us: u64) {
        // Others may come first while the journal is asked.
        if self.rng.bool() {
            for (ticket, actor, action) in std::mem::take(&mut self.looked_up) {
                self.engine.submit(now, ticket, actor, action);
            }
        }
        let links: Vec<LinkId> = self.ends.keys().copied().collect();
        for link in links {
            while let Some(end) = self.ends.get_mut(&link).filter(|end| end.awaited == Awaited::Nothing) {
                let Some(request) = end.wire.poll_request(now_us) else { break };
                self.start(now, now_us, link, request);
            }
        }
        while let Some((ticket, reply)) = self.engine.poll_reply() {
            if let Some(ticket) = ticket {
                self.settle(now, now_us, ticket, reply);
            }
        }
        while let Some(group) = self.engine.poll_append(AppendId(self.append_id)) {
            self.append_id = self.append_id.wrapping_add(1);
            self.under_way.push_back(group);
        }
    }

    /// Takes what is to be sent on this connection, and says whether the server closes it behind that; none if it is not
    /// one of the server's.
    pub(crate) fn output(&mut self, link: LinkId, now_us: u64) -> Option<(Vec<u8>, bool)> {
        let end = self.ends.get_mut(&link)?;
        let bytes = end.wire.output().to_vec();
        end.wire.sent(bytes.len(), now_us);
        let finished = end.wire.is_finished();
        if finished {
            self.ends.remove(&link);
        }
        Some((bytes, finished))
    }

    /// Writes the oldest group under way that was not written. Its answer stays away until [`commit`](Self::commit).
    pub(crate) fn write_slowly(&mut self) {
        let written = self.write_next();
        self.unanswered.extend(written);
    }

    fn write_next(&mut self) -> Option<(Group, Commit)> {
        let group = self.under_way.pop_front()?;
        let committed = block_on(commit(&*self.journal, &group));
        Some((group, committed))
    }

    /// Writes the oldest group under way, finds out what became of it, and tells the engine. Replies leave at the next
    /// [`turn`](Self::turn).
    pub(crate) fn commit(&mut self, now: Time) -> Committed {
        let Some((group, committed)) = self.unanswered.pop_front().or_else(|| self.write_next()) else {
            return Committed::Nothing;
        };
        let committed = match (self.defect, committed) {
            (Some(Defect::FailureIsSuccess), Commit::Failed(_)) => Commit::Done,
            (Some(Defect::UnknownIsFailure), Commit::Unknown(why)) => Commit::Failed(why),
            (Some(Defect::SuccessIsFailure), Commit::Done) if self.rng.u8(..16) == 0 => {
                Commit::Failed(String::new())
            }
            (_, committed) => committed,
        };
        if committed == Commit::Done {
            self.engine.appended();
            return Committed::Durable(vec![group]);
        }
        let mut behind: Vec<(Group, Commit)> = self.unanswered.drain(..).collect();
        behind.extend(std::iter::from_fn(|| self.write_next()));
        let mut lost: Vec<Group> =
            std::iter::once(&group).chain(behind.iter().map(|(group, _)| group)).cloned().collect();
        let (durable, why) = match committed {
            Commit::Unknown(_) => self.find_out(group, behind),
            definite if behind.iter().all(|(_, committed)| *committed != Commit::Done) => {
                (Vec::new(), definite)
            }
            _ => (Vec::new(), Commit::Unknown("a group was taken behind one that was refused".into())),
        };
        lost.drain(..durable.len());
        match &why {
            Commit::Done => {}
            Commit::Failed(_) => self.engine.append_failed(),
            Commit::Conflict(theirs) => self.follow(now, theirs),
            Commit::Unknown(_) => self.engine.poison(),
        }
        Committed::NotWritten { durable, lost, why }
    }

    fn follow(&mut self, now: Time, theirs: &[Group]) {
        // An error poisons the engine; what it is about, the auditor sees too.
        let _poisoned = self.engine.conflicted(now, theirs);
    }

    /// Takes in what other servers have written, if this one has nothing under way; gives it.
    pub(crate) fn catch_up(&mut self, now: Time) -> Vec<Group> {
        if self.has_work() || self.is_poisoned() {
            return Vec::new();
        }
        let theirs = match block_on(self.journal.read(self.engine.durable().version, READ_BYTES)) {
            Ok(theirs) => theirs,
            // It must start anew, from the snapshot.
            Err(JournalError::Discarded { .. }) => {
                self.engine.poison();
                return Vec::new();
            }
            // It is read another time.
            Err(_) => return Vec::new(),
        };
        if !theirs.is_empty() {
            self.follow(now, &theirs);
        }
        theirs
    }

    fn find_out(&mut self, group: Group, behind: Vec<(Group, Commit)>) -> (Vec<Group>, Commit) {
        let mut durable = Vec::new();
        for group in std::iter::once(group).chain(behind.into_iter().map(|(group, _)| group)) {
            let committed = block_on(commit_again(&*self.journal, &group));
            if committed != Commit::Done {
                return (durable, committed);
            }
            self.engine.appended();
            durable.push(group);
        }
        (durable, Commit::Done)
    }

    fn start(&mut self, now: Time, now_us: u64, link: LinkId, request: Request) {
        let Some(end) = self.ends.get_mut(&link) else { return };
        let Request { id, body } = request;
        let (actor, op) = (end.actor, body.op());
        if matches!(op, Op::LogIn | Op::Resume | Op::LogOut) {
            end.awaited = Awaited::Actor(match &body {
                RequestBody::Resume { token } => Some(token.session()),
                _ => None,
            });
        }
        if let Some(body) = self.answer_wrongly(actor, &body) {
            return self.reply(now_us, link, id, op, body);
        }
        let mut renamed = None;
        let (actor, action, stage): (_, Action, _) = match body {
            RequestBody::Purchase(_)
            | RequestBody::PurchaseBulk(_)
            | RequestBody::Return(_)
            | RequestBody::Post(_)
            | RequestBody::PostBulk(_) => {
                let Some(mut order) = AnyOrder::of(&body) else { return };
                if self.defect == Some(Defect::ForgetKeys) {
                    let key = OrderKey::from_parts(order.key().time(), self.rng.u128(..));
                    renamed = Some(order.key());
                    order = order.under(key);
                }
                (actor, order.command().into(), Stage::Answer)
            }
            RequestBody::Receipt { key } => (actor, Query::Receipt { key }.into(), Stage::Answer),
            RequestBody::Levels { after, limit } => {
                let limit = limit.unwrap_or(u32::try_from(LEVELS_PAGE_MAX).unwrap_or(u32::MAX));
                (actor, Query::Levels { after, limit }.into(), Stage::Answer)
            }
            RequestBody::Item { upc } => (actor, Query::Item { upc }.into(), Stage::Answer),
            RequestBody::WhoAmI => (actor, Query::WhoAmI.into(), Stage::Answer),
            RequestBody::DefineItem { upc, name, price } => {
                (actor, Command::DefineItem { upc, name, price }.into(), Stage::Answer)
            }
            RequestBody::SetInitialLevel { upc, location, units } => {
                (actor, Command::SetInitialLevel { upc, location, units }.into(), Stage::Answer)
            }
            RequestBody::SetFloor { account, floor } => {
                (actor, Command::SetFloor { account, floor }.into(), Stage::Answer)
            }
            RequestBody::Balance { account } => (actor, Query::Balance { account }.into(), Stage::Answer),
            RequestBody::Balances { after, limit } => {
                let limit = limit.unwrap_or(ACCOUNT_ROWS_MAX).min(ACCOUNT_ROWS_MAX);
                (actor, Query::Balances { after, limit }.into(), Stage::Answer)
            }
            RequestBody::LogOut => (actor, Command::LogOut.into(), Stage::Answer),
            RequestBody::Resume { token } => {
                (Actor::Session(token.session()), Query::WhoAmI.into(), Stage::Answer)
            }
            RequestBody::LogIn { user, password } => {
                (actor, Query::WhoAmI.into(), Stage::LogInWhoAmI(user, password))
            }
            RequestBody::AddUser { name, password, role } => {
                (actor, Query::WhoAmI.into(), Stage::AddUserWhoAmI(name, password, role))
            }
            RequestBody::Entries { account, place, limit } => {
                let limit = limit.unwrap_or(ACCOUNT_ROWS_MAX).clamp(1, ACCOUNT_ROWS_MAX);
                let query = Query::Balance { account: account.clone() }.into();
                (actor, query, Stage::Entries(account, place, limit))
            }
            RequestBody::Hello(_) => return,
        };
        let past_order = PastOrder::asked_for(self.engine.state(), now, actor, &action);
        let ticket = Ticket { link, id, op, stage, past_order, renamed };
        match PastOrder::returned_by(self.engine.state(), now, actor, &action) {
            None => self.engine.submit(now, Some(ticket), actor, action),
            Some(order) => self.look_up_returned(now_us, ticket, &order, actor, action),
        }
    }

    /// Asks the journal about the order of a return, which is submitted later with what it says.
    fn look_up_returned(
        &mut self,
        now_us: u64,
        ticket: Ticket,
        order: &PastOrder,
        actor: Actor,
        mut action: Action,
    ) {
        if let Ok(found) = block_on(order.look_up(&*self.journal)) {
            order.testify(&found, &mut action);
            self.looked_up.push((Some(ticket), actor, action));
        } else {
            let Ticket { link, id, op, .. } = ticket;
            self.reply(now_us, link, id, op, ReplyBody::Unavailable(Unavailable::Overloaded));
        }
    }

    /// The next step of a request that takes several, or its reply.
    fn settle(&mut self, now: Time, now_us: u64, ticket: Ticket, reply: Reply) {
        let Ticket { link, id, op, stage, past_order, renamed } = ticket;
        let actor = self.ends.get(&link).map_or(Actor::Anonymous, |end| end.actor);
        let mut next = |actor, action: Action, stage| {
            let ticket = Ticket { link, id, op, stage, past_order: None, renamed };
            self.engine.submit(now, Some(ticket), actor, action);
        };
        let body = match (stage, reply) {
            (Stage::LogInWhoAmI(..), Reply::Answered(Answer::Identity(_))) => {
                ReplyBody::Refused(Refusal::AlreadyLoggedIn)
            }
            (Stage::LogInWhoAmI(name, password), _) => {
                let credential = Query::Credential { name }.into();
                return next(Actor::System, credential, Stage::LogInCredential(password));
            }
            (Stage::LogInCredential(password), Reply::Answered(Answer::Credential(found))) => {
                let hash = password_hash(password.reveal());
                let Some(found) = found.filter(|found| found.password_hash == hash) else {
                    return self.reply(now_us, link, id, op, ReplyBody::Refused(Refusal::BadCredentials));
                };
                let token = Token::new(std::array::from_fn(|_| self.rng.u8(..)));
                let command = Command::LogIn { user: found.user, session: token.session() };
                let stage = Stage::LogInSession(token);
                let ticket = Ticket { link, id, op, stage, past_order: None, renamed };
                return self.engine.submit(now, Some(ticket), Actor::System, command.into());
            }
            (Stage::LogInSession(token), Reply::Answered(Answer::Identity(identity))) => {
                if let Some(end) = self.ends.get_mut(&link) {
                    end.actor = Actor::Session(token.session());
                }
                ReplyBody::Done(Done::LoggedIn { token, account: identity.into() })
            }
            (Stage::AddUserWhoAmI(name, password, role), Reply::Answered(Answer::Identity(identity))) => {
                if identity.role == Role::Administrator {
                    let password_hash = password_hash(password.reveal());
                    let command = Command::AddUser { name, password_hash, role }.into();
                    return next(actor, command, Stage::Answer);
                }
                ReplyBody::Refused(Refusal::NotPermitted)
            }
            (Stage::Entries(account, place, limit), Reply::Answered(_)) => {
                self.entries(&account, place, limit)
            }
            (_, reply) => {
                let reply = match (past_order, reply) {
                    (Some(order), Reply::Refused(Refusal::KeyTooOld)) => self.look_in_history(order),
                    (_, reply) => reply,
                };
                ReplyBody::from_engine(reply).unwrap_or(ReplyBody::Unavailable(Unavailable::Poisoned))
            }
        };
        self.reply(now_us, link, id, op, name_back(body, renamed));
    }

    /// A page of an account's entries, read from the journal.
    fn entries(&self, account: &str, place: ScanPlace, limit: u32) -> ReplyBody {
        let state = self.engine.state();
        let Some(id) = state.accounts().id(account.as_bytes()) else {
            return ReplyBody::Refused(Refusal::UnknownAccount { account: account.into() });
        };
        if place.after > self.engine.durable().version {
            return ReplyBody::Refused(Refusal::InvalidValue { field: "after" });
        }
        let mut scan = AccountScan::new(id, place, usize::try_from(limit).unwrap_or(usize::MAX));
        loop {
            match block_on(scan.step(&*self.journal)) {
                Ok(true) => break,
                Ok(false) => {}
                Err(_) => return ReplyBody::Unavailable(Unavailable::Overloaded),
            }
        }
        let row = |entry: &ScannedEntry| {
            let ScannedEntry { version, at, reason, change, user, key } = *entry;
            let user = state.users().user(user).map(|user| (&*user.name).into());
            EntryRow { version, at, reason: reason.name().into(), change, user, key }
        };
        let entries = scan.entries().iter().map(row).collect();
        ReplyBody::Done(Done::Entries(EntriesPage { entries, next: scan.place(), start: scan.start() }))
    }

    fn look_in_history(&self, order: PastOrder) -> Reply {
        match block_on(order.look_up(&*self.journal)) {
            Ok(outcome) => order.reply(self.engine.state(), &outcome),
            Err(_) => Reply::Unavailable(inventory_core::Unavailable::Overloaded),
        }
    }

    /// Follows what a reply says about who is at the other end, and gives it to the connection.
    fn reply(&mut self, now_us: u64, link: LinkId, id: RequestId, op: Op, body: ReplyBody) {
        let mut body = self.distort(op, body);
        let link = self.misdirect(link);
        let Some(end) = self.ends.get_mut(&link) else { return };
        if op == Op::LogOut && matches!(body, ReplyBody::Done(_)) {
            end.actor = Actor::Anonymous;
            body = ReplyBody::Done(Done::LoggedOut);
        }
        if matches!(op, Op::LogIn | Op::Resume | Op::LogOut)
            && let Awaited::Actor(Some(session)) = std::mem::replace(&mut end.awaited, Awaited::Nothing)
        {
            let is_done = matches!(body, ReplyBody::Done(_));
            end.actor = if is_done { Actor::Session(session) } else { Actor::Anonymous };
        }
        end.wire.reply(id, &body, now_us);
    }
}

/// The receipt of a renamed order, under the client's key.
fn name_back(body: ReplyBody, renamed: Option<OrderKey>) -> ReplyBody {
    match (body, renamed) {
        (ReplyBody::Done(Done::Receipt(mut receipt)), Some(key)) => {
            receipt.key = key;
            ReplyBody::Done(Done::Receipt(receipt))
        }
        (ReplyBody::Done(Done::BulkReceipt(mut receipt)), Some(key)) => {
            receipt.key = key;
            ReplyBody::Done(Done::BulkReceipt(receipt))
        }
        (ReplyBody::Done(Done::ReturnReceipt(mut receipt)), Some(key)) => {
            receipt.key = key;
            ReplyBody::Done(Done::ReturnReceipt(receipt))
        }
        (ReplyBody::Done(Done::PostingReceipt(mut receipt)), Some(key)) => {
            receipt.key = key;
            ReplyBody::Done(Done::PostingReceipt(receipt))
        }
        (ReplyBody::Done(Done::BulkPostingReceipt(mut receipt)), Some(key)) => {
            receipt.key = key;
            ReplyBody::Done(Done::BulkPostingReceipt(receipt))
        }
        (body, _) => body,
    }
}
