//! The limit of bulk purchases: as many bytes as a batch has, received over loopback, written and synced, and a short
//! answer. One thread receives while another writes; what came in during a sync is written with the next.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use bytes::{Buf as _, BytesMut};
use inventory_load::{Answer, Exchange, Lane, LoadError, Outcome};
use inventory_net::transport::connect;

use super::{InOrder, disk};

/// Rows of a batch.
pub(crate) const ROWS: u64 = 8_192;
/// Bytes of a row on the wire: a code of 8 and units of 4.
const ROW_BYTES: usize = 12;
/// Bytes of a batch: its rows, and the key and the heads of its columns.
const BATCH_BYTES: usize = 8_192 * ROW_BYTES + 64;
/// Bytes of an answer.
const ANSWER_BYTES: usize = 64;
/// Batches in the file before it is written over.
const FILE_BATCHES: u64 = 512;

/// A connection to a server on threads of its own that ends with the connection.
pub(crate) async fn lane(dir: &Path) -> anyhow::Result<Lane<Batches>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("tcp://{}", listener.local_addr()?).parse()?;
    let file = disk::zero_filled(&dir.join("disk"))?;
    thread::spawn(move || -> anyhow::Result<()> {
        let (stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let answers = stream.try_clone()?;
        let (received, to_write) = mpsc::channel();
        let writer = thread::spawn(move || write_and_answer(&file, answers, &to_write));
        receive(stream, &received);
        drop(received);
        writer.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?
    });
    let stream = connect(&address).await?;
    Ok(Lane { stream, exchange: Batches { in_order: InOrder::default(), batch: vec![7; BATCH_BYTES] } })
}

/// Hands on each batch, until the connection ends.
fn receive(mut stream: TcpStream, received: &mpsc::Sender<Vec<u8>>) {
    loop {
        let mut batch = vec![0; BATCH_BYTES];
        if stream.read_exact(&mut batch).is_err() || received.send(batch).is_err() {
            return;
        }
    }
}

fn write_and_answer(
    file: &std::fs::File,
    mut answers: TcpStream,
    to_write: &mpsc::Receiver<Vec<u8>>,
) -> anyhow::Result<()> {
    let mut place = 0;
    while let Ok(first) = to_write.recv() {
        let mut answer = Vec::new();
        for batch in std::iter::once(first).chain(to_write.try_iter()) {
            file.write_all_at(&batch, place * BATCH_BYTES as u64)?;
            place = (place + 1) % FILE_BATCHES;
            answer.resize(answer.len() + ANSWER_BYTES, 7);
        }
        file.sync_data()?;
        answers.write_all(&answer)?;
    }
    Ok(())
}

/// Batches of bytes.
#[derive(Debug)]
pub(crate) struct Batches {
    in_order: InOrder,
    batch: Vec<u8>,
}

impl Exchange for Batches {
    fn ask(&mut self, slot: u32, out: &mut BytesMut) -> Result<(), LoadError> {
        self.in_order.sent(slot);
        out.extend_from_slice(&self.batch);
        Ok(())
    }

    fn answer(&mut self, input: &mut BytesMut) -> Result<Option<Answer>, LoadError> {
        if input.len() < ANSWER_BYTES {
            return Ok(None);
        }
        input.advance(ANSWER_BYTES);
        let outcome = Outcome::Bought { purchases: ROWS, units: ROWS, refused: 0 };
        Ok(Some(Answer { slot: self.in_order.answered()?, outcome }))
    }
}
