//! Every bound of the engine in one place, related to each other at compile time.
//!
//! A bound that two programs must agree on (a wire limit, a text length) is part of the contract in
//! PROTOCOL.md; change it there in the same commit.

/// Largest number of decimal digits in a [`Upc`](crate::Upc): a GTIN-14 (GS1 General Specifications).
pub const UPC_DIGITS_MAX: u32 = 14;
/// Largest value of a [`Upc`](crate::Upc): fourteen nines.
pub const UPC_MAX: u64 = 10u64.pow(UPC_DIGITS_MAX) - 1;
/// Most units one level, one order line or one total may hold. Two of them add without overflow.
pub const UNITS_MAX: u64 = u64::MAX / 4;
/// Largest item name, in bytes of UTF-8.
pub const ITEM_NAME_BYTES_MAX: usize = 256;
/// Largest user name, in bytes of UTF-8.
pub const USER_NAME_BYTES_MAX: usize = 64;
/// Largest stored password hash (a PHC string), in bytes.
pub const PASSWORD_HASH_BYTES_MAX: usize = 256;
/// Most lines one order may have.
pub const ORDER_LINES_MAX: usize = 1_024;
/// Most rows of one bulk purchase.
pub const BULK_ROWS_MAX: usize = 8_192;
/// Largest account name, in bytes of UTF-8.
pub const ACCOUNT_NAME_BYTES_MAX: usize = 65_535;
/// Most accounts.
pub const ACCOUNTS_MAX: usize = 16 << 20;
/// Most bytes of the names of all accounts together. Whoever may post makes accounts: this bounds what their names take.
pub const ACCOUNTS_NAME_BYTES_MAX: usize = 1 << 30;
/// Most rows of one batch of entries.
pub const ENTRIES_BATCH_MAX: usize = 8_192;
/// Most bytes of account names in one batch of entries, over all its rows.
pub const ENTRIES_NAME_BYTES_MAX: usize = 256 << 10;
/// Most accounts a page of balances may hold.
pub const BALANCES_PAGE_MAX: usize = 1_000;
/// Bytes of names at which a page of balances takes no further account.
pub const BALANCES_PAGE_NAME_BYTES_TARGET: usize = 256 << 10;
/// Most items a page of levels may hold.
pub const LEVELS_PAGE_MAX: usize = 1_000;
/// Most orders of which something came back.
pub const RETURNED_ORDERS_MAX: usize = 16 << 20;
/// Most lines of orders that came back, over all orders: rows of several lines take 16 bytes for each, 1 GiB together.
pub const RETURNED_LINES_MAX: usize = 64 << 20;
/// Most items the catalogue may hold.
pub const ITEMS_MAX: usize = 100_000_000;
/// Most users.
pub const USERS_MAX: usize = 10_000_000;
/// Most sessions of one user; a login beyond it ends the user's oldest session.
pub const SESSIONS_PER_USER_MAX: usize = 64;

/// How long the outcome of an order is kept for retries, in microseconds of the order key's own time.
pub const ORDER_WINDOW_AGE_US: u64 = 24 * 60 * 60 * 1_000_000;
/// How many outcomes are kept at most; beyond it the oldest second of keys leaves the window.
pub const ORDER_WINDOW_COUNT_MAX: usize = 1 << 22;
/// How many bytes of lines, short lines and row codes they may hold at most; beyond it, too, the oldest second leaves.
pub const ORDER_WINDOW_BYTES_MAX: usize = 256 << 20;
/// Keys younger than this never leave the window for want of room, in microseconds: new orders are answered
/// `Overloaded` instead. So a flood of keys, also of keys ahead of the clock, cannot make honest ones too old.
pub const ORDER_WINDOW_AGE_US_MIN: u64 = 4 * 1_000_000;
/// How far ahead of the server's clock an order key may be, in microseconds.
pub const ORDER_KEY_FUTURE_US_MAX: u64 = 60 * 1_000_000;

/// Most requests that may wait in one engine; beyond it requests are answered `Overloaded`.
pub const INBOX_REQUESTS_MAX: usize = 1 << 16;
/// Most undurable bytes (open group and groups in flight) before requests are answered `Overloaded`, unless set otherwise.
pub const UNDURABLE_BYTES_MAX: usize = 64 << 20;
/// Most bytes of lines and levels in waiting requests and their replies before requests are answered `Overloaded`, unless
/// set otherwise.
pub const WAITING_BYTES_MAX: usize = 64 << 20;
/// Size at which an open group takes no further event, in bytes.
pub const GROUP_BYTES_TARGET: usize = 1 << 20;
/// Largest encoded event, in bytes.
pub const EVENT_BYTES_MAX: usize = 384 << 10;
/// Largest encoded group, in bytes: a group just below its target takes one more event.
pub const GROUP_BYTES_MAX: usize = GROUP_BYTES_TARGET + EVENT_BYTES_MAX;

/// Upper bound of the fixed part of an encoded event, in bytes.
const EVENT_FIXED_BYTES_MAX: usize = 128;
/// Bytes of one short line in a recorded refusal: UPC 8, location 2, requested 8, available 8.
const SHORTAGE_BYTES: usize = 26;

/// Bytes of one row of a recorded bulk purchase: item 4, units 4, code 1, and the UPC of an item that does not exist, 8.
const BULK_ROW_BYTES: usize = 17;

/// Bytes of one row of a recorded batch of entries: account, amount, code, and the length of a name that is new.
const ENTRY_ROW_BYTES: usize = 4 + 8 + 1 + 2;

/// Rows that 32 bits can number.
const ROWS_MAX: usize = 0xffff_ffff;

const _: () = {
    assert!(ORDER_LINES_MAX * SHORTAGE_BYTES + EVENT_FIXED_BYTES_MAX <= EVENT_BYTES_MAX);
    assert!(BULK_ROWS_MAX * BULK_ROW_BYTES + EVENT_FIXED_BYTES_MAX <= EVENT_BYTES_MAX);
    assert!(
        ENTRIES_BATCH_MAX * ENTRY_ROW_BYTES + ENTRIES_NAME_BYTES_MAX + EVENT_FIXED_BYTES_MAX
            <= EVENT_BYTES_MAX
    );
    // A transfer may make two accounts.
    assert!(2 * (2 + ACCOUNT_NAME_BYTES_MAX) + EVENT_FIXED_BYTES_MAX <= EVENT_BYTES_MAX);
    assert!(ACCOUNT_NAME_BYTES_MAX <= ENTRIES_NAME_BYTES_MAX && ACCOUNT_NAME_BYTES_MAX < 1 << 16);
    assert!(USER_NAME_BYTES_MAX <= ACCOUNT_NAME_BYTES_MAX);
    // As many accounts as there may be can have names as long as those of users.
    assert!(ACCOUNTS_MAX * USER_NAME_BYTES_MAX <= ACCOUNTS_NAME_BYTES_MAX);
    // A batch that fits an empty table has names that do.
    assert!(ENTRIES_NAME_BYTES_MAX <= ACCOUNTS_NAME_BYTES_MAX);
    assert!(ENTRIES_BATCH_MAX * ENTRY_ROW_BYTES + ENTRIES_NAME_BYTES_MAX <= WAITING_BYTES_MAX / 64);
    assert!(ENTRIES_BATCH_MAX <= ORDER_WINDOW_BYTES_MAX / 64);
    assert!(ITEM_NAME_BYTES_MAX + EVENT_FIXED_BYTES_MAX <= EVENT_BYTES_MAX);
    assert!(USER_NAME_BYTES_MAX + PASSWORD_HASH_BYTES_MAX + EVENT_FIXED_BYTES_MAX <= EVENT_BYTES_MAX);
    assert!(GROUP_BYTES_MAX <= UNDURABLE_BYTES_MAX);
    // A batch of the largest size waits, with its reply, where many others do.
    assert!(BULK_ROWS_MAX * BULK_ROW_BYTES <= WAITING_BYTES_MAX / 64);
    assert!(BULK_ROWS_MAX <= ORDER_WINDOW_BYTES_MAX / 64);
    assert!(UNITS_MAX <= u64::MAX / 2);
    // All units of a batch add up: rows ask for at most 32 bits of them.
    assert!(UNITS_MAX >> 32 >= 1 << 20 && BULK_ROWS_MAX <= 1 << 20);
    assert!(ORDER_KEY_FUTURE_US_MAX < ORDER_WINDOW_AGE_US);
    assert!(ORDER_WINDOW_AGE_US_MIN < ORDER_WINDOW_AGE_US);
    // Rows are numbered in 32 bits, with one number to spare.
    assert!(ITEMS_MAX < ROWS_MAX);
    assert!(USERS_MAX < ROWS_MAX);
    assert!(ACCOUNTS_MAX + ENTRIES_BATCH_MAX < ROWS_MAX);
    assert!(RETURNED_ORDERS_MAX < ROWS_MAX);
    // As many orders as there may be can have a few lines each.
    assert!(RETURNED_ORDERS_MAX * 4 <= RETURNED_LINES_MAX);
};
