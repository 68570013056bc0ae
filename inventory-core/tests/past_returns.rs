//! Returns of orders that have left the outcome window: the journal knows them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use inventory_core::journal::{Auditor, Journal, MemoryJournal, PastOrder, PastOutcome, Settled, replay};
use inventory_core::limits::{ORDER_KEY_FUTURE_US_MAX, ORDER_WINDOW_AGE_US};
use inventory_core::machine::{Decision, decide};
use inventory_core::state::OutcomeRow;
use inventory_core::{
    Action, Actor, Answer, Command, Entry, Event, Inventory, InventoryError, Money, Order, OrderKey,
    OrderLine, Posting, Query, Refund, Refusal, Reply, Return, ReturnReceipt, Role, Time, Unavailable, Units,
    Upc, UserId, Version,
};
use pollster::block_on;

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const ALICE: UserId = UserId(1);
const BOB: UserId = UserId(2);

fn item() -> Upc {
    Upc::new(36_000_291_452).unwrap()
}

fn days(number: u64) -> Time {
    NOW.plus_micros(number * ORDER_WINDOW_AGE_US)
}

fn key(made_at: Time, random: u128) -> OrderKey {
    OrderKey::from_parts(made_at, random << 8)
}

fn line(number: u64) -> OrderLine {
    OrderLine::new(item(), Units::new(number).unwrap())
}

fn order(made_at: Time, random: u128, number: u64) -> Order {
    Order { key: key(made_at, random), lines: line(number).into(), charge: None }
}

/// What comes back of an order, under a key of this time.
fn back(made_at: Time, random: u128, order: OrderKey, lines: &[OrderLine]) -> Return {
    Return { key: key(made_at, random), order, lines: lines.into(), evidence: None }
}

type Shop = Inventory<Arc<MemoryJournal>>;

/// A hundred units of one item, priced 2.00; alice, who has 50.00 on an account of hers, and bob.
fn shop() -> (Arc<MemoryJournal>, Shop) {
    let journal = Arc::new(MemoryJournal::new());
    let mut shop = open(&journal);
    block_on(async {
        shop.define_item(NOW, item(), "soup", Some(Money::from_minor(200))).await.unwrap();
        shop.set_initial_level(NOW, item(), Units::new(100).unwrap()).await.unwrap();
        for name in ["alice", "bob"] {
            shop.add_user(NOW, name, "", Role::Buyer).await.unwrap();
        }
        let entry = Entry::Credit { account: "alice".into(), amount: Money::from_minor(5_000) };
        shop.post(NOW, Posting { key: key(NOW, 1_000), entry }).await.unwrap();
    });
    (journal, shop)
}

fn open(journal: &Arc<MemoryJournal>) -> Shop {
    block_on(Inventory::open(Arc::clone(journal), 7)).unwrap()
}

fn buy(shop: &mut Shop, now: Time, order: &Order) -> Version {
    block_on(shop.purchase(now, ALICE, order.clone())).unwrap().version
}

fn give_back(shop: &mut Shop, now: Time, user: UserId, wanted: &Return) -> Result<ReturnReceipt, Refusal> {
    block_on(shop.return_units(now, user, wanted.clone())).map_err(|error| match error {
        InventoryError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    })
}

fn on_hand(shop: &mut Shop) -> u64 {
    block_on(shop.levels_of(item())).unwrap()[0].on_hand.get()
}

fn discard(journal: &Arc<MemoryJournal>, shop: &mut Shop) {
    block_on(shop.save_snapshot()).unwrap();
    let end = block_on(journal.tip()).unwrap().version;
    block_on(journal.discard_through(end)).unwrap();
}

#[test]
fn an_order_of_any_age_comes_back_and_so_does_what_was_paid() {
    let (journal, mut shop) = shop();
    let charged = Order { charge: Some("alice".into()), ..order(NOW, 1, 5) };
    buy(&mut shop, NOW, &charged);
    block_on(shop.define_item(NOW, item(), "soup", Some(Money::from_minor(999)))).unwrap();
    let wanted = back(days(3), 2, charged.key, &[line(2)]);
    let receipt = give_back(&mut shop, days(3), ALICE, &wanted).unwrap();
    assert_eq!(receipt.refund, Some(Refund { account: "alice".into(), amount: Money::from_minor(400) }));
    let rest = give_back(&mut shop, days(700), ALICE, &back(days(700), 3, charged.key, &[])).unwrap();
    assert_eq!((&*rest.lines, on_hand(&mut shop)), (&[line(3)][..], 100));
    let more = give_back(&mut shop, days(701), ALICE, &back(days(701), 4, charged.key, &[line(1)]));
    assert!(matches!(more, Err(Refusal::ExceedsPurchase { .. })), "{more:?}");
    // The return itself is found too, however old, and another one under its key is not it.
    for now in [days(3), days(720)] {
        assert_eq!(give_back(&mut shop, now, ALICE, &wanted).as_ref(), Ok(&receipt));
        let asked = Query::Receipt { key: wanted.key };
        let told = block_on(shop.execute(now, Actor::User(ALICE), asked)).unwrap();
        assert_eq!(told, Answer::ReturnReceipt(Box::new(receipt.clone())));
        let other = Return { lines: [line(3)].into(), ..wanted.clone() };
        assert_eq!(give_back(&mut shop, now, ALICE, &other), Err(Refusal::KeyReused));
    }
    assert_eq!(block_on(shop.balance("alice")).unwrap().balance, Money::from_minor(5_000));
    // Who replays the journal sees the same, and the audit finds the purchase.
    drop(shop);
    let groups = block_on(journal.read(Version::ZERO, usize::MAX)).unwrap();
    let mut auditor = Auditor::new(1);
    for group in &groups {
        auditor.follow(group).unwrap();
    }
    auditor.check_books().unwrap();
    let mut claims = auditor.into_claims();
    for group in &groups {
        claims.follow(group).unwrap();
    }
    assert_eq!(claims.settled(), Settled { checked: 2, not_kept: 0 });
}

#[test]
fn what_the_journal_says_of_an_old_order_is_an_outcome_of_the_return() {
    let (journal, mut shop) = shop();
    let bought = order(NOW, 1, 5);
    buy(&mut shop, NOW, &bought);
    let refused = order(NOW, 2, 500);
    block_on(shop.purchase(NOW, ALICE, refused.clone())).unwrap_err();
    let now = days(3);
    let (never_sent, posting) = (key(NOW, 9), key(NOW, 1_000));
    for (random, order, user, why) in [
        (10, never_sent, ALICE, Refusal::UnknownOrder),
        (11, bought.key, BOB, Refusal::UnknownOrder),
        (12, refused.key, BOB, Refusal::UnknownOrder),
        (13, refused.key, ALICE, Refusal::NotReturnable),
        (14, posting, ALICE, Refusal::UnknownOrder),
    ] {
        let wanted = back(now, random, order, &[]);
        assert_eq!(give_back(&mut shop, now, user, &wanted), Err(why.clone()), "{random}");
        assert_eq!(give_back(&mut shop, now, user, &wanted), Err(why), "{random}: again");
    }
    discard(&journal, &mut shop);
    for order in [bought.key, never_sent] {
        let wanted = back(now, 20, order, &[]);
        let wanted =
            Return { key: OrderKey::from_parts(now, u128::from_be_bytes(order.to_bytes())), ..wanted };
        assert_eq!(give_back(&mut shop, now, ALICE, &wanted), Err(Refusal::OutcomeNotKept));
    }
    assert_eq!(on_hand(&mut shop), 95);
}

/// Another writer sells, a day goes by, and this one, which knows of neither, takes back.
#[test]
fn a_return_of_what_another_writer_sold_is_decided_once_the_order_is_known() {
    let (journal, mut shop) = shop();
    let mut other = open(&journal);
    let bought = order(NOW, 1, 5);
    let version = buy(&mut other, NOW, &bought);
    let wanted = back(days(2), 2, bought.key, &[line(4)]);
    let receipt = give_back(&mut shop, days(2), ALICE, &wanted).unwrap();
    assert_eq!((receipt.version, on_hand(&mut shop)), (version.plus(1), 99));
}

/// The order is in the window when the return is sent and has left when it is decided again behind another writer's events.
#[test]
fn an_order_that_leaves_the_window_while_its_return_waits_is_looked_for() {
    let (journal, mut shop) = shop();
    let mut other = open(&journal);
    let bought = order(NOW, 1, 5);
    buy(&mut other, NOW, &bought);
    // As many as let the seconds of the window leave, a few at each event.
    for hour in 25..30 {
        let now = NOW.plus_micros(hour * 3_600_000_000);
        buy(&mut other, now, &order(now, 2, 1));
    }
    let early = NOW.plus_micros(23 * 3_600_000_000);
    let wanted = back(early, 4, bought.key, &[]);
    let receipt = give_back(&mut shop, early, ALICE, &wanted).unwrap();
    assert_eq!((&*receipt.lines, on_hand(&mut shop)), (&[line(5)][..], 95));
}

#[test]
fn evidence_is_looked_for_only_where_it_is_needed_and_believed_only_of_its_own_order() {
    let (journal, mut shop) = shop();
    let (bought, another) = (order(NOW, 1, 5), order(NOW, 2, 7));
    buy(&mut shop, NOW, &bought);
    buy(&mut shop, NOW, &another);
    let state = block_on(replay(&journal, 1)).unwrap().0;
    let now = days(2);
    let needed = |wanted: &Return| {
        let action = Command::Return(wanted.clone()).into();
        PastOrder::returned_by(&state, now, Actor::User(ALICE), &action).map(|order| order.key())
    };
    let wanted = back(now, 3, bought.key, &[]);
    assert_eq!(needed(&wanted), Some(bought.key));
    assert_eq!(needed(&back(now, 3, key(now, 9), &[])), None, "the window tells");
    assert_eq!(needed(&back(NOW, 3, bought.key, &[])), None, "the return is too old itself");
    assert_eq!(
        PastOrder::returned_by(&state, now, Actor::User(ALICE), &Query::WhoAmI.into())
            .map(|order| order.key()),
        None
    );

    let mut action: Action = Command::Return(back(now, 3, another.key, &[])).into();
    assert!(
        PastOrder::returned_by(&state, now, Actor::Anonymous, &action).is_none(),
        "a stranger gets nothing"
    );
    let search = PastOrder::returned_by(&state, now, Actor::User(ALICE), &action).unwrap();
    let found = block_on(search.look_up(&journal)).unwrap();
    assert!(matches!(found, PastOutcome::Decided(_)));
    search.testify(&found, &mut action);
    let Action::Command(Command::Return(told)) = &action else { panic!() };
    assert_eq!(needed(told), None, "it is known already");
    let decided = |wanted: Return| decide(&state, now, Actor::User(ALICE), &Command::Return(wanted));
    assert!(matches!(decided(told.clone()), Decision::Happens(_)));
    let swapped = Return { order: bought.key, ..told.clone() };
    let not_at_hand = Decision::Stands(Reply::Unavailable(Unavailable::OrderNotAtHand));
    assert_eq!(needed(&swapped), Some(bought.key), "what is said of another order is no answer");
    assert_eq!(decided(swapped), not_at_hand);
    let tell = |found: &PastOutcome| {
        let mut action: Action = Command::Return(back(now, 3, another.key, &[])).into();
        search.testify(found, &mut action);
        let Action::Command(Command::Return(told)) = action else { panic!() };
        told
    };
    let PastOutcome::Decided(row) = &found else { panic!() };
    let of_another = tell(&PastOutcome::Decided(OutcomeRow { key: bought.key, ..row.clone() }));
    assert_eq!(of_another.evidence, None, "nothing is believed of a row under another key");
    let ahead = OutcomeRow { version: state.version().plus(1), ..row.clone() };
    assert_eq!(decided(tell(&PastOutcome::Decided(ahead))), not_at_hand, "the journal is ahead of the state");
    let read = Version(state.version().0 - 1);
    assert_eq!(
        decided(tell(&PastOutcome::NeverDecided { read })),
        not_at_hand,
        "it may be decided and not written yet"
    );
    let never = decided(tell(&PastOutcome::NeverDecided { read: state.version() }));
    assert!(
        matches!(never, Decision::Happens(Event::ReturnRefused { refusal: Refusal::UnknownOrder, .. })),
        "{never:?}"
    );
    let refused_anyhow = [
        (ALICE, back(now.plus_micros(ORDER_KEY_FUTURE_US_MAX + 1_000), 3, bought.key, &[])),
        (ALICE, back(now, 3, bought.key, &[line(1), line(0)])),
        (UserId::SYSTEM, back(now, 3, bought.key, &[])),
    ];
    for (user, wanted) in refused_anyhow {
        let actor = if user == UserId::SYSTEM { Actor::System } else { Actor::User(user) };
        let action = Command::Return(wanted).into();
        assert!(PastOrder::returned_by(&state, now, actor, &action).is_none(), "{action:?}");
    }
    // An order that the window knows is as the window says.
    let in_window = decide(&state, NOW, Actor::User(ALICE), &Command::Return(back(NOW, 3, bought.key, &[])));
    assert!(matches!(in_window, Decision::Happens(_)));
}

#[test]
fn a_return_has_a_receipt_of_its_own() {
    let (_, mut shop) = shop();
    let bought = order(NOW, 1, 5);
    buy(&mut shop, NOW, &bought);
    let wanted = back(NOW, 2, bought.key, &[line(4)]);
    let receipt = give_back(&mut shop, NOW, ALICE, &wanted).unwrap();
    assert_eq!(block_on(shop.return_receipt(days(2), ALICE, wanted.key)), Ok(receipt));
    let reused = InventoryError::Refused(Refusal::KeyReused);
    assert_eq!(block_on(shop.return_receipt(NOW, ALICE, bought.key)), Err(reused.clone()));
    assert_eq!(block_on(shop.receipt(NOW, ALICE, wanted.key)), Err(reused));
}
