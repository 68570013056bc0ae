//! One purchase on the wire: encoding and decoding of its request and its receipt, and both ends of a connection.
//!
//! `cargo bench -p inventory-benches --bench frame_codec`
#![allow(missing_docs, reason = "the macro of the bench harness makes a public function")]

use std::hint::black_box;

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use inventory_benches::{AnyError, or_exit, receipt_of};
use inventory_core::{LocationId, OneOrMany, Order, OrderKey, OrderLine, Units, Upc};
use inventory_net::connection::{ClientConnection, ServerConfig, ServerConnection};
use inventory_net::frame;
use inventory_net::limits::FRAME_BYTES_MAX;
use inventory_net::message::{
    Done, EncodeError, Op, ReplyBody, RequestBody, RequestId, decode_reply, decode_request, encode_reply,
    encode_request,
};

fn order() -> Result<Order, AnyError> {
    let line = OrderLine {
        upc: "036000291452".parse::<Upc>()?,
        location: LocationId::MAIN,
        units: Units::new(2).unwrap_or_default(),
    };
    let key = "019a9d7c-6a00-7abc-8def-0123456789ab".parse::<OrderKey>()?;
    Ok(Order { key, lines: OneOrMany::One(line) })
}

fn payload(write: impl FnOnce(&mut BytesMut) -> Result<(), EncodeError>) -> Result<BytesMut, EncodeError> {
    let mut payload = BytesMut::new();
    write(&mut payload)?;
    Ok(payload)
}

fn messages(c: &mut Criterion) -> Result<(), AnyError> {
    let id = RequestId::new(7).ok_or("an id")?;
    let order = order()?;
    let request = RequestBody::Purchase(order.clone());
    let reply = ReplyBody::Done(Done::Receipt(receipt_of(&order)));
    let request_payload = payload(|to| encode_request(to, id, &request))?;
    let reply_payload = payload(|to| encode_reply(to, Some(id), &reply))?;
    let mut out = BytesMut::with_capacity(4_096);

    let mut group = c.benchmark_group("frame_codec");
    group.throughput(Throughput::Elements(1));
    group.bench_function("encode_purchase", |b| {
        b.iter(|| {
            out.clear();
            frame::append(&mut out, FRAME_BYTES_MAX, |to| encode_request(to, id, black_box(&request)))
        });
    });
    group.bench_function("decode_purchase", |b| b.iter(|| decode_request(black_box(&request_payload))));
    group.bench_function("encode_receipt", |b| {
        b.iter(|| {
            out.clear();
            frame::append(&mut out, FRAME_BYTES_MAX, |to| encode_reply(to, Some(id), black_box(&reply)))
        });
    });
    group.bench_function("decode_receipt", |b| {
        b.iter(|| decode_reply(black_box(&reply_payload), |_| Some(Op::Purchase)));
    });
    group.finish();
    Ok(())
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
    or_exit(messages(c).and_then(|()| connections(c)));
}

criterion_group!(benches, bench);
criterion_main!(benches);
