//! What loopback gives at most: 64 bytes there and back, by a server on the same runtime as ours that does nothing else.

use std::path::Path;
use std::sync::mpsc;
use std::thread;

use bytes::{Buf as _, BytesMut};
use inventory_load::{Answer, Exchange, Lane, LoadError};
use inventory_net::transport::{Address, BindOptions, Listener, bind, connect};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};

use super::{BOUGHT, InOrder};

/// Bytes there and bytes back.
const MESSAGE_BYTES: usize = 64;
const MESSAGE: [u8; MESSAGE_BYTES] = [7; MESSAGE_BYTES];

/// A server on a thread of its own; it ends with the process.
pub(crate) struct Echo {
    tcp: Address,
    unix: Address,
}

impl Echo {
    pub(crate) fn start(_runtime: &Runtime, dir: &Path, _items: u64) -> anyhow::Result<Self> {
        let unix: Address = format!("unix://{}", dir.join("echo.sock").display()).parse()?;
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || -> anyhow::Result<()> {
            Builder::new_current_thread().enable_all().build()?.block_on(async {
                let tcp = bind(&"tcp://127.0.0.1:0".parse()?, BindOptions::default()).await?;
                let unix = bind(&unix, BindOptions::default()).await?;
                ready.send((tcp.address(), unix.address()))?;
                tokio::try_join!(serve(tcp), serve(unix)).map(drop)
            })
        });
        let (tcp, unix) = is_ready.recv()?;
        Ok(Self { tcp, unix })
    }

    pub(crate) const fn tcp(&self) -> &Address {
        &self.tcp
    }

    pub(crate) const fn unix(&self) -> &Address {
        &self.unix
    }
}

async fn serve(mut listener: Box<dyn Listener>) -> anyhow::Result<()> {
    loop {
        let mut stream = listener.accept().await?.stream;
        tokio::spawn(async move {
            let mut bytes = vec![0; 64 << 10];
            while let Ok(read @ 1..) = stream.read(&mut bytes).await {
                let echoed = bytes.get(..read).unwrap_or_default();
                if stream.write_all(echoed).await.is_err() {
                    break;
                }
            }
        });
    }
}

/// Connections to an echo server.
pub(crate) async fn lanes(address: &Address, connections: usize) -> anyhow::Result<Vec<Lane<RoundTrips>>> {
    let mut lanes = Vec::new();
    for _ in 0..connections {
        lanes.push(Lane { stream: connect(address).await?, exchange: RoundTrips::default() });
    }
    Ok(lanes)
}

/// Messages of 64 bytes.
#[derive(Debug, Default)]
pub(crate) struct RoundTrips(InOrder);

impl Exchange for RoundTrips {
    fn ask(&mut self, slot: u32, out: &mut BytesMut) -> Result<(), LoadError> {
        self.0.sent(slot);
        out.extend_from_slice(&MESSAGE);
        Ok(())
    }

    fn answer(&mut self, input: &mut BytesMut) -> Result<Option<Answer>, LoadError> {
        if input.len() < MESSAGE_BYTES {
            return Ok(None);
        }
        input.advance(MESSAGE_BYTES);
        Ok(Some(Answer { slot: self.0.answered()?, outcome: BOUGHT }))
    }
}
