//! The dry run: what a migration would do.

use llmdb_temporal::{At, History, Period, RowKey, Rows, Value};
use serde::{Deserialize, Serialize};

use crate::{
    Catalog, Result,
    binding::BELIEVED,
    json,
    migration::{
        Definition,
        pass::{Outcome, Pass, bounds, joined},
    },
};

/// What a migration would do.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Plan {
    /// Rows that were looked at.
    pub rows: u64,
    /// Documents of these rows: a row has one for each period of valid time.
    pub documents: u64,
    /// Documents that the migration is about.
    pub matched: u64,
    /// Documents that it would change.
    pub changed: u64,
    /// Documents that cannot be rewritten.
    pub failed: u64,
    /// Some that it would change.
    pub samples: Vec<Sample>,
    /// Some that cannot be rewritten.
    pub failures: Vec<Failure>,
    /// Why it could not begin now, whatever the documents are.
    pub obstacles: Vec<String>,
    /// Whether the caller stopped it before the end.
    pub is_stopped: bool,
}

/// A document before and after.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sample {
    /// The row.
    pub row: String,
    /// For when it holds, in microseconds since 1970; without what has no bound.
    pub valid_us: (Option<i64>, Option<i64>),
    /// As it is, shortened.
    pub before: String,
    /// As it would be, shortened.
    pub after: String,
}

/// A document that cannot be rewritten.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The row.
    pub row: String,
    /// For when it holds, in microseconds since 1970; without what has no bound.
    pub valid_us: (Option<i64>, Option<i64>),
    /// Why.
    pub what: String,
}

const SAMPLES_MAX: usize = 5;
const FAILURES_MAX: usize = 10;
/// Longest text of a sample, in characters.
const SAMPLE_LEN_MAX: usize = 500;

impl Failure {
    pub(crate) fn new(row: &RowKey, valid: Period, what: String) -> Self {
        Self { row: row.to_string(), valid_us: bounds(valid), what }
    }
}

impl Catalog<'_> {
    /// Looks what a migration would do, and writes nothing. `progress` is told what was seen so far, and stops it by answering
    /// `false`.
    ///
    /// Cost: reads the whole collection.
    ///
    /// # Errors
    /// [`crate::Error::Definition`], [`crate::Error::NoSchema`], [`crate::Error::Temporal`].
    pub fn plan(&self, definition: &Definition, progress: &mut dyn FnMut(&Plan) -> bool) -> Result<Plan> {
        definition.check().map_err(crate::Error::Definition)?;
        let view = self.store().view()?;
        let pass = Pass::prepare(self, &view, definition)?;
        let collection = view.collection(&definition.collection)?;
        let mut plan = Plan { obstacles: self.obstacles(&view, definition)?, ..Plan::default() };
        if collection.history_kind() == History::Plain {
            for fact in collection.scan(&Rows::all(), At::NOW)? {
                let fact = fact?;
                plan.rows += 1;
                plan.add(&pass, &fact.row, fact.valid, fact.value);
            }
            return Ok(plan);
        }
        for row in collection.versions_of(&Rows::all(), BELIEVED)? {
            let (row, versions) = row?;
            plan.rows += 1;
            for version in joined(&versions) {
                plan.add(&pass, &row, version.valid, version.value);
            }
            if plan.rows.is_multiple_of(256) && !progress(&plan) {
                plan.is_stopped = true;
                break;
            }
        }
        Ok(plan)
    }
}

impl Plan {
    fn add(&mut self, pass: &Pass, row: &RowKey, valid: Period, value: Value<'_>) {
        self.documents += 1;
        match pass.look_at(value) {
            Outcome::Other => {}
            Outcome::Same => self.matched += 1,
            Outcome::Changed(after) => {
                self.matched += 1;
                self.changed += 1;
                if self.samples.len() < SAMPLES_MAX {
                    let before = json::cut(&String::from_utf8_lossy(value.payload), SAMPLE_LEN_MAX);
                    let after = json::cut(&after, SAMPLE_LEN_MAX);
                    self.samples.push(Sample {
                        row: row.to_string(),
                        valid_us: bounds(valid),
                        before,
                        after,
                    });
                }
            }
            Outcome::Failed(what) => {
                self.failed += 1;
                if self.failures.len() < FAILURES_MAX {
                    self.failures.push(Failure::new(row, valid, what));
                }
            }
        }
    }
}
