//! The rows of a range at a point in both times: what several trees say, merged in the order of the rows.

use llmdb_base::Timestamp;
use llmdb_engine::TreeRef;

use crate::{
    Collection, Fact, Result, Rows,
    catalog::Part,
    lookup::Probe,
    record::{ROW_END, Record},
    rows::RowKey,
    view::{Sources, Trees},
    write::damaged_row,
};

/// Bytes of the entries of a row that are looked at one after the other before the one that matches is sought: about what
/// a seek reads.
const WALK_BYTES_MAX: usize = 4096;

/// A row, what stands behind it in the key, and the value.
type Entry<'s> = (&'s [u8], &'s [u8], &'s [u8]);

/// A row and what is said of it.
type Found<'s> = (&'s [u8], Record<'s>);

/// Rows in order, see [`Collection::scan`]. After an error it ends.
#[derive(Debug)]
pub struct Scan<'c, 's> {
    collection: &'c Collection<'s>,
    streams: Vec<Stream<'c, 's>>,
    /// The next row of each stream; `None` for those that have ended. Empty before the first row.
    heads: Vec<Option<Found<'s>>>,
    is_done: bool,
}

impl<'c, 's> Scan<'c, 's> {
    pub(crate) fn new(
        collection: &'c Collection<'s>,
        trees: &'c Trees<'s>,
        sources: &Sources<'s>,
        rows: &Rows,
        (valid, system): (Timestamp, Timestamp),
    ) -> Self {
        let moment = valid.min(system);
        let stream = |tree, kind, prefix: &[u8], system| Stream {
            collection,
            trees: Some(trees),
            tree,
            kind,
            prefix: prefix.to_vec(),
            to: rows.to.as_deref().map_or_else(|| prefix_end(prefix), |to| Some([prefix, to].concat())),
            valid,
            system,
            rows: Start::At([prefix, &rows.from].concat()),
            row: &[],
            seen_bytes: 0,
            is_matched: false,
        };
        let mut streams = Vec::new();
        // What was said of the past comes first: it is what counts where it says something.
        if valid < system && !trees.past.is_empty() {
            streams.push(stream(trees.past, Kind::Past, &[], system));
        }
        streams.push(stream(sources.survivors, Kind::Believed(*sources), &sources.prefix(), moment));
        for epoch in sources.epochs.0..=sources.epochs.1 {
            streams.push(stream(trees.closed, Kind::Closed(epoch), &epoch.to_be_bytes(), moment));
        }
        Self { collection, streams, heads: Vec::new(), is_done: false }
    }

    pub(crate) fn plain(collection: &'c Collection<'s>, rows: &Rows) -> Self {
        let stream = Stream {
            collection,
            trees: None,
            tree: collection.now,
            kind: Kind::Plain,
            prefix: Vec::new(),
            to: rows.to.clone(),
            valid: crate::BEGINNING,
            system: crate::BEGINNING,
            rows: Start::At(rows.from.clone()),
            row: &[],
            seen_bytes: 0,
            is_matched: false,
        };
        Self { collection, streams: vec![stream], heads: Vec::new(), is_done: false }
    }

    /// The next row that any stream knows, with what the first of them says.
    fn step(&mut self) -> Result<Option<Found<'s>>> {
        if self.heads.is_empty() {
            self.heads = self.streams.iter_mut().map(Stream::next).collect::<Result<_>>()?;
        }
        let Some(row) = self.heads.iter().flatten().map(|head| head.0).min() else { return Ok(None) };
        let mut found = None;
        for (head, stream) in self.heads.iter_mut().zip(&mut self.streams) {
            if head.as_ref().is_some_and(|head| head.0 == row) {
                let next = stream.next()?;
                found = found.or(std::mem::replace(head, next));
            }
        }
        Ok(found)
    }

    fn next_fact(&mut self) -> Result<Option<Fact<'s>>> {
        while let Some((row, record)) = self.step()? {
            if let Some(fact) = self.collection.fact_of(row, record)? {
                return Ok(Some(fact));
            }
        }
        Ok(None)
    }
}

impl<'s> Iterator for Scan<'_, 's> {
    type Item = Result<Fact<'s>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let fact = self.next_fact();
        self.is_done = !matches!(fact, Ok(Some(_)));
        fact.transpose()
    }
}

/// What the rows of a tree are.
#[derive(Clone, Copy, Debug)]
enum Kind<'s> {
    Plain,
    Believed(Sources<'s>),
    Closed(u32),
    Past,
}

#[derive(Debug)]
enum Start<'s> {
    At(Vec<u8>),
    Running(Box<Entries<'s>>),
}

struct Entries<'s>(llmdb_engine::Range<'s>);

impl std::fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Entries")
    }
}

/// The rows of which one tree says something at the point, at most one record for each.
#[derive(Debug)]
struct Stream<'c, 's> {
    collection: &'c Collection<'s>,
    trees: Option<&'c Trees<'s>>,
    tree: TreeRef<'s>,
    kind: Kind<'s>,
    prefix: Vec<u8>,
    to: Option<Vec<u8>>,
    valid: Timestamp,
    system: Timestamp,
    rows: Start<'s>,
    /// The row of the last entry, bytes of its entries that were seen, and whether one of them matched.
    row: &'s [u8],
    seen_bytes: usize,
    is_matched: bool,
}

impl<'s> Stream<'_, 's> {
    fn next(&mut self) -> Result<Option<Found<'s>>> {
        while let Some((row, suffix, value)) = self.entry()? {
            let is_far = matches!(self.kind, Kind::Past) || self.seen_bytes > WALK_BYTES_MAX;
            self.seen_bytes += suffix.len() + value.len();
            let record = match is_far {
                true => {
                    self.rows = Start::At([&self.prefix[..], row, ROW_END].concat());
                    if self.is_matched { None } else { self.look_up(row)? }
                }
                false if self.is_matched => None,
                false => self.accept(suffix, value)?,
            };
            if let Some(record) = record {
                self.is_matched = true;
                return Ok(Some((row, record)));
            }
        }
        Ok(None)
    }

    /// The next entry of the tree: its row, what stands behind it, its value.
    fn entry(&mut self) -> Result<Option<Entry<'s>>> {
        if let Start::At(from) = &self.rows {
            let rows = match &self.to {
                Some(to) => self.tree.range(from.as_slice()..to.as_slice())?,
                None => self.tree.range(from.as_slice()..)?,
            };
            self.rows = Start::Running(Box::new(Entries(rows)));
        }
        let Start::Running(rows) = &mut self.rows else { return Ok(None) };
        let Some((key, value)) = rows.0.next().transpose()? else { return Ok(None) };
        let rest = &key[self.prefix.len()..];
        // No row is the beginning of another one: what begins as the last row did is of the same row.
        if !self.row.is_empty()
            && let Some(suffix) = rest.strip_prefix(self.row)
        {
            return Ok(Some((self.row, suffix, value)));
        }
        let (row, suffix) = RowKey::split(rest).ok_or_else(|| self.damaged(key))?;
        (self.row, self.seen_bytes, self.is_matched) = (row, 0, false);
        Ok(Some((row, suffix, value)))
    }

    fn accept(&self, suffix: &[u8], value: &'s [u8]) -> Result<Option<Record<'s>>> {
        let record = match self.kind {
            Kind::Plain if !suffix.is_empty() => return Err(self.damaged(suffix)),
            Kind::Plain => {
                return Ok(Some(Record {
                    valid: crate::Period::ALWAYS,
                    system: crate::Period::ALWAYS,
                    stored: Some(value),
                }));
            }
            Kind::Closed(_) => Record::decode_closed(suffix, value),
            Kind::Believed(_) | Kind::Past => Record::decode_believed(suffix, value),
        };
        let record = record.ok_or_else(|| self.damaged(suffix))?;
        Ok(Some(record).filter(|record| record.contains(self.valid, self.system)))
    }

    fn look_up(&self, row: &[u8]) -> Result<Option<Record<'s>>> {
        let (info, valid, system) = (&self.collection.info, self.valid, self.system);
        let mut probe = Probe::of(row);
        match (self.kind, self.trees) {
            (Kind::Past, Some(trees)) => trees.retroactive(info, &mut probe, valid, system),
            (Kind::Closed(epoch), Some(trees)) => trees.closed(info, epoch, &mut probe, valid, system),
            (Kind::Believed(sources), _) => sources.surviving(info, &mut probe, valid, system),
            _ => Ok(None),
        }
    }

    fn damaged(&self, key: &[u8]) -> crate::Error {
        let part = match self.kind {
            Kind::Plain => Part::Now,
            Kind::Believed(sources) => sources.part(),
            Kind::Closed(_) => Part::Closed,
            Kind::Past => Part::Past,
        };
        damaged_row(&self.collection.info.tree(part), key)
    }
}

/// The first bytes behind those that begin with `prefix`, a number of an epoch or nothing.
fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let number = u32::from_be_bytes(prefix.try_into().ok()?);
    Some(number.checked_add(1)?.to_be_bytes().to_vec())
}
