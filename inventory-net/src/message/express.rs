//! The fast way for the two messages that a busy shop consists of: the purchase and its receipt, as our own programs
//! and every other encoder of deterministic CBOR write them, with all lengths definite and the fields in order.
//!
//! Reading gives none for whatever else it meets, well formed or not, and leaves the verdict to the general way; what it
//! does read, the general way would have read alike. Both ways write the same bytes. Tests hold the two together.

use bytes::{BufMut, BytesMut};
use inventory_core::{
    LocationId, Money, OneOrMany, Order, OrderKey, OrderLine, Receipt, Time, Units, Upc, Version,
};

use crate::message::envelope::major;
use crate::message::reply::Status;
use crate::message::request::{Request, RequestBody};
use crate::message::{Op, RequestId};

/// The names of the fields, as they stand in a map.
const AT: &[u8] = b"\x62at";
const KEY: &[u8] = b"\x63key";
const USER: &[u8] = b"\x64user";
const LINES: &[u8] = b"\x65lines";
const TOTAL: &[u8] = b"\x65total";
const VERSION: &[u8] = b"\x67version";

/// Bytes that a message of one line takes at most, beside the user's name.
const ONE_LINE_BYTES: usize = 128;
/// Bytes that one more line takes at most.
const LINE_BYTES: usize = 22;
/// Bytes that a line takes at least: its head, a code and a quantity.
const LINE_BYTES_MIN: usize = 3;

/// Appends the request to make a purchase that charges no account.
pub(super) fn write_purchase(to: &mut BytesMut, id: u32, order: &Order) {
    let Order { key, lines, charge: _ } = order;
    to.reserve(ONE_LINE_BYTES.saturating_add(lines.len().saturating_mul(LINE_BYTES)));
    write_envelope(to, id, Op::Purchase.code(), 2);
    write_key(to, *key);
    write_lines(to, lines);
}

/// Appends the receipt of a purchase that charged no account as the reply to a request.
pub(super) fn write_receipt(to: &mut BytesMut, id: u32, receipt: &Receipt) {
    let Receipt { key, version, user, at, lines, total, charged: _ } = receipt;
    let lines_bytes = lines.len().saturating_mul(LINE_BYTES);
    to.reserve(ONE_LINE_BYTES.saturating_add(user.len()).saturating_add(lines_bytes));
    write_envelope(to, id, Status::Done.code(), if total.is_some() { 6 } else { 5 });
    to.put_slice(AT);
    write_head(to, major::UNSIGNED, at.as_micros());
    write_key(to, *key);
    to.put_slice(USER);
    write_head(to, major::TEXT, u64::try_from(user.len()).unwrap_or(u64::MAX));
    to.put_slice(user.as_bytes());
    write_lines(to, lines);
    if let Some(total) = total {
        to.put_slice(TOTAL);
        match u64::try_from(total.minor()) {
            Ok(minor) => write_head(to, major::UNSIGNED, minor),
            Err(_) => write_head(to, major::NEGATIVE, !total.minor().cast_unsigned()),
        }
    }
    to.put_slice(VERSION);
    write_head(to, major::UNSIGNED, version.0);
}

fn write_envelope(to: &mut BytesMut, id: u32, kind: u32, fields: u64) {
    write_head(to, major::ARRAY, 3);
    write_head(to, major::UNSIGNED, id.into());
    write_head(to, major::UNSIGNED, kind.into());
    write_head(to, major::MAP, fields);
}

fn write_key(to: &mut BytesMut, key: OrderKey) {
    to.put_slice(KEY);
    write_head(to, major::BYTES, 16);
    to.put_slice(&key.to_bytes());
}

fn write_lines(to: &mut BytesMut, lines: &[OrderLine]) {
    to.put_slice(LINES);
    write_head(to, major::ARRAY, u64::try_from(lines.len()).unwrap_or(u64::MAX));
    for OrderLine { upc, location, units } in lines {
        let elsewhere = *location != LocationId::MAIN;
        write_head(to, major::ARRAY, if elsewhere { 3 } else { 2 });
        write_head(to, major::UNSIGNED, upc.get());
        write_head(to, major::UNSIGNED, units.get());
        if elsewhere {
            write_head(to, major::UNSIGNED, location.0.into());
        }
    }
}

/// Appends the head of a value in its shortest form.
fn write_head(to: &mut BytesMut, major: u8, argument: u64) {
    let initial = major << 5;
    if let Ok(small @ 0..=23) = u8::try_from(argument) {
        to.put_u8(initial | small);
    } else if let Ok(argument) = u8::try_from(argument) {
        to.put_slice(&[initial | 0x18, argument]);
    } else if let Ok(argument) = u16::try_from(argument) {
        to.put_u8(initial | 0x19);
        to.put_u16(argument);
    } else if let Ok(argument) = u32::try_from(argument) {
        to.put_u8(initial | 0x1a);
        to.put_u32(argument);
    } else {
        to.put_u8(initial | 0x1b);
        to.put_u64(argument);
    }
}

/// The request to make a purchase, without an account to charge, that this payload is.
pub(super) fn read_purchase(payload: &[u8]) -> Option<Request> {
    let mut from = Reader { rest: payload };
    let id = from.envelope(Op::Purchase.code(), &[2])?.0;
    let key = from.key()?;
    let lines = from.lines()?;
    from.end()?;
    Some(Request { id, body: RequestBody::Purchase(Order { key, lines, charge: None }) })
}

/// The receipt that this payload is, and the request it answers.
pub(super) fn read_receipt(payload: &[u8]) -> Option<(RequestId, Receipt)> {
    let mut from = Reader { rest: payload };
    let (id, fields) = from.envelope(Status::Done.code(), &[5, 6])?;
    from.name(AT)?;
    let at = Time::from_micros(from.unsigned()?);
    let key = from.key()?;
    from.name(USER)?;
    let user = from.text()?;
    let lines = from.lines()?;
    let total = if fields == 6 { Some(from.total()?) } else { None };
    from.name(VERSION)?;
    let version = Version(from.unsigned()?);
    from.end()?;
    Some((id, Receipt { key, version, user: user.into(), at, lines, total, charged: None }))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The id of a message of this kind, and how many fields its body has: one of these numbers.
    fn envelope(&mut self, kind: u32, fields: &[u64]) -> Option<(RequestId, u64)> {
        self.expect(major::ARRAY, 3)?;
        let id = RequestId::new(u32::try_from(self.unsigned()?).ok()?)?;
        self.expect(major::UNSIGNED, kind.into())?;
        let count = self.argument(major::MAP)?;
        fields.contains(&count).then_some((id, count))
    }

    fn key(&mut self) -> Option<OrderKey> {
        self.name(KEY)?;
        self.expect(major::BYTES, 16)?;
        let (key, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        OrderKey::from_bytes(*key).ok()
    }

    fn lines(&mut self) -> Option<OneOrMany<OrderLine>> {
        self.name(LINES)?;
        let count = usize::try_from(self.argument(major::ARRAY)?).ok()?;
        if count == 1 {
            return self.line().map(OneOrMany::One);
        }
        // The length that an array declares makes no more room than the bytes that are there can fill.
        let mut lines = Vec::with_capacity(count.min(self.rest.len() / LINE_BYTES_MIN));
        for _ in 0..count {
            lines.push(self.line()?);
        }
        Some(lines.into())
    }

    fn line(&mut self) -> Option<OrderLine> {
        let elements = self.argument(major::ARRAY)?;
        let (upc, units) = (Upc::new(self.unsigned()?).ok()?, Units::new(self.unsigned()?)?);
        let location = match elements {
            2 => LocationId::MAIN,
            3 => LocationId(u16::try_from(self.unsigned()?).ok()?),
            _ => return None,
        };
        Some(OrderLine { upc, location, units })
    }

    fn total(&mut self) -> Option<Money> {
        self.name(TOTAL)?;
        i64::try_from(self.unsigned()?).ok().map(Money::from_minor)
    }

    fn name(&mut self, name: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(name)?;
        Some(())
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.argument(major::TEXT)?).ok()?;
        let (text, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        core::str::from_utf8(text).ok()
    }

    fn unsigned(&mut self) -> Option<u64> {
        self.argument(major::UNSIGNED)
    }

    fn expect(&mut self, major: u8, argument: u64) -> Option<()> {
        (self.argument(major)? == argument).then_some(())
    }

    /// The argument of a value of this major type.
    fn argument(&mut self, major: u8) -> Option<u64> {
        let (initial, rest) = self.rest.split_first()?;
        if initial >> 5 != major {
            return None;
        }
        self.rest = rest;
        match initial & 0x1f {
            small @ 0..=23 => Some(small.into()),
            24 => self.big_endian().map(|byte| u8::from_be_bytes(byte).into()),
            25 => self.big_endian().map(|bytes| u16::from_be_bytes(bytes).into()),
            26 => self.big_endian().map(|bytes| u32::from_be_bytes(bytes).into()),
            27 => self.big_endian().map(u64::from_be_bytes),
            _ => None,
        }
    }

    fn big_endian<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    fn end(&self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::reply::{Done, ReplyBody};
    use crate::message::{reply, request};

    fn orders() -> impl Strategy<Value = Order> {
        let line = (0..=99_999_999_999_999u64, 0..=u64::MAX >> 1, prop_oneof![Just(0), any::<u16>()]);
        let lines = prop::collection::vec(line, 0..5);
        (any::<u64>(), any::<u128>(), lines).prop_map(|(at, random, lines)| {
            let key = OrderKey::from_parts(Time::from_micros(at >> 10), random);
            let line = |(upc, units, location)| OrderLine {
                upc: Upc::new(upc).unwrap(),
                location: LocationId(location),
                units: Units::new(units >> 10).unwrap(),
            };
            Order { key, lines: lines.into_iter().map(line).collect(), charge: None }
        })
    }

    fn receipts() -> impl Strategy<Value = Receipt> {
        (orders(), any::<u64>(), any::<u64>(), ".{0,20}", any::<Option<i64>>()).prop_map(
            |(Order { key, lines, charge: _ }, version, at, user, total)| Receipt {
                key,
                version: Version(version),
                user: user.into(),
                at: Time::from_micros(at),
                lines,
                total: total.map(Money::from_minor),
                charged: None,
            },
        )
    }

    /// Some bytes changed, and some of the end cut off.
    fn spoilt(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8)], cut: usize) -> Vec<u8> {
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        bytes.truncate(bytes.len().saturating_sub(cut));
        bytes
    }

    fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)
    }

    proptest! {
        #[test]
        fn both_ways_write_a_purchase_alike(id in 1..=u32::MAX, order in orders()) {
            let (mut fast, mut general) = (BytesMut::new(), BytesMut::new());
            write_purchase(&mut fast, id, &order);
            request::encode_generally(&mut general, id, &RequestBody::Purchase(order)).unwrap();
            prop_assert_eq!(fast, general);
        }

        #[test]
        fn both_ways_write_a_receipt_alike(id in 1..=u32::MAX, receipt in receipts()) {
            let (mut fast, mut general) = (BytesMut::new(), BytesMut::new());
            write_receipt(&mut fast, id, &receipt);
            reply::encode_generally(&mut general, id, &ReplyBody::Done(Done::Receipt(receipt))).unwrap();
            prop_assert_eq!(fast, general);
        }

        #[test]
        fn a_purchase_is_read_and_what_is_spoilt_is_read_as_the_general_way_would(
            id in 1..=u32::MAX,
            order in orders(),
            changes in changes(),
            cut in prop_oneof![3 => Just(0), 1 => 1..40usize],
        ) {
            let mut bytes = BytesMut::new();
            write_purchase(&mut bytes, id, &order);
            let whole = Request { id: RequestId::new(id).unwrap(), body: RequestBody::Purchase(order) };
            prop_assert_eq!(read_purchase(&bytes), Some(whole));
            let spoilt = spoilt(bytes.to_vec(), &changes, cut);
            if let Some(request) = read_purchase(&spoilt) {
                prop_assert_eq!(Ok(request), request::decode_generally(&spoilt));
            }
        }

        #[test]
        fn a_receipt_is_read_and_what_is_spoilt_is_read_as_the_general_way_would(
            id in 1..=u32::MAX,
            receipt in receipts(),
            changes in changes(),
            cut in prop_oneof![3 => Just(0), 1 => 1..40usize],
        ) {
            let mut bytes = BytesMut::new();
            write_receipt(&mut bytes, id, &receipt);
            // A total below zero is for the general way: none is ever sent.
            if receipt.total.is_none_or(|total| total >= Money::ZERO) {
                prop_assert_eq!(read_receipt(&bytes), Some((RequestId::new(id).unwrap(), receipt)));
            }
            let spoilt = spoilt(bytes.to_vec(), &changes, cut);
            if let Some((id, receipt)) = read_receipt(&spoilt) {
                let body = ReplyBody::Done(Done::Receipt(receipt));
                let general = reply::decode_generally(&spoilt, |_| Some(Op::Purchase));
                prop_assert_eq!(Ok(reply::Reply { id: Some(id), body }), general);
            }
        }
    }

    #[test]
    fn a_list_that_says_it_is_long_makes_no_room() {
        let mut bytes = BytesMut::new();
        write_envelope(&mut bytes, 1, Op::Purchase.code(), 2);
        write_key(&mut bytes, OrderKey::from_parts(Time::ZERO, 0));
        bytes.put_slice(LINES);
        write_head(&mut bytes, major::ARRAY, u64::MAX >> 1);
        assert_eq!(read_purchase(&bytes), None);
    }
}
