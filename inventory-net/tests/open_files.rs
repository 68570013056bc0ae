//! A process that has run out of open files: accepting pauses, and goes on when there are some again. In a file of
//! its own, because the limit is the whole process's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::sync::Arc;

use common::{MILK, options, order, serve};
use inventory_core::journal::MemoryJournal;
use inventory_net::client::{Client, ClientOptions, new_order_key};
use inventory_net::transport::connect;
use rustix::process::{Resource, getrlimit, setrlimit};

#[tokio::test]
async fn a_server_out_of_open_files_serves_again_when_some_are_free() {
    let server = serve("tcp://127.0.0.1:0", Arc::new(MemoryJournal::new()), options()).await;
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(64);
    setrlimit(Resource::Nofile, limit).unwrap();

    let mut open = Vec::new();
    while let Ok(stream) = connect(&server.address).await {
        open.push(stream);
        tokio::task::yield_now().await;
    }
    assert!((10..64).contains(&open.len()), "{}", open.len());
    drop(open);
    let client = Client::connect(&server.address, ClientOptions::default()).await.unwrap();
    client.log_in("alice", "alice-secret").await.unwrap();
    client.purchase(&order(new_order_key().unwrap(), MILK, 1)).await.unwrap();
    drop(client);
    server.stop().await;
}
