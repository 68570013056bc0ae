//! A program that embeds the engine: open, define, buy, retry the same key, reopen, same receipt.
//!
//! `cargo run -p inventory-core --example embed`
//!
//! The journal here lives in memory. With the file journal of `inventory-store` the same program survives a crash.

use std::error::Error;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use inventory_core::journal::MemoryJournal;
use inventory_core::{Inventory, Order, OrderKey, OrderLine, Role, Time, Units};

fn now() -> Result<Time, Box<dyn Error>> {
    let us = SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros();
    Ok(Time::from_micros(u64::try_from(us)?))
}

/// Random bits from the standard library's hasher keys; a real program asks a random source.
fn random() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let word = || u128::from(RandomState::new().hash_one(0));
    (word() << 64) | word()
}

async fn run() -> Result<(), Box<dyn Error>> {
    let journal = Arc::new(MemoryJournal::new());

    let mut shop = Inventory::open(Arc::clone(&journal), random()).await?;
    let soup = "036000291452".parse()?;
    shop.define_item(now()?, soup, "Tomato soup", Some("1.89".parse()?)).await?;
    shop.set_initial_level(now()?, soup, "100".parse()?).await?;
    let alice = shop.add_user(now()?, "alice", "", Role::Buyer).await?;

    let two: Units = "2".parse()?;
    let order = Order {
        key: OrderKey::from_parts(now()?, random()),
        lines: OrderLine::new(soup, two).into(),
        charge: None,
    };
    let receipt = shop.purchase(now()?, alice, order.clone()).await?;
    println!("bought: order {} made version {}", receipt.key, receipt.version);

    let again = shop.purchase(now()?, alice, order.clone()).await?;
    assert_eq!(again, receipt);
    println!("retried with the same key: the same receipt");

    drop(shop);
    let mut shop = Inventory::open(journal, random()).await?;
    let alice = shop.user("alice").ok_or("alice is gone")?;
    assert_eq!(shop.purchase(now()?, alice, order).await?, receipt);
    println!("reopened and retried: the same receipt");

    for level in shop.levels_of(soup).await? {
        println!("{} {}: {} on hand", level.upc, level.name, level.on_hand);
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    pollster::block_on(run())
}
