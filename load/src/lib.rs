//! Load for servers, and what it measured.
//!
//! [`run`] drives many connections on one thread, each with requests in flight: as a closed loop, where an answer lets the
//! next request go, or as an open one, where requests go at a rate whatever the answers do. In an open loop latency
//! counts from the moment at which a request should have been sent, so that a server that stalls cannot hide the requests that
//! it kept from being sent (coordinated omission).
//!
//! What goes over the wire is an [`Exchange`]'s business. [`shop`] has the one of this project's server; other servers can be
//! measured by the same loop. A generator shares its machine with what it measures, so the loop allocates nothing for
//! a request, reads the clock once for all answers that came together, and speaks to the stream without channels in between.
//!
//! ```
//! # use inventory_load::workload::{Picker, Skew};
//! let mut picker = Picker::new(Skew::Zipf, 10_000, 1);
//! let items: Vec<u64> = (0..1_000).map(|_| picker.next_item()).collect();
//! assert!(items.iter().all(|item| *item < 10_000));
//! assert!(items.iter().filter(|item| **item == 0).count() > 50, "item 0 is the most wanted");
//! ```

mod drive;
mod error;
mod exchange;
mod measured;
mod pace;
pub mod shop;
pub mod workload;

pub use drive::{Lane, run};
pub use error::LoadError;
pub use exchange::{Answer, Exchange, Outcome};
pub use measured::Measured;
pub use pace::{Plan, Until};
