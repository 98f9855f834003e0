//! Taking a migration back: what was believed before is asserted again.

use std::collections::BTreeSet;

use llmdb_temporal::{
    AsOf, BEGINNING, Collection, FOREVER, Period, RowKey, Timestamp, Value, Version, View, WriteTxn,
};

use crate::{
    Binding, Catalog, Error, Result, json,
    migration::{
        Failure, Migration, Progress, Rewrite, State, Stored,
        control::path,
        run::{Chunk, began, put},
    },
    path::{META, MetaPath},
};

impl Catalog<'_> {
    /// Begins to take a migration back: [`Catalog::step`] and [`Catalog::run`] then do it. From this commit on, what is
    /// written has to fit the old version again.
    ///
    /// Documents that the migration rewrote become what they were. Those that others wrote in the new form meanwhile are
    /// rewritten by `down`; without it they stay, if they fit the old version, or the rollback stops at them.
    ///
    /// # Errors
    /// [`Error::NoMigration`]; [`Error::State`]: it has not begun, or a later migration stands on it. [`Error::Temporal`].
    pub fn roll_back(&self, id: &str) -> Result<Migration> {
        let mut txn = self.store().begin_write()?;
        let before = self.store().view_before(&txn)?;
        let mut stored = self.stored(&mut txn, id)?;
        match stored.state {
            State::Running | State::Paused | State::Failed | State::Done => {}
            State::RollingBack => return Ok(Migration::new(id, stored)),
            state => return Err(Error::State { id: id.into(), what: format!("it is {}", state.name()) }),
        }
        let name = stored.definition.collection.clone();
        if let Some(other) = self.unfinished(&before, &name)?.filter(|other| other != id) {
            return Err(Error::State {
                id: id.into(),
                what: format!("the migration {other:?} is under way"),
            });
        }
        if let Some(target) = stored.definition.to_move() {
            let bound = self.binding(&before, &name)?;
            if !bound.is_some_and(|bound| bound.schema == target.schema && bound.version == target.to) {
                let what = format!(
                    "{name:?} does not have version {} any more: roll back what came later first",
                    target.to
                );
                return Err(Error::State { id: id.into(), what });
            }
            let binding =
                Binding { schema: target.schema, version: target.from, migration: Some(id.to_owned()) };
            self.put(&mut txn, &MetaPath::Binding { collection: name.clone() }, &binding)?;
        }
        stored.state = State::RollingBack;
        stored.rolled_back_us = Some(txn.timestamp().get());
        stored.progress =
            Progress { rows_in_all: before.collection(&name)?.record_count(), ..Progress::default() };
        self.put(&mut txn, &path(id), &stored)?;
        txn.commit()?;
        Ok(Migration::new(id, stored))
    }

    pub(crate) fn step_back(
        &self,
        txn: &mut WriteTxn<'_>,
        before: &View,
        id: &str,
        stored: &mut Stored,
        chunk: Chunk,
    ) -> Result<()> {
        let back = Back {
            began: began(stored)?,
            rolled: Timestamp::new(stored.rolled_back_us.unwrap_or(i64::MAX)),
            own: commits(before, id)?,
            down: stored
                .definition
                .down
                .as_ref()
                .map(|down| down.compile())
                .transpose()
                .map_err(Error::Definition)?,
            moves: stored.definition.to_move().is_some(),
        };
        let name = stored.definition.collection.clone();
        let collection = before.collection(&name)?;
        self.each_row(txn, before, stored, chunk, State::RolledBack, |txn, name, row, versions, changed| {
            for version in versions {
                let pieces = match back.pieces(&collection, row, version)? {
                    Ok(pieces) => pieces,
                    Err(what) => return Ok(Some(Failure::new(row, version.valid, what))),
                };
                for (valid, text) in pieces {
                    *changed += 1;
                    match put(txn, name, row, valid, Value::json(&text)) {
                        Ok(()) => {}
                        Err(Error::Temporal(llmdb_temporal::Error::Refused { what, .. })) => {
                            return Ok(Some(Failure::new(row, valid, back.explain(&what))));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Ok(None)
        })
    }
}

/// What is needed to take documents back.
struct Back {
    began: Timestamp,
    rolled: Timestamp,
    /// The commits of the migration.
    own: BTreeSet<Timestamp>,
    down: Option<Box<dyn Rewrite>>,
    moves: bool,
}

/// Periods of a row, and what is to be believed of each; or why nothing can be.
type Pieces = std::result::Result<Vec<(Period, String)>, String>;

/// A period, and the text that was believed of it.
fn piece(known: &Version<'_>) -> (Period, String) {
    (known.valid, String::from_utf8_lossy(known.value.payload).into_owned())
}

impl Back {
    fn pieces(&self, collection: &Collection<'_>, row: &RowKey, version: &Version<'_>) -> Result<Pieces> {
        let written = version.system.from;
        if written < self.began || written >= self.rolled {
            return Ok(Ok(Vec::new()));
        }
        let is_own = self.own.contains(&written);
        if is_own {
            let earlier = Timestamp::new(written.get().saturating_sub(1));
            match collection.believed(row, version.valid, AsOf::Time(earlier)) {
                Ok(known) => return Ok(Ok(known.iter().map(piece).collect())),
                // Purged: only `down` knows what it was.
                Err(llmdb_temporal::Error::NotKept { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if !self.moves && !is_own {
            return Ok(Ok(Vec::new()));
        }
        // Of others, in the new form. Written again even if it stays as it is: its commit tells its version.
        let text = match &self.down {
            None if is_own => Err("what it was is not kept any more, and the migration has no `down`".into()),
            None => String::from_utf8(version.value.payload.to_vec()).map_err(|error| error.to_string()),
            Some(down) => json::read(version.value.payload)
                .and_then(|document| down.rewrite(document))
                .map(|document| document.to_string())
                .map_err(|what| format!("down: {what}")),
        };
        Ok(text.map(|text| vec![(version.valid, text)]))
    }

    fn explain(&self, what: &str) -> String {
        match self.down {
            Some(_) => format!("what it was is not known, and `down` makes of it: {what}"),
            None => format!(
                "it was written in the new form meanwhile, and the migration has no `down`: {what}; write it in the old form, then go on"
            ),
        }
    }
}

/// The commits that wrote a migration: those of its steps among them.
pub(crate) fn commits(view: &View, id: &str) -> Result<BTreeSet<Timestamp>> {
    let meta = view.collection(META)?;
    let versions = meta.history(path(id).row())?;
    let commits = versions.iter().map(|version| version.system.from);
    Ok(commits.filter(|commit| *commit > BEGINNING && *commit < FOREVER).collect())
}
