//! fjall.
//!
//! Batches carry `PersistMode::SyncData`, which its documentation names for ACID transactions. Compression is not
//! compiled in: the values cannot be compressed. Everything else is as it comes.

use std::time::{Duration, Instant};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable, Snapshot as View};

use crate::data::Key;
use crate::engine::{Abilities, Engine, Hint, Outcome, Pair, Peer, Session, Settings, Snapshot};
use crate::rows::Rows;

/// How long the store must have been idle before it counts as settled.
const QUIET: Duration = Duration::from_millis(50);

/// fjall with synced batches.
pub const PEER: Peer = Peer {
    name: "fjall",
    crates: &["fjall", "lsm-tree"],
    abilities: Abilities { multi_get: false, append_hint: false, pipeline: false },
    settings: |settings| {
        let cache_mib = settings.cache_bytes >> 20;
        format!(
            "batches with PersistMode::SyncData; block cache {cache_mib} MiB; no compression; defaults otherwise"
        )
    },
    open,
};

struct Fjall {
    db: Database,
    rows: Keyspace,
}

fn open(settings: &Settings) -> Outcome<Box<dyn Engine>> {
    let db = Database::builder(&settings.dir).cache_size(settings.cache_bytes).open()?;
    let rows = db.keyspace("rows", KeyspaceCreateOptions::default)?;
    Ok(Box::new(Fjall { db, rows }))
}

impl Engine for Fjall {
    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(FjallSession(self)))
    }

    fn settle(&self) -> Outcome<()> {
        self.rows.rotate_memtable_and_wait()?;
        let mut quiet_since = Instant::now();
        let mut done = self.db.compactions_completed();
        while quiet_since.elapsed() < QUIET {
            std::thread::sleep(Duration::from_millis(5));
            let is_busy = self.db.outstanding_flushes() > 0 || self.db.active_compactions() > 0;
            let now_done = self.db.compactions_completed();
            if is_busy || now_done != done {
                (quiet_since, done) = (Instant::now(), now_done);
            }
        }
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }
}

struct FjallSession<'e>(&'e Fjall);

impl Session for FjallSession<'_> {
    fn commit(&mut self, pairs: &[Pair<'_>], _: Hint) -> Outcome<()> {
        let mut batch = self.0.db.batch().durability(Some(PersistMode::SyncData));
        for pair in pairs {
            batch.insert(&self.0.rows, pair.key, pair.value);
        }
        Ok(batch.commit()?)
    }

    fn fresh_get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        get(&self.0.db.snapshot(), &self.0.rows, key, rows)
    }

    fn snapshot(&mut self, body: &mut dyn FnMut(&mut dyn Snapshot) -> Outcome<()>) -> Outcome<()> {
        body(&mut FjallSnapshot { view: self.0.db.snapshot(), rows: &self.0.rows })
    }
}

struct FjallSnapshot<'e> {
    view: View,
    rows: &'e Keyspace,
}

impl Snapshot for FjallSnapshot<'_> {
    fn get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        get(&self.view, self.rows, key, rows)
    }

    fn scan(&mut self, from: Option<&Key>, rows_max: usize, rows: &mut Rows<'_>) -> Outcome<()> {
        let iter = match from {
            Some(key) => self.view.range(self.rows, *key..),
            None => self.view.iter(self.rows),
        };
        for row in iter.take(rows_max) {
            let (key, value) = row.into_inner()?;
            rows.row(&key, &value);
        }
        Ok(())
    }
}

#[inline]
fn get(view: &View, keyspace: &Keyspace, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
    let value = view.get(keyspace, key)?;
    if let Some(value) = &value {
        rows.value(key, value);
    }
    Ok(value.is_some())
}
