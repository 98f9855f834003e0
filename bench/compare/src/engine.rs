//! What an engine must offer to be measured: [`Peer`] in the list of engines, [`Engine`] once a store is open,
//! [`Session`] for each thread, [`Snapshot`] for reads that see one state.
//!
//! Does not know any engine, workload, or clock. To add an engine: one file in `engines/` with the three traits,
//! one line in `engines/mod.rs`.

use std::path::PathBuf;

use crate::data::Key;
use crate::rows::Rows;

/// Whatever went wrong, as the engine words it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
/// Result of everything that can fail here.
pub type Outcome<T> = Result<T, Failure>;

/// An engine that can be measured.
#[derive(Clone, Copy)]
pub struct Peer {
    /// Name on the command line and in the results.
    pub name: &'static str,
    /// Crates whose versions (from Cargo.lock) identify what was measured.
    pub crates: &'static [&'static str],
    /// What it offers beyond the common ground.
    pub abilities: Abilities,
    /// The settings that matter for speed and durability, in one line, for the reader of the results.
    pub settings: fn(&Settings) -> String,
    /// Opens the store in `Settings::dir`, creating it if the folder is empty or missing.
    pub open: fn(&Settings) -> Outcome<Box<dyn Engine>>,
}

/// What an engine offers beyond puts, gets and scans.
#[derive(Clone, Copy, Default)]
pub struct Abilities {
    /// One call looks up several keys. Without it, multi-get is a loop over single gets, and is marked.
    pub multi_get: bool,
    /// A hint says that keys come in ascending order behind all others.
    pub append_hint: bool,
    /// Commits can be submitted without waiting, and their durability is reported later.
    pub pipeline: bool,
}

/// How to open a store.
#[derive(Clone, Debug)]
#[allow(dead_code, reason = "a build with few engines need not use every setting")]
pub struct Settings {
    /// The store's folder.
    pub dir: PathBuf,
    /// Bytes for an engine's own cache. Engines that read through the page cache ignore it.
    pub cache_bytes: u64,
    /// Address space for engines that map their file. Much more than any store here needs.
    pub map_bytes: u64,
    /// The number of threads that will hold a session at the same time.
    pub sessions_max: usize,
}

/// One row to be written.
#[derive(Clone, Copy)]
pub struct Pair<'a> {
    /// The key.
    pub key: Key,
    /// The value.
    pub value: &'a [u8],
}

/// What the writer promises about the order of keys.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hint {
    /// Nothing.
    None,
    /// Every key is larger than all keys in the store. Only used if `Abilities::append_hint`.
    Append,
}

/// An open store.
pub trait Engine: Send + Sync {
    /// A handle for the calling thread.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn session(&self) -> Outcome<Box<dyn Session + '_>>;

    /// Brings the store to rest: memory tables written, checkpoints done, compaction idle.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn settle(&self) -> Outcome<()>;

    /// Closes the store the way a well-behaved application does, and returns when it is closed.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn close(self: Box<Self>) -> Outcome<()>;

    /// Version of a library that was linked and is not told by Cargo.lock.
    fn library_version(&self) -> Option<String> {
        None
    }

    /// Submission of commits without waiting; `None` unless `Abilities::pipeline`.
    fn pipeline(&self) -> Option<Outcome<Box<dyn Pipeline + '_>>> {
        None
    }
}

/// One thread's access to an open store.
pub trait Session {
    /// Writes all pairs in one transaction that is durable when this returns.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn commit(&mut self, pairs: &[Pair<'_>], hint: Hint) -> Outcome<()>;

    /// Opens a snapshot, reads one key, closes the snapshot. Says whether the key was there.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn fresh_get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool>;

    /// Runs `body` with a snapshot that stays the same until `body` returns.
    ///
    /// # Errors
    /// Whatever the engine or `body` reports.
    fn snapshot(&mut self, body: &mut dyn FnMut(&mut dyn Snapshot) -> Outcome<()>) -> Outcome<()>;
}

/// Reads that all see the same state. Values are handed to `rows` where they lie, without a copy if the engine
/// can do that.
pub trait Snapshot {
    /// Reads one key. Says whether it was there.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool>;

    /// Reads several keys, in any order. Says how many were there.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn multi_get(&mut self, keys: &[Key], rows: &mut Rows<'_>) -> Outcome<usize> {
        let mut found = 0;
        for key in keys {
            found += usize::from(self.get(key, rows)?);
        }
        Ok(found)
    }

    /// Reads up to `rows_max` rows in ascending order, from the first key at or above `from`.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn scan(&mut self, from: Option<&Key>, rows_max: usize, rows: &mut Rows<'_>) -> Outcome<()>;
}

/// Commits of one thread that do not wait for the disk. Commits become durable in the order of submission.
pub trait Pipeline {
    /// Commits one pair without waiting for durability.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn submit(&mut self, pair: &Pair<'_>) -> Outcome<()>;

    /// How many of the submitted commits are known to be durable, without waiting.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn durable_count(&mut self) -> Outcome<u64>;

    /// Waits until the first `count` submitted commits are durable.
    ///
    /// # Errors
    /// Whatever the engine reports.
    fn wait(&mut self, count: u64) -> Outcome<()>;
}
