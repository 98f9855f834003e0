//! Search of texts by relevance, at any point of both times.
//!
//! ```
//! use llmdb::{Db, temporal::{At, Fact, History, Valid, Value}, text::{Language, Query, Search, TextIndex, Texts}};
//!
//! let db = Db::in_memory()?;
//! let mut txn = db.facts().begin_write()?;
//! txn.create("notes", History::default())?;
//! let index = TextIndex::create(&mut txn, "notes", Language::English)?;
//! txn.collection("notes")?.put("ada", Valid::Now, Value::raw(b"She lived in London"))?;
//! index.add(&mut txn, &"ada".into(), "She lived in London")?; // in the same transaction
//! txn.commit()?;
//!
//! let view = db.facts().view()?;
//! let texts = Texts::open(&view, "notes")?;
//! let text = |fact: &Fact<'_>| Some(String::from_utf8_lossy(fact.value.payload).into_owned().into());
//! let hits = texts.search(&Query::parse("living \"in london\"")?, &Search::at(At::NOW), text)?;
//! assert_eq!(hits.len(), 1);
//! # Ok::<(), llmdb::Error>(())
//! ```
//!
//! Indexes live in trees whose names begin with `_text`; leave those alone. What a query may contain is told at [`Query`], how
//! relevance is computed in `docs/format/text.md`.

pub use llmdb_text::{
    Error, Hit, LIMIT_MAX, Language, Mark, QUERY_LEN_MAX, QUERY_TERMS_MAX, Query, Result, Search, Statistics,
    TEXT_LEN_MAX, TextIndex, Texts, WORD_LEN_MAX,
};
