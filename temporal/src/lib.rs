//! Time: facts in two times, and typed values.
//!
//! Every fact is asserted for a period of *valid time*, in which it holds in the world, by a commit, from whose moment of
//! *system time* on the store believes it. Nothing that was believed is ever overwritten: any state can be asked for,
//! about any time. How that is stored is told in `docs/format/time.md`, why in `docs/adr/0011-facts-in-two-times.md`.
//!
//! Stands on named trees and transactions. Does not know pages, files, the log, query text, or what a document says.
//!
//! ```
//! use llmdb_engine::Engine;
//! use llmdb_temporal::{At, AsOf, History, Store, Valid, Value};
//!
//! let engine = Engine::in_memory()?;
//! let store = Store::new(&engine);
//!
//! let mut txn = store.begin_write()?;
//! txn.create("people", History::default())?;
//! txn.collection("people")?.put("ada", Valid::Now, Value::json(r#"{"city":"London"}"#))?;
//! let learned = txn.commit()?;
//!
//! let mut txn = store.begin_write()?;
//! txn.collection("people")?.put("ada", Valid::Now, Value::json(r#"{"city":"Paris"}"#))?;
//! txn.commit()?;
//!
//! let view = store.view()?;
//! let people = view.collection("people")?;
//! let city = |at| Ok::<_, llmdb_temporal::Error>(people.get("ada", at)?.map(|fact| fact.value));
//! assert_eq!(city(At::NOW)?, Some(Value::json(r#"{"city":"Paris"}"#)));
//! assert_eq!(city(At::valid(learned.timestamp))?, Some(Value::json(r#"{"city":"London"}"#)));
//! assert_eq!(city(At::NOW.as_of(AsOf::Transaction(learned.txid)))?, Some(Value::json(r#"{"city":"London"}"#)));
//! # Ok::<(), llmdb_temporal::Error>(())
//! ```
#![forbid(unsafe_code)]

mod beside;
mod catalog;
mod changes;
mod epochs;
mod erase;
mod error;
mod follow;
mod guard;
mod history;
mod known;
mod lookup;
mod period;
mod purge;
mod record;
mod retention;
mod rows;
mod scan;
mod store;
mod undo;
pub mod value;
mod view;
mod write;

pub use beside::RowsIn;
pub use catalog::History;
pub use changes::{Change, Changes, Diff, Difference};
pub use erase::{Erased, ErasedCheck, Erasure};
pub use error::{Error, Result};
pub use follow::Follower;
pub use guard::{Assertion, Guard, Inside};
pub use history::Version;
pub use known::{Versions, Which};
pub use llmdb_base::{
    Timestamp, TxnId,
    key::{Element, Key, KeyError},
};
pub use llmdb_engine::{Commit, Durability, ErasureNote, ErrorKind, ScrubReport, Trace, TracePlace, Traces};
pub use period::{BEGINNING, FOREVER, Period};
pub use purge::{PurgeProgress, Purged};
pub use retention::Retention;
pub use rows::{RowKey, Rows};
pub use scan::Scan;
pub use store::Store;
pub use undo::{Kept, Undone};
pub use value::{Kind, Value, ValueError};
pub use view::{AsOf, At, Collection, Fact, View};
pub use write::{CollectionMut, KEY_LEN_MAX, Valid, WriteTxn};
