//! A database file in this process by `SQLite`, with a write-ahead log that every commit syncs. No server and no wire: what a program pays that
//! keeps its stock in a file of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use inventory_load::workload::{Picker, Skew};
use rusqlite::{Connection, TransactionBehavior, params};
use tokio::runtime::Runtime;

use super::new_key;
use crate::sample::Sample;

/// The order is kept with its outcome; of many rows under one key, how many were accepted.
const SCHEMA: &str = "
pragma journal_mode = wal;
pragma synchronous = full;
create table items (item integer primary key, on_hand integer not null check (on_hand >= 0));
create table orders (key blob primary key, accepted integer not null) without rowid;
";

/// A database in a file, with the items.
pub(crate) struct Sqlite {
    connection: Connection,
    picker: Picker,
    items: u64,
    /// Random at first, and counted up.
    key: u128,
    /// Units of all purchases that it said were made.
    sold: i64,
}

impl Sqlite {
    pub(crate) fn start(_runtime: &Runtime, dir: &Path, items: u64) -> anyhow::Result<Self> {
        let mut connection = Connection::open(dir.join("sqlite"))?;
        connection.execute_batch(SCHEMA)?;
        let transaction = connection.transaction()?;
        for item in 0..items {
            transaction
                .prepare_cached("insert into items values (?1, 1000000000000)")?
                .execute([i64::try_from(item)?])?;
        }
        transaction.commit()?;
        let picker = Picker::new(Skew::Uniform, items, 1);
        Ok(Self { connection, picker, items, key: new_key()?, sold: 0 })
    }

    /// Buys with so many rows in each transaction, one after the other, for so long.
    pub(crate) fn buy(&mut self, rows: u64, length: Duration) -> anyhow::Result<Sample> {
        let (began, mut took, mut sold) = (Instant::now(), Vec::new(), 0i64);
        let mut items = Vec::new();
        while began.elapsed() < length {
            items.clear();
            for _ in 0..rows {
                items.push(i64::try_from(self.picker.next_item())?);
            }
            self.key = self.key.wrapping_add(1);
            let start = Instant::now();
            sold += self.purchase(self.key, &items, 1)?;
            took.push(start.elapsed());
        }
        self.sold += sold;
        Ok(Sample { per_s: sold as f64 / began.elapsed().as_secs_f64(), ..Sample::of(took) })
    }

    /// Takes units of each of these items that has enough, unless it did so before; gives of how many.
    fn purchase(&mut self, key: u128, items: &[i64], units: i64) -> anyhow::Result<i64> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let key = key.to_be_bytes();
        let fresh = transaction
            .prepare_cached("insert into orders values (?1, 0) on conflict do nothing")?
            .execute([key])?;
        if fresh == 0 {
            let outcome =
                transaction
                    .query_row("select accepted from orders where key = ?1", [key], |row| row.get(0))?;
            return Ok(outcome);
        }
        let mut accepted = 0i64;
        {
            let mut take = transaction.prepare_cached(
                "update items set on_hand = on_hand - ?2 where item = ?1 and on_hand >= ?2",
            )?;
            for item in items {
                accepted += i64::try_from(take.execute([*item, units])?)?;
            }
        }
        transaction
            .prepare_cached("update orders set accepted = ?2 where key = ?1")?
            .execute(params![key, accepted])?;
        transaction.commit()?;
        Ok(accepted)
    }

    /// Fails unless an order that is repeated has the outcome that it had, and as many units are gone as were sold.
    pub(crate) fn check(mut self) -> anyhow::Result<()> {
        for (units, accepted) in [(1, 2), (2_000_000_000_000, 0)] {
            let key = new_key()?;
            for _ in 0..3 {
                let answer = self.purchase(key, &[0, 0], units)?;
                anyhow::ensure!(answer == accepted, "{answer} rows were accepted instead of {accepted}");
            }
            self.sold += accepted;
        }
        let gone = "select sum(1000000000000 - on_hand), count(*) from items";
        let (gone, items): (i64, u32) =
            self.connection.query_row(gone, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
        let sold = self.sold;
        anyhow::ensure!(gone == sold, "{sold} units were sold and {gone} are gone: no figures");
        anyhow::ensure!(u64::from(items) == self.items, "there are {items} items");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(dir: &Path) -> Sqlite {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        Sqlite::start(&runtime, dir, 10).unwrap()
    }

    #[test]
    fn each_order_is_carried_out_once_and_what_is_gone_was_sold() {
        let dir = tempfile::tempdir().unwrap();
        let mut sqlite = sqlite(dir.path());
        let sample = sqlite.buy(8, Duration::from_millis(20)).unwrap();
        assert!(sample.per_s > 0.0);
        sqlite.check().unwrap();
    }

    #[test]
    fn units_that_nobody_was_told_of_leave_no_figures() {
        let dir = tempfile::tempdir().unwrap();
        let mut sqlite = sqlite(dir.path());
        sqlite.purchase(1, &[3], 1).unwrap();
        assert!(sqlite.check().unwrap_err().to_string().contains("2 units were sold and 3 are gone"));
    }
}
