//! Schemas, migrations, policies of retention, and code, kept as facts in the database.
//!
//! `docs/guide/schema.md` shows how to work with them. In short: a schema that is bound to a collection holds for every write
//! from then on, by whichever program; a migration moves a collection from one version to the next while readers of both
//! go on.
//!
//! ```
//! use llmdb::{Db, temporal::{History, Valid, Value}};
//!
//! let db = Db::in_memory()?;
//! let mut txn = db.facts().begin_write()?;
//! txn.create("people", History::default())?;
//! txn.commit()?;
//!
//! db.catalog().put_schema("person", None, r#"{"type":"object","required":["name"]}"#)?;
//! db.catalog().bind("people", "person", None)?;
//!
//! let mut txn = db.facts().begin_write()?;
//! let refused = txn.collection("people")?.put("ada", Valid::Now, Value::json("{}")).unwrap_err();
//! assert!(refused.to_string().contains("'name'"), "{refused}");
//! # Ok::<(), llmdb::Error>(())
//! ```

use std::{
    fmt,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::Db;
pub use llmdb_catalog::{
    Binding, Bound, Catalog, Chunk, Cursor, DEPTH_MAX, DOCUMENT_LEN_MAX, Definition, Document, Documents,
    Error, Failure, Fields, Form, Keep, META, MetaPath, Migration, Move, NAME_LEN_MAX, Plan, Policy,
    Predicate, Progress, Reader, Result, Rewrite, Rewriting, SCHEMA_LEN_MAX, Sample, Schema, SchemaInfo,
    State, Stored, Unfit, Violation,
};

impl Db {
    /// The catalog of the database: schemas, migrations, policies.
    pub fn catalog(&self) -> Catalog<'_> {
        Catalog::new(self.facts(), &self.1)
    }

    /// Begins a migration, or lets one go on that stopped, and makes its steps in a thread of its own, `llmdb-migrate`, while
    /// this and other programs read and write.
    ///
    /// # Errors
    /// As [`Catalog::begin`]; [`crate::ErrorKind::Io`]: the system gave no thread.
    ///
    /// # Examples
    /// ```
    /// use std::sync::Arc;
    ///
    /// use llmdb::{Db, catalog::{Chunk, Definition, State}, temporal::{History, Valid, Value}};
    ///
    /// let db = Arc::new(Db::in_memory()?);
    /// let mut txn = db.facts().begin_write()?;
    /// txn.create("people", History::default())?;
    /// txn.collection("people")?.put("ada", Valid::Now, Value::json(r#"{"name":"Ada"}"#))?;
    /// txn.commit()?;
    ///
    /// let definition = br#"{"collection":"people","up":{"patch":[{"op":"move","from":"/name","path":"/called"}]}}"#;
    /// db.catalog().propose("rename", &Definition::parse(definition)?)?;
    /// let running = db.migrate("rename", Chunk::default())?;
    /// println!("{:.0} %", 100.0 * running.progress().fraction);
    /// assert_eq!(running.join()?.stored.state, State::Done);
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn migrate(self: &Arc<Self>, id: &str, chunk: Chunk) -> crate::Result<Running> {
        let shared =
            Arc::new(Shared { stop: AtomicBool::new(false), seen: Mutex::new(self.catalog().begin(id)?) });
        let (db, id, told) = (Arc::clone(self), id.to_owned(), Arc::clone(&shared));
        let steps = move || {
            db.catalog().run(&id, chunk, &mut |migration| {
                *told.seen.lock().unwrap_or_else(PoisonError::into_inner) = migration.clone();
                !told.stop.load(Ordering::Relaxed)
            })
        };
        let thread = thread::Builder::new().name("llmdb-migrate".into()).spawn(steps);
        let thread = thread.map_err(llmdb_engine::Error::Source)?;
        Ok(Running { shared, thread: Some(thread) })
    }
}

impl Db {
    /// One round of it.
    fn apply_retention(&self, go_on: impl Fn() -> bool) -> crate::Result<()> {
        self.catalog().apply_retention(&mut |_, _| go_on())?;
        #[cfg(feature = "memory")]
        self.memory().facts().follow_purges(&mut |_| go_on())?;
        Ok(())
    }

    /// Applies the policies of retention now, and then each time when `every` has passed, in a thread of its own,
    /// `llmdb-retention`, until what is returned is dropped. Several processes may do so: each goes on where another left off.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`]: the system gave no thread.
    ///
    /// # Examples
    /// ```
    /// use std::{sync::Arc, time::Duration};
    ///
    /// let db = Arc::new(llmdb::Db::in_memory()?);
    /// let keeping = db.keep_retention(Duration::from_secs(3_600))?;
    /// assert!(keeping.last_error().is_none());
    /// # Ok::<(), llmdb::Error>(())
    /// ```
    pub fn keep_retention(self: &Arc<Self>, every: Duration) -> crate::Result<Keeping> {
        let shared = Arc::new(Rounds::default());
        let (db, told) = (Arc::clone(self), Arc::clone(&shared));
        let rounds = move || {
            while !told.is_stopped() {
                let failure = db.apply_retention(|| !told.is_stopped()).err();
                *told.error.lock().unwrap_or_else(PoisonError::into_inner) =
                    failure.map(|error| error.to_string());
                told.wait(every);
            }
        };
        let thread = thread::Builder::new().name("llmdb-retention".into()).spawn(rounds);
        let thread = thread.map_err(llmdb_engine::Error::Source)?;
        Ok(Keeping { shared, thread: Some(thread) })
    }
}

/// A thread that applies policies of retention, see [`Db::keep_retention`]. Dropping it stops the thread after the step that it
/// makes, and waits for it.
#[derive(Debug)]
pub struct Keeping {
    shared: Arc<Rounds>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Rounds {
    stop: Mutex<bool>,
    stopped: Condvar,
    error: Mutex<Option<String>>,
}

impl Rounds {
    fn is_stopped(&self) -> bool {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until so much time has passed, or somebody asks to stop.
    fn wait(&self, at_most: Duration) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.stopped.wait_timeout_while(stop, at_most, |stop| !*stop));
    }
}

impl Keeping {
    /// Why the last round failed; `None` if it did not. The next round tries again.
    pub fn last_error(&self) -> Option<String> {
        self.shared.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        *self.shared.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.shared.stopped.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic there has been told on stderr; here nothing depends on it.
            let _ = thread.join();
        }
    }
}

/// A migration whose steps are made by a thread, see [`Db::migrate`]. Dropping it stops the thread after the step that it makes,
/// and waits for it; the migration stays running, and goes on when somebody begins it again.
pub struct Running {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Result<Migration>>>,
}

struct Shared {
    stop: AtomicBool,
    seen: Mutex<Migration>,
}

impl Running {
    /// How far it is.
    pub fn progress(&self) -> Migration {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the thread has ended.
    pub fn is_over(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Asks the thread to stop after the step that it makes. To stop a migration for everybody, use [`Catalog::pause`].
    pub fn stop(&self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }

    /// Waits until the thread ends: the migration is done, has failed, or was stopped.
    ///
    /// # Errors
    /// As [`Catalog::step`].
    pub fn join(mut self) -> crate::Result<Migration> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(ended)) => Ok(ended?),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
            None => Ok(self.progress()),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // Whoever wanted to know how it ended has called `join`.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("progress", &self.progress()).finish_non_exhaustive()
    }
}
