//! Pages cut to what the frames of a client take.

use std::sync::Arc;

use inventory_core::{BalancesPage, LevelsPage};

use crate::message::Done;

/// The first half of a page of levels or balances, and where to go on behind it; none of a page of one item or account, and of
/// what is no page.
pub(super) fn first_half(page: &Done) -> Option<Done> {
    match page {
        Done::Levels(page) => half_of_levels(page.clone()).map(Done::Levels),
        Done::Balances(page) => half_of_balances(page.clone()).map(Done::Balances),
        _ => None,
    }
}

/// The rows of an item stay together.
fn half_of_levels(mut page: LevelsPage) -> Option<LevelsPage> {
    let items = page.levels.chunk_by(|row, next| row.upc == next.upc);
    let half = items.clone().count() / 2;
    page.levels.truncate(items.take(half).map(<[_]>::len).sum());
    page.next = Some(page.levels.last()?.upc);
    Some(page)
}

fn half_of_balances(mut page: BalancesPage) -> Option<BalancesPage> {
    page.balances.truncate(page.balances.len() / 2);
    page.next = Some(Arc::clone(&page.balances.last()?.account));
    Some(page)
}
