//! What is measured, started when it is first needed and kept for the later rounds.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use inventory_load::{Exchange, Lane, Measured, Plan, Until, run};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::peer::{echo::Echo, ours::Ours, postgres::Postgres, redis::Redis, sqlite::Sqlite};
use crate::process::disk_dir;

/// Everything that runs beside this process.
pub(crate) struct Rig {
    pub(crate) items: u64,
    /// How long one case takes.
    pub(crate) length: Duration,
    pub(crate) runtime: Rc<Runtime>,
    pub(crate) dir: TempDir,
    ours: Option<Ours>,
    redis: Option<Redis>,
    postgres: Option<Postgres>,
    sqlite: Option<Sqlite>,
    echo: Option<Echo>,
    /// Why something did not start: it is not tried again.
    failed: BTreeMap<&'static str, String>,
}

macro_rules! started_once {
    ($($name:ident: $kind:ty),* $(,)?) => {$(
        #[doc = concat!("The `", stringify!($name), "` of this run.")]
        pub(crate) fn $name(&mut self) -> anyhow::Result<&mut $kind> {
            if let Some(why) = self.failed.get(stringify!($name)) {
                anyhow::bail!("{why}");
            }
            if self.$name.is_none() {
                match <$kind>::start(&self.runtime, self.dir.path(), self.items) {
                    Ok(started) => self.$name = Some(started),
                    Err(error) => {
                        self.failed.insert(stringify!($name), format!("{error:#}"));
                        return Err(error);
                    }
                }
            }
            self.$name.as_mut().ok_or_else(|| anyhow::anyhow!("it was not started"))
        }
    )*};
}

impl Rig {
    pub(crate) fn new(items: u64, length: Duration) -> anyhow::Result<Self> {
        Ok(Self {
            items,
            length,
            runtime: Rc::new(Builder::new_current_thread().enable_all().build()?),
            dir: disk_dir()?,
            ours: None,
            redis: None,
            postgres: None,
            sqlite: None,
            echo: None,
            failed: BTreeMap::new(),
        })
    }

    started_once! { ours: Ours, redis: Redis, postgres: Postgres, sqlite: Sqlite, echo: Echo }

    /// A closed loop with so many in flight on each connection.
    pub(crate) fn closed<E: Exchange>(
        &self,
        lanes: Vec<Lane<E>>,
        in_flight: u32,
    ) -> anyhow::Result<Measured> {
        let plan = Plan { in_flight, until: Until::Elapsed(self.length), rate_per_s: None };
        Ok(self.runtime.block_on(run(lanes, &plan, |_| {}))?)
    }

    /// Sees that whatever sells sold what it said, and each order once, and stops everything.
    pub(crate) fn close(self) -> anyhow::Result<()> {
        let runtime = &self.runtime;
        if let Some(ours) = self.ours {
            ours.check(runtime).context("the server")?;
        }
        if let Some(redis) = self.redis {
            redis.check(runtime).context("Redis")?;
        }
        if let Some(postgres) = self.postgres {
            postgres.check().context("PostgreSQL")?;
        }
        if let Some(sqlite) = self.sqlite {
            sqlite.check().context("SQLite")?;
        }
        Ok(())
    }
}
