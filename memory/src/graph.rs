//! The knowledge graph: entities, what was observed of them, and relations between them.
//!
//! Means exactly what the reference memory server of the Model Context Protocol means, down to the order of what it
//! returns, but each call writes only what it changes, and nothing that was ever there is forgotten: the graph can be read
//! as it was at any moment. How it is stored is told in `docs/format/graph.md`, why in
//! `docs/adr/0019-the-knowledge-graph-as-facts.md`.

mod keys;
mod lines;
mod read;
mod stored;
mod write;

use std::fmt;

use llmdb_temporal::Store;
use serde::{Deserialize, Serialize};

pub use lines::Imported;

/// The collection with all of it.
pub const COLLECTION: &str = "graph";

/// A thing with a name.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entity {
    /// What it is called; also how it is found.
    pub name: String,
    /// What kind of thing it is.
    pub entity_type: String,
    /// What is known of it, in the order in which it was learned.
    pub observations: Vec<String>,
}

/// That something holds between two entities. Neither has to be there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Relation {
    /// Name of the entity where it starts.
    pub from: String,
    /// Name of the entity where it ends.
    pub to: String,
    /// What holds, in active voice.
    pub relation_type: String,
}

/// Observations to add to an entity.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NewObservations {
    /// Name of the entity.
    pub entity_name: String,
    /// What was observed.
    pub contents: Vec<String>,
}

/// Observations that were added to an entity: those that it did not have.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AddedObservations {
    /// Name of the entity.
    pub entity_name: String,
    /// What was new.
    pub added_observations: Vec<String>,
}

/// Observations to take away from an entity.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObservationDeletion {
    /// Name of the entity.
    pub entity_name: String,
    /// What is no longer known of it.
    pub observations: Vec<String>,
}

/// Entities and relations, each in the order in which they were made.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct KnowledgeGraph {
    /// The entities.
    pub entities: Vec<Entity>,
    /// The relations.
    pub relations: Vec<Relation>,
}

/// The knowledge graph of a store.
///
/// Each call that writes is one transaction, durable when it returns, and touches only the rows that it changes; any number
/// of processes may do so, and none loses what another wrote.
#[derive(Clone, Copy, Debug)]
pub struct Graph<'e> {
    store: Store<'e>,
}

impl<'e> Graph<'e> {
    /// The graph in `store`. Nothing is read or written.
    pub const fn new(store: Store<'e>) -> Self {
        Self { store }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.from, self.relation_type, self.to)
    }
}

#[cfg(test)]
mod tests;
