//! Random histories: the engine does what the naive model does; taking back is exact; replay and snapshots give
//! the state that was.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use inventory_core::journal::{Append, Auditor, Group, Journal, MemoryJournal, Snapshot, Tip, replay};
use inventory_core::state::{Outcome, State};
use inventory_core::testing::Model;
use inventory_core::{
    Actor, Answer, AppendId, BulkEntries, BulkOrder, Command, Engine, EngineConfig, Entry, Hash, LocationId,
    Money, NameColumn, Order, OrderKey, OrderLine, Posting, Refusal, Reply, Return, Role, RowCodes,
    SessionId, Time, Units, Upc, UserId, Version,
};
use pollster::block_on;
use proptest::prelude::*;

const NOW: Time = Time::from_micros(1_795_219_200_000_000);

fn upc() -> impl Strategy<Value = Upc> {
    (0..6u64).prop_map(|code| Upc::new(code).unwrap())
}

fn location() -> impl Strategy<Value = LocationId> {
    prop_oneof![4 => Just(LocationId::MAIN), 1 => (1..3u16).prop_map(LocationId)]
}

fn units() -> impl Strategy<Value = Units> {
    prop_oneof![8 => 0..20u64, 1 => Just(u64::MAX / 4)].prop_map(|number| Units::new(number).unwrap())
}

fn price() -> impl Strategy<Value = Option<Money>> {
    prop_oneof![
        1 => Just(None),
        6 => (0..1_000i64).prop_map(|minor| Some(Money::from_minor(minor))),
        1 => Just(Some(Money::from_minor(i64::MAX / 3))),
    ]
}

fn order() -> impl Strategy<Value = Order> {
    let line =
        (upc(), location(), units()).prop_map(|(upc, location, units)| OrderLine { upc, location, units });
    (0..12u128, prop::collection::vec(line, 0..4)).prop_map(|(key, lines)| Order {
        // Keys of different seconds, so that several buckets of the window are touched.
        key: OrderKey::from_parts(NOW.minus_micros(u64::try_from(key % 3).unwrap() * 2_000_000), key),
        lines: lines.into(),
        charge: None,
    })
}

fn charged_order() -> impl Strategy<Value = Order> {
    (order(), account()).prop_map(|(order, account)| Order { charge: Some(account), ..order })
}

fn account() -> impl Strategy<Value = Box<str>> {
    prop_oneof![4 => Just("alice".into()), 2 => Just("bob".into()), 2 => "[a-cé]".prop_map(Box::from)]
}

/// Mostly small, so that floors are met; now and then as large as can be, so that bounds are.
fn amount() -> impl Strategy<Value = i64> {
    prop_oneof![8 => 0..500i64, 1 => Just(i64::MAX), 1 => Just(i64::MAX / 2)]
}

/// The same keys as those of orders.
fn posting_key() -> impl Strategy<Value = OrderKey> {
    (0..12u128).prop_map(|key| {
        OrderKey::from_parts(NOW.minus_micros(u64::try_from(key % 3).unwrap() * 2_000_000), key)
    })
}

fn posting() -> impl Strategy<Value = Posting> {
    (posting_key(), 0..3u8, account(), account(), amount()).prop_map(|(key, kind, account, to, amount)| {
        let amount = Money::from_minor(amount);
        let entry = match kind {
            0 => Entry::Credit { account, amount },
            1 => Entry::Debit { account, amount },
            _ => Entry::Transfer { from: account, to, amount },
        };
        Posting { key, entry }
    })
}

fn bulk_entries() -> impl Strategy<Value = BulkEntries> {
    let name = prop_oneof![
        12 => account().prop_map(|name| name.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..3),
    ];
    let amount = (amount(), any::<bool>()).prop_map(|(amount, debit)| if debit { -amount } else { amount });
    (posting_key(), prop::collection::vec((name, amount), 1..8)).prop_map(|(key, rows)| {
        let mut names = NameColumn::default();
        assert!(rows.iter().all(|(name, _)| names.push(name)));
        let amounts: Vec<i64> = rows.iter().map(|(_, amount)| *amount).collect();
        BulkEntries::new(key, names, amounts).unwrap()
    })
}

fn floor() -> impl Strategy<Value = Option<Money>> {
    prop_oneof![1 => Just(None), 4 => (-300..300i64).prop_map(|minor| Some(Money::from_minor(minor)))]
}

fn bulk_order() -> impl Strategy<Value = BulkOrder> {
    let units = prop_oneof![8 => 0..20u32, 1 => Just(u32::MAX)];
    (0..12u128, location(), prop::collection::vec((upc(), units), 1..6)).prop_map(|(key, location, rows)| {
        // The same keys as those of orders.
        let key = OrderKey::from_parts(NOW.minus_micros(u64::try_from(key % 3).unwrap() * 2_000_000), key);
        let (upcs, units): (Vec<Upc>, Vec<u32>) = rows.into_iter().unzip();
        BulkOrder::new(key, location, upcs, units).unwrap()
    })
}

/// Of an order with one of the keys there are; mostly of a few units, now and then of all that is left.
fn give_back() -> impl Strategy<Value = Return> {
    let units = (0..4u64).prop_map(|number| Units::new(number).unwrap());
    let line =
        (upc(), location(), units).prop_map(|(upc, location, units)| OrderLine { upc, location, units });
    (posting_key(), posting_key(), prop::collection::vec(line, 0..3)).prop_map(|(key, order, lines)| Return {
        key,
        order,
        lines: lines.into(),
        evidence: None,
    })
}

fn session() -> impl Strategy<Value = SessionId> {
    (0..4u8).prop_map(|byte| SessionId([byte; 32]))
}

fn request() -> impl Strategy<Value = (Actor, Command)> {
    let system = |command| (Actor::System, command);
    let user = (1..4u32).prop_map(UserId);
    prop_oneof![
        2 => (upc(), price(), "[a-c]{1,3}").prop_map(move |(upc, price, name)| {
            system(Command::DefineItem { upc, name: name.into(), price })
        }),
        2 => (upc(), location(), units()).prop_map(move |(upc, location, units)| {
            system(Command::SetInitialLevel { upc, location, units })
        }),
        1 => "[a-c]".prop_map(move |name| {
            system(Command::AddUser { name: name.into(), password_hash: "x".into(), role: Role::Buyer })
        }),
        1 => (user.clone(), session()).prop_map(|(user, session)| {
            (Actor::Anonymous, Command::LogIn { user, session })
        }),
        1 => session().prop_map(|session| (Actor::Session(session), Command::LogOut)),
        1 => (session(), order()).prop_map(|(session, order)| {
            (Actor::Session(session), Command::Purchase(order))
        }),
        4 => (user.clone(), bulk_order()).prop_map(|(user, order)| {
            (Actor::User(user), Command::PurchaseBulk(order))
        }),
        6 => (user.clone(), order()).prop_map(|(user, order)| (Actor::User(user), Command::Purchase(order))),
        4 => (user.clone(), charged_order())
            .prop_map(|(user, order)| (Actor::User(user), Command::Purchase(order))),
        5 => (user.clone(), give_back())
            .prop_map(|(user, wanted)| (Actor::User(user), Command::Return(wanted))),
        4 => posting().prop_map(move |posting| system(Command::Post(posting))),
        4 => bulk_entries().prop_map(move |batch| system(Command::PostBulk(batch))),
        2 => (account(), floor()).prop_map(move |(account, floor)| system(Command::SetFloor { account, floor })),
        1 => (user, posting()).prop_map(|(user, posting)| (Actor::User(user), Command::Post(posting))),
    ]
}

/// A request and how long after the one before it comes, in microseconds: mostly at once, now and then hours later.
fn step() -> impl Strategy<Value = (u64, Actor, Command)> {
    const HOUR_US: u64 = 3_600_000_000;
    let delay = prop_oneof![8 => Just(0), 2 => Just(1_500_000), 1 => Just(13 * HOUR_US)];
    (delay, request()).prop_map(|(delay, (actor, command))| (delay, actor, command))
}

/// An engine whose groups a memory journal keeps, and its clock.
struct Bench {
    engine: Engine<u64>,
    journal: MemoryJournal,
    append_id: u128,
    elapsed_us: u64,
}

impl Bench {
    fn new() -> Self {
        let engine = Engine::new(State::new(3), Tip::default(), EngineConfig::default());
        Self { engine, journal: MemoryJournal::new(), append_id: 0, elapsed_us: 0 }
    }

    fn with_two_users() -> Self {
        let mut bench = Self::new();
        for name in ["alice", "bob"] {
            let (name, password_hash) = (name.into(), "".into());
            bench.run(Actor::System, Command::AddUser { name, password_hash, role: Role::Buyer });
        }
        bench
    }

    fn group(&mut self) -> Option<Group> {
        self.append_id += 1;
        self.engine.poll_append(AppendId(self.append_id))
    }

    fn write(&mut self) {
        while let Some(group) = self.group() {
            assert_eq!(block_on(self.journal.append(group)), Append::Done);
            self.engine.appended();
        }
    }

    /// Submits a step; the times of order keys move with the clock.
    fn submit(&mut self, (delay, actor, command): (u64, Actor, Command)) {
        self.elapsed_us += delay;
        let moved = |key: OrderKey| {
            let time = key.time().plus_micros(self.elapsed_us);
            OrderKey::from_parts(time, u128::from_be_bytes(key.to_bytes()))
        };
        let command = match command {
            Command::Purchase(Order { key, lines, charge }) => {
                Command::Purchase(Order { key: moved(key), lines, charge })
            }
            Command::Post(Posting { key, entry }) => Command::Post(Posting { key: moved(key), entry }),
            Command::PostBulk(batch) => {
                let moved = BulkEntries::new(moved(batch.key()), batch.names().clone(), batch.amounts());
                Command::PostBulk(moved.unwrap())
            }
            Command::PurchaseBulk(order) => {
                let (key, location) = (moved(order.key()), order.location());
                let moved = BulkOrder::new(key, location, order.upcs(), order.units());
                Command::PurchaseBulk(moved.unwrap())
            }
            Command::Return(Return { key, order, lines, evidence }) => {
                Command::Return(Return { key: moved(key), order: moved(order), lines, evidence })
            }
            other => other,
        };
        self.engine.submit(NOW.plus_micros(self.elapsed_us), 0, actor, command.into());
    }

    fn step(&mut self, step: (u64, Actor, Command)) -> Reply {
        self.submit(step);
        self.write();
        self.engine.poll_reply().unwrap().1
    }

    fn run(&mut self, actor: Actor, command: Command) -> Reply {
        self.engine.submit(NOW, 0, actor, command.into());
        self.write();
        self.engine.poll_reply().unwrap().1
    }

    fn drain(&mut self) {
        while self.engine.poll_reply().is_some() {}
    }
}

proptest! {
    #[test]
    fn the_engine_does_what_the_naive_model_does(requests in prop::collection::vec(request(), 1..60)) {
        let mut bench = Bench::with_two_users();
        let (mut model, mut people) = (Model::default(), People::new(["alice", "bob"]));
        for (actor, command) in requests {
            let reply = bench.run(actor, command.clone());
            let expected = match command {
                Command::DefineItem { upc, price, .. } => {
                    model.define_item(upc, price);
                    None
                }
                Command::SetInitialLevel { upc, location, units } => {
                    model.set_initial_level(upc, location, units).err()
                }
                Command::AddUser { name, .. } => people.add(&name),
                Command::LogIn { user, session } => people.log_in(user, session),
                Command::LogOut => people.log_out(actor),
                Command::Purchase(order) => {
                    let outcome = people.user(actor).ok_or(Refusal::NotLoggedIn);
                    let outcome = outcome.and_then(|user| {
                        let is_own = order.charge.as_deref().is_none_or(|name| people.name(user) == name);
                        if !is_own && !model.has_decided(order.key) {
                            return Err(Refusal::NotPermitted);
                        }
                        model.purchase(user, &order)
                    });
                    if let (Ok((lines, total)), Reply::Answered(Answer::Receipt(receipt))) = (&outcome, &reply) {
                        prop_assert_eq!(&*receipt.lines, &lines[..]);
                        prop_assert_eq!(receipt.total, *total);
                        prop_assert_eq!(receipt.charged.as_deref(), order.charge.as_deref());
                    }
                    outcome.err()
                }
                Command::PurchaseBulk(order) => {
                    let outcome = people.user(actor).ok_or(Refusal::NotLoggedIn);
                    let outcome = outcome.and_then(|user| model.purchase_bulk(user, &order));
                    if let (Ok((codes, total)), Reply::Answered(Answer::BulkReceipt(receipt))) = (&outcome, &reply) {
                        let accepted = codes.iter().zip(order.units()).filter(|(code, _)| **code == 0);
                        let units: u64 = accepted.map(|(_, units)| u64::from(*units)).sum();
                        prop_assert_eq!(&receipt.outcome.codes, &RowCodes::new(codes.clone()).unwrap());
                        prop_assert_eq!((receipt.outcome.total, receipt.outcome.units.get()), (*total, units));
                    }
                    outcome.err()
                }
                Command::Post(posting) if actor == Actor::System => {
                    let entry = &posting.entry;
                    let is_to_itself = entry.counterpart() == Some(entry.account());
                    let outcome = if is_to_itself {
                        Err(Refusal::SameAccount)
                    } else {
                        model.post(UserId::SYSTEM, &posting)
                    };
                    if let (Ok(balances), Reply::Answered(Answer::PostingReceipt(receipt))) = (&outcome, &reply) {
                        let told = [Some(receipt.balance), receipt.counterpart_balance];
                        let told: Vec<i64> = told.iter().flatten().map(|balance| balance.minor()).collect();
                        prop_assert_eq!(&told, balances);
                    }
                    outcome.err()
                }
                Command::PostBulk(batch) => {
                    let outcome = model.post_bulk(UserId::SYSTEM, &batch);
                    if let (Ok(codes), Reply::Answered(Answer::BulkPostingReceipt(receipt))) = (&outcome, &reply) {
                        prop_assert_eq!(&receipt.outcome.codes, &RowCodes::of_entries(codes.clone()).unwrap());
                    }
                    outcome.err()
                }
                Command::SetFloor { account, floor } => model.set_floor(&account, floor).err(),
                Command::Return(wanted) => {
                    let outcome = people.user(actor).ok_or(Refusal::NotLoggedIn);
                    let outcome = outcome.and_then(|user| model.give_back(user, false, &wanted));
                    if let (Ok((lines, refund)), Reply::Answered(Answer::ReturnReceipt(receipt))) = (&outcome, &reply) {
                        prop_assert_eq!(&*receipt.lines, &lines[..]);
                        let told = receipt.refund.as_ref().map(|told| ((*told.account).into(), told.amount.minor()));
                        prop_assert_eq!(&told, refund);
                    }
                    outcome.err()
                }
                Command::Post(_) => people.user(actor).map_or(Some(Refusal::NotLoggedIn), |_| Some(Refusal::NotPermitted)),
            };
            prop_assert_eq!(refusal(&reply), expected);
        }
        let state = bench.engine.state();
        let stock: u64 = state.stock().iter().map(|(_, _, level)| level.on_hand.get()).fold(0, u64::saturating_add);
        prop_assert_eq!(stock, model.units());
        let balances = state.accounts().sorted_after(None).map(|account| (&**account.name(), account.balance().minor()));
        prop_assert!(balances.eq(model.balances()));
    }

    #[test]
    fn taking_back_is_exact(
        before in prop::collection::vec(step(), 0..40),
        after in prop::collection::vec(step(), 1..40),
    ) {
        let mut bench = Bench::with_two_users();
        for step in before {
            bench.step(step);
        }
        let (version, digest) = (bench.engine.state().version(), bench.engine.state().digest());
        let elapsed_us = bench.elapsed_us;
        for step in after.clone() {
            bench.submit(step);
        }
        bench.elapsed_us = elapsed_us;
        bench.engine.append_failed();
        bench.drain();
        prop_assert_eq!(bench.engine.state().version(), version);
        prop_assert_eq!(bench.engine.state().digest(), digest);
        // What is left works as if nothing had happened.
        let replies: Vec<Reply> = after.iter().cloned().map(|step| bench.step(step)).collect();
        let (state, tip) = block_on(replay(&bench.journal, 9)).unwrap();
        prop_assert_eq!(state.digest(), bench.engine.state().digest());
        prop_assert_eq!(tip, bench.engine.durable());
        prop_assert_eq!(replies.len(), after.len());
    }

    #[test]
    fn replay_from_any_snapshot_gives_the_same_state(
        requests in prop::collection::vec(step(), 1..60),
        at in any::<prop::sample::Index>(),
    ) {
        let mut bench = Bench::with_two_users();
        let at = at.index(requests.len());
        for (place, step) in requests.into_iter().enumerate() {
            bench.step(step);
            if place == at {
                let snapshot = Snapshot::of(bench.engine.state(), bench.engine.durable().hash);
                let read_back = Snapshot::from_bytes(snapshot.bytes().clone()).unwrap();
                prop_assert_eq!(read_back.tip(), bench.engine.durable());
                prop_assert_eq!(read_back.restore(1).unwrap().digest(), bench.engine.state().digest());
                block_on(bench.journal.save_snapshot(read_back)).unwrap();
            }
        }
        block_on(bench.journal.discard_through(bench.engine.durable().version)).unwrap();
        let (state, tip) = block_on(replay(&bench.journal, 5)).unwrap();
        prop_assert_eq!(tip, bench.engine.durable());
        prop_assert_eq!(state.digest(), bench.engine.state().digest());
    }

    #[test]
    fn the_audit_finds_nothing_in_what_the_engine_wrote(steps in prop::collection::vec(step(), 1..60)) {
        let mut bench = Bench::with_two_users();
        for step in steps {
            bench.step(step);
        }
        let mut auditor = Auditor::new(3);
        for group in block_on(bench.journal.read(Version::ZERO, usize::MAX)).unwrap() {
            prop_assert_eq!(auditor.follow(&group), Ok(()));
            prop_assert_eq!(auditor.check_books(), Ok(()));
        }
        prop_assert_eq!(auditor.tip(), bench.engine.durable());
        prop_assert_eq!(auditor.state().digest(), bench.engine.state().digest());
        let returns = auditor.state().orders().iter().filter(|row| matches!(row.outcome, Outcome::Returned(_))).count();
        let mut claims = auditor.into_claims();
        for group in block_on(bench.journal.read(Version::ZERO, usize::MAX)).unwrap() {
            prop_assert_eq!(claims.follow(&group), Ok(()));
        }
        prop_assert!(claims.is_settled() && claims.settled().checked >= u64::try_from(returns).unwrap());
    }

    #[test]
    fn groups_and_their_events_are_read_back_as_written(requests in prop::collection::vec(request(), 1..30)) {
        let mut bench = Bench::with_two_users();
        for (actor, command) in requests {
            bench.engine.submit(NOW, 0, actor, command.into());
        }
        if let Some(group) = bench.group() {
            let read_back = Group::from_bytes(group.bytes().clone()).unwrap();
            prop_assert_eq!(&read_back, &group);
            let records = read_back.records().collect::<Result<Vec<_>, _>>().unwrap();
            prop_assert_eq!(records.last().unwrap().0, group.last());
            prop_assert_eq!(records.len(), usize::try_from(group.events()).unwrap());
        }
    }

    #[test]
    fn hostile_bytes_are_refused_without_harm(mut bytes in prop::collection::vec(any::<u8>(), 64..300), events in 0..9u8) {
        bytes[..8].copy_from_slice(&[1, 0, 0, 0, events, 0, 0, 0]);
        if let Ok(group) = Group::from_bytes(bytes.clone().into()) {
            prop_assert!(group.records().count() <= usize::from(events) + 1);
        }
        prop_assert!(Snapshot::from_bytes(bytes.into()).is_err());
    }

    #[test]
    fn a_cut_or_changed_group_is_never_the_same(cut in 65..200usize, flip in any::<prop::sample::Index>()) {
        let mut bench = Bench::with_two_users();
        let define = Command::DefineItem { upc: Upc::new(1).unwrap(), name: "n".repeat(200).into(), price: None };
        bench.engine.submit(NOW, 0, Actor::System, define.into());
        let group = bench.group().unwrap();
        let shorter = Group::from_bytes(group.bytes().slice(..cut)).unwrap();
        prop_assert!(shorter.records().any(|record| record.is_err()));
        let mut bytes = group.bytes().to_vec();
        let place = flip.index(bytes.len());
        bytes[place] ^= 1;
        if let Ok(changed) = Group::from_bytes(bytes.into()) {
            prop_assert_ne!(changed.hash(), group.hash());
        }
    }
}

/// Users and sessions, kept the obvious way.
struct People {
    names: Vec<Box<str>>,
    sessions: Vec<(SessionId, UserId)>,
}

impl People {
    fn new(names: [&str; 2]) -> Self {
        Self { names: names.map(Box::from).into(), sessions: Vec::new() }
    }

    fn exists(&self, user: UserId) -> bool {
        usize::try_from(user.0).unwrap() <= self.names.len()
    }

    fn name(&self, user: UserId) -> &str {
        &self.names[usize::try_from(user.0).unwrap() - 1]
    }

    fn user(&self, actor: Actor) -> Option<UserId> {
        match actor {
            Actor::User(user) => Some(user).filter(|user| self.exists(*user)),
            Actor::Session(session) => {
                self.sessions.iter().find(|(id, _)| *id == session).map(|(_, user)| *user)
            }
            Actor::Anonymous | Actor::System => None,
        }
    }

    fn add(&mut self, name: &str) -> Option<Refusal> {
        if self.names.iter().any(|other| &**other == name) {
            return Some(Refusal::UserExists);
        }
        self.names.push(name.into());
        None
    }

    fn log_in(&mut self, user: UserId, session: SessionId) -> Option<Refusal> {
        if !self.exists(user) {
            return Some(Refusal::BadCredentials);
        }
        if self.user(Actor::Session(session)).is_some() {
            return Some(Refusal::AlreadyLoggedIn);
        }
        self.sessions.push((session, user));
        None
    }

    fn log_out(&mut self, actor: Actor) -> Option<Refusal> {
        if self.user(actor).is_none() {
            return Some(Refusal::NotLoggedIn);
        }
        self.sessions.retain(|(id, _)| Actor::Session(*id) != actor);
        None
    }
}

fn refusal(reply: &Reply) -> Option<Refusal> {
    match reply {
        Reply::Refused(refusal) => Some(refusal.clone()),
        _ => None,
    }
}

proptest! {
    /// But for sums: what one row costs more than fits says nothing about another.
    #[test]
    fn a_batch_is_what_its_rows_would_be_one_after_the_other(
        setup in prop::collection::vec(request(), 0..20),
        rows in prop::collection::vec((upc(), 0..20u32), 1..40),
        location in location(),
    ) {
        let (mut one_by_one, mut at_once) = (Bench::with_two_users(), Bench::with_two_users());
        for upc in 0..3 {
            let (upc, units) = (Upc::new(upc).unwrap(), Units::new(20 + 20 * upc).unwrap());
            let cheap = Some(Money::from_minor(3));
            for bench in [&mut one_by_one, &mut at_once] {
                bench.run(Actor::System, Command::DefineItem { upc, name: "n".into(), price: cheap });
                bench.run(Actor::System, Command::SetInitialLevel { upc, location, units });
            }
        }
        for (actor, command) in setup {
            if !matches!(command, Command::DefineItem { .. }) {
                one_by_one.run(actor, command.clone());
                at_once.run(actor, command);
            }
        }
        let alice = Actor::User(UserId(1));
        let codes = (100u128..).zip(&rows).map(|(key, (upc, units))| {
            let line = OrderLine { upc: *upc, location, units: Units::from(*units) };
            let order = Order { key: OrderKey::from_parts(NOW, key << 8), lines: line.into(), charge: None };
            let reply = one_by_one.run(alice, Command::Purchase(order));
            refusal(&reply).map_or(0, |refusal| u8::try_from(refusal.code()).unwrap())
        });
        let codes = RowCodes::new(codes.collect::<Vec<u8>>()).unwrap();
        let (upcs, units): (Vec<Upc>, Vec<u32>) = rows.into_iter().unzip();
        let order = BulkOrder::new(OrderKey::from_parts(NOW, 99 << 8), location, upcs, units).unwrap();
        let Reply::Answered(Answer::BulkReceipt(receipt)) = at_once.run(alice, Command::PurchaseBulk(order)) else {
            panic!("a new key is decided");
        };
        prop_assert_eq!(receipt.outcome.codes, codes);
        let levels = |bench: &Bench| bench.engine.state().stock().iter().collect::<Vec<_>>();
        prop_assert_eq!(levels(&one_by_one), levels(&at_once));
    }
}

#[test]
fn the_digest_tells_states_apart() {
    let mut bench = Bench::with_two_users();
    let before = bench.engine.state().digest();
    assert_ne!(before, Hash::ZERO);
    let define = Command::DefineItem { upc: Upc::new(1).unwrap(), name: "n".into(), price: None };
    bench.run(Actor::System, define);
    assert_ne!(bench.engine.state().digest(), before);
}
