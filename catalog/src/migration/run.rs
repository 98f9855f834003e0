//! Steps: one chunk of rows, one transaction.

use std::ops::Bound;

use llmdb_base::plant::{Bug, planted};
use llmdb_temporal::{Period, RowKey, Rows, Timestamp, Valid, Value, View, WriteTxn};

use crate::{
    Catalog, Error, Result,
    binding::BELIEVED,
    migration::{
        Cursor, Failure, Migration, State, Stored,
        control::path,
        pass::{Outcome, Pass, joined},
    },
};

/// How much one step does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Rows that it looks at, at most; at least 1.
    pub rows: u64,
    /// Bytes of documents after which it ends.
    pub bytes: usize,
}

impl Default for Chunk {
    /// 256 rows, or 1 MiB: writers wait for some milliseconds.
    fn default() -> Self {
        Self { rows: 256, bytes: 1 << 20 }
    }
}

impl Catalog<'_> {
    /// Makes one step of a migration, or of its rollback: a chunk of rows in one transaction, with the progress. Does nothing
    /// if it is not running. Any number of threads and processes may make steps: each does a different part.
    ///
    /// # Errors
    /// [`Error::NoMigration`]; [`Error::State`] if somebody else changed the schema of the collection meanwhile;
    /// [`Error::Damaged`], [`Error::Temporal`]: nothing of the step happened. A document that cannot be rewritten is no error: the
    /// migration has failed then, and its progress says where.
    pub fn step(&self, id: &str, chunk: Chunk) -> Result<Migration> {
        let mut txn = self.store().begin_write()?;
        let mut stored = self.stored(&mut txn, id)?;
        if !matches!(stored.state, State::Running | State::RollingBack) {
            return Ok(Migration::new(id, stored));
        }
        let before = self.store().view_before(&txn)?;
        self.check_binding(&before, id, &stored)?;
        match stored.state {
            State::Running => self.step_forward(&mut txn, &before, &mut stored, chunk)?,
            _ => self.step_back(&mut txn, &before, id, &mut stored, chunk)?,
        }
        self.put(&mut txn, &path(id), &stored)?;
        txn.commit()?;
        Ok(Migration::new(id, stored))
    }

    /// Begins a migration, or lets it go on, and makes steps until it ends, fails, or somebody stops it. `progress` is told
    /// after each step, and stops it by answering `false`: then it stays running, and anybody may go on.
    ///
    /// # Errors
    /// As [`Catalog::begin`] and [`Catalog::step`].
    pub fn run(
        &self,
        id: &str,
        chunk: Chunk,
        progress: &mut dyn FnMut(&Migration) -> bool,
    ) -> Result<Migration> {
        let mut migration = self.begin(id)?;
        while matches!(migration.stored.state, State::Running | State::RollingBack) {
            if !progress(&migration) {
                break;
            }
            migration = self.step(id, chunk)?;
        }
        Ok(migration)
    }

    /// The collection still is where the migration, or its rollback, has moved it.
    fn check_binding(&self, before: &View, id: &str, stored: &Stored) -> Result<()> {
        let Some(target) = stored.definition.to_move() else { return Ok(()) };
        let version = if stored.state == State::Running { target.to } else { target.from };
        match self.binding(before, &stored.definition.collection)? {
            Some(bound) if bound.schema == target.schema && bound.version == version => Ok(()),
            _ => Err(Error::State {
                id: id.into(),
                what: format!(
                    "somebody gave {:?} another schema meanwhile; give it version {version} of {:?} again to go on",
                    stored.definition.collection, target.schema
                ),
            }),
        }
    }

    fn step_forward(
        &self,
        txn: &mut WriteTxn<'_>,
        before: &View,
        stored: &mut Stored,
        chunk: Chunk,
    ) -> Result<()> {
        let pass = Pass::prepare(self, before, &stored.definition)?;
        let began = began(stored)?;
        self.each_row(txn, before, stored, chunk, State::Done, |txn, collection, row, versions, changed| {
            let is_old = |version: &&llmdb_temporal::Version<'_>| {
                version.system.from < began || planted(Bug::RewriteAgain)
            };
            for version in versions.iter().filter(is_old) {
                match pass.look_at(version.value) {
                    Outcome::Other | Outcome::Same => {}
                    Outcome::Changed(text) => {
                        *changed += 1;
                        put(txn, collection, row, version.valid, Value::json(&text))?;
                    }
                    Outcome::Failed(what) => return Ok(Some(Failure::new(row, version.valid, what))),
                }
            }
            Ok(None)
        })
    }

    /// Gives the rows of a chunk, with what is believed of them, to `each`, which writes, counts, or says why it cannot. Then
    /// the row stays in front of the cursor; what was written of it already tells by its commit that it is done.
    pub(crate) fn each_row(
        &self,
        txn: &mut WriteTxn<'_>,
        before: &View,
        stored: &mut Stored,
        chunk: Chunk,
        end: State,
        mut each: impl FnMut(
            &mut WriteTxn<'_>,
            &str,
            &RowKey,
            &[llmdb_temporal::Version<'_>],
            &mut u64,
        ) -> Result<Option<Failure>>,
    ) -> Result<()> {
        let name = stored.definition.collection.clone();
        let collection = before.collection(&name)?;
        let (mut rows, mut bytes) = (0, 0);
        for row in collection.versions_of(&behind(stored.progress.cursor.as_ref())?, BELIEVED)? {
            let (row, versions) = row?;
            let versions = joined(&versions);
            if rows >= chunk.rows.max(1) || bytes >= chunk.bytes {
                if planted(Bug::SkipRow) {
                    stored.progress.cursor = Some(Cursor::of(&row));
                }
                return Ok(());
            }
            let progress = &mut stored.progress;
            if let Some(failure) = each(txn, &name, &row, &versions, &mut progress.changed)? {
                progress.failure = Some(failure);
                stored.state = if end == State::Done { State::Failed } else { State::RollbackFailed };
                return Ok(());
            }
            rows += 1;
            bytes += versions.iter().map(|version| version.value.payload.len()).sum::<usize>();
            progress.rows += 1;
            progress.documents += versions.len() as u64;
            progress.cursor = Some(Cursor::of(&row));
        }
        stored.state = end;
        stored.progress.cursor = None;
        Ok(())
    }
}

/// Asserts a value for the very period that another one had.
pub(crate) fn put(
    txn: &mut WriteTxn<'_>,
    collection: &str,
    row: &RowKey,
    valid: Period,
    value: Value<'_>,
) -> Result<()> {
    Ok(txn.collection(collection)?.put(row, Valid::During(valid), value)?)
}

pub(crate) fn began(stored: &Stored) -> Result<Timestamp> {
    let none = || Error::Damaged {
        path: crate::META.into(),
        what: "a migration is running, and never began".into(),
    };
    stored.began_us.map(Timestamp::new).ok_or_else(none)
}

/// The rows behind a cursor.
fn behind(cursor: Option<&Cursor>) -> Result<Rows> {
    let Some(cursor) = cursor else { return Ok(Rows::all()) };
    let damaged =
        || Error::Damaged { path: crate::META.into(), what: "the cursor of a migration is no row".into() };
    let row = cursor.row().ok_or_else(damaged)?;
    Ok(Rows::between((Bound::Excluded(&row), Bound::Unbounded)))
}
