//! The one door to the operating system: files, mappings, rings of writes, locks, clock and randomness, behind
//! traits narrow enough that a simulator can stand in for all of them.
//!
//! Knows bytes at offsets and what a crash may do to them. Does not know pages, records or keys.

mod buffer;
pub mod crash;
mod disk;
mod mapping;
mod memory;
mod os;
mod overlay;
mod share;

pub use buffer::{AlignedBuf, BLOCK_SIZE};
pub use disk::{
    Completion, Create, File, FileLock, LockError, LockKind, Open, Ring, RingKind, Vfs, read_exact_at,
    write_all_at,
};
pub use mapping::{BusErrors, LossCause, LostPage, Mapping};
pub use memory::MemoryVfs;
pub use os::{DirectIo, OsOptions, OsVfs, RingChoice};
pub use overlay::OverlayVfs;
pub use share::{AREA_WORDS, ShareError, SharedArea};
