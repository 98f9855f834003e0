//! SQLite, compiled with `rusqlite`.
//!
//! Write-ahead log with `synchronous=FULL`: each commit syncs the log. One connection per thread, statements prepared
//! once, a WITHOUT ROWID table, so that the key is the tree's key and not a second index.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{CachedStatement, Connection, Rows as Cursor, TransactionBehavior, params};

use crate::data::Key;
use crate::engine::{Abilities, Engine, Hint, Outcome, Pair, Peer, Session, Settings, Snapshot};
use crate::rows::Rows;

/// SQLite with a synced write-ahead log.
pub const PEER: Peer = Peer {
    name: "sqlite",
    crates: &["rusqlite", "libsqlite3-sys"],
    abilities: Abilities { multi_get: false, append_hint: false, pipeline: false },
    settings: |settings| {
        let cache_mib = cache_bytes_each(settings) >> 20;
        format!(
            "journal_mode=WAL, synchronous=FULL; cache {cache_mib} MiB per connection; automatic checkpoints (default); \
             WITHOUT ROWID"
        )
    },
    open,
};

const GET: &str = "SELECT v FROM kv WHERE k = ?1";
const SCAN: &str = "SELECT k, v FROM kv WHERE k >= ?1 ORDER BY k LIMIT ?2";
const PUT: &str = "INSERT INTO kv VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v";

struct Sqlite {
    file: PathBuf,
    cache_bytes_each: u64,
    // Holds the log's index open while sessions come and go.
    keeper: std::sync::Mutex<Connection>,
}

/// Each connection has its own cache: many of them share the allowance, but none gets less than 64 MiB.
fn cache_bytes_each(settings: &Settings) -> u64 {
    (settings.cache_bytes / settings.sessions_max.max(1) as u64).max(64 << 20)
}

fn open(settings: &Settings) -> Outcome<Box<dyn Engine>> {
    std::fs::create_dir_all(&settings.dir)?;
    let file = settings.dir.join("store.sqlite");
    let cache_bytes_each = cache_bytes_each(settings);
    let keeper = connect(&file, cache_bytes_each)?;
    keeper
        .execute_batch("CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID")?;
    Ok(Box::new(Sqlite { file, cache_bytes_each, keeper: std::sync::Mutex::new(keeper) }))
}

fn connect(file: &PathBuf, cache_bytes: u64) -> Outcome<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(120))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -i64::try_from(cache_bytes >> 10)?)?;
    Ok(connection)
}

impl Engine for Sqlite {
    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(SqliteSession(connect(&self.file, self.cache_bytes_each)?)))
    }

    fn settle(&self) -> Outcome<()> {
        let keeper = self.keeper.lock().map_err(|_| "another thread failed while it held the connection")?;
        Ok(keeper.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        let keeper =
            self.keeper.into_inner().map_err(|_| "another thread failed while it held the connection")?;
        keeper.close().map_err(|(_, error)| error.into())
    }

    fn library_version(&self) -> Option<String> {
        Some(format!("SQLite {}", rusqlite::version()))
    }
}

struct SqliteSession(Connection);

impl Session for SqliteSession {
    fn commit(&mut self, pairs: &[Pair<'_>], _: Hint) -> Outcome<()> {
        let txn = self.0.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut put = txn.prepare_cached(PUT)?;
        for pair in pairs {
            put.execute(params![&pair.key[..], pair.value])?;
        }
        drop(put);
        Ok(txn.commit()?)
    }

    fn fresh_get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        get(&mut self.0.prepare_cached(GET)?, key, rows)
    }

    fn snapshot(&mut self, body: &mut dyn FnMut(&mut dyn Snapshot) -> Outcome<()>) -> Outcome<()> {
        let txn = self.0.unchecked_transaction()?;
        let (get, scan) = (txn.prepare_cached(GET)?, txn.prepare_cached(SCAN)?);
        body(&mut SqliteSnapshot { get, scan })
    }
}

struct SqliteSnapshot<'c> {
    get: CachedStatement<'c>,
    scan: CachedStatement<'c>,
}

impl Snapshot for SqliteSnapshot<'_> {
    fn get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        get(&mut self.get, key, rows)
    }

    fn scan(&mut self, from: Option<&Key>, rows_max: usize, rows: &mut Rows<'_>) -> Outcome<()> {
        let start: &[u8] = from.map_or(&[], |key| key);
        let rows_max = i64::try_from(rows_max).unwrap_or(i64::MAX);
        let mut cursor: Cursor<'_> = self.scan.query(params![start, rows_max])?;
        while let Some(row) = cursor.next()? {
            rows.row(row.get_ref(0)?.as_blob()?, row.get_ref(1)?.as_blob()?);
        }
        Ok(())
    }
}

fn get(statement: &mut CachedStatement<'_>, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
    let mut cursor = statement.query(params![&key[..]])?;
    let Some(row) = cursor.next()? else { return Ok(false) };
    rows.value(key, row.get_ref(0)?.as_blob()?);
    Ok(true)
}
