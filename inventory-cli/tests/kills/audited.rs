//! The audit finds what a server with a defect would have written or told: each history here has one mistake.

use inventory_core::{
    Event, ItemId, Line, LocationId, OrderDigest, OrderKey, OrderLine, Receipt, Refusal, Returned, Time,
    Units, Upc, UserId, Version,
};

use crate::audit::Ledger;
use crate::buyers::Goods;
use crate::buyers_have_what_they_were_told;
use crate::outcomes::{Outcome, Outcomes};

const NOW: Time = Time::from_micros(1_795_219_200_000_000);

fn upc() -> Upc {
    Upc::new(1).unwrap()
}

fn key(number: u128) -> OrderKey {
    OrderKey::from_parts(NOW, number)
}

fn units(count: u64) -> Units {
    Units::new(count).unwrap()
}

fn bought(number: u128, count: u64) -> Event {
    let line = Line { item: ItemId(0), location: LocationId::MAIN, units: units(count) };
    let (user, digest) = (UserId(1), OrderDigest(0));
    Event::Purchased { key: key(number), user, digest, lines: line.into(), total: None }
}

/// A return of two units of an order that was bought at this version.
fn returned(number: u128, order: u128, purchased: u64) -> Event {
    let lines = Line { item: ItemId(0), location: LocationId::MAIN, units: units(2) }.into();
    let returned = Returned { order: key(order), purchased: Version(purchased), lines, refund: None };
    let (user, digest) = (UserId(1), OrderDigest(0));
    Event::Returned { key: key(number), user, digest, returned: Box::new(returned) }
}

fn refused(number: u128) -> Event {
    let (user, digest) = (UserId(1), OrderDigest(0));
    Event::PurchaseRefused { key: key(number), user, digest, refusal: Refusal::EmptyOrder }
}

/// A shop with ten units and one user, which make versions 1 to 3, and then these events.
fn ledger(events: &[Event]) -> Ledger {
    let by = UserId::SYSTEM;
    let shop = [
        Event::ItemDefined { by, upc: upc(), name: "Goods".into(), price: None },
        Event::InitialLevelSet { by, item: ItemId(0), location: LocationId::MAIN, units: units(10) },
        Event::UserAdded {
            by,
            name: "alice".into(),
            password_hash: "".into(),
            role: inventory_core::Role::Buyer,
        },
    ];
    let mut ledger = Ledger::default();
    for (version, event) in (1..).zip(shop.iter().chain(events)) {
        ledger.fold(Version(version), event.clone());
    }
    ledger
}

fn receipt(number: u128, version: u64, count: u64) -> Outcome {
    let lines = OrderLine::new(upc(), units(count)).into();
    let (key, version) = (key(number), Version(version));
    Outcome::Bought(Receipt {
        key,
        version,
        user: "alice".into(),
        at: NOW,
        lines,
        total: None,
        charged: None,
    })
}

/// What was told of orders 1, 2, …
fn told(outcomes: impl IntoIterator<Item = Outcome>) -> Outcomes {
    let told = Outcomes::default();
    for (number, outcome) in (1..).zip(outcomes) {
        told.told(key(number), outcome);
    }
    told
}

fn compare(ledger: &Ledger, told: &Outcomes) {
    let goods = Goods { plenty: upc(), scarce: upc() };
    buyers_have_what_they_were_told(ledger, told, goods, &[]);
}

#[test]
fn what_was_told_as_it_was_is_well() {
    let ledger = ledger(&[bought(1, 2), refused(2)]);
    compare(&ledger, &told([receipt(1, 4, 2), Outcome::Refused(Refusal::EmptyOrder)]));
}

#[test]
#[should_panic(expected = "is lost")]
fn an_outcome_that_is_not_in_the_journal_is_found() {
    compare(&ledger(&[bought(1, 2)]), &told([receipt(1, 4, 2), receipt(2, 5, 1)]));
}

#[test]
#[should_panic(expected = "left: (Version(5)")]
fn a_receipt_of_another_version_is_found() {
    compare(&ledger(&[bought(1, 2)]), &told([receipt(1, 5, 2)]));
}

#[test]
#[should_panic(expected = "left: Some({Upc(00000001): 3})")]
fn a_receipt_of_other_lines_is_found() {
    compare(&ledger(&[bought(1, 3)]), &told([receipt(1, 4, 2)]));
}

#[test]
#[should_panic(expected = "left: (Some({Upc(00000001): 2}), None)")]
fn a_sale_that_was_told_as_a_refusal_is_found() {
    compare(&ledger(&[bought(1, 2)]), &told([Outcome::Refused(Refusal::EmptyOrder)]));
}

#[test]
#[should_panic(expected = "left: (None, Some(")]
fn a_return_that_was_told_as_a_refusal_is_found() {
    let told = told([receipt(1, 4, 2), Outcome::Refused(Refusal::NotReturnable)]);
    compare(&ledger(&[bought(1, 2), returned(2, 1, 4)]), &told);
}

#[test]
#[should_panic(expected = "sold and receipts")]
fn a_sale_that_nobody_was_told_of_is_found() {
    compare(&ledger(&[bought(1, 2), bought(2, 1)]), &told([receipt(1, 4, 2)]));
}

#[test]
#[should_panic(expected = "has two outcomes")]
fn an_order_that_is_decided_twice_is_found() {
    ledger(&[bought(1, 2), bought(1, 2)]);
}

#[test]
#[should_panic(expected = "came back twice")]
fn more_that_comes_back_than_was_bought_is_found() {
    ledger(&[bought(1, 2), returned(2, 1, 4), returned(3, 1, 4)]);
}

#[test]
#[should_panic(expected = "is of another purchase")]
fn a_return_of_another_purchase_is_found() {
    ledger(&[bought(1, 2), returned(2, 1, 3)]);
}

#[test]
#[should_panic(expected = "sold and receipts")]
fn a_return_that_nobody_was_told_of_is_found() {
    compare(&ledger(&[bought(1, 2), returned(2, 1, 4)]), &told([receipt(1, 4, 2)]));
}

#[test]
#[should_panic(expected = "oversold")]
fn more_than_there_was_is_found() {
    ledger(&[bought(1, 6), bought(2, 5)]);
}

#[test]
#[should_panic(expected = "two outcomes of order")]
fn another_answer_to_the_same_order_is_found() {
    let told = told([receipt(1, 4, 2)]);
    told.told(key(1), receipt(1, 4, 3));
}
