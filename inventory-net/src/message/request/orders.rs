//! The bodies of requests about orders: see `bodies`.

use bytes::BytesMut;
use inventory_core::{
    BulkOrder, BulkOrderError, LocationId, OneOrMany, Order, OrderKey, OrderLine, Refusal, Return,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;

use crate::message::columns::{UnitsColumn, UpcColumn, units_of, units_to_column, upcs_of, upcs_to_column};
use crate::message::envelope;
use crate::message::error::EncodeError;
use crate::message::lines::{Lines, Rows};
use crate::message::request::RequestBody;
use crate::message::request::bodies::location_or_main;
use crate::message::value::{AccountName, Checked, present};

pub(super) fn encode_purchase(
    to: &mut BytesMut,
    id: u32,
    op: u32,
    Order { key, lines, charge }: &Order,
) -> Result<(), EncodeError> {
    let key = ByteArray::new(key.to_bytes());
    envelope::seal(to, id, op, &PurchaseOut { key, lines: Rows(lines), charge: charge.as_deref() })
}

pub(super) fn encode_purchase_bulk(
    to: &mut BytesMut,
    id: u32,
    op: u32,
    order: &BulkOrder,
) -> Result<(), EncodeError> {
    let location = (order.location() != LocationId::MAIN).then_some(order.location().0);
    let body = PurchaseBulkOut {
        key: ByteArray::new(order.key().to_bytes()),
        upc: upcs_to_column(order.upcs()),
        units: units_to_column(order.units()),
        location,
    };
    envelope::seal(to, id, op, &body)
}

pub(super) fn encode_return(
    to: &mut BytesMut,
    id: u32,
    op: u32,
    Return { key, order, lines, evidence: _ }: &Return,
) -> Result<(), EncodeError> {
    let body = ReturnOut {
        key: ByteArray::new(key.to_bytes()),
        lines: (!lines.is_empty()).then_some(Rows(lines)),
        order: ByteArray::new(order.to_bytes()),
    };
    envelope::seal(to, id, op, &body)
}

pub(super) fn encode_receipt(to: &mut BytesMut, id: u32, op: u32, key: OrderKey) -> Result<(), EncodeError> {
    envelope::seal(to, id, op, &ReceiptOut { key: ByteArray::new(key.to_bytes()) })
}

#[derive(Serialize)]
struct PurchaseOut<'a> {
    key: ByteArray<16>,
    lines: Rows<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    charge: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurchaseIn {
    key: Checked<OrderKey>,
    lines: Lines,
    #[serde(default, deserialize_with = "present")]
    charge: Option<Checked<AccountName>>,
}

impl PurchaseIn {
    pub(super) fn check(self) -> Result<RequestBody, Refusal> {
        let key = self.key.or_refuse("key")?;
        let charge = self.charge.map(|charge| charge.or_refuse("charge")).transpose()?;
        let charge = charge.map(|AccountName(name)| name);
        match self.lines {
            Lines { invalid: Some(field), .. } => Err(Refusal::InvalidValue { field }),
            Lines { lines, invalid: None } => Ok(RequestBody::Purchase(Order { key, lines, charge })),
        }
    }
}

#[derive(Serialize)]
struct PurchaseBulkOut {
    key: ByteArray<16>,
    upc: UpcColumn,
    units: UnitsColumn,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<u16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PurchaseBulkIn {
    key: Checked<OrderKey>,
    upc: UpcColumn,
    units: UnitsColumn,
    #[serde(default, deserialize_with = "present")]
    location: Option<Checked<LocationId>>,
}

impl PurchaseBulkIn {
    pub(super) fn check(self) -> Result<RequestBody, Refusal> {
        let refuse = |field| Refusal::InvalidValue { field };
        let key = self.key.or_refuse("key")?;
        let upcs = upcs_of(&self.upc).ok_or(refuse("upc"))?;
        let units = units_of(&self.units).ok_or(refuse("units"))?;
        let location = location_or_main(self.location)?;
        let order = BulkOrder::new(key, location, upcs, units);
        order.map(RequestBody::PurchaseBulk).map_err(|why| match why {
            BulkOrderError::Uneven { .. } => refuse("units"),
            _ => refuse("upc"),
        })
    }
}

#[derive(Serialize)]
struct ReturnOut<'a> {
    key: ByteArray<16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Rows<'a>>,
    order: ByteArray<16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReturnIn {
    key: Checked<OrderKey>,
    #[serde(default, deserialize_with = "present")]
    lines: Option<Lines>,
    order: Checked<OrderKey>,
}

impl ReturnIn {
    pub(super) fn check(self) -> Result<RequestBody, Refusal> {
        let (key, order) = (self.key.or_refuse("key")?, self.order.or_refuse("order")?);
        let lines: Box<[OrderLine]> = match self.lines {
            None => Box::default(),
            Some(Lines { invalid: Some(field), .. }) => return Err(Refusal::InvalidValue { field }),
            // Everything is asked for by saying nothing: a client whose list came out empty does not mean that.
            Some(Lines { lines, .. }) if lines.is_empty() => {
                return Err(Refusal::InvalidValue { field: "lines" });
            }
            Some(Lines { lines: OneOrMany::One(line), .. }) => Box::new([line]),
            Some(Lines { lines: OneOrMany::Many(lines), .. }) => lines,
        };
        Ok(RequestBody::Return(Return { key, order, lines, evidence: None }))
    }
}

#[derive(Serialize)]
struct ReceiptOut {
    key: ByteArray<16>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReceiptIn {
    key: Checked<OrderKey>,
}

impl ReceiptIn {
    pub(super) fn check(self) -> Result<RequestBody, Refusal> {
        Ok(RequestBody::Receipt { key: self.key.or_refuse("key")? })
    }
}
