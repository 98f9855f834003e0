//! Looking after a database: statistics, check, recovery of what is damaged, backup.

pub mod backup;
pub mod check;
pub mod recover;
pub mod stat;
