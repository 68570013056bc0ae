//! Sequences of requests, writes, failures, other writers and restarts: the engine does what the naive model does.

use arbitrary::{Arbitrary, Unstructured};
use inventory_core::journal::{Auditor, Group, Replayer, Tip};
use inventory_core::state::State;
use inventory_core::testing::{Comeback, Model, Sale};
use inventory_core::{
    Actor, Answer, AppendId, BulkEntries, Command, Engine, EngineConfig, Entry, LocationId, Money,
    NameColumn, Order, OrderKey, OrderLine, Posting, Refusal, Reply, Return, Role, Time, Unavailable, Units,
    Upc, UserId, Version,
};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const ITEMS: u8 = 5;
/// The users' own, which they may charge, and two more.
const ACCOUNTS: [&str; 4] = ["alice", "bob", "till", "no name"];
/// A batch of more rows says nothing new.
const ROWS_MAX: usize = 64;

#[derive(Debug, Arbitrary)]
enum Step {
    Ask(Request),
    /// All that waits is written.
    Write,
    /// The next group is not written.
    Fail,
    /// Another writer, who asks for this, is first.
    Conflict(Request),
    /// The engine ends and another goes on from its snapshot.
    Snapshot,
    /// The same from all groups.
    Replay,
}

#[derive(Clone, Debug, Arbitrary)]
enum Request {
    Define { item: u8, price: Price },
    Level { item: u8, elsewhere: bool, units: Number },
    Buy { user: bool, key: u8, charge: bool, lines: Vec<(u8, bool, Number)> },
    Post { key: u8, kind: Kind, account: u8, amount: Amount },
    Entries { key: u8, first: (u8, Amount), rest: Vec<(u8, Amount)> },
    Floor { account: u8, floor: Option<Amount> },
    GiveBack { user: bool, key: u8, order: u8, lines: Vec<(u8, bool, Number)> },
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Kind {
    Credit,
    Debit,
    Transfer,
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Amount {
    Small(i16),
    Any(i64),
}

impl Amount {
    /// In minor units; one that has an opposite.
    fn minor(self) -> i64 {
        match self {
            Self::Small(minor) => minor.into(),
            Self::Any(minor) => minor.max(-i64::MAX),
        }
    }
}

#[derive(Clone, Debug, Arbitrary)]
enum Price {
    None,
    Small(u16),
    Any(i64),
}

#[derive(Clone, Copy, Debug, Arbitrary)]
enum Number {
    Small(u8),
    Any(u64),
}

impl Number {
    fn units(self) -> Units {
        let number = match self {
            Self::Small(number) => u64::from(number),
            Self::Any(number) => number,
        };
        Units::new(number).unwrap_or_default()
    }
}

/// What a request is answered, or why it is refused.
type Outcome = Result<Said, Refusal>;

#[derive(Clone, Debug, PartialEq)]
enum Said {
    Nothing,
    Sold(Sale),
    CameBack(Comeback),
    /// The balances after an entry.
    Balances(Vec<i64>),
    /// What became of the rows of a batch.
    Rows(Vec<u8>),
}

struct Waiting {
    ticket: u64,
    request: Request,
    expected: Outcome,
}

struct Shop {
    engine: Engine<u64>,
    groups: Vec<Group>,
    append_id: u128,
    tickets: u64,
    /// As the journal has it, and with what is still to be written.
    durable: Model,
    working: Model,
    waiting: Vec<Waiting>,
}

pub(crate) fn history(bytes: &[u8]) {
    let Ok(steps) = Vec::<Step>::arbitrary(&mut Unstructured::new(bytes)) else { return };
    let mut shop = Shop::new();
    for step in steps {
        match step {
            Step::Ask(request) => shop.ask(request),
            Step::Write => shop.write(),
            Step::Fail => shop.fail(),
            Step::Conflict(request) => shop.conflict(&request),
            Step::Snapshot => shop.restart_from_snapshot(),
            Step::Replay => shop.restart_from_groups(),
        }
    }
    shop.write();
    shop.check();
}

impl Shop {
    fn new() -> Self {
        let mut shop = Self {
            engine: Engine::new(State::new(1), Tip::default(), EngineConfig::default()),
            groups: Vec::new(),
            append_id: 0,
            tickets: 0,
            durable: Model::default(),
            working: Model::default(),
            waiting: Vec::new(),
        };
        for name in ["alice", "bob"] {
            let add = Command::AddUser { name: name.into(), password_hash: "".into(), role: Role::Buyer };
            shop.engine.submit(NOW, 0, Actor::System, add.into());
        }
        while let Some(group) = shop.next_group() {
            shop.groups.push(group);
            shop.engine.appended();
        }
        while shop.engine.poll_reply().is_some() {}
        shop
    }

    fn next_group(&mut self) -> Option<Group> {
        self.append_id = self.append_id.saturating_add(1);
        self.engine.poll_append(AppendId(self.append_id))
    }

    fn ask(&mut self, request: Request) {
        let expected = expect(&mut self.working, &request);
        self.tickets = self.tickets.saturating_add(1);
        let (actor, command) = command(&request);
        self.engine.submit(NOW, self.tickets, actor, command.into());
        self.waiting.push(Waiting { ticket: self.tickets, request, expected });
        // Answered at once is only what rests on nothing undurable.
        self.take_replies();
    }

    /// Takes the replies that may leave: those of the requests that have waited longest, and as the model says.
    fn take_replies(&mut self) {
        while let Some((ticket, reply)) = self.engine.poll_reply() {
            let at = self.waiting.iter().position(|waiting| waiting.ticket == ticket);
            let waiting = self.waiting.remove(at.expect("each request is answered once"));
            assert_eq!(outcome(&reply), waiting.expected, "{:?}", waiting.request);
        }
    }

    fn write(&mut self) {
        while let Some(group) = self.next_group() {
            self.groups.push(group);
            self.engine.appended();
            self.take_replies();
        }
        assert!(self.waiting.is_empty(), "everything is durable and not all is answered");
        self.durable = self.working.clone();
    }

    fn fail(&mut self) {
        if self.next_group().is_none() {
            return;
        }
        self.engine.append_failed();
        for waiting in std::mem::take(&mut self.waiting) {
            let not_written = (waiting.ticket, Reply::Unavailable(Unavailable::NotWritten));
            assert_eq!(self.engine.poll_reply(), Some(not_written));
        }
        assert_eq!(self.engine.poll_reply(), None);
        self.working = self.durable.clone();
    }

    fn conflict(&mut self, request: &Request) {
        if self.next_group().is_none() {
            return;
        }
        let replayer = self.replayed();
        let tip = replayer.tip();
        let mut other = Engine::new(replayer.into_state(), tip, EngineConfig::default());
        let (actor, command) = command(request);
        other.submit(NOW, 0, actor, command.into());
        let theirs: Vec<Group> = other.poll_append(AppendId(u128::MAX)).into_iter().collect();
        if theirs.is_empty() {
            // They had nothing to write after all.
            self.engine.append_failed();
            while self.engine.poll_reply().is_some() {}
            self.waiting.clear();
            self.working = self.durable.clone();
            return;
        }
        // What they are told they learn from the same model.
        let expected = expect(&mut self.durable, request);
        other.appended();
        let told = other.poll_reply().map(|(_, reply)| outcome(&reply));
        assert_eq!(told, Some(expected));
        self.working = self.durable.clone();
        for waiting in &mut self.waiting {
            waiting.expected = expect(&mut self.working, &waiting.request);
        }
        assert_eq!(self.engine.conflicted(NOW, &theirs), Ok(()));
        self.groups.extend(theirs);
        self.take_replies();
    }

    fn restart_from_snapshot(&mut self) {
        let Some(snapshot) = self.engine.snapshot() else { return };
        let state = snapshot.restore(5).expect("a snapshot can be restored");
        assert_eq!(state.digest(), self.engine.state().digest());
        self.engine = Engine::new(state, snapshot.tip(), EngineConfig::default());
    }

    fn restart_from_groups(&mut self) {
        if self.engine.is_idle() {
            let replayer = self.replayed();
            let tip = replayer.tip();
            assert_eq!(tip, self.engine.durable());
            assert_eq!(replayer.state().digest(), self.engine.state().digest());
            self.engine = Engine::new(replayer.into_state(), tip, EngineConfig::default());
        }
    }

    fn replayed(&self) -> Replayer {
        let mut replayer = Replayer::new(7);
        for group in &self.groups {
            assert_eq!(replayer.follow(group), Ok(()));
        }
        replayer
    }

    /// Engine, journal, audit and model agree.
    fn check(&mut self) {
        let mut auditor = Auditor::new(9);
        for group in &self.groups {
            assert_eq!(auditor.follow(group), Ok(()));
        }
        assert_eq!(auditor.check_books(), Ok(()));
        assert_eq!(auditor.state().digest(), self.engine.state().digest());
        let mut claims = auditor.into_claims();
        for group in &self.groups {
            assert_eq!(claims.follow(group), Ok(()));
        }
        assert!(claims.is_settled(), "every purchase is there");
        self.restart_from_groups();
        self.restart_from_snapshot();
        let stock = self.engine.state().stock();
        let mut levels = 0;
        for (item, location, level) in stock.iter() {
            let upc = self.engine.state().catalogue().upc(item).expect("a level is of an item");
            assert_eq!(level.on_hand.get(), self.working.on_hand(upc, location));
            levels = level.on_hand.get().saturating_add(levels);
        }
        assert_eq!(levels, self.working.units());
        let accounts = self.engine.state().accounts().sorted_after(None);
        let balances = accounts.map(|account| (&**account.name(), account.balance().minor()));
        assert!(balances.eq(self.working.balances()), "the balances are others");
        assert!(self.engine.durable().version >= Version(2));
    }
}

fn upc(item: u8) -> Upc {
    Upc::new(u64::from(item % ITEMS)).unwrap_or_else(|why| panic!("{why}"))
}

fn location(elsewhere: bool) -> LocationId {
    if elsewhere { LocationId(3) } else { LocationId::MAIN }
}

fn price(price: &Price) -> Option<Money> {
    match price {
        Price::None => None,
        Price::Small(minor) => Some(Money::from_minor(i64::from(*minor))),
        Price::Any(minor) => Some(Money::from_minor(minor.saturating_abs())),
    }
}

/// Keys of several seconds, so that several buckets of the window are touched.
fn order_key(key: u8) -> OrderKey {
    let time = NOW.minus_micros(u64::from(key % 3).saturating_mul(2_000_000));
    OrderKey::from_parts(time, u128::from(key))
}

fn account(number: u8) -> &'static str {
    ACCOUNTS.iter().copied().cycle().nth(number.into()).unwrap_or_default()
}

fn posting(key: u8, kind: Kind, number: u8, amount: Amount) -> Posting {
    // A single entry to what is no name is refused without a trace, which the model does not know.
    let name = |number: u8| Box::<str>::from(account(number % 3));
    let (account, amount) = (name(number), Money::from_minor(amount.minor().saturating_abs()));
    let entry = match kind {
        Kind::Credit => Entry::Credit { account, amount },
        Kind::Debit => Entry::Debit { account, amount },
        Kind::Transfer => Entry::Transfer { from: account, to: name((number % 3).saturating_add(1)), amount },
    };
    Posting { key: order_key(key), entry }
}

fn batch(key: u8, first: (u8, Amount), rest: &[(u8, Amount)]) -> BulkEntries {
    let (mut names, mut amounts) = (NameColumn::default(), Vec::new());
    for (number, amount) in std::iter::once(&first).chain(rest).take(ROWS_MAX) {
        assert!(names.push(account(*number).as_bytes()));
        amounts.push(amount.minor());
    }
    BulkEntries::new(order_key(key), names, amounts).expect("the columns fit each other")
}

fn floor_of(floor: Option<Amount>) -> Option<Money> {
    floor.map(|floor| Money::from_minor(floor.minor()))
}

fn order(user: bool, key: u8, charge: bool, lines: &[(u8, bool, Number)]) -> Order {
    let charge = charge.then(|| account(user.into()).into());
    Order { key: order_key(key), lines: order_lines(lines).into(), charge }
}

fn give_back(key: u8, order: u8, lines: &[(u8, bool, Number)]) -> Return {
    let lines = order_lines(lines).into();
    Return { key: order_key(key), order: order_key(order), lines, evidence: None }
}

fn order_lines(lines: &[(u8, bool, Number)]) -> Vec<OrderLine> {
    lines
        .iter()
        .map(|(item, elsewhere, units)| OrderLine {
            upc: upc(*item),
            location: location(*elsewhere),
            units: units.units(),
        })
        .collect()
}

fn user(second: bool) -> UserId {
    UserId(if second { 2 } else { 1 })
}

fn command(request: &Request) -> (Actor, Command) {
    match request {
        Request::Define { item, price: asked } => {
            let command = Command::DefineItem { upc: upc(*item), name: "item".into(), price: price(asked) };
            (Actor::System, command)
        }
        Request::Level { item, elsewhere, units } => {
            let (upc, location, units) = (upc(*item), location(*elsewhere), units.units());
            (Actor::System, Command::SetInitialLevel { upc, location, units })
        }
        Request::Buy { user: second, key, charge, lines } => {
            (Actor::User(user(*second)), Command::Purchase(order(*second, *key, *charge, lines)))
        }
        Request::Post { key, kind, account, amount } => {
            (Actor::System, Command::Post(posting(*key, *kind, *account, *amount)))
        }
        Request::Entries { key, first, rest } => {
            (Actor::System, Command::PostBulk(batch(*key, *first, rest)))
        }
        Request::Floor { account: number, floor } => {
            let (account, floor) = (account(*number).into(), floor_of(*floor));
            (Actor::System, Command::SetFloor { account, floor })
        }
        Request::GiveBack { user: second, key, order, lines } => {
            (Actor::User(user(*second)), Command::Return(give_back(*key, *order, lines)))
        }
    }
}

/// What the model makes of a request.
fn expect(model: &mut Model, request: &Request) -> Outcome {
    match request {
        Request::Define { item, price: asked } => {
            model.define_item(upc(*item), price(asked));
            Ok(Said::Nothing)
        }
        Request::Level { item, elsewhere, units } => {
            let set = model.set_initial_level(upc(*item), location(*elsewhere), units.units());
            set.map(|()| Said::Nothing)
        }
        Request::Buy { user: second, key, charge, lines } => {
            model.purchase(user(*second), &order(*second, *key, *charge, lines)).map(Said::Sold)
        }
        Request::Post { key, kind, account, amount } => {
            model.post(UserId::SYSTEM, &posting(*key, *kind, *account, *amount)).map(Said::Balances)
        }
        Request::Entries { key, first, rest } => {
            model.post_bulk(UserId::SYSTEM, &batch(*key, *first, rest)).map(Said::Rows)
        }
        Request::Floor { account: number, floor } => {
            model.set_floor(account(*number), floor_of(*floor)).map(|()| Said::Nothing)
        }
        Request::GiveBack { user: second, key, order, lines } => {
            model.give_back(user(*second), false, &give_back(*key, *order, lines)).map(Said::CameBack)
        }
    }
}

/// The same of the engine's reply.
fn outcome(reply: &Reply) -> Outcome {
    match reply {
        Reply::Answered(Answer::Receipt(receipt)) => Ok(Said::Sold((receipt.lines.to_vec(), receipt.total))),
        Reply::Answered(Answer::ReturnReceipt(receipt)) => {
            let refund = receipt.refund.as_ref();
            let refund = refund.map(|refund| (Box::from(&*refund.account), refund.amount.minor()));
            Ok(Said::CameBack((receipt.lines.to_vec(), refund)))
        }
        Reply::Answered(Answer::PostingReceipt(receipt)) => {
            let balances = std::iter::once(receipt.balance).chain(receipt.counterpart_balance);
            Ok(Said::Balances(balances.map(Money::minor).collect()))
        }
        Reply::Answered(Answer::BulkPostingReceipt(receipt)) => {
            let codes = &receipt.outcome.codes;
            let rows = usize::try_from(receipt.outcome.rows).unwrap_or(usize::MAX);
            Ok(Said::Rows((0..rows).map(|row| codes.get(row)).collect()))
        }
        Reply::Answered(_) => Ok(Said::Nothing),
        Reply::Refused(refusal) => Err(refusal.clone()),
        Reply::Unavailable(why) => panic!("{why}"),
    }
}
