//! Writing facts: transactions. What an assertion does to what was believed before is in `collection.rs`.

mod collection;

use llmdb_base::{Timestamp, TxnId};
use llmdb_engine::{Commit, Durability, KEY_LEN_MAX as TREE_KEY_LEN_MAX};

use crate::{
    Error, Follower, Guard, History, Period, Result,
    catalog::{self, Info, META},
    epochs,
};

pub use self::collection::CollectionMut;

/// Longest row in bytes: partition and key, encoded. What a tree holds, less what the times take.
pub const KEY_LEN_MAX: usize = TREE_KEY_LEN_MAX - 32;

/// The closed records of [`Part::Past`] stand in front of those of all epochs.
pub(crate) const PAST_EPOCH: u32 = 0;

/// For when an assertion holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Valid {
    /// From the commit on.
    Now,
    /// From a moment on; one that has passed corrects the past.
    Since(Timestamp),
    /// For a period.
    During(Period),
}

impl From<Period> for Valid {
    fn from(period: Period) -> Self {
        Self::During(period)
    }
}

/// A transaction that writes facts. All of it happens at one moment of system time: its commit.
#[derive(Debug)]
pub struct WriteTxn<'e> {
    pub(crate) txn: llmdb_engine::WriteTxn<'e>,
    pub(crate) timestamp: Timestamp,
    guard: Option<&'e dyn Guard>,
    follower: Option<&'e dyn Follower>,
    touched: Vec<Touched>,
}

/// A collection that was written to.
#[derive(Debug)]
struct Touched {
    info: Info,
    epoch: u32,
    puts: u64,
}

impl<'e> WriteTxn<'e> {
    pub(crate) fn begin(
        mut txn: llmdb_engine::WriteTxn<'e>,
        guard: Option<&'e dyn Guard>,
        follower: Option<&'e dyn Follower>,
    ) -> Self {
        let timestamp = txn.timestamp();
        Self { txn, timestamp, guard, follower, touched: Vec::new() }
    }

    /// Id that the transaction will have.
    pub fn txid(&self) -> TxnId {
        self.txn.txid()
    }

    /// The moment of its commit.
    pub fn timestamp(&self) -> Timestamp {
        self.timestamp
    }

    /// The transaction of the engine, for what else shall happen with it, or not at all. Trees whose names begin with
    /// `_time` are this room's.
    pub fn engine(&mut self) -> &mut llmdb_engine::WriteTxn<'e> {
        &mut self.txn
    }

    /// Makes a collection.
    ///
    /// # Errors
    /// [`Error::CollectionExists`], [`Error::CollectionName`]: nothing happened. [`Error::Engine`]: abort.
    pub fn create(&mut self, name: &str, history: History) -> Result<()> {
        if name.is_empty() || name.len() > 255 {
            return Err(Error::CollectionName(name.into()));
        }
        if self.find(name)?.is_some() {
            return Err(Error::CollectionExists(name.into()));
        }
        let is_guarded = self.guard.is_some_and(|guard| guard.claims(name));
        let info = Info { id: catalog::take_id(&mut self.txn)?, name: name.into(), history, is_guarded };
        self.txn.tree(META)?.put(catalog::collection_key(name), info.encode())?;
        for part in info.parts() {
            self.txn.tree(&info.tree(*part))?;
        }
        if history != History::Plain {
            let first = catalog::Epoch::first();
            self.txn.tree(META)?.put(catalog::epoch_key(info.id, first.begin), first.encode())?;
        }
        Ok(())
    }

    /// The collection called `name`, to write to.
    ///
    /// # Errors
    /// [`Error::NoCollection`]; [`Error::Engine`].
    pub fn collection(&mut self, name: &str) -> Result<CollectionMut<'_, 'e>> {
        let at = match self.touched.iter().position(|touched| touched.info.name == name) {
            Some(at) => at,
            None => {
                let info = self.find(name)?.ok_or_else(|| Error::NoCollection(name.into()))?;
                let epoch = match info.history {
                    History::Plain => PAST_EPOCH,
                    History::Bitemporal { .. } => epochs::last(&mut self.txn, info.id)?.number,
                };
                self.touched.push(Touched { info, epoch, puts: 0 });
                self.touched.len() - 1
            }
        };
        Ok(CollectionMut::new(self, at))
    }

    /// Says whether what is written to a collection is looked at by a guard: from here on, in every process.
    ///
    /// # Errors
    /// [`Error::NoCollection`]; [`Error::Unguarded`]: this store has no guard, so it cannot say. [`Error::Engine`]:
    /// abort.
    pub fn set_guarded(&mut self, name: &str, is_guarded: bool) -> Result<()> {
        if self.guard.is_none() {
            return Err(Error::Unguarded(name.into()));
        }
        let info = self.find(name)?.ok_or_else(|| Error::NoCollection(name.into()))?;
        if info.is_guarded == is_guarded {
            return Ok(());
        }
        let info = Info { is_guarded, ..info };
        self.txn.tree(META)?.put(catalog::collection_key(name), info.encode())?;
        for touched in self.touched.iter_mut().filter(|touched| touched.info.id == info.id) {
            touched.info = info.clone();
        }
        Ok(())
    }

    fn find(&mut self, name: &str) -> Result<Option<Info>> {
        let meta = self.txn.tree(META)?;
        meta.get(catalog::collection_key(name))?.map(|bytes| Info::decode(name, bytes)).transpose()
    }

    /// Commits with the durability that the store was opened with.
    ///
    /// # Errors
    /// As [`WriteTxn::commit_with`].
    pub fn commit(mut self) -> Result<Commit> {
        self.finish()?;
        Ok(self.txn.commit()?)
    }

    /// Makes everything written visible, atomically, at one moment of system time.
    ///
    /// # Errors
    /// [`Error::Engine`], as a commit of the engine.
    pub fn commit_with(mut self, durability: Durability) -> Result<Commit> {
        self.finish()?;
        Ok(self.txn.commit_with(durability)?)
    }

    /// Undoes everything. Dropping the transaction does the same.
    pub fn abort(self) {
        self.txn.abort();
    }

    fn finish(&mut self) -> Result<()> {
        let touched: Vec<_> = self.touched.drain(..).filter(|touched| touched.puts > 0).collect();
        if touched.iter().any(|touched| touched.info.history != History::Plain) {
            let txid = self.txid();
            catalog::note_commit(&mut self.txn, txid, self.timestamp)?;
        }
        for Touched { info, puts, .. } in &touched {
            epochs::advance(&mut self.txn, info, self.timestamp, *puts)?;
        }
        Ok(())
    }
}

pub(crate) fn damaged_row(tree: &str, key: &[u8]) -> Error {
    Error::Corruption { tree: tree.into(), what: format!("key {}", key.escape_ascii()) }
}
