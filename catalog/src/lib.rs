//! The catalog: schemas, migrations and policies of retention, kept as facts like any others.
//!
//! Everything is a document in one collection, `_meta`, which the usual calls read, write, list and ask for older states of.
//! [`Keeper`] is the guard that compares what is written with schemas, and what is written to `_meta` with what it should be.
//! What is stored is told in `docs/format/catalog.md`, why in `docs/adr/0015-the-catalog-is-facts.md` and
//! `docs/adr/0016-migrations.md`.
//!
//! Knows collections and what their documents should look like. Does not know pages, the log, the network, query text,
//! or what a document means to whoever wrote it.
//!
//! ```
//! use llmdb_catalog::{Catalog, Keeper};
//! use llmdb_engine::Engine;
//! use llmdb_temporal::{History, Store, Valid, Value};
//!
//! let (engine, keeper) = (Engine::in_memory()?, Keeper::new());
//! let catalog = Catalog::new(Store::new(&engine), &keeper);
//!
//! let mut txn = catalog.store().begin_write()?;
//! txn.create("people", History::default())?;
//! txn.commit()?;
//! catalog.put_schema("person", None, r#"{"type":"object","required":["name"]}"#)?;
//! catalog.bind("people", "person", None)?;
//!
//! let mut txn = catalog.store().begin_write()?;
//! let mut people = txn.collection("people")?;
//! people.put("ada", Valid::Now, Value::json(r#"{"name":"Ada"}"#))?;
//! assert!(people.put("bob", Valid::Now, Value::json(r#"{"nom":"Bob"}"#)).is_err());
//! txn.commit()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod binding;
mod catalog;
mod code;
mod error;
mod json;
mod keeper;
mod migration;
mod path;
mod reader;
mod retention;
mod schema;

pub use binding::{Binding, Bound};
pub use catalog::{Catalog, Schema, SchemaInfo};
pub use error::{Complaint, Error, Result, Unfit};
pub use json::{DEPTH_MAX, DOCUMENT_LEN_MAX};
pub use keeper::Keeper;
pub use migration::{
    Chunk, Cursor, Definition, Failure, Fields, Migration, Move, Plan, Predicate, Progress, Rewrite,
    Rewriting, Sample, State, Stored,
};
pub use path::{META, MetaPath, NAME_LEN_MAX};
pub use reader::{Document, Documents, Form, Reader};
pub use retention::{Keep, Policy};
pub use schema::{SCHEMA_LEN_MAX, Violation};
