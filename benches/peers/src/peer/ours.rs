//! This project's server, as `inventory serve` runs it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context as _;
use inventory_core::{Order, OrderLine, Units};
use inventory_load::shop::{Buying, ItemsForSale, Purchases, UNITS_PER_ITEM, connect, upc};
use inventory_load::workload::Skew;
use inventory_load::{Lane, Measured, Plan, Until, run};
use inventory_net::client::{Client, ClientOptions, Session, new_order_key};
use inventory_net::transport::Address;
use tokio::runtime::Runtime;

use crate::process::{Process, free_port};

/// What each connection does.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Requests in flight.
    pub(crate) in_flight: u32,
    pub(crate) skew: Skew,
    /// Purchases in a request.
    pub(crate) batch: u32,
}

impl Load {
    /// One purchase at a time, of any item.
    pub(crate) const SINGLE: Self = Self { in_flight: 1, skew: Skew::Uniform, batch: 1 };
}

/// Where a server that was started in this directory keeps its data.
pub(crate) fn data_dir(dir: &Path) -> PathBuf {
    dir.join("ours")
}

/// A running server with the items, and an administrator's connection to it.
pub(crate) struct Ours {
    process: Process,
    tcp: Address,
    unix: Address,
    client: Client,
    session: Session,
    items: ItemsForSale,
    count: u64,
    before: u64,
    sold: u64,
}

impl Ours {
    pub(crate) fn start(runtime: &Runtime, dir: &Path, items: u64) -> anyhow::Result<Self> {
        Self::start_with(runtime, dir, items, &[])
    }

    /// Starts it with these options of `inventory serve` besides.
    pub(crate) fn start_with(
        runtime: &Runtime,
        dir: &Path,
        items: u64,
        options: &[&str],
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe()?.with_file_name("inventory");
        anyhow::ensure!(
            program.is_file(),
            "{} is not there: cargo build --release -p inventory-cli",
            program.display()
        );
        let (data, port) = (data_dir(dir), free_port()?);
        let tcp = format!("tcp://127.0.0.1:{port}");
        let unix = format!("unix://{}", dir.join("ours.sock").display());
        let mut command = Command::new(program);
        command.args(["serve", "--demo-data", "--listen", &tcp, "--listen", &unix, "--data"]).arg(data);
        command.args(options);
        let mut process = Process::start(&mut command, &dir.join("ours.log"))?;
        process.wait_for_port(port)?;
        let (tcp, unix): (Address, Address) = (tcp.parse()?, unix.parse()?);
        runtime.block_on(async {
            let client = Client::connect(&tcp, ClientOptions::default()).await?;
            let session = client.log_in("admin", "admin-demo").await?;
            let for_sale = ItemsForSale::prepare(&client, items).await?;
            let before = for_sale.on_hand(&client).await?;
            Ok(Self { process, tcp, unix, client, session, items: for_sale, count: items, before, sold: 0 })
        })
    }

    pub(crate) const fn tcp(&self) -> &Address {
        &self.tcp
    }

    pub(crate) const fn unix(&self) -> &Address {
        &self.unix
    }

    /// Processor time that the server has taken so far.
    pub(crate) fn processor_time(&self) -> anyhow::Result<Duration> {
        self.process.processor_time()
    }

    /// Connections that are ready to buy.
    pub(crate) async fn lanes(
        &self,
        address: &Address,
        connections: usize,
        load: Load,
    ) -> anyhow::Result<Vec<Lane<Purchases>>> {
        let Load { in_flight, skew, batch } = load;
        let buying = Buying { in_flight, items: self.count, skew, batch, reads_percent: 0 };
        Ok(connect(address, &self.session.token, connections, &buying).await?)
    }

    /// Buys.
    pub(crate) async fn buy(&mut self, lanes: Vec<Lane<Purchases>>, plan: &Plan) -> anyhow::Result<Measured> {
        let measured = run(lanes, plan, |_| {}).await?;
        self.sold += measured.units;
        Ok(measured)
    }

    /// Buys in a closed loop.
    pub(crate) async fn closed(
        &mut self,
        address: &Address,
        connections: usize,
        load: Load,
        until: Until,
    ) -> anyhow::Result<Measured> {
        let lanes = self.lanes(address, connections, load).await?;
        self.buy(lanes, &Plan { in_flight: load.in_flight, until, rate_per_s: None }).await
    }

    /// Fails unless an order that is repeated has the outcome that it had, and as many units are gone as were sold.
    pub(crate) fn check(mut self, runtime: &Runtime) -> anyhow::Result<()> {
        for (units, sold) in [(1, 1), (2 * UNITS_PER_ITEM, 0)] {
            let line = OrderLine::new(upc(0)?, Units::new(units).context("so many units are none")?);
            let order = Order { key: new_order_key()?, lines: line.into(), charge: None };
            let first = runtime.block_on(self.client.purchase(&order));
            anyhow::ensure!(first.is_ok() == (sold > 0), "an order of {units} units: {first:?}");
            for _ in 0..2 {
                let again = runtime.block_on(self.client.purchase(&order));
                let is_the_same = format!("{again:?}") == format!("{first:?}");
                anyhow::ensure!(is_the_same, "an order was answered {first:?}, and then {again:?}");
            }
            self.sold += sold;
        }
        let left = runtime.block_on(self.items.on_hand(&self.client)).context("cannot count what is left")?;
        let gone = self.before.saturating_sub(left);
        anyhow::ensure!(gone == self.sold, "{} units were sold and {gone} are gone: no figures", self.sold);
        Ok(())
    }
}
