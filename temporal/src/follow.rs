//! Who keeps trees beside a collection, and is told what is put into it, by whichever room and program part.

use std::fmt;

use crate::{Result, RowKey, Value, WriteTxn};

/// Is told every value that is put into a collection which it follows, in the transaction that puts it: by a migration, an
/// import, a program. An index of what values say is right only if it is.
///
/// Deletions are not told, nor what an undo believes again: that was put, and told, before.
pub trait Follower: fmt::Debug + Send + Sync {
    /// Whether it follows the collection of this name.
    fn follows(&self, collection: &str) -> bool;

    /// `row` was asserted to be `value`, for whichever period.
    ///
    /// # Errors
    /// Passed on to whoever puts the value: abort.
    fn put(&self, txn: &mut WriteTxn<'_>, collection: &str, row: &RowKey, value: &Value<'_>) -> Result<()>;
}
