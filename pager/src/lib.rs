//! The data file: pages, the roots that name them, the allocation map, checkpoints, and the readers that keep
//! pages from being used again.
//!
//! Knows which page belongs to which moment. Does not know key order, tree shapes, log records or time; the roots
//! that it stores are opaque bytes to it.
//!
//! # Reading order
//! `retention` has the one rule everything rests on: when a freed page may be used again. `readers` and `durable`
//! say which roots must stay whole; `txn` allocates and frees; `checkpoint` makes a state durable; `open` finds
//! it again. `view` is where all this becomes memory safety.

mod allocator;
mod checkpoint;
mod durable;
mod holders;
mod image;
mod lost;
mod map;
mod meta;
mod open;
mod options;
mod page_set;
mod pager;
mod range;
mod read;
mod readers;
pub mod retention;
mod roots;
mod run;
mod scan;
pub mod share;
mod space;
mod stats;
mod store;
mod turn;
mod txn;
mod verified;
mod view;
mod wipe;
mod writeback;
mod writer;

#[cfg(loom)]
#[cfg(test)]
mod loom_tests;

pub use checkpoint::{Checkpoint, Progress};
pub use holders::{Holder, RestingGuard};
pub use image::{TakePages, reseal_node, reseal_run, write_image_meta};
pub use meta::{FORMAT_VERSION, MetaReport, SlotReport, SlotState};
pub use open::{CHECKPOINT_EPOCHS, OpenError, STALL_EPOCHS};
pub use options::{Access, PagerOptions, Pick, Visible};
pub use pager::Pager;
pub use read::ReadGuard;
pub use readers::{Note, READER_NAME_LEN};
pub use roots::{ROOTS_LEN, RootRecord, RootState};
pub use run::run_page_count;
pub use share::Commons;
pub use stats::PagerStats;
pub use txn::{PageTxn, Reserve, Savepoint};
pub use wipe::Wiped;
