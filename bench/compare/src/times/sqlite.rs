//! A table of versions in SQLite, as the books on data in two times have it.
//!
//! An assertion from now on closes the row that is believed, says of the time that has passed that the old value still held,
//! and adds the new value: two rows for each update, as every change of both times takes. Each question has the index that
//! answers it with one seek: by system time where that is asked for, else by valid time. What is believed now has a partial index.

use std::{
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use rusqlite::{Connection, TransactionBehavior, params};

use super::{Outcome, Question, Versions, key, sum, value};

const FOREVER: i64 = i64::MAX;

const SCHEMA: &str = "
    CREATE TABLE rows (
        id INTEGER PRIMARY KEY, key TEXT NOT NULL, valid_from INTEGER NOT NULL, valid_to INTEGER NOT NULL,
        sys_from INTEGER NOT NULL, sys_to INTEGER NOT NULL, value BLOB NOT NULL
    );
    CREATE INDEX by_known ON rows (key, sys_from, valid_from);
    CREATE INDEX by_valid ON rows (key, valid_from, sys_from);
    CREATE UNIQUE INDEX present ON rows (key) WHERE sys_to = 9223372036854775807 AND valid_to = 9223372036854775807;
";

const NOW: &str = "SELECT value FROM rows INDEXED BY present WHERE key = ?1 AND sys_to = 9223372036854775807 \
                   AND valid_to = 9223372036854775807 AND ?2 > 0 AND ?3 > 0";
const AS_OF_KNOWN: &str = "SELECT value FROM rows INDEXED BY by_known WHERE key = ?1 AND sys_from <= ?3 AND sys_to > ?3 \
                           AND valid_from <= ?2 AND valid_to > ?2 ORDER BY sys_from DESC LIMIT 1";
const AS_OF_VALID: &str = "SELECT value FROM rows INDEXED BY by_valid WHERE key = ?1 AND valid_from <= ?2 AND valid_to > ?2 \
                           AND sys_from <= ?3 AND sys_to > ?3 ORDER BY valid_from DESC LIMIT 1";
const SCAN: &str =
    "SELECT value FROM rows WHERE sys_from <= ?2 AND sys_to > ?2 AND valid_from <= ?1 AND valid_to > ?1";
const SCAN_NOW: &str = "SELECT value FROM rows INDEXED BY present WHERE sys_to = 9223372036854775807 \
                        AND valid_to = 9223372036854775807 AND ?1 > 0 AND ?2 > 0";

pub struct Sqlite {
    connection: Connection,
    last: i64,
}

impl Sqlite {
    pub fn open(path: &Path) -> Outcome<Self> {
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -(256 << 10))?;
        connection.execute_batch(SCHEMA)?;
        Ok(Self { connection, last: 0 })
    }

    /// A moment that is later than all before it.
    fn moment(&mut self) -> Outcome<i64> {
        let clock = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
        self.last = clock.max(self.last + 1);
        Ok(self.last)
    }
}

pub fn version() -> String {
    format!("SQLite {}, journal_mode=WAL, synchronous=FULL, cache 256 MiB", rusqlite::version())
}

impl Versions for Sqlite {
    fn put(&mut self, rows: &[usize], version: usize) -> Outcome<i64> {
        let now = self.moment()?;
        let txn = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut find = txn.prepare_cached(
            "SELECT id, valid_from, value FROM rows INDEXED BY present WHERE key = ?1 AND sys_to = 9223372036854775807 \
             AND valid_to = 9223372036854775807",
        )?;
        let mut close = txn.prepare_cached("UPDATE rows SET sys_to = ?2 WHERE id = ?1")?;
        let mut add = txn.prepare_cached(
            "INSERT INTO rows (key, valid_from, valid_to, sys_from, sys_to, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?;
        for number in rows {
            let key = key(*number);
            let mut found = find.query(params![key])?;
            let old = match found.next()? {
                Some(row) => Some((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Vec<u8>>(2)?)),
                None => None,
            };
            drop(found);
            if let Some((id, valid_from, old)) = old {
                close.execute(params![id, now])?;
                add.execute(params![key, valid_from, now, now, FOREVER, old])?;
            }
            add.execute(params![key, now, FOREVER, now, FOREVER, value(*number, version)])?;
        }
        drop((find, close, add));
        txn.commit()?;
        Ok(now)
    }

    fn ask(&mut self, questions: &[Question]) -> Outcome<Vec<u64>> {
        let now = self.moment()?;
        let txn = self.connection.transaction()?;
        let mut answers = Vec::with_capacity(questions.len());
        {
            let mut by_now = txn.prepare_cached(NOW)?;
            let mut by_known = txn.prepare_cached(AS_OF_KNOWN)?;
            let mut by_valid = txn.prepare_cached(AS_OF_VALID)?;
            for question in questions {
                let statement = match (question.valid, question.known) {
                    (None, None) => &mut by_now,
                    (_, Some(_)) => &mut by_known,
                    (Some(_), None) => &mut by_valid,
                };
                let (valid, known) = (question.valid.unwrap_or(now), question.known.unwrap_or(now));
                let mut rows = statement.query(params![key(question.row), valid, known])?;
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

    fn scan(&mut self, valid: Option<i64>, known: Option<i64>) -> Outcome<(usize, u64)> {
        let now = self.moment()?;
        let text = if valid.or(known).is_none() { SCAN_NOW } else { SCAN };
        let mut statement = self.connection.prepare_cached(text)?;
        let mut rows = statement.query(params![valid.unwrap_or(now), known.unwrap_or(now)])?;
        let (mut count, mut total) = (0, 0);
        while let Some(row) = rows.next()? {
            count += 1;
            total += sum(row.get_ref(0)?.as_blob()?);
        }
        Ok((count, total))
    }
}
