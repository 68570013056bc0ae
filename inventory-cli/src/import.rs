//! Bringing a list of items into the inventory: over the wire as an administrator, or directly into a new server.

use futures_util::future::try_join_all;
use inventory_core::{LocationId, Upc};

use crate::items::ItemRow;

/// What became of a list of items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// Items defined, or found as they should be.
    pub items: usize,
    /// Levels set.
    pub levels_set: usize,
    /// Levels that were set before and are left as they are.
    pub levels_left: Vec<(Upc, LocationId)>,
}

/// Where items can be brought to.
pub(crate) trait ImportTarget {
    /// Creates the item, or gives it this name and price.
    async fn define_item(&self, item: &ItemRow) -> anyhow::Result<()>;

    /// Sets the level of the main location; says no if it was set before.
    async fn set_initial_level(&self, item: &ItemRow) -> anyhow::Result<bool>;
}

/// How many items are on their way at once: enough to share durable writes.
const AT_ONCE: usize = 256;

/// Defines the items and sets their levels. Repeating it changes nothing more; so does going on where it broke off.
pub(crate) async fn import(items: &[ItemRow], target: &impl ImportTarget) -> anyhow::Result<Imported> {
    let mut imported = Imported::default();
    for items in items.chunks(AT_ONCE) {
        try_join_all(items.iter().map(|item| target.define_item(item))).await?;
        imported.items = imported.items.saturating_add(items.len());
        let set = try_join_all(items.iter().map(|item| target.set_initial_level(item))).await?;
        for (item, set) in items.iter().zip(set) {
            if set {
                imported.levels_set = imported.levels_set.saturating_add(1);
            } else {
                imported.levels_left.push((item.upc, LocationId::MAIN));
            }
        }
    }
    Ok(imported)
}
