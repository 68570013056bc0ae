//! What is written down outside this crate and must not change by accident: names, codes, bounds and texts.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use inventory_core::limits;
use inventory_core::{
    EntryReason, LocationId, Money, Reason, Refusal, Role, RoleError, RowCodes, Shortage, Unavailable, Units,
    Upc,
};

fn upc(code: u64) -> Upc {
    Upc::new(code).unwrap()
}

fn units(number: u64) -> Units {
    Units::new(number).unwrap()
}

#[test]
fn refusals_have_permanent_codes_and_names() {
    let upc = upc(1);
    let account = || "Marc".into();
    for (refusal, code, name) in [
        (Refusal::NotLoggedIn, 10, "not_logged_in"),
        (Refusal::BadCredentials, 11, "bad_credentials"),
        (Refusal::NotPermitted, 12, "not_permitted"),
        (Refusal::AlreadyLoggedIn, 13, "already_logged_in"),
        (Refusal::UnknownItem { upc }, 20, "unknown_item"),
        (Refusal::InsufficientStock { shortages: [].into() }, 21, "insufficient_stock"),
        (Refusal::ZeroQuantity { upc }, 22, "zero_quantity"),
        (Refusal::Overflow { upc }, 23, "overflow"),
        (Refusal::TooManyLines { lines: 1 }, 24, "too_many_lines"),
        (Refusal::EmptyOrder, 25, "empty_order"),
        (
            Refusal::InsufficientFunds { account: account(), short_by: Money::from_minor(1) },
            26,
            "insufficient_funds",
        ),
        (Refusal::BalanceOutOfRange { account: account() }, 27, "balance_out_of_range"),
        (Refusal::Unpriced { upc }, 28, "unpriced"),
        (Refusal::UnknownAccount { account: account() }, 29, "unknown_account"),
        (Refusal::KeyReused, 30, "key_reused"),
        (Refusal::KeyTooOld, 31, "key_too_old"),
        (Refusal::KeyFromFuture, 32, "key_from_future"),
        (Refusal::UnknownOrder, 33, "unknown_order"),
        (Refusal::UserExists, 40, "user_exists"),
        (Refusal::LevelAlreadySet, 41, "level_already_set"),
        (Refusal::InvalidName, 42, "invalid_name"),
        (Refusal::InvalidPrice, 43, "invalid_price"),
        (Refusal::TableFull, 44, "table_full"),
        (Refusal::InvalidValue { field: "upc" }, 45, "invalid_value"),
        (Refusal::FloorAboveBalance { balance: Money::ZERO }, 46, "floor_above_balance"),
        (Refusal::SameAccount, 47, "same_account"),
    ] {
        assert_eq!((refusal.code(), refusal.name()), (code, name));
    }
}

#[test]
fn rows_of_a_batch_have_the_codes_and_names_of_refusals() {
    let codes = RowCodes::new(vec![0, 20, 21, 22, 23]).unwrap();
    let names = ["accepted", "unknown_item", "insufficient_stock", "zero_quantity", "overflow"];
    assert_eq!([0, 1, 2, 3, 4].map(|row| codes.name(row)), names);
    let codes = RowCodes::of_entries(vec![0, 26, 27, 42, 44]).unwrap();
    let names = ["accepted", "insufficient_funds", "balance_out_of_range", "invalid_name", "table_full"];
    assert_eq!([0, 1, 2, 3, 4].map(|row| codes.name(row)), names);
    assert!([1, 20, 23, 25, 28, 43].iter().all(|code| RowCodes::of_entries(vec![*code]).is_none()));
    assert!([1, 19, 24, 26, 27, 42, 44].iter().all(|code| RowCodes::new(vec![*code]).is_none()));
}

#[test]
fn a_shortage_is_told_line_by_line() {
    let short = |code, location, requested, available| Shortage {
        upc: upc(code),
        location: LocationId(location),
        requested: units(requested),
        available: units(available),
    };
    let shortages = [short(36_000_291_452, 0, 3, 1), short(96_385_074, 7, 2, 0)].into();
    assert_eq!(
        Refusal::InsufficientStock { shortages }.to_string(),
        "not enough stock: 036000291452 at main: 3 asked, 1 available; 96385074 at 7: 2 asked, 0 available"
    );
}

#[test]
fn an_unknown_item_is_suspected_of_a_typing_error_only_if_its_check_digit_is_wrong() {
    let told = |code| Refusal::UnknownItem { upc: upc(code) }.to_string();
    assert_eq!(told(36_000_291_452), "unknown item 036000291452");
    assert!(told(36_000_291_453).contains("typing error"));
}

#[test]
fn roles_and_reasons_have_permanent_names() {
    for (role, name) in [(Role::Buyer, "buyer"), (Role::Administrator, "administrator")] {
        assert_eq!((role.name(), role.to_string(), name.parse()), (name, name.into(), Ok(role)));
    }
    assert_eq!("Buyer".parse::<Role>(), Err(RoleError));
    assert_eq!((EntryReason::Posting.name(), EntryReason::Purchase.name()), ("posting", "purchase"));
    assert_eq!((Reason::InitialLevel.name(), Reason::Purchase.name()), ("initial_level", "purchase"));
}

#[test]
fn each_way_of_being_unavailable_tells_what_to_do() {
    for (why, what_to_do) in [
        (Unavailable::Overloaded, "nothing was done, try again"),
        (Unavailable::NotWritten, "is the disk full?"),
        (Unavailable::Poisoned, "repeat the request with the same order key"),
    ] {
        assert!(why.to_string().contains(what_to_do), "{why}");
    }
}

/// The bounds that PROTOCOL.md names, and those on what an engine holds in memory.
#[test]
fn bounds_are_those_of_the_contract() {
    const SECOND_US: u64 = 1_000_000;
    assert_eq!(limits::UPC_MAX, 99_999_999_999_999);
    assert_eq!(limits::UNITS_MAX, 4_611_686_018_427_387_903);
    assert_eq!(limits::ORDER_WINDOW_AGE_US, 24 * 3_600 * SECOND_US);
    assert_eq!(limits::ORDER_WINDOW_AGE_US_MIN, 4 * SECOND_US);
    assert_eq!(limits::ORDER_WINDOW_COUNT_MAX, 4_194_304);
    assert_eq!(limits::ORDER_KEY_FUTURE_US_MAX, 60 * SECOND_US);
    assert_eq!((limits::ITEM_NAME_BYTES_MAX, limits::USER_NAME_BYTES_MAX), (256, 64));
    assert_eq!((limits::ORDER_LINES_MAX, limits::LEVELS_PAGE_MAX), (1_024, 1_000));
    assert_eq!((limits::BULK_ROWS_MAX, limits::ORDER_WINDOW_BYTES_MAX), (8_192, 268_435_456));
    assert_eq!(limits::INBOX_REQUESTS_MAX, 65_536);
    assert_eq!((limits::UNDURABLE_BYTES_MAX, limits::WAITING_BYTES_MAX), (67_108_864, 67_108_864));
    assert_eq!((limits::GROUP_BYTES_TARGET, limits::EVENT_BYTES_MAX), (1_048_576, 393_216));
    assert_eq!(limits::GROUP_BYTES_MAX, 1_441_792);
    assert_eq!((limits::ACCOUNT_NAME_BYTES_MAX, limits::ACCOUNTS_MAX), (65_535, 16_777_216));
    assert_eq!(limits::ACCOUNTS_NAME_BYTES_MAX, 1_073_741_824);
    assert_eq!((limits::ENTRIES_BATCH_MAX, limits::ENTRIES_NAME_BYTES_MAX), (8_192, 262_144));
    assert_eq!((limits::BALANCES_PAGE_MAX, limits::BALANCES_PAGE_NAME_BYTES_TARGET), (1_000, 262_144));
}
