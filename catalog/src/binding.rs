//! Which schema a collection has, and what that says of documents that are there.

use llmdb_temporal::{AsOf, Collection, FOREVER, Kind, Period, Rows, Timestamp, Valid, Version, View, Which};
use serde::{Deserialize, Serialize};

use crate::{
    Catalog, Error, Result, Unfit,
    catalog::text_of,
    json,
    keeper::parse,
    path::{META, MetaPath},
    schema::{Validator, whole},
};

/// Which version of which schema a collection has, as it is stored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// Name of the schema.
    pub schema: String,
    /// Its version.
    pub version: u32,
    /// The migration that moved the collection here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
}

/// What binding found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Bound {
    /// The version of the schema.
    pub version: u32,
    /// Documents that were compared with it.
    pub documents: u64,
}

/// Most documents that are named when they do not fit.
const SAMPLES_MAX: usize = 5;

impl Catalog<'_> {
    /// Gives a collection a version of a schema, the newest one if none is said: what is written from this commit on has to fit.
    /// What is believed now, of any time, is compared with it first; of what was believed before, nothing is asked.
    ///
    /// Cost: reads the whole collection, without stopping writers; what they change meanwhile is compared in the
    /// transaction.
    ///
    /// # Errors
    /// [`Error::Unfit`] names documents that do not fit: nothing happened. [`Error::NoSchema`], [`Error::State`] while a
    /// migration of the collection is under way; [`Error::Temporal`].
    pub fn bind(&self, collection: &str, schema: &str, version: Option<u32>) -> Result<Bound> {
        let view = self.store().view()?;
        self.refuse_while_under_way(&view, collection)?;
        let stored = self.need_schema(&view, schema, version)?;
        let validator =
            self.keeper().validator(schema, stored.version, stored.text.as_bytes()).map_err(Error::Schema)?;
        let mut fits = Fits { validator: &validator, documents: 0, unfit: 0, samples: Vec::new() };
        let facts = view.collection(collection)?;
        fits.look_at_all(&facts)?;
        fits.finish(collection, (schema, stored.version))?;

        let mut txn = self.store().begin_write()?;
        let before = self.store().view_before(&txn)?;
        self.refuse_while_under_way(&before, collection)?;
        fits.look_at_changes(&before.collection(collection)?, &view)?;
        fits.finish(collection, (schema, stored.version))?;
        self.ensure_meta(&mut txn)?;
        let binding = Binding { schema: schema.into(), version: stored.version, migration: None };
        self.put(&mut txn, &MetaPath::Binding { collection: collection.into() }, &binding)?;
        txn.commit()?;
        Ok(Bound { version: stored.version, documents: fits.documents })
    }

    /// Takes the schema from a collection: from this commit on anything may be written. Answers whether it had one.
    ///
    /// # Errors
    /// [`Error::State`] while a migration of the collection is under way; [`Error::Temporal`].
    pub fn unbind(&self, collection: &str) -> Result<bool> {
        let mut txn = self.store().begin_write()?;
        let before = self.store().view_before(&txn)?;
        self.refuse_while_under_way(&before, collection)?;
        if self.binding(&before, collection)?.is_none() {
            return Ok(false);
        }
        txn.collection(META)?
            .delete(MetaPath::Binding { collection: collection.into() }.row(), Valid::Now)?;
        txn.set_guarded(collection, false)?;
        txn.commit()?;
        Ok(true)
    }

    fn refuse_while_under_way(&self, view: &View, collection: &str) -> Result<()> {
        match self.unfinished(view, collection)? {
            Some(id) => {
                Err(Error::State { id, what: "it is under way; let it end, or roll it back, first".into() })
            }
            None => Ok(()),
        }
    }

    /// Which schema a collection has in a view.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Temporal`].
    pub fn binding(&self, view: &View, collection: &str) -> Result<Option<Binding>> {
        self.get(view, &MetaPath::Binding { collection: collection.into() })
    }

    /// Which schema each collection has, in order.
    ///
    /// # Errors
    /// As [`Catalog::binding`].
    pub fn bindings(&self, view: &View) -> Result<Vec<(String, Binding)>> {
        self.list(view, "binding", |path, binding| match path {
            MetaPath::Binding { collection } => Some((collection, binding)),
            _ => None,
        })
    }
}

/// Documents are compared with a schema.
struct Fits<'v> {
    validator: &'v Validator,
    documents: u64,
    unfit: u64,
    samples: Vec<Unfit>,
}

impl Fits<'_> {
    fn look_at_all(&mut self, facts: &Collection<'_>) -> Result<()> {
        if facts.history_kind() == llmdb_temporal::History::Plain {
            for fact in facts.scan(&Rows::all(), llmdb_temporal::At::NOW)? {
                let fact = fact?;
                self.look_at(&fact.row, fact.value);
            }
            return Ok(());
        }
        for row in facts.versions_of(&Rows::all(), BELIEVED)? {
            let (row, versions) = row?;
            versions.iter().for_each(|version| self.look_at(&row, version.value));
        }
        Ok(())
    }

    /// What changed since `seen`, as it is in `facts`; everything, if the collection does not remember.
    fn look_at_changes(&mut self, facts: &Collection<'_>, seen: &View) -> Result<()> {
        if facts.history_kind() == llmdb_temporal::History::Plain {
            self.documents = 0;
            return self.look_at_all(facts);
        }
        for change in facts.changes(AsOf::Transaction(seen.snapshot().txid()), AsOf::Now)? {
            let row = change?.row;
            let versions = facts.believed(&row, Period::ALWAYS, AsOf::Now)?;
            versions.iter().for_each(|version| self.look_at(&row, version.value));
        }
        Ok(())
    }

    fn look_at(&mut self, row: &llmdb_temporal::RowKey, value: llmdb_temporal::Value<'_>) {
        self.documents += 1;
        let violations = match value.kind {
            Kind::Json => match json::read(value.payload) {
                Ok(document) => self.validator.violations(&document),
                Err(what) => whole(what),
            },
            kind => whole(format!("it is {kind}, not JSON")),
        };
        if !violations.is_empty() {
            self.unfit += 1;
            if self.samples.len() < SAMPLES_MAX {
                self.samples.push(Unfit { row: row.clone(), violations });
            }
        }
    }

    fn finish(&mut self, collection: &str, (name, version): (&str, u32)) -> Result<()> {
        match self.unfit {
            0 => Ok(()),
            count => Err(Error::Unfit {
                collection: collection.into(),
                schema: (name.into(), version),
                count,
                samples: std::mem::take(&mut self.samples),
            }),
        }
    }
}

/// What is believed now, of any time.
pub(crate) const BELIEVED: Which = Which::Believed { valid: Period::ALWAYS, as_of: AsOf::Now };

/// What a collection was bound to at each moment of system time.
#[derive(Debug)]
pub(crate) struct Bindings(Vec<(Period, Period, Binding)>);

impl Bindings {
    pub(crate) fn of(view: &View, collection: &str) -> Result<Self> {
        let path = MetaPath::Binding { collection: collection.into() };
        let versions = match view.collection(META) {
            Ok(meta) => meta.history(path.row())?,
            Err(llmdb_temporal::Error::NoCollection(_)) => Vec::new(),
            Err(error) => return Err(error.into()),
        };
        let decode = |version: &Version<'_>| {
            let damaged = |what| Error::Damaged { path: path.to_string(), what };
            let binding = parse(text_of(&path, version.value)?.as_bytes()).map_err(damaged)?;
            Ok((version.valid, version.system, binding))
        };
        Ok(Self(versions.iter().map(decode).collect::<Result<_>>()?))
    }

    /// What the collection was bound to at a commit: the version of what that commit wrote.
    pub(crate) fn at(&self, commit: Timestamp) -> Option<&Binding> {
        let holds = |(valid, system, _): &&(Period, Period, Binding)| {
            valid.contains(commit) && system.contains(commit)
        };
        self.0.iter().find(holds).map(|(_, _, binding)| binding)
    }

    /// What it was bound to first.
    pub(crate) fn first(&self) -> Option<&Binding> {
        self.0.iter().min_by_key(|(_, system, _)| system.from).map(|(_, _, binding)| binding)
    }

    /// What it is bound to now.
    pub(crate) fn now(&self, now: Timestamp) -> Option<&Binding> {
        let holds =
            |(valid, system, _): &&(Period, Period, Binding)| valid.contains(now) && system.to == FOREVER;
        self.0.iter().find(holds).map(|(_, _, binding)| binding)
    }
}
