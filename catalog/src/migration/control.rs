//! Storing, beginning, stopping: everything about a migration but its steps.

use llmdb_temporal::{History, View, WriteTxn};

use crate::{
    Binding, Catalog, Error, Result,
    keeper::decode,
    migration::{Definition, Migration, Progress, State, Stored},
    path::{META, MetaPath, is_name},
};

impl Catalog<'_> {
    /// Stores a migration, to be begun later.
    ///
    /// # Errors
    /// [`Error::Name`], [`Error::Definition`]; [`Error::State`] if there is one of this name that has begun or has another
    /// definition; [`Error::NoSchema`], [`Error::Temporal`].
    pub fn propose(&self, id: &str, definition: &Definition) -> Result<Migration> {
        if !is_name(id) {
            return Err(Error::Name(id.into()));
        }
        definition.check().map_err(Error::Definition)?;
        let mut txn = self.store().begin_write()?;
        let before = self.store().view_before(&txn)?;
        if let Some(known) = self.migration(&before, id)? {
            return match known.stored.definition == *definition {
                true => Ok(known),
                false if known.stored.state == State::Planned => self.store_new(txn, id, definition),
                false => Err(Error::State {
                    id: id.into(),
                    what: "it is another one, and has begun; choose another name".into(),
                }),
            };
        }
        before.collection(&definition.collection)?;
        if let Some(target) = definition.to_move() {
            self.need_schema(&before, &target.schema, Some(target.to))?;
        }
        self.ensure_meta(&mut txn)?;
        self.store_new(txn, id, definition)
    }

    fn store_new(&self, mut txn: WriteTxn<'_>, id: &str, definition: &Definition) -> Result<Migration> {
        let stored = Stored {
            definition: definition.clone(),
            state: State::Planned,
            began_us: None,
            rolled_back_us: None,
            progress: Progress::default(),
        };
        self.put(&mut txn, &path(id), &stored)?;
        txn.commit()?;
        Ok(Migration::new(id, stored))
    }

    /// A migration, as a view shows it.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Temporal`].
    pub fn migration(&self, view: &View, id: &str) -> Result<Option<Migration>> {
        let stored = self.get(view, &path(id))?;
        Ok(stored.map(|stored| Migration::new(id, stored)))
    }

    /// All migrations, in the order of their names.
    ///
    /// # Errors
    /// As [`Catalog::migration`].
    pub fn migrations(&self, view: &View) -> Result<Vec<Migration>> {
        self.list(view, "migration", |path, stored| match path {
            MetaPath::Migration { id } => Some(Migration::new(&id, stored)),
            _ => None,
        })
    }

    /// The migration of a collection that is under way.
    pub(crate) fn unfinished(&self, view: &View, collection: &str) -> Result<Option<String>> {
        let mut all = self.migrations(view)?;
        all.retain(|migration| {
            migration.stored.definition.collection == collection && migration.stored.state.is_under_way()
        });
        Ok(all.pop().map(|migration| migration.id))
    }

    /// Why a migration could not begin.
    pub(crate) fn obstacles(&self, view: &View, definition: &Definition) -> Result<Vec<String>> {
        let mut obstacles = Vec::new();
        let name = &definition.collection;
        if view.collection(name)?.history_kind() == History::Plain {
            obstacles.push(format!(
                "the collection {name:?} is plain: nobody could tell its old documents from new ones"
            ));
        }
        if let Some(running) = self.unfinished(view, name)? {
            obstacles.push(format!("the migration {running:?} of {name:?} is under way"));
        }
        if let Some(target) = definition.to_move() {
            match self.binding(view, name)? {
                Some(bound) if bound.schema == target.schema && bound.version == target.from => {}
                Some(Binding { schema, version, .. }) => {
                    obstacles.push(format!("{name:?} has version {version} of the schema {schema:?}"));
                }
                None => obstacles.push(format!("{name:?} has no schema")),
            }
        }
        Ok(obstacles)
    }

    /// Begins a migration, or lets one go on that stopped. From this commit on, what is written has to fit the new version.
    ///
    /// # Errors
    /// [`Error::NoMigration`], [`Error::State`]; [`Error::NoSchema`], [`Error::Temporal`].
    pub fn begin(&self, id: &str) -> Result<Migration> {
        let mut txn = self.store().begin_write()?;
        let before = self.store().view_before(&txn)?;
        let mut stored = self.stored(&mut txn, id)?;
        match stored.state {
            State::Planned => {
                if let [first, ..] = self.obstacles(&before, &stored.definition)?.as_slice() {
                    return Err(Error::State { id: id.into(), what: format!("it cannot begin: {first}") });
                }
                if let Some(target) = stored.definition.to_move() {
                    self.need_schema(&before, &target.schema, Some(target.to))?;
                    let binding =
                        Binding { schema: target.schema, version: target.to, migration: Some(id.to_owned()) };
                    let collection = stored.definition.collection.clone();
                    self.put(&mut txn, &MetaPath::Binding { collection }, &binding)?;
                }
                stored.began_us = Some(txn.timestamp().get());
                stored.progress.rows_in_all =
                    before.collection(&stored.definition.collection)?.record_count();
                stored.state = State::Running;
            }
            State::Paused | State::Failed => stored.state = State::Running,
            State::RollbackPaused | State::RollbackFailed => stored.state = State::RollingBack,
            State::Running | State::RollingBack => return Ok(Migration::new(id, stored)),
            State::Done | State::RolledBack | State::Cancelled => {
                return Err(Error::State { id: id.into(), what: format!("it is {}", stored.state.name()) });
            }
        }
        stored.progress.failure = None;
        self.put(&mut txn, &path(id), &stored)?;
        txn.commit()?;
        Ok(Migration::new(id, stored))
    }

    /// Stops a migration, or its rollback, after the step that is being made: also one that another process runs.
    ///
    /// # Errors
    /// [`Error::NoMigration`], [`Error::State`]; [`Error::Temporal`].
    pub fn pause(&self, id: &str) -> Result<Migration> {
        self.change_state(id, |state| match state {
            State::Running | State::Paused => Some(State::Paused),
            State::RollingBack | State::RollbackPaused => Some(State::RollbackPaused),
            _ => None,
        })
    }

    /// Withdraws a migration that has not begun. One that has is taken back by [`Catalog::roll_back`].
    ///
    /// # Errors
    /// As [`Catalog::pause`].
    pub fn cancel(&self, id: &str) -> Result<Migration> {
        self.change_state(id, |state| match state {
            State::Planned | State::Cancelled => Some(State::Cancelled),
            _ => None,
        })
    }

    fn change_state(&self, id: &str, change: impl Fn(State) -> Option<State>) -> Result<Migration> {
        let mut txn = self.store().begin_write()?;
        let mut stored = self.stored(&mut txn, id)?;
        let Some(state) = change(stored.state) else {
            return Err(Error::State { id: id.into(), what: format!("it is {}", stored.state.name()) });
        };
        if state != stored.state {
            stored.state = state;
            self.put(&mut txn, &path(id), &stored)?;
            txn.commit()?;
        }
        Ok(Migration::new(id, stored))
    }

    /// What is stored of a migration, in the transaction.
    pub(crate) fn stored(&self, txn: &mut WriteTxn<'_>, id: &str) -> Result<Stored> {
        let none = || Error::NoMigration(id.into());
        let stored = match txn.collection(META) {
            Ok(mut meta) => meta.get(path(id).row())?.ok_or_else(none)?,
            Err(llmdb_temporal::Error::NoCollection(_)) => return Err(none()),
            Err(error) => return Err(error.into()),
        };
        decode(&stored).map_err(|what| Error::Damaged { path: path(id).to_string(), what })
    }
}

pub(crate) fn path(id: &str) -> MetaPath {
    MetaPath::Migration { id: id.into() }
}
