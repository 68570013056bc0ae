//! How long a restart takes: a journal of one-line purchases replayed from its start, and a snapshot of many levels loaded,
//! each beside reading the same files and nothing else.
//!
//! `cargo bench -p inventory-benches --bench restart [-- EVENTS LEVELS]`
//!
//! The files were just written and lie in the page cache in both cases: what is compared is the work, not the disk.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use inventory_benches::{AnyError, BUYER, NOW, empty_engine, item_at, or_exit, order, stock, upc};
use inventory_core::journal::{Append, Journal, replay};
use inventory_core::{AppendId, Command, Engine};
use inventory_store::{FileJournal, FileJournalOptions};
use pollster::block_on;

const ITEMS: u64 = 10_000;
/// Orders in a group: about what gathers under load while a disk writes.
const GROUP: u64 = 64;
/// Each figure is the best of so many tries.
const TRIES: usize = 3;

fn main() {
    or_exit(run());
}

fn run() -> Result<(), AnyError> {
    let measuring = std::env::args().any(|argument| argument == "--bench");
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let (events, levels) = if measuring { (3_000_000, 10_000_000) } else { (1_000, 1_000) };
    let events = numbers.next().unwrap_or(events);
    let levels = numbers.next().unwrap_or(levels);

    // Beside the build's other files: a temporary directory may be in memory.
    let parent = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let journal_dir = parent.path().join("journal");
    write_journal(&journal_dir, events)?;
    let bytes = read_all(&journal_dir)?.1;
    let opened = best(|| FileJournal::open(&journal_dir, FileJournalOptions::default()).map(drop))?;
    let replayed = best(|| {
        let journal = FileJournal::open(&journal_dir, FileJournalOptions::default())?;
        let (state, _) = block_on(replay(&journal, 1))?;
        assert_eq!(state.stock().iter().count() as u64, ITEMS, "all of it is there");
        Ok::<(), AnyError>(())
    })?;
    let read = best(|| read_all(&journal_dir))?;
    println!("journal of {events} purchases, {} MiB", bytes >> 20);
    println!("  opened              {}", seconds(opened));
    let rate = f64::from(u32::try_from(events)?) / replayed.as_secs_f64() / 1e6;
    println!("  opened and replayed {}  {rate:.2} million events/s", seconds(replayed));
    println!("  files read          {}", seconds(read));

    let snapshot_dir = parent.path().join("snapshot");
    write_snapshot(&snapshot_dir, levels)?;
    let bytes = read_all(&snapshot_dir)?.1;
    let loaded = best(|| {
        let journal = FileJournal::open(&snapshot_dir, FileJournalOptions::default())?;
        let (state, _) = block_on(replay(&journal, 1))?;
        assert_eq!(state.stock().iter().count() as u64, levels, "all of it is there");
        Ok::<(), AnyError>(())
    })?;
    let read = best(|| read_all(&snapshot_dir))?;
    println!("snapshot of {levels} levels, {} MiB with a journal of the same shop", bytes >> 20);
    println!("  opened and loaded   {}", seconds(loaded));
    println!("  files read          {}", seconds(read));
    Ok(())
}

fn seconds(time: Duration) -> String {
    format!("{:7.3} s", time.as_secs_f64())
}

fn best<T, E: Into<AnyError>>(mut work: impl FnMut() -> Result<T, E>) -> Result<Duration, AnyError> {
    let mut best = Duration::MAX;
    for _ in 0..TRIES {
        let began = Instant::now();
        let done = work().map_err(Into::into)?;
        best = best.min(began.elapsed());
        drop(done);
    }
    Ok(best)
}

/// Reads all files of a directory and those in it; gives how many bytes they have, and a sum so that nothing is left out.
fn read_all(dir: &Path) -> Result<(u8, u64), AnyError> {
    let (mut sum, mut bytes) = (0u8, 0);
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let (last, length) = if entry.file_type()?.is_dir() {
            read_all(&entry.path())?
        } else {
            let content = fs::read(entry.path())?;
            (content.last().copied().unwrap_or_default(), content.len() as u64)
        };
        (sum, bytes) = (sum.wrapping_add(last), bytes + length);
    }
    Ok((sum, bytes))
}

fn write_journal(dir: &Path, events: u64) -> Result<(), AnyError> {
    let journal = FileJournal::open(dir, FileJournalOptions::default())?;
    let mut shop = empty_engine();
    stock(&mut shop, ITEMS, |shop| flush(shop, &journal))?;
    for sequence in 0..events {
        let command = Command::Purchase(order(sequence, upc(item_at(sequence, ITEMS))?));
        shop.submit(NOW.plus_micros(sequence * 10), sequence, BUYER, command.into());
        if sequence % GROUP == 0 {
            flush(&mut shop, &journal)?;
        }
    }
    flush(&mut shop, &journal)
}

fn flush(shop: &mut Engine<u64>, journal: &FileJournal) -> Result<(), AnyError> {
    while let Some(group) = shop.poll_append(AppendId(1)) {
        if block_on(journal.append(group)) != Append::Done {
            return Err("a group was not written".into());
        }
        shop.appended();
    }
    while shop.poll_reply().is_some() {}
    Ok(())
}

fn write_snapshot(dir: &Path, levels: u64) -> Result<(), AnyError> {
    let journal = FileJournal::open(dir, FileJournalOptions::default())?;
    let mut shop = empty_engine();
    stock(&mut shop, levels, |shop| flush(shop, &journal))?;
    flush(&mut shop, &journal)?;
    let snapshot = shop.snapshot().ok_or("the shop is not idle")?;
    block_on(journal.save_snapshot(snapshot))?;
    Ok(())
}
