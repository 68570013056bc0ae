//! What is measured, started when it is first needed and kept for the later rounds.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use inventory_load::{Exchange, Lane, Plan, Until, run};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::peer::{echo::Echo, ours::Ours, postgres::Postgres, redis::Redis};
use crate::process::disk_dir;
use crate::sample::Sample;

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
            echo: None,
            failed: BTreeMap::new(),
        })
    }

    started_once! { ours: Ours, redis: Redis, postgres: Postgres, echo: Echo }

    /// A closed loop with so many in flight on each connection.
    pub(crate) fn closed<E: Exchange>(&self, lanes: Vec<Lane<E>>, in_flight: u32) -> anyhow::Result<Sample> {
        let plan = Plan { in_flight, until: Until::Elapsed(self.length), rate_per_s: None };
        Ok(Sample::from(&self.runtime.block_on(run(lanes, &plan, |_| {}))?))
    }

    /// Sees that the server sold what it said, and stops everything.
    pub(crate) fn close(mut self) -> anyhow::Result<()> {
        match self.ours.take() {
            Some(ours) => ours.check(&self.runtime),
            None => Ok(()),
        }
    }
}
