//! The change feed: what was committed, in the order of commits, read from the log.
//!
//! ```text
//!   Changes::next_txn    a whole transaction, once the log is durable behind it        Transaction
//!   Transaction::next_change    its operations in their order, what was rolled back left out
//!   consumers            names with positions in the store; the log is kept from the oldest on
//! ```

mod changes;
mod consumers;
mod names;
mod outline;
mod transaction;

use llmdb_base::{Lsn, TxnId};

pub use self::changes::{Changes, FeedFrom};
pub use self::consumers::{CONSUMERS_TREE, Consumer};
pub use self::transaction::{Change, Transaction};
pub(crate) use self::{changes::Pins, consumers::stored};

use crate::Commit;

/// A place in the feed: behind a transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// The transaction that it is behind.
    pub txid: TxnId,
    /// Where the record of that transaction ends in the log.
    pub lsn: Lsn,
}

impl From<Commit> for Position {
    fn from(commit: Commit) -> Self {
        Self { txid: commit.txid, lsn: commit.lsn }
    }
}
