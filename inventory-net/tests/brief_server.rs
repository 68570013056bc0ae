//! A server that dies right after its hello.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use inventory_net::client::{Client, ClientError, ClientOptions};
use inventory_net::connection::{ServerConfig, ServerConnection};
use inventory_net::transport::{Address, BindOptions, bind};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[tokio::test(start_paused = true)]
async fn whoever_connects_to_a_server_that_dies_after_its_hello_is_told_so() {
    let address: Address = "memory://brief".parse().unwrap();
    let mut listener = bind(&address, BindOptions::default()).await.unwrap();
    tokio::spawn(async move {
        loop {
            let mut stream = listener.accept().await.unwrap().stream;
            let mut wire = ServerConnection::new(ServerConfig::default(), 0);
            while wire.output().is_empty() {
                stream.read_buf(wire.read_buffer()).await.unwrap();
                assert_eq!(wire.poll_request(0), None);
            }
            stream.write_all(wire.output()).await.unwrap();
        }
    });
    let connecting = Client::connect(&address, ClientOptions::default());
    let connected = tokio::time::timeout(std::time::Duration::from_mins(1), connecting).await;
    let error = connected.expect("an answer").expect_err("no connection");
    assert!(matches!(error, ClientError::Unreachable { .. }), "{error:?}");
}
