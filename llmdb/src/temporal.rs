//! Facts in two times: when they hold, and when that was believed.
//!
//! `docs/guide/time.md` tells the ideas with a story. In short: a collection keeps every assertion that
//! was ever made; [`At`] names a point in both times, and every read takes one.
//!
//! ```
//! use llmdb::{Db, temporal::{At, History, Valid, Value}};
//!
//! let db = Db::in_memory()?;
//! let mut txn = db.facts().begin_write()?;
//! txn.create("notes", History::default())?;
//! txn.collection("notes")?.put("colour", Valid::Now, Value::json("\"blue\""))?;
//! txn.commit()?;
//!
//! let view = db.facts().view()?;
//! let colour = view.collection("notes")?.get("colour", At::NOW)?;
//! assert_eq!(colour.map(|fact| fact.value), Some(Value::json("\"blue\"")));
//! # Ok::<(), llmdb::Error>(())
//! ```
//!
//! Collections live in trees whose names begin with `_time`; leave those alone.

pub use llmdb_temporal::{
    AsOf, Assertion, At, BEGINNING, Change, Changes, Collection, CollectionMut, Diff, Difference, Element,
    Error, FOREVER, Fact, Guard, History, Inside, KEY_LEN_MAX, Kept, Key, KeyError, Kind, Period, Result,
    RowKey, Rows, Scan, Store, Timestamp, TxnId, Undone, Valid, Value, ValueError, Version, Versions, View,
    Which, WriteTxn, value,
};

use crate::Db;

impl Db {
    /// The facts of the database, beside its trees.
    pub fn facts(&self) -> Store<'_> {
        Store::new(&self.0)
    }
}
