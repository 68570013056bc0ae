//! Connections within one process, by name. For tests, benches and servers embedded in their client.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;

use super::{Address, BindError, BindOptions, Incoming, Listener, Stream, Transport};

/// Bytes that may be under way in one direction.
const PIPE_BYTES: usize = 64 << 10;
/// Connections that may wait to be accepted.
const BACKLOG: usize = 1_024;

/// Who listens, by name. A runtime is not part of it: both ends may live on different ones.
static LISTENERS: Mutex<BTreeMap<String, mpsc::Sender<DuplexStream>>> = Mutex::new(BTreeMap::new());

pub(super) struct Memory;

struct MemoryAccept {
    incoming: mpsc::Receiver<DuplexStream>,
    address: Address,
}

#[async_trait]
impl Transport for Memory {
    fn scheme(&self) -> &'static str {
        "memory"
    }

    fn form(&self) -> &'static str {
        "memory://name"
    }

    fn check(&self, rest: &str) -> Result<(), &'static str> {
        if rest.is_empty() { Err("the name is missing") } else { Ok(()) }
    }

    async fn bind(&self, address: &Address, _options: BindOptions) -> Result<Box<dyn Listener>, BindError> {
        let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
        if listeners.contains_key(address.rest()) {
            return Err(BindError::InUse(address.clone()));
        }
        let (to_listener, incoming) = mpsc::channel(BACKLOG);
        listeners.insert(address.rest().into(), to_listener);
        Ok(Box::new(MemoryAccept { incoming, address: address.clone() }))
    }

    async fn connect(&self, rest: &str) -> io::Result<Box<dyn Stream>> {
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        let listener = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner).get(rest).cloned();
        let (ours, theirs) = duplex(PIPE_BYTES);
        listener.ok_or_else(refused)?.send(theirs).await.map_err(|_| refused())?;
        Ok(Box::new(ours))
    }
}

#[async_trait]
impl Listener for MemoryAccept {
    async fn accept(&mut self) -> io::Result<Incoming> {
        let stream = self.incoming.recv().await.ok_or(io::ErrorKind::BrokenPipe)?;
        let peer = self.address.to_string();
        Ok(Incoming { stream: Box::new(stream), origin: peer.clone(), peer })
    }

    fn address(&self) -> Address {
        self.address.clone()
    }
}

impl Drop for MemoryAccept {
    fn drop(&mut self) {
        LISTENERS.lock().unwrap_or_else(PoisonError::into_inner).remove(self.address.rest());
    }
}
