//! Agent memory: facts with their provenance, entities, and relations between them.
//!
//! Knows collections in two times and the search of texts. Does not know pages, the log, the network, a protocol, or the
//! terminal.
//!
//! ```
//! use llmdb_engine::Engine;
//! use llmdb_memory::{Memory, facts::{NewFact, Recall}};
//! use llmdb_temporal::Store;
//!
//! let engine = Engine::in_memory()?;
//! let facts = Memory::new(Store::new(&engine)).facts();
//! facts.remember(&[NewFact::new("alice/employer", "Acme Corp")?])?;
//! let recalled = facts.recall(&Recall::subject("alice"))?;
//! assert_eq!(recalled.facts[0].document.text, "Acme Corp");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod error;
pub mod facts;
pub mod graph;
pub mod when;

pub use error::{Error, Result};
pub use facts::Facts;
pub use graph::Graph;

use llmdb_temporal::Store;

/// What agents remember, in a store of facts.
#[derive(Clone, Copy, Debug)]
pub struct Memory<'e> {
    store: Store<'e>,
}

impl<'e> Memory<'e> {
    /// The memory in `store`. Nothing is read or written.
    pub const fn new(store: Store<'e>) -> Self {
        Self { store }
    }

    /// The store below, for what else shall be read of the same facts.
    pub const fn store(&self) -> Store<'e> {
        self.store
    }

    /// Facts: something said of a subject, for a time, by somebody.
    pub const fn facts(&self) -> Facts<'e> {
        Facts::new(self.store)
    }

    /// Entities, what was observed of them, and relations between them.
    pub const fn graph(&self) -> Graph<'e> {
        Graph::new(self.store)
    }
}
