//! One purchase on the wire, and one batch of the largest size: encoding and decoding of its request and its receipt, and
//! both ends of a connection. The throughput of a batch counts rows.
//!
//! `cargo bench -p inventory-benches --bench frame_codec`
#![allow(missing_docs, reason = "the macro of the bench harness makes a public function")]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use inventory_benches::{AnyError, BULK_ROWS, bulk_order, or_exit, receipt_of, upc};
use inventory_core::{
    BulkOutcome, BulkReceipt, LocationId, Money, OneOrMany, Order, OrderKey, OrderLine, RowCodes, Time,
    Units, Upc, Version,
};
use inventory_net::connection::{ClientConnection, ServerConfig, ServerConnection};
use inventory_net::frame;
use inventory_net::limits::FRAME_BYTES_MAX;
use inventory_net::message::{
    Done, EncodeError, ReplyBody, RequestBody, RequestId, decode_reply, decode_request, encode_reply,
    encode_request,
};

fn order() -> Result<Order, AnyError> {
    let line = OrderLine {
        upc: "036000291452".parse::<Upc>()?,
        location: LocationId::MAIN,
        units: Units::new(2).unwrap_or_default(),
    };
    let key = "019a9d7c-6a00-7abc-8def-0123456789ab".parse::<OrderKey>()?;
    Ok(Order { key, lines: OneOrMany::One(line), charge: None })
}

fn payload(write: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>) -> Result<BytesMut, EncodeError> {
    let mut payload = BytesMut::new();
    write(&mut payload)?;
    Ok(payload)
}

fn messages(c: &mut Criterion) -> Result<(), AnyError> {
    let order = order()?;
    let request = RequestBody::Purchase(order.clone());
    let reply = ReplyBody::Done(Done::Receipt(receipt_of(&order)));
    codec(c, ["purchase", "receipt"], 1, &request, &reply)
}

fn codec(
    c: &mut Criterion,
    [request_name, reply_name]: [&str; 2],
    elements: u64,
    request: &RequestBody,
    reply: &ReplyBody,
) -> Result<(), AnyError> {
    let (id, op) = (RequestId::new(7).ok_or("an id")?, request.op());
    let request_payload = payload(|to| encode_request(to, id, request))?;
    let reply_payload = payload(|to| encode_reply(to, Some(id), reply))?;
    let mut out = BytesMut::with_capacity(128 << 10);

    let mut group = c.benchmark_group("frame_codec");
    group.throughput(Throughput::Elements(elements));
    group.bench_function(format!("encode_{request_name}"), |b| {
        b.iter(|| {
            out.clear();
            frame::append(&mut out, FRAME_BYTES_MAX, |to| encode_request(to, id, black_box(request)))
        });
    });
    group.bench_function(format!("decode_{request_name}"), |b| {
        b.iter(|| decode_request(black_box(&request_payload)));
    });
    group.bench_function(format!("encode_{reply_name}"), |b| {
        b.iter(|| {
            out.clear();
            frame::append(&mut out, FRAME_BYTES_MAX, |to| encode_reply(to, Some(id), black_box(reply)))
        });
    });
    group.bench_function(format!("decode_{reply_name}"), |b| {
        b.iter(|| decode_reply(black_box(&reply_payload), |_| Some(op)));
    });
    group.finish();
    Ok(())
}

fn bulk_messages(c: &mut Criterion) -> Result<(), AnyError> {
    let upcs = (0..BULK_ROWS).map(upc).collect::<Result<Vec<_>, _>>()?;
    let order = bulk_order(1, upcs)?;
    // The longest receipt there is: some rows were refused.
    let codes =
        RowCodes::new((0..BULK_ROWS).map(|row| if row % 9 == 0 { 21 } else { 0 }).collect::<Vec<u8>>());
    let outcome = BulkOutcome {
        rows: u32::try_from(BULK_ROWS)?,
        accepted_rows: 7_281,
        units: Units::new(7_281).unwrap_or_default(),
        total: Some(Money::from_minor(1_448_919)),
        codes: codes.ok_or("codes")?,
    };
    let (version, at) = (Version(1_042), Time::from_micros(1_763_650_000_000_123));
    let receipt = BulkReceipt { key: order.key(), version, user: "alice".into(), at, outcome };
    let request = RequestBody::PurchaseBulk(order);
    let reply = ReplyBody::Done(Done::BulkReceipt(receipt));
    codec(c, ["bulk_purchase", "bulk_receipt"], BULK_ROWS, &request, &reply)
}

/// A client and a server that have said hello.
fn ends() -> Result<(ClientConnection, ServerConnection), AnyError> {
    let mut client = ClientConnection::new("bench");
    let mut server = ServerConnection::new(ServerConfig::default(), 0);
    to_server(&mut client, &mut server);
    let greeting = server.poll_request(0);
    to_client(&mut server, &mut client);
    client.poll_reply()?;
    if greeting.is_some() || client.server().is_none() {
        Err("no hello".into())
    } else {
        Ok((client, server))
    }
}

fn to_server(client: &mut ClientConnection, server: &mut ServerConnection) {
    server.read_buffer().extend_from_slice(client.output());
    client.sent(client.output().len());
}

fn to_client(server: &mut ServerConnection, client: &mut ClientConnection) {
    client.read_buffer().extend_from_slice(server.output());
    server.sent(server.output().len(), 0);
}

fn connections(c: &mut Criterion) -> Result<(), AnyError> {
    let (mut client, mut server) = ends()?;
    let order = order()?;
    let request = RequestBody::Purchase(order.clone());
    let reply = ReplyBody::Done(Done::Receipt(receipt_of(&order)));
    let mut group = c.benchmark_group("connection");
    group.throughput(Throughput::Elements(1));
    group.bench_function("purchase_and_receipt_both_ends", |b| {
        b.iter(|| {
            let sent = client.request(&request);
            to_server(&mut client, &mut server);
            while let Some(request) = server.poll_request(0) {
                server.reply(request.id, &reply, 0);
            }
            to_client(&mut server, &mut client);
            (sent, client.poll_reply())
        });
    });
    group.finish();
    Ok(())
}

fn bench(c: &mut Criterion) {
    or_exit(messages(c).and_then(|()| bulk_messages(c)).and_then(|()| connections(c)));
}

criterion_group!(benches, bench);
criterion_main!(benches);
