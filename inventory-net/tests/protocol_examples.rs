//! The examples of PROTOCOL.md and the code say the same, both ways.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::BTreeSet;

use bytes::BytesMut;
use inventory_core::journal::ScanPlace;
use inventory_core::{
    BalanceRow, BalancesPage, BulkEntries, BulkOrder, BulkOutcome, BulkPostingReceipt, BulkReceipt,
    EntriesOutcome, Entry, LevelRow, LevelsPage, LocationId, Money, NameColumn, OneOrMany, Order, OrderKey,
    OrderLine, Posting, PostingReceipt, Receipt, Refund, Refusal, Return, ReturnReceipt, Role, RowCodes,
    Shortage, Time, Units, Upc, Version,
};
use inventory_net::message::{
    Account, ClientHello, Done, EntriesPage, EntryRow, Op, Password, ProtocolError, ProtocolErrorCode,
    ReplyBody, RequestBody, RequestId, ServerHello, Status, Token, Unavailable, decode_reply, decode_request,
    encode_reply, encode_request,
};

/// What an example means.
enum Meaning {
    Request(u32, RequestBody),
    /// A reply to a request of this op.
    Reply(u32, Op, ReplyBody),
}

use Meaning::{Reply, Request};

fn soup() -> Upc {
    Upc::new(36_000_291_452).unwrap()
}

fn tea() -> Upc {
    Upc::new(12_345_678_905).unwrap()
}

fn salt() -> Upc {
    Upc::new(4_006_381_333_931).unwrap()
}

fn units(units: u64) -> Units {
    Units::new(units).unwrap()
}

fn line(upc: Upc, count: u64, location: u16) -> OrderLine {
    OrderLine { upc, location: LocationId(location), units: units(count) }
}

fn key() -> OrderKey {
    "019a9d7c-6a00-7abc-8def-0123456789ab".parse().unwrap()
}

fn other_key() -> OrderKey {
    "019a9d7c-6e80-7123-8a0b-0c0d0e0f1011".parse().unwrap()
}

fn token() -> Token {
    Token::new(std::array::from_fn(|at| u8::try_from(at).unwrap()))
}

fn password(text: &str) -> Password {
    Password::new(text).unwrap()
}

fn account(user: &str, role: Role) -> Account {
    Account { user: user.into(), role }
}

fn level(upc: Upc, name: &str, location: u16, on_hand: u64, reserved: u64, price: Option<i64>) -> LevelRow {
    LevelRow {
        upc,
        name: name.into(),
        location: LocationId(location),
        on_hand: units(on_hand),
        reserved: units(reserved),
        price: price.map(Money::from_minor),
    }
}

fn levels(levels: Vec<LevelRow>, next: Option<Upc>) -> ReplyBody {
    ReplyBody::Done(Done::Levels(LevelsPage { levels, next }))
}

fn short(upc: Upc, location: u16, requested: u64, available: u64) -> Shortage {
    let (requested, available) = (units(requested), units(available));
    Shortage { upc, location: LocationId(location), requested, available }
}

fn purchase(id: u32, key: OrderKey, lines: Vec<OrderLine>) -> Meaning {
    Request(id, RequestBody::Purchase(Order { key, lines: lines.into(), charge: None }))
}

fn receipt(
    key: OrderKey,
    version: u64,
    user: &str,
    at: u64,
    lines: Vec<OrderLine>,
    total: Option<i64>,
) -> ReplyBody {
    ReplyBody::Done(Done::Receipt(Receipt {
        key,
        version: Version(version),
        user: user.into(),
        at: Time::from_micros(at),
        lines: OneOrMany::from(lines),
        total: total.map(Money::from_minor),
        charged: None,
    }))
}

fn purchase_bulk(id: u32, key: OrderKey, location: u16, upcs: &[Upc], units: &[u32]) -> Meaning {
    Request(id, RequestBody::PurchaseBulk(BulkOrder::new(key, LocationId(location), upcs, units).unwrap()))
}

/// A batch of which one row was accepted.
fn bulk_receipt(
    key: OrderKey,
    version: u64,
    user: &str,
    rows: u32,
    codes: &[u8],
    (bought, total): (u64, Option<i64>),
) -> Meaning {
    let codes = RowCodes::new(codes.to_vec()).unwrap();
    let (units, total) = (units(bought), total.map(Money::from_minor));
    let outcome = BulkOutcome { rows, accepted_rows: 1, units, total, codes };
    let at = Time::from_micros(1_763_650_001_500_000);
    let receipt = BulkReceipt { key, version: Version(version), user: user.into(), at, outcome };
    Reply(13, Op::PurchaseBulk, ReplyBody::Done(Done::BulkReceipt(receipt)))
}

fn refused(id: u32, op: Op, refusal: Refusal) -> Meaning {
    Reply(id, op, ReplyBody::Refused(refusal))
}

fn done(id: u32, op: Op, done: Done) -> Meaning {
    Reply(id, op, ReplyBody::Done(done))
}

fn unavailable(reason: Unavailable) -> Meaning {
    Reply(7, Op::Purchase, ReplyBody::Unavailable(reason))
}

fn meaning(name: &str) -> Meaning {
    let meaning = session_meaning(name).or_else(|| order_meaning(name)).or_else(|| return_meaning(name));
    let meaning = meaning.or_else(|| account_meaning(name));
    meaning.unwrap_or_else(|| catalogue_meaning(name))
}

fn session_meaning(name: &str) -> Option<Meaning> {
    Some(match name {
        "hello" => Request(
            1,
            RequestBody::Hello(ClientHello {
                protocol: vec![1],
                client: "example/1.0".into(),
                frame_bytes_max: 65_536,
            }),
        ),
        "hello done" => done(
            1,
            Op::Hello,
            Done::Hello(ServerHello {
                protocol: 1,
                server: "inventory/0.1.0".into(),
                frame_bytes_max: 1_048_576,
                in_flight_max: 1_024,
                order_lines_max: 1_024,
                bulk_rows_max: 8_192,
            }),
        ),
        "log_in" => Request(2, RequestBody::LogIn { user: "alice".into(), password: password("alice-demo") }),
        "log_in done" => {
            done(2, Op::LogIn, Done::LoggedIn { token: token(), account: account("alice", Role::Buyer) })
        }
        "too_many_attempts" => Reply(2, Op::LogIn, ReplyBody::Unavailable(Unavailable::TooManyAttempts)),
        "bad_credentials" => refused(2, Op::LogIn, Refusal::BadCredentials),
        "resume" => Request(2, RequestBody::Resume { token: token() }),
        "resume done" => done(2, Op::Resume, Done::Account(account("alice", Role::Buyer))),
        "not_logged_in" => refused(2, Op::Resume, Refusal::NotLoggedIn),
        "log_out" => Request(9, RequestBody::LogOut),
        "log_out done" => done(9, Op::LogOut, Done::LoggedOut),
        "who_am_i" => Request(3, RequestBody::WhoAmI),
        "who_am_i done" => done(3, Op::WhoAmI, Done::Account(account("admin", Role::Administrator))),
        "malformed" => Reply(
            9,
            Op::WhoAmI,
            ReplyBody::ProtocolError(ProtocolError::new(
                ProtocolErrorCode::Malformed,
                "there are bytes behind the message (at byte 4)",
            )),
        ),
        "timed_out" => Reply(
            0,
            Op::Hello,
            ReplyBody::ProtocolError(ProtocolError::new(
                ProtocolErrorCode::TimedOut,
                "idle for too long without a login",
            )),
        ),
        "unsupported_protocol" => {
            Reply(1, Op::Hello, ReplyBody::ProtocolError(ProtocolError::unsupported_protocol()))
        }
        _ => return None,
    })
}

fn order_meaning(name: &str) -> Option<Meaning> {
    let order_refused = |refusal| refused(7, Op::Purchase, refusal);
    Some(match name {
        "purchase one line" => purchase(7, key(), vec![line(soup(), 2, 0)]),
        "receipt of one line" => Reply(
            7,
            Op::Purchase,
            receipt(key(), 1_042, "alice", 1_763_650_000_000_123, vec![line(soup(), 2, 0)], Some(258)),
        ),
        "purchase several lines" => {
            purchase(7, other_key(), vec![line(soup(), 2, 0), line(tea(), 1, 3), line(soup(), 1, 0)])
        }
        "receipt of several lines" => Reply(
            7,
            Op::Purchase,
            receipt(
                other_key(),
                70_000,
                "bob",
                1_763_650_001_500_000,
                vec![line(soup(), 3, 0), line(tea(), 1, 3)],
                None,
            ),
        ),
        "purchase_bulk" => {
            let upcs = [soup(), Upc::new(36_000_291_453).unwrap(), tea(), soup()];
            purchase_bulk(13, other_key(), 0, &upcs, &[2, 1, 5, 0])
        }
        "purchase_bulk elsewhere" => purchase_bulk(13, key(), 3, &[tea()], &[1]),
        "bulk receipt" => bulk_receipt(other_key(), 70_000, "bob", 4, &[0, 20, 21, 22], (2, Some(258))),
        "bulk receipt of accepted rows" => bulk_receipt(key(), 70_001, "alice", 1, &[], (1, None)),
        "insufficient_stock" => order_refused(Refusal::InsufficientStock {
            shortages: Box::new([short(soup(), 0, 200, 97), short(tea(), 3, 5, 0)]),
        }),
        "unknown_item" => order_refused(Refusal::UnknownItem { upc: Upc::new(36_000_291_453).unwrap() }),
        "zero_quantity" => order_refused(Refusal::ZeroQuantity { upc: soup() }),
        "overflow" => order_refused(Refusal::Overflow { upc: soup() }),
        "too_many_lines" => order_refused(Refusal::TooManyLines { lines: 10_000 }),
        "key_reused" => order_refused(Refusal::KeyReused),
        "overloaded" => unavailable(Unavailable::Overloaded),
        "poisoned" => unavailable(Unavailable::Poisoned),
        "draining" => unavailable(Unavailable::Draining),
        "receipt" => Request(8, RequestBody::Receipt { key: key() }),
        "unknown_order" => refused(8, Op::Receipt, Refusal::UnknownOrder),
        _ => return None,
    })
}

const AT: Time = Time::from_micros(1_763_650_001_500_000);

fn money(minor: i64) -> Money {
    Money::from_minor(minor)
}

fn posting_receipt(key: OrderKey, version: u64, entry: Entry<&str>, balances: (i64, Option<i64>)) -> Meaning {
    let entry = entry.map(|name| Some((*name).into())).unwrap();
    let (balance, counterpart_balance) = (money(balances.0), balances.1.map(money));
    let (version, user) = (Version(version), "admin".into());
    let receipt = PostingReceipt { key, version, user, at: AT, entry, balance, counterpart_balance };
    done(14, Op::Post, Done::PostingReceipt(receipt))
}

fn bulk_posting_receipt(rows: u32, accepted_rows: u32, codes: &[u8]) -> Meaning {
    let outcome =
        EntriesOutcome { rows, accepted_rows, codes: RowCodes::of_entries(codes.to_vec()).unwrap() };
    let (key, version, user) = (other_key(), Version(70_004), "admin".into());
    done(
        15,
        Op::PostBulk,
        Done::BulkPostingReceipt(BulkPostingReceipt { key, version, user, at: AT, outcome }),
    )
}

fn return_meaning(name: &str) -> Option<Meaning> {
    let both = vec![line(soup(), 1, 0), line(tea(), 1, 3)];
    let ask = |lines: Vec<OrderLine>| {
        let (key, order) = (other_key(), key());
        Request(22, RequestBody::Return(Return { key, order, lines: lines.into(), evidence: None }))
    };
    let receipt = |version, user: &str, lines: Vec<OrderLine>, refund| {
        let (key, order, version, lines) = (other_key(), key(), Version(version), lines.into());
        let receipt = ReturnReceipt { key, version, user: user.into(), at: AT, order, lines, refund };
        done(22, Op::Return, Done::ReturnReceipt(Box::new(receipt)))
    };
    Some(match name {
        "return" => ask(both),
        "return everything" => ask(vec![]),
        "return receipt" => receipt(70_006, "bob", both, None),
        "return receipt with a refund" => {
            let refund = Refund { account: "alice".into(), amount: money(258) };
            receipt(70_007, "alice", vec![line(soup(), 2, 0)], Some(refund))
        }
        "exceeds_purchase" => {
            let shortages = Box::new([short(soup(), 0, 3, 1), short(tea(), 3, 1, 0)]);
            refused(22, Op::Return, Refusal::ExceedsPurchase { shortages })
        }
        _ => return None,
    })
}

fn balance(account: &str, minor: i64, floor: Option<i64>) -> BalanceRow {
    BalanceRow { account: account.into(), balance: money(minor), floor: floor.map(money) }
}

fn entry(version: u64, reason: &str, change: i64, user: Option<&str>, key: OrderKey) -> EntryRow {
    let (reason, user) = (reason.into(), user.map(Into::into));
    EntryRow { version: Version(version), at: AT, reason, change: money(change), user, key }
}

fn account_meaning(name: &str) -> Option<Meaning> {
    let post = |key, entry| Request(14, RequestBody::Post(Posting { key, entry }));
    let ask_entries =
        |id, place, limit| Request(id, RequestBody::Entries { account: "Marc".into(), place, limit });
    let give_entries =
        |id, entries, next, start| done(id, Op::Entries, Done::Entries(EntriesPage { entries, next, start }));
    let marc = || "Marc".into();
    let place = ScanPlace { after: Version(70_001), skip: 2 };
    Some(match name {
        "purchase charged to an account" => {
            let lines = vec![line(soup(), 2, 0)].into();
            Request(7, RequestBody::Purchase(Order { key: key(), lines, charge: Some("alice".into()) }))
        }
        "receipt of a charged purchase" => {
            let lines = vec![line(soup(), 2, 0)];
            let mut body = receipt(key(), 1_042, "alice", 1_763_650_000_000_123, lines, Some(258));
            if let ReplyBody::Done(Done::Receipt(receipt)) = &mut body {
                receipt.charged = Some("alice".into());
            }
            Reply(7, Op::Purchase, body)
        }
        "insufficient_funds" => {
            let short_by = money(158);
            refused(7, Op::Purchase, Refusal::InsufficientFunds { account: "alice".into(), short_by })
        }
        "unpriced" => refused(7, Op::Purchase, Refusal::Unpriced { upc: soup() }),
        "post" => post(key(), Entry::Credit { account: marc(), amount: money(250) }),
        "post transfer" => {
            post(other_key(), Entry::Transfer { from: marc(), to: "Zoë".into(), amount: money(100) })
        }
        "posting receipt" => {
            let entry = Entry::Credit { account: "Marc", amount: money(250) };
            posting_receipt(key(), 70_002, entry, (250, None))
        }
        "posting receipt of a transfer" => {
            let entry = Entry::Transfer { from: "Marc", to: "Zoë", amount: money(100) };
            posting_receipt(other_key(), 70_003, entry, (150, Some(100)))
        }
        "balance_out_of_range" => refused(14, Op::Post, Refusal::BalanceOutOfRange { account: marc() }),
        "post_bulk" => {
            let mut names = NameColumn::default();
            assert!(["Marc", "Marc", "two words"].iter().all(|name| names.push(name.as_bytes())));
            let batch = BulkEntries::new(other_key(), names, vec![200, -100, 1]).unwrap();
            Request(15, RequestBody::PostBulk(batch))
        }
        "bulk posting receipt" => bulk_posting_receipt(3, 2, &[0, 0, 42]),
        "set_floor" => Request(16, RequestBody::SetFloor { account: marc(), floor: Some(money(-5_000)) }),
        "set_floor none" => Request(16, RequestBody::SetFloor { account: marc(), floor: None }),
        "set_floor done" => done(16, Op::SetFloor, Done::Version(Version(70_005))),
        "floor_above_balance" => {
            refused(16, Op::SetFloor, Refusal::FloorAboveBalance { balance: money(150) })
        }
        "balance" => Request(17, RequestBody::Balance { account: marc() }),
        "balance done" => done(17, Op::Balance, Done::Balance(balance("Marc", 150, Some(-5_000)))),
        "unknown_account" => refused(17, Op::Balance, Refusal::UnknownAccount { account: marc() }),
        "balances" => Request(18, RequestBody::Balances { after: None, limit: Some(2) }),
        "balances page" => {
            let balances = vec![balance("Marc", 150, Some(-5_000)), balance("Zoë", 100, None)];
            done(18, Op::Balances, Done::Balances(BalancesPage { balances, next: Some("Zoë".into()) }))
        }
        "balances next" => Request(19, RequestBody::Balances { after: Some("Zoë".into()), limit: Some(2) }),
        "balances last page" => done(19, Op::Balances, Done::Balances(BalancesPage::default())),
        "entries" => ask_entries(20, ScanPlace::default(), Some(2)),
        "entries page" => {
            let first = entry(70_002, "posting", 250, Some("admin"), key());
            let second = entry(70_003, "purchase", -100, None, other_key());
            give_entries(20, vec![first, second], Some(place), Some(Version(500)))
        }
        "entries next" => ask_entries(21, place, None),
        "entries last page" => give_entries(21, vec![], None, None),
        _ => return None,
    })
}

fn catalogue_meaning(name: &str) -> Meaning {
    let set_level = |count, location| {
        let (units, location) = (units(count), LocationId(location));
        Request(11, RequestBody::SetInitialLevel { upc: salt(), location, units })
    };
    match name {
        "levels" => Request(4, RequestBody::Levels { after: None, limit: Some(2) }),
        "levels page" => {
            let tea = level(tea(), "Black tea, 50 bags", 0, 3, 0, Some(299));
            Reply(
                4,
                Op::Levels,
                levels(vec![tea, level(soup(), "Tomato soup", 0, 100, 0, None)], Some(soup())),
            )
        }
        "levels next" => Request(5, RequestBody::Levels { after: Some(soup()), limit: Some(2) }),
        "levels last page" => Reply(5, Op::Levels, levels(vec![], None)),
        "item" => Request(6, RequestBody::Item { upc: soup() }),
        "item done" => {
            let main = level(soup(), "Tomato soup", 0, 100, 5, Some(129));
            Reply(6, Op::Item, levels(vec![main, level(soup(), "Tomato soup", 3, 12, 0, Some(129))], None))
        }
        "define_item" => {
            let (name, price) = ("Sea salt".into(), Some(Money::from_minor(89)));
            Request(10, RequestBody::DefineItem { upc: salt(), name, price })
        }
        "define_item done" => done(10, Op::DefineItem, Done::Version(Version(17))),
        "invalid_value" => refused(10, Op::DefineItem, Refusal::InvalidValue { field: "upc" }),
        "set_initial_level" => set_level(100, 0),
        "set_initial_level elsewhere" => set_level(12, 3),
        "set_initial_level done" => done(11, Op::SetInitialLevel, Done::Version(Version(18))),
        "not_permitted" => refused(11, Op::SetInitialLevel, Refusal::NotPermitted),
        "add_user" => {
            let (name, password) = ("carol".into(), password("a long secret"));
            Request(12, RequestBody::AddUser { name, password, role: Role::Buyer })
        }
        "add_user done" => done(12, Op::AddUser, Done::Version(Version(19))),
        other => panic!("the example {other:?} has no meaning in this test: add it"),
    }
}

#[test]
fn every_example_means_what_it_says_both_ways() {
    let examples = support::examples();
    assert!(examples.len() >= 20, "at least 20 worked examples, not {}", examples.len());
    for example in &examples {
        let (name, payload) = (&example.name, example.payload());
        let mut encoded = BytesMut::new();
        match meaning(name) {
            Request(id, body) => {
                let request = decode_request(payload).unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!((request.id.get(), &request.body), (id, &body), "{name}");
                encode_request(&mut encoded, request.id, &body).unwrap();
            }
            Reply(id, op, body) => {
                let reply = decode_reply(payload, |asked| (asked.get() == id).then_some(op))
                    .unwrap_or_else(|error| panic!("{name}: {error}"));
                assert_eq!((reply.id, &reply.body), (RequestId::new(id), &body), "{name}");
                encode_reply(&mut encoded, reply.id, &body).unwrap();
            }
        }
        assert_eq!(encoded, payload, "{name}: encoded again");
    }
}

#[test]
fn every_example_has_the_bytes_of_its_notation() {
    for example in support::examples() {
        assert_eq!(support::encode_notation(&example.notation), example.payload(), "{}", example.name);
    }
}

#[test]
fn the_examples_cover_every_op_and_status_and_every_refusal_with_details() {
    let (mut asked, mut answered, mut statuses, mut details) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for example in support::examples() {
        match meaning(&example.name) {
            Request(_, body) => {
                asked.insert(body.op().name());
            }
            Reply(_, op, body) => {
                statuses.insert(body.status().name());
                match body {
                    ReplyBody::Done(_) => {
                        answered.insert(op.name());
                    }
                    ReplyBody::Refused(refusal) => {
                        details.insert(refusal.name());
                    }
                    _ => {}
                }
            }
        }
    }
    for op in Op::ALL {
        assert!(asked.contains(op.name()), "no request of {}", op.name());
        // A receipt is answered as its purchase is.
        assert!(op == Op::Receipt || answered.contains(op.name()), "no answer to {}", op.name());
    }
    assert_eq!(statuses.len(), Status::ALL.len());
    for row in support::rows("Refusals") {
        assert!(row[2].is_empty() || details.contains(&*row[1]), "no example of {}", row[1]);
    }
}
