//! libmdbx through `signet-libmdbx`.
//!
//! Sync mode `Durable` is the default: data, then meta, both synced. Growth is left to the library. Transactions are
//! the unsynchronised kind, which the binding's authors recommend when a transaction stays on its thread.

use std::borrow::Cow;

use signet_libmdbx::{Database, DatabaseFlags, Environment, Geometry, Mode, SyncMode, WriteFlags};

use crate::data::Key;
use crate::engine::{Abilities, Engine, Hint, Outcome, Pair, Peer, Session, Settings, Snapshot};
use crate::rows::Rows;

/// libmdbx with durable commits.
pub const PEER: Peer = Peer {
    name: "mdbx",
    crates: &["signet-libmdbx", "signet-mdbx-sys"],
    abilities: Abilities { multi_get: false, append_hint: true, pipeline: false },
    settings: |settings| {
        let map_gib = settings.map_bytes >> 30;
        format!(
            "MDBX_SYNC_DURABLE (default), no WRITEMAP; geometry 0..{map_gib} GiB; unsynchronised transactions"
        )
    },
    open,
};

struct Mdbx {
    env: Environment,
    db: Database,
}

fn open(settings: &Settings) -> Outcome<Box<dyn Engine>> {
    let mut builder = Environment::builder();
    builder
        .set_geometry(Geometry { size: Some(0..usize::try_from(settings.map_bytes)?), ..Default::default() });
    builder.set_max_readers(settings.sessions_max as u64 + 64);
    builder.set_flags(Mode::ReadWrite { sync_mode: SyncMode::Durable }.into());
    let env = builder.open(&settings.dir)?;
    let txn = env.begin_rw_unsync()?;
    let db = txn.create_db(None, DatabaseFlags::empty())?;
    txn.commit()?;
    Ok(Box::new(Mdbx { env, db }))
}

impl Engine for Mdbx {
    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(MdbxSession(self)))
    }

    fn settle(&self) -> Outcome<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        Ok(())
    }
}

struct MdbxSession<'e>(&'e Mdbx);

/// The read transaction of a session's thread.
type ReadTxn = signet_libmdbx::tx::aliases::RoTxUnsync;

impl Session for MdbxSession<'_> {
    fn commit(&mut self, pairs: &[Pair<'_>], hint: Hint) -> Outcome<()> {
        let flags = if hint == Hint::Append { WriteFlags::APPEND } else { WriteFlags::empty() };
        let txn = self.0.env.begin_rw_unsync()?;
        for pair in pairs {
            txn.put(self.0.db, pair.key, pair.value, flags)?;
        }
        Ok(txn.commit()?)
    }

    fn fresh_get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        get(self.0.db, &self.0.env.begin_ro_unsync()?, key, rows)
    }

    fn snapshot(&mut self, body: &mut dyn FnMut(&mut dyn Snapshot) -> Outcome<()>) -> Outcome<()> {
        let txn = self.0.env.begin_ro_unsync()?;
        body(&mut MdbxSnapshot { db: self.0.db, txn: &txn })
    }
}

struct MdbxSnapshot<'t> {
    db: Database,
    txn: &'t ReadTxn,
}

impl Snapshot for MdbxSnapshot<'_> {
    fn get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        get(self.db, self.txn, key, rows)
    }

    fn scan(&mut self, from: Option<&Key>, rows_max: usize, rows: &mut Rows<'_>) -> Outcome<()> {
        let mut cursor = self.txn.cursor(self.db)?;
        let mut iter = match from {
            Some(key) => cursor.iter_from::<Cow<'_, [u8]>, Cow<'_, [u8]>>(key)?,
            None => cursor.iter_start()?,
        };
        for _ in 0..rows_max {
            let Some((key, value)) = iter.borrow_next()? else { break };
            rows.row(&key, &value);
        }
        Ok(())
    }
}

#[inline]
fn get(db: Database, txn: &ReadTxn, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
    let value: Option<Cow<'_, [u8]>> = txn.get(db.dbi(), key)?;
    if let Some(value) = &value {
        rows.value(key, value);
    }
    Ok(value.is_some())
}
