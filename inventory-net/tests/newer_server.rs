//! A client of today and a server of tomorrow: what section 10 of PROTOCOL.md lets a newer server say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use bytes::BytesMut;
use inventory_core::{Refusal, Version};
use inventory_net::message::{
    Done, Op, ProtocolError, ReplyBody, Unavailable, UnknownRefusal, decode_reply, encode_reply,
};
use support::encode_notation;

fn decode(op: Op, notation: &str) -> ReplyBody {
    decode_reply(&encode_notation(notation), |_| Some(op)).expect("a reply").body
}

fn why_not(op: Op, notation: &str) -> String {
    decode_reply(&encode_notation(notation), |_| Some(op)).expect_err("no reply").to_string()
}

#[test]
fn unknown_fields_of_replies_are_ignored() {
    let body = decode(Op::AddUser, "[7, 0, {\"also\": {\"x\": [1, h'02', null]}, \"version\": 19}]");
    assert_eq!(body, ReplyBody::Done(Done::Version(Version(19))));
    let body = decode(Op::Item, "[7, 1, {\"code\": 10, \"since\": 5, \"message\": \"\", \"refusal\": \"\"}]");
    assert_eq!(body, ReplyBody::Refused(Refusal::NotLoggedIn));
}

#[test]
fn an_unknown_refusal_is_still_a_refusal() {
    let notation = "[7, 1, {\"code\": 99, \"message\": \"not on Sundays\", \"refusal\": \"closed\"}]";
    let unknown = UnknownRefusal { code: 99, name: "closed".into(), message: "not on Sundays".into() };
    let body = decode(Op::Purchase, notation);
    assert_eq!(body, ReplyBody::RefusedOtherwise(unknown));
    let mut again = BytesMut::new();
    encode_reply(&mut again, inventory_net::message::RequestId::new(7), &body).unwrap();
    assert_eq!(again, encode_notation(notation));
}

#[test]
fn an_invalid_value_of_an_unknown_field_is_still_a_refusal() {
    let notation =
        "[7, 1, {\"code\": 45, \"field\": \"colour\", \"message\": \"no\", \"refusal\": \"invalid_value\"}]";
    assert!(matches!(decode(Op::Item, notation), ReplyBody::RefusedOtherwise(unknown) if unknown.code == 45));
}

#[test]
fn an_unknown_unavailability_promises_nothing() {
    let body = decode(Op::Purchase, "[7, 2, {\"code\": 77, \"message\": \"eclipse\"}]");
    let ReplyBody::Unavailable(reason) = body else { panic!("{body:?}") };
    assert_eq!(reason, Unavailable::Other { code: 77, message: "eclipse".into() });
    assert!(!reason.nothing_was_done());
    assert_eq!(reason.to_string(), "eclipse");
}

#[test]
fn an_unknown_protocol_error_is_still_one() {
    let body = decode(Op::Purchase, "[7, 3, {\"code\": 500, \"message\": \"odd\"}]");
    let expected = ProtocolError { code: 500, message: "odd".into(), protocol: vec![] };
    assert_eq!(body, ReplyBody::ProtocolError(expected));
}

#[test]
fn a_reply_that_lacks_what_it_must_have_or_lies_is_none() {
    for (op, notation, why) in [
        (Op::Item, "[7, 9, {}]", "no status has number 9"),
        (Op::AddUser, "[7, 0, {}]", "missing field `version`"),
        (Op::AddUser, "[7, 0, {\"version\": -1}]", "out of range"),
        (Op::Item, "[7, 0, {\"levels\": [[100000000000000, \"x\", 0, 1, 1, null]]}]", "out of range"),
        (Op::Item, "[7, 0, {\"levels\": [[1, \"x\", 0, 1, 1]]}]", "invalid length 5"),
        (Op::Purchase, "[7, 1, {\"code\": 21, \"message\": \"\", \"refusal\": \"\"}]", "lacks its details"),
        (Op::Purchase, "[7, 1, {\"code\": 20, \"message\": \"\", \"refusal\": \"\"}]", "lacks its details"),
        (Op::LogIn, "[7, 0, {\"role\": \"king\", \"user\": \"x\", \"token\": h''}]", "out of range"),
    ] {
        let said = why_not(op, notation);
        assert!(said.contains(why), "{notation}: {said:?} should say {why:?}");
    }
}
