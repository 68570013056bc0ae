//! Every bound of the wire in one place, related to each other and to the core's at compile time.
//!
//! They are part of the contract: PROTOCOL.md lists them, and a test holds both together.

use inventory_core::limits::{
    ACCOUNT_NAME_BYTES_MAX, BALANCES_PAGE_MAX, BULK_ROWS_MAX, ENTRIES_BATCH_MAX, ENTRIES_NAME_BYTES_MAX,
    ITEM_NAME_BYTES_MAX, LEVELS_PAGE_MAX, ORDER_LINES_MAX, USER_NAME_BYTES_MAX,
};

/// The protocol version that this program speaks.
pub const PROTOCOL_VERSION: u32 = 1;
/// Bytes of the length in front of every payload.
pub const FRAME_HEADER_BYTES: usize = 4;
/// Largest payload a server takes on a connection before its first login, in bytes.
pub const ANONYMOUS_FRAME_BYTES_MAX: usize = 4 << 10;
/// Largest payload that either side may offer to take, in bytes; also the default.
pub const FRAME_BYTES_MAX: usize = 1 << 20;
/// Least that a side must be ready to take, in bytes: any receipt and any refusal fit.
pub const FRAME_BYTES_MIN: usize = 64 << 10;
/// Most requests of one connection that may wait for their replies; also the default.
pub const IN_FLIGHT_MAX: usize = 1_024;
/// Most requests of a connection without a session that may wait for their replies: so a flood of them takes turns
/// with everybody else's.
pub const ANONYMOUS_IN_FLIGHT_MAX: usize = 8;
/// Deepest nesting of arrays and maps in a message.
pub const DEPTH_MAX: usize = 8;
/// Most keys of a map.
pub const FIELDS_MAX: usize = 64;
/// Largest key of a map, in bytes of UTF-8.
pub const FIELD_NAME_BYTES_MAX: usize = 64;
/// Largest password, in bytes of UTF-8.
pub const PASSWORD_BYTES_MAX: usize = 1_024;
/// Bytes of a session token.
pub const TOKEN_BYTES: usize = 32;
/// Largest account name in a request but for a batch of entries and a page's `after`, in bytes of UTF-8: any receipt and any
/// refusal that repeats it fits. The line protocol and embedding programs can make accounts with longer names.
pub const ACCOUNT_BYTES_MAX: usize = 16 << 10;
/// Most rows on a page of balances or entries.
pub const ACCOUNT_ROWS_MAX: u32 = 256;
/// Largest `message`, `client` or `server` text that is sent, in bytes of UTF-8; longer ones are cut.
pub const TEXT_BYTES_MAX: usize = 1_024;
/// How long a frame that has begun may take to become complete, in microseconds.
pub const FRAME_DEADLINE_US: u64 = 30 * 1_000_000;
/// How long a connection that has not logged in may be idle, in microseconds.
pub const ANONYMOUS_DEADLINE_US: u64 = 30 * 1_000_000;
/// Wrong passwords for one user after which the first pause begins.
pub const ACCOUNT_GUESSES_FREE: u32 = 5;
/// Wrong passwords from one address after which the first pause begins.
pub const ADDRESS_GUESSES_FREE: u32 = 20;
/// The longest pause after wrong passwords, in microseconds.
pub const GUESS_PAUSE_US_MAX: u64 = 30 * 1_000_000;
/// The longest pause that wrong passwords for a user make for an address that has none on record, in microseconds.
pub const NEWCOMER_PAUSE_US_MAX: u64 = 5 * 1_000_000;
/// Unsent bytes of replies, with those still to come to reads, above which a server reads no further requests of a
/// connection: a full page is more, so none is made for a peer that has not taken the one before.
pub const OUTPUT_BYTES_TARGET: usize = 32 << 10;
/// Most items on a page of levels. Making a page takes as long as dozens of purchases, and is not interrupted.
pub const LEVELS_PAGE_ITEMS_MAX: u32 = 128;
/// Upper bound of a row of a page, in bytes.
pub(crate) const LEVEL_BYTES_MAX: usize = 64 + ITEM_NAME_BYTES_MAX;

/// What the two buffers of a connection may come to without being counted one by one, in bytes: any frame of a client
/// without a session fits.
pub const BUFFER_BYTES_MIN: usize = 8 << 10;

/// Upper bound of a message without its lists and texts, in bytes.
const MESSAGE_FIXED_BYTES_MAX: usize = 256;
/// Bytes of one row of a bulk purchase: a UPC and a quantity.
const BULK_ROW_BYTES: usize = 8 + 4;
/// Upper bound of one row of `lines` in a refusal: its head, UPC, location, requested, available.
const SHORTAGE_ROW_BYTES_MAX: usize = 1 + 9 + 3 + 9 + 9;
/// Bytes of one row of a batch of entries without its name: an amount, a place among the names, and the head of a name.
const ENTRY_ROW_BYTES: usize = 8 + 4 + 5;
/// Upper bound of one row of a receipt: its head, UPC, units, location.
const LINE_BYTES_MAX: usize = 1 + 9 + 9 + 3;
/// Upper bound of one row of a page of entries without the user's name.
const ENTRY_BYTES_MAX: usize = 96;

const _: () = {
    assert!(
        ORDER_LINES_MAX * SHORTAGE_ROW_BYTES_MAX + TEXT_BYTES_MAX + MESSAGE_FIXED_BYTES_MAX
            <= FRAME_BYTES_MIN
    );
    assert!(BULK_ROWS_MAX * BULK_ROW_BYTES + MESSAGE_FIXED_BYTES_MAX <= FRAME_BYTES_MAX);
    assert!(
        ENTRIES_BATCH_MAX * ENTRY_ROW_BYTES + ENTRIES_NAME_BYTES_MAX + MESSAGE_FIXED_BYTES_MAX
            <= FRAME_BYTES_MAX
    );
    // A transfer names two accounts, and so does its receipt.
    assert!(2 * ACCOUNT_BYTES_MAX + USER_NAME_BYTES_MAX + MESSAGE_FIXED_BYTES_MAX <= FRAME_BYTES_MIN);
    assert!(
        ORDER_LINES_MAX * LINE_BYTES_MAX + ACCOUNT_BYTES_MAX + USER_NAME_BYTES_MAX + MESSAGE_FIXED_BYTES_MAX
            <= FRAME_BYTES_MIN
    );
    assert!(ACCOUNT_BYTES_MAX + TEXT_BYTES_MAX + MESSAGE_FIXED_BYTES_MAX <= FRAME_BYTES_MIN);
    assert!(ACCOUNT_BYTES_MAX <= ACCOUNT_NAME_BYTES_MAX);
    // A page of entries needs not be cut; one of balances with long names may.
    assert!(
        ACCOUNT_ROWS_MAX as usize * (ENTRY_BYTES_MAX + USER_NAME_BYTES_MAX) + MESSAGE_FIXED_BYTES_MAX
            <= FRAME_BYTES_MIN
    );
    assert!(ACCOUNT_ROWS_MAX as usize <= BALANCES_PAGE_MAX);
    assert!(ENTRIES_BATCH_MAX <= BULK_ROWS_MAX);
    // One code a row.
    assert!(BULK_ROWS_MAX + USER_NAME_BYTES_MAX + MESSAGE_FIXED_BYTES_MAX <= FRAME_BYTES_MIN);
    assert!(PASSWORD_BYTES_MAX + USER_NAME_BYTES_MAX + MESSAGE_FIXED_BYTES_MAX <= ANONYMOUS_FRAME_BYTES_MAX);
    assert!(ITEM_NAME_BYTES_MAX + MESSAGE_FIXED_BYTES_MAX <= FRAME_BYTES_MIN);
    // A page of items at one location each need not be cut for any client.
    assert!(LEVELS_PAGE_ITEMS_MAX as usize * LEVEL_BYTES_MAX + MESSAGE_FIXED_BYTES_MAX <= FRAME_BYTES_MIN);
    assert!(LEVELS_PAGE_ITEMS_MAX as usize * LEVEL_BYTES_MAX > OUTPUT_BYTES_TARGET);
    assert!(LEVELS_PAGE_ITEMS_MAX as usize <= LEVELS_PAGE_MAX);
    assert!(ANONYMOUS_FRAME_BYTES_MAX + FRAME_HEADER_BYTES < BUFFER_BYTES_MIN);
    assert!(ANONYMOUS_FRAME_BYTES_MAX <= FRAME_BYTES_MIN && FRAME_BYTES_MIN <= FRAME_BYTES_MAX);
    assert!(FRAME_BYTES_MAX <= u32::MAX as usize);
};
