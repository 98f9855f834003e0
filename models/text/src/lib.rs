//! Text search: words of texts, kept in the transaction that keeps the texts, found by relevance at any point of both times.
//!
//! The index of a collection knows which words any text of a row ever had. What it proposes is read at the point that is
//! asked for and looked at again, so an answer is what the collection says, whatever happened since. The bytes are told in
//! `docs/format/text.md`, the reasons in `docs/adr/0020-text-search.md`.
//!
//! Knows words and collections. Does not know pages, the log, the network, query languages, or other models.
//!
//! ```
//! use llmdb_engine::Engine;
//! use llmdb_temporal::{At, History, Store, Valid, Value};
//! use llmdb_text::{Language, Query, Search, TextIndex, Texts};
//!
//! let engine = Engine::in_memory()?;
//! let store = Store::new(&engine);
//! let mut txn = store.begin_write()?;
//! txn.create("notes", History::default())?;
//! let index = TextIndex::create(&mut txn, "notes", Language::English)?;
//! for (row, text) in [("ada", "She lives in London"), ("bob", "He has lived in Paris")] {
//!     txn.collection("notes")?.put(row, Valid::Now, Value::raw(text.as_bytes()))?;
//!     index.add(&mut txn, &row.into(), text)?;
//! }
//! txn.commit()?;
//!
//! let view = store.view()?;
//! let texts = Texts::open(&view, "notes")?;
//! let query = Query::parse("living london")?;
//! let text = |fact: &llmdb_temporal::Fact<'_>| Some(String::from_utf8_lossy(fact.value.payload).into_owned().into());
//! let hits = texts.search(&query, &Search::at(At::NOW), text)?;
//! assert_eq!(hits.len(), 2);
//! assert_eq!(hits[0].fact.row, "ada".into());
//! # Ok::<(), llmdb_text::Error>(())
//! ```
#![forbid(unsafe_code)]

mod build;
mod candidates;
mod error;
mod index;
mod language;
mod matcher;
mod query;
mod search;
mod statistics;
mod stored;
mod sweep;
mod words;

pub use error::{Error, Result};
pub use index::{TEXT_LEN_MAX, TextIndex};
pub use language::Language;
pub use query::{QUERY_LEN_MAX, QUERY_TERMS_MAX, Query};
pub use search::{Hit, LIMIT_MAX, Mark, Search, Texts};
pub use statistics::Statistics;
pub use sweep::Swept;
pub use words::WORD_LEN_MAX;
