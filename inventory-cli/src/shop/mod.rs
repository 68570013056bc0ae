//! What a client does, whichever front end asks for it: log in and out, look, buy, and keep account of what was bought.
//!
//! The connection is made when it is first needed. `orders` is how a purchase becomes part of the local inventory
//! exactly once.

mod accounts;
mod bulk;
mod orders;
mod returns;
mod session;

pub(crate) use accounts::KnownEntry;
pub(crate) use bulk::{BulkPosting, BulkPurchase, RowsRefused};
pub(crate) use returns::NotSettled;

use std::time::Duration;

use inventory_core::{LevelRow, OrderKey, Refusal, Upc};
use inventory_net::client::{AnyReceipt, Client, ClientError, ClientOptions};
use inventory_net::transport::Address;
use tokio::time::timeout;

use crate::args::ConnectArgs;
use crate::exit::RefusedHere;
use crate::import::ImportTarget;
use crate::items::ItemRow;
use crate::state::{SavedSession, ServerState, StateDir, StateError};

/// How long the end of the process waits for the connection to be closed in good order.
const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

/// A server, seen by one client.
#[derive(Debug)]
pub(crate) struct Shop {
    address: Address,
    state: ServerState,
    connection: Option<Connection>,
}

#[derive(Debug)]
struct Connection {
    client: Client,
    /// The session it carries.
    session: Option<SavedSession>,
}

impl Shop {
    /// The server that the arguments name. Nothing is opened yet.
    pub(crate) fn new(args: &ConnectArgs) -> Result<Self, StateError> {
        let state = StateDir::find(args.state.clone())?.server(&args.server.to_string());
        Ok(Self { address: args.server.clone(), state, connection: None })
    }

    /// Where the server is.
    pub(crate) const fn address(&self) -> &Address {
        &self.address
    }

    /// All levels, or those of these items.
    pub(crate) async fn stock(&mut self, upcs: &[Upc]) -> anyhow::Result<Vec<LevelRow>> {
        let client = self.client().await?.clone();
        let levels = async {
            if upcs.is_empty() {
                return client.all_levels().await;
            }
            let mut levels = Vec::new();
            for upc in upcs {
                levels.extend(client.item(*upc).await?);
            }
            Ok(levels)
        };
        let levels = levels.await;
        self.seen(levels)
    }

    /// The codes of the first page of items, for completion; none if they cannot be had.
    pub(crate) async fn first_codes(&mut self) -> Vec<Upc> {
        let Ok(client) = self.client().await else { return Vec::new() };
        let page = client.levels(None, None).await;
        page.map(|page| page.levels.iter().map(|level| level.upc).collect()).unwrap_or_default()
    }

    /// The receipt of an order, a return, an entry, or a batch.
    pub(crate) async fn receipt(&mut self, key: OrderKey) -> anyhow::Result<AnyReceipt> {
        let receipt = self.client().await?.any_receipt(key).await;
        self.seen(receipt)
    }

    /// Lets the last bytes go out before the process ends.
    pub(crate) async fn close(&mut self) {
        if let Some(connection) = self.connection.take() {
            // An error says that the server takes its time: nothing waits for it any more.
            let _ = timeout(CLOSE_PATIENCE, connection.client.close()).await;
        }
    }

    /// The connection, with a session.
    pub(crate) async fn client(&mut self) -> anyhow::Result<&Client> {
        self.resume().await?;
        self.connected().await
    }

    /// The connection, with a session or without.
    async fn connected(&mut self) -> anyhow::Result<&Client> {
        let connection = if let Some(connection) = self.connection.take() {
            connection
        } else {
            let client = Client::connect(&self.address, ClientOptions::default()).await?;
            Connection { client, session: None }
        };
        Ok(&self.connection.insert(connection).client)
    }

    /// Takes note when an answer says that the session has ended.
    fn seen<T>(&mut self, answer: Result<T, ClientError>) -> anyhow::Result<T> {
        match answer {
            Err(ClientError::Refused(Refusal::NotLoggedIn)) => Err(self.session_ended()?),
            answer => Ok(answer?),
        }
    }
}

fn not_logged_in(message: String) -> anyhow::Error {
    RefusedHere { refusal: Refusal::NotLoggedIn, message }.into()
}

impl ImportTarget for Client {
    async fn define_item(&self, item: &ItemRow) -> anyhow::Result<()> {
        Client::define_item(self, item.upc, &item.name, item.price).await?;
        Ok(())
    }

    async fn set_initial_level(&self, item: &ItemRow) -> anyhow::Result<bool> {
        let location = inventory_core::LocationId::MAIN;
        match Client::set_initial_level(self, item.upc, location, item.units).await {
            Ok(_) => Ok(true),
            Err(ClientError::Refused(Refusal::LevelAlreadySet)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
