//! The versions of many rows: every row of which anything was ever asserted, one after the other.

use llmdb_engine::TreeRef;

use crate::{
    AsOf, Collection, Period, Result, RowKey, Rows,
    catalog::Part,
    history::Version,
    record::ROW_END,
    write::{PAST_EPOCH, damaged_row},
};

/// Which versions of a row are asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Which {
    /// All of them, as [`Collection::history`].
    All,
    /// Those that were believed at some moment between two, as [`Collection::versions_between`].
    Between {
        /// The earlier one.
        first: AsOf,
        /// The later one.
        last: AsOf,
    },
    /// Those that were believed at one moment, of a period of valid time, as [`Collection::believed`].
    Believed {
        /// The period.
        valid: Period,
        /// The moment.
        as_of: AsOf,
    },
}

impl<'s> Collection<'s> {
    /// The versions of every row of a range, row by row; rows without such versions are left out.
    ///
    /// Cost: for each row of which anything was ever asserted a seek for each tree that says something of it, and what
    /// asking for that row alone costs.
    ///
    /// # Errors
    /// As [`Collection::history`]; also from the iterator.
    pub fn versions_of(&self, rows: &Rows, which: Which) -> Result<Versions<'_, 's>> {
        let trees = self.trees()?;
        let mut places = vec![
            Place { tree: self.now, part: Part::Now, prefix: Vec::new(), next: None },
            Place { tree: trees.past, part: Part::Past, prefix: Vec::new(), next: None },
        ];
        let epochs = trees.epochs(self.info.id)?.iter().map(|epoch| epoch.number);
        for epoch in [PAST_EPOCH].into_iter().chain(epochs) {
            let prefix = epoch.to_be_bytes().to_vec();
            places.push(Place { tree: trees.closed, part: Part::Closed, prefix, next: None });
        }
        for place in &mut places {
            place.seek(self, &rows.from)?;
        }
        Ok(Versions { collection: self, places, to: rows.to.clone(), which })
    }

    pub(crate) fn ask(&self, row: &RowKey, which: Which) -> Result<Vec<Version<'s>>> {
        match which {
            Which::All => self.history(row),
            Which::Between { first, last } => self.versions_between(row, first, last),
            Which::Believed { valid, as_of } => self.believed(row, valid, as_of),
        }
    }
}

/// Rows in order, each with its versions, see [`Collection::versions_of`]. After an error it ends.
pub struct Versions<'c, 's> {
    collection: &'c Collection<'s>,
    places: Vec<Place<'s>>,
    to: Option<Vec<u8>>,
    which: Which,
}

/// Rows that begin with `prefix` in a tree, and the next of them.
struct Place<'s> {
    tree: TreeRef<'s>,
    part: Part,
    prefix: Vec<u8>,
    next: Option<&'s [u8]>,
}

impl<'s> Place<'s> {
    /// Goes to the first row from `from` on.
    fn seek(&mut self, collection: &Collection<'s>, from: &[u8]) -> Result<()> {
        let entry = self.tree.cursor().seek([&self.prefix, from].concat())?;
        let rest = entry.and_then(|(key, _)| key.strip_prefix(&self.prefix[..]));
        let row =
            |rest| RowKey::split(rest).ok_or_else(|| damaged_row(&collection.info.tree(self.part), rest));
        self.next = rest.map(row).transpose()?.map(|(row, _)| row);
        Ok(())
    }
}

impl<'s> Versions<'_, 's> {
    /// The next row of any place.
    fn next_row(&mut self) -> Result<Option<&'s [u8]>> {
        let Some(row) = self.places.iter().filter_map(|place| place.next).min() else { return Ok(None) };
        if self.to.as_deref().is_some_and(|to| row >= to) {
            return Ok(None);
        }
        let behind = [row, ROW_END].concat();
        for place in self.places.iter_mut().filter(|place| place.next == Some(row)) {
            place.seek(self.collection, &behind)?;
        }
        Ok(Some(row))
    }

    fn step(&mut self) -> Result<Option<(RowKey, Vec<Version<'s>>)>> {
        while let Some(row) = self.next_row()? {
            let row =
                RowKey::decode(row).ok_or_else(|| damaged_row(&self.collection.info.tree(Part::Now), row))?;
            let versions = self.collection.ask(&row, self.which)?;
            if !versions.is_empty() {
                return Ok(Some((row, versions)));
            }
        }
        Ok(None)
    }
}

impl<'s> Iterator for Versions<'_, 's> {
    type Item = Result<(RowKey, Vec<Version<'s>>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if !matches!(step, Ok(Some(_))) {
            self.places.clear();
        }
        step.transpose()
    }
}
