//! Memory of the state per level, beyond code and name: the resident set before and after filling a shop.
//!
//! `cargo run --release -p inventory-benches --example memory_per_level -- 10000000`

use std::fs;

use inventory_benches::{AnyError, engine};

/// Bytes of code and name of each item, as the bench makes them.
const CODE_AND_NAME_BYTES: u64 = 8 + 4;

/// Resident set size in bytes, from the kernel's page counts (proc(5), `statm`, pages of 4 KiB).
fn resident_bytes() -> Result<u64, AnyError> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = statm.split(' ').nth(1).ok_or("no resident set in statm")?.parse()?;
    Ok(pages * 4_096)
}

fn main() -> Result<(), AnyError> {
    let items: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let before = resident_bytes()?;
    let shop = engine(items)?;
    let bytes = resident_bytes()? - before;
    let levels = shop.state().stock().iter().count();
    println!("{levels} levels, {} MiB resident", bytes >> 20);
    println!("{} bytes a level, {} beyond code and name", bytes / items, bytes / items - CODE_AND_NAME_BYTES);
    Ok(())
}
