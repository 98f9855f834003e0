//! Looking after a database: statistics, check, compaction, recovery of what is damaged, backup.

pub mod backup;
pub mod check;
pub mod compact;
pub mod mend;
pub mod recover;
pub mod stat;
