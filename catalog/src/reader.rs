//! Documents in the form of one version of their schema, whatever a migration has done so far.
//!
//! A stored document has the version that its collection was bound to at the commit that wrote it. From there it is brought
//! to the version asked for: forwards by the migrations, backwards by what was believed before them, or by their `down`. Where
//! no migration leads, it is shown as it is, if it fits.

use std::collections::BTreeSet;

use llmdb_temporal::{AsOf, At, Collection, Fact, Period, RowKey, Rows, Scan, Timestamp, View};
use serde::Serialize;
use serde_json::Value as Json;

use crate::{
    Catalog, Error, Result,
    binding::Bindings,
    json,
    migration::{Matcher, Migration, Move, Rewrite, rollback_commits},
    schema::{Validator, say},
};

/// A document in the form that was asked for.
#[derive(Clone, PartialEq, Debug)]
pub struct Document {
    /// The row.
    pub row: RowKey,
    /// The text.
    pub text: String,
    /// For when it was asserted.
    pub valid: Period,
    /// When it was learned.
    pub learned: Timestamp,
    /// The version of the schema that it is stored in; `None` if the collection had none then.
    pub stored_version: Option<u32>,
}

/// Which form documents are read in.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Form {
    /// The schema.
    pub schema: String,
    /// The version.
    pub version: u32,
}

/// Reads a collection in the form of one version of its schema, see [`Catalog::reader`].
pub struct Reader<'v> {
    collection: Collection<'v>,
    form: Form,
    validator: std::sync::Arc<Validator>,
    bindings: Bindings,
    steps: Vec<Step>,
    now: Timestamp,
}

/// A migration, ready to bring documents forwards and backwards.
struct Step {
    id: String,
    target: Move,
    matcher: Option<Matcher>,
    up: Box<dyn Rewrite>,
    down: Option<Box<dyn Rewrite>>,
    /// The commits of the migration.
    own: BTreeSet<Timestamp>,
}

impl Catalog<'_> {
    /// Reads a collection in the form of a version of its schema; of the one that it is bound to, if none is said.
    ///
    /// # Errors
    /// [`Error::Unbound`], [`Error::NoSchema`]; [`Error::Damaged`], [`Error::Temporal`].
    pub fn reader<'v>(&self, view: &'v View, collection: &str, version: Option<u32>) -> Result<Reader<'v>> {
        let bindings = Bindings::of(view, collection)?;
        let bound = bindings.now(view.now()).ok_or_else(|| Error::Unbound(collection.into()))?;
        let form = Form { schema: bound.schema.clone(), version: version.unwrap_or(bound.version) };
        let stored = self.need_schema(view, &form.schema, Some(form.version))?;
        let validator = self.keeper().validator(&form.schema, form.version, stored.text.as_bytes());
        let mut migrations = self.migrations(view)?;
        migrations.retain(|migration| {
            let definition = &migration.stored.definition;
            migration.stored.began_us.is_some()
                && definition.collection == collection
                && definition.schema.as_ref() == Some(&form.schema)
        });
        // Of two from the same version, the later one first.
        migrations.sort_by_key(|migration| std::cmp::Reverse(migration.stored.began_us));
        let steps = migrations.iter().filter_map(|migration| Step::prepare(view, migration).transpose());
        Ok(Reader {
            collection: view.collection(collection)?,
            validator: validator.map_err(Error::Schema)?,
            steps: steps.collect::<Result<_>>()?,
            bindings,
            form,
            now: view.now(),
        })
    }
}

impl Step {
    fn prepare(view: &View, migration: &Migration) -> Result<Option<Self>> {
        let definition = &migration.stored.definition;
        let Some(target) = definition.to_move() else { return Ok(None) };
        let refuse = Error::Definition;
        Ok(Some(Self {
            id: migration.id.clone(),
            target,
            matcher: definition.predicate.as_ref().map(Matcher::compile).transpose().map_err(refuse)?,
            up: definition.up.compile().map_err(refuse)?,
            down: definition.down.as_ref().map(|down| down.compile()).transpose().map_err(refuse)?,
            own: rollback_commits(view, &migration.id)?,
        }))
    }

    fn forwards(&self, document: Json) -> std::result::Result<Json, String> {
        let matches = self.matcher.as_ref().map_or(Ok(true), |matcher| matcher.matches(&document));
        match matches? {
            true => self.up.rewrite(document),
            false => Ok(document),
        }
    }
}

impl<'v> Reader<'v> {
    /// The form that documents are read in.
    pub fn form(&self) -> &Form {
        &self.form
    }

    /// The document of a row at a point in both times.
    ///
    /// # Errors
    /// [`Error::Form`]: it cannot be shown in this form. [`Error::Temporal`].
    pub fn get(&self, row: impl Into<RowKey>, at: At) -> Result<Option<Document>> {
        let fact = self.collection.get(row, at)?;
        fact.map(|fact| self.show(fact, at.valid.unwrap_or(self.now))).transpose()
    }

    /// The documents of a range of rows at a point in both times, in order.
    ///
    /// # Errors
    /// [`Error::Temporal`]; also from the iterator, and [`Error::Form`] for single documents, after which it goes on.
    pub fn scan(&self, rows: &Rows, at: At) -> Result<Documents<'_, 'v>> {
        let facts = self.collection.scan(rows, at)?;
        Ok(Documents { reader: self, facts, valid: at.valid.unwrap_or(self.now) })
    }

    fn show(&self, fact: Fact<'_>, valid: Timestamp) -> Result<Document> {
        let Fact { row, value, valid: period, learned } = fact;
        let stored_version = self.version_of(learned);
        let refuse = |row: &RowKey, what: String| Error::Form {
            collection: self.collection.name().into(),
            row: row.clone(),
            what: format!(
                "in the form of version {} of the schema {:?}: {what}",
                self.form.version, self.form.schema
            ),
        };
        let mut version = match stored_version {
            Some(Ok(version)) => version,
            // Written before there was a schema: binding compared it with the first one.
            None => self.first_version(),
            Some(Err(other)) => {
                return Err(refuse(&row, format!("it was written under the schema {other:?}")));
            }
        };
        let mut document = json::read(value.payload).map_err(|what| refuse(&row, what))?;
        let mut written = learned;
        while version < self.form.version {
            let step = self.step(|step| step.target.from == version && step.target.to <= self.form.version);
            // Bound to another version without a migration: documents were found to fit as they are.
            let Some(step) = step else { break };
            document = step
                .forwards(document)
                .map_err(|what| refuse(&row, format!("migration {:?}: {what}", step.id)))?;
            version = step.target.to;
        }
        while version > self.form.version {
            let step = self.step(|step| step.target.to == version && step.target.from >= self.form.version);
            let Some(step) = step else { break };
            let before = match step.own.contains(&written) {
                true => self.before(&row, valid, written)?,
                false => None,
            };
            if let Some((text, commit)) = before {
                (document, written) = (json::read(&text).map_err(|what| refuse(&row, what))?, commit);
            } else {
                let down = step.down.as_ref().ok_or_else(|| {
                    refuse(
                        &row,
                        format!(
                            "it was written under version {version}, and the migration {:?} has no `down`",
                            step.id
                        ),
                    )
                })?;
                document = down.rewrite(document).map_err(|what| refuse(&row, format!("down: {what}")))?;
            }
            version = step.target.from;
        }
        let violations = self.validator.violations(&document);
        if !violations.is_empty() {
            return Err(refuse(&row, say(&violations)));
        }
        let stored_version = stored_version.and_then(std::result::Result::ok);
        Ok(Document { row, text: document.to_string(), valid: period, learned, stored_version })
    }

    /// What was believed of a row before a commit, and since when.
    fn before(
        &self,
        row: &RowKey,
        valid: Timestamp,
        commit: Timestamp,
    ) -> Result<Option<(Vec<u8>, Timestamp)>> {
        let earlier = AsOf::Time(Timestamp::new(commit.get().saturating_sub(1)));
        let fact = match self.collection.get(row, At::valid(valid).as_of(earlier)) {
            Err(llmdb_temporal::Error::NotKept { .. }) => None,
            fact => fact?,
        };
        Ok(fact.map(|fact| (fact.value.payload.to_vec(), fact.learned)))
    }

    fn step(&self, is_it: impl Fn(&Step) -> bool) -> Option<&Step> {
        self.steps.iter().find(|step| is_it(step))
    }

    /// The version that a commit wrote; `Err` with its name if it was another schema.
    fn version_of(&self, commit: Timestamp) -> Option<std::result::Result<u32, String>> {
        let bound = self.bindings.at(commit)?;
        Some(match bound.schema == self.form.schema {
            true => Ok(bound.version),
            false => Err(bound.schema.clone()),
        })
    }

    fn first_version(&self) -> u32 {
        self.bindings.first().map_or(self.form.version, |bound| bound.version)
    }
}

/// Documents in order, see [`Reader::scan`].
pub struct Documents<'r, 'v> {
    reader: &'r Reader<'v>,
    facts: Scan<'r, 'v>,
    valid: Timestamp,
}

impl Iterator for Documents<'_, '_> {
    type Item = Result<Document>;

    fn next(&mut self) -> Option<Self::Item> {
        let fact = match self.facts.next()? {
            Ok(fact) => fact,
            Err(error) => return Some(Err(error.into())),
        };
        Some(self.reader.show(fact, self.valid))
    }
}
