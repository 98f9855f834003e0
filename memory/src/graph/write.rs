//! Changing the graph: each call one transaction, which reads and writes only what it is about.

use std::collections::{BTreeMap, HashMap, HashSet};

use llmdb_temporal::{At, Collection, History, RowKey, Valid, Value, WriteTxn};

use super::{
    AddedObservations, COLLECTION, Entity, Graph, NewObservations, ObservationDeletion, Relation,
    keys::{self, Node},
    read::{collection, relations_of},
    stored::{Made, StoredEntity, StoredObservation, StoredRelation, decode, encode},
};
use crate::{Error, Result};

impl<'e> Graph<'e> {
    /// Makes the entities whose names are not there yet, and returns them. Two of the same name in one call are both made,
    /// as the reference does; what finds an entity by its name changes the first.
    ///
    /// # Errors
    /// [`crate::Error::Temporal`]; nothing was written.
    pub fn create_entities(&self, entities: &[Entity]) -> Result<Vec<Entity>> {
        self.change(|change| {
            let mut made: HashMap<&str, u64> = HashMap::new();
            let mut new = Vec::new();
            for entity in entities {
                if change.is_entity(&entity.name)? {
                    continue;
                }
                let n = made.entry(&entity.name).or_default();
                change.make_entity(entity, *n)?;
                *n += 1;
                new.push(entity.clone());
            }
            Ok(new)
        })
    }

    /// Makes the relations that are not there yet, and returns them.
    ///
    /// # Errors
    /// As [`Graph::create_entities`].
    pub fn create_relations(&self, relations: &[Relation]) -> Result<Vec<Relation>> {
        self.change(|change| {
            let mut made: HashMap<&Relation, u64> = HashMap::new();
            let mut new = Vec::new();
            for relation in relations {
                if change.is_relation(relation)? {
                    continue;
                }
                let n = made.entry(relation).or_default();
                change.make_relation(relation, *n)?;
                *n += 1;
                new.push(relation.clone());
            }
            Ok(new)
        })
    }

    /// Adds what the entities do not know yet, and returns that.
    ///
    /// # Errors
    /// [`crate::Error::NoEntity`]: one of them is not there; nothing was written. Else as [`Graph::create_entities`].
    pub fn add_observations(&self, observations: &[NewObservations]) -> Result<Vec<AddedObservations>> {
        self.change(|change| {
            let mut added = Vec::new();
            for NewObservations { entity_name, contents } in observations {
                let n = change.entity(entity_name)?.ok_or_else(|| Error::NoEntity(entity_name.clone()))?;
                let new = change.add_observations(entity_name, n, contents)?;
                added.push(AddedObservations { entity_name: entity_name.clone(), added_observations: new });
            }
            Ok(added)
        })
    }

    /// Deletes entities, what was observed of them, and the relations that start or end at their names. What is not
    /// there is passed over.
    ///
    /// # Errors
    /// As [`Graph::create_entities`].
    pub fn delete_entities(&self, names: &[String]) -> Result<()> {
        self.change(|change| {
            for name in names.iter().collect::<HashSet<_>>() {
                let Some(known) = change.known else { break };
                for fact in known.scan(&keys::entities_called(name), At::NOW)? {
                    change.delete(fact?.row)?;
                }
                for row in relations_of(known, name, At::NOW)?.into_keys() {
                    change.delete_relation(row)?;
                }
            }
            Ok(())
        })
    }

    /// Deletes observations. What is not there is passed over.
    ///
    /// # Errors
    /// As [`Graph::create_entities`].
    pub fn delete_observations(&self, deletions: &[ObservationDeletion]) -> Result<()> {
        self.change(|change| {
            for ObservationDeletion { entity_name, observations } in deletions {
                let Some(n) = change.entity(entity_name)? else { continue };
                for text in observations {
                    for (row, stored) in change.observations_like(entity_name, n, text)? {
                        if stored == *text {
                            change.delete(row)?;
                        }
                    }
                }
            }
            Ok(())
        })
    }

    /// Deletes relations. What is not there is passed over.
    ///
    /// # Errors
    /// As [`Graph::create_entities`].
    pub fn delete_relations(&self, relations: &[Relation]) -> Result<()> {
        self.change(|change| {
            for relation in relations {
                let Some(known) = change.known else { break };
                for fact in known.scan(&keys::relations_like(relation), At::NOW)? {
                    change.delete_relation(fact?.row)?;
                }
            }
            Ok(())
        })
    }

    /// Runs `work` in a transaction, which is committed if something changed.
    pub(super) fn change<T>(&self, work: impl FnOnce(&mut Change<'_, 'e>) -> Result<T>) -> Result<T> {
        let mut txn = self.store.begin_write()?;
        let before = self.store.view_before(&txn)?;
        let known = collection(&before)?;
        if known.is_none() {
            txn.create(COLLECTION, History::default())?;
        }
        let added = HashMap::new();
        let mut change = Change { txn: &mut txn, known: known.as_ref(), writes: 0, added };
        let result = work(&mut change)?;
        if change.writes > 0 {
            txn.commit()?;
        }
        Ok(result)
    }
}

/// A transaction, and the graph as it was when it began.
pub(super) struct Change<'c, 'e> {
    txn: &'c mut WriteTxn<'e>,
    known: Option<&'c Collection<'c>>,
    /// Rows written so far: also the place of the next one within the commit.
    writes: u64,
    /// What this transaction adds to entities that were there, and how many rows of its digest there are then.
    added: HashMap<(String, u64), BTreeMap<String, u64>>,
}

impl Change<'_, '_> {
    /// Whether an entity of this name was there before.
    pub(super) fn is_entity(&self, name: &str) -> Result<bool> {
        let Some(known) = self.known else { return Ok(false) };
        Ok(known.scan(&keys::entities_called(name), At::NOW)?.next().transpose()?.is_some())
    }

    /// Number of the first entity of this name that was there before.
    pub(super) fn entity(&self, name: &str) -> Result<Option<u64>> {
        let Some(known) = self.known else { return Ok(None) };
        if known.get(keys::entity(name, 0), At::NOW)?.is_some() {
            return Ok(Some(0));
        }
        let first = known.scan(&keys::entities_called(name), At::NOW)?.next().transpose()?;
        Ok(first.and_then(|fact| match keys::node(&fact.row) {
            Some(Node::Entity(n)) => Some(n),
            _ => None,
        }))
    }

    pub(super) fn is_relation(&self, relation: &Relation) -> Result<bool> {
        let Some(known) = self.known else { return Ok(false) };
        Ok(known.scan(&keys::relations_like(relation), At::NOW)?.next().transpose()?.is_some())
    }

    pub(super) fn make_entity(&mut self, entity: &Entity, n: u64) -> Result<()> {
        let Entity { name, entity_type, observations } = entity;
        let stored = StoredEntity { name: name.clone(), kind: entity_type.clone(), made: self.made() };
        self.put(keys::entity(name, n), &encode(&stored)?)?;
        let mut same: HashMap<&str, u64> = HashMap::new();
        for text in observations {
            let k = same.entry(text).or_default();
            self.make_observation(name, n, text, *k)?;
            *k += 1;
        }
        Ok(())
    }

    /// Adds those of `contents` that the entity does not know, and returns them. The same text twice is added twice, as
    /// the reference does.
    pub(super) fn add_observations(
        &mut self,
        name: &str,
        n: u64,
        contents: &[String],
    ) -> Result<Vec<String>> {
        let added = self.added.remove(&(name.to_owned(), n)).unwrap_or_default();
        let (mut new, mut next) = (Vec::new(), BTreeMap::new());
        for text in contents {
            if added.contains_key(text) {
                continue;
            }
            let k = match next.get(text) {
                Some(k) => *k,
                None => {
                    let like = self.observations_like(name, n, text)?;
                    if like.iter().any(|(_, stored)| stored == text) {
                        continue;
                    }
                    like.iter().map(|(row, _)| keys::last_number(row) + 1).max().unwrap_or(0)
                }
            };
            self.make_observation(name, n, text, k)?;
            next.insert(text.clone(), k + 1);
            new.push(text.clone());
        }
        next.extend(added);
        self.added.insert((name.to_owned(), n), next);
        Ok(new)
    }

    fn make_observation(&mut self, name: &str, n: u64, text: &str, k: u64) -> Result<()> {
        let stored = StoredObservation { text: text.to_owned(), made: self.made() };
        self.put(keys::observation(name, n, text, k), &encode(&stored)?)
    }

    pub(super) fn make_relation(&mut self, relation: &Relation, n: u64) -> Result<()> {
        let stored = StoredRelation { relation: relation.clone(), made: self.made() };
        let row = keys::relation(relation, n);
        if let Some(back) = keys::turned(&row) {
            self.txn.collection(COLLECTION)?.put(back, Valid::Now, Value::raw(b""))?;
        }
        self.put(row, &encode(&stored)?)
    }

    fn observations_like(&self, name: &str, n: u64, text: &str) -> Result<Vec<(RowKey, String)>> {
        let Some(known) = self.known else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for fact in known.scan(&keys::observations_like(name, n, text), At::NOW)? {
            let fact = fact?;
            let StoredObservation { text, .. } = decode(&fact)?;
            found.push((fact.row, text));
        }
        Ok(found)
    }

    fn delete_relation(&mut self, row: RowKey) -> Result<()> {
        if let Some(back) = keys::turned(&row) {
            self.delete(back)?;
        }
        self.delete(row)
    }

    fn delete(&mut self, row: RowKey) -> Result<()> {
        self.txn.collection(COLLECTION)?.delete(row, Valid::Now)?;
        self.writes += 1;
        Ok(())
    }

    fn put(&mut self, row: RowKey, document: &str) -> Result<()> {
        self.txn.collection(COLLECTION)?.put(row, Valid::Now, Value::json(document))?;
        self.writes += 1;
        Ok(())
    }

    fn made(&self) -> Made {
        Made(self.txn.timestamp().get(), self.writes)
    }
}
