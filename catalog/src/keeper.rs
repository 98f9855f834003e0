//! The guard: compares what is written with schemas, and what is written to the catalog with what it should be.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use llmdb_base::plant::{Bug, planted};
use llmdb_temporal::{Assertion, Guard, Inside, Kind, Result, Value};
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::{
    binding::Binding,
    json,
    migration::Stored,
    path::{META, MetaPath},
    retention::Policy,
    schema::{self, Validator},
};

/// Looks at what is written to collections that have a schema, and to the catalog. One for each open store; give it to
/// [`llmdb_temporal::Store::guarded`].
#[derive(Default)]
pub struct Keeper {
    validators: Mutex<HashMap<(String, u32), Compiled>>,
}

/// A validator, and what it was compiled from.
#[derive(Clone)]
struct Compiled {
    text: Arc<[u8]>,
    validator: Arc<Validator>,
}

/// Most validators that are kept.
const VALIDATORS_MAX: usize = 256;

impl Keeper {
    /// A guard that has not seen anything.
    pub fn new() -> Self {
        Self::default()
    }

    /// The validator of a schema, compiled if it is not at hand, or if the text is another one.
    pub(crate) fn validator(
        &self,
        name: &str,
        version: u32,
        text: &[u8],
    ) -> std::result::Result<Arc<Validator>, String> {
        let key = (name.to_owned(), version);
        let lock = || self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&key).filter(|known| *known.text == *text) {
            return Ok(Arc::clone(&known.validator));
        }
        let validator = Arc::new(Validator::compile(text)?);
        let mut validators = lock();
        if validators.len() >= VALIDATORS_MAX {
            validators.clear();
        }
        validators.insert(key, Compiled { text: text.into(), validator: Arc::clone(&validator) });
        Ok(validator)
    }

    fn check_document(
        &self,
        inside: &mut Inside<'_, '_>,
        assertion: &Assertion<'_>,
        value: Value<'_>,
    ) -> Result<()> {
        let path = MetaPath::Binding { collection: assertion.collection.into() };
        let Some(stored) = inside.get(META, &path.row())? else { return Ok(()) };
        let binding: Binding = decode(&stored).map_err(|what| assertion.refuse(format!("{path}: {what}")))?;
        let Binding { schema: name, version, .. } = binding;
        let of_schema = |what: String| {
            let migration = binding.migration.as_deref();
            let migration = migration
                .map_or(String::new(), |id| format!(", to which the migration {id:?} moved the collection"));
            assertion.refuse(format!("{what} (schema {name:?}, version {version}{migration})"))
        };
        if value.kind != Kind::Json {
            return Err(of_schema(format!("a value of kind {} where the schema wants JSON", value.kind)));
        }
        let text = inside.get(META, &MetaPath::Schema { name: name.clone(), version }.row())?;
        let text = text.ok_or_else(|| of_schema("the schema is not there".into()))?;
        let validator = self.validator(&name, version, payload(&text)).map_err(of_schema)?;
        let document = json::read(value.payload).map_err(of_schema)?;
        match validator.violations(&document) {
            violations if violations.is_empty() || planted(Bug::AdmitAnyDocument) => Ok(()),
            violations => Err(of_schema(schema::say(&violations))),
        }
    }

    fn check_meta(&self, inside: &mut Inside<'_, '_>, assertion: &Assertion<'_>) -> Result<()> {
        let path = MetaPath::of(assertion.row).ok_or_else(|| {
            assertion.refuse("the catalog has rows (\"schema\", name, version), (\"binding\", collection), (\"migration\", id), (\"retention\", collection) and (\"code\", sha256), and no others")
        })?;
        let refuse = |what: String| assertion.refuse(format!("{path}: {what}"));
        let Some(value) = assertion.value else {
            return match path {
                MetaPath::Schema { .. } => {
                    Err(refuse("a version of a schema stays, for documents were written under it".into()))
                }
                _ => Ok(()),
            };
        };
        if let MetaPath::Code { sha256 } = &path {
            let is =
                Sha256::digest(value.payload).iter().map(|byte| format!("{byte:02x}")).collect::<String>();
            return match value.kind {
                Kind::Raw if is == *sha256 => Ok(()),
                Kind::Raw => Err(refuse(format!("the SHA-256 of the bytes is {is}"))),
                kind => Err(refuse(format!("code is raw bytes, not {kind}"))),
            };
        }
        if value.kind != Kind::Json {
            return Err(refuse(format!("it is JSON, not {}", value.kind)));
        }
        match &path {
            MetaPath::Schema { name, version } => {
                if inside.get(META, assertion.row)?.is_some_and(|stored| payload(&stored) != value.payload) {
                    return Err(refuse(
                        "this version is there with another text, and stays: write the next one".into(),
                    ));
                }
                self.validator(name, *version, value.payload).map(drop).map_err(refuse)
            }
            MetaPath::Binding { collection } => {
                let binding: Binding = parse(value.payload).map_err(refuse)?;
                let schema = MetaPath::Schema { name: binding.schema, version: binding.version };
                if inside.get(META, &schema.row())?.is_none() {
                    return Err(refuse(format!("there is no {schema}")));
                }
                match inside.set_guarded(collection)? {
                    true => Ok(()),
                    false => Err(refuse(format!("there is no collection {collection:?}"))),
                }
            }
            MetaPath::Migration { .. } => {
                let stored: Stored = parse(value.payload).map_err(refuse)?;
                stored.definition.check().map_err(refuse)
            }
            MetaPath::Retention { collection } if collection == META => {
                Err(refuse("the catalog keeps its history: it tells which version old documents have".into()))
            }
            MetaPath::Retention { .. } => {
                let policy: Policy = parse(value.payload).map_err(refuse)?;
                policy.check().map_err(refuse)
            }
            MetaPath::Code { .. } => Ok(()),
        }
    }
}

impl Guard for Keeper {
    fn claims(&self, collection: &str) -> bool {
        collection == META
    }

    fn check(&self, inside: &mut Inside<'_, '_>, assertion: &Assertion<'_>) -> Result<()> {
        match (assertion.collection, assertion.value) {
            (META, _) => self.check_meta(inside, assertion),
            (_, Some(value)) => self.check_document(inside, assertion, value),
            (_, None) => Ok(()),
        }
    }
}

impl fmt::Debug for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keeper").finish_non_exhaustive()
    }
}

/// What stands behind the tag of a stored value.
pub(crate) fn payload(stored: &[u8]) -> &[u8] {
    stored.get(1..).unwrap_or_default()
}

/// A document of the catalog, from its stored form.
pub(crate) fn decode<T: DeserializeOwned>(stored: &[u8]) -> std::result::Result<T, String> {
    match Value::decode(stored) {
        Ok(Value { kind: Kind::Json, payload }) => parse(payload),
        Ok(Value { kind, .. }) => Err(format!("it is {kind}, not JSON")),
        Err(error) => Err(error.to_string()),
    }
}

pub(crate) fn parse<T: DeserializeOwned>(text: &[u8]) -> std::result::Result<T, String> {
    serde_json::from_slice(text).map_err(|error| error.to_string())
}
