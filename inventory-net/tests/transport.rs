//! Listeners: who may listen where, and what is left behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::os::unix::fs::PermissionsExt;

use inventory_net::transport::{Address, BindError, BindOptions, bind, connect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

async fn refused(address: &Address) -> BindError {
    match bind(address, BindOptions::default()).await {
        Ok(_) => panic!("bound {address}"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn every_transport_carries_bytes_both_ways() {
    let directory = tempfile::tempdir().unwrap();
    let unix = format!("unix://{}/server.sock", directory.path().display());
    for text in ["tcp://127.0.0.1:0", &unix, "memory://both-ways"] {
        let mut listener = bind(&address(text), BindOptions::default()).await.unwrap();
        let actual = listener.address();
        let (client, server) = tokio::join!(connect(&actual), listener.accept());
        let (mut client, mut server) = (client.unwrap(), server.unwrap().stream);
        let mut seen = [0; 4];
        client.write_all(b"ping").await.unwrap();
        server.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"ping");
        server.write_all(b"pong").await.unwrap();
        client.read_exact(&mut seen).await.unwrap();
        assert_eq!(&seen, b"pong");
        drop(client);
        assert_eq!(server.read(&mut seen).await.unwrap(), 0, "{text}");
    }
}

#[tokio::test]
async fn port_0_is_answered_with_the_port_that_was_chosen() {
    let listener = bind(&address("tcp://127.0.0.1:0"), BindOptions::default()).await.unwrap();
    assert!(!listener.address().to_string().ends_with(":0"));
    let error = refused(&listener.address()).await;
    assert!(matches!(error, BindError::InUse(_)), "{error}");
}

#[tokio::test]
async fn plain_tcp_for_other_machines_must_be_allowed() {
    let everywhere = address("tcp://0.0.0.0:0");
    let error = refused(&everywhere).await;
    assert!(matches!(error, BindError::PlainTcp(_)), "{error}");
    bind(&everywhere, BindOptions { allow_plain_tcp: true }).await.unwrap();
}

#[tokio::test]
async fn a_unix_socket_is_its_owners_only_and_goes_with_its_server() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    let address = address(&format!("unix://{}", path.display()));
    let listener = bind(&address, BindOptions::default()).await.unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(listener);
    assert!(!path.exists());
    bind(&address, BindOptions::default()).await.unwrap();
}

#[tokio::test]
async fn a_live_servers_socket_is_not_taken() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    let address = address(&format!("unix://{}", path.display()));
    let live = bind(&address, BindOptions::default()).await.unwrap();
    let error = refused(&address).await;
    assert!(error.to_string().contains("another server listens"), "{error}");
    drop(live);

    let _stranger = std::os::unix::net::UnixListener::bind(&path).unwrap();
    assert!(matches!(refused(&address).await, BindError::InUse(_)));
}

#[tokio::test]
async fn a_dead_servers_socket_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("server.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let address = address(&format!("unix://{}", path.display()));
    let mut listener = bind(&address, BindOptions::default()).await.unwrap();
    let (client, server) = tokio::join!(connect(&address), listener.accept());
    assert!(client.is_ok() && server.is_ok());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("letters.txt");
    std::fs::write(&path, "dear").unwrap();
    let error = refused(&address(&format!("unix://{}", path.display()))).await;
    assert!(matches!(error, BindError::NotASocket(_)), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"dear");
}

#[tokio::test]
async fn a_memory_name_is_free_again_when_its_listener_goes() {
    let name = address("memory://once");
    let listener = bind(&name, BindOptions::default()).await.unwrap();
    assert!(matches!(refused(&name).await, BindError::InUse(_)));
    drop(listener);
    let gone = connect(&name).await;
    assert_eq!(gone.err().unwrap().kind(), std::io::ErrorKind::ConnectionRefused);
    bind(&name, BindOptions::default()).await.unwrap();
}
