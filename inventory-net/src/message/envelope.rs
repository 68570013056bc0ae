//! The envelope of every message, `[id, op or status, body]`, and the shape that its CBOR must have.
//!
//! CBOR can say more than this protocol uses, and a decoder that is lenient about it makes two programs
//! disagree. So the shape is checked before anything is decoded (the well-formedness algorithm of RFC 8949,
//! appendix C, narrowed): integers, byte strings, texts, arrays, maps with short text keys, and null;
//! no tags but those of columns, no floats or other simple values; bounded depth; no key twice; no length beyond the bytes that are there;
//! nothing behind the end. It allocates nothing.

use bytes::{BufMut, BytesMut};
use serde::Serialize;

use crate::limits::{DEPTH_MAX, FIELD_NAME_BYTES_MAX, FIELDS_MAX};
use crate::message::columns::{I64_TAG, U32_TAG, U64_TAG};
use crate::message::{EncodeError, RequestId, Undecodable};

/// A message that has the right shape, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Envelope<'a> {
    pub(super) id: u32,
    /// The op of a request, the status of a reply.
    pub(super) kind: u64,
    /// One CBOR map.
    pub(super) body: &'a [u8],
}

/// Takes a payload apart and checks the shape of all of it.
pub(super) fn open(payload: &[u8]) -> Result<Envelope<'_>, Undecodable> {
    let mut scan = Scan { rest: payload };
    let mut id = None;
    scan.envelope(&mut id).map_err(|what| {
        let at = payload.len().saturating_sub(scan.rest.len());
        Undecodable::malformed(id.and_then(RequestId::new), format!("{what} (at byte {at})"))
    })
}

/// The id and the op or status of a message whose body is not looked at.
pub(super) fn head(payload: &[u8]) -> Result<(u32, u64), Undecodable> {
    let mut id = None;
    let heading = Scan { rest: payload }.heading(&mut id);
    heading
        .map(|(_, kind)| (id.unwrap_or_default(), kind))
        .map_err(|what| Undecodable::malformed(id.and_then(RequestId::new), what))
}

/// Appends a message.
pub(super) fn seal(
    to: &mut BytesMut,
    id: u32,
    kind: u32,
    body: &(impl Serialize + ?Sized),
) -> Result<(), EncodeError> {
    ciborium::into_writer(&(id, kind, body), to.writer())
        .map_err(|error| EncodeError::Encoder(error.to_string()))
}

pub(super) mod major {
    pub(in crate::message) const UNSIGNED: u8 = 0;
    pub(in crate::message) const NEGATIVE: u8 = 1;
    pub(in crate::message) const BYTES: u8 = 2;
    pub(in crate::message) const TEXT: u8 = 3;
    pub(in crate::message) const ARRAY: u8 = 4;
    pub(in crate::message) const MAP: u8 = 5;
    pub(super) const TAG: u8 = 6;
}

/// The initial byte of `null`.
const NULL: u8 = 0xf6;
/// The byte that ends a list of indefinite length.
const BREAK: u8 = 0xff;

const TRUNCATED: &str = "the message ends too early";

/// A major type and its argument; none for an indefinite length.
type Head = (u8, Option<u64>);

struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// What stands before the body: whether the array is of indefinite length, and the op or status.
    fn heading(&mut self, id: &mut Option<u32>) -> Result<(bool, u64), &'static str> {
        let indefinite = match self.head()? {
            (major::ARRAY, Some(3)) => false,
            (major::ARRAY, None) => true,
            _ => return Err("a message is an array of three"),
        };
        *id = Some(self.id()?);
        match self.head()? {
            (major::UNSIGNED, Some(kind)) => Ok((indefinite, kind)),
            _ => Err("the second element of a message is an unsigned integer"),
        }
    }

    fn envelope(&mut self, id: &mut Option<u32>) -> Result<Envelope<'a>, &'static str> {
        let (indefinite, kind) = self.heading(id)?;
        let before = self.rest;
        if before.first().is_some_and(|byte| byte >> 5 != major::MAP) {
            return Err("the third element of a message is a map");
        }
        self.item(DEPTH_MAX - 1)?;
        let body = before.get(..before.len().saturating_sub(self.rest.len())).unwrap_or_default();
        if indefinite && !self.take_break()? {
            return Err("a message is an array of three");
        }
        if !self.rest.is_empty() {
            return Err("there are bytes behind the message");
        }
        Ok(Envelope { id: id.unwrap_or_default(), kind, body })
    }

    fn id(&mut self) -> Result<u32, &'static str> {
        match self.head()? {
            (major::UNSIGNED, Some(id)) => u32::try_from(id).ok(),
            _ => None,
        }
        .ok_or("the id is an unsigned integer of 32 bits")
    }

    /// Any one value, nested at most `depth` deep.
    fn item(&mut self, depth: usize) -> Result<(), &'static str> {
        if self.rest.first() == Some(&NULL) {
            return self.take(1).map(drop);
        }
        match self.head()? {
            (major::UNSIGNED | major::NEGATIVE, Some(_)) => Ok(()),
            (major::BYTES, length) => self.string(length, major::BYTES),
            (major::TEXT, length) => self.string(length, major::TEXT),
            (major::ARRAY, count) => self.list(depth, count, 1, Self::item),
            (major::MAP, count) => self.map(depth, count),
            (major::TAG, Some(U32_TAG | U64_TAG | I64_TAG)) => match self.head()? {
                (major::BYTES, length) => self.string(length, major::BYTES),
                _ => Err("a column is a byte string"),
            },
            (major::TAG, _) => Err("tags are not used but for columns"),
            _ => Err("floats and simple values other than null are not used"),
        }
    }

    /// The elements of an array or map; each is at least `bytes_min` bytes.
    fn list(
        &mut self,
        depth: usize,
        count: Option<u64>,
        bytes_min: usize,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), &'static str>,
    ) -> Result<(), &'static str> {
        let depth = depth.checked_sub(1).ok_or("it is nested too deep")?;
        let Some(count) = count else {
            while !self.take_break()? {
                element(self, depth)?;
            }
            return Ok(());
        };
        let fits = usize::try_from(count).ok().and_then(|count| count.checked_mul(bytes_min));
        if fits.is_none_or(|bytes| bytes > self.rest.len()) {
            return Err("a list says that it is longer than the message");
        }
        (0..count).try_for_each(|_| element(self, depth))
    }

    fn map(&mut self, depth: usize, count: Option<u64>) -> Result<(), &'static str> {
        let (mut names, mut known) = ([&[][..]; FIELDS_MAX], 0);
        self.list(depth, count, 2, |scan, depth| {
            let name = scan.field_name()?;
            if names.iter().take(known).any(|other| *other == name) {
                return Err("a map has a key twice");
            }
            *names.get_mut(known).ok_or("a map has more than 64 keys")? = name;
            known += 1;
            scan.item(depth)
        })
    }

    fn field_name(&mut self) -> Result<&'a [u8], &'static str> {
        match self.head()? {
            (major::TEXT, Some(length)) if length <= FIELD_NAME_BYTES_MAX as u64 => {
                self.chunk(length, major::TEXT)
            }
            _ => Err("the keys of a map are texts of definite length and at most 64 bytes"),
        }
    }

    /// What follows the head of a byte string or text.
    fn string(&mut self, length: Option<u64>, major: u8) -> Result<(), &'static str> {
        if let Some(length) = length {
            return self.chunk(length, major).map(drop);
        }
        while !self.take_break()? {
            match self.head()? {
                (chunk_major, Some(length)) if chunk_major == major => {
                    self.chunk(length, major)?;
                }
                _ => return Err("the chunks of a string are strings of its kind and of definite length"),
            }
        }
        Ok(())
    }

    fn chunk(&mut self, length: u64, major: u8) -> Result<&'a [u8], &'static str> {
        let chunk = usize::try_from(length).ok().and_then(|length| self.take(length).ok());
        let chunk = chunk.ok_or("a string says that it is longer than the message")?;
        if major == major::TEXT && core::str::from_utf8(chunk).is_err() {
            return Err("a text is not UTF-8");
        }
        Ok(chunk)
    }

    fn head(&mut self) -> Result<Head, &'static str> {
        let [initial] = self.take_array()?;
        let argument = match initial & 0x1f {
            small @ 0..=23 => Some(u64::from(small)),
            24 => Some(u64::from(u8::from_be_bytes(self.take_array()?))),
            25 => Some(u64::from(u16::from_be_bytes(self.take_array()?))),
            26 => Some(u64::from(u32::from_be_bytes(self.take_array()?))),
            27 => Some(u64::from_be_bytes(self.take_array()?)),
            31 if matches!(initial >> 5, major::BYTES..=major::MAP) => None,
            _ => return Err("it is not CBOR"),
        };
        Ok((initial >> 5, argument))
    }

    fn take_break(&mut self) -> Result<bool, &'static str> {
        let is_break = *self.rest.first().ok_or(TRUNCATED)? == BREAK;
        if is_break {
            self.take(1)?;
        }
        Ok(is_break)
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], &'static str> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(*array)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(TRUNCATED)?;
        self.rest = rest;
        Ok(taken)
    }
}
