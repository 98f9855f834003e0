//! Looking after a database: statistics, check, compaction, recovery of what is damaged, backup and archive.

pub mod archive;
pub mod backup;
pub mod check;
pub mod compact;
pub mod erase;
pub mod mend;
pub mod purge;
pub mod recover;
pub mod stat;
pub mod verify;
