//! This project's server under load: the items that are bought, and purchases on the wire.

mod items;
mod purchases;

pub use items::{ItemsForSale, UNITS_PER_ITEM, making, upc};
pub use purchases::{Buying, Purchases, connect};
