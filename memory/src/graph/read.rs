//! Reading the graph, at any point of both times.

use std::collections::{BTreeMap, BTreeSet, HashSet, btree_map::Entry};

use llmdb_temporal::{At, Collection, Error as TemporalError, RowKey, Rows, View};

use super::{
    COLLECTION, Entity, Graph, KnowledgeGraph, Relation,
    keys::{self, FROM, NODES, Node, TO},
    stored::{Made, StoredEntity, StoredObservation, StoredRelation, damaged, decode},
};
use crate::Result;

/// The graph in a view; `None` before anything was ever written to it.
pub(super) fn collection(view: &View) -> Result<Option<Collection<'_>>> {
    match view.collection(COLLECTION) {
        Ok(collection) => Ok(Some(collection)),
        Err(TemporalError::NoCollection(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Graph<'_> {
    /// All of it. Cost: a scan.
    ///
    /// # Errors
    /// [`crate::Error::Temporal`].
    pub fn read(&self, at: At) -> Result<KnowledgeGraph> {
        self.select(at, |_| true, Every::Relation)
    }

    /// The entities that contain `query` in their name, type, or an observation, whatever the case of its letters, and the
    /// relations that start or end at one of them. Cost: a scan.
    ///
    /// # Errors
    /// As [`Graph::read`].
    pub fn search(&self, query: &str, at: At) -> Result<KnowledgeGraph> {
        let query = query.to_lowercase();
        let contains = |text: &String| text.to_lowercase().contains(&query);
        let matches = |entity: &Entity| {
            contains(&entity.name)
                || contains(&entity.entity_type)
                || entity.observations.iter().any(contains)
        };
        self.select(at, matches, Every::RelationOfAnEntity)
    }

    /// The entities of these names that are there, and the relations that start or end at one of them. Cost: what is
    /// returned.
    ///
    /// # Errors
    /// As [`Graph::read`].
    pub fn open(&self, names: &[String], at: At) -> Result<KnowledgeGraph> {
        let view = self.store.view()?;
        let Some(graph) = collection(&view)? else { return Ok(KnowledgeGraph::default()) };
        let (mut entities, mut relations) = (Vec::new(), BTreeMap::new());
        for name in names.iter().collect::<BTreeSet<_>>() {
            let found = nodes(&graph, &keys::entities_called(name), at, |_| true)?;
            if found.is_empty() {
                continue;
            }
            entities.extend(found);
            for (row, relation) in relations_of(&graph, name, at)? {
                relations.insert((relation.made, row), relation.relation);
            }
        }
        entities.sort_by_key(|(made, _)| *made);
        let entities = entities.into_iter().map(|(_, entity)| entity).collect();
        Ok(KnowledgeGraph { entities, relations: relations.into_values().collect() })
    }

    fn select(&self, at: At, matches: impl Fn(&Entity) -> bool, every: Every) -> Result<KnowledgeGraph> {
        let view = self.store.view()?;
        let Some(graph) = collection(&view)? else { return Ok(KnowledgeGraph::default()) };
        let mut entities = nodes(&graph, &Rows::partition(NODES), at, matches)?;
        entities.sort_by_key(|(made, _)| *made);
        let entities: Vec<_> = entities.into_iter().map(|(_, entity)| entity).collect();
        let names: HashSet<&str> = entities.iter().map(|entity| entity.name.as_str()).collect();
        let touches = |relation: &Relation| {
            names.contains(relation.from.as_str()) || names.contains(relation.to.as_str())
        };
        let mut relations = Vec::new();
        for fact in graph.scan(&Rows::partition(FROM), at)? {
            let StoredRelation { relation, made } = decode(&fact?)?;
            if every == Every::Relation || touches(&relation) {
                relations.push((made, relation));
            }
        }
        relations.sort_by_key(|(made, _)| *made);
        let relations = relations.into_iter().map(|(_, relation)| relation).collect();
        Ok(KnowledgeGraph { entities, relations })
    }
}

/// Which relations are returned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Every {
    Relation,
    RelationOfAnEntity,
}

/// The entities of a range that match, in the order of their rows.
fn nodes(
    graph: &Collection<'_>,
    rows: &Rows,
    at: At,
    matches: impl Fn(&Entity) -> bool,
) -> Result<Vec<(Made, Entity)>> {
    let mut found = Vec::new();
    let mut current: Option<Gathered> = None;
    let mut finish = |gathered: Option<Gathered>| {
        found.extend(gathered.map(Gathered::finish).filter(|(_, entity)| matches(entity)));
    };
    for fact in graph.scan(rows, at)? {
        let fact = fact?;
        match (keys::node(&fact.row), &mut current) {
            (Some(Node::Entity(_)), current) => {
                let gathered = Gathered { entity: decode(&fact)?, observations: Vec::new() };
                finish(current.replace(gathered));
            }
            (Some(Node::Observation(_)), Some(gathered)) => gathered.observations.push(decode(&fact)?),
            _ => return Err(damaged(&fact.row.to_string(), &"it belongs to no entity")),
        }
    }
    finish(current);
    Ok(found)
}

/// An entity, and what was found of it so far.
struct Gathered {
    entity: StoredEntity,
    observations: Vec<StoredObservation>,
}

impl Gathered {
    fn finish(mut self) -> (Made, Entity) {
        self.observations.sort_by_key(|observation| observation.made);
        let observations = self.observations.into_iter().map(|observation| observation.text).collect();
        let StoredEntity { name, kind, made } = self.entity;
        (made, Entity { name, entity_type: kind, observations })
    }
}

/// The relations that start or end at an entity, each once.
pub(super) fn relations_of(
    graph: &Collection<'_>,
    name: &str,
    at: At,
) -> Result<BTreeMap<RowKey, StoredRelation>> {
    let mut relations = BTreeMap::new();
    for fact in graph.scan(&keys::relations_at(FROM, name), at)? {
        let fact = fact?;
        relations.insert(fact.row.clone(), decode(&fact)?);
    }
    for fact in graph.scan(&keys::relations_at(TO, name), at)? {
        let row = fact?.row;
        let from = keys::turned(&row).ok_or_else(|| damaged(&row.to_string(), &"it is no relation"))?;
        if let Entry::Vacant(place) = relations.entry(from) {
            let fact = graph.get(place.key(), at)?;
            let fact = fact.ok_or_else(|| damaged(&row.to_string(), &"its relation is missing"))?;
            place.insert(decode(&fact)?);
        }
    }
    Ok(relations)
}
