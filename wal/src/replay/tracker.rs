//! Which records are whole: what the validating pass learns from fragments.

use llmdb_base::Lsn;

use super::walk::{Batch, Position};
use crate::fragment::{Fragment, Kind};

/// A whole record that goes through more than one batch. At most one begins in any batch, so there are few.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct LongRecord {
    /// Position of its first fragment's header.
    pub start: Lsn,
    pub end: Lsn,
    pub len: u64,
}

/// Where streaming begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Begin {
    /// Which of the segments of the replay, counted from 0.
    pub step: usize,
    pub position: Position,
}

/// Follows records through fragments.
#[derive(Debug)]
pub(super) struct Tracker {
    from: Lsn,
    open: Option<OpenRecord>,
    /// Whether the beginning of a record has been seen: from then on none may go on that did not begin.
    seen_beginning: bool,
    pub long_records: Vec<LongRecord>,
    pub record_count: u64,
    /// End of the last whole record, or `from`.
    pub end: Lsn,
    /// The batch in which the first record behind `from` begins.
    pub begin: Option<Begin>,
}

#[derive(Clone, Copy, Debug)]
struct OpenRecord {
    start: Lsn,
    len: u64,
    begin: Begin,
}

impl Tracker {
    pub(super) fn new(from: Lsn) -> Self {
        Self {
            from,
            open: None,
            seen_beginning: false,
            long_records: Vec::new(),
            record_count: 0,
            end: from,
            begin: None,
        }
    }

    /// Takes note of a fragment of `batch`, header at `at`. Fragments come in the order of the log.
    ///
    /// # Errors
    /// Says what is wrong if a record goes on that did not begin, and would be needed.
    pub(super) fn see(
        &mut self,
        step: usize,
        batch: &Batch,
        at: usize,
        fragment: Fragment,
    ) -> Result<(), &'static str> {
        let len = fragment.len() as u64;
        let end = batch.lsn.plus(fragment.end as u64);
        let begin = Begin { step, position: batch.at };
        match (fragment.kind, self.open) {
            (Kind::Full, _) => self.add(end, begin),
            (Kind::First, _) => {
                self.open = Some(OpenRecord { start: batch.lsn.plus(at as u64), len, begin });
            }
            (Kind::Middle, Some(open)) => self.open = Some(OpenRecord { len: open.len + len, ..open }),
            (Kind::Last, Some(open)) => {
                if end > self.from {
                    self.long_records.push(LongRecord { start: open.start, end, len: open.len + len });
                }
                self.add(end, open.begin);
            }
            // What began in a segment that was given up also ends before the position it was given up for.
            (Kind::Middle | Kind::Last, None) if self.seen_beginning => {
                return Err("a record goes on that did not begin");
            }
            (Kind::Last, None) if end > self.from => return Err("a record ends that began before the log"),
            (Kind::Middle | Kind::Last, None) => {}
        }
        self.seen_beginning |= fragment.kind.begins();
        Ok(())
    }

    fn add(&mut self, end: Lsn, begin: Begin) {
        self.open = None;
        if end > self.from {
            self.begin.get_or_insert(begin);
            self.record_count += 1;
            self.end = end;
        }
    }
}
