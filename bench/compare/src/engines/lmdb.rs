//! LMDB through `heed`, twice: as it comes, and with MDB_WRITEMAP.
//!
//! Durable commits are its default (no NOSYNC, no NOMETASYNC). It has no cache of its own. WRITEMAP changes pages
//! through a writable shared map instead of `pwrite`; its authors recommend it for speed with the warning that stray
//! stores of the application reach the file.

#![expect(unsafe_code, reason = "heed marks opening an environment and its flags unsafe")]

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions, PutFlags, RoTxn};

use crate::data::Key;
use crate::engine::{Abilities, Engine, Hint, Outcome, Pair, Peer, Session, Settings, Snapshot};
use crate::rows::Rows;

const ABILITIES: Abilities = Abilities { multi_get: false, append_hint: true, pipeline: false };

/// LMDB as it comes: pages are written with `pwrite`.
pub const PEER: Peer = Peer {
    name: "lmdb",
    crates: &["heed", "lmdb-master-sys"],
    abilities: ABILITIES,
    settings: |settings| describe(settings, "none"),
    open: |settings| open(settings, EnvFlags::empty()),
};

/// LMDB with MDB_WRITEMAP.
pub const PEER_WRITEMAP: Peer = Peer {
    name: "lmdb-wm",
    settings: |settings| describe(settings, "MDB_WRITEMAP"),
    open: |settings| open(settings, EnvFlags::WRITE_MAP),
    ..PEER
};

fn describe(settings: &Settings, flags: &str) -> String {
    let map_gib = settings.map_bytes >> 30;
    format!("flags {flags}; sync on commit (default); map {map_gib} GiB; one unnamed database")
}

struct Lmdb {
    env: Env,
    db: Database<Bytes, Bytes>,
}

fn open(settings: &Settings, flags: EnvFlags) -> Outcome<Box<dyn Engine>> {
    let mut options = EnvOpenOptions::new();
    options.map_size(usize::try_from(settings.map_bytes)?);
    options.max_readers(u32::try_from(settings.sessions_max + 64)?);
    // SAFETY: WRITEMAP and no flag at all leave nothing to the caller but to keep others from changing the file.
    unsafe { options.flags(flags) };
    // SAFETY: the folder belongs to this program alone, and one process at a time opens it.
    let env = unsafe { options.open(&settings.dir) }?;
    let mut txn = env.write_txn()?;
    let db = env.create_database(&mut txn, None)?;
    txn.commit()?;
    Ok(Box::new(Lmdb { env, db }))
}

impl Engine for Lmdb {
    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(LmdbSession(self)))
    }

    fn settle(&self) -> Outcome<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        self.env.prepare_for_closing().wait();
        Ok(())
    }

    fn library_version(&self) -> Option<String> {
        let version = heed::lmdb_version();
        Some(format!("LMDB {}.{}.{}", version.major, version.minor, version.patch))
    }
}

struct LmdbSession<'e>(&'e Lmdb);

impl Session for LmdbSession<'_> {
    fn commit(&mut self, pairs: &[Pair<'_>], hint: Hint) -> Outcome<()> {
        let flags = if hint == Hint::Append { PutFlags::APPEND } else { PutFlags::empty() };
        let mut txn = self.0.env.write_txn()?;
        for pair in pairs {
            self.0.db.put_with_flags(&mut txn, flags, &pair.key, pair.value)?;
        }
        Ok(txn.commit()?)
    }

    fn fresh_get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        let txn = self.0.env.read_txn()?;
        get(self.0.db, &txn, key, rows)
    }

    fn snapshot(&mut self, body: &mut dyn FnMut(&mut dyn Snapshot) -> Outcome<()>) -> Outcome<()> {
        let txn = self.0.env.read_txn()?;
        body(&mut LmdbSnapshot { db: self.0.db, txn: &txn })
    }
}

struct LmdbSnapshot<'t> {
    db: Database<Bytes, Bytes>,
    txn: &'t RoTxn<'t>,
}

impl Snapshot for LmdbSnapshot<'_> {
    fn get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        get(self.db, self.txn, key, rows)
    }

    fn scan(&mut self, from: Option<&Key>, rows_max: usize, rows: &mut Rows<'_>) -> Outcome<()> {
        let start: &[u8] = from.map_or(&[], |key| key);
        if start.is_empty() {
            for row in self.db.iter(self.txn)?.take(rows_max) {
                let (key, value) = row?;
                rows.row(key, value);
            }
            return Ok(());
        }
        let range = (std::ops::Bound::Included(start), std::ops::Bound::Unbounded);
        for row in self.db.range(self.txn, &range)?.take(rows_max) {
            let (key, value) = row?;
            rows.row(key, value);
        }
        Ok(())
    }
}

#[inline]
fn get(db: Database<Bytes, Bytes>, txn: &RoTxn<'_>, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
    let value = db.get(txn, key)?;
    value.inspect(|value| rows.value(key, value));
    Ok(value.is_some())
}
