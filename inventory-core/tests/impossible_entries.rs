//! Entries, charges and floors that no correct engine writes: replay refuses what cannot have happened, the audit also what can
//! have and should not.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;

use inventory_core::journal::{Auditor, Breach, GroupBuilder, GroupError, Malformed, ReplayError, Tip};
use inventory_core::machine::{Impossible, apply, verify};
use inventory_core::state::State;
use inventory_core::{
    AccountId, AppendId, Charge, Entry, EntryRows, Event, Hash, ItemId, Line, LocationId, Money, NameColumn,
    OrderDigest, OrderKey, PostedEntry, Record, Refusal, Role, RowCodes, Time, Units, Upc, UserId, Version,
};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);
const ALICE: UserId = UserId(1);
/// Owns `alice`; has 10.00 and a floor of 4.00.
const OWN: AccountId = AccountId(0);
/// `Marc`: −3.00, no floor.
const MARC: AccountId = AccountId(1);
const NEXT: AccountId = AccountId(2);

fn money(minor: i64) -> Money {
    Money::from_minor(minor)
}

fn key(random: u128) -> OrderKey {
    OrderKey::from_parts(NOW, random << 8)
}

fn posted(random: u128, user: UserId, entry: Entry<AccountId>, balances: &[i64], added: &[&str]) -> Event {
    let balance = money(balances[0]);
    let counterpart_balance = balances.get(1).copied().map(money);
    let posted = Box::new(PostedEntry { entry, balance, counterpart_balance });
    let added = added.iter().map(|name| Box::from(*name)).collect();
    Event::Posted { key: key(random), user, digest: OrderDigest(0), posted, added }
}

fn credit(account: AccountId, minor: i64) -> Entry<AccountId> {
    Entry::Credit { account, amount: money(minor) }
}

fn debit(account: AccountId, minor: i64) -> Entry<AccountId> {
    Entry::Debit { account, amount: money(minor) }
}

fn rows(accounts: &[AccountId], amounts: &[i64], codes: &[u8], added: &[&str]) -> Option<EntryRows> {
    let mut names = NameColumn::default();
    assert!(added.iter().all(|name| names.push(name.as_bytes())));
    EntryRows::new(accounts, amounts, RowCodes::of_entries(codes.to_vec()).unwrap(), names)
}

fn bulk(accounts: &[AccountId], amounts: &[i64], codes: &[u8], added: &[&str]) -> Event {
    let rows = Arc::new(rows(accounts, amounts, codes, added).unwrap());
    Event::BulkPosted { key: key(9), user: UserId::SYSTEM, digest: OrderDigest(0), rows }
}

fn charged(user: UserId, account: AccountId, units: u64, total: i64) -> Event {
    let line = Line { item: ItemId(0), location: LocationId::MAIN, units: Units::new(units).unwrap() };
    let charge = Box::new(Charge { account, total: money(total), amounts: Box::default() });
    Event::PurchaseCharged { key: key(9), user, digest: OrderDigest(0), lines: vec![line].into(), charge }
}

fn floor(by: UserId, account: AccountId, minor: i64) -> Event {
    Event::FloorSet { by, account, floor: Some(money(minor)) }
}

/// Ten units of soup at 2.00, the buyers alice and bob, and the two accounts.
fn opening() -> Vec<Event> {
    let by = UserId::SYSTEM;
    let user =
        |name: &str| Event::UserAdded { by, name: name.into(), password_hash: "".into(), role: Role::Buyer };
    let price = Some(money(200));
    let units = Units::new(10).unwrap();
    vec![
        Event::ItemDefined { by, upc: Upc::new(1).unwrap(), name: "soup".into(), price },
        Event::InitialLevelSet { by, item: ItemId(0), location: LocationId::MAIN, units },
        user("alice"),
        user("bob"),
        posted(1, by, credit(OWN, 1_000), &[1_000], &["alice"]),
        posted(2, by, debit(MARC, 300), &[-300], &["Marc"]),
        floor(by, OWN, 400),
    ]
}

fn state() -> State {
    let mut state = State::new(1);
    for event in opening() {
        let record = Record { at: NOW, event };
        verify(&state, &record).unwrap();
        apply(&mut state, &record);
    }
    state
}

/// What an audit says of the opening and this event.
fn audited(event: &Event) -> Option<Breach> {
    let sealed = |base: Tip, events: &[Event]| {
        let mut builder = GroupBuilder::new(base.version);
        for event in events {
            builder.push(&Record { at: NOW, event: event.clone() });
        }
        builder.seal(AppendId(1), base.hash).unwrap()
    };
    let mut auditor = Auditor::new(1);
    auditor.follow(&sealed(Tip::default(), &opening())).unwrap();
    auditor.check_books().unwrap();
    let found = auditor.follow(&sealed(auditor.tip(), std::slice::from_ref(event))).err();
    if found.is_none() {
        auditor.check_books().unwrap();
    }
    found.map(|violation| violation.breach)
}

#[test]
fn what_cannot_have_happened_is_not_replayed() {
    let state = state();
    let system = UserId::SYSTEM;
    let transfer = |from, to, minor| Entry::Transfer { from, to, amount: money(minor) };
    let far = AccountId(7);
    for (event, why) in [
        (posted(1, system, credit(MARC, 1), &[-299], &[]), Impossible::Decided(key(1))),
        (posted(9, UserId(7), credit(MARC, 1), &[-299], &[]), Impossible::User(UserId(7))),
        (posted(9, system, credit(far, 1), &[1], &[]), Impossible::Account(far)),
        (posted(9, system, credit(NEXT, 1), &[1], &[]), Impossible::Account(NEXT)),
        (posted(9, system, credit(MARC, 1), &[-298], &[]), Impossible::Balance(MARC)),
        (posted(9, system, credit(MARC, 1), &[-299, 0], &[]), Impossible::Balance(MARC)),
        (posted(9, system, debit(OWN, 601), &[399], &[]), Impossible::Balance(OWN)),
        (posted(9, system, credit(OWN, i64::MAX), &[0], &[]), Impossible::Balance(OWN)),
        (posted(9, system, credit(MARC, -1), &[-301], &[]), Impossible::Balance(MARC)),
        (posted(9, system, transfer(MARC, MARC, 1), &[-301, -299], &[]), Impossible::Balance(MARC)),
        (posted(9, system, transfer(MARC, OWN, 1), &[-301, 1_002], &[]), Impossible::Balance(OWN)),
        (posted(9, system, transfer(MARC, OWN, 1), &[-301], &[]), Impossible::Balance(OWN)),
        (posted(9, system, credit(MARC, 1), &[-299], &["new"]), Impossible::AccountAdded),
        (posted(9, system, credit(NEXT, 1), &[1], &["Marc"]), Impossible::AccountAdded),
        (posted(9, system, credit(NEXT, 1), &[1], &["no name"]), Impossible::AccountAdded),
        (
            posted(9, system, transfer(NEXT, AccountId(3), 1), &[-1, 1], &["new", "new"]),
            Impossible::AccountAdded,
        ),
        (bulk(&[far], &[1], &[0], &[]), Impossible::Account(far)),
        (bulk(&[AccountId(3), NEXT], &[1, 1], &[0, 0], &["a", "b"]), Impossible::Account(AccountId(3))),
        (bulk(&[MARC], &[1], &[0], &["unused"]), Impossible::AccountAdded),
        (bulk(&[OWN, OWN], &[-600, -1], &[0, 0], &[]), Impossible::Balance(OWN)),
        (bulk(&[OWN, far], &[1, 1], &[0, 26], &[]), Impossible::Account(far)),
        (charged(ALICE, far, 1, 200), Impossible::Account(far)),
        (charged(ALICE, OWN, 4, 800), Impossible::Balance(OWN)),
        (charged(ALICE, OWN, 1, -1), Impossible::Balance(OWN)),
        (charged(ALICE, OWN, 11, 600), Impossible::Oversold(ItemId(0))),
        (charged(ALICE, OWN, 0, 0), Impossible::NothingTaken),
        (floor(system, far, 0), Impossible::Account(far)),
        (floor(system, OWN, 1_001), Impossible::Floor(OWN)),
        (floor(UserId(7), OWN, 0), Impossible::User(UserId(7))),
    ] {
        assert_eq!(verify(&state, &Record { at: NOW, event: event.clone() }), Err(why), "{event:?}");
    }
    let refused = |user| Event::PostRefused {
        key: key(1),
        user,
        digest: OrderDigest(0),
        refusal: Refusal::BalanceOutOfRange { account: "Marc".into() },
    };
    assert_eq!(
        verify(&state, &Record { at: NOW, event: refused(UserId::SYSTEM) }),
        Err(Impossible::Decided(key(1)))
    );
}

#[test]
fn what_can_have_happened_is_replayed_and_passes_the_audit() {
    let refused =
        |refusal| Event::PostRefused { key: key(9), user: UserId::SYSTEM, digest: OrderDigest(0), refusal };
    let short = Refusal::InsufficientFunds { account: "alice".into(), short_by: money(1) };
    for event in [
        posted(9, UserId::SYSTEM, debit(OWN, 600), &[400], &[]),
        bulk(&[OWN, OWN, OWN, NEXT], &[-601, -600, 1, i64::MAX], &[26, 0, 0, 0], &["new"]),
        bulk(&[MARC, EntryRows::NO_ACCOUNT, MARC], &[-i64::MAX, 1, 5], &[27, 42, 0], &[]),
        charged(ALICE, OWN, 3, 600),
        refused(short),
        floor(UserId::SYSTEM, OWN, 1_000),
    ] {
        assert_eq!(audited(&event), None, "{event:?}");
    }
}

#[test]
fn what_should_not_have_happened_is_named_by_the_audit() {
    let refused =
        |refusal| Event::PostRefused { key: key(9), user: UserId::SYSTEM, digest: OrderDigest(0), refusal };
    let order_refused =
        |refusal| Event::PurchaseRefused { key: key(9), user: ALICE, digest: OrderDigest(0), refusal };
    let short = |account: &str| Refusal::InsufficientFunds { account: account.into(), short_by: money(1) };
    let (bob, alice) = (UserId(2), ALICE);
    let upc = Upc::new(1).unwrap();
    let false_row = |row| Breach::FalseRow { key: key(9), row };
    for (event, breach) in [
        (posted(9, alice, credit(OWN, 1), &[1_001], &[]), Breach::NotPermitted(alice)),
        (floor(alice, OWN, 0), Breach::NotPermitted(alice)),
        (charged(bob, OWN, 1, 200), Breach::NotPermitted(bob)),
        (charged(alice, MARC, 1, 200), Breach::NotPermitted(alice)),
        (
            charged(alice, OWN, 1, 199),
            Breach::Total { key: key(9), is: Some(money(199)), should: Some(money(200)) },
        ),
        (bulk(&[OWN], &[-600], &[26], &[]), false_row(0)),
        (bulk(&[MARC], &[-600], &[26], &[]), false_row(0)),
        (bulk(&[MARC, MARC], &[1, -1], &[0, 27], &[]), false_row(1)),
        (bulk(&[OWN], &[-i64::MAX], &[27], &[]), false_row(0)),
        (bulk(&[EntryRows::NO_ACCOUNT], &[1], &[44], &[]), false_row(0)),
        (refused(short("Marc")), Breach::FalseEntryRefusal(key(9))),
        (refused(short("nobody")), Breach::FalseEntryRefusal(key(9))),
        (refused(Refusal::BalanceOutOfRange { account: "nobody".into() }), Breach::FalseEntryRefusal(key(9))),
        (
            order_refused(Refusal::UnknownAccount { account: "alice".into() }),
            Breach::FalseEntryRefusal(key(9)),
        ),
        (order_refused(Refusal::Unpriced { upc }), Breach::FalseRefusal { key: key(9), upc }),
    ] {
        assert_eq!(audited(&event), Some(breach), "{event:?}");
    }
}

#[test]
fn columns_that_do_not_fit_each_other_are_no_rows() {
    let (none, own) = (EntryRows::NO_ACCOUNT, OWN);
    assert!(rows(&[own, none], &[1, 2], &[0, 42], &[]).is_some());
    assert_eq!(rows(&[], &[], &[], &[]), None, "no row");
    assert_eq!(rows(&[own], &[1, 2], &[], &[]), None, "one amount too many");
    assert_eq!(rows(&[own, own], &[1, 2], &[26], &[]), None, "one code too few");
    assert_eq!(rows(&[own], &[1], &[42], &[]), None, "an account of no name");
    assert_eq!(rows(&[none], &[1], &[26], &[]), None, "no account that is short");
    assert_eq!(rows(&[none], &[1], &[], &[]), None, "accepted without an account");
    assert_eq!(rows(&[own], &[i64::MIN], &[], &[]), None, "an amount without an opposite");
}

#[test]
fn a_value_out_of_its_range_is_named() {
    /// Where the fields of the first event begin, behind its kind, time, key, user and digest.
    const FIELDS: usize = 64 + 9 + 28;
    let why = |event: &Event, at: usize, bytes: &[u8]| {
        let mut builder = GroupBuilder::new(Version::ZERO);
        builder.push(&Record { at: NOW, event: event.clone() });
        let mut changed = builder.seal(AppendId(1), Hash::ZERO).unwrap().bytes().to_vec();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        let group = inventory_core::journal::Group::from_bytes(changed.into()).unwrap();
        match group.records().next().unwrap() {
            Err(GroupError::Event { why, .. }) => Some(why),
            _ => None,
        }
    };
    let one = posted(9, ALICE, credit(OWN, 1), &[1], &[]);
    let batch = bulk(&[OWN, OWN], &[1, 2], &[0, 26], &[]);
    let floor = floor(ALICE, OWN, 0);
    for (event, at, bytes, what) in [
        (&one, FIELDS, &[3][..], "kind of entry"),
        (&one, FIELDS + 5, &(-1i64).to_le_bytes(), "amount"),
        (&batch, FIELDS, &[0, 0, 0, 0], "number of rows"),
        (&batch, FIELDS, &8_193_u32.to_le_bytes(), "number of rows"),
        (&batch, FIELDS + 4, &[2], "flag"),
        (&batch, FIELDS + 6, &[21], "row code"),
        (&batch, FIELDS + 6, &[0], "row code"),
        (&batch, FIELDS + 6, &[42], "row"),
        (&batch, FIELDS + 15, &i64::MIN.to_le_bytes(), "row"),
        (&charged(ALICE, OWN, 1, 200), FIELDS + 20, &(-1i64).to_le_bytes(), "amount"),
        (&floor, 64 + 9 + 8, &[2], "flag"),
        (&floor, 64 + 9 + 9, &i64::MIN.to_le_bytes(), "floor"),
    ] {
        assert_eq!(why(event, at, bytes), Some(Malformed::OutOfRange(what)), "{event:?}");
    }
}

#[test]
fn an_impossible_event_ends_a_replay_with_its_version() {
    let event = posted(9, UserId::SYSTEM, credit(MARC, 1), &[0], &[]);
    let Some(Breach::Replay(why)) = audited(&event) else { panic!("it passed") };
    let version = Version(u64::try_from(opening().len()).unwrap() + 1);
    assert_eq!(*why, ReplayError::Impossible(version, Impossible::Balance(MARC)));
}
