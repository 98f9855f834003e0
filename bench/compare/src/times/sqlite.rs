//! A table of versions in SQLite, as the books on data in two times have it.
//!
//! An assertion from now on closes the row that is believed, says of the time that has passed that the old value still held,
//! and adds the new value: two rows for each update, as every change of both times takes. The table itself is ordered by
//! key and system time, so that what is believed now and what was known once is found by one seek, with the value. Valid
//! time has an index of its own, what is believed now a partial one, for scans.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, Statement, TransactionBehavior, params};

use super::{Force, Outcome, Question, Versions, key, sum, value};

const FOREVER: i64 = i64::MAX;

const TABLE: &str = "
    CREATE TABLE rows (
        key TEXT NOT NULL, valid_from INTEGER NOT NULL, valid_to INTEGER NOT NULL,
        sys_from INTEGER NOT NULL, sys_to INTEGER NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (key, sys_from, valid_from)
    ) WITHOUT ROWID;
";
const LEAN: &str = "
    CREATE INDEX by_valid ON rows (key, valid_from, sys_from);
    CREATE INDEX present ON rows (key) WHERE sys_to = 9223372036854775807 AND valid_to = 9223372036854775807;
";
const COVERING: &str = "
    CREATE INDEX by_valid ON rows (key, valid_from, sys_from, valid_to, sys_to, value);
    CREATE INDEX present ON rows (key, value, valid_from)
        WHERE sys_to = 9223372036854775807 AND valid_to = 9223372036854775807;
";

/// By system time, the newest first: the first row that was known then is the one, unless several periods were known.
const BY_KNOWN: &str = "SELECT value FROM rows WHERE key = ?1 AND sys_from <= ?3 AND sys_to > ?3 \
                        AND valid_from <= ?2 AND valid_to > ?2 ORDER BY sys_from DESC, valid_from DESC LIMIT 1";
const BY_VALID: &str = "SELECT value FROM rows INDEXED BY by_valid WHERE key = ?1 AND valid_from <= ?2 AND valid_to > ?2 \
                        AND sys_from <= ?3 AND sys_to > ?3 ORDER BY valid_from DESC, sys_from DESC LIMIT 1";
const SCAN_NOW: &str = "SELECT value FROM rows INDEXED BY present WHERE sys_to = 9223372036854775807 \
                        AND valid_to = 9223372036854775807 AND ?1 > 0 AND ?2 > 0";
/// Reads all versions.
const SCAN_ALL: &str = "SELECT value FROM rows NOT INDEXED WHERE sys_from <= ?2 AND sys_to > ?2 AND valid_from <= ?1 \
                        AND valid_to > ?1";
/// Goes from key to key, and seeks the version of each.
const SCAN_KNOWN: &str = "
    WITH RECURSIVE keys(key) AS (
        SELECT min(key) FROM rows
        UNION ALL SELECT (SELECT key FROM rows WHERE key > keys.key ORDER BY key LIMIT 1) FROM keys WHERE keys.key IS NOT NULL
    )
    SELECT (SELECT value FROM rows WHERE key = keys.key AND sys_from <= ?2 AND sys_to > ?2 AND valid_from <= ?1
            AND valid_to > ?1 ORDER BY sys_from DESC, valid_from DESC LIMIT 1) AS found
    FROM keys WHERE found IS NOT NULL";
const SCAN_VALID: &str = "
    WITH RECURSIVE keys(key) AS (
        SELECT min(key) FROM rows
        UNION ALL SELECT (SELECT key FROM rows WHERE key > keys.key ORDER BY key LIMIT 1) FROM keys WHERE keys.key IS NOT NULL
    )
    SELECT (SELECT value FROM rows INDEXED BY by_valid WHERE key = keys.key AND valid_from <= ?1 AND valid_to > ?1
            AND sys_from <= ?2 AND sys_to > ?2 ORDER BY valid_from DESC, sys_from DESC LIMIT 1) AS found
    FROM keys WHERE found IS NOT NULL";

/// Which indexes the table has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Indexes {
    /// Those that find a row.
    Lean,
    /// The same with all columns that a question wants.
    Covering,
}

pub struct Sqlite {
    connection: Connection,
    last: i64,
    keys: Vec<String>,
}

impl Sqlite {
    pub fn open(path: &Path, rows: usize, indexes: Indexes) -> Outcome<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "cache_size", -(256 << 10))?;
        // A checkpoint every 64 MiB of log, as LLMDB has it: by default it is 4 MiB.
        connection.pragma_update(None, "wal_autocheckpoint", 16 << 10)?;
        connection.execute_batch(TABLE)?;
        connection.execute_batch(if indexes == Indexes::Lean { LEAN } else { COVERING })?;
        check_plans(&connection, indexes)?;
        Ok(Self { connection, last: 0, keys: (0..rows).map(key).collect() })
    }

    /// A moment that is later than all before it.
    fn moment(&mut self) -> Outcome<i64> {
        let clock = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
        self.last = clock.max(self.last + 1);
        Ok(self.last)
    }
}

pub fn version() -> String {
    format!("SQLite {}, WAL, a checkpoint every 64 MiB, cache 256 MiB", rusqlite::version())
}

/// Every question is answered as it was meant to be: by the order of the table, or by the index.
fn check_plans(connection: &Connection, indexes: Indexes) -> Outcome<()> {
    let by_valid = match indexes {
        Indexes::Lean => "USING INDEX by_valid (key=? AND valid_from<?)",
        Indexes::Covering => "USING COVERING INDEX by_valid (key=? AND valid_from<?)",
    };
    let by_known = "USING PRIMARY KEY (key=? AND sys_from<?)";
    let questions = [
        (BY_KNOWN, by_known),
        (BY_VALID, by_valid),
        (SCAN_KNOWN, by_known),
        (SCAN_VALID, by_valid),
        (SCAN_NOW, "INDEX present"),
        (SCAN_ALL, "SCAN rows"),
    ];
    for (text, expected) in questions {
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {text}"))?;
        let mut rows = plan.raw_query();
        let mut lines = Vec::new();
        while let Some(row) = rows.next()? {
            lines.push(row.get::<_, String>(3)?);
        }
        let lines = lines.join("; ");
        if !lines.contains(expected) || lines.contains("TEMP B-TREE") {
            return Err(format!("SQLite plans otherwise than by {expected:?}: {lines}").into());
        }
    }
    Ok(())
}

impl Versions for Sqlite {
    fn put(&mut self, rows: &[(usize, usize)], force: Force) -> Outcome<i64> {
        let now = self.moment()?;
        let synchronous = if force == Force::Yes { "FULL" } else { "OFF" };
        self.connection.pragma_update(None, "synchronous", synchronous)?;
        let txn = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut find = txn.prepare_cached(
            "SELECT valid_from, sys_from, value FROM rows WHERE key = ?1 AND sys_to = 9223372036854775807 \
             AND valid_to = 9223372036854775807 ORDER BY sys_from DESC, valid_from DESC LIMIT 1",
        )?;
        let mut close = txn.prepare_cached(
            "UPDATE rows SET sys_to = ?4 WHERE key = ?1 AND sys_from = ?2 AND valid_from = ?3",
        )?;
        let mut again = txn.prepare_cached(
            "UPDATE rows SET value = ?4 WHERE key = ?1 AND sys_from = ?2 AND valid_from = ?3",
        )?;
        let mut add = txn.prepare_cached(
            "INSERT INTO rows (key, valid_from, valid_to, sys_from, sys_to, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for (row, version) in rows {
            let (key, value) = (&self.keys[*row], value(*row, *version));
            match believed(&mut find, key)? {
                // The same transaction said something else before.
                Some((valid_from, sys_from, _)) if sys_from == now => {
                    again.execute(params![key, sys_from, valid_from, value])?;
                    continue;
                }
                Some((valid_from, sys_from, old)) => {
                    close.execute(params![key, sys_from, valid_from, now])?;
                    add.execute(params![key, valid_from, now, now, FOREVER, old])?;
                }
                None => {}
            }
            add.execute(params![key, now, FOREVER, now, FOREVER, value])?;
        }
        drop((find, close, again, add));
        txn.commit()?;
        Ok(now)
    }

    fn settle(&mut self) -> Outcome<()> {
        self.connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }

    fn ask(&mut self, questions: &[Question]) -> Outcome<Vec<u64>> {
        let now = self.moment()?;
        let txn = self.connection.transaction()?;
        let mut answers = Vec::with_capacity(questions.len());
        {
            let mut by_known = txn.prepare_cached(BY_KNOWN)?;
            let mut by_valid = txn.prepare_cached(BY_VALID)?;
            for question in questions {
                let is_by_valid = question.valid.is_some() && question.known.is_none();
                let statement = if is_by_valid { &mut by_valid } else { &mut by_known };
                let (valid, known) = (question.valid.unwrap_or(now), question.known.unwrap_or(now));
                let mut rows = statement.query(params![self.keys[question.row], valid, known])?;
                let answer = match rows.next()? {
                    Some(row) => sum(row.get_ref(0)?.as_blob()?),
                    None => 0,
                };
                answers.push(answer);
            }
        }
        txn.commit()?;
        Ok(answers)
    }

    fn scan(&mut self, valid: Option<i64>, known: Option<i64>, way: usize) -> Outcome<(usize, u64)> {
        let now = self.moment()?;
        let text = match (valid, known, way) {
            (None, None, _) => SCAN_NOW,
            (_, _, 0) => SCAN_ALL,
            (_, Some(_), _) => SCAN_KNOWN,
            (Some(_), None, _) => SCAN_VALID,
        };
        let mut statement = self.connection.prepare_cached(text)?;
        let mut rows = statement.query(params![valid.unwrap_or(now), known.unwrap_or(now)])?;
        let (mut count, mut total) = (0, 0);
        while let Some(row) = rows.next()? {
            count += 1;
            total += sum(row.get_ref(0)?.as_blob()?);
        }
        Ok((count, total))
    }

    fn scan_ways(&self, valid: Option<i64>, known: Option<i64>) -> usize {
        if valid.or(known).is_none() { 1 } else { 2 }
    }
}

/// Valid from when, believed since when, and the value of what is believed of the present and the future.
fn believed(find: &mut Statement<'_>, key: &str) -> Outcome<Option<(i64, i64, Vec<u8>)>> {
    let mut found = find.query(params![key])?;
    let Some(row) = found.next()? else { return Ok(None) };
    Ok(Some((row.get(0)?, row.get(1)?, row.get(2)?)))
}
