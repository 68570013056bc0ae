//! What entries do to accounts, that their keys have one outcome, and that units and money move together or not at all.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

use std::sync::Arc;

use inventory_core::journal::{Auditor, Journal, JournalError, MemoryJournal, Replayer, Snapshot, Volatile};
use inventory_core::limits::{
    ACCOUNT_NAME_BYTES_MAX, BALANCES_PAGE_MAX, ENTRIES_BATCH_MAX, ENTRIES_NAME_BYTES_MAX, EVENT_BYTES_MAX,
    ORDER_WINDOW_AGE_US,
};
use inventory_core::{
    AccountEntry, Actor, Answer, BulkEntries, BulkEntriesError, BulkPostingReceipt, Command, Entry,
    EntryReason, Inventory, InventoryError, Money, NameColumn, Order, OrderKey, OrderLine, Posting,
    PostingReceipt, Query, Refusal, Role, RowCodes, Time, Units, Upc, UserId, Version, account_name, entries,
};
use pollster::block_on;

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const ALICE: UserId = UserId(1);
const ADMINISTRATOR: UserId = UserId(3);

fn money(minor: i64) -> Money {
    Money::from_minor(minor)
}

fn upc(code: u64) -> Upc {
    Upc::new(code).unwrap()
}

fn key(random: u128) -> OrderKey {
    OrderKey::from_parts(NOW, random << 8)
}

fn credit(account: &str, minor: i64) -> Entry {
    Entry::Credit { account: account.into(), amount: money(minor) }
}

fn debit(account: &str, minor: i64) -> Entry {
    Entry::Debit { account: account.into(), amount: money(minor) }
}

fn transfer(from: &str, to: &str, minor: i64) -> Entry {
    Entry::Transfer { from: from.into(), to: to.into(), amount: money(minor) }
}

fn batch(random: u128, rows: &[(&str, i64)]) -> BulkEntries {
    let mut names = NameColumn::default();
    assert!(rows.iter().all(|(name, _)| names.push(name.as_bytes())));
    BulkEntries::new(key(random), names, rows.iter().map(|(_, amount)| *amount).collect::<Vec<_>>()).unwrap()
}

/// Items 1 (10 units at 2.50) and 3 (7 units, no price), the buyers alice and bob, and an administrator.
struct Shop {
    inventory: Inventory<Arc<MemoryJournal>>,
    journal: Arc<MemoryJournal>,
}

impl Shop {
    fn open() -> Self {
        let journal = Arc::new(MemoryJournal::new());
        let mut inventory = block_on(Inventory::open(Arc::clone(&journal), 1)).unwrap();
        for (code, number, price) in [(1, 10, Some(money(250))), (3, 7, None)] {
            block_on(inventory.define_item(NOW, upc(code), "item", price)).unwrap();
            block_on(inventory.set_initial_level(NOW, upc(code), Units::new(number).unwrap())).unwrap();
        }
        for (name, role) in [("alice", Role::Buyer), ("bob", Role::Buyer), ("root", Role::Administrator)] {
            block_on(inventory.add_user(NOW, name, "", role)).unwrap();
        }
        Self { inventory, journal }
    }

    fn reopen(&mut self) {
        self.inventory = block_on(Inventory::open(Arc::clone(&self.journal), 2)).unwrap();
    }

    fn execute(&mut self, now: Time, actor: Actor, command: Command) -> Result<Answer, Refusal> {
        match block_on(self.inventory.execute(now, actor, command)) {
            Ok(answer) => Ok(answer),
            Err(InventoryError::Refused(refusal)) => Err(refusal),
            Err(other) => panic!("{other}"),
        }
    }

    fn post(&mut self, random: u128, entry: Entry) -> Result<PostingReceipt, Refusal> {
        match self.execute(NOW, Actor::System, Command::Post(Posting { key: key(random), entry }))? {
            Answer::PostingReceipt(receipt) => Ok(receipt),
            other => panic!("{other:?}"),
        }
    }

    fn post_bulk(&mut self, batch: BulkEntries) -> BulkPostingReceipt {
        block_on(self.inventory.post_bulk(NOW, batch)).unwrap()
    }

    fn set_floor(&mut self, account: &str, floor: i64) -> Result<Answer, Refusal> {
        let command = Command::SetFloor { account: account.into(), floor: Some(money(floor)) };
        self.execute(NOW, Actor::System, command)
    }

    fn buy(
        &mut self,
        user: UserId,
        random: u128,
        code: u64,
        number: u64,
        charge: &str,
    ) -> Result<Answer, Refusal> {
        let lines = OrderLine::new(upc(code), Units::new(number).unwrap()).into();
        let order = Order { key: key(random), lines, charge: Some(charge.into()) };
        self.execute(NOW, Actor::User(user), Command::Purchase(order))
    }

    fn balance(&mut self, account: &str) -> Option<i64> {
        match block_on(self.inventory.balance(account)) {
            Ok(row) => Some(row.balance.minor()),
            Err(InventoryError::Refused(Refusal::UnknownAccount { .. })) => None,
            Err(other) => panic!("{other}"),
        }
    }

    fn on_hand(&mut self, code: u64) -> u64 {
        block_on(self.inventory.levels_of(upc(code))).unwrap()[0].on_hand.get()
    }

    fn version(&self) -> Version {
        block_on(self.journal.tip()).unwrap().version
    }

    /// The entries of the whole journal, which an audit finds nothing wrong in.
    fn history(&self) -> Vec<AccountEntry> {
        let (mut replayer, mut auditor) = (Replayer::new(1), Auditor::new(1));
        let mut found = Vec::new();
        for group in block_on(self.journal.read(Version::ZERO, usize::MAX)).unwrap() {
            replayer.follow_each(&group, |state, record| found.extend(entries(state, record))).unwrap();
            auditor.follow(&group).unwrap();
            auditor.check_books().unwrap();
        }
        found
    }
}

fn codes(receipt: &BulkPostingReceipt) -> Vec<u8> {
    (0..usize::try_from(receipt.outcome.rows).unwrap()).map(|row| receipt.outcome.codes.get(row)).collect()
}

#[test]
fn an_account_is_made_by_its_first_entry_and_its_balance_is_the_sum_of_all() {
    let mut shop = Shop::open();
    assert_eq!(shop.balance("Marc"), None);
    let receipt = shop.post(1, credit("Marc", 200)).unwrap();
    assert_eq!((receipt.balance, receipt.counterpart_balance, &*receipt.user), (money(200), None, ""));
    assert_eq!(receipt.entry.account().as_ref(), "Marc");
    assert_eq!(shop.post(2, debit("Marc", 350)).unwrap().balance, money(-150));
    shop.post(3, credit("marc", 0)).unwrap();
    shop.reopen();
    assert_eq!(
        (shop.balance("Marc"), shop.balance("marc"), shop.balance("Mar")),
        (Some(-150), Some(0), None)
    );
}

#[test]
fn a_transfer_moves_money_or_nothing() {
    let mut shop = Shop::open();
    let receipt = shop.post(1, transfer("Marc", "Zoë", 70)).unwrap();
    assert_eq!((receipt.balance, receipt.counterpart_balance), (money(-70), Some(money(70))));
    assert_eq!(receipt.entry.counterpart().map(|name| &**name), Some("Zoë"));
    shop.set_floor("Marc", -100).unwrap();
    let short = Refusal::InsufficientFunds { account: "Marc".into(), short_by: money(1) };
    assert_eq!(shop.post(2, transfer("Marc", "Zoë", 31)), Err(short));
    shop.post(3, credit("full", i64::MAX)).unwrap();
    let full = Refusal::BalanceOutOfRange { account: "full".into() };
    assert_eq!(shop.post(4, transfer("Zoë", "full", 1)), Err(full));
    assert_eq!(shop.post(5, transfer("Marc", "Marc", 1)), Err(Refusal::SameAccount));
    assert_eq!((shop.balance("Marc"), shop.balance("Zoë")), (Some(-70), Some(70)));
}

#[test]
fn a_posting_with_the_same_key_is_the_same_posting() {
    let mut shop = Shop::open();
    let receipt = shop.post(1, credit("Marc", 5)).unwrap();
    shop.post(2, credit("Marc", 5)).unwrap();
    assert_eq!(shop.post(1, credit("Marc", 5)), Ok(receipt.clone()), "with the balance of its own time");
    for other in [credit("Marc", 6), debit("Marc", 5), credit("Mar", 5), transfer("Marc", "Anna", 5)] {
        assert_eq!(shop.post(1, other), Err(Refusal::KeyReused));
    }
    let Ok(Answer::PostingReceipt(asked)) =
        block_on(shop.inventory.execute(NOW, Actor::System, Query::Receipt { key: key(1) }))
    else {
        panic!("no receipt")
    };
    assert_eq!(asked, receipt);
    assert_eq!(shop.balance("Marc"), Some(10));
}

#[test]
fn a_refused_posting_stays_refused_under_its_key() {
    let mut shop = Shop::open();
    shop.post(1, credit("Marc", 5)).unwrap();
    shop.set_floor("Marc", 0).unwrap();
    let short = Refusal::InsufficientFunds { account: "Marc".into(), short_by: money(4) };
    assert_eq!(shop.post(2, debit("Marc", 9)), Err(short.clone()));
    shop.post(3, credit("Marc", 100)).unwrap();
    assert_eq!(shop.post(2, debit("Marc", 9)), Err(short));
    assert_eq!(shop.balance("Marc"), Some(105));
    shop.history();
}

#[test]
fn what_cannot_be_an_entry_is_refused_without_a_trace() {
    let mut shop = Shop::open();
    let version = shop.version();
    let long = "n".repeat(ACCOUNT_NAME_BYTES_MAX + 1);
    for name in ["", "two words", "tab\t", "line\n", "vt\u{b}", "ff\u{c}", "cr\r", &long] {
        assert_eq!(shop.post(1, credit(name, 1)), Err(Refusal::InvalidName), "{name:?}");
        assert_eq!(account_name(name.as_bytes()), None);
    }
    assert_eq!(shop.post(1, credit("Marc", -1)), Err(Refusal::InvalidValue { field: "amount" }));
    assert_eq!(shop.version(), version);
    // The same key may be used: nothing was decided under it. Anything else may be in a name.
    shop.post(1, transfer(&long[1..], "\0\u{a0}💶", i64::MAX)).unwrap();
    assert_eq!(account_name(b"\xff"), None);
}

#[test]
fn a_floor_holds_from_when_it_is_set_until_it_is_taken_away() {
    let mut shop = Shop::open();
    let unknown = Refusal::UnknownAccount { account: "Marc".into() };
    assert_eq!(shop.set_floor("Marc", 0), Err(unknown));
    shop.post(1, credit("Marc", 5)).unwrap();
    assert_eq!(shop.set_floor("Marc", 6), Err(Refusal::FloorAboveBalance { balance: money(5) }));
    shop.set_floor("Marc", 5).unwrap();
    let version = shop.version();
    shop.set_floor("Marc", 5).unwrap();
    assert_eq!(shop.version(), version, "nothing changes");
    assert!(shop.post(2, debit("Marc", 1)).is_err());
    assert_eq!(shop.post(3, debit("Marc", 0)).unwrap().balance, money(5));
    assert_eq!(block_on(shop.inventory.balance("Marc")).unwrap().floor, Some(money(5)));
    block_on(shop.inventory.set_floor(NOW, "Marc", None)).unwrap();
    assert_eq!(shop.post(4, debit("Marc", 6)).unwrap().balance, money(-1));
    // No balance is below the least amount: as a floor it is none.
    shop.set_floor("Marc", i64::MIN).unwrap();
    assert_eq!(block_on(shop.inventory.balance("Marc")).unwrap().floor, None);
    shop.history();
}

#[test]
fn each_row_of_a_batch_is_posted_or_refused_for_itself_after_those_before_it() {
    let mut shop = Shop::open();
    shop.post(1, credit("poor", 10)).unwrap();
    shop.set_floor("poor", 0).unwrap();
    shop.post(2, credit("full", i64::MAX - 5)).unwrap();
    let rows = [
        ("poor", -11),
        ("poor", 5),
        ("poor", -11),
        ("full", 6),
        ("full", 5),
        ("new", -7),
        ("no name", 1),
        ("", 1),
        ("new", 2),
        ("other", 0),
        ("poor", -5),
    ];
    let receipt = shop.post_bulk(batch(3, &rows));
    assert_eq!(codes(&receipt), [26, 0, 0, 27, 0, 0, 42, 42, 0, 0, 26]);
    assert_eq!((receipt.outcome.rows, receipt.outcome.accepted_rows), (11, 6));
    for (name, balance) in [("poor", 4), ("full", i64::MAX), ("new", -5), ("other", 0)] {
        assert_eq!(shop.balance(name), Some(balance), "{name}");
    }
    assert_eq!(shop.post_bulk(batch(3, &rows)), receipt, "a retry");
    let other = block_on(shop.inventory.post_bulk(NOW, batch(3, &rows[1..])));
    assert_eq!(other, Err(InventoryError::Refused(Refusal::KeyReused)));
    shop.reopen();
    assert_eq!(shop.post_bulk(batch(3, &rows)), receipt);
    let history = shop.history();
    let poor = history.iter().filter(|entry| &*entry.account == "poor");
    let poor: Vec<_> = poor.map(|entry| (entry.change.minor(), entry.balance.minor())).collect();
    assert_eq!(poor, [(10, 10), (5, 15), (-11, 4)]);
}

#[test]
fn a_batch_whose_amounts_do_not_add_up_in_64_bits_is_decided_row_by_row() {
    let mut shop = Shop::open();
    let rows = [("a", i64::MAX), ("a", 1), ("a", -i64::MAX), ("a", -i64::MAX), ("a", -1), ("a", -1)];
    let receipt = shop.post_bulk(batch(1, &rows));
    assert_eq!(codes(&receipt), [0, 27, 0, 0, 0, 27]);
    assert_eq!(shop.balance("a"), Some(i64::MIN));
    shop.history();
}

#[test]
fn columns_that_are_no_batch_say_why() {
    let column = |names: usize| {
        let mut column = NameColumn::default();
        assert!((0..names).all(|_| column.push(b"n")));
        column
    };
    let entries = |names, amounts: &[i64]| BulkEntries::new(key(1), names, amounts);
    assert_eq!(entries(column(0), &[]), Err(BulkEntriesError::Rows(0)));
    assert_eq!(entries(column(2), &[1]), Err(BulkEntriesError::Uneven { names: 2, amounts: 1 }));
    let many = ENTRIES_BATCH_MAX + 1;
    assert_eq!(entries(column(many), &vec![1; many]), Err(BulkEntriesError::Rows(many)));
    assert_eq!(entries(column(2), &[1, i64::MIN]), Err(BulkEntriesError::Amount(1)));
    let mut long = NameColumn::default();
    assert!(long.push(&vec![b'n'; ENTRIES_NAME_BYTES_MAX + 1]));
    assert_eq!(entries(long, &[1]), Err(BulkEntriesError::NameBytes(ENTRIES_NAME_BYTES_MAX + 1)));
    assert_eq!(NameColumn::from_parts(b"abc".to_vec(), vec![2, 1, 3]), None);
    assert_eq!(NameColumn::from_parts(b"abc".to_vec(), vec![1, 2]), None);
    assert_eq!(NameColumn::from_parts(b"abc".to_vec(), vec![]), None);
    let parts = NameColumn::from_parts(b"abc".to_vec(), vec![1, 1, 3]).unwrap();
    assert!(parts.iter().eq([&b"a"[..], b"", b"bc"]));
}

#[test]
fn the_largest_batch_fits_an_event() {
    let mut shop = Shop::open();
    let mut names = NameColumn::default();
    for row in 0..ENTRIES_BATCH_MAX {
        assert!(names.push(format!("{row:0>32}").as_bytes()));
    }
    assert_eq!(names.bytes().len(), ENTRIES_NAME_BYTES_MAX);
    let base = shop.version();
    let receipt = shop.post_bulk(BulkEntries::new(key(1), names, vec![1; ENTRIES_BATCH_MAX]).unwrap());
    assert!(receipt.outcome.codes.are_all_accepted());
    let groups = block_on(shop.journal.read(base, 1)).unwrap();
    assert!(groups[0].bytes().len() <= EVENT_BYTES_MAX);
    shop.history();
}

#[test]
fn a_charged_purchase_moves_units_and_money_or_nothing() {
    let mut shop = Shop::open();
    let unknown = Refusal::UnknownAccount { account: "alice".into() };
    assert_eq!(shop.buy(ALICE, 1, 1, 2, "alice"), Err(unknown));
    shop.post(2, credit("alice", 600)).unwrap();
    shop.set_floor("alice", 0).unwrap();
    let Ok(Answer::Receipt(receipt)) = shop.buy(ALICE, 3, 1, 2, "alice") else { panic!("no receipt") };
    assert_eq!((receipt.total, receipt.charged.as_deref()), (Some(money(500)), Some("alice")));
    let short = Refusal::InsufficientFunds { account: "alice".into(), short_by: money(150) };
    assert_eq!(shop.buy(ALICE, 4, 1, 1, "alice"), Err(short));
    assert_eq!(shop.buy(ALICE, 5, 3, 1, "alice"), Err(Refusal::Unpriced { upc: upc(3) }));
    assert_eq!((shop.balance("alice"), shop.on_hand(1), shop.on_hand(3)), (Some(100), 8, 7));
    // A retry is the same purchase; the same lines charged to nobody are another order.
    assert_eq!(shop.buy(ALICE, 3, 1, 2, "alice"), Ok(Answer::Receipt(receipt.clone())));
    let uncharged = Order { key: key(3), lines: receipt.lines.clone(), charge: None };
    let reused = shop.execute(NOW, Actor::User(ALICE), Command::Purchase(uncharged));
    assert_eq!(reused, Err(Refusal::KeyReused));
    shop.reopen();
    assert_eq!(shop.buy(ALICE, 3, 1, 2, "alice"), Ok(Answer::Receipt(receipt)));
    let last = shop.history().pop().unwrap();
    assert_eq!((last.reason, last.change, last.balance), (EntryReason::Purchase, money(-500), money(100)));
    assert_eq!((last.user.as_deref(), last.key), (Some("alice"), key(3)));
}

#[test]
fn a_buyer_sees_and_charges_the_account_of_his_own_name_only() {
    let mut shop = Shop::open();
    for (random, name) in [(1, "alice"), (2, "bob")] {
        shop.post(random, credit(name, 1_000)).unwrap();
    }
    let ask =
        |shop: &mut Shop, actor, query: Query| block_on(shop.inventory.execute(NOW, actor, query)).is_ok();
    let balance = |name: &str| Query::Balance { account: name.into() };
    let alice = Actor::User(ALICE);
    assert!(ask(&mut shop, alice, balance("alice")) && !ask(&mut shop, alice, balance("bob")));
    assert!(!ask(&mut shop, alice, Query::Balances { after: None, limit: 1 }));
    assert!(!ask(&mut shop, Actor::Anonymous, balance("alice")));
    let root = Actor::User(ADMINISTRATOR);
    assert!(
        ask(&mut shop, root, balance("bob"))
            && ask(&mut shop, root, Query::Balances { after: None, limit: 1 })
    );
    assert_eq!(shop.buy(ALICE, 3, 1, 1, "bob"), Err(Refusal::NotPermitted));
    assert!(shop.buy(ADMINISTRATOR, 3, 1, 1, "bob").is_ok());
    let posting = Posting { key: key(4), entry: credit("alice", 1) };
    let floor = Command::SetFloor { account: "alice".into(), floor: None };
    for command in [Command::Post(posting.clone()), Command::PostBulk(batch(4, &[("alice", 1)])), floor] {
        assert_eq!(shop.execute(NOW, alice, command), Err(Refusal::NotPermitted));
    }
    let Ok(Answer::PostingReceipt(receipt)) = shop.execute(NOW, root, Command::Post(posting)) else {
        panic!()
    };
    assert_eq!(&*receipt.user, "root");
    shop.history();
}

#[test]
fn balances_are_told_page_by_page_in_the_order_of_the_names_bytes() {
    let mut shop = Shop::open();
    let rows = [("b", 2), ("a", 1), ("é", 4), ("B", 0), ("ab", 3)];
    shop.post_bulk(batch(1, &rows));
    let mut found = Vec::new();
    let mut after: Option<Arc<str>> = None;
    loop {
        let page = block_on(shop.inventory.balances(after.as_deref(), 2)).unwrap();
        assert!(page.balances.len() <= 2);
        found.extend(page.balances.into_iter().map(|row| (row.account.to_string(), row.balance.minor())));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let sorted = [("B", 0), ("a", 1), ("ab", 3), ("b", 2), ("é", 4)];
    assert_eq!(found, sorted.map(|(name, balance)| (name.to_string(), balance)));
    let rest = block_on(shop.inventory.balances(Some("aa"), u32::MAX)).unwrap();
    assert_eq!((rest.balances.len(), rest.next), (3, None));
}

#[test]
fn a_page_of_balances_is_bounded_in_accounts_and_in_bytes_of_names() {
    let mut shop = Shop::open();
    let names: Vec<String> = (0..=BALANCES_PAGE_MAX).map(|number| format!("a{number:05}")).collect();
    let rows: Vec<(&str, i64)> = names.iter().map(|name| (&**name, 0)).collect();
    shop.post_bulk(batch(1, &rows));
    for number in 0..6 {
        let name = format!("z{number}{}", "n".repeat(ACCOUNT_NAME_BYTES_MAX - 2));
        shop.post(2 + number, credit(&name, 0)).unwrap();
    }
    let page = block_on(shop.inventory.balances(None, u32::MAX)).unwrap();
    assert_eq!((page.balances.len(), page.next.as_deref()), (BALANCES_PAGE_MAX, Some("a00999")));
    let page = block_on(shop.inventory.balances(Some("z"), u32::MAX)).unwrap();
    assert_eq!((page.balances.len(), page.next.is_some()), (5, true), "the fifth name passes 256 KiB");
}

#[test]
fn a_snapshot_holds_accounts_floors_and_the_outcomes_of_postings() {
    let mut shop = Shop::open();
    let receipt = shop.post(1, transfer("Marc", "alice", 700)).unwrap();
    shop.set_floor("Marc", -900).unwrap();
    assert!(shop.post(2, debit("Marc", 201)).is_err());
    let bulk = shop.post_bulk(batch(3, &[("Zoë", 1), ("Marc", -500)]));
    let bought = shop.buy(ALICE, 4, 1, 1, "alice");
    block_on(shop.inventory.save_snapshot()).unwrap();
    block_on(shop.journal.discard_through(shop.version())).unwrap();
    shop.reopen();
    assert_eq!(shop.post(1, transfer("Marc", "alice", 700)), Ok(receipt));
    assert!(matches!(shop.post(2, debit("Marc", 201)), Err(Refusal::InsufficientFunds { .. })));
    assert_eq!(shop.post_bulk(batch(3, &[("Zoë", 1), ("Marc", -500)])), bulk);
    assert_eq!(shop.buy(ALICE, 4, 1, 1, "alice"), bought);
    assert_eq!(block_on(shop.inventory.balance("Marc")).unwrap().floor, Some(money(-900)));
    let snapshot = block_on(shop.journal.load_snapshot()).unwrap().unwrap();
    let again = Snapshot::of(&snapshot.restore(9).unwrap(), snapshot.tip().hash);
    assert_eq!(again.bytes(), snapshot.bytes());
    let mut auditor = Auditor::after(&snapshot, 1).unwrap();
    for group in block_on(shop.journal.read(snapshot.tip().version, usize::MAX)).unwrap() {
        auditor.follow(&group).unwrap();
    }
    auditor.check_books().unwrap();
}

#[test]
fn a_posting_that_left_the_window_is_found_in_the_journal() {
    let mut shop = Shop::open();
    let receipt = shop.post(1, credit("Marc", 5)).unwrap();
    let bulk = shop.post_bulk(batch(2, &[("Marc", 1), ("bad name", 1)]));
    let later = NOW.plus_micros(ORDER_WINDOW_AGE_US + 3_600_000_000);
    let late = |shop: &mut Shop, random, entry| {
        shop.execute(later, Actor::System, Command::Post(Posting { key: key(random), entry }))
    };
    assert_eq!(late(&mut shop, 1, credit("Marc", 5)), Ok(Answer::PostingReceipt(receipt)));
    assert_eq!(late(&mut shop, 1, credit("Marc", 6)), Err(Refusal::KeyReused));
    assert_eq!(late(&mut shop, 9, credit("Marc", 5)), Err(Refusal::KeyTooOld));
    let again = block_on(shop.inventory.post_bulk(later, batch(2, &[("Marc", 1), ("bad name", 1)])));
    assert_eq!(again, Ok(bulk));
    assert_eq!(shop.balance("Marc"), Some(6));
}

#[test]
fn a_volatile_journal_takes_everything_and_keeps_nothing() {
    let journal = Arc::new(Volatile::new());
    let mut inventory = block_on(Inventory::open(Arc::clone(&journal), 1)).unwrap();
    for number in 0..3 {
        let posting = Posting { key: key(number), entry: credit("Marc", 1) };
        block_on(inventory.post(NOW, posting)).unwrap();
    }
    assert_eq!(block_on(inventory.balance("Marc")).unwrap().balance, money(3));
    let tip = block_on(journal.tip()).unwrap();
    assert_eq!(tip.version, Version(3));
    let start = tip.version;
    let discarded = |after| Err(JournalError::Discarded { after: Version(after), start });
    assert_eq!(block_on(journal.read(Version::ZERO, 1)), discarded(0));
    assert_eq!(block_on(journal.read(Version(2), 1)), discarded(2));
    assert_eq!(block_on(journal.read(start, 1)), Ok(Vec::new()));
    assert_eq!(block_on(journal.load_snapshot()), Ok(None));
    assert!(block_on(inventory.save_snapshot()).is_err());
    // What left the window cannot be looked up, and is not said to have never happened.
    let later = NOW.plus_micros(ORDER_WINDOW_AGE_US + 3_600_000_000);
    let again = block_on(inventory.post(later, Posting { key: key(0), entry: credit("Marc", 1) }));
    assert_eq!(again, Err(InventoryError::Refused(Refusal::OutcomeNotKept)));
    assert!(block_on(Inventory::open(Arc::clone(&journal), 2)).is_err(), "a second opening finds no history");
}

#[test]
fn codes_of_entries_and_of_purchases_are_kept_apart() {
    assert!(RowCodes::new(vec![RowCodes::INSUFFICIENT_FUNDS]).is_none());
    assert!(RowCodes::of_entries(vec![RowCodes::INSUFFICIENT_STOCK]).is_none());
}
