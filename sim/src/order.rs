//! What a client buys under one key: an order, all or nothing, or a batch of rows.

use inventory_core::{BulkOrder, Order, OrderDigest, OrderKey};
use inventory_net::message::RequestBody;

/// An order or a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AnyOrder {
    Lines(Order),
    Bulk(BulkOrder),
}

impl AnyOrder {
    /// What this request buys; none if it does not buy.
    pub(crate) fn of(body: &RequestBody) -> Option<Self> {
        match body {
            RequestBody::Purchase(order) => Some(Self::Lines(order.clone())),
            RequestBody::PurchaseBulk(order) => Some(Self::Bulk(order.clone())),
            _ => None,
        }
    }

    pub(crate) fn request(&self) -> RequestBody {
        match self {
            Self::Lines(order) => RequestBody::Purchase(order.clone()),
            Self::Bulk(order) => RequestBody::PurchaseBulk(order.clone()),
        }
    }

    pub(crate) const fn key(&self) -> OrderKey {
        match self {
            Self::Lines(order) => order.key,
            Self::Bulk(order) => order.key(),
        }
    }

    /// The same under another key.
    pub(crate) fn under(self, key: OrderKey) -> Self {
        match self {
            Self::Lines(order) => Self::Lines(Order { key, ..order }),
            Self::Bulk(order) => {
                let moved = BulkOrder::new(key, order.location(), order.upcs(), order.units());
                Self::Bulk(moved.unwrap_or_else(|_| unreachable!("its columns fit each other")))
            }
        }
    }

    pub(crate) fn digest(&self) -> OrderDigest {
        match self {
            Self::Lines(order) => OrderDigest::of(&order.lines),
            Self::Bulk(order) => OrderDigest::of_bulk(order),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Lines(order) => order.lines.len(),
            Self::Bulk(order) => order.upcs().len(),
        }
    }
}
