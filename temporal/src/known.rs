//! The versions of many rows: every row of which anything was ever asserted, one after the other.

use llmdb_engine::TreeRef;

use crate::{
    AsOf, Collection, Period, Result, RowKey, Rows, catalog::Part, erase::prefixes, history::Version,
    record::ROW_END, write::damaged_row,
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
        self.trees()?;
        let places = self.places(&[Part::Now, Part::Past, Part::Closed], &rows.from)?;
        Ok(Versions { collection: self, places, to: rows.to.clone(), which })
    }

    /// Calls `each` with every row that any tree of the collection has, in order.
    pub(crate) fn each_row(&self, each: &mut dyn FnMut(&[u8])) -> Result<()> {
        let mut places = self.places(self.info.parts(), &[])?;
        while let Some(row) = next_row(self, &mut places, None)? {
            each(row);
        }
        Ok(())
    }

    /// Where rows stand in the trees of some parts, at the first one from `from` on.
    pub(crate) fn places(&self, parts: &[Part], from: &[u8]) -> Result<Vec<Place<'s>>> {
        let mut places = Vec::new();
        for part in parts {
            let tree = match (*part, self.trees()) {
                (Part::Now, _) => self.now,
                (Part::Past, trees) => trees?.past,
                (Part::Closed, trees) => trees?.closed,
                (Part::Copy, trees) => trees?.copy,
            };
            let epochs = match self.trees() {
                Ok(trees) => trees.epochs(self.info.id)?.iter().map(|epoch| epoch.number).collect(),
                Err(_) => Vec::new(),
            };
            for prefix in prefixes(*part, epochs) {
                let mut place = Place { tree, part: *part, prefix, next: None };
                place.seek(self, from)?;
                places.push(place);
            }
        }
        Ok(places)
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
pub(crate) struct Place<'s> {
    pub tree: TreeRef<'s>,
    pub part: Part,
    pub prefix: Vec<u8>,
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

/// The next row of any place, below `to` if that is given.
pub(crate) fn next_row<'s>(
    collection: &Collection<'s>,
    places: &mut [Place<'s>],
    to: Option<&[u8]>,
) -> Result<Option<&'s [u8]>> {
    let Some(row) = places.iter().filter_map(|place| place.next).min() else { return Ok(None) };
    if to.is_some_and(|to| row >= to) {
        return Ok(None);
    }
    let behind = [row, ROW_END].concat();
    for place in places.iter_mut().filter(|place| place.next == Some(row)) {
        place.seek(collection, &behind)?;
    }
    Ok(Some(row))
}

impl<'s> Versions<'_, 's> {
    fn step(&mut self) -> Result<Option<(RowKey, Vec<Version<'s>>)>> {
        while let Some(row) = next_row(self.collection, &mut self.places, self.to.as_deref())? {
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
