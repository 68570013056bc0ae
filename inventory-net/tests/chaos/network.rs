//! What lies between clients and servers: bytes come late and in pieces, and connections are cut in the middle of a frame,
//! on one side or both, or go silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use inventory_net::transport::{Address, Listener, Stream, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::Rates;
use super::journal::Storage;

/// How long a silent connection stays.
const SILENCE: Duration = Duration::from_secs(4);

pub(super) struct Network {
    pub(super) servers: Vec<Address>,
    pub(super) rates: Rates,
    pub(super) storage: Arc<Storage>,
    pub(super) cuts: Arc<AtomicU64>,
}

impl Network {
    /// Passes each connection on to one of the servers.
    pub(super) async fn run(self, mut listener: Box<dyn Listener>, mut rng: Rng) {
        while let Ok(incoming) = listener.accept().await {
            let Ok(server) = connect(&self.servers[rng.usize(..self.servers.len())]).await else { continue };
            let wire = Wire {
                client: incoming.stream,
                server,
                rng: rng.fork(),
                rates: self.rates,
                storage: Arc::clone(&self.storage),
            };
            let cuts = Arc::clone(&self.cuts);
            tokio::spawn(async move {
                if wire.carry().await.is_some() {
                    cuts.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
}

/// One connection.
struct Wire {
    client: Box<dyn Stream>,
    server: Box<dyn Stream>,
    rng: Rng,
    rates: Rates,
    storage: Arc<Storage>,
}

/// The network ended a connection that both sides wanted.
struct Cut;

impl Wire {
    /// Carries bytes until a side ends it, or the network does.
    async fn carry(mut self) -> Option<Cut> {
        let (mut there, mut back) = ([0; 2048], [0; 2048]);
        loop {
            let piece = self.rng.usize(1..there.len());
            let (bytes, to_server) = tokio::select! {
                biased;
                read = self.client.read(&mut there[..piece]) => (&there[..read.ok()?], true),
                read = self.server.read(&mut back[..piece]) => (&back[..read.ok()?], false),
            };
            if bytes.is_empty() {
                return None;
            }
            sleep(Duration::from_micros(self.rng.u64(0..self.rates.network_delay_us_max))).await;
            let goes_wrong = self.storage.storm.load(Ordering::Relaxed) && self.rng.f64() < self.rates.cut;
            if !goes_wrong {
                let to = if to_server { &mut self.server } else { &mut self.client };
                to.write_all(bytes).await.ok()?;
                continue;
            }
            let Self { client, mut server, mut rng, .. } = self;
            let arrives = if to_server { &bytes[..rng.usize(0..=bytes.len())] } else { &[] };
            match rng.u8(0..3) {
                0 => drop(client),
                1 => {
                    drop(client);
                    // The server serves, for a while, whoever is no longer there.
                    server.write_all(arrives).await.ok()?;
                    sleep(SILENCE / 4).await;
                }
                _ => sleep(SILENCE).await,
            }
            return Some(Cut);
        }
    }
}
