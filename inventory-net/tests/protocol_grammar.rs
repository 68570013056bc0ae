//! The examples of PROTOCOL.md follow its grammar, and other messages do not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod support;

use cddl::ast::CDDL;
use cddl::validator::Validator;
use cddl::validator::cbor::CBORValidator;
use cddl::validator::cbor_value::decode_cbor;

/// Validates a payload by a rule of the grammar: the validator starts at the first rule there is.
fn follows(grammar: &CDDL<'_>, rule: &str, payload: &[u8]) -> Result<(), String> {
    let mut grammar = grammar.clone();
    let start =
        grammar.rules.iter().position(|other| other.name() == rule).expect("the grammar has the rule");
    grammar.rules[..=start].rotate_right(1);
    let value = decode_cbor(payload).expect("well-formed CBOR");
    CBORValidator::new(&grammar, value, None).validate().map_err(|error| error.to_string())
}

#[test]
fn every_example_follows_its_rule() {
    let text = support::grammar();
    let grammar = cddl::cddl_from_str(&text, true).expect("a grammar");
    for example in support::examples() {
        if let Err(error) = follows(&grammar, &example.rule, example.payload()) {
            panic!("{} is no {}: {error}", example.name, example.rule);
        }
    }
}

#[test]
fn every_example_is_a_message() {
    let text = support::grammar();
    let grammar = cddl::cddl_from_str(&text, true).expect("a grammar");
    for example in support::examples() {
        let rule = if example.rule.ends_with("-request") { "request" } else { "reply" };
        if let Err(error) = follows(&grammar, rule, example.payload()) {
            panic!("{} is no {rule}: {error}", example.name);
        }
    }
}

#[test]
fn wrong_messages_break_the_grammar() {
    let text = support::grammar();
    let grammar = cddl::cddl_from_str(&text, true).expect("a grammar");
    let wrong = [
        ("purchase-request", "[0, 20, {\"key\": h'019a9d7c6a007abc8def0123456789ab', \"lines\": []}]"),
        ("purchase-request", "[7, 20, {\"key\": h'019a9d7c6a007abc8def01234567', \"lines\": []}]"),
        ("purchase-request", "[7, 20, {\"key\": h'019a9d7c6a007abc8def0123456789ab'}]"),
        ("purchase-request", "[7, 20, {\"key\": h'019a9d7c6a007abc8def0123456789ab', \"lines\": [[1]]}]"),
        ("purchase-request", "[7, 20, {\"key\": h'019a9d7c6a007abc8def0123456789ab', \"lines\": [[1, -2]]}]"),
        ("purchase-request", "[7, 21, {\"key\": h'019a9d7c6a007abc8def0123456789ab', \"lines\": []}]"),
        ("item-request", "[7, 11, {\"upc\": 100000000000000}]"),
        ("item-request", "[7, 11, {\"upc\": \"036000291452\"}]"),
        ("item-request", "[7, 11, {\"upc\": 1, \"why\": 2}]"),
        ("item-request", "[7, 11]"),
        ("log-out-request", "[4294967296, 3, {}]"),
        ("add-user-request", "[7, 32, {\"name\": \"x\", \"role\": \"king\", \"password\": \"y\"}]"),
        ("add-user-request", "[7, 32, {\"name\": \"x\", \"role\": \"buyer\", \"password\": \"\"}]"),
        ("request", "[7, 98, {}]"),
        (
            "post-request",
            "[7, 40, {\"key\": h'019a9d7c6a007abc8def0123456789ab', \"type\": \"gift\", \"amount\": 1, \"account\": \"x\"}]",
        ),
        (
            "post-request",
            "[7, 40, {\"key\": h'019a9d7c6a007abc8def0123456789ab', \"type\": \"debit\", \"amount\": -1, \"account\": \"x\"}]",
        ),
        ("entries-request", "[7, 45, {\"after\": 3}]"),
        ("return-request", "[7, 46, {\"key\": h'019a9d7c6a007abc8def0123456789ab'}]"),
        (
            "return-request",
            "[7, 46, {\"key\": h'019a9d7c6a007abc8def0123456789ab', \"lines\": [], \"order\": h'019a9d7c6a007abc8def0123456789ab'}]",
        ),
        ("refused-reply", "[7, 1, {\"code\": 10}]"),
        ("levels-reply", "[7, 0, {\"levels\": [[1, \"x\", 0, 1, 1]]}]"),
    ];
    for (rule, notation) in wrong {
        let payload = support::encode_notation(notation);
        assert!(follows(&grammar, rule, &payload).is_err(), "{notation} should be no {rule}");
    }
}
