//! Writing many rows in batches: the loop that loads, overwrites and victims share.

use std::time::{Duration, Instant};

use crate::data::{self, Dataset};
use crate::engine::{Hint, Outcome, Pair, Session};
use crate::histogram::Histogram;

/// What is written, and when to stop.
pub struct Plan<'a> {
    /// Where values come from.
    pub dataset: &'a Dataset,
    /// Version of the values.
    pub version: u32,
    /// Rows to write.
    pub rows: u64,
    /// Rows per transaction.
    pub batch_rows: u64,
    /// Stop after this much time spent in commits.
    pub time_max: Duration,
    /// What the engine is told about the order.
    pub hint: Hint,
}

impl Plan<'_> {
    /// Rows of a batch of `batch_bytes` key and value bytes; at least one.
    pub fn rows_of(dataset: &Dataset, batch_bytes: u64) -> u64 {
        (batch_bytes / dataset.row_bytes()).max(1)
    }
}

/// What was written.
pub struct Written {
    /// Rows committed.
    pub rows: u64,
    /// Time spent in commits; making the batches is not counted.
    pub busy: Duration,
    /// Latencies of the commits.
    pub commits: Histogram,
}

/// Writes the rows that `index_at` names for the positions from 0, batch by batch, and tells `acknowledged` how many
/// rows are durable after each.
pub fn write(
    session: &mut dyn Session,
    plan: &Plan<'_>,
    index_at: impl Fn(u64) -> u64,
    mut acknowledged: impl FnMut(u64),
) -> Outcome<Written> {
    let mut written = Written { rows: 0, busy: Duration::ZERO, commits: Histogram::default() };
    let mut batch = Vec::with_capacity(usize::try_from(plan.batch_rows)?);
    while written.rows < plan.rows && written.busy < plan.time_max {
        let end = plan.rows.min(written.rows + plan.batch_rows);
        batch.clear();
        batch.extend((written.rows..end).map(|position| {
            let index = index_at(position);
            Pair { key: data::key(index), value: plan.dataset.value(index, plan.version) }
        }));
        let start = Instant::now();
        session.commit(&batch, plan.hint)?;
        let took = start.elapsed();
        written.commits.add(took);
        written.busy += took;
        written.rows = end;
        acknowledged(end);
    }
    Ok(written)
}
