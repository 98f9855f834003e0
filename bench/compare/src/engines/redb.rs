//! redb.
//!
//! `Durability::Immediate` with its one-phase commit (checksums decide which root is valid) is the default and what
//! its authors recommend unless keys come from an attacker.

use redb::{Builder, Database, Durability, ReadTransaction, ReadableDatabase, TableDefinition};

use crate::data::Key;
use crate::engine::{Abilities, Engine, Hint, Outcome, Pair, Peer, Session, Settings, Snapshot};
use crate::rows::Rows;

const TABLE: TableDefinition<'static, &[u8], &[u8]> = TableDefinition::new("rows");

/// redb with immediate durability.
pub const PEER: Peer = Peer {
    name: "redb",
    crates: &["redb"],
    abilities: Abilities { multi_get: false, append_hint: false, pipeline: false },
    settings: |settings| {
        let cache_mib = settings.cache_bytes >> 20;
        format!(
            "Durability::Immediate, one-phase commit (default); cache {cache_mib} MiB; &[u8] keys and values"
        )
    },
    open,
};

struct Redb(Database);

fn open(settings: &Settings) -> Outcome<Box<dyn Engine>> {
    std::fs::create_dir_all(&settings.dir)?;
    let mut builder = Builder::new();
    builder.set_cache_size(usize::try_from(settings.cache_bytes)?);
    let file = settings.dir.join("store.redb");
    let is_new = !file.exists();
    let db = builder.create(file)?;
    if is_new {
        let txn = db.begin_write()?;
        txn.open_table(TABLE)?;
        txn.commit()?;
    }
    Ok(Box::new(Redb(db)))
}

impl Engine for Redb {
    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(RedbSession(self)))
    }

    fn settle(&self) -> Outcome<()> {
        Ok(())
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        Ok(self.0.close()?)
    }
}

struct RedbSession<'e>(&'e Redb);

impl Session for RedbSession<'_> {
    fn commit(&mut self, pairs: &[Pair<'_>], _: Hint) -> Outcome<()> {
        let mut txn = self.0.0.begin_write()?;
        txn.set_durability(Durability::Immediate)?;
        let mut table = txn.open_table(TABLE)?;
        for pair in pairs {
            table.insert(&pair.key[..], pair.value)?;
        }
        drop(table);
        Ok(txn.commit()?)
    }

    fn fresh_get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        let table = self.0.0.begin_read()?.open_table(TABLE)?;
        get(&table, key, rows)
    }

    fn snapshot(&mut self, body: &mut dyn FnMut(&mut dyn Snapshot) -> Outcome<()>) -> Outcome<()> {
        let txn: ReadTransaction = self.0.0.begin_read()?;
        body(&mut RedbSnapshot(txn.open_table(TABLE)?))
    }
}

type Table = redb::ReadOnlyTable<&'static [u8], &'static [u8]>;

struct RedbSnapshot(Table);

impl Snapshot for RedbSnapshot {
    fn get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        get(&self.0, key, rows)
    }

    fn scan(&mut self, from: Option<&Key>, rows_max: usize, rows: &mut Rows<'_>) -> Outcome<()> {
        let start: &[u8] = from.map_or(&[], |key| key);
        for row in self.0.range(start..)?.take(rows_max) {
            let (key, value) = row?;
            rows.row(key.value(), value.value());
        }
        Ok(())
    }
}

#[inline]
fn get(table: &Table, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
    let value = table.get(&key[..])?;
    if let Some(value) = &value {
        rows.value(key, value.value());
    }
    Ok(value.is_some())
}
