//! Leaves that no branch leads to any more. Each page says to which tree it belongs and when it was written, so what lies
//! below a lost branch is found by looking at every page.
//!
//! ```text
//!   the map is readable    leaves that it calls live, and the walk does not reach: exactly those below lost branches
//!   it is not              all that can be read, old ones among them. Within the keys that a leaf spans, from its first to
//!                          its last, older leaves say nothing: what they have beyond it was deleted, or moved
//! ```

use std::{
    cell::OnceCell,
    collections::{BTreeMap, VecDeque},
};

use llmdb_base::{ChildRef, Epoch, RunRef, TreeId};
use llmdb_btree::{Lost, Tree, Value};
use llmdb_pager::ReadGuard;

use crate::Result;

/// Every leaf of a store, by tree, looked for when the first branch turns out to be lost.
pub(super) struct Orphans<'g> {
    guard: &'g ReadGuard,
    /// Pages in use, as first page and count in ascending order, if that is known.
    live: Option<Vec<(u64, u64)>>,
    found: OnceCell<BTreeMap<TreeId, Vec<(ChildRef, Epoch)>>>,
}

/// The leaves of one tree, with the keys that they span, in the order of their first keys.
pub(super) struct Leaves<'g> {
    orphans: &'g Orphans<'g>,
    tree: Tree,
    spans: Option<Vec<Span>>,
    /// The last key that was handed out, or found by the walk.
    last: Option<Vec<u8>>,
}

struct Span {
    leaf: ChildRef,
    birth: Epoch,
    first: Vec<u8>,
    last: Vec<u8>,
}

/// A value, as its leaf has it.
enum Owned {
    Bytes(Vec<u8>),
    Run(RunRef),
}

/// A leaf whose rows are being looked at.
struct Reading {
    birth: Epoch,
    rows: VecDeque<(Vec<u8>, Owned)>,
}

impl<'g> Orphans<'g> {
    pub(super) fn new(guard: &'g ReadGuard, map_is_known: bool) -> Self {
        let live = map_is_known.then(|| {
            guard.pager().live_ranges().map(|(first, count)| (first.get(), first.get() + count)).collect()
        });
        Self { guard, live, found: OnceCell::new() }
    }

    /// Whether what is found may have been deleted, changed, or never committed.
    pub(super) fn may_be_stale(&self) -> bool {
        self.live.is_none()
    }

    /// Trees of which there are leaves.
    pub(super) fn trees(&self) -> impl Iterator<Item = TreeId> {
        self.found().keys().copied()
    }

    pub(super) fn of(&'g self, tree: Tree) -> Leaves<'g> {
        Leaves { orphans: self, tree, spans: None, last: None }
    }

    fn found(&self) -> &BTreeMap<TreeId, Vec<(ChildRef, Epoch)>> {
        self.found.get_or_init(|| {
            let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
            self.guard.scan_leaves(&mut |tree, leaf, birth| {
                if self.is_live(leaf.pgno().get()) {
                    found.entry(tree).or_default().push((leaf, birth));
                }
            });
            found
        })
    }

    fn is_live(&self, pgno: u64) -> bool {
        let Some(live) = &self.live else { return true };
        let behind = live.partition_point(|(first, _)| *first <= pgno);
        behind.checked_sub(1).and_then(|index| live.get(index)).is_some_and(|(_, end)| pgno < *end)
    }
}

impl Leaves<'_> {
    /// The walk has met this key.
    pub(super) fn pass(&mut self, key: &[u8]) {
        self.last = Some(key.to_vec());
    }

    /// Hands out the rows of a range that could not be walked, in order, and says how many that were.
    pub(super) fn fill(
        &mut self,
        gap: (Option<&[u8]>, Option<&[u8]>),
        sink: &mut dyn FnMut(&[u8], Value<'_>) -> Result<()>,
    ) -> Result<u64> {
        let (from, below) = gap;
        let (mut count, mut reading) = (0, Vec::new());
        let spans = self.spans.take().unwrap_or_else(|| self.spans());
        let touches = |span: &&Span| {
            from.is_none_or(|from| *span.last >= *from) && below.is_none_or(|below| *span.first < *below)
        };
        let mut next = spans.iter().filter(touches).peekable();
        loop {
            let low = reading.iter().filter_map(|leaf: &Reading| leaf.rows.front()).map(|row| &row.0).min();
            if let Some(span) = next.next_if(|span| low.is_none_or(|low| span.first <= *low)) {
                reading.push(self.read(span));
                continue;
            }
            let Some(low) = low.cloned() else { break };
            let row = take_newest(&mut reading, &low);
            let is_inside = from.is_none_or(|from| *low >= *from) && below.is_none_or(|below| *low < *below);
            if let Some(value) =
                row.filter(|_| is_inside && self.last.as_ref().is_none_or(|last| *last < low))
            {
                let value = match &value {
                    Owned::Bytes(bytes) => Value::Inline(bytes),
                    Owned::Run(run) => Value::Run(*run),
                };
                sink(&low, value)?;
                count += 1;
                self.last = Some(low);
            }
        }
        self.spans = Some(spans);
        Ok(count)
    }

    fn spans(&self) -> Vec<Span> {
        let leaves = self.orphans.found().get(&self.tree.id).map(Vec::as_slice).unwrap_or_default();
        let mut spans: Vec<Span> =
            leaves.iter().filter_map(|(leaf, birth)| self.span(*leaf, *birth)).collect();
        spans.sort_by(|one, other| one.first.cmp(&other.first));
        spans
    }

    fn span(&self, leaf: ChildRef, birth: Epoch) -> Option<Span> {
        let (mut first, mut last) = (None, None);
        self.rows_of(leaf, &mut |key, _| {
            first.get_or_insert_with(|| key.to_vec());
            last = Some(key.to_vec());
        });
        Some(Span { leaf, birth, first: first?, last: last? })
    }

    fn read(&self, span: &Span) -> Reading {
        let mut rows = VecDeque::new();
        self.rows_of(span.leaf, &mut |key, value| {
            let value = match value {
                Value::Inline(bytes) => Owned::Bytes(bytes.to_vec()),
                Value::Run(run) => Owned::Run(run),
            };
            rows.push_back((key.to_vec(), value));
        });
        Reading { birth: span.birth, rows }
    }

    fn rows_of(&self, leaf: ChildRef, sink: &mut dyn FnMut(&[u8], Value<'_>)) {
        self.tree.salvage_leaf(self.orphans.guard, leaf, sink, &mut |_: Lost<'_>| ());
    }
}

/// Takes the row of `key` out of every leaf that is being read. Its value, if the newest of them has it: all of them span
/// the key, or have been read to their end.
fn take_newest(reading: &mut Vec<Reading>, key: &[u8]) -> Option<Owned> {
    let newest = reading.iter().map(|leaf| leaf.birth).max();
    let mut value = None;
    for leaf in reading.iter_mut() {
        if let Some(row) = leaf.rows.pop_front_if(|row| row.0 == key)
            && Some(leaf.birth) == newest
        {
            value = Some(row.1);
        }
    }
    reading.retain(|leaf| !leaf.rows.is_empty());
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(birth: u64, keys: &str) -> Reading {
        let rows = keys.bytes().map(|key| (vec![key], Owned::Bytes(vec![key])));
        Reading { birth: Epoch::new(birth), rows: rows.collect() }
    }

    #[test]
    fn within_the_span_of_a_newer_leaf_older_ones_say_nothing() {
        let mut reading = vec![leaf(5, "bdh"), leaf(9, "be")];
        let taken: Vec<bool> =
            "bdeh".bytes().map(|key| take_newest(&mut reading, &[key]).is_some()).collect();
        assert_eq!(taken, [true, false, true, true], "d was deleted; h lies behind the newer leaf");
        assert!(reading.is_empty());
    }
}
