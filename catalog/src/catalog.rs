//! The catalog of a store: its schemas, and what all documents of the catalog have in common.

use llmdb_temporal::{At, Element, History, Key, Kind, Rows, Store, Timestamp, Valid, Value, View, WriteTxn};
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    Error, Keeper, Result, Violation, json,
    keeper::parse,
    path::{META, MetaPath, is_name},
    schema::whole,
};

/// The catalog of a store. Two pointers: make one when you need it.
#[derive(Clone, Copy, Debug)]
pub struct Catalog<'e> {
    store: Store<'e>,
    keeper: &'e Keeper,
}

/// A version of a schema.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Schema {
    /// Its name.
    pub name: String,
    /// The version.
    pub version: u32,
    /// The JSON Schema.
    pub text: String,
}

/// What there is of a schema.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct SchemaInfo {
    /// Its name.
    pub name: String,
    /// The version.
    pub version: u32,
    /// Collections that have it.
    pub bound_to: Vec<String>,
    /// When it was written, in microseconds since 1970.
    pub written_us: i64,
}

impl<'e> Catalog<'e> {
    /// The catalog of `store`, which the keeper guards from here on.
    pub fn new(store: Store<'e>, keeper: &'e Keeper) -> Self {
        Self { store: store.guarded(keeper), keeper }
    }

    /// The store of facts, guarded.
    pub fn store(&self) -> Store<'e> {
        self.store
    }

    pub(crate) fn keeper(&self) -> &'e Keeper {
        self.keeper
    }

    /// Writes a version of a schema, the next one if none is said, and answers which. A version stays as it is once it is
    /// written; writing the same text again changes nothing.
    ///
    /// # Errors
    /// [`Error::Schema`]: it is none, or refers to something outside of itself. [`Error::Name`],
    /// [`Error::SchemaStays`]; [`Error::Temporal`].
    pub fn put_schema(&self, name: &str, version: Option<u32>, text: &str) -> Result<u32> {
        if !is_name(name) {
            return Err(Error::Name(name.into()));
        }
        let mut txn = self.store.begin_write()?;
        let before = self.store.view_before(&txn)?;
        let newest = self.schema(&before, name, None)?;
        if let Some(newest) = newest.as_ref().filter(|newest| version.is_none() && newest.text == text) {
            return Ok(newest.version);
        }
        let next = newest.map_or(1, |newest| newest.version.saturating_add(1));
        let version = version.unwrap_or(next);
        if version == 0 {
            return Err(Error::Schema("versions count from 1".into()));
        }
        match self.schema(&before, name, Some(version))? {
            Some(known) if known.text == text => return Ok(version),
            Some(_) => return Err(Error::SchemaStays { name: name.into(), version, next }),
            None => {}
        }
        self.keeper.validator(name, version, text.as_bytes()).map_err(Error::Schema)?;
        self.ensure_meta(&mut txn)?;
        let path = MetaPath::Schema { name: name.into(), version };
        txn.collection(META)?.put(path.row(), Valid::Now, Value::json(text))?;
        txn.commit()?;
        Ok(version)
    }

    /// A version of a schema, the newest one if none is said, as a view shows it.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Temporal`].
    pub fn schema(&self, view: &View, name: &str, version: Option<u32>) -> Result<Option<Schema>> {
        let Some(version) = version else {
            let newest = self.versions(view, name)?.into_iter().next_back();
            return newest.map_or(Ok(None), |version| self.schema(view, name, Some(version)));
        };
        let path = MetaPath::Schema { name: name.into(), version };
        let text = self.text(view, &path)?;
        Ok(text.map(|text| Schema { name: name.into(), version, text }))
    }

    pub(crate) fn need_schema(&self, view: &View, name: &str, version: Option<u32>) -> Result<Schema> {
        self.schema(view, name, version)?.ok_or_else(|| Error::NoSchema { name: name.into(), version })
    }

    fn versions(&self, view: &View, name: &str) -> Result<Vec<u32>> {
        let rows = Rows::prefix(0, [Element::from("schema"), Element::from(name)]);
        self.rows(view, &rows, |path, _, _| match path {
            MetaPath::Schema { version, .. } => Ok(Some(version)),
            _ => Ok(None),
        })
    }

    /// All versions of all schemas, in order.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Temporal`].
    pub fn schemas(&self, view: &View) -> Result<Vec<SchemaInfo>> {
        let bindings = self.bindings(view)?;
        let rows = Rows::prefix(0, [Element::from("schema")]);
        self.rows(view, &rows, |path, _, written| {
            let MetaPath::Schema { name, version } = path else { return Ok(None) };
            let has = |binding: &crate::Binding| binding.schema == name && binding.version == version;
            let bound = bindings.iter().filter(|(_, binding)| has(binding));
            let bound_to = bound.map(|(collection, _)| collection.clone()).collect();
            Ok(Some(SchemaInfo { name, version, bound_to, written_us: written.get() }))
        })
    }

    /// Where a document is not what a version of a schema, the newest one if none is said, wants.
    ///
    /// # Errors
    /// [`Error::NoSchema`]; [`Error::Damaged`], [`Error::Temporal`].
    pub fn check(
        &self,
        view: &View,
        name: &str,
        version: Option<u32>,
        document: &[u8],
    ) -> Result<Vec<Violation>> {
        let schema = self.need_schema(view, name, version)?;
        let validator =
            self.keeper.validator(name, schema.version, schema.text.as_bytes()).map_err(Error::Schema)?;
        Ok(match json::read(document) {
            Ok(document) => validator.violations(&document),
            Err(what) => whole(what),
        })
    }

    /// Makes the collection of the catalog, if it is not there, and sees to it that it is guarded.
    pub(crate) fn ensure_meta(&self, txn: &mut WriteTxn<'_>) -> Result<()> {
        match txn.create(META, History::default()) {
            Ok(()) | Err(llmdb_temporal::Error::CollectionExists(_)) => Ok(txn.set_guarded(META, true)?),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn put(
        &self,
        txn: &mut WriteTxn<'_>,
        path: &MetaPath,
        document: &impl Serialize,
    ) -> Result<()> {
        let damaged =
            |error: serde_json::Error| Error::Damaged { path: path.to_string(), what: error.to_string() };
        let text = serde_json::to_string(document).map_err(damaged)?;
        Ok(txn.collection(META)?.put(path.row(), Valid::Now, Value::json(&text))?)
    }

    pub(crate) fn text(&self, view: &View, path: &MetaPath) -> Result<Option<String>> {
        let meta = match view.collection(META) {
            Ok(meta) => meta,
            Err(llmdb_temporal::Error::NoCollection(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let fact = meta.get(path.row(), At::NOW)?;
        fact.map(|fact| text_of(path, fact.value)).transpose()
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, view: &View, path: &MetaPath) -> Result<Option<T>> {
        let Some(text) = self.text(view, path)? else { return Ok(None) };
        parse(text.as_bytes()).map(Some).map_err(|what| Error::Damaged { path: path.to_string(), what })
    }

    /// The documents of one kind, in order.
    pub(crate) fn list<T: DeserializeOwned, R>(
        &self,
        view: &View,
        kind: &str,
        mut take: impl FnMut(MetaPath, T) -> Option<R>,
    ) -> Result<Vec<R>> {
        let rows = Rows::prefix(0, [Element::from(kind)]);
        self.rows(view, &rows, |path, value, _| {
            let damaged = |what| Error::Damaged { path: path.to_string(), what };
            let document = parse(text_of(&path, value)?.as_bytes()).map_err(damaged)?;
            Ok(take(path, document))
        })
    }

    fn rows<R>(
        &self,
        view: &View,
        rows: &Rows,
        mut take: impl FnMut(MetaPath, Value<'_>, Timestamp) -> Result<Option<R>>,
    ) -> Result<Vec<R>> {
        let meta = match view.collection(META) {
            Ok(meta) => meta,
            Err(llmdb_temporal::Error::NoCollection(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        };
        let mut found = Vec::new();
        for fact in meta.scan(rows, At::NOW)? {
            let fact = fact?;
            let Some(path) = MetaPath::of(&fact.row) else {
                return Err(Error::Damaged {
                    path: key_text(&fact.row.key),
                    what: "the catalog has no such row".into(),
                });
            };
            found.extend(take(path, fact.value, fact.learned)?);
        }
        Ok(found)
    }
}

fn key_text(key: &Key) -> String {
    format!("{META}{key}")
}

/// The text of a document of the catalog.
pub(crate) fn text_of(path: &MetaPath, value: Value<'_>) -> Result<String> {
    let damaged = |what: String| Error::Damaged { path: path.to_string(), what };
    match value.kind {
        Kind::Json => String::from_utf8(value.payload.to_vec()).map_err(|error| damaged(error.to_string())),
        kind => Err(damaged(format!("it is {kind}, not JSON"))),
    }
}
