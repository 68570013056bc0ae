//! The numbers and names of PROTOCOL.md are those of the code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use inventory_core::limits as core_limits;
use inventory_core::{Money, Refusal, Upc};
use inventory_net::limits;
use inventory_net::message::{Op, ProtocolErrorCode, Status, Unavailable};

fn codes_and_names(heading: &str) -> Vec<(u32, String)> {
    let row = |row: Vec<String>| Some((row[0].parse().ok()?, row[1].clone()));
    support::rows(heading).into_iter().filter_map(row).collect()
}

fn refusals() -> Vec<Refusal> {
    let upc = Upc::new(0).unwrap();
    let all = vec![
        Refusal::NotLoggedIn,
        Refusal::BadCredentials,
        Refusal::NotPermitted,
        Refusal::AlreadyLoggedIn,
        Refusal::UnknownItem { upc },
        Refusal::InsufficientStock { shortages: Box::new([]) },
        Refusal::ZeroQuantity { upc },
        Refusal::Overflow { upc },
        Refusal::TooManyLines { lines: 0 },
        Refusal::EmptyOrder,
        Refusal::InsufficientFunds { account: "a".into(), short_by: Money::ZERO },
        Refusal::BalanceOutOfRange { account: "a".into() },
        Refusal::Unpriced { upc },
        Refusal::UnknownAccount { account: "a".into() },
        Refusal::KeyReused,
        Refusal::KeyTooOld,
        Refusal::KeyFromFuture,
        Refusal::UnknownOrder,
        Refusal::OutcomeNotKept,
        Refusal::ExceedsPurchase { shortages: Box::new([]) },
        Refusal::NotReturnable,
        Refusal::UserExists,
        Refusal::LevelAlreadySet,
        Refusal::InvalidName,
        Refusal::InvalidPrice,
        Refusal::TableFull,
        Refusal::InvalidValue { field: "upc" },
        Refusal::FloorAboveBalance { balance: Money::ZERO },
        Refusal::SameAccount,
    ];
    // The enum is open, so the compiler cannot say what is missing here; its source can.
    let source = include_str!("../../inventory-core/src/refusal.rs");
    let (_, code) = source.split_once("fn code(&self)").unwrap();
    let known = code.split("\n    }\n").next().unwrap().matches("=>").count();
    assert_eq!(all.len(), known, "this list names every refusal");
    all
}

#[test]
fn every_refusal_is_listed_with_its_code() {
    let expected: Vec<_> =
        refusals().iter().map(|refusal| (u32::from(refusal.code()), refusal.name().to_owned())).collect();
    assert_eq!(codes_and_names("Refusals"), expected, "20 to 29 are recorded under the key");
}

#[test]
fn every_op_status_unavailability_and_protocol_error_is_listed_with_its_code() {
    let named = |code: u32, name: &str| (code, name.to_owned());
    let ops: Vec<_> = Op::ALL.iter().map(|op| named(op.code(), op.name())).collect();
    assert_eq!(codes_and_names("6. Operations"), ops);
    let statuses: Vec<_> = Status::ALL.iter().map(|status| named(status.code(), status.name())).collect();
    assert_eq!(codes_and_names("Status"), statuses);
    let reasons: Vec<_> =
        Unavailable::ALL.iter().map(|reason| named(reason.code().into(), reason.name())).collect();
    assert_eq!(codes_and_names("Unavailable"), reasons);
    let errors: Vec<_> =
        ProtocolErrorCode::ALL.iter().map(|error| named(error.code().into(), error.name())).collect();
    assert_eq!(codes_and_names("Protocol errors"), errors);
}

#[test]
fn what_is_certainly_not_done_is_listed_as_such() {
    for (row, reason) in support::rows("Unavailable").iter().zip(Unavailable::ALL) {
        assert_eq!(row[2].starts_with("no"), reason.nothing_was_done(), "{}", reason.name());
    }
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[test]
fn every_limit_is_the_number_of_the_code() {
    let expected: [(&str, &[u64]); 31] = [
        ("payload before the first login of a connection", &[limits::ANONYMOUS_FRAME_BYTES_MAX as u64]),
        ("payload after it", &[limits::FRAME_BYTES_MAX as u64]),
        ("least `frame_bytes_max` of a client", &[limits::FRAME_BYTES_MIN as u64]),
        ("requests in flight", &[limits::IN_FLIGHT_MAX as u64]),
        ("requests in flight before a login", &[limits::ANONYMOUS_IN_FLIGHT_MAX as u64]),
        ("nesting", &[limits::DEPTH_MAX as u64]),
        ("keys of a map", &[limits::FIELDS_MAX as u64]),
        ("field name", &[limits::FIELD_NAME_BYTES_MAX as u64]),
        ("frame to become complete", &[limits::FRAME_DEADLINE_US / 1_000_000]),
        ("idle without a session", &[limits::ANONYMOUS_DEADLINE_US / 1_000_000]),
        ("password", &[limits::PASSWORD_BYTES_MAX as u64]),
        ("user name", &[core_limits::USER_NAME_BYTES_MAX as u64]),
        ("item name", &[core_limits::ITEM_NAME_BYTES_MAX as u64]),
        ("texts that the server sends for people", &[limits::TEXT_BYTES_MAX as u64]),
        ("wrong passwords for a user that are free", &[limits::ACCOUNT_GUESSES_FREE.into()]),
        ("wrong passwords from an address that are free", &[limits::ADDRESS_GUESSES_FREE.into()]),
        ("pause after wrong passwords", &[limits::GUESS_PAUSE_US_MAX / 1_000_000]),
        ("a user's pause for an address without one", &[limits::NEWCOMER_PAUSE_US_MAX / 1_000_000]),
        ("order lines", &[core_limits::ORDER_LINES_MAX as u64]),
        ("rows of a bulk purchase", &[core_limits::BULK_ROWS_MAX as u64]),
        ("items on a page", &[limits::LEVELS_PAGE_ITEMS_MAX.into()]),
        ("account name", &[core_limits::ACCOUNT_NAME_BYTES_MAX as u64]),
        ("account name in most requests", &[limits::ACCOUNT_BYTES_MAX as u64]),
        ("rows of a batch of entries", &[core_limits::ENTRIES_BATCH_MAX as u64]),
        ("names of its rows together", &[core_limits::ENTRIES_NAME_BYTES_MAX as u64]),
        ("rows on a page of balances or entries", &[limits::ACCOUNT_ROWS_MAX.into()]),
        ("units", &[core_limits::UNITS_MAX]),
        ("UPC", &[core_limits::UPC_MAX]),
        ("sessions of a user", &[core_limits::SESSIONS_PER_USER_MAX as u64]),
        (
            "outcome window",
            &[core_limits::ORDER_WINDOW_AGE_US / 3_600_000_000, core_limits::ORDER_WINDOW_COUNT_MAX as u64],
        ),
        ("order key ahead of the server", &[core_limits::ORDER_KEY_FUTURE_US_MAX / 1_000_000]),
    ];
    let listed = support::rows("9. Limits");
    assert_eq!(listed.len(), expected.len(), "each limit is listed once");
    for (row, (name, numbers)) in listed.iter().zip(expected) {
        assert_eq!(row[0], name);
        let words: Vec<&str> = row[1].split(' ').collect();
        for number in numbers {
            assert!(words.contains(&&*grouped(*number)), "{name}: {} is not in {:?}", number, row[1]);
        }
    }
}
