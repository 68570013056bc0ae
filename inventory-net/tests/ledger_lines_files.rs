//! A listener for lines in a process that may open few files. In a file of its own, because the limit is the whole
//! process's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod common;

use std::future::{pending, ready};
use std::sync::Arc;

use common::open;
use inventory_core::journal::MemoryJournal;
use inventory_net::ledger_lines::LineServer;
use inventory_net::transport::BindOptions;
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Files for everything but connections.
const OTHER_FILES: u64 = 64;

#[tokio::test]
async fn no_more_waiting_clients_of_lines_are_accepted_at_the_end_than_there_are_places() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(OTHER_FILES + 3);
    setrlimit(Resource::Nofile, limit).unwrap();
    for is_cut in [true, false] {
        let service = open(Arc::new(MemoryJournal::new())).await;
        let address = "tcp://127.0.0.1:0".parse().unwrap();
        let server = LineServer::bind(&address, BindOptions::default(), service.clone()).await.unwrap();
        let address = server.address().rest().to_owned();
        let mut clients = Vec::new();
        for _ in 0..10 {
            let mut client = TcpStream::connect(&address).await.unwrap();
            client.write_all(b"Marc credit 1\n").await.unwrap();
            if !is_cut {
                client.shutdown().await.unwrap();
            }
            clients.push(client);
        }
        // When one has been heard, all were accepted that are accepted at once.
        let heard = async {
            while service.with_state(|state| state.accounts().is_empty()) {
                tokio::task::yield_now().await;
            }
        };
        if is_cut {
            assert_eq!(server.run(ready(()), heard).await.unwrap().clients, 3);
        } else {
            let counts = server.run(ready(()), pending()).await.unwrap();
            assert_eq!((counts.clients, counts.accepted), (10, 10));
            for mut client in clients {
                assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
            }
        }
    }
}
