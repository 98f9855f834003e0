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

/// A transaction being filled.
struct Batch<'db> {
    txn: Option<WriteTxn<'db>>,
    rows: u64,
    bytes: u64,
}

/// What became of the next row.
enum Step {
    Stored,
    LeftOut(String),
    Bad(String),
    End(Ending),
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

impl<'a> Import<'a> {
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
        let mut batch = Batch { txn: None, rows: 0, bytes: 0 };
        let mut refused = None;
        outcome.ending = loop {
            if self.stop.is_asked() {
                break Ending::Interrupted;
            }
            if batch.rows >= self.batches.rows_max || batch.bytes >= self.batches.bytes_max {
                break Ending::Full;
            }
            match self.step(source, held, &mut batch)? {
                Step::Stored => outcome.position.rows += 1,
                Step::LeftOut(why) => {
                    (self.report)(&format!("left out {why}"));
                    outcome.left_out += 1;
                }
                Step::Bad(why) if self.skip_bad => {
                    (self.report)(&format!("skipped {why}"));
                    outcome.position.bad += 1;
                }
                // The position stays before it, so that a resumed import meets it again.
                Step::Bad(why) => {
                    refused = Some(why);
                    break Ending::Interrupted;
                }
                Step::End(ending) => break ending,
            }
            outcome.position.place = source.place();
        };
        outcome.position.done = outcome.ending == Ending::Finished;
        self.commit(batch.txn.take(), outcome)?;
        outcome.rows += batch.rows;
        outcome.bytes += batch.bytes;
        outcome.batches += u64::from(batch.rows > 0);
        refused.map_or(Ok(()), |why| Err(self.refuse(&why, outcome)))
    }

    /// Takes the next row into the batch, if it belongs there.
    fn step(
        &self,
        source: &mut dyn Source,
        held: &mut Option<Row>,
        batch: &mut Batch<'a>,
    ) -> Result<Step, Failure> {
        let row = match held.take().map_or_else(|| source.next(), |row| Ok(Next::Row(row)))? {
            Next::Row(row) => row,
            Next::Bad(why) => return Ok(Step::Bad(why)),
            Next::LeftOut(why) => return Ok(Step::LeftOut(why)),
            Next::End => return Ok(Step::End(Ending::Finished)),
        };
        if batch.rows > 0 && row.value.len() > OWN_BATCH_BYTES {
            *held = Some(row);
            return Ok(Step::End(Ending::Full));
        }
        let len = row.key.len() as u64 + row.value.len();
        let alone = batch.rows == 0;
        let txn = match &mut batch.txn {
            Some(txn) => txn,
            none => none.insert(self.db.begin_write()?),
        };
        match self.store(txn, row)? {
            Ok(()) => {
                (batch.rows, batch.bytes) = (batch.rows + 1, batch.bytes + len);
                Ok(Step::Stored)
            }
            Err(why) => {
                if alone {
                    // A streamed file that fails half-way leaves a transaction that can only be aborted; it was
                    // alone in it.
                    batch.txn = None;
                }
                Ok(Step::Bad(why))
            }
        }
    }

    fn commit(&self, txn: Option<WriteTxn<'_>>, outcome: &Outcome) -> Result<(), Failure> {
        let mut txn = match txn {
            Some(txn) => txn,
            None => self.db.begin_write()?,
        };
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
