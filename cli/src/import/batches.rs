//! From rows to transactions: each batch is durable before the next begins, and remembers how far it came.

use std::io::{self, Read};

use llmdb::{Db, KEY_LEN_MAX, WriteTxn};
use serde_json::Value;

use super::{
    position::{IMPORT_TREE, Position},
    source::{Content, Next, Row, Source},
};
use crate::{failure::Failure, host, interrupt::Interrupt, text};

/// How large a batch may be. A batch ends with the row that reaches either.
#[derive(Clone, Copy, Debug)]
pub struct Batches {
    pub rows_max: u64,
    pub bytes_max: u64,
}

/// Files longer than this get a batch of their own, so that one that fails half-way takes no other rows with it.
const OWN_BATCH_BYTES: u64 = 1 << 20;

/// Longest value.
const VALUE_BYTES_MAX: u64 = 4 << 30;

/// An import under way.
pub struct Import<'a> {
    pub db: &'a Db,
    /// The tree for rows that name none.
    pub tree: &'a str,
    /// Where the position is remembered, and what identifies the source; `None` if it cannot be resumed.
    pub record: Option<(&'a [u8], &'a Value)>,
    pub batches: Batches,
    pub skip_bad: bool,
    pub stop: &'a Interrupt,
    pub progress: &'a dyn Fn(u64),
    pub report: &'a dyn Fn(&str),
}

/// Why an import, or a batch, ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Full,
    Finished,
    Interrupted,
}

/// What an import did.
#[derive(Debug)]
pub struct Outcome {
    pub ending: Ending,
    pub position: Position,
    pub rows: u64,
    pub bytes: u64,
    pub batches: u64,
    pub left_out: u64,
}

impl Outcome {
    /// Of an import that had nothing left to do.
    pub fn finished_earlier(position: Position) -> Self {
        Self { ending: Ending::Finished, position, rows: 0, bytes: 0, batches: 0, left_out: 0 }
    }
}

impl Import<'_> {
    /// Stores what the source gives, beginning at `start`, until it ends or somebody asks to stop.
    pub fn run(&self, source: &mut dyn Source, start: Position) -> Result<Outcome, Failure> {
        let mut outcome =
            Outcome { ending: Ending::Full, position: start, rows: 0, bytes: 0, batches: 0, left_out: 0 };
        let mut held = None;
        while outcome.ending == Ending::Full {
            self.batch(source, &mut held, &mut outcome)?;
            (self.progress)(source.done_bytes());
        }
        Ok(outcome)
    }

    /// One transaction. `held` is a row that was read but belongs to the next batch.
    fn batch(
        &self,
        source: &mut dyn Source,
        held: &mut Option<Row>,
        outcome: &mut Outcome,
    ) -> Result<(), Failure> {
        let mut txn = self.db.begin_write()?;
        let (mut rows, mut bytes) = (0, 0);
        let mut bad = None;
        outcome.ending = loop {
            if self.stop.is_asked() {
                break Ending::Interrupted;
            }
            if rows >= self.batches.rows_max || bytes >= self.batches.bytes_max {
                break Ending::Full;
            }
            let next = held.take().map_or_else(|| source.next(), |row| Ok(Next::Row(row)))?;
            let taken = match next {
                Next::End => break Ending::Finished,
                Next::Bad(why) => Err(why),
                Next::LeftOut(why) => {
                    (self.report)(&format!("left out {why}"));
                    outcome.left_out += 1;
                    continue;
                }
                Next::Row(row) if rows > 0 && row.value.len() > OWN_BATCH_BYTES => {
                    *held = Some(row);
                    break Ending::Full;
                }
                Next::Row(row) => {
                    let len = row.key.len() as u64 + row.value.len();
                    let stored = self.store(&mut txn, row)?;
                    if stored.is_err() && txn_is_spent(rows) {
                        // Only a streamed file fails inside the transaction, and then it was alone in it.
                        txn.abort();
                        txn = self.db.begin_write()?;
                    }
                    stored.map(|()| len)
                }
            };
            match taken {
                Ok(len) => {
                    (rows, bytes) = (rows + 1, bytes + len);
                    outcome.position.rows += 1;
                }
                Err(why) if self.skip_bad => {
                    (self.report)(&format!("skipped {why}"));
                    outcome.position.bad += 1;
                }
                Err(why) => {
                    bad = Some(why);
                    break Ending::Interrupted;
                }
            }
            outcome.position.place = source.place();
        };
        outcome.position.done = outcome.ending == Ending::Finished;
        self.commit(txn, outcome)?;
        outcome.rows += rows;
        outcome.bytes += bytes;
        outcome.batches += u64::from(rows > 0);
        bad.map_or(Ok(()), |why| Err(self.refuse(&why, outcome)))
    }

    fn commit(&self, mut txn: WriteTxn<'_>, outcome: &Outcome) -> Result<(), Failure> {
        if let Some((key, identity)) = self.record {
            txn.tree(IMPORT_TREE)?.put(key, outcome.position.encode(identity))?;
        }
        txn.commit()?;
        Ok(())
    }

    fn refuse(&self, why: &str, outcome: &Outcome) -> Failure {
        let failure = Failure::bad_input(format!("{why}; {} rows before it are in", outcome.position.rows));
        let advice = match self.record {
            Some(_) => {
                "mend it and go on with --resume, or leave such lines and files out with --skip-bad --resume"
            }
            None => "--skip-bad leaves such lines out",
        };
        failure.advise(advice)
    }

    /// Stores a row. The inner error says why it cannot be taken; the outer one ends the import.
    fn store(&self, txn: &mut WriteTxn<'_>, row: Row) -> Result<Result<(), String>, Failure> {
        let name = || text::escape(&row.key, text::Keep::Line);
        if row.key.len() > KEY_LEN_MAX {
            return Ok(Err(format!(
                "{}: the key has {} bytes, of which {KEY_LEN_MAX} fit",
                name(),
                row.key.len()
            )));
        }
        if row.value.len() > VALUE_BYTES_MAX {
            return Ok(Err(format!("{}: {} bytes are more than a value can have", name(), row.value.len())));
        }
        let mut tree = txn.tree(row.tree.as_deref().unwrap_or(self.tree))?;
        let (path, len) = match &row.value {
            Content::Bytes(bytes) => {
                tree.put(&row.key, bytes)?;
                return Ok(Ok(()));
            }
            Content::File { path, len } => (path, *len),
        };
        let bad = |error: &io::Error| Ok(Err(format!("{}: {error}", path.display())));
        let file = match host::open(path) {
            Ok(file) => file,
            Err(error) => return bad(&error),
        };
        let mut watched = Watched { inner: file, error: None };
        match tree.put_reader(&row.key, len, &mut watched) {
            Ok(_) => Ok(Ok(())),
            Err(error) => watched.error.map_or_else(|| Err(error.into()), |error| bad(&error)),
        }
    }
}

/// Whether a row that failed while it was stored was the first of its transaction.
fn txn_is_spent(rows: u64) -> bool {
    rows == 0
}

/// Remembers whether reading failed, so that the blame does not fall on the database.
struct Watched<R> {
    inner: R,
    error: Option<io::Error>,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buf) {
            Ok(0) if !buf.is_empty() => {
                self.error = Some(io::Error::other("it became shorter while it was read"));
                Ok(0)
            }
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.error = Some(io::Error::new(error.kind(), error.to_string()));
                Err(error)
            }
            other => other,
        }
    }
}
