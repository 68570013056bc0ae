//! This project's server, as `inventory serve` runs it.

use std::path::Path;
use std::process::Command;

use anyhow::Context as _;
use inventory_load::shop::{Buying, ItemsForSale, Purchases, connect};
use inventory_load::workload::Skew;
use inventory_load::{Lane, Measured, Plan, Until, run};
use inventory_net::client::{Client, ClientOptions, Session};
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

/// A running server with the items, and an administrator's connection to it.
pub(crate) struct Ours {
    _process: Process,
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
        let program = std::env::current_exe()?.with_file_name("inventory");
        anyhow::ensure!(
            program.is_file(),
            "{} is not there: cargo build --release -p inventory-cli",
            program.display()
        );
        let (data, port) = (dir.join("ours"), free_port()?);
        let tcp = format!("tcp://127.0.0.1:{port}");
        let unix = format!("unix://{}", dir.join("ours.sock").display());
        let mut command = Command::new(program);
        command.args(["serve", "--demo-data", "--listen", &tcp, "--listen", &unix, "--data"]).arg(data);
        let mut process = Process::start(&mut command, &dir.join("ours.log"))?;
        process.wait_for_port(port)?;
        let (tcp, unix): (Address, Address) = (tcp.parse()?, unix.parse()?);
        runtime.block_on(async {
            let client = Client::connect(&tcp, ClientOptions::default()).await?;
            let session = client.log_in("admin", "admin-demo").await?;
            let for_sale = ItemsForSale::prepare(&client, items).await?;
            let before = for_sale.on_hand(&client).await?;
            Ok(Self {
                _process: process,
                tcp,
                unix,
                client,
                session,
                items: for_sale,
                count: items,
                before,
                sold: 0,
            })
        })
    }

    pub(crate) const fn tcp(&self) -> &Address {
        &self.tcp
    }

    pub(crate) const fn unix(&self) -> &Address {
        &self.unix
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

    /// Fails unless as many units are gone as were sold in all rounds.
    pub(crate) fn check(self, runtime: &Runtime) -> anyhow::Result<()> {
        let left = runtime.block_on(self.items.on_hand(&self.client)).context("cannot count what is left")?;
        let gone = self.before.saturating_sub(left);
        anyhow::ensure!(gone == self.sold, "{} units were sold and {gone} are gone: no figures", self.sold);
        Ok(())
    }
}
