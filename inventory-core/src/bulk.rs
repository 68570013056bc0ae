//! Bulk purchases: a batch of independent rows under one order key, as columns.
//!
//! Rows are decided one after the other, each against what the rows before it left, and each gets an outcome code of its
//! own. The batch as a whole has one outcome, and a retry gets exactly that.

use alloc::boxed::Box;
use alloc::vec::Vec;

use bytes::Bytes;

use crate::id::{ItemId, LocationId, OrderKey, Upc};
use crate::limits::BULK_ROWS_MAX;
use crate::money::Money;
use crate::quantity::Units;

/// A bulk purchase: 1 to [`BULK_ROWS_MAX`] rows from one location, each for itself, all of them at most once for its key.
///
/// ```
/// # use inventory_core::{BulkOrder, LocationId, OrderKey, Time, Upc};
/// let key = OrderKey::from_parts(Time::ZERO, 7);
/// let soup: Upc = "036000291452".parse()?;
/// let order = BulkOrder::new(key, LocationId::MAIN, vec![soup, soup], vec![1, 2])?;
/// assert_eq!(order.rows().collect::<Vec<_>>(), [(soup, 1), (soup, 2)]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkOrder {
    key: OrderKey,
    location: LocationId,
    upcs: Box<[Upc]>,
    units: Box<[u32]>,
}

/// Why columns are no [`BulkOrder`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BulkOrderError {
    /// There is no row, or more than [`BULK_ROWS_MAX`].
    #[error("a batch has 1 to {BULK_ROWS_MAX} rows; this one has {0}")]
    Rows(usize),
    /// One column is longer than the other.
    #[error("the columns of a batch are equally long; these are of {upcs} UPCs and {units} quantities")]
    Uneven {
        /// How many UPCs there are.
        upcs: usize,
        /// How many quantities there are.
        units: usize,
    },
}

impl BulkOrder {
    /// The order of these rows: row by row, this many units of this item.
    pub fn new(
        key: OrderKey,
        location: LocationId,
        upcs: impl Into<Box<[Upc]>>,
        units: impl Into<Box<[u32]>>,
    ) -> Result<Self, BulkOrderError> {
        let (upcs, units) = (upcs.into(), units.into());
        if upcs.len() != units.len() {
            return Err(BulkOrderError::Uneven { upcs: upcs.len(), units: units.len() });
        }
        if upcs.is_empty() || upcs.len() > BULK_ROWS_MAX {
            return Err(BulkOrderError::Rows(upcs.len()));
        }
        Ok(Self { key, location, upcs, units })
    }

    /// The order's idempotency key. A retry carries the same key, location and rows.
    pub const fn key(&self) -> OrderKey {
        self.key
    }

    /// Where the units are taken from.
    pub const fn location(&self) -> LocationId {
        self.location
    }

    /// The items, row by row.
    pub const fn upcs(&self) -> &[Upc] {
        &self.upcs
    }

    /// How many units of each, row by row.
    pub const fn units(&self) -> &[u32] {
        &self.units
    }

    /// Each row's item and units.
    pub fn rows(&self) -> impl Iterator<Item = (Upc, u32)> {
        self.upcs.iter().copied().zip(self.units.iter().copied())
    }
}

/// What became of each row: 0, or the permanent code of the [`Refusal`](crate::Refusal) that a purchase or posting of that row alone
/// would have had. None is kept if all rows were accepted. Cheap to clone.
///
/// | code | the row |
/// |---|---|
/// | 0 | was accepted |
/// | 20 | names an unknown item |
/// | 21 | asks for more than the rows before it left |
/// | 22 | asks for zero units |
/// | 23 | costs too much to add up |
/// | 26 | would take a balance below its account's floor |
/// | 27 | would make a balance that does not fit |
/// | 42 | names an account that cannot be: empty, too long, not UTF-8, or with white space in its name |
/// | 44 | names a new account, for which there is no room |
///
/// 20 to 23 are those of a bulk purchase, the others those of a batch of entries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowCodes(Bytes);

impl RowCodes {
    /// The row was accepted.
    pub const ACCEPTED: u8 = 0;
    /// No item has the row's code.
    pub const UNKNOWN_ITEM: u8 = 20;
    /// The row asks for more than is available.
    pub const INSUFFICIENT_STOCK: u8 = 21;
    /// The row asks for no units.
    pub const ZERO_QUANTITY: u8 = 22;
    /// The price of the row, or of the batch with it, does not fit.
    pub const OVERFLOW: u8 = 23;

    /// The balance would fall below the account's floor.
    pub const INSUFFICIENT_FUNDS: u8 = 26;
    /// The balance would not fit.
    pub const BALANCE_OUT_OF_RANGE: u8 = 27;
    /// No account can have such a name.
    pub const INVALID_NAME: u8 = 42;
    /// There is no room for another account.
    pub const TABLE_FULL: u8 = 44;

    /// These codes, one a row, of a batch of entries; none if one of them is no code of such a row.
    pub fn of_entries(codes: impl Into<Bytes>) -> Option<Self> {
        let codes = codes.into();
        codes.iter().all(|code| matches!(code, 0 | 26 | 27 | 42 | 44)).then(|| Self::of(codes))
    }

    /// These codes, one a row, of a bulk purchase; none if one of them is no code of such a row.
    pub fn new(codes: impl Into<Bytes>) -> Option<Self> {
        let codes = codes.into();
        codes.iter().all(|code| matches!(code, 0 | 20..=23)).then(|| Self::of(codes))
    }

    /// The one way to keep these codes, which are known to be codes of rows.
    pub(crate) fn of(codes: impl Into<Bytes>) -> Self {
        let codes = codes.into();
        let all_accepted = codes.iter().all(|code| *code == Self::ACCEPTED);
        if all_accepted { Self::default() } else { Self(codes) }
    }

    /// Whether every row was accepted.
    pub fn are_all_accepted(&self) -> bool {
        self.0.is_empty()
    }

    /// The code of a row, counted from 0.
    pub fn get(&self, row: usize) -> u8 {
        self.0.get(row).copied().unwrap_or_default()
    }

    /// What became of a row, as JSON and CSV spell it: `accepted`, or the refusal's permanent name.
    pub fn name(&self, row: usize) -> &'static str {
        match self.get(row) {
            Self::UNKNOWN_ITEM => "unknown_item",
            Self::INSUFFICIENT_STOCK => "insufficient_stock",
            Self::ZERO_QUANTITY => "zero_quantity",
            Self::OVERFLOW => "overflow",
            Self::INSUFFICIENT_FUNDS => "insufficient_funds",
            Self::BALANCE_OUT_OF_RANGE => "balance_out_of_range",
            Self::INVALID_NAME => "invalid_name",
            Self::TABLE_FULL => "table_full",
            _ => "accepted",
        }
    }

    /// The codes, one byte a row; no byte at all if every row was accepted.
    pub const fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// Whether these can be the codes of so many rows.
    pub fn fit(&self, rows: usize) -> bool {
        self.are_all_accepted() || self.0.len() == rows
    }
}

/// The rows of a bulk purchase as the engine decided them: columns of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkRows {
    items: Box<[ItemId]>,
    units: Box<[u32]>,
    codes: RowCodes,
    unknown: Box<[Upc]>,
    accepted_rows: u32,
    accepted_units: Units,
}

impl BulkRows {
    /// The row number that stands for an item that does not exist.
    pub const NO_ITEM: ItemId = ItemId(u32::MAX);

    /// Rows of these columns; none if they do not fit each other. `unknown` holds the codes of the rows that name no item
    /// ([`NO_ITEM`](Self::NO_ITEM)), in their order; such a row is refused.
    pub fn new(
        items: impl Into<Box<[ItemId]>>,
        units: impl Into<Box<[u32]>>,
        codes: RowCodes,
        unknown: impl Into<Box<[Upc]>>,
    ) -> Option<Self> {
        let rows = Self::add_up(items.into(), units.into(), codes, unknown.into());
        rows.fit().then_some(rows)
    }

    /// The rows of these columns, which are known to fit each other.
    pub(crate) fn of(items: Vec<ItemId>, units: &[u32], codes: Vec<u8>, unknown: Vec<Upc>) -> Self {
        let rows = Self::add_up(items.into(), units.into(), RowCodes::of(codes), unknown.into());
        debug_assert!(rows.fit(), "the columns belong together: {rows:?}");
        rows
    }

    fn add_up(items: Box<[ItemId]>, units: Box<[u32]>, codes: RowCodes, unknown: Box<[Upc]>) -> Self {
        let mut rows = Self { items, units, codes, unknown, accepted_rows: 0, accepted_units: Units::ZERO };
        let (mut count, mut sum) = (0u32, 0u64);
        rows.for_each_accepted(|_, units| {
            count = count.saturating_add(1);
            sum = sum.saturating_add(units.get());
        });
        rows.accepted_rows = count;
        rows.accepted_units = Units::new(sum).unwrap_or_default();
        rows
    }

    fn fit(&self) -> bool {
        let count = self.items.len();
        let row_fits = |(row, item, units): (usize, ItemId, u32)| match self.codes.get(row) {
            RowCodes::UNKNOWN_ITEM => item == Self::NO_ITEM && units > 0,
            RowCodes::ZERO_QUANTITY => units == 0,
            _ => item != Self::NO_ITEM && units > 0,
        };
        let nameless = self.items.iter().filter(|item| **item == Self::NO_ITEM).count();
        (1..=BULK_ROWS_MAX).contains(&count)
            && self.units.len() == count
            && self.codes.fit(count)
            && self.rows().all(row_fits)
            && self.unknown.len() == nameless
    }

    /// Each row's place, item and units.
    pub fn rows(&self) -> impl Iterator<Item = (usize, ItemId, u32)> {
        (0..).zip(self.items.iter().zip(&self.units)).map(|(row, (item, units))| (row, *item, *units))
    }

    /// The items' rows.
    pub const fn items(&self) -> &[ItemId] {
        &self.items
    }

    /// The units that were asked for.
    pub const fn units(&self) -> &[u32] {
        &self.units
    }

    /// What became of them.
    pub const fn codes(&self) -> &RowCodes {
        &self.codes
    }

    /// The codes of the items that do not exist, in the order of the rows that name them.
    pub const fn unknown(&self) -> &[Upc] {
        &self.unknown
    }

    /// How many rows were accepted.
    pub const fn accepted_rows(&self) -> u32 {
        self.accepted_rows
    }

    /// The units of all accepted rows.
    pub const fn accepted_units(&self) -> Units {
        self.accepted_units
    }

    /// Does something with the item and units of each accepted row. If all were, there is no code to look at.
    pub(crate) fn for_each_accepted(&self, mut act: impl FnMut(ItemId, Units)) {
        if self.codes.are_all_accepted() {
            let rows = self.items.iter().zip(&self.units);
            rows.for_each(|(item, units)| act(*item, Units::from(*units)));
        } else {
            self.accepted().for_each(|(item, units)| act(item, units));
        }
    }

    /// The accepted rows: item and units.
    pub fn accepted(&self) -> impl DoubleEndedIterator<Item = (ItemId, Units)> {
        let accepted = |(row, _): &(usize, _)| self.codes.get(*row) == RowCodes::ACCEPTED;
        let rows = self.items.iter().zip(&self.units).enumerate().filter(accepted);
        rows.map(|(_, (item, units))| (*item, Units::from(*units)))
    }
}

/// What became of a batch: small, whatever its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BulkOutcome {
    /// How many rows it had.
    pub rows: u32,
    /// How many of them were accepted.
    pub accepted_rows: u32,
    /// Units bought, over all accepted rows.
    pub units: Units,
    /// The price of them in minor units; none if an accepted row's item has no price.
    pub total: Option<Money>,
    /// What became of each row.
    pub codes: RowCodes,
}

impl BulkOutcome {
    /// The outcome that these rows are.
    pub fn of(rows: &BulkRows, total: Option<Money>) -> Self {
        Self {
            rows: u32::try_from(rows.items.len()).unwrap_or(u32::MAX),
            accepted_rows: rows.accepted_rows,
            units: rows.accepted_units,
            total,
            codes: rows.codes.clone(),
        }
    }
}
