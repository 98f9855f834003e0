//! Reading the stored allocation map.

use std::collections::BTreeSet;

use llmdb_base::{
    ChildRef, Corruption, Epoch, PAGE_SIZE, PageBytes, PageError, PageErrorKind, PageResult, Pgno, StoreId,
    header,
};
use llmdb_vfs::{File, read_exact_at};

use crate::{
    map::{self, FAN_OUT, MapPage, MapPages},
    meta::{FIXED_PAGES, Generations, Meta},
    range::PageRange,
    space::Space,
    store::outside,
};

/// What was found of the allocation maps.
pub(super) struct Loaded {
    /// Where the map of the newest generation is stored; its pages are live in the space. `None` if it is damaged.
    pub map: Option<MapPages>,
    /// The pages of the older generation that are not in the newest, and its epoch.
    pub older: Option<(Epoch, Vec<PageRange>)>,
    pub damage: Option<Corruption>,
}

/// Loads the maps of both generations.
///
/// # Errors
/// I/O errors. Damage is no error: a damaged map is no obstacle to reading.
pub(super) fn load(file: &dyn File, space: &Space, chosen: &Generations) -> PageResult<Loaded> {
    let file_pages = space.file_pages();
    let mut shared = BTreeSet::new();
    let newest = damage_apart(read_map(file, file_pages, &chosen.newest, &mut shared, false))?;
    if newest.is_err() {
        // What the older one shares with a map that is thrown away must be read after all.
        shared.clear();
    }
    let older = match &chosen.older {
        Some(older) => {
            Some((older.root.epoch, damage_apart(read_map(file, file_pages, older, &mut shared, true))?))
        }
        None => None,
    };
    let mut loaded = Loaded { map: None, older: None, damage: None };
    match newest {
        Ok((map, image)) => {
            // The meta pages are live already.
            image.into_iter().flat_map(|range| space.free_part(range)).for_each(|range| space.take(range));
            space.forget_changes();
            loaded.map = Some(map);
        }
        Err(damage) => loaded.damage = Some(damage),
    }
    match older {
        Some((epoch, Ok((_, image)))) => loaded.older = Some((epoch, image)),
        Some((_, Err(damage))) => drop(loaded.damage.get_or_insert(damage)),
        None => {}
    }
    Ok(loaded)
}

pub(crate) type Image = (MapPages, Vec<PageRange>);

fn damage_apart(result: PageResult<Image>) -> PageResult<Result<Image, Corruption>> {
    match result {
        Ok(image) => Ok(Ok(image)),
        Err(error) => match error.kind() {
            PageErrorKind::Corruption(damage) => Ok(Err(damage.clone())),
            _ => Err(error),
        },
    }
}

struct Reader<'a> {
    file: &'a dyn File,
    store: StoreId,
    page_count: u64,
    map: MapPages,
    image: Vec<PageRange>,
    /// Index pages and pieces of the newest map. What the older map shares with it says nothing new.
    shared: &'a mut BTreeSet<u64>,
    skip_shared: bool,
}

/// Reads the map of a generation: where it is stored, and what it calls live.
pub(crate) fn read_map(
    file: &dyn File,
    file_pages: u64,
    meta: &Meta,
    shared: &mut BTreeSet<u64>,
    skip_shared: bool,
) -> PageResult<Image> {
    let page_count = meta.root.page_count;
    if page_count > file_pages {
        let what = format!("{page_count} pages, in a file of {file_pages}");
        return Err(Corruption::new(meta.slots()[0], what).into());
    }
    let map = MapPages::new(page_count, meta.map_levels);
    if map.index_levels() != meta.map_levels {
        let what = format!("a map of {} levels is too small for {page_count} pages", meta.map_levels);
        return Err(Corruption::new(meta.slots()[0], what).into());
    }
    let mut reader =
        Reader { file, store: meta.store, page_count, map, image: Vec::new(), shared, skip_shared };
    reader.read(meta.map_root, usize::from(meta.map_levels), 0)?;
    let Reader { map, image, .. } = reader;
    Ok((map, image))
}

impl Reader<'_> {
    fn read(&mut self, child: ChildRef, level: usize, index: usize) -> PageResult<()> {
        if child.is_none() {
            return Ok(());
        }
        let pgno = child.pgno();
        if pgno.get() >= self.page_count {
            return Err(outside(pgno, self.page_count));
        }
        if !self.skip_shared {
            self.shared.insert(child.raw());
        } else if self.shared.contains(&child.raw()) {
            return Ok(());
        }
        let page = self.read_page(child, level)?;
        let known = &mut self.map.levels[level];
        let slot =
            known.get_mut(index).ok_or_else(|| Corruption::new(pgno, "a part of the map behind its end"))?;
        *slot = Some(MapPage { pgno, born: header::birth(&page) });
        if level == 0 {
            self.read_piece(pgno, index as u64, &page)
        } else {
            self.read_index(&page, level, index)
        }
    }

    fn read_page(&self, child: ChildRef, level: usize) -> PageResult<Box<PageBytes>> {
        let mut page = Box::new([0; PAGE_SIZE]);
        read_exact_at(self.file, &mut *page, child.pgno().offset())
            .map_err(|source| PageError::io(format!("read {} of the data file", child.pgno()), source))?;
        let level = u8::try_from(level).expect("the levels of a map were bounded with its meta page");
        map::verify(self.store, child, level, &page)?;
        Ok(page)
    }

    fn read_index(&mut self, page: &PageBytes, level: usize, index: usize) -> PageResult<()> {
        for (slot, child) in map::index_entries(page).enumerate() {
            self.read(child, level - 1, index * FAN_OUT + slot)?;
        }
        Ok(())
    }

    fn read_piece(&mut self, pgno: Pgno, piece: u64, page: &PageBytes) -> PageResult<()> {
        for range in map::piece_runs(page, piece) {
            if range.end() > self.page_count {
                let what = format!("calls {range:?} used, in a file of {} pages", self.page_count);
                return Err(Corruption::new(pgno, what).into());
            }
            self.image.push(range);
        }
        Ok(())
    }
}

/// Checks ranges that somebody found live: inside the file, and apart from each other and from the meta pages.
pub(crate) fn check_ranges(
    live: impl IntoIterator<Item = (Pgno, u64)>,
    page_count: u64,
) -> PageResult<Vec<PageRange>> {
    let mut ranges: Vec<(u64, u64)> =
        live.into_iter().map(|(first, count)| (first.get(), first.get().saturating_add(count))).collect();
    ranges.retain(|(first, end)| first < end && !FIXED_PAGES.contains(&Pgno::new(*first)));
    ranges.sort_unstable();
    let mut free_from = 0;
    for (first, end) in &ranges {
        if *end > page_count {
            return Err(outside(Pgno::new(*end - 1), page_count));
        }
        let meta = FIXED_PAGES.iter().any(|pgno| (*first..*end).contains(&pgno.get()));
        if *first < free_from || meta {
            return Err(Corruption::new(Pgno::new(*first), "used twice").into());
        }
        free_from = *end;
    }
    let pieces = |(mut first, end): (u64, u64)| {
        std::iter::from_fn(move || {
            let count = PageRange::COUNT_MAX.min(end - first);
            first += count;
            (count > 0).then(|| PageRange::new(first - count, count))
        })
    };
    Ok(ranges.into_iter().flat_map(pieces).collect())
}
