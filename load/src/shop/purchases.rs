//! Purchases on the wire, at little cost: requests are made from templates, and of an answer that says "done" only the
//! head is read. Whether the server has done what it says is seen in the end, in the levels.

use std::io;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};
use inventory_core::{
    BulkOrder, BulkReceipt, LocationId, Order, OrderKey, OrderLine, Refusal, Time, Units, Upc,
};
use inventory_net::clock::{Clock as _, SystemClock};
use inventory_net::connection::ClientConnection;
use inventory_net::frame;
use inventory_net::limits::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES};
use inventory_net::message::{
    Done, Op, ReplyBody, RequestBody, RequestId, ServerHello, Status, Token, Unavailable, decode_reply,
    encode_request, reply_head,
};
use inventory_net::transport::{self, Address, Stream};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::upc;
use crate::drive::PATIENCE;
use crate::error::{internal, unexpected};
use crate::workload::{Picker, Skew};
use crate::{Answer, Exchange, Lane, LoadError, Outcome};

/// What a connection buys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buying {
    /// Requests that may be in flight.
    pub in_flight: u32,
    /// How many items there are to choose from.
    pub items: u64,
    /// How often each is wanted.
    pub skew: Skew,
    /// Purchases in a request: one, or the rows of a bulk purchase.
    pub batch: u32,
    /// How many of 100 requests read one item's levels instead of buying one unit of it.
    pub reads_percent: u32,
}

/// Connections of the user whose session it is, ready to buy.
pub async fn connect(
    address: &Address,
    session: &Token,
    connections: usize,
    buying: &Buying,
) -> Result<Vec<Lane<Purchases>>, LoadError> {
    let templates: Arc<[Template]> =
        (0..buying.in_flight).map(|slot| Template::new(slot, buying.batch)).collect::<Result<_, _>>()?;
    let mut lanes = Vec::with_capacity(connections);
    for number in 1..=connections {
        let failed = |source| LoadError::Connect { number, connections, address: address.clone(), source };
        let opened = timeout(PATIENCE, open(address, session)).await.unwrap_or_else(|_| Err(no_answer()));
        let (stream, server) = opened.map_err(failed)?;
        if buying.in_flight > server.in_flight_max {
            return Err(LoadError::InFlight { max: server.in_flight_max });
        }
        if buying.batch > server.bulk_rows_max {
            return Err(LoadError::Batch { max: server.bulk_rows_max });
        }
        let exchange = Purchases::new(*buying, Arc::clone(&templates))?;
        lanes.push(Lane { stream, exchange });
    }
    Ok(lanes)
}

/// A server that is full accepts no more connections; the system lets them wait for it.
fn no_answer() -> io::Error {
    let seconds = PATIENCE.as_secs();
    let message =
        format!("nothing was answered for {seconds} s: the server may take fewer connections; ask for fewer");
    io::Error::new(io::ErrorKind::TimedOut, message)
}

/// A connection with this session, and what the server said of itself.
async fn open(address: &Address, session: &Token) -> io::Result<(Box<dyn Stream>, ServerHello)> {
    let mut stream = transport::connect(address).await?;
    let mut wire = ClientConnection::new(concat!("inventory-load/", env!("CARGO_PKG_VERSION")));
    let server = loop {
        if let Some(server) = wire.server() {
            break server.clone();
        }
        turn(&mut *stream, &mut wire).await?;
        wire.poll_reply().map_err(io::Error::other)?;
    };
    wire.request(&RequestBody::Resume { token: session.clone() }).map_err(io::Error::other)?;
    loop {
        turn(&mut *stream, &mut wire).await?;
        match wire.poll_reply().map_err(io::Error::other)?.map(|reply| reply.body) {
            None => {}
            Some(ReplyBody::Done(_)) => return Ok((stream, server)),
            Some(ReplyBody::Refused(refusal)) => return Err(io::Error::other(refusal.to_string())),
            Some(other) => return Err(io::Error::other(format!("the server answered {other:?}"))),
        }
    }
}

/// Sends what is to be sent and reads once.
async fn turn(stream: &mut dyn Stream, wire: &mut ClientConnection) -> io::Result<()> {
    stream.write_all(wire.output()).await?;
    wire.sent(wire.output().len());
    match stream.read_buf(wire.read_buffer()).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// The frame of a purchase, with places for the key and the items. One unit of each.
#[derive(Debug)]
struct Template {
    frame: BytesMut,
    key_at: usize,
    /// Where the item stands, or the column of them.
    upc_at: usize,
    batch: u32,
}

/// Bytes of an item's code in a frame.
const UPC_BYTES: usize = 8;

impl Template {
    fn new(slot: u32, batch: u32) -> Result<Self, LoadError> {
        // What stands nowhere else in the frame.
        let key = OrderKey::from_parts(Time::from_micros(0x5a5a_5a5a_5a5a_5a5a), u128::MAX / 3);
        let code = upc(u64::from(u32::MAX)).map_err(internal)?;
        // An integer above 2^32, as every code of a load is, is 8 bytes behind its head, the highest first; columns
        // have the lowest first.
        let (request, upc_bytes) = if batch > 1 {
            let rows = usize::try_from(batch).map_err(internal)?;
            let order = BulkOrder::new(key, LocationId::MAIN, vec![code; rows], vec![1; rows]);
            (RequestBody::PurchaseBulk(order.map_err(internal)?), code.get().to_le_bytes())
        } else {
            let line = OrderLine::new(code, Units::new(1).unwrap_or_default());
            (RequestBody::Purchase(Order { key, lines: line.into(), charge: None }), code.get().to_be_bytes())
        };
        let mut frame = BytesMut::new();
        append(&mut frame, slot, &request)?;
        let find = |bytes: &[u8]| frame.windows(bytes.len()).position(|window| window == bytes);
        let place = |bytes| find(bytes).ok_or_else(|| internal("a purchase without its key or its item"));
        let (key_at, upc_at) = (place(&key.to_bytes())?, place(&upc_bytes)?);
        Ok(Self { frame, key_at, upc_at, batch })
    }

    /// Appends a purchase of the next items.
    fn append(&self, key: OrderKey, picker: &mut Picker, out: &mut BytesMut) -> Result<(), LoadError> {
        let start = out.len();
        out.extend_from_slice(&self.frame);
        let frame = out.get_mut(start..).unwrap_or_default();
        fill(frame, self.key_at, key.to_bytes())?;
        let mut next_code = || upc(picker.next_item()).map(Upc::get).map_err(internal);
        if self.batch <= 1 {
            return fill(frame, self.upc_at, next_code()?.to_be_bytes());
        }
        let rows = usize::try_from(self.batch).map_err(internal)?;
        let (column, _) = frame.get_mut(self.upc_at..).unwrap_or_default().as_chunks_mut::<UPC_BYTES>();
        for place in column.iter_mut().take(rows) {
            *place = next_code()?.to_le_bytes();
        }
        Ok(())
    }
}

fn fill<const N: usize>(frame: &mut [u8], at: usize, bytes: [u8; N]) -> Result<(), LoadError> {
    let place = frame.get_mut(at..).and_then(|rest| rest.first_chunk_mut::<N>());
    *place.ok_or_else(|| internal("a template that is too short"))? = bytes;
    Ok(())
}

/// Purchases of one unit, and reads, on one connection.
#[derive(Debug)]
pub struct Purchases {
    buying: Buying,
    picker: Picker,
    random: SmallRng,
    templates: Arc<[Template]>,
    /// What the request in each slot asks for.
    asked: Box<[Op]>,
}

impl Purchases {
    fn new(buying: Buying, templates: Arc<[Template]>) -> Result<Self, LoadError> {
        let asked = vec![Op::Purchase; templates.len()].into();
        // Keys of two runs must differ, and so must the items of two connections.
        let mut seed = [0; 8];
        getrandom::fill(&mut seed)?;
        let seed = u64::from_ne_bytes(seed);
        let picker = Picker::new(buying.skew, buying.items, seed);
        Ok(Self { buying, picker, random: SmallRng::seed_from_u64(!seed), templates, asked })
    }

    /// What the request in this slot asks for.
    fn asked(&mut self, slot: u32) -> Result<&mut Op, LoadError> {
        let place = usize::try_from(slot).ok().and_then(|slot| self.asked.get_mut(slot));
        place.ok_or_else(|| internal("an answer to a request that was not made"))
    }
}

impl Exchange for Purchases {
    fn ask(&mut self, slot: u32, out: &mut BytesMut) -> Result<(), LoadError> {
        if self.picker.chance(self.buying.reads_percent) {
            *self.asked(slot)? = Op::Item;
            let code = upc(self.picker.next_item()).map_err(internal)?;
            return append(out, slot, &RequestBody::Item { upc: code });
        }
        *self.asked(slot)? = if self.buying.batch > 1 { Op::PurchaseBulk } else { Op::Purchase };
        let key = OrderKey::from_parts(SystemClock.now(), self.random.random());
        let template = usize::try_from(slot).ok().and_then(|slot| self.templates.get(slot));
        let template = template.ok_or_else(|| internal("a slot without a template"))?;
        template.append(key, &mut self.picker, out)
    }

    fn answer(&mut self, input: &mut BytesMut) -> Result<Option<Answer>, LoadError> {
        let Some(payload) = frame::first_payload(input, FRAME_BYTES_MAX).map_err(unexpected)? else {
            return Ok(None);
        };
        let (id, status) = reply_head(payload).map_err(|broken| unexpected(broken.error))?;
        let id = id.ok_or_else(|| unexpected("a reply to no request"))?;
        let slot = id.get().wrapping_sub(1);
        let op = *self.asked(slot)?;
        let outcome = match (status, op) {
            (Status::Done, Op::Item) => Outcome::Read,
            (Status::Done, Op::Purchase) => Outcome::Bought { purchases: 1, units: 1, refused: 0 },
            _ => in_full(payload, op)?,
        };
        input.advance(FRAME_HEADER_BYTES.saturating_add(payload.len()));
        Ok(Some(Answer { slot, outcome }))
    }
}

/// What an answer means whose head does not say enough.
fn in_full(payload: &[u8], op: Op) -> Result<Outcome, LoadError> {
    let reply = decode_reply(payload, |_| Some(op)).map_err(|broken| unexpected(broken.error))?;
    match reply.body {
        ReplyBody::Refused(Refusal::InsufficientStock { .. }) => {
            Ok(Outcome::Bought { purchases: 0, units: 0, refused: 1 })
        }
        ReplyBody::Unavailable(Unavailable::Overloaded) => Ok(Outcome::TurnedAway),
        ReplyBody::Refused(refusal) => Err(unexpected(refusal)),
        ReplyBody::RefusedOtherwise(refusal) => Err(unexpected(refusal.message)),
        ReplyBody::Unavailable(reason) => Err(unexpected(reason)),
        ReplyBody::ProtocolError(error) => Err(unexpected(error)),
        ReplyBody::Done(Done::BulkReceipt(BulkReceipt { outcome, .. })) => Ok(Outcome::Bought {
            purchases: outcome.accepted_rows.into(),
            units: outcome.units.get(),
            refused: outcome.rows.saturating_sub(outcome.accepted_rows).into(),
        }),
        ReplyBody::Done(other) => Err(unexpected(format!("{other:?}"))),
    }
}

/// Appends a request whose id tells its slot.
fn append(out: &mut BytesMut, slot: u32, body: &RequestBody) -> Result<(), LoadError> {
    let id = RequestId::new(slot.wrapping_add(1)).ok_or_else(|| internal("too many slots"))?;
    frame::append(out, FRAME_BYTES_MAX, |to| encode_request(to, id, body)).map_err(internal)
}

#[cfg(test)]
mod tests {
    use inventory_net::message::decode_request;

    use super::*;

    const BUYING: Buying =
        Buying { in_flight: 300, items: 1_000, skew: Skew::Uniform, batch: 1, reads_percent: 0 };

    fn purchases(buying: Buying) -> Purchases {
        let templates =
            (0..buying.in_flight).map(|slot| Template::new(slot, buying.batch).unwrap()).collect();
        Purchases::new(buying, templates).unwrap()
    }

    fn asked(exchange: &mut Purchases, slot: u32) -> inventory_net::message::Request {
        let mut out = BytesMut::new();
        exchange.ask(slot, &mut out).unwrap();
        decode_request(frame::first_payload(&out, FRAME_BYTES_MAX).unwrap().unwrap()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_leaves_a_connection_waiting_is_given_up() {
        let address: Address = "memory://full".parse().unwrap();
        let _never_accepts = transport::bind(&address, transport::BindOptions::default()).await.unwrap();
        let session = Token::new([7; 32]);
        let error = connect(&address, &session, 2, &BUYING).await.unwrap_err().to_string();
        assert!(error.contains("connection 1 of 2 to memory://full failed: nothing was answered"), "{error}");
    }

    #[test]
    fn each_request_is_a_purchase_of_one_unit_under_a_key_of_its_own() {
        let mut exchange = purchases(BUYING);
        let mut keys = std::collections::HashSet::new();
        for slot in 0..BUYING.in_flight {
            let request = asked(&mut exchange, slot);
            let RequestBody::Purchase(order) = request.body else { panic!("{request:?}") };
            assert_eq!(request.id.get(), slot + 1);
            assert!(keys.insert(order.key));
            assert_eq!(order.lines.len(), 1);
            assert_eq!(order.lines[0].units.get(), 1);
            assert!((0..1_000).any(|item| upc(item) == Ok(order.lines[0].upc)));
        }
    }

    #[test]
    fn a_batch_has_rows_of_scattered_items_under_a_key_of_its_own() {
        let mut exchange = purchases(Buying { batch: 1_000, in_flight: 2, ..BUYING });
        let (first, second) = (asked(&mut exchange, 0), asked(&mut exchange, 1));
        let (RequestBody::PurchaseBulk(first), RequestBody::PurchaseBulk(second)) = (first.body, second.body)
        else {
            panic!("no batches");
        };
        assert_ne!(first.key(), second.key());
        assert_ne!(first.upcs(), second.upcs());
        assert_eq!(first.units(), [1; 1_000]);
        let items: std::collections::HashSet<Upc> = (0..1_000).map(|item| upc(item).unwrap()).collect();
        assert!(first.upcs().iter().all(|code| items.contains(code)));
    }

    #[test]
    fn reads_are_as_many_as_were_asked_for() {
        let mut exchange = purchases(Buying { reads_percent: 25, ..BUYING });
        let reads = (0..10_000).filter(|_| matches!(asked(&mut exchange, 0).body, RequestBody::Item { .. }));
        assert!((2_300..2_700).contains(&reads.count()));
    }
}
