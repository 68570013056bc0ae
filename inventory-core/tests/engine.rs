//! The engine's promises: nothing leaves before it is durable, what is not written is taken back exactly, and
//! another writer's groups come before ours.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use inventory_core::journal::{Group, GroupBuilder, Tip};
use inventory_core::limits::{
    GROUP_BYTES_TARGET, ORDER_KEY_FUTURE_US_MAX, SESSIONS_PER_USER_MAX, WAITING_BYTES_MAX,
};
use inventory_core::state::State;
use inventory_core::{
    Action, Actor, Answer, AppendId, BulkOrder, Command, Engine, EngineConfig, Event, LocationId, Order,
    OrderKey, OrderLine, Query, Receipt, Record, Refusal, Reply, Role, SessionId, Shortage, Time,
    Unavailable, Units, Upc, UserId,
};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const ALICE: Actor = Actor::User(UserId(1));

fn soup() -> Upc {
    "036000291452".parse().unwrap()
}

fn order(key: u128, units: u64) -> Order {
    let key = OrderKey::from_parts(NOW, key);
    Order { key, lines: OrderLine::new(soup(), Units::new(units).unwrap()).into(), charge: None }
}

fn buy(key: u128, units: u64) -> Action {
    Command::Purchase(order(key, units)).into()
}

fn look() -> Action {
    Query::Item { upc: soup() }.into()
}

/// An engine under test: tickets are numbers, append ids are counted.
struct Bench {
    engine: Engine<u32>,
    append_id: u128,
}

impl Bench {
    /// With 10 units of soup, and alice.
    fn new(config: EngineConfig) -> Self {
        let engine = Engine::new(State::new(7), Tip::default(), config);
        let mut bench = Self { engine, append_id: 0 };
        let units = Units::new(10).unwrap();
        let commands = [
            Command::DefineItem { upc: soup(), name: "soup".into(), price: None },
            Command::SetInitialLevel { upc: soup(), location: LocationId::MAIN, units },
            Command::AddUser { name: "alice".into(), password_hash: "".into(), role: Role::Buyer },
        ];
        for command in commands {
            bench.engine.submit(NOW, 0, Actor::System, command.into());
            bench.write();
            assert!(matches!(bench.replies()[..], [(0, Reply::Answered(Answer::Done(_)))]));
        }
        bench
    }

    fn with_groups_in_flight(groups_in_flight_max: usize) -> Self {
        Self::new(EngineConfig { groups_in_flight_max, ..EngineConfig::default() })
    }

    fn submit(&mut self, ticket: u32, action: Action) {
        self.engine.submit(NOW, ticket, ALICE, action);
    }

    fn group(&mut self) -> Option<Group> {
        self.append_id += 1;
        self.engine.poll_append(AppendId(self.append_id))
    }

    /// Writes every group there is.
    fn write(&mut self) -> Vec<Group> {
        let mut written = Vec::new();
        while let Some(group) = self.group() {
            self.engine.appended();
            written.push(group);
        }
        written
    }

    fn replies(&mut self) -> Vec<(u32, Reply)> {
        std::iter::from_fn(|| self.engine.poll_reply()).collect()
    }

    fn tickets(&mut self) -> Vec<u32> {
        self.replies().into_iter().map(|(ticket, _)| ticket).collect()
    }
}

fn receipt(reply: &Reply) -> &Receipt {
    match reply {
        Reply::Answered(Answer::Receipt(receipt)) => receipt,
        other => panic!("no receipt: {other:?}"),
    }
}

fn on_hand(reply: &Reply) -> u64 {
    match reply {
        Reply::Answered(Answer::Levels(page)) => page.levels[0].on_hand.get(),
        other => panic!("no levels: {other:?}"),
    }
}

fn is(reply: &Reply, why: Unavailable) -> bool {
    *reply == Reply::Unavailable(why)
}

#[test]
fn a_purchase_is_answered_only_when_its_group_is_durable() {
    let mut bench = Bench::new(EngineConfig::default());
    bench.submit(1, buy(1, 2));
    assert!(bench.replies().is_empty());
    let group = bench.group().unwrap();
    assert!(bench.replies().is_empty(), "in flight is not durable");
    bench.engine.appended();
    let replies = bench.replies();
    assert_eq!(receipt(&replies[0].1).version, group.last());
    assert!(bench.engine.is_idle());
}

#[test]
fn a_read_that_saw_an_undurable_write_waits_for_it() {
    let mut bench = Bench::new(EngineConfig::default());
    bench.submit(1, look());
    assert_eq!(bench.tickets(), [1], "nothing undurable to see");
    bench.submit(2, buy(1, 2));
    bench.submit(3, look());
    assert!(bench.replies().is_empty());
    bench.write();
    let replies = bench.replies();
    assert_eq!(on_hand(&replies[1].1), 8);
}

#[test]
fn a_refusal_that_saw_an_undurable_write_waits_for_it() {
    let mut bench = Bench::new(EngineConfig::default());
    bench.submit(1, buy(1, 10));
    bench.submit(2, buy(2, 1));
    assert!(bench.replies().is_empty());
    bench.write();
    let replies = bench.replies();
    assert!(matches!(replies[1].1, Reply::Refused(Refusal::InsufficientStock { .. })));
}

#[test]
fn requests_that_come_while_a_group_is_in_flight_share_the_next_one() {
    let mut bench = Bench::new(EngineConfig::default());
    bench.submit(1, buy(1, 1));
    let first = bench.group().unwrap();
    bench.submit(2, buy(2, 1));
    bench.submit(3, buy(3, 1));
    assert_eq!(bench.group(), None, "one group in flight at a time");
    bench.engine.appended();
    assert_eq!(bench.tickets(), [1]);
    let second = bench.group().unwrap();
    assert_eq!((second.base(), second.events()), (first.last(), 2));
    assert_eq!(second.previous(), first.hash());
    bench.engine.appended();
    assert_eq!(bench.tickets(), [2, 3]);
}

#[test]
fn two_groups_in_flight_are_chained_and_released_in_order() {
    let mut bench = Bench::with_groups_in_flight(2);
    bench.submit(1, buy(1, 1));
    let first = bench.group().unwrap();
    bench.submit(2, buy(2, 1));
    let second = bench.group().unwrap();
    assert_eq!((second.base(), second.previous()), (first.last(), first.hash()));
    bench.submit(3, buy(3, 1));
    assert_eq!(bench.group(), None);
    bench.engine.appended();
    assert_eq!(bench.tickets(), [1]);
    bench.engine.appended();
    assert_eq!(bench.tickets(), [2]);
}

#[test]
fn a_group_ends_at_its_target_size() {
    let mut bench = Bench::new(EngineConfig::default());
    let name: Box<str> = "n".repeat(250).into();
    for upc in 0..5_000 {
        let upc = Upc::new(upc).unwrap();
        let define = Command::DefineItem { upc, name: name.clone(), price: None };
        bench.engine.submit(NOW, 0, Actor::System, define.into());
    }
    let groups = bench.write();
    assert_eq!(groups.len(), 2);
    assert!(groups[0].bytes().len() >= GROUP_BYTES_TARGET);
    assert!(groups[0].bytes().len() < GROUP_BYTES_TARGET + 1_024);
    assert_eq!(bench.replies().len(), 5_000);
}

#[test]
fn a_retry_in_the_same_group_gets_the_same_receipt() {
    let mut bench = Bench::new(EngineConfig::default());
    bench.submit(1, buy(1, 2));
    bench.submit(2, buy(1, 2));
    let groups = bench.write();
    assert_eq!(groups[0].events(), 1);
    let replies = bench.replies();
    assert_eq!(receipt(&replies[0].1), receipt(&replies[1].1));
}

#[test]
fn a_definite_failure_takes_everything_undurable_back_and_the_engine_goes_on() {
    let mut bench = Bench::with_groups_in_flight(2);
    let before = bench.engine.state().digest();
    bench.submit(1, buy(1, 2));
    bench.group().unwrap();
    bench.submit(2, buy(2, 2));
    bench.group().unwrap();
    bench.submit(3, look());
    bench.engine.append_failed();
    let replies = bench.replies();
    assert_eq!(replies.len(), 3);
    assert!(replies.iter().all(|(_, reply)| is(reply, Unavailable::NotWritten)));
    assert_eq!(bench.engine.state().digest(), before);

    bench.submit(4, look());
    assert_eq!(on_hand(&bench.replies()[0].1), 10, "reads go on");
    bench.submit(5, buy(1, 3));
    bench.write();
    assert_eq!(receipt(&bench.replies()[0].1).lines[0].units.get(), 3, "the key was never used");
}

#[test]
fn what_was_bought_at_another_location_is_taken_back_too() {
    const ELSEWHERE: LocationId = LocationId(2);
    let mut bench = Bench::new(EngineConfig::default());
    let units = |number| Units::new(number).unwrap();
    let set = Command::SetInitialLevel { upc: soup(), location: ELSEWHERE, units: units(5) };
    bench.engine.submit(NOW, 0, Actor::System, set.into());
    bench.write();
    let before = bench.engine.state().digest();
    let line = OrderLine { location: ELSEWHERE, ..OrderLine::new(soup(), units(2)) };
    let order = Order { key: OrderKey::from_parts(NOW, 1), lines: line.into(), charge: None };
    let batch = BulkOrder::new(OrderKey::from_parts(NOW, 2), ELSEWHERE, [soup()], [3]).unwrap();
    // An order puts back the level that it found, and so would hide what a batch behind it leaves.
    bench.submit(1, Command::PurchaseBulk(batch).into());
    bench.submit(2, Command::Purchase(order).into());
    let item = bench.engine.state().catalogue().id(soup()).unwrap();
    let available = |bench: &Bench| bench.engine.state().stock().available(item, ELSEWHERE);
    assert_eq!(available(&bench), Units::ZERO);
    bench.engine.append_failed();
    assert_eq!((available(&bench), bench.engine.state().digest()), (units(5), before));
}

#[test]
fn a_login_that_ended_the_oldest_session_is_taken_back_and_the_session_lives() {
    let mut bench = Bench::new(EngineConfig::default());
    let log_in = |bench: &mut Bench, number| {
        let session = SessionId([u8::try_from(number).unwrap(); 32]);
        bench.submit(1, Command::LogIn { user: UserId(1), session }.into());
        session
    };
    let oldest = log_in(&mut bench, 0);
    for number in 1..SESSIONS_PER_USER_MAX {
        log_in(&mut bench, number);
    }
    bench.write();
    let before = bench.engine.state().digest();
    log_in(&mut bench, SESSIONS_PER_USER_MAX);
    assert_eq!(bench.engine.state().users().session(oldest), None);
    bench.engine.append_failed();
    assert_eq!(bench.engine.state().users().session(oldest), Some(UserId(1)));
    assert_eq!(bench.engine.state().digest(), before);
}

#[test]
fn what_is_durable_is_acknowledged_whatever_becomes_of_the_next_group() {
    let their_group = |bench: &mut Bench| {
        let (durable, now) = (bench.engine.durable(), bench.engine.state().now());
        let mut group = GroupBuilder::new(durable.version);
        let (upc, name) = (Upc::new(1).unwrap(), "theirs".into());
        group.push(&Record {
            at: now,
            event: Event::ItemDefined { by: UserId::SYSTEM, upc, name, price: None },
        });
        group.seal(AppendId(99), durable.hash).unwrap()
    };
    let what_becomes: [fn(&mut Bench, &Group); 3] = [
        |bench, _| bench.engine.append_failed(),
        |bench, _| bench.engine.poison(),
        |bench, theirs| bench.engine.conflicted(NOW, std::slice::from_ref(theirs)).unwrap(),
    ];
    for what in what_becomes {
        let mut bench = Bench::with_groups_in_flight(2);
        let (name, password_hash) = ("bob".into(), "".into());
        let add = Command::AddUser { name, password_hash, role: Role::Buyer };
        bench.engine.submit(NOW, 1, Actor::System, add.into());
        bench.submit(2, buy(1, 2));
        let first = bench.group().unwrap();
        bench.submit(3, buy(2, 2));
        bench.group().unwrap();
        bench.engine.appended();
        let theirs = their_group(&mut bench);
        what(&mut bench, &theirs);
        let replies = bench.replies();
        assert_eq!(replies[0], (1, Reply::Answered(Answer::Done(first.base().plus(1)))));
        assert_eq!(receipt(&replies[1].1).version, first.last());
    }
}

#[test]
fn a_poisoned_engine_acknowledges_nothing() {
    let mut bench = Bench::new(EngineConfig::default());
    bench.submit(1, buy(1, 2));
    bench.group().unwrap();
    bench.submit(2, look());
    bench.engine.poison();
    bench.submit(3, look());
    bench.submit(4, buy(1, 2));
    let replies = bench.replies();
    assert_eq!(replies.len(), 4);
    assert!(replies.iter().all(|(_, reply)| is(reply, Unavailable::Poisoned)));
    assert_eq!(bench.group(), None);
}

#[test]
fn a_conflict_applies_the_other_writers_groups_and_decides_anew() {
    let (mut ours, mut theirs) = (Bench::new(EngineConfig::default()), Bench::new(EngineConfig::default()));
    theirs.submit(1, buy(91, 8));
    let their_group = theirs.group().unwrap();
    ours.submit(1, buy(1, 2));
    ours.submit(2, buy(2, 3));
    ours.submit(3, look());
    ours.group().unwrap();
    ours.engine.conflicted(NOW, std::slice::from_ref(&their_group)).unwrap();
    assert!(ours.replies().is_empty(), "decided anew, and again undurable");
    let group = ours.group().unwrap();
    assert_eq!((group.base(), group.previous()), (their_group.last(), their_group.hash()));
    ours.engine.appended();
    let replies = ours.replies();
    assert_eq!(receipt(&replies[0].1).version, their_group.last().plus(1));
    let Reply::Refused(Refusal::InsufficientStock { shortages }) = &replies[1].1 else {
        panic!("{replies:?}");
    };
    assert_eq!((shortages[0].requested.get(), shortages[0].available.get()), (3, 0));
    assert_eq!(on_hand(&replies[2].1), 0);
}

#[test]
fn after_a_conflict_the_same_key_from_the_other_writer_is_the_outcome() {
    let (mut ours, mut theirs) = (Bench::new(EngineConfig::default()), Bench::new(EngineConfig::default()));
    theirs.submit(1, buy(1, 2));
    let their_group = theirs.group().unwrap();
    ours.submit(1, buy(1, 2));
    ours.group().unwrap();
    ours.engine.conflicted(NOW, std::slice::from_ref(&their_group)).unwrap();
    assert_eq!(receipt(&ours.replies()[0].1).version, their_group.last());
    assert_eq!(ours.group(), None, "nothing is left to write");
}

#[test]
fn another_writers_groups_that_make_no_sense_poison_the_engine() {
    let mut ours = Bench::new(EngineConfig::default());
    let mut stranger = Bench::new(EngineConfig::default());
    stranger.submit(1, buy(1, 1));
    stranger.write();
    stranger.submit(2, buy(2, 1));
    let out_of_place = stranger.group().unwrap();
    ours.submit(1, buy(3, 1));
    ours.group().unwrap();
    ours.engine.conflicted(NOW, &[out_of_place]).unwrap_err();
    assert!(is(&ours.replies()[0].1, Unavailable::Poisoned));
}

#[test]
fn a_full_inbox_answers_overloaded_and_does_not_execute() {
    let mut bench = Bench::new(EngineConfig { inbox_requests_max: 2, ..EngineConfig::default() });
    bench.submit(1, buy(1, 1));
    bench.submit(2, buy(2, 1));
    bench.submit(3, buy(3, 1));
    let early = bench.replies();
    assert_eq!(early.len(), 1);
    assert!(early[0].0 == 3 && is(&early[0].1, Unavailable::Overloaded));
    bench.write();
    assert_eq!(bench.tickets(), [1, 2]);
    bench.submit(4, look());
    assert_eq!(on_hand(&bench.replies()[0].1), 8);
}

#[test]
fn what_waits_to_be_durable_is_bounded_by_its_size() {
    let undurable_bytes_max = 64 << 10;
    let mut bench = Bench::new(EngineConfig { undurable_bytes_max, ..EngineConfig::default() });
    for key in 1..=10_000 {
        bench.submit(1, buy(key, 1));
    }
    let turned_away = bench.replies().iter().filter(|(_, reply)| is(reply, Unavailable::Overloaded)).count();
    assert!((5_000..10_000).contains(&turned_away), "{turned_away}");
    bench.write();
    assert_eq!(bench.replies().len(), 10_000 - turned_away);
    bench.submit(2, buy(20_000, 1));
    bench.write();
    assert_eq!(bench.tickets(), [2]);
}

#[test]
fn reads_that_wait_are_bounded_by_their_size_also() {
    let waiting_bytes_max = 8 << 20;
    let mut bench = Bench::new(EngineConfig { waiting_bytes_max, ..EngineConfig::default() });
    for upc in 0..999 {
        let define =
            Command::DefineItem { upc: Upc::new(upc).unwrap(), name: "n".repeat(256).into(), price: None };
        bench.engine.submit(NOW, 0, Actor::System, define.into());
    }
    bench.write();
    bench.replies();
    bench.submit(1, buy(1, 1));
    let page = || Query::Levels { after: None, limit: 1_000 };
    let mut pages = 0;
    let overloaded = loop {
        bench.submit(2, page().into());
        match bench.engine.poll_reply() {
            Some((_, reply)) => break reply,
            None => pages += 1,
        }
        assert!(pages * 1_000 * 256 < 2 * waiting_bytes_max, "{pages} pages wait");
    };
    assert!(is(&overloaded, Unavailable::Overloaded));
    bench.write();
    assert_eq!(bench.replies().len(), 1 + pages);
    bench.submit(3, page().into());
    assert!(matches!(bench.replies()[..], [(3, Reply::Answered(_))]));
}

#[test]
fn a_reply_that_need_not_wait_does_not_count_as_waiting() {
    let mut bench = Bench::new(EngineConfig { waiting_bytes_max: 1, ..EngineConfig::default() });
    bench.submit(1, look());
    bench.submit(2, look());
    assert!(bench.replies().iter().all(|(_, reply)| on_hand(reply) == 10), "none is turned away");
}

#[test]
fn time_never_goes_backwards() {
    let mut bench = Bench::new(EngineConfig::default());
    bench.engine.submit(NOW.plus_micros(5), 1, ALICE, buy(1, 1));
    bench.engine.submit(NOW, 2, ALICE, buy(2, 1));
    bench.write();
    let replies = bench.replies();
    assert_eq!(receipt(&replies[1].1).at, NOW.plus_micros(5));
}

#[test]
fn an_engine_is_idle_when_all_is_said_and_written() {
    let mut bench = Bench::new(EngineConfig::default());
    let idle = |bench: &Bench| (bench.engine.is_idle(), bench.engine.snapshot().is_some());
    assert_eq!(idle(&bench), (true, true));
    bench.submit(1, look());
    assert_eq!(idle(&bench), (false, false), "a reply was not taken");
    bench.replies();
    assert_eq!(idle(&bench), (true, true));
    bench.submit(2, buy(1, 1));
    assert_eq!(idle(&bench), (false, false), "a group is open");
    bench.group().unwrap();
    assert_eq!(idle(&bench), (false, false), "a group is in flight");
    bench.engine.appended();
    assert_eq!(idle(&bench), (false, false), "a reply waits to be taken");
    bench.replies();
    assert_eq!(idle(&bench), (true, true));
}

#[test]
fn a_poisoned_engine_says_so_and_gives_no_snapshot() {
    let mut bench = Bench::new(EngineConfig::default());
    assert!(!bench.engine.is_poisoned());
    bench.engine.poison();
    assert!(bench.engine.is_poisoned() && bench.engine.is_idle());
    assert_eq!(bench.engine.snapshot(), None);
}

#[test]
fn lists_in_waiting_requests_and_replies_count_at_their_size() {
    const ITEMS: usize = 1_000;
    const ROWS: usize = 8 * ITEMS;
    let mut bench = Bench::new(EngineConfig::default());
    let one_of_each: Vec<OrderLine> = (1..=ITEMS)
        .map(|code| OrderLine::new(Upc::new(u64::try_from(code).unwrap()).unwrap(), Units::new(1).unwrap()))
        .collect();
    for OrderLine { upc, location, units } in one_of_each.clone() {
        let define = Command::DefineItem { upc, name: "item".into(), price: None };
        bench.engine.submit(NOW, 0, Actor::System, define.into());
        bench.engine.submit(NOW, 0, Actor::System, Command::SetInitialLevel { upc, location, units }.into());
    }
    let key = |random| OrderKey::from_parts(NOW, random);
    for (ticket, random) in [(1, 1), (2, 2)] {
        let (key, lines) = (key(random), one_of_each.clone().into());
        bench.submit(ticket, Command::Purchase(Order { key, lines, charge: None }).into());
    }
    let batch =
        |key| BulkOrder::new(key, LocationId::MAIN, vec![soup(); ROWS], vec![u32::MAX; ROWS]).unwrap();
    bench.submit(3, Command::PurchaseBulk(batch(key(3))).into());
    bench.write();
    let replies = bench.replies();
    assert_eq!(receipt(&replies[replies.len() - 3].1).lines.len(), ITEMS);
    let short = &replies[replies.len() - 2].1;
    assert!(
        matches!(short, Reply::Refused(Refusal::InsufficientStock { shortages }) if shortages.len() == ITEMS)
    );

    let nothing: Vec<OrderLine> =
        one_of_each.iter().map(|line| OrderLine { units: Units::ZERO, ..*line }).collect();
    let order = |number: u32| Order {
        key: key(u128::from(number) << 8),
        lines: nothing.clone().into(),
        charge: None,
    };
    let refused_order = |number| Command::Purchase(order(number)).into();
    let receipt = |_| Query::Receipt { key: key(1) }.into();
    let refusal = |_| Query::Receipt { key: key(2) }.into();
    let codes = |_| Query::Receipt { key: key(3) }.into();
    let too_early = OrderKey::from_parts(NOW.plus_micros(2 * ORDER_KEY_FUTURE_US_MAX), 1);
    let refused_batch = |_| Command::PurchaseBulk(batch(too_early)).into();
    let requests: [(&dyn Fn(u32) -> Action, usize); 5] = [
        (&refused_order, size_of::<OrderLine>()),
        (&receipt, size_of::<OrderLine>()),
        (&refusal, size_of::<Shortage>()),
        (&codes, ROWS / ITEMS),
        (&refused_batch, ROWS / ITEMS * size_of::<(Upc, u32)>()),
    ];
    for (undurable, (request, element_bytes)) in (1..).zip(requests) {
        bench.submit(0, buy(undurable << 64, 1));
        let expected = u32::try_from(WAITING_BYTES_MAX / (ITEMS * element_bytes)).unwrap();
        let waiting = (0..2 * expected).take_while(|number| {
            bench.submit(*number, request(*number));
            bench.engine.poll_reply().is_none()
        });
        let waiting = u32::try_from(waiting.count()).unwrap();
        assert!(waiting.abs_diff(expected) <= 1, "{waiting} wait instead of {expected}");
        bench.write();
        bench.replies();
    }
}
