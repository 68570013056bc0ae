//! Orders that have left the outcome window, found in the journal.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod scripted;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use inventory_core::journal::{
    Append, Group, Journal, JournalError, MemoryJournal, PastOrder, PastOrderSearch, PastOutcome, Snapshot,
    Tip, replay,
};
use inventory_core::limits::{ORDER_KEY_FUTURE_US_MAX, ORDER_WINDOW_AGE_US};
use inventory_core::{
    Action, Actor, Answer, BulkOrder, Command, Inventory, InventoryError, LocationId, Order, OrderKey,
    OrderLine, Query, Receipt, Refusal, Reply, Role, Time, Unavailable, Units, Upc, UserId, Version,
};
use pollster::block_on;

use scripted::Scripted;

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const HOUR_US: u64 = 3_600_000_000;

fn item() -> Upc {
    Upc::new(36_000_291_452).unwrap()
}

fn order(made_at: Time, units: u64) -> Order {
    let lines = OrderLine::new(item(), Units::new(units).unwrap()).into();
    Order { key: OrderKey::from_parts(made_at, 1), lines, charge: None }
}

fn after_hours(hours: u64) -> Time {
    NOW.plus_micros(hours * HOUR_US)
}

/// A shop with plenty of one item, on a journal that can be looked at and opened again.
struct Shop {
    journal: Arc<MemoryJournal>,
    inventory: Inventory<Arc<MemoryJournal>>,
    alice: UserId,
    bob: UserId,
}

impl Shop {
    fn new() -> Self {
        let journal = Arc::new(MemoryJournal::new());
        let mut inventory = block_on(Inventory::open(Arc::clone(&journal), 7)).unwrap();
        let (alice, bob) = block_on(async {
            inventory.define_item(NOW, item(), "soup", None).await.unwrap();
            inventory.set_initial_level(NOW, item(), Units::new(1_000_000).unwrap()).await.unwrap();
            let alice = inventory.add_user(NOW, "alice", "", Role::Buyer).await.unwrap();
            (alice, inventory.add_user(NOW, "bob", "", Role::Buyer).await.unwrap())
        });
        Self { journal, inventory, alice, bob }
    }

    fn buy(&mut self, now: Time, order: &Order) -> Result<Receipt, Refusal> {
        self.buy_as(self.alice, now, order)
    }

    fn buy_as(&mut self, user: UserId, now: Time, order: &Order) -> Result<Receipt, Refusal> {
        refusal(block_on(self.inventory.purchase(now, user, order.clone())))
    }

    fn receipt(&mut self, user: UserId, now: Time, key: OrderKey) -> Result<Receipt, Refusal> {
        refusal(block_on(self.inventory.receipt(now, user, key)))
    }

    fn on_hand(&mut self) -> u64 {
        block_on(self.inventory.levels_of(item())).unwrap()[0].on_hand.get()
    }

    /// Lets go of everything that happened so far.
    fn discard(&mut self) {
        block_on(self.inventory.save_snapshot()).unwrap();
        let end = block_on(self.journal.tip()).unwrap().version;
        block_on(self.journal.discard_through(end)).unwrap();
    }
}

fn refusal(answer: Result<Receipt, InventoryError>) -> Result<Receipt, Refusal> {
    answer.map_err(|error| match error {
        InventoryError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    })
}

#[test]
fn of_an_outcome_that_another_writer_was_faster_to_write_a_state_behind_it_says_nothing() {
    let mut shop = Shop::new();
    let behind = block_on(replay(&*shop.journal, 7)).unwrap().0;
    block_on(shop.inventory.define_item(NOW, Upc::new(1).unwrap(), "bread", None)).unwrap();
    let bread = OrderLine::new(Upc::new(1).unwrap(), Units::new(1).unwrap());
    block_on(shop.inventory.set_initial_level(NOW, bread.upc, bread.units)).unwrap();
    let wanted = Order { lines: bread.into(), ..order(NOW, 1) };
    let receipt = shop.buy(NOW, &wanted).unwrap();
    let (later, alice) = (after_hours(25), Actor::User(shop.alice));
    let action = Action::Command(Command::Purchase(wanted));
    let past = PastOrder::asked_for(&behind, later, alice, &action).unwrap();
    let found = block_on(past.look_up(&*shop.journal)).unwrap();
    assert_eq!(past.reply(&behind, &found), Reply::Unavailable(Unavailable::Overloaded));
    let ahead = block_on(replay(&*shop.journal, 7)).unwrap().0;
    assert_eq!(past.reply(&ahead, &found), Reply::Answered(Answer::Receipt(receipt)));
}

#[test]
fn the_outcome_of_a_batch_is_found_however_old() {
    let mut shop = Shop::new();
    let batch = |units: u32| {
        BulkOrder::new(OrderKey::from_parts(NOW, 1), LocationId::MAIN, [item()], [units]).unwrap()
    };
    let alice = shop.alice;
    let receipt = block_on(shop.inventory.purchase_bulk(NOW, alice, batch(2))).unwrap();
    for later in [after_hours(25), after_hours(24 * 700)] {
        let again = block_on(shop.inventory.purchase_bulk(later, alice, batch(2)));
        assert_eq!(again.as_ref(), Ok(&receipt));
        let asked = block_on(shop.inventory.bulk_receipt(later, alice, receipt.key));
        assert_eq!(asked.as_ref(), Ok(&receipt));
        let another = block_on(shop.inventory.purchase_bulk(later, alice, batch(3)));
        assert_eq!(another, Err(InventoryError::Refused(Refusal::KeyReused)));
    }
    assert_eq!(shop.on_hand(), 999_998);
}

#[test]
fn an_embedded_inventory_finds_the_outcome_of_an_order_however_old() {
    let mut shop = Shop::new();
    let (bought, refused, never_sent) =
        (order(NOW, 2), order(NOW.plus_micros(1_000), 5_000_000), order(NOW.plus_micros(2_000), 1));
    let receipt = shop.buy(NOW, &bought).unwrap();
    let short = shop.buy(NOW, &refused).unwrap_err();
    for later in [after_hours(25), after_hours(24 * 700)] {
        assert_eq!(shop.buy(later, &bought).as_ref(), Ok(&receipt));
        assert_eq!(shop.receipt(shop.alice, later, bought.key).as_ref(), Ok(&receipt));
        assert_eq!(shop.receipt(UserId::SYSTEM, later, bought.key), Err(Refusal::NotLoggedIn));
        assert_eq!(shop.buy(later, &refused), Err(short.clone()));
        assert_eq!(shop.buy(later, &never_sent), Err(Refusal::KeyTooOld));
        assert_eq!(shop.receipt(shop.bob, later, bought.key), Err(Refusal::KeyTooOld));
        assert_eq!(shop.buy_as(shop.bob, later, &bought), Err(Refusal::KeyTooOld));
        let another = Order { key: bought.key, lines: order(NOW, 3).lines, charge: None };
        assert_eq!(shop.buy(later, &another), Err(Refusal::KeyReused));
    }
    assert_eq!(shop.on_hand(), 999_998);
}

#[test]
fn an_order_is_past_once_its_key_is_older_than_the_window() {
    let shop = Shop::new();
    let state = block_on(replay(&shop.journal, 1)).unwrap().0;
    let alice = Actor::User(shop.alice);
    let day_later = NOW.plus_micros(ORDER_WINDOW_AGE_US);
    let key = |made_at| OrderKey::from_parts(made_at, 1);
    let batch = BulkOrder::new(key(NOW), LocationId::MAIN, [item()], [1]).unwrap();
    let actions: [Action; 3] = [
        Command::Purchase(order(NOW, 1)).into(),
        Command::PurchaseBulk(batch).into(),
        Query::Receipt { key: key(NOW) }.into(),
    ];
    for action in &actions {
        let asked = |now| PastOrder::asked_for(&state, now, alice, action).map(|order| order.key());
        assert_eq!((asked(NOW), asked(day_later)), (None, None), "{action:?}");
        assert_eq!(asked(day_later.plus_micros(1_000_000)), Some(key(NOW)), "{action:?}");
        let nobody = PastOrder::asked_for(&state, after_hours(48), Actor::Anonymous, action);
        assert!(nobody.is_none(), "{action:?}");
    }
    let before = Query::Receipt { key: key(NOW.minus_micros(ORDER_WINDOW_AGE_US + 1_000)) }.into();
    assert!(PastOrder::asked_for(&state, NOW, alice, &before).is_some());
    assert!(PastOrder::asked_for(&state, Time::ZERO, alice, &before).is_some(), "no clock goes back");
    let about_no_order = Query::WhoAmI.into();
    assert!(PastOrder::asked_for(&state, after_hours(48), alice, &about_no_order).is_none());
}

/// Another writer decides the order and a day goes by before this one learns of either.
#[test]
fn an_order_that_leaves_the_window_while_it_waits_is_looked_for_too() {
    let mut shop = Shop::new();
    let mut other = block_on(Inventory::open(Arc::clone(&shop.journal), 8)).unwrap();
    let order = order(NOW, 2);
    let receipt = block_on(other.purchase(NOW, shop.alice, order.clone())).unwrap();
    for hour in 25..30 {
        let key = OrderKey::from_parts(after_hours(hour), 2);
        let another = Order { key, lines: order.lines.clone(), charge: None };
        block_on(other.purchase(after_hours(hour), shop.alice, another)).unwrap();
    }
    assert_eq!(shop.buy(NOW, &order), Ok(receipt));
}

#[test]
fn orders_decided_at_either_end_of_their_time_are_found() {
    let mut shop = Shop::new();
    let now = after_hours(48);
    let early = order(now.plus_micros(ORDER_KEY_FUTURE_US_MAX), 1);
    let late = order(now.minus_micros(ORDER_WINDOW_AGE_US), 1);
    let receipts = [shop.buy(now, &early).unwrap(), shop.buy(now, &late).unwrap()];
    let latest = Order { key: OrderKey::from_parts(late.key.time(), 2), ..late.clone() };
    let last = now.plus_micros(999_999);
    let latest_receipt = shop.buy(last, &latest).unwrap();
    assert_eq!(PastOrderSearch::decided_between(latest.key).1, last);
    let too_late = Order { key: OrderKey::from_parts(late.key.time(), 3), ..late.clone() };
    assert_eq!(shop.buy(last.plus_micros(1), &too_late), Err(Refusal::KeyTooOld));
    let later = after_hours(24 * 30);
    assert_eq!([shop.buy(later, &early), shop.buy(later, &late)], receipts.map(Ok));
    assert_eq!(shop.buy(later, &latest), Ok(latest_receipt));
}

#[test]
fn what_was_discarded_is_not_said_to_have_never_been() {
    let mut shop = Shop::new();
    let (bought, never_sent) = (order(NOW, 2), order(NOW.plus_micros(1_000), 1));
    shop.buy(NOW, &bought).unwrap();
    shop.discard();
    // Decided after the cut, with a key of before it; and two whose whole time lies behind it.
    let astride = order(NOW.plus_micros(2_000), 4);
    let receipt = shop.buy(after_hours(1), &astride).unwrap();
    let (kept, never_sent_behind) = (order(after_hours(50), 3), order(after_hours(51), 3));
    let kept_receipt = shop.buy(after_hours(50), &kept).unwrap();

    let later = after_hours(24 * 30);
    for _ in 0..2 {
        for (order, outcome) in [
            (&bought, Err(Refusal::OutcomeNotKept)),
            (&never_sent, Err(Refusal::OutcomeNotKept)),
            (&astride, Ok(receipt.clone())),
            (&kept, Ok(kept_receipt.clone())),
            (&never_sent_behind, Err(Refusal::KeyTooOld)),
        ] {
            assert_eq!(shop.buy(later, order), outcome, "{}", order.key);
            assert_eq!(shop.receipt(shop.alice, later, order.key), outcome, "{}", order.key);
        }
        shop.inventory = block_on(Inventory::open(Arc::clone(&shop.journal), 8)).unwrap();
    }
    assert_eq!(shop.on_hand(), 1_000_000 - 2 - 4 - 3);
    shop.discard();
    assert_eq!(shop.buy(later, &kept), Err(Refusal::OutcomeNotKept), "nothing is kept of its time");
}

/// A journal that counts the groups that are read, and can let go of its beginning at one reading, or deny what it holds.
struct Watched {
    journal: Arc<MemoryJournal>,
    groups_read: AtomicUsize,
    discard_at_reading: AtomicUsize,
    denies: AtomicBool,
}

impl Watched {
    fn new(journal: &Arc<MemoryJournal>) -> Self {
        let (groups_read, discard_at_reading) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let denies = AtomicBool::new(false);
        Self { journal: Arc::clone(journal), groups_read, discard_at_reading, denies }
    }
}

#[async_trait]
impl Journal for Watched {
    async fn load_snapshot(&self) -> Result<Option<Snapshot>, JournalError> {
        self.journal.load_snapshot().await
    }

    async fn read(&self, after: Version, bytes_max: usize) -> Result<Vec<Group>, JournalError> {
        if self.denies.load(Ordering::Relaxed) {
            return Err(JournalError::Discarded { after, start: after });
        }
        if self.discard_at_reading.fetch_sub(1, Ordering::Relaxed) == 0 {
            self.journal.discard_through(self.journal.tip().await?.version).await?;
        }
        let groups = self.journal.read(after, bytes_max).await?;
        self.groups_read.fetch_add(groups.len(), Ordering::Relaxed);
        Ok(groups)
    }

    async fn position(&self, time: Time) -> Result<Version, JournalError> {
        self.journal.position(time).await
    }

    async fn append(&self, group: Group) -> Append {
        self.journal.append(group).await
    }

    async fn tip(&self) -> Result<Tip, JournalError> {
        self.journal.tip().await
    }

    async fn save_snapshot(&self, snapshot: Snapshot) -> Result<(), JournalError> {
        self.journal.save_snapshot(snapshot).await
    }

    async fn discard_through(&self, version: Version) -> Result<(), JournalError> {
        self.journal.discard_through(version).await
    }
}

/// Looks for an order in steps; gives what was found and after how many.
fn search(journal: &Watched, key: OrderKey) -> (PastOutcome, usize) {
    let mut search = PastOrderSearch::new(key);
    for steps in 1.. {
        if let Some(found) = block_on(search.step(journal)).unwrap() {
            return (found, steps);
        }
    }
    unreachable!("it ends");
}

#[test]
fn a_search_reads_the_time_of_the_order_in_small_steps() {
    let mut shop = Shop::new();
    // One order an hour, for forty days.
    for hour in 0..24 * 40 {
        shop.buy(after_hours(hour), &order(after_hours(hour), 1)).unwrap();
    }
    let journal = Watched::new(&shop.journal);
    let (found, steps) = search(&journal, order(after_hours(24 * 20), 1).key);
    assert!(matches!(found, PastOutcome::Decided(_)) && steps == 2, "{steps}");
    let (found, steps) = search(&journal, order(after_hours(24 * 20).plus_micros(1_000), 1).key);
    assert!(matches!(found, PastOutcome::NeverDecided { .. }) && steps == 2, "{found:?} after {steps}");
    // 256 KiB hold all of these small groups: after one step to the place one reading is enough, and what is not looked
    // at is what lies in front.
    let read = journal.groups_read.load(Ordering::Relaxed);
    assert!(read <= 2 * (24 * 20 + 2), "{read} groups");
}

#[test]
fn what_is_discarded_during_a_search_counts_as_not_kept() {
    let mut shop = Shop::new();
    shop.buy(NOW, &order(NOW, 1)).unwrap();
    block_on(shop.inventory.save_snapshot()).unwrap();
    let journal = Watched::new(&shop.journal);
    let key = order(NOW.plus_micros(500_000), 1).key;
    assert!(matches!(search(&journal, key).0, PastOutcome::NeverDecided { .. }));
    journal.discard_at_reading.store(0, Ordering::Relaxed);
    assert_eq!(search(&journal, key).0, PastOutcome::NotKept);
}

#[test]
fn a_journal_that_knows_no_better_is_read_from_its_start() {
    let journal = Arc::new(Scripted::new(&[], 0));
    let mut shop = block_on(Inventory::open(Arc::clone(&journal), 7)).unwrap();
    let position = |time| block_on(journal.position(time));
    let starts_after =
        |version| Err(JournalError::Discarded { after: Version::ZERO, start: Version(version) });
    block_on(shop.define_item(NOW, item(), "soup", None)).unwrap();
    block_on(shop.save_snapshot()).unwrap();
    let next = after_hours(1);
    block_on(shop.define_item(next, item(), "pea soup", None)).unwrap();
    assert_eq!([position(NOW), position(next.plus_micros(1))], [Ok(Version::ZERO), Ok(Version::ZERO)]);

    block_on(journal.discard_through(Version(1))).unwrap();
    assert_eq!(position(next.plus_micros(1)), Ok(Version(1)));
    assert_eq!(position(next), starts_after(1), "more may have happened at that very time");
    assert_eq!(position(NOW), starts_after(1));

    block_on(shop.save_snapshot()).unwrap();
    block_on(journal.discard_through(Version(2))).unwrap();
    assert_eq!(position(next.plus_micros(1)), starts_after(2), "nothing is kept that could say");
}

#[test]
fn a_journal_that_says_discarded_of_what_it_starts_with_ends_the_search() {
    let shop = Shop::new();
    let journal = Watched::new(&shop.journal);
    journal.denies.store(true, Ordering::Relaxed);
    let mut search = PastOrderSearch::new(order(NOW, 1).key);
    assert_eq!(block_on(search.step(&journal)), Ok(None), "where to look is known");
    let denied = JournalError::Discarded { after: Version::ZERO, start: Version::ZERO };
    assert_eq!(block_on(search.step(&journal)), Err(denied));
}
