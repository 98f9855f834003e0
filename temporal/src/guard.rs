//! Who looks at what is asserted before it is: the seam for rooms above, which know what documents should look like.

use std::fmt;

use crate::{Error, Period, Result, RowKey, Value, WriteTxn};

/// Looks at every assertion of the collections that are guarded, inside the transaction that makes it.
///
/// Which collections are guarded is stored with them, so that every process and every build knows it: whoever opens the
/// store without a guard reads them, and is refused when it writes to them. The rest costs nothing.
pub trait Guard: fmt::Debug + Send + Sync {
    /// Whether a collection of this name is guarded from the moment it is made.
    fn claims(&self, collection: &str) -> bool;

    /// Looks at an assertion, made by a put, a delete or an undo, before anything of it is written.
    ///
    /// # Errors
    /// [`Error::Refused`] says why not: nothing was written. Others are passed on.
    fn check(&self, inside: &mut Inside<'_, '_>, assertion: &Assertion<'_>) -> Result<()>;
}

/// What is about to be asserted.
#[derive(Clone, Copy, Debug)]
pub struct Assertion<'a> {
    /// Name of the collection.
    pub collection: &'a str,
    /// The row.
    pub row: &'a RowKey,
    /// For when; always, in a plain collection.
    pub valid: Period,
    /// The value; `None` if there is to be none.
    pub value: Option<Value<'a>>,
}

impl Assertion<'_> {
    /// A refusal, for [`Guard::check`].
    pub fn refuse(&self, what: impl Into<String>) -> Error {
        Error::Refused { collection: self.collection.into(), row: self.row.clone(), what: what.into() }
    }
}

/// What a guard sees of the transaction: the store with what the transaction has written so far.
#[derive(Debug)]
pub struct Inside<'w, 'e> {
    pub(crate) write: &'w mut WriteTxn<'e>,
}

impl Inside<'_, '_> {
    /// What is believed of the present of a row: its stored form, see [`Value::decode`]. `None` if nothing is, or there
    /// is no such collection.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn get(&mut self, collection: &str, row: &RowKey) -> Result<Option<Vec<u8>>> {
        match self.write.collection(collection) {
            Ok(mut collection) => collection.get(row),
            Err(Error::NoCollection(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Has a collection guarded from here on, see [`WriteTxn::set_guarded`]; `false` if there is none.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Corruption`].
    pub fn set_guarded(&mut self, collection: &str) -> Result<bool> {
        match self.write.set_guarded(collection, true) {
            Ok(()) => Ok(true),
            Err(Error::NoCollection(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
