//! The whole system in one thread, from one seed: real engine, real file journal, real ends of connections, over a
//! simulated disk, network and clock, with clients that retry and an auditor that believes nothing.
//!
//! What is real: `inventory_core`'s engine, replay and `commit`; `inventory_store`'s `FileJournal`, on the disk in memory
//! that loses its power; `inventory_net`'s messages, frames, `ServerConnection` and `ClientConnection`. What is not:
//! the runtime, sockets, the tasks of `Service` and of the server and client around those parts (the server's loop
//! here, `node`, does by hand what they do), and password hashing.
//!
//! One thing happens at a time. The journal has a writer thread of its own, but an append is always waited for before
//! anything else is done, and faults of the disk are set by the number of its operation: that thread's pace cannot matter.
//!
//! ```
//! use inventory_sim::{Options, run};
//!
//! let options = Options { steps: 300, defect: None, favourite: None };
//! let report = run(1, options).map_err(|failure| failure.to_string())?;
//! let again = run(1, options).map_err(|failure| failure.to_string())?;
//! assert_eq!(report.trace, again.trace);
//! # Ok::<(), String>(())
//! ```

mod auditor;
mod client;
mod coverage;
mod defect;
mod disk;
mod journal;
mod machine;
mod network;
mod node;
mod order;
mod run;
mod trace;
mod workload;
mod world;

pub use auditor::Violation;
pub use coverage::{Coverage, Fault};
pub use defect::Defect;
pub use run::{Failure, Options, Report, run};
