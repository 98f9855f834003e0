//! Simulated crashes and failures: seeded workloads, an oracle that knows every state a store may be found in, and
//! a driver that stops the power at every call of a run and looks at what recovery makes of it.
//!
//! Knows stores by the trait [`Store`] only: named trees of keys and values, transactions, what was acknowledged.
//! Does not know pages, log records or how a store recovers; but for `crafted`, which knows the formats and nothing else.
#![forbid(unsafe_code)]

mod contents;
pub mod crafted;
mod driver;
pub mod long_run;
mod oracle;
pub mod processes;
mod store;
mod subject;
pub mod toy;
mod workload;

pub use contents::{Change, Contents, Digest};
pub use driver::{
    Config, Point, Report, Violation, run_deceits, run_faults, run_full_disk, run_seed, run_states,
};
pub use oracle::Oracle;
pub use store::{Commit, Durability, End, Failure, Footprint, RootSlot, Store, Subject, Transaction};
pub use subject::{EngineStore, EngineSubject};
pub use workload::{Profile, Step, Workload};
