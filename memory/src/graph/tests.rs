//! The graph against what the reference does, told as plain lists.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::collections::HashSet;

use llmdb_engine::Engine;
use llmdb_temporal::{AsOf, At};
use proptest::{collection::vec, prelude::*, test_runner::Config};

use super::*;
use crate::{Error, Result};

/// The reference: lists that are gone through from the beginning.
#[derive(Clone, Default, Debug)]
struct Lists(KnowledgeGraph);

impl Lists {
    fn create_entities(&mut self, entities: &[Entity]) -> Vec<Entity> {
        let there: HashSet<_> = self.0.entities.iter().map(|entity| entity.name.clone()).collect();
        let new: Vec<_> = entities.iter().filter(|entity| !there.contains(&entity.name)).cloned().collect();
        self.0.entities.extend(new.clone());
        new
    }

    fn create_relations(&mut self, relations: &[Relation]) -> Vec<Relation> {
        let there: HashSet<_> = self.0.relations.iter().cloned().collect();
        let new: Vec<_> = relations.iter().filter(|relation| !there.contains(relation)).cloned().collect();
        self.0.relations.extend(new.clone());
        new
    }

    fn entity(&mut self, name: &str) -> Option<&mut Entity> {
        self.0.entities.iter_mut().find(|entity| entity.name == name)
    }

    fn add_observations(&mut self, adds: &[NewObservations]) -> Option<Vec<AddedObservations>> {
        let mut next = self.clone();
        let mut added = Vec::new();
        for NewObservations { entity_name, contents } in adds {
            let known = &mut next.entity(entity_name)?.observations;
            let new: Vec<_> = contents.iter().filter(|text| !known.contains(text)).cloned().collect();
            known.extend(new.clone());
            added.push(AddedObservations { entity_name: entity_name.clone(), added_observations: new });
        }
        *self = next;
        Some(added)
    }

    fn delete_entities(&mut self, names: &[String]) {
        self.0.entities.retain(|entity| !names.contains(&entity.name));
        self.0.relations.retain(|relation| !names.contains(&relation.from) && !names.contains(&relation.to));
    }

    fn delete_observations(&mut self, deletions: &[ObservationDeletion]) {
        for ObservationDeletion { entity_name, observations } in deletions {
            if let Some(entity) = self.entity(entity_name) {
                entity.observations.retain(|text| !observations.contains(text));
            }
        }
    }

    fn delete_relations(&mut self, relations: &[Relation]) {
        self.0.relations.retain(|relation| !relations.contains(relation));
    }

    fn select(&self, matches: impl Fn(&Entity) -> bool) -> KnowledgeGraph {
        let entities: Vec<_> = self.0.entities.iter().filter(|entity| matches(entity)).cloned().collect();
        let named = |name: &String| entities.iter().any(|entity| entity.name == *name);
        let relations =
            self.0.relations.iter().filter(|relation| named(&relation.from) || named(&relation.to));
        KnowledgeGraph { relations: relations.cloned().collect(), entities }
    }
}

#[derive(Clone, Debug)]
enum Call {
    CreateEntities(Vec<Entity>),
    CreateRelations(Vec<Relation>),
    Add(Vec<NewObservations>),
    DeleteEntities(Vec<String>),
    DeleteObservations(Vec<ObservationDeletion>),
    DeleteRelations(Vec<Relation>),
}

fn name() -> impl Strategy<Value = String> {
    // A name too long for a key among them, and one with bytes that keys escape.
    prop_oneof![
        Just("Ada".to_owned()),
        Just("Bob".into()),
        Just("\0\u{1}".into()),
        Just("long ".repeat(200)),
        Just(String::new())
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("likes TEA".to_owned()),
        Just("Straße".into()),
        Just("x".into()),
        Just(String::new()),
        Just("word ".repeat(1_000))
    ]
}

fn relation() -> impl Strategy<Value = Relation> {
    (name(), name(), text()).prop_map(|(from, to, relation_type)| Relation { from, to, relation_type })
}

fn call() -> impl Strategy<Value = Call> {
    let entity = (name(), text(), vec(text(), 0..4)).prop_map(|(name, entity_type, observations)| Entity {
        name,
        entity_type,
        observations,
    });
    let add = (name(), vec(text(), 0..4))
        .prop_map(|(entity_name, contents)| NewObservations { entity_name, contents });
    let delete = (name(), vec(text(), 0..3))
        .prop_map(|(entity_name, observations)| ObservationDeletion { entity_name, observations });
    prop_oneof![
        4 => vec(entity, 0..3).prop_map(Call::CreateEntities),
        3 => vec(relation(), 0..3).prop_map(Call::CreateRelations),
        3 => vec(add, 0..3).prop_map(Call::Add),
        1 => vec(name(), 0..3).prop_map(Call::DeleteEntities),
        2 => vec(delete, 0..3).prop_map(Call::DeleteObservations),
        1 => vec(relation(), 0..3).prop_map(Call::DeleteRelations),
    ]
}

/// Makes a call of both, which must answer the same.
fn both(graph: Graph<'_>, lists: &mut Lists, call: &Call) {
    match call {
        Call::CreateEntities(entities) => {
            assert_eq!(graph.create_entities(entities).unwrap(), lists.create_entities(entities));
        }
        Call::CreateRelations(relations) => {
            assert_eq!(graph.create_relations(relations).unwrap(), lists.create_relations(relations));
        }
        Call::Add(adds) => assert_eq!(there(graph.add_observations(adds)), lists.add_observations(adds)),
        Call::DeleteEntities(names) => {
            graph.delete_entities(names).unwrap();
            lists.delete_entities(names);
        }
        Call::DeleteObservations(deletions) => {
            graph.delete_observations(deletions).unwrap();
            lists.delete_observations(deletions);
        }
        Call::DeleteRelations(relations) => {
            graph.delete_relations(relations).unwrap();
            lists.delete_relations(relations);
        }
    }
}

fn there<T>(result: Result<T>) -> Option<T> {
    match result {
        Err(Error::NoEntity(_)) => None,
        result => Some(result.unwrap()),
    }
}

proptest! {
    #![proptest_config(Config { cases: 96, ..Config::default() })]

    #[test]
    fn it_is_what_the_lists_are(calls in vec(call(), 1..16), query in text(), names in vec(name(), 0..3)) {
        let engine = Engine::in_memory().unwrap();
        let store = Store::new(&engine);
        let graph = Graph::new(store);
        let mut lists = Lists::default();
        let mut states = Vec::new();
        for call in &calls {
            both(graph, &mut lists, call);
            prop_assert_eq!(&graph.read(At::NOW).unwrap(), &lists.0);
            states.push((store.view().unwrap().snapshot().txid(), lists.0.clone()));
        }
        let query_lower = query.to_lowercase();
        let contains = |text: &String| text.to_lowercase().contains(&query_lower);
        let matches = |entity: &Entity| {
            contains(&entity.name) || contains(&entity.entity_type) || entity.observations.iter().any(contains)
        };
        prop_assert_eq!(graph.search(&query, At::NOW).unwrap(), lists.select(matches));
        prop_assert_eq!(
            graph.open(&names, At::NOW).unwrap(),
            lists.select(|entity| names.contains(&entity.name))
        );
        for (txid, state) in states {
            prop_assert_eq!(graph.read(At::NOW.as_of(AsOf::Transaction(txid))).unwrap(), state);
        }

        let mut file = Vec::new();
        graph.export(&mut file, At::NOW).unwrap();
        let engine = Engine::in_memory().unwrap();
        let copy = Graph::new(Store::new(&engine));
        copy.import(file.as_slice()).unwrap();
        prop_assert_eq!(&copy.read(At::NOW).unwrap(), &lists.0);
        let again = copy.import(file.as_slice()).unwrap();
        prop_assert_eq!((again.entities, again.relations), (0, 0));
        let names: HashSet<_> = lists.0.entities.iter().map(|entity| &entity.name).collect();
        // Of several of one name, the first one gets what the file knows of them.
        prop_assert!(again.observations == 0 || names.len() < lists.0.entities.len());
    }
}

fn entity(name: &str, observations: &[&str]) -> Entity {
    let observations = observations.iter().map(|text| (*text).to_owned()).collect();
    Entity { name: name.into(), entity_type: "person".into(), observations }
}

#[test]
fn a_call_that_changes_nothing_writes_nothing() {
    let engine = Engine::in_memory().unwrap();
    let graph = Graph::new(Store::new(&engine));
    graph.delete_entities(&["Ada".into()]).unwrap();
    graph.create_entities(&[entity("Ada", &["a"])]).unwrap();
    let before = engine.last_commit();
    graph.create_entities(&[entity("Ada", &["b"])]).unwrap();
    let nothing = NewObservations { entity_name: "Ada".into(), contents: vec!["a".into()] };
    graph.add_observations(&[nothing]).unwrap();
    let unknown = NewObservations { entity_name: "Bob".into(), contents: vec!["b".into()] };
    let new = NewObservations { entity_name: "Ada".into(), contents: vec!["c".into()] };
    let error = graph.add_observations(&[new, unknown]).unwrap_err();
    assert_eq!(error.to_string(), "Entity with name Bob not found");
    assert_eq!(engine.last_commit().txid, before.txid);
    assert_eq!(graph.read(At::NOW).unwrap().entities, [entity("Ada", &["a"])]);
}

#[test]
fn an_import_says_which_line_is_wrong_and_takes_nothing_then() {
    let engine = Engine::in_memory().unwrap();
    let graph = Graph::new(Store::new(&engine));
    let good = r#"{"type":"entity","name":"Ada","entityType":"person","observations":["a","a"]}"#;
    for (bad, what) in [
        ("{", "EOF while parsing"),
        (r#"{"type":"entity","name":"Bob","entityType":"person"}"#, "missing field `observations`"),
        (r#"{"type":"relation","from":"Ada","to":1,"relationType":"knows"}"#, "invalid type: integer"),
        ("[]", "invalid length 0"),
    ] {
        let error = graph.import(format!("{good}\n\n{bad}\n").as_bytes()).unwrap_err();
        assert!(matches!(error, Error::Line { number: 3, .. }), "{error}");
        assert!(error.to_string().contains(what), "{error}");
    }
    assert_eq!(graph.read(At::NOW).unwrap(), KnowledgeGraph::default());

    let more = r#"{"type":"entity","name":"Ada","entityType":"robot","observations":["b","a"]}"#;
    graph.import(good.as_bytes()).unwrap();
    let imported = graph.import(format!("{more}\r\n{{\"type\":\"note\"}}\n{good}").as_bytes()).unwrap();
    assert_eq!(imported, Imported { observations: 1, known: 1, other: 1, ..Imported::default() });
    assert_eq!(graph.read(At::NOW).unwrap().entities, [entity("Ada", &["a", "a", "b"])]);
}

#[test]
fn many_threads_lose_nothing() {
    let engine = Engine::in_memory().unwrap();
    let graph = Graph::new(Store::new(&engine));
    graph.create_entities(&[entity("Ada", &[])]).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for number in 0..25 {
                    let contents = vec![format!("{thread}/{number}"), "everybody says it".into()];
                    let new = NewObservations { entity_name: "Ada".into(), contents };
                    graph.add_observations(&[new]).unwrap();
                }
            });
        }
    });
    let read = graph.read(At::NOW).unwrap();
    assert_eq!(read.entities[0].observations.len(), 101);
}
