//! The state machine: [`decide`] turns a command into an event or a refusal and changes nothing;
//! [`apply`] changes the state by an event and cannot fail; [`verify`] says whether an event that comes
//! from outside (a journal, another server) can have happened at all.

mod apply;
mod bulk;
mod decide;
mod decision;
mod once;
mod post;
mod purchase;
mod returns;
mod verify;

pub use apply::apply;
pub use decide::decide;
pub use decision::Decision;
pub use verify::{Impossible, verify};
