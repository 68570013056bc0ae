//! `inventory bench`: how fast a server sells, and whether it sold what it says.

mod own_server;
mod report;

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;
use inventory_core::{Refusal, Role};
use inventory_load::shop::{Buying, ItemsForSale, connect};
use inventory_load::workload;
use inventory_load::{LoadError, Measured, Plan, Until, run};
use inventory_net::client::{Client, ClientOptions};
use inventory_net::transport::Address;

use crate::args::{BenchArgs, Skew};
use crate::exit::RefusedHere;
use crate::output::{Format, Output};
use crate::parse::UsageError;
use crate::password::{self, Password};
use crate::serve::{DEMO_USERS, runtime, shutdown};
use own_server::OwnServer;
pub(crate) use report::Report;

/// Who makes the items and buys them.
const ADMINISTRATOR: &str = "admin";

/// Measures a server and shows the figures. Without them if anything went wrong.
pub(crate) fn bench(args: &BenchArgs, output: Output) -> anyhow::Result<()> {
    if output.format() == Format::Csv {
        return Err(UsageError::new("bench writes a table or JSON: --format table or json").into());
    }
    let runtime = runtime()?;
    let _entered = runtime.enter();
    let interrupted = shutdown().context("cannot listen to signals")?;
    let target = Target::of(args)?;
    let report = runtime.block_on(async {
        tokio::select! {
            report = measure(args, &target) => report,
            () = interrupted => Err(anyhow::anyhow!("interrupted: there are no figures for this run")),
        }
    })?;
    Ok(output.measured(&report)?)
}

/// The server that is measured.
struct Target {
    address: Address,
    /// The administrator's.
    password: Password,
    /// Ends with this.
    own: Option<OwnServer>,
}

impl Target {
    /// The one that is named, or one of the bench's own.
    fn of(args: &BenchArgs) -> anyhow::Result<Self> {
        if let Some(address) = args.server.clone() {
            let password = password::given(None)?.unwrap_or_else(demo_password);
            return Ok(Self { address, password, own: None });
        }
        let own = OwnServer::start()?;
        Ok(Self { address: own.address().clone(), password: demo_password(), own: Some(own) })
    }
}

async fn measure(args: &BenchArgs, target: &Target) -> anyhow::Result<Report> {
    let Target { address, password, own } = target;
    let client = Client::connect(address, ClientOptions::default()).await?;
    let session = client.log_in(ADMINISTRATOR, password).await?;
    if session.account.role != Role::Administrator {
        let message = format!("{ADMINISTRATOR} at {address} may not define the items that bench buys");
        return Err(RefusedHere { refusal: Refusal::NotPermitted, message }.into());
    }
    let items = ItemsForSale::prepare(&client, args.items).await?;
    let before = items.on_hand(&client).await?;
    let buying = Buying {
        in_flight: args.in_flight,
        items: args.items,
        skew: args.skew.into(),
        batch: args.batch,
        reads_percent: args.reads,
    };
    let connections = usize::try_from(args.connections).unwrap_or(usize::MAX);
    let lanes = connect(address, &session.token, connections, &buying).await?;
    let mut progress = Progress::new();
    let measured = run(lanes, &args.plan(), |so_far| progress.show(so_far)).await;
    progress.clear();
    let measured = measured?;
    let gone = before.saturating_sub(items.on_hand(&client).await?);
    client.log_out().await?;
    if gone != measured.units {
        return Err(LoadError::Unbalanced { sold: measured.units, gone }.into());
    }
    Ok(Report::new(args, address, own.as_ref(), &measured, gone))
}

fn demo_password() -> Password {
    let demo = DEMO_USERS.iter().find(|(name, ..)| *name == ADMINISTRATOR);
    Password::new(demo.map(|(_, password, _)| (*password).to_owned()).unwrap_or_default())
}

impl BenchArgs {
    fn plan(&self) -> Plan {
        let until = self.count.map_or(Until::Elapsed(self.seconds), Until::Count);
        Plan { in_flight: self.in_flight, until, rate_per_s: self.rate }
    }
}

impl From<Skew> for workload::Skew {
    fn from(skew: Skew) -> Self {
        match skew {
            Skew::Uniform => Self::Uniform,
            Skew::Zipf => Self::Zipf,
            Skew::Hot => Self::Hot,
        }
    }
}

/// A line on the terminal that says how it goes; nothing elsewhere.
struct Progress {
    shown: bool,
    /// Seconds and purchases when it was last shown.
    last: (f64, u64),
}

impl Progress {
    fn new() -> Self {
        Self { shown: io::stderr().is_terminal(), last: (0.0, 0) }
    }

    fn show(&mut self, so_far: &Measured) {
        if !self.shown {
            return;
        }
        let now = (so_far.elapsed.as_secs_f64(), so_far.purchases);
        let (seconds, purchases) = (now.0 - self.last.0, now.1.saturating_sub(self.last.1));
        self.last = now;
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let rate = purchases as f64 / seconds.max(1e-3);
        let p99_ms = so_far.latency_us(0.99) / 1e3;
        write(format_args!("\r{:6.1} s  {rate:9.0} purchases/s  p99 so far {p99_ms:.2} ms\x1b[K", now.0));
    }

    fn clear(&self) {
        if self.shown {
            write(format_args!("\r\x1b[K"));
        }
    }
}

/// What cannot be shown is not missed: the figures come later.
fn write(text: std::fmt::Arguments<'_>) {
    let mut err = io::stderr().lock();
    let _ = err.write_fmt(text).and_then(|()| err.flush());
}
