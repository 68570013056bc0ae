//! The loop against a peer that only echoes, in memory.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "a test fails by panicking")]

use std::time::Duration;

use bytes::{Buf as _, BufMut as _, BytesMut};
use inventory_load::{Answer, Exchange, Lane, LoadError, Measured, Outcome, Plan, Until, run};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

/// Requests of four bytes, the slot; answers are the same bytes.
struct Echo;

impl Exchange for Echo {
    fn ask(&mut self, slot: u32, out: &mut BytesMut) -> Result<(), LoadError> {
        out.put_u32(slot);
        Ok(())
    }

    fn answer(&mut self, input: &mut BytesMut) -> Result<Option<Answer>, LoadError> {
        let outcome = Outcome::Bought { purchases: 1, units: 2, refused: 0 };
        Ok((input.len() >= 4).then(|| Answer { slot: input.get_u32(), outcome }))
    }
}

/// Echoes so many requests, then ends the connection.
async fn echo(mut peer: DuplexStream, requests: usize) {
    for _ in 0..requests {
        let Ok(slot) = peer.read_u32().await else { return };
        peer.write_u32(slot).await.unwrap();
    }
}

fn lanes(count: usize, requests: usize) -> Vec<Lane<Echo>> {
    let lane = |_| {
        // Small, so that requests go and come in pieces.
        let (near, far) = duplex(7);
        tokio::spawn(echo(far, requests));
        Lane { stream: Box::new(near), exchange: Echo }
    };
    (0..count).map(lane).collect()
}

#[track_caller]
fn load(connections: usize, served: usize, plan: Plan) -> Result<Measured, LoadError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { run(lanes(connections, served), &plan, |_| {}).await })
}

#[test]
fn a_closed_loop_of_a_count_asks_exactly_so_often() {
    let plan = Plan { in_flight: 5, until: Until::Count(1_003), rate_per_s: None };
    let measured = load(4, usize::MAX, plan).unwrap();
    assert_eq!((measured.requests, measured.purchases, measured.units), (1_003, 1_003, 2_006));
    assert_eq!(measured.histogram().iter().map(|(_, count)| count).sum::<u64>(), 1_003);
}

#[test]
fn an_open_loop_asks_as_often_as_the_rate_says() {
    let plan =
        Plan { in_flight: 2, until: Until::Elapsed(Duration::from_millis(100)), rate_per_s: Some(2_000.0) };
    let measured = load(3, usize::MAX, plan).unwrap();
    assert_eq!(measured.requests + measured.unsent, 200);
    assert_eq!(measured.histogram().iter().map(|(_, count)| count).sum::<u64>(), 200);
}

#[test]
fn a_connection_that_ends_under_load_leaves_no_figures() {
    let plan = Plan { in_flight: 3, until: Until::Count(1_000), rate_per_s: None };
    let ended = load(2, 10, plan).unwrap_err();
    assert!(matches!(ended, LoadError::Lost(_)), "{ended}");
}

#[test]
fn a_load_of_fewer_requests_than_connections_ends() {
    for rate_per_s in [None, Some(1_000.0)] {
        let plan = Plan { in_flight: 1, until: Until::Count(1), rate_per_s };
        assert_eq!(load(5, usize::MAX, plan).unwrap().requests, 1);
    }
}
