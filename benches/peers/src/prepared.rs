//! Data directories with many items, made without a server: the engine and the journal as `inventory serve` has them, and
//! nothing in between. What takes minutes over the wire takes seconds.

use std::path::Path;

use anyhow::Context as _;
use inventory_core::journal::{Append, Journal as _, replay};
use inventory_core::{Actor, AppendId, Engine, EngineConfig, Reply};
use inventory_load::shop::making;
use inventory_net::clock::{Clock as _, SystemClock};
use inventory_store::{FileJournal, FileJournalOptions, Retain};
use tokio::runtime::Runtime;

/// Items whose events are written together.
const TOGETHER: u64 = 8_192;

/// Adds the items of a load to a directory that no server uses, and a snapshot, so that the next start needs no replay.
pub(crate) fn add_items(runtime: &Runtime, data: &Path, items: u64) -> anyhow::Result<()> {
    let journal = FileJournal::open(data, FileJournalOptions::default())?;
    let (state, tip) = runtime.block_on(replay(&journal, getrandom::u64()?))?;
    let mut engine = Engine::new(state, tip, EngineConfig::default());
    let now = SystemClock.now();
    for index in 0..items {
        for command in making(index)? {
            engine.submit(now, index, Actor::System, command.into());
        }
        if index % TOGETHER == TOGETHER - 1 {
            write(runtime, &mut engine, &journal)?;
        }
    }
    write(runtime, &mut engine, &journal)?;
    let snapshot = engine.snapshot().context("the engine has something left to say")?;
    drop(engine);
    runtime.block_on(journal.save_snapshot(snapshot))?;
    // Or the server does it while it is measured.
    Ok(journal.tidy(Retain::Everything, now)?)
}

/// Makes everything durable that was submitted, and sees that all of it was done.
fn write(runtime: &Runtime, engine: &mut Engine<u64>, journal: &FileJournal) -> anyhow::Result<()> {
    while let Some(group) = engine.poll_append(AppendId(getrandom::u64()?.into())) {
        let written = runtime.block_on(journal.append(group));
        anyhow::ensure!(written == Append::Done, "the journal says {written:?}");
        engine.appended();
    }
    while let Some((index, reply)) = engine.poll_reply() {
        anyhow::ensure!(matches!(reply, Reply::Answered(_)), "item {index}: {reply:?}");
    }
    Ok(())
}
