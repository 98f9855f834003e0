//! What rows of the graph say, as JSON.

use llmdb_temporal::Fact;
use serde::{Deserialize, Serialize};

use super::{COLLECTION, Relation};
use crate::{Error, Result};

/// When a thing was made: the moment of the commit, and its place within it. Orders all that is returned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) struct Made(pub i64, pub u64);

/// An entity without its observations.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredEntity {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub made: Made,
}

/// An observation. Whose it is stands in the key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredObservation {
    pub text: String,
    pub made: Made,
}

/// A relation.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredRelation {
    #[serde(flatten)]
    pub relation: Relation,
    pub made: Made,
}

pub(super) fn encode(document: &impl Serialize) -> Result<String> {
    serde_json::to_string(document).map_err(|error| damaged("a new row", &error))
}

pub(super) fn decode<'s, T: Deserialize<'s>>(fact: &Fact<'s>) -> Result<T> {
    serde_json::from_slice(fact.value.payload).map_err(|error| damaged(&fact.row.to_string(), &error))
}

/// A row that this room does not write.
pub(super) fn damaged(row: &str, what: &dyn std::fmt::Display) -> Error {
    Error::Document { place: format!("{COLLECTION} {row}"), what: what.to_string() }
}
