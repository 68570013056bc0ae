//! Pages of levels cut to what the frames of a client take.

use inventory_core::LevelsPage;

/// The first half of a page's items, and where to go on behind them; none of a page of one item, whose rows stay
/// together.
pub(super) fn first_half(mut page: LevelsPage) -> Option<LevelsPage> {
    let items = page.levels.chunk_by(|row, next| row.upc == next.upc);
    let half = items.clone().count() / 2;
    page.levels.truncate(items.take(half).map(<[_]>::len).sum());
    page.next = Some(page.levels.last()?.upc);
    Some(page)
}
