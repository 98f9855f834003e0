//! What agents remember: facts with their provenance, for a time, found again at any point of both times; and a graph of
//! entities with observations and relations.
//!
//! ```
//! use llmdb::{Db, memory::facts::{NewFact, Recall}};
//!
//! let db = Db::in_memory()?;
//! let facts = db.memory().facts();
//! facts.remember(&[NewFact::new("alice/employer", "Acme Corp")?])?;
//! facts.remember(&[NewFact::new("alice/employer", "Initech")?])?; // Acme Corp stays in the history
//!
//! let recalled = facts.recall(&Recall::subject("alice"))?;
//! assert_eq!(recalled.facts[0].document.text, "Initech");
//! # Ok::<(), llmdb::Error>(())
//! ```
//!
//! Everything that is answered is plain data that serde prints.

pub use llmdb_memory::{Error, Facts, Graph, Memory, Result, facts, graph, when};

use crate::Db;

impl Db {
    /// What agents remember in this database.
    pub fn memory(&self) -> Memory<'_> {
        Memory::new(self.facts())
    }
}
