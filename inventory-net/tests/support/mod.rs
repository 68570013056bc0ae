//! Reads PROTOCOL.md: its examples, its grammar and its tables.
#![allow(dead_code, reason = "each test reads a part of it")]

use std::path::Path;

/// One worked example.
pub(crate) struct Example {
    pub(crate) name: String,
    /// The rule of the grammar that it follows.
    pub(crate) rule: String,
    /// The message in CBOR diagnostic notation (RFC 8949, section 8).
    pub(crate) notation: String,
    /// The whole frame.
    pub(crate) frame: Vec<u8>,
}

impl Example {
    pub(crate) fn payload(&self) -> &[u8] {
        let (length, payload) = self.frame.split_first_chunk::<4>().expect("a frame begins with its length");
        assert_eq!(u32::from_be_bytes(*length) as usize, payload.len(), "{}", self.name);
        payload
    }
}

pub(crate) fn text() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../PROTOCOL.md");
    std::fs::read_to_string(path).expect("PROTOCOL.md is at the root of the repository")
}

/// The fenced blocks whose info string begins with `kind`: info string and content.
fn blocks<'a>(text: &'a str, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
    text.split("\n```").skip(1).step_by(2).filter_map(move |block| {
        let (info, content) = block.split_once('\n').unwrap_or((block, ""));
        info.starts_with(kind).then_some((info, content))
    })
}

pub(crate) fn examples() -> Vec<Example> {
    let text = text();
    let attribute = |info: &str, name: &str| {
        let (_, rest) = info.split_once(&format!("{name}=\"")).expect("an example has a name and a rule");
        rest.split_once('"').expect("a closed quote").0.to_owned()
    };
    blocks(&text, "example")
        .map(|(info, content)| {
            let (notation, hex) = content.split_once("\n\n").expect("notation, an empty line, hex");
            let hex: String = hex
                .lines()
                .filter_map(|line| line.split('#').next())
                .flat_map(|line| line.chars().filter(|c| !c.is_whitespace()))
                .collect();
            let frame = decode_hex(&hex);
            Example {
                name: attribute(info, "name"),
                rule: attribute(info, "rule"),
                notation: notation.into(),
                frame,
            }
        })
        .collect()
}

pub(crate) fn grammar() -> String {
    let text = text();
    let mut grammars = blocks(&text, "cddl");
    let (_, grammar) = grammars.next().expect("PROTOCOL.md has a grammar");
    assert!(grammars.next().is_none(), "PROTOCOL.md has one grammar");
    grammar.to_owned()
}

/// The cells of every table row under this heading.
pub(crate) fn rows(heading: &str) -> Vec<Vec<String>> {
    let text = text();
    let (_, section) = text.split_once(&format!("# {heading}\n")).expect("the heading is in PROTOCOL.md");
    let section = section.split("\n#").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split('|').map(|cell| cell.trim().to_owned()).collect())
        .skip(1)
        .collect()
}

pub(crate) fn decode_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.chars().map(|c| u8::try_from(c.to_digit(16).expect("hex digits")).unwrap()).collect();
    assert_eq!(digits.len() % 2, 0, "whole bytes");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// Deterministic CBOR of a text in diagnostic notation: integers, `null`, `h'…'`, texts, arrays, maps and tags.
/// Knows nothing of the code under test.
pub(crate) fn encode_notation(text: &str) -> Vec<u8> {
    let mut rest = text.trim();
    let mut bytes = Vec::new();
    encode_value(&mut rest, &mut bytes);
    assert_eq!(rest, "", "one value");
    bytes
}

fn encode_value(rest: &mut &str, to: &mut Vec<u8>) {
    if let Some(after) = rest.strip_prefix("null") {
        *rest = after;
        to.push(0xf6);
    } else if let Some(after) = rest.strip_prefix("h'") {
        let (hex, after) = after.split_once('\'').expect("a closed byte string");
        *rest = after;
        encode_string(to, 2, &decode_hex(hex));
    } else if let Some(after) = rest.strip_prefix('"') {
        let (text, after) = after.split_once('"').expect("a closed text");
        *rest = after;
        encode_string(to, 3, text.as_bytes());
    } else if let Some(after) = rest.strip_prefix('[') {
        *rest = after.trim_start();
        let mut elements = Vec::new();
        let count = encode_list(rest, ']', |rest| encode_value(rest, &mut elements));
        encode_head(to, 4, count);
        to.append(&mut elements);
    } else if let Some(after) = rest.strip_prefix('{') {
        *rest = after.trim_start();
        let mut entries = Vec::new();
        let count = encode_list(rest, '}', |rest| {
            let mut entry = Vec::new();
            encode_value(rest, &mut entry);
            *rest = rest.strip_prefix(':').expect("a colon behind a key").trim_start();
            encode_value(rest, &mut entry);
            entries.push(entry);
        });
        assert!(entries.is_sorted(), "keys stand in deterministic order");
        encode_head(to, 5, count);
        to.extend(entries.concat());
    } else {
        let end = rest.find(|c: char| c != '-' && !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: i128 = rest[..end].parse().expect("an integer");
        *rest = &rest[end..];
        if let Some(after) = rest.strip_prefix('(') {
            *rest = after;
            encode_head(to, 6, number);
            encode_value(rest, to);
            *rest = rest.strip_prefix(')').expect("a closed tag");
        } else if number < 0 {
            encode_head(to, 1, -1 - number);
        } else {
            encode_head(to, 0, number);
        }
    }
}

fn encode_list(rest: &mut &str, close: char, mut element: impl FnMut(&mut &str)) -> i128 {
    let mut count = 0;
    loop {
        if let Some(after) = rest.strip_prefix(close) {
            *rest = after;
            return count;
        }
        element(rest);
        count += 1;
        *rest = rest.trim_start();
        *rest = rest.strip_prefix(',').unwrap_or(rest).trim_start();
    }
}

fn encode_string(to: &mut Vec<u8>, major: u8, bytes: &[u8]) {
    encode_head(to, major, bytes.len() as i128);
    to.extend_from_slice(bytes);
}

pub(crate) fn encode_head(to: &mut Vec<u8>, major: u8, argument: i128) {
    let argument = u64::try_from(argument).expect("an argument of 64 bits");
    let bytes = argument.to_be_bytes();
    let (info, length) = match argument {
        0..=23 => (bytes[7], 0),
        24..=0xff => (24, 1),
        0x100..=0xffff => (25, 2),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 8),
    };
    to.push(major << 5 | info);
    to.extend_from_slice(&bytes[8 - length..]);
}

/// The same CBOR item with every array, map, byte string and text of indefinite length, but for keys.
pub(crate) fn indefinite(item: &[u8]) -> Vec<u8> {
    let (mut rest, mut to) = (item, Vec::new());
    make_indefinite(&mut rest, &mut to);
    assert!(rest.is_empty(), "one item");
    to
}

fn make_indefinite(rest: &mut &[u8], to: &mut Vec<u8>) {
    let (major, argument, head) = take_head(rest);
    let length = usize::try_from(argument).expect("a length");
    match major {
        2 | 3 => {
            let text = rest.split_off(..length).expect("the string");
            to.push(major << 5 | 31);
            for byte_or_character in text.chunk_by(|_, next| major == 3 && next & 0xc0 == 0x80) {
                encode_string(to, major, byte_or_character);
            }
            to.push(0xff);
        }
        4 | 5 => {
            to.push(major << 5 | 31);
            for _ in 0..length {
                if major == 5 {
                    let (_, key_length, key_head) = take_head(rest);
                    to.extend_from_slice(key_head);
                    let key = rest.split_off(..usize::try_from(key_length).expect("a length"));
                    to.extend_from_slice(key.expect("a key"));
                }
                make_indefinite(rest, to);
            }
            to.push(0xff);
        }
        6 => {
            to.extend_from_slice(head);
            make_indefinite(rest, to);
        }
        _ => to.extend_from_slice(head),
    }
}

/// Major type, argument, and the bytes that said so.
fn take_head<'a>(rest: &mut &'a [u8]) -> (u8, u64, &'a [u8]) {
    let (initial, small) = (rest[0], u64::from(rest[0] & 0x1f));
    let bytes = if small < 24 { 0 } else { 1 << (small - 24) };
    let head = rest.split_off(..=bytes).expect("a head");
    let argument = head[1..].iter().fold(0, |argument, byte| argument << 8 | u64::from(*byte));
    (initial >> 5, if bytes == 0 { small } else { argument }, head)
}
