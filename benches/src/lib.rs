//! Shared set-up of the benches: shops of any size, and orders for them.

pub mod server;

pub use inventory_load::shop::{UNITS_PER_ITEM, upc};

use std::error::Error;
use std::fmt::Write as _;

use inventory_core::journal::Tip;
use inventory_core::state::State;
use inventory_core::{
    Actor, BulkOrder, Command, Engine, EngineConfig, LocationId, Money, Order, OrderKey, OrderLine, Receipt,
    Reply, Role, Time, Units, Upc, UserId, Version,
};

/// The instant at which every bench begins.
pub const NOW: Time = Time::from_micros(1_795_219_200_000_000);
/// The one buyer.
pub const BUYER: Actor = Actor::User(UserId(1));
/// Any error: a bench ends at the first one.
pub type AnyError = Box<dyn Error + Send + Sync>;

/// What there is; or, at an error, the end of the bench, with a message.
pub fn or_exit<T>(result: Result<T, AnyError>) -> T {
    result.unwrap_or_else(|error| {
        eprintln!("bench ended early: {error}");
        std::process::exit(1)
    })
}

/// The `sequence`-th order key.
pub const fn key(sequence: u64) -> OrderKey {
    // The multiplier spreads the sequence over the random bits; 100 keys share a millisecond.
    let random = (sequence as u128).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    OrderKey::from_parts(NOW.plus_micros(sequence * 10), random)
}

/// An order of one unit of one item.
pub fn order(sequence: u64, item: Upc) -> Order {
    let units = Units::new(1).unwrap_or_default();
    Order { key: key(sequence), lines: OrderLine::new(item, units).into(), charge: None }
}

/// Rows of each batch: as many as there may be.
pub const BULK_ROWS: u64 = inventory_core::limits::BULK_ROWS_MAX as u64;

/// A batch of one unit of each of these items.
pub fn bulk_order(sequence: u64, upcs: Vec<Upc>) -> Result<BulkOrder, AnyError> {
    let units = vec![1; upcs.len()];
    Ok(BulkOrder::new(key(sequence), LocationId::MAIN, upcs, units)?)
}

/// The receipt that an order of the buyer gets.
pub fn receipt_of(order: &Order) -> Receipt {
    Receipt {
        key: order.key,
        version: Version(1_042),
        user: "alice".into(),
        at: NOW.plus_micros(123),
        lines: order.lines.clone(),
        total: Some(Money::from_minor(258)),
        charged: None,
    }
}

/// A shuffled walk over the items: consecutive orders touch unrelated rows.
pub const fn item_at(sequence: u64, items: u64) -> u64 {
    sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) % items
}

/// An engine that knows nothing yet.
pub fn empty_engine() -> Engine<u64> {
    Engine::new(State::new(0x5eed), Tip::default(), EngineConfig::default())
}

/// An engine with this many items and one buyer, all of it durable.
pub fn engine(items: u64) -> Result<Engine<u64>, AnyError> {
    let mut engine = empty_engine();
    stock(&mut engine, items, |engine| {
        settle(engine);
        Ok(())
    })?;
    Ok(engine)
}

/// Gives an empty engine one buyer and this many items; `flush` makes durable what has gathered.
pub fn stock(
    engine: &mut Engine<u64>,
    items: u64,
    mut flush: impl FnMut(&mut Engine<u64>) -> Result<(), AnyError>,
) -> Result<(), AnyError> {
    let units = Units::new(UNITS_PER_ITEM).unwrap_or_default();
    let buyer = Command::AddUser { name: "buyer".into(), password_hash: "".into(), role: Role::Buyer };
    submit(engine, buyer)?;
    for index in 0..items {
        let (upc, price) = (upc(index)?, Some(Money::from_minor(199)));
        submit(engine, Command::DefineItem { upc, name: "item".into(), price })?;
        submit(engine, Command::SetInitialLevel { upc, location: LocationId::MAIN, units })?;
        if index % 1_024 == 0 {
            flush(engine)?;
        }
    }
    flush(engine)
}

fn submit(engine: &mut Engine<u64>, command: Command) -> Result<(), AnyError> {
    engine.submit(NOW, 0, Actor::System, command.into());
    match engine.poll_reply() {
        Some((_, Reply::Refused(refusal))) => Err(refusal.to_string().into()),
        _ => Ok(()),
    }
}

/// Takes every open group as written and every reply as sent.
pub fn settle(engine: &mut Engine<u64>) {
    while engine.poll_append(inventory_core::AppendId(1)).is_some() {
        engine.appended();
    }
    while engine.poll_reply().is_some() {}
}

/// So many lines of credits and debits, of scattered accounts and amounts.
pub fn ledger_lines(count: u64) -> String {
    (0..count).fold(String::new(), |mut text, sequence| {
        let random = sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let kind = if random % 2 == 0 { "credit" } else { "debit" };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "customer{} {kind} ${}.{:02}", random % 5_000, random % 1_000, random % 100);
        text
    })
}
