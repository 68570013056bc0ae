//! Whatever a peer sends: a clear answer, no panic, no memory beyond what arrived.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use inventory_core::limits::BULK_ROWS_MAX;
use inventory_core::{OneOrMany, Refusal};
use inventory_net::connection::{ServerConfig, ServerConnection};
use inventory_net::limits::{
    ANONYMOUS_FRAME_BYTES_MAX, DEPTH_MAX, FIELDS_MAX, FRAME_BYTES_MAX, FRAME_BYTES_MIN, FRAME_HEADER_BYTES,
};
use inventory_net::message::{
    Account, Done, Op, ProtocolError, ProtocolErrorCode, Reply, ReplyBody, RequestBody, RequestError,
    RequestId, decode_reply, decode_request,
};
use proptest::prelude::*;
use support::{encode_head, encode_notation};

const KEY: &str = "h'019a9d7c6a007abc8def0123456789ab'";

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut frame = u32::try_from(payload.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(payload);
    frame
}

fn example(name: &str) -> Vec<u8> {
    support::examples().into_iter().find(|example| example.name == name).expect("an example").frame
}

fn requests() -> impl Iterator<Item = support::Example> {
    support::examples().into_iter().filter(|example| example.rule.ends_with("-request"))
}

/// A connection that has said hello; its output is empty.
fn greeted() -> ServerConnection {
    let mut connection = ServerConnection::new(ServerConfig::default(), 0);
    connection.read_buffer().extend_from_slice(&example("hello"));
    assert_eq!(connection.poll_request(0), None);
    take_reply(&mut connection, Op::Hello);
    connection
}

/// A connection that has a session.
fn logged_in() -> ServerConnection {
    let mut connection = greeted();
    connection.read_buffer().extend_from_slice(&example("resume"));
    let request = connection.poll_request(0).expect("the resume");
    let account = Account { user: "alice".into(), role: inventory_core::Role::Buyer };
    connection.reply(request.id, &ReplyBody::Done(Done::Account(account)), 0);
    take_reply(&mut connection, Op::Resume);
    connection
}

/// The one reply in the output, to a request of this op.
fn take_reply(connection: &mut ServerConnection, op: Op) -> Reply {
    let output = connection.output().to_vec();
    connection.sent(output.len(), 0);
    decode_reply(&output[FRAME_HEADER_BYTES..], |_| Some(op)).expect("one well-formed reply")
}

/// What the server says to these bytes, which end the connection.
fn broken_off(connection: &mut ServerConnection, bytes: &[u8]) -> (Option<RequestId>, ProtocolError) {
    connection.read_buffer().extend_from_slice(bytes);
    assert_eq!(connection.poll_request(0), None);
    assert!(connection.is_closing() && !connection.wants_read());
    let reply = take_reply(connection, Op::Hello);
    assert!(connection.is_finished());
    match reply.body {
        ReplyBody::ProtocolError(error) => (reply.id, error),
        other => panic!("{other:?} is no protocol error"),
    }
}

/// Why the code takes these bytes for no request.
fn blamed(payload: &[u8]) -> ProtocolError {
    match decode_request(payload) {
        Err(RequestError::Broken(broken)) => broken.error,
        other => panic!("{other:?} is no protocol error"),
    }
}

fn assert_malformed(payload: &[u8], what: &str) {
    let error = blamed(payload);
    assert!(error.is(ProtocolErrorCode::Malformed), "{error}");
    assert!(error.message.contains(what), "{error:?} should say {what:?}");
}

#[test]
fn a_frame_cut_anywhere_is_waited_for() {
    for example in requests() {
        for end in 0..example.frame.len() {
            let mut connection = ServerConnection::new(ServerConfig::default(), 0);
            connection.read_buffer().extend_from_slice(&example.frame[..end]);
            assert_eq!(connection.poll_request(0), None, "{} cut at {end}", example.name);
            assert!(connection.output().is_empty() && connection.wants_read());
        }
    }
}

#[test]
fn a_payload_cut_anywhere_is_malformed() {
    for example in requests() {
        for end in 0..example.payload().len() {
            let error = blamed(&example.payload()[..end]);
            assert!(error.is(ProtocolErrorCode::Malformed), "{} cut at {end}: {error}", example.name);
        }
    }
}

#[test]
fn nothing_may_follow_a_message() {
    for example in requests() {
        for byte in [0x00, 0xf6, 0xff] {
            let payload = [example.payload(), &[byte]].concat();
            assert_malformed(&payload, "bytes behind the message");
        }
    }
}

#[test]
fn a_flipped_bit_never_panics() {
    for example in support::examples() {
        let mut payload = example.payload().to_vec();
        for bit in 0..payload.len() * 8 {
            payload[bit / 8] ^= 1 << (bit % 8);
            drop(decode_request(&payload));
            for op in [Op::Hello, Op::Levels, Op::Purchase, Op::PurchaseBulk] {
                drop(decode_reply(&payload, |_| Some(op)));
            }
            payload[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn a_length_of_4_gib_is_refused_before_any_of_it_arrives() {
    for mut connection in [greeted(), logged_in()] {
        let (id, error) = broken_off(&mut connection, &[0xff; 4]);
        assert!(id.is_none() && error.is(ProtocolErrorCode::FrameTooLarge), "{error}");
        assert!(connection.read_buffer().capacity() < 16 << 10);
    }
}

#[test]
fn a_length_of_zero_is_refused() {
    let (_, error) = broken_off(&mut greeted(), &[0; 4]);
    assert!(error.is(ProtocolErrorCode::FrameEmpty), "{error}");
}

#[test]
fn large_frames_are_taken_only_after_a_login() {
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes();
    let (_, error) = broken_off(&mut greeted(), &length(ANONYMOUS_FRAME_BYTES_MAX + 1));
    assert!(error.is(ProtocolErrorCode::FrameTooLarge), "{error}");
    let (_, error) = broken_off(&mut logged_in(), &length(FRAME_BYTES_MAX + 1));
    assert!(error.is(ProtocolErrorCode::FrameTooLarge), "{error}");
    let mut connection = logged_in();
    connection.read_buffer().extend_from_slice(&length(FRAME_BYTES_MAX));
    assert_eq!(connection.poll_request(0), None);
    assert!(connection.wants_read() && connection.output().is_empty());
}

#[test]
fn a_request_for_another_protocol_is_told_so() {
    let (_, error) = broken_off(
        &mut ServerConnection::new(ServerConfig::default(), 0),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    );
    assert!(error.is(ProtocolErrorCode::FrameTooLarge), "{error}");
}

#[test]
fn lists_and_strings_that_lie_about_their_length_are_refused_unread() {
    let purchase_of = |head: &[u8]| {
        let mut payload = encode_notation(&format!("[7, 20, {{\"key\": {KEY}, \"lines\": []}}]"));
        payload.pop();
        payload.extend_from_slice(head);
        payload
    };
    for count in [1, 1 << 16, 1 << 32, i128::from(u64::MAX)] {
        for (major, what) in
            [(2, "a string says"), (3, "a string says"), (4, "a list says"), (5, "a list says")]
        {
            let mut head = Vec::new();
            encode_head(&mut head, major, count);
            assert_malformed(&purchase_of(&head), what);
        }
    }
}

#[test]
fn a_nesting_bomb_is_refused_at_its_depth() {
    for opening in [&[0x81][..], &[0x9f], &[0xa1, 0x61, b'x'], &[0xbf, 0x61, b'x']] {
        let mut payload = vec![0x83, 0x01, 0x14, 0xa1, 0x61, b'x'];
        for _ in 0..100_000 {
            payload.extend_from_slice(opening);
        }
        assert_malformed(&payload, "nested too deep");
    }
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        encode_notation(&format!("[1, 11, {{\"x\": {open}{close}}}]"))
    };
    assert_malformed(&nested(DEPTH_MAX - 1), "nested too deep");
    assert_malformed(&nested(DEPTH_MAX - 2), "unknown field");
}

#[test]
fn what_the_profile_leaves_out_is_refused() {
    let item = |upc: &[u8]| [&[0x83, 0x06, 0x0b, 0xa1, 0x63], &b"upc"[..], upc].concat();
    assert!(decode_request(&item(&[0x01])).is_ok());
    for (value, what) in [
        (&[0xc2, 0x41, 0x01][..], "tags are not used"),
        (&[0xd9, 0xd9, 0xf7, 0x01], "tags are not used"),
        (&[0xf9, 0x3c, 0x00], "floats and simple values"),
        (&[0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], "floats and simple values"),
        (&[0xf5], "floats and simple values"),
        (&[0xf7], "floats and simple values"),
        (&[0xff], "it is not CBOR"),
        (&[0x1c], "it is not CBOR"),
        (&[0x1f], "it is not CBOR"),
        (&[0x62, 0xc3, 0x28], "not UTF-8"),
        (&[0x7f, 0x61, 0xc3, 0x61, 0xa9, 0xff], "not UTF-8"),
        (&[0x7f, 0x41, 0x61, 0xff], "chunks of a string"),
        (&[0x5f, 0x5f, 0xff, 0xff], "chunks of a string"),
    ] {
        assert_malformed(&item(value), what);
    }
    for (value, what) in [
        ("null", "invalid type"),
        ("\"036000291452\"", "invalid type"),
        ("h'01'", "invalid type"),
        ("[1]", "invalid type"),
        ("{}", "invalid type"),
    ] {
        assert_malformed(&item(&encode_notation(value)), what);
    }
}

#[test]
fn bodies_that_are_not_of_the_grammar_say_where() {
    for (notation, what) in [
        ("[6, 11, {}]", "item: missing field `upc`"),
        ("[6, 11, {\"upc\": 1, \"why\": 2}]", "item: unknown field `why`"),
        ("[6, 11, {\"upc\": 1, \"upc\": 1}]", "a map has a key twice"),
        ("[6, 11, {1: 1}]", "keys of a map are texts"),
        ("[6, 11, {h'757063': 1}]", "keys of a map are texts"),
        ("[6, 11, [1]]", "the third element of a message is a map"),
        ("[6, 11]", "an array of three"),
        ("[6, 11, {\"upc\": 1}, 1]", "an array of three"),
        ("{}", "an array of three"),
        ("[6, \"item\", {}]", "the second element"),
        ("[0, 11, {\"upc\": 1}]", "the id of a request is not 0"),
        ("[-1, 11, {\"upc\": 1}]", "the id is an unsigned integer of 32 bits"),
        ("[4294967296, 11, {\"upc\": 1}]", "the id is an unsigned integer of 32 bits"),
        ("[6, 3, {\"x\": 1}]", "log_out: unknown field `x`"),
        ("[6, 10, {\"limit\": null}]", "levels: invalid type"),
        ("[6, 20, {\"key\": h'00', \"lines\": []}]", "purchase: invalid length 1, expected 16 bytes"),
        ("[6, 20, {\"key\": [1], \"lines\": []}]", "purchase: invalid type"),
        ("[6, 2, {\"token\": \"x\"}]", "resume: invalid type"),
    ] {
        assert_malformed(&encode_notation(notation), what);
    }
    for (lines, what) in [
        ("h'0101'", "invalid type"),
        ("{}", "invalid type"),
        ("[1]", "invalid type"),
        ("[h'0101']", "invalid type"),
        ("[[]]", "invalid length 0"),
        ("[[1]]", "invalid length 1"),
        ("[[1, 2, 3, 4]]", "more than three elements"),
        ("[[1, 2, null]]", "invalid type"),
        ("[[1, \"2\"]]", "invalid type"),
    ] {
        let notation = format!("[6, 20, {{\"key\": {KEY}, \"lines\": {lines}}}]");
        assert_malformed(&encode_notation(&notation), what);
    }
    assert!(blamed(&encode_notation("[6, 98, {}]")).is(ProtocolErrorCode::UnknownOp));
}

#[test]
fn a_hello_that_makes_no_sense_is_malformed() {
    let hello = |fields: &str| encode_notation(&format!("[1, 0, {{\"client\": \"x\", {fields}}}]"));
    for (fields, what) in [
        ("\"protocol\": [1], \"frame_bytes_max\": -1", "frame_bytes_max is not negative"),
        ("\"protocol\": [-1, 1], \"frame_bytes_max\": 65536", "a protocol version is not negative"),
        ("\"protocol\": [], \"frame_bytes_max\": 65536", "protocol lists no version"),
        ("\"protocol\": 1, \"frame_bytes_max\": 65536", "invalid type"),
    ] {
        assert_malformed(&hello(fields), what);
    }
    assert!(decode_request(&hello("\"protocol\": [1], \"frame_bytes_max\": 99999999999")).is_ok());
}

#[test]
fn no_map_has_a_key_twice_or_too_many() {
    let map = |fields: &[String]| encode_notation(&format!("{{{}}}", fields.join(", ")));
    let hello = |more: &[u8]| {
        let known = map(&["\"more\": 1".into(), "\"client\": \"x\"".into(), "\"protocol\": [1]".into()]);
        let rest = encode_notation("\"frame_bytes_max\"");
        let head = [&[0x83, 1, 0, 0xa4][..], &encode_notation("\"more\""), more, &known[1 + 6..]].concat();
        [head, rest, encode_notation("65536")].concat()
    };
    assert!(decode_request(&hello(&map(&["\"x\": 1".into(), "\"y\": 1".into()]))).is_ok());
    assert_malformed(&hello(&map(&["\"x\": 1".into(), "\"x\": 1".into()])), "a map has a key twice");
    let fields: Vec<String> = (100..).map(|name| format!("\"{name}\": 0")).take(FIELDS_MAX + 1).collect();
    assert!(decode_request(&hello(&map(&fields[1..]))).is_ok());
    assert_malformed(&hello(&map(&fields)), "a map has more than 64 keys");
}

#[test]
fn values_out_of_range_are_refused_by_name_and_the_connection_goes_on() {
    let lines = |lines: &str| format!("[6, 20, {{\"key\": {KEY}, \"lines\": {lines}}}]");
    let back = |rest: &str| format!("[6, 46, {{\"key\": {KEY}, {rest}}}]");
    let version_4 = "f47ac10b58cc4372a5670e02b2c3d479";
    let mut connection = logged_in();
    for (notation, field) in [
        ("[6, 11, {\"upc\": 100000000000000}]".to_owned(), "upc"),
        ("[6, 11, {\"upc\": -1}]".to_owned(), "upc"),
        (lines("[[1, -2]]"), "units"),
        (lines("[[1, -18446744073709551616]]"), "units"),
        (lines("[[1, 4611686018427387904]]"), "units"),
        (lines("[[1, 1], [1, 1, 65536], [-1, 1]]"), "location"),
        (format!("[6, 21, {{\"key\": h'{version_4}'}}]"), "key"),
        (back(&format!("\"order\": h'{version_4}'")), "order"),
        (back(&format!("\"lines\": [[1, -2]], \"order\": {KEY}")), "units"),
        (back(&format!("\"lines\": [], \"order\": {KEY}")), "lines"),
        ("[6, 10, {\"limit\": 4294967296}]".to_owned(), "limit"),
        ("[6, 10, {\"after\": -5}]".to_owned(), "after"),
        ("[6, 30, {\"upc\": 1, \"name\": \"x\", \"price\": 9223372036854775808}]".to_owned(), "price"),
        ("[6, 32, {\"name\": \"x\", \"role\": \"king\", \"password\": \"y\"}]".to_owned(), "role"),
        ("[6, 32, {\"name\": \"x\", \"role\": \"buyer\", \"password\": \"\"}]".to_owned(), "password"),
        (format!("[6, 1, {{\"user\": \"x\", \"password\": \"{}\"}}]", "y".repeat(1_025)), "password"),
    ] {
        connection.read_buffer().extend_from_slice(&frame(&encode_notation(&notation)));
        assert_eq!(connection.poll_request(0), None, "{notation}");
        let reply = take_reply(&mut connection, Op::Purchase);
        assert_eq!(reply.body, ReplyBody::Refused(Refusal::InvalidValue { field }), "{notation}");
        assert_eq!(reply.id, RequestId::new(6));
        assert!(!connection.is_closing());
    }
}

#[test]
fn another_encoding_of_the_same_values_is_taken() {
    let expected =
        decode_request(&encode_notation("[7, 1, {\"user\": \"alice\", \"password\": \"pw\"}]")).unwrap();
    let payload = [
        &[0x9f, 0x1b, 0, 0, 0, 0, 0, 0, 0, 7, 0x18, 0x01, 0xbf, 0x68][..],
        b"password\x7f\x61p\x61w\xff\x64user\x79\x00\x05alice\xff\xff",
    ]
    .concat();
    assert_eq!(decode_request(&payload).unwrap(), expected);
}

#[test]
fn every_example_may_be_of_indefinite_lengths() {
    for example in support::examples() {
        let (name, payload) = (&example.name, example.payload());
        let indefinite = support::indefinite(payload);
        assert_ne!(indefinite, payload);
        if example.rule.ends_with("-request") {
            assert_eq!(decode_request(&indefinite), decode_request(payload), "{name}");
            continue;
        }
        for op in Op::ALL {
            let (expected, decoded) =
                (decode_reply(payload, |_| Some(op)), decode_reply(&indefinite, |_| Some(op)));
            assert_eq!(
                decoded.is_ok(),
                expected.is_ok(),
                "{name} as an answer to {}: {decoded:?}",
                op.name()
            );
            assert!(expected.is_err() || decoded == expected, "{name} as an answer to {}", op.name());
        }
    }
}

#[test]
fn rows_of_indefinite_length_have_their_number_of_elements_too() {
    let lines = |rows: &[u8]| {
        let mut payload = encode_notation(&format!("[6, 20, {{\"key\": {KEY}, \"lines\": []}}]"));
        payload.pop();
        [&payload, &[0x9f][..], rows, &[0xff]].concat()
    };
    assert!(decode_request(&lines(&[0x9f, 1, 2, 0xff, 0x9f, 1, 2, 0xff])).is_ok());
    assert!(decode_request(&lines(&[0x9f, 1, 2, 3, 0xff, 0x82, 1, 2])).is_ok());
    assert_malformed(&lines(&[0x9f, 0xff]), "invalid length 0");
    assert_malformed(&lines(&[0x9f, 1, 0xff]), "invalid length 1");
    assert_malformed(&lines(&[0x9f, 1, 2, 3, 4, 0xff]), "more than three elements");
    let levels = |row: &str| encode_notation(&format!("[6, 0, {{\"levels\": [{row}]}}]"));
    for (row, what) in [
        ("[1, \"x\", 0, 1, 1]", "invalid length 5"),
        ("[1, \"x\", 0, 1, 1, null, 7]", "a row has too many elements"),
    ] {
        for payload in [levels(row), support::indefinite(&levels(row))] {
            let error = decode_reply(&payload, |_| Some(Op::Levels)).unwrap_err().error;
            assert!(error.message.contains(what), "{error}");
        }
    }
}

fn bulk(fields: &str) -> Vec<u8> {
    encode_notation(&format!("[6, 22, {{\"key\": {KEY}, {fields}}}]"))
}

#[test]
fn columns_out_of_range_are_refused_by_name() {
    let upc = "71(h'0100000000000000')";
    let units = "70(h'01000000')";
    assert!(decode_request(&bulk(&format!("\"upc\": {upc}, \"units\": {units}"))).is_ok());
    let too_many = BULK_ROWS_MAX + 1;
    let long_upc = format!("71(h'{}')", "0100000000000000".repeat(too_many));
    let long_units = format!("70(h'{}')", "01000000".repeat(too_many));
    for (upc, units, field) in [
        ("71(h'00407a10f35a0000')", units, "upc"),
        ("71(h'01')", units, "upc"),
        ("71(h'')", "70(h'')", "upc"),
        (&*long_upc, &*long_units, "upc"),
        (upc, "70(h'0100')", "units"),
        (upc, "70(h'0100000001000000')", "units"),
    ] {
        let error = decode_request(&bulk(&format!("\"upc\": {upc}, \"units\": {units}"))).unwrap_err();
        let RequestError::Refused { refusal, .. } = error else { panic!("{error}") };
        assert_eq!(refusal, Refusal::InvalidValue { field }, "{upc} {units}");
    }
}

#[test]
fn what_is_no_column_is_malformed() {
    let units = "70(h'01000000')";
    for (upc, what) in [
        ("h'0100000000000000'", "required tag not found"),
        ("70(h'0100000000000000')", "required tag not found"),
        ("[1]", "required tag not found"),
        ("71([1])", "a column is a byte string"),
        ("71(1)", "a column is a byte string"),
        ("71(71(h'0100000000000000'))", "a column is a byte string"),
        ("67(h'0100000000000000')", "tags are not used but for columns"),
    ] {
        assert_malformed(&bulk(&format!("\"upc\": {upc}, \"units\": {units}")), what);
    }
    // Where there is no column, its tags are of no use either.
    let item = encode_notation("[6, 11, {\"upc\": 71(h'0100000000000000')}]");
    assert_malformed(&item, "invalid type");
    assert_malformed(&encode_notation(&format!("[6, 21, {{\"key\": 70({KEY})}}]")), "invalid type");
}

#[test]
fn a_receipt_of_a_batch_that_contradicts_itself_is_a_lie() {
    let receipt = |rows: &str, rest: &str| {
        let body = format!("\"at\": 1, \"key\": {KEY}, {rows} \"user\": \"a\", {rest}");
        let payload = encode_notation(&format!("[6, 0, {{{body}}}]"));
        decode_reply(&payload, |_| Some(Op::PurchaseBulk)).map_err(|error| error.error.message)
    };
    let sums = "\"units\": 1, \"version\": 2, \"accepted\": 1";
    assert!(receipt("\"rows\": 2,", &format!("\"codes\": h'0015', {sums}")).is_ok());
    for (rows, rest, what) in [
        ("\"rows\": 3,", &*format!("\"codes\": h'0015', {sums}"), "more or fewer codes"),
        ("\"rows\": 2,", &format!("\"codes\": h'0063', {sums}"), "a code of a row is unknown"),
        ("\"rows\": 2,", "\"version\": 2", "lacks its units"),
        ("", sums, "lacks its lines"),
    ] {
        let error = receipt(rows, rest).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn a_receipt_of_a_return_that_lacks_a_part_of_it_is_a_lie() {
    let receipt = |rest: &str| {
        let payload =
            encode_notation(&format!("[6, 0, {{\"at\": 1, \"key\": {KEY}, \"user\": \"a\", {rest}}}]"));
        decode_reply(&payload, |_| Some(Op::Return)).map_err(|error| error.error.message)
    };
    let (order, returned) = (format!("\"order\": {KEY}"), "\"returned\": [[1, 2]]");
    assert!(receipt(&format!("{order}, \"version\": 2, {returned}")).is_ok());
    assert!(
        receipt(&format!("{order}, \"refund\": 3, \"version\": 2, \"refunded\": \"a\", {returned}")).is_ok()
    );
    for (rest, what) in [
        (format!("{order}, \"version\": 2"), "lacks its lines"),
        (format!("\"version\": 2, {returned}"), "lacks its order"),
        (
            format!("{order}, \"refund\": 3, \"version\": 2, {returned}"),
            "a refund is an amount and an account",
        ),
        (
            format!("{order}, \"version\": 2, \"refunded\": \"a\", {returned}"),
            "a refund is an amount and an account",
        ),
        (format!("{order}, \"version\": 2, \"returned\": [[1, -2]]"), "units is out of range"),
    ] {
        let error = receipt(&rest).unwrap_err();
        assert!(error.contains(what), "{rest}: {error}");
    }
}

#[test]
fn an_absent_location_is_the_main_one() {
    let purchase = |lines: &str| {
        decode_request(&encode_notation(&format!("[6, 20, {{\"key\": {KEY}, \"lines\": {lines}}}]"))).unwrap()
    };
    assert_eq!(purchase("[[1, 2]]"), purchase("[[1, 2, 0]]"));
}

#[test]
fn memory_grows_with_the_lines_that_are_there() {
    let rows = FRAME_BYTES_MAX / 3 - 100;
    let mut payload = encode_notation(&format!("[7, 20, {{\"key\": {KEY}, \"lines\": []}}]"));
    payload.pop();
    encode_head(&mut payload, 4, i128::try_from(rows).unwrap());
    payload.extend([0x82, 0x01, 0x01].repeat(rows));
    let request = decode_request(&payload).unwrap();
    let RequestBody::Purchase(order) = request.body else { panic!("a purchase") };
    let OneOrMany::Many(lines) = order.lines else { panic!("many lines") };
    // A boxed slice has no spare room: 24 bytes a line, 8 times the bytes that arrived.
    assert_eq!(lines.len(), rows);
    assert!(size_of_val(&*lines) <= payload.len() * 8);
}

#[test]
fn an_error_keeps_the_id_of_its_request() {
    let mut connection = greeted();
    let bytes = frame(&encode_notation("[77, 11, {\"upc\": 1, \"why\": 2}]"));
    let (id, error) = broken_off(&mut connection, &bytes);
    assert_eq!(id, RequestId::new(77));
    assert!(error.is(ProtocolErrorCode::Malformed), "{error}");
}

#[test]
fn bytes_behind_a_message_are_answered_as_the_example_says() {
    let mut connection = greeted();
    connection.read_buffer().extend_from_slice(&frame(&[0x83, 0x09, 0x04, 0xa0, 0x00]));
    assert_eq!(connection.poll_request(0), None);
    assert_eq!(connection.output(), example("malformed"));
}

#[test]
fn an_error_has_id_0_only_while_the_id_is_unknown() {
    for (payload, id) in [
        (&[0x82, 0x09, 0x04][..], None),
        (&[0xa0], None),
        (&[0x83, 0x00, 0x04, 0xa0], None),
        (&[0x83, 0x20, 0x04, 0xa0], None),
        (&[0x83, 0x61, b'9', 0x04, 0xa0], None),
        (&[0x83, 0x09, 0x20, 0xa0], Some(9)),
        (&[0x83, 0x09, 0x04, 0x80], Some(9)),
        (&[0x83, 0x09, 0x18, 0x62, 0xa0], Some(9)),
        (&[0x83, 0x09], Some(9)),
    ] {
        let (blamed, _) = broken_off(&mut greeted(), &frame(payload));
        assert_eq!(blamed.map(RequestId::get), id, "{payload:x?}");
    }
}

#[test]
fn what_comes_before_hello_is_judged_by_its_shape_only() {
    let broken_by = |notation: &str| {
        let mut connection = ServerConnection::new(ServerConfig::default(), 0);
        broken_off(&mut connection, &frame(&encode_notation(notation))).1.code
    };
    for (notation, code) in [
        ("[1, 98, {}]", ProtocolErrorCode::UnknownOp),
        ("[1, 11, {\"why\": 1}]", ProtocolErrorCode::Malformed),
        ("[1, 11, {\"upc\": -1}]", ProtocolErrorCode::HelloExpected),
        ("[1, 11, {\"upc\": 1}]", ProtocolErrorCode::HelloExpected),
    ] {
        assert_eq!(broken_by(notation), code.code(), "{notation}");
    }
}

#[test]
fn an_id_in_flight_is_not_used_twice() {
    let mut connection = logged_in();
    let bytes = [example("item"), example("item")].concat();
    connection.read_buffer().extend_from_slice(&bytes);
    assert!(connection.poll_request(0).is_some());
    let (id, error) = broken_off(&mut connection, &[]);
    assert_eq!(id, RequestId::new(6));
    assert!(error.is(ProtocolErrorCode::IdInFlight), "{error}");
}

#[test]
fn a_long_error_is_cut_for_the_wire() {
    let mut connection = logged_in();
    let text = "é".repeat(2_000);
    let bytes = frame(&encode_notation(&format!("[6, 11, {{\"upc\": \"{text}\"}}]")));
    let (_, error) = broken_off(&mut connection, &bytes);
    assert!(error.message.len() <= 1_024);
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_never_grow_a_connection(
        chunks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..2_000), 0..8),
        session in any::<bool>(),
    ) {
        let mut connection = if session { logged_in() } else { greeted() };
        for chunk in chunks {
            if !connection.wants_read() {
                break;
            }
            connection.read_buffer().extend_from_slice(&chunk);
            while connection.poll_request(0).is_some() {}
        }
        prop_assert!(connection.read_buffer().capacity() <= 64 << 10);
        prop_assert!(connection.output().len() <= FRAME_BYTES_MIN);
    }

    #[test]
    fn random_payloads_never_panic(payload in proptest::collection::vec(any::<u8>(), 0..300)) {
        drop(decode_request(&payload));
        for op in Op::ALL {
            drop(decode_reply(&payload, |_| Some(op)));
        }
    }

    #[test]
    fn random_bodies_never_panic(op in 0u8..23, body in proptest::collection::vec(any::<u8>(), 0..100)) {
        let request = [&[0x83, 0x01, op, 0xa1, 0x63], &b"upc"[..], &body].concat();
        if let Err(error) = decode_request(&request) {
            prop_assert!(!error.to_string().contains("Error {"), "no words of the decoder's own: {error}");
        }
        let reply = [&[0x83, 0x01, 0x00, 0xa1, 0x66], &b"levels"[..], &body].concat();
        drop(decode_reply(&reply, |_| Some(Op::Levels)));
    }
}
