//! The items: code, name and price, found by code and listed in the order of their codes.
//!
//! Invariants: one row a code; a row is never removed but by undo; row numbers are dense; at most
//! [`ITEMS_MAX`] rows.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::hash::{BuildHasher, Hasher};
use core::ops::Bound;

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::id::{ItemId, Upc};
use crate::limits::ITEMS_MAX;
use crate::money::Money;

/// An item as the catalogue knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its row.
    pub id: ItemId,
    /// Its code.
    pub upc: Upc,
    /// Its name.
    pub name: &'a str,
    /// Price of one unit.
    pub price: Option<Money>,
}

/// The items. Memory beside code and name: 16 bytes a row, 8.4 for the index, about 17 for the order.
#[derive(Debug)]
pub struct Catalogue {
    rows: Vec<Row>,
    /// The names, one after the other. The name of a redefined item stays behind, unused.
    names: Vec<u8>,
    by_upc: HashTable<u32>,
    sorted: BTreeSet<Upc>,
    /// [`ITEMS_MAX`], or fewer in tests.
    count_max: usize,
    hasher: FixedState,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    upc: Upc,
    price: PriceCell,
    name: NameCell,
}

/// A price in 8 bytes: prices are never negative, so −1 stands for none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct PriceCell(i64);

impl PriceCell {
    fn new(price: Option<Money>) -> Self {
        Self(price.map_or(-1, Money::minor))
    }

    fn get(self) -> Option<Money> {
        (self.0 >= 0).then_some(Money::from_minor(self.0))
    }
}

/// Where a name lies in the names, in 8 bytes: 48 bits of start, 16 of length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct NameCell(u64);

impl NameCell {
    fn push(names: &mut Vec<u8>, name: &str) -> Self {
        let start = u64::try_from(names.len()).unwrap_or(u64::MAX);
        let length = u64::from(u16::try_from(name.len()).unwrap_or(u16::MAX));
        debug_assert!(start < 1 << 48 && u16::try_from(name.len()).is_ok(), "the name was checked");
        names.extend_from_slice(name.as_bytes());
        Self((start << 16) | length)
    }

    fn get(self, names: &[u8]) -> &str {
        let bytes = usize::try_from(self.0 >> 16).ok().and_then(|start| {
            let end = start.checked_add(usize::try_from(self.0 & 0xffff).ok()?)?;
            names.get(start..end)
        });
        bytes.and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

/// An item as it was before it was given another name and price.
#[derive(Debug)]
pub(crate) struct ReplacedItem {
    index: usize,
    row: Row,
    names_len: usize,
}

impl Catalogue {
    pub(super) fn new(hash_seed: u64) -> Self {
        Self {
            rows: Vec::new(),
            names: Vec::new(),
            by_upc: HashTable::new(),
            sorted: BTreeSet::new(),
            count_max: ITEMS_MAX,
            hasher: FixedState::with_seed(hash_seed),
        }
    }

    /// How many items there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Whether no item can be added.
    pub fn is_full(&self) -> bool {
        self.rows.len() >= self.count_max
    }

    /// Holds fewer items than [`ITEMS_MAX`]: a test cannot fill that.
    #[cfg(test)]
    pub(crate) fn hold_at_most(&mut self, count_max: usize) {
        self.count_max = count_max;
    }

    /// The row of the item with this code.
    pub fn id(&self, upc: Upc) -> Option<ItemId> {
        self.by_upc
            .find(hash(&self.hasher, upc), |row| self.upc(ItemId(*row)) == Some(upc))
            .map(|row| ItemId(*row))
    }

    /// The code of the item in this row.
    pub fn upc(&self, id: ItemId) -> Option<Upc> {
        self.row(id).map(|row| row.upc)
    }

    /// The price of the item in this row; none also if there is no such row.
    pub fn price(&self, id: ItemId) -> Option<Money> {
        self.row(id).and_then(|row| row.price.get())
    }

    /// The item in this row.
    pub fn item(&self, id: ItemId) -> Option<Item<'_>> {
        let row = self.row(id)?;
        Some(Item { id, upc: row.upc, name: row.name.get(&self.names), price: row.price.get() })
    }

    /// The item with this code.
    pub fn find(&self, upc: Upc) -> Option<Item<'_>> {
        self.id(upc).and_then(|id| self.item(id))
    }

    /// The items after this code, or all of them, in the order of their codes.
    pub fn sorted_after(&self, after: Option<Upc>) -> impl Iterator<Item = Item<'_>> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.sorted.range((start, Bound::Unbounded)).filter_map(|upc| self.find(*upc))
    }

    /// The items in the order in which they were defined.
    pub fn iter(&self) -> impl Iterator<Item = Item<'_>> {
        (0..).map_while(|row| self.item(ItemId(row)))
    }

    fn row(&self, id: ItemId) -> Option<&Row> {
        self.rows.get(index(id))
    }

    /// Adds an item. The caller has made sure that there is none with this code.
    pub(crate) fn add(&mut self, upc: Upc, name: &str, price: Option<Money>) {
        let added = self.add_unsorted(upc, name, price);
        debug_assert!(added, "there is no item with this code, and the catalogue's bound was checked");
        self.sorted.insert(upc);
    }

    /// Makes room for this many items.
    pub(crate) fn reserve(&mut self, count: usize) {
        let Self { rows, by_upc, hasher, .. } = self;
        rows.reserve_exact(count);
        by_upc.reserve(count, |id| rows.get(index(ItemId(*id))).map_or(0, |row| hash(hasher, row.upc)));
    }

    /// Finds the order of all items, once for many that were added without it.
    pub(crate) fn sort(&mut self) {
        let mut sorted: Vec<Upc> = self.rows.iter().map(|row| row.upc).collect();
        sorted.sort_unstable();
        self.sorted = sorted.into_iter().collect();
    }

    /// Adds an item and leaves its place in the order to [`sort`](Self::sort). Gives whether there was none with this code;
    /// nothing is added otherwise.
    pub(crate) fn add_unsorted(&mut self, upc: Upc, name: &str, price: Option<Money>) -> bool {
        let Ok(id) = u32::try_from(self.rows.len()) else { return false };
        let Self { rows, by_upc, hasher, names, .. } = self;
        let row_at = |id: &u32| rows.get(index(ItemId(*id)));
        let entry = by_upc.entry(
            hash(hasher, upc),
            |id| row_at(id).is_some_and(|row| row.upc == upc),
            |id| row_at(id).map_or(0, |row| hash(hasher, row.upc)),
        );
        let Entry::Vacant(vacant) = entry else { return false };
        vacant.insert(id);
        rows.push(Row { upc, price: PriceCell::new(price), name: NameCell::push(names, name) });
        true
    }

    pub(super) fn undo_add(&mut self) {
        let Some(row) = self.rows.pop() else { return };
        self.names.truncate(usize::try_from(row.name.0 >> 16).unwrap_or(usize::MAX));
        self.sorted.remove(&row.upc);
        let removed = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        let hash = hash(&self.hasher, row.upc);
        if let Ok(entry) = self.by_upc.find_entry(hash, |id| *id == removed) {
            entry.remove();
        }
    }

    /// Gives the item in this row another name and price.
    pub(crate) fn replace(&mut self, id: ItemId, name: &str, price: Option<Money>) -> Option<ReplacedItem> {
        let names_len = self.names.len();
        let row = self.rows.get_mut(index(id))?;
        let before = ReplacedItem { index: index(id), row: *row, names_len };
        if row.name.get(&self.names) != name {
            row.name = NameCell::push(&mut self.names, name);
        }
        row.price = PriceCell::new(price);
        Some(before)
    }

    pub(super) fn undo_replace(&mut self, before: &ReplacedItem) {
        self.names.truncate(before.names_len);
        if let Some(row) = self.rows.get_mut(before.index) {
            *row = before.row;
        }
    }
}

/// As `hash_one`, but in place: it is on the way of every row of a batch.
#[inline]
fn hash(hasher: &FixedState, upc: Upc) -> u64 {
    let mut hash = hasher.build_hasher();
    hash.write_u64(upc.get());
    hash.finish()
}

pub(super) fn index(id: ItemId) -> usize {
    usize::try_from(id.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_that_is_taken_back_leaves_nothing_behind() {
        let mut catalogue = Catalogue::new(1);
        let upc = |code| Upc::new(code).unwrap();
        catalogue.add(upc(1), "soup", None);
        catalogue.add(upc(2), "bread", None);
        catalogue.undo_add();
        assert_eq!((catalogue.len(), catalogue.by_upc.len(), catalogue.sorted.len()), (1, 1, 1));
        assert_eq!(catalogue.names, b"soup");
        assert_eq!(catalogue.id(upc(1)), Some(ItemId(0)));
        let before = catalogue.replace(ItemId(0), "broth", None).unwrap();
        catalogue.undo_replace(&before);
        assert_eq!(catalogue.names, b"soup");
    }

    #[test]
    fn room_for_many_items_is_made_once() {
        let mut catalogue = Catalogue::new(1);
        catalogue.reserve(1_000);
        assert!(catalogue.rows.capacity() >= 1_000 && catalogue.by_upc.capacity() >= 1_000);
    }

    #[test]
    fn the_hash_of_a_code_is_its_own_and_that_of_the_seed() {
        let hash_of = |seed, code| hash(&FixedState::with_seed(seed), Upc::new(code).unwrap());
        assert_ne!(hash_of(1, 1), hash_of(1, 2));
        assert_ne!(hash_of(1, 1), hash_of(2, 1));
    }
}
