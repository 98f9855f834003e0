//! canopydb.
//!
//! Its default leaves commits to a background sync, so `default_commit_sync` is set: each commit waits for the
//! write-ahead log. A batch of 16 MB would go to a temporary file under the default limit of 8 MB, so that limit is
//! raised. Page checksums are off by default and stay off; the log always has them.

use canopydb::{Bytes, Database, DbOptions, EnvOptions, ReadTransaction, Tree};

use crate::data::Key;
use crate::engine::{Abilities, Engine, Hint, Outcome, Pair, Peer, Session, Settings, Snapshot};
use crate::rows::Rows;

const TREE: &[u8] = b"rows";

/// canopydb with synced commits.
pub const PEER: Peer = Peer {
    name: "canopydb",
    crates: &["canopydb"],
    abilities: Abilities { multi_get: false, append_hint: false, pipeline: false },
    settings: |settings| {
        let cache_mib = settings.cache_bytes >> 20;
        format!(
            "default_commit_sync; write batch limit 64 MiB; page cache {cache_mib} MiB; page checksums off (default)"
        )
    },
    open,
};

struct Canopy(Database);

fn open(settings: &Settings) -> Outcome<Box<dyn Engine>> {
    let mut env = EnvOptions::new(&settings.dir);
    env.page_cache_size = usize::try_from(settings.cache_bytes)?;
    env.wal_write_batch_memory_limit = 64 << 20;
    let mut options = DbOptions::new();
    options.default_commit_sync = true;
    let db = Database::with_options(env, options)?;
    let txn = db.begin_write()?;
    if txn.get_tree(TREE)?.is_none() {
        drop(txn.get_or_create_tree(TREE)?);
        txn.commit()?;
    }
    Ok(Box::new(Canopy(db)))
}

impl Engine for Canopy {
    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(CanopySession(self)))
    }

    fn settle(&self) -> Outcome<()> {
        Ok(self.0.checkpoint()?)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.0.checkpoint()?;
        Ok(())
    }
}

struct CanopySession<'e>(&'e Canopy);

impl Session for CanopySession<'_> {
    fn commit(&mut self, pairs: &[Pair<'_>], _: Hint) -> Outcome<()> {
        let txn = self.0.0.begin_write()?;
        let mut tree = txn.get_or_create_tree(TREE)?;
        for pair in pairs {
            tree.insert(&pair.key, pair.value)?;
        }
        drop(tree);
        txn.commit()?;
        Ok(())
    }

    fn fresh_get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        let txn = self.0.0.begin_read()?;
        get(&tree_of(&txn)?, key, rows)
    }

    fn snapshot(&mut self, body: &mut dyn FnMut(&mut dyn Snapshot) -> Outcome<()>) -> Outcome<()> {
        let txn = self.0.0.begin_read()?;
        body(&mut CanopySnapshot(tree_of(&txn)?))
    }
}

struct CanopySnapshot<'t>(Tree<'t>);

impl Snapshot for CanopySnapshot<'_> {
    fn get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        get(&self.0, key, rows)
    }

    fn scan(&mut self, from: Option<&Key>, rows_max: usize, rows: &mut Rows<'_>) -> Outcome<()> {
        let iter = match from {
            Some(key) => self.0.range(&key[..]..)?,
            None => self.0.iter()?,
        };
        for row in iter.take(rows_max) {
            let (key, value) = row?;
            rows.row(&key, &value);
        }
        Ok(())
    }
}

fn tree_of(txn: &ReadTransaction) -> Outcome<Tree<'_>> {
    Ok(txn.get_tree(TREE)?.ok_or("the tree was made when the store was opened")?)
}

#[inline]
fn get(tree: &Tree<'_>, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
    let value: Option<Bytes> = tree.get(key)?;
    if let Some(value) = &value {
        rows.value(key, value);
    }
    Ok(value.is_some())
}
