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

use std::{path::Path, sync::Arc};

use llmdb_engine::Engine;
pub use llmdb_temporal::{
    AsOf, Assertion, At, BEGINNING, Change, Changes, Collection, CollectionMut, Diff, Difference, Element,
    Erased, ErasedCheck, Erasure, ErasureNote, Error, FOREVER, Fact, Guard, History, Inside, KEY_LEN_MAX,
    Kept, Key, KeyError, Kind, Period, PurgeProgress, Purged, Result, Retention, RowKey, Rows, RowsIn, Scan,
    ScrubReport, Store, Timestamp, Trace, TracePlace, Traces, TxnId, Undone, Valid, Value, ValueError,
    Version, Versions, View, Which, WriteTxn, value,
};

use crate::{Db, RestoreReport, RestoreSource, RestoreTo};

impl Db {
    /// The facts of the database, beside its trees. What is written has to fit the schemas of the catalog, if this program was built
    /// with it (the feature `catalog`).
    pub fn facts(&self) -> Store<'_> {
        let store = Store::new(&self.0);
        #[cfg(feature = "catalog")]
        let store = store.guarded(&self.1);
        #[cfg(feature = "memory")]
        let store = store.followed(Some(&llmdb_memory::facts::FactsFollower));
        store
    }
}

/// Restores, and erases again what `notes` say was erased later.
pub(crate) fn restore(
    notes: &[ErasureNote],
    source: &RestoreSource,
    to: &Path,
    until: RestoreTo,
    progress: &mut dyn FnMut(u64, u64) -> bool,
) -> crate::Result<RestoreReport> {
    let disk: Arc<dyn llmdb_engine::Vfs> = Arc::new(llmdb_engine::OsVfs::new());
    let mut erased_rows = 0;
    let mut erase = |engine: &Engine| {
        let erased = Store::new(engine).erase_again(notes, &mut |_, _| true);
        erased_rows = erased.map_err(|error| match error {
            Error::Engine(error) => error,
            other => llmdb_engine::Error::BrokenBackup(other.to_string()),
        })?;
        Ok(())
    };
    let mut report = Engine::restore_then(&disk, source, to, until, progress, Some(&mut erase))?;
    report.erased_rows = erased_rows;
    Ok(report)
}
