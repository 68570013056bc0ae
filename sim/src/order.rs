//! What a client asks for under one key: an order, all or nothing, a batch of rows, a return, an entry, or a batch of entries.

use inventory_core::{BulkEntries, BulkOrder, Command, Order, OrderDigest, OrderKey, Posting, Return};
use inventory_net::message::RequestBody;

/// An order, an entry, a batch of either, or a return.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AnyOrder {
    Lines(Order),
    Bulk(BulkOrder),
    Return(Return),
    Entry(Posting),
    Entries(BulkEntries),
}

impl AnyOrder {
    /// What this request asks for under a key of its own; none if it has no key.
    pub(crate) fn of(body: &RequestBody) -> Option<Self> {
        match body {
            RequestBody::Purchase(order) => Some(Self::Lines(order.clone())),
            RequestBody::PurchaseBulk(order) => Some(Self::Bulk(order.clone())),
            RequestBody::Return(wanted) => Some(Self::Return(wanted.clone())),
            RequestBody::Post(posting) => Some(Self::Entry(posting.clone())),
            RequestBody::PostBulk(batch) => Some(Self::Entries(batch.clone())),
            _ => None,
        }
    }

    pub(crate) fn request(&self) -> RequestBody {
        match self {
            Self::Lines(order) => RequestBody::Purchase(order.clone()),
            Self::Bulk(order) => RequestBody::PurchaseBulk(order.clone()),
            Self::Return(wanted) => RequestBody::Return(wanted.clone()),
            Self::Entry(posting) => RequestBody::Post(posting.clone()),
            Self::Entries(batch) => RequestBody::PostBulk(batch.clone()),
        }
    }

    pub(crate) fn command(self) -> Command {
        match self {
            Self::Lines(order) => Command::Purchase(order),
            Self::Bulk(order) => Command::PurchaseBulk(order),
            Self::Return(wanted) => Command::Return(wanted),
            Self::Entry(posting) => Command::Post(posting),
            Self::Entries(batch) => Command::PostBulk(batch),
        }
    }

    pub(crate) const fn key(&self) -> OrderKey {
        match self {
            Self::Lines(order) => order.key,
            Self::Bulk(order) => order.key(),
            Self::Return(wanted) => wanted.key,
            Self::Entry(posting) => posting.key,
            Self::Entries(batch) => batch.key(),
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
            Self::Return(wanted) => Self::Return(Return { key, ..wanted }),
            Self::Entry(posting) => Self::Entry(Posting { key, ..posting }),
            Self::Entries(batch) => {
                let moved = BulkEntries::new(key, batch.names().clone(), batch.amounts());
                Self::Entries(moved.unwrap_or_else(|_| unreachable!("its columns fit each other")))
            }
        }
    }

    pub(crate) fn digest(&self) -> OrderDigest {
        match self {
            Self::Lines(order) => OrderDigest::of_order(order),
            Self::Bulk(order) => OrderDigest::of_bulk(order),
            Self::Return(wanted) => OrderDigest::of_return(wanted),
            Self::Entry(posting) => OrderDigest::of_entry(&posting.entry),
            Self::Entries(batch) => OrderDigest::of_entries(batch),
        }
    }

    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::Lines(order) => order.lines.len(),
            Self::Bulk(order) => order.upcs().len(),
            Self::Return(wanted) => wanted.lines.len(),
            Self::Entry(_) => 1,
            Self::Entries(batch) => batch.amounts().len(),
        }
    }
}
