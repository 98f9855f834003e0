//! The file of the reference server, `memory.jsonl`: one entity or relation a line.

use std::{
    collections::HashMap,
    io::{BufRead, Write},
};

use llmdb_temporal::At;
use serde::{Deserialize, Serialize};

use super::{Entity, Graph, Relation, write::Change};
use crate::{Error, Result};

/// What an import did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Imported {
    /// Entities that were made.
    pub entities: u64,
    /// Observations that were added to entities that were there before.
    pub observations: u64,
    /// Relations that were made.
    pub relations: u64,
    /// Lines that said nothing new.
    pub known: u64,
    /// Lines that are neither an entity nor a relation, which the reference passes over, too.
    pub other: u64,
}

/// A line, as far as it says what it is.
#[derive(Deserialize)]
struct Head {
    #[serde(rename = "type")]
    kind: Option<serde_json::Value>,
}

/// A line as it is written.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line<'a> {
    Entity(&'a Entity),
    Relation(&'a Relation),
}

impl Graph<'_> {
    /// Takes what the lines of `from` say into the graph, in one transaction. Entities that are there already keep their
    /// type and get the observations that they lack.
    ///
    /// # Errors
    /// [`crate::Error::Line`] with the number of the line, [`crate::Error::Io`] of `from`, [`crate::Error::Temporal`]:
    /// nothing was written.
    pub fn import(&self, mut from: impl BufRead) -> Result<Imported> {
        self.change(|change| {
            let mut import = Import::default();
            let mut line = Vec::new();
            for number in 1.. {
                line.clear();
                if from.read_until(b'\n', &mut line)? == 0 {
                    break;
                }
                import.take(change, &line).map_err(|error| match error {
                    Refused::Line(what) => Error::Line { number, what },
                    Refused::Store(error) => error,
                })?;
            }
            Ok(import.done)
        })
    }

    /// Writes the graph as it was at `at` as such a file, and returns the numbers of entities and relations.
    ///
    /// # Errors
    /// [`crate::Error::Io`] of `to`, [`crate::Error::Temporal`].
    pub fn export(&self, mut to: impl Write, at: At) -> Result<(u64, u64)> {
        let graph = self.read(at)?;
        let entities = graph.entities.iter().map(Line::Entity);
        // As the reference leaves it: no end of line after the last.
        for (index, line) in entities.chain(graph.relations.iter().map(Line::Relation)).enumerate() {
            if index > 0 {
                to.write_all(b"\n")?;
            }
            serde_json::to_writer(&mut to, &line).map_err(std::io::Error::from)?;
        }
        to.flush()?;
        Ok((graph.entities.len() as u64, graph.relations.len() as u64))
    }
}

/// An import on its way.
#[derive(Default)]
struct Import {
    done: Imported,
    /// How many entities of a name, and relations that say the same, this file has made so far.
    entities: HashMap<String, u64>,
    relations: HashMap<Relation, u64>,
}

/// Why a line is not taken.
enum Refused {
    Line(String),
    Store(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

impl From<serde_json::Error> for Refused {
    fn from(error: serde_json::Error) -> Self {
        Self::Line(error.to_string())
    }
}

impl Import {
    fn take(&mut self, change: &mut Change<'_, '_>, line: &[u8]) -> std::result::Result<(), Refused> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let head: Head = serde_json::from_slice(line)?;
        match head.kind.as_ref().and_then(serde_json::Value::as_str) {
            Some("entity") => self.take_entity(change, &serde_json::from_slice(line)?)?,
            Some("relation") => self.take_relation(change, &serde_json::from_slice(line)?)?,
            _ => self.done.other += 1,
        }
        Ok(())
    }

    fn take_entity(&mut self, change: &mut Change<'_, '_>, entity: &Entity) -> Result<()> {
        if let Some(n) = change.entity(&entity.name)? {
            let added = change.add_observations(&entity.name, n, &entity.observations)?.len() as u64;
            self.done.observations += added;
            self.done.known += u64::from(added == 0);
            return Ok(());
        }
        let n = self.entities.entry(entity.name.clone()).or_default();
        change.make_entity(entity, *n)?;
        *n += 1;
        self.done.entities += 1;
        Ok(())
    }

    fn take_relation(&mut self, change: &mut Change<'_, '_>, relation: &Relation) -> Result<()> {
        if change.is_relation(relation)? {
            self.done.known += 1;
            return Ok(());
        }
        let n = self.relations.entry(relation.clone()).or_default();
        change.make_relation(relation, *n)?;
        *n += 1;
        self.done.relations += 1;
        Ok(())
    }
}
