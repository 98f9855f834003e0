//! The catalog seen from outside: schemas, migrations, readers, crashes.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod crash;
mod migrations;
mod model;
mod planted;
mod readers;
mod schemas;

use llmdb_catalog::{Catalog, Definition, Keeper};
use llmdb_engine::Engine;
use llmdb_temporal::{At, History, Store, Valid, Value};

/// A store in memory with a keeper.
pub(crate) struct Desk {
    pub(crate) engine: Engine,
    pub(crate) keeper: Keeper,
}

pub(crate) const PEOPLE: &str = "people";
/// A length in centimetres.
pub(crate) const V1: &str = r#"{"type":"object","required":["cm"],"additionalProperties":false,
    "properties":{"cm":{"type":"integer"},"note":{"type":"string"}}}"#;
/// The same in millimetres.
pub(crate) const V2: &str = r#"{"type":"object","required":["mm"],"additionalProperties":false,
    "properties":{"mm":{"type":"integer"},"note":{"type":"string"}}}"#;
pub(crate) const UP_AND_DOWN: &str = r#"{"collection":"people","schema":"person","from":1,"to":2,
    "up":{"set":{"fields":{"mm":"doc.cm * 10"},"remove":["cm"]}},
    "down":{"set":{"fields":{"cm":"doc.mm // 10"},"remove":["mm"]}}}"#;
pub(crate) const UP_ONLY: &str = r#"{"collection":"people","schema":"person","from":1,"to":2,
    "up":{"set":{"fields":{"mm":"doc.cm * 10"},"remove":["cm"]}}}"#;

impl Desk {
    pub(crate) fn new() -> Self {
        Self { engine: Engine::in_memory().unwrap(), keeper: Keeper::new() }
    }

    pub(crate) fn catalog(&self) -> Catalog<'_> {
        Catalog::new(Store::new(&self.engine), &self.keeper)
    }

    /// With the collection, bound to the first of two versions.
    pub(crate) fn with_people() -> Self {
        let desk = Self::new();
        set_up(&desk.catalog());
        desk
    }

    pub(crate) fn write(&self, row: &str, text: &str) -> Result<(), llmdb_temporal::Error> {
        write(&self.catalog(), row, Valid::Now, text)
    }

    pub(crate) fn read(&self, row: &str) -> Option<String> {
        let view = self.catalog().store().view().unwrap();
        let fact = view.collection(PEOPLE).unwrap().get(row, At::NOW).unwrap();
        fact.map(|fact| String::from_utf8(fact.value.payload.to_vec()).unwrap())
    }
}

pub(crate) fn set_up(catalog: &Catalog<'_>) {
    let mut txn = catalog.store().begin_write().unwrap();
    txn.create(PEOPLE, History::Bitemporal { copy_percent: Some(1) }).unwrap();
    txn.commit().unwrap();
    assert_eq!(catalog.put_schema("person", None, V1).unwrap(), 1);
    assert_eq!(catalog.put_schema("person", None, V2).unwrap(), 2);
    catalog.bind(PEOPLE, "person", Some(1)).unwrap();
}

pub(crate) fn write(
    catalog: &Catalog<'_>,
    row: &str,
    valid: Valid,
    text: &str,
) -> Result<(), llmdb_temporal::Error> {
    let mut txn = catalog.store().begin_write()?;
    txn.collection(PEOPLE)?.put(row, valid, Value::json(text))?;
    txn.commit()?;
    Ok(())
}

pub(crate) fn definition(text: &str) -> Definition {
    Definition::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}
