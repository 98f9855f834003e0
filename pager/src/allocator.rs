//! Which free page comes next, and when the file grows.

use std::io;

use llmdb_base::{PAGE_SIZE, PageError, PageResult, Pgno};

use crate::{
    range::{PageRange, runs_of_ones},
    space::Space,
    store::Store,
};

/// Least growth of the file: 256 KiB.
const GROWTH_PAGES_MIN: u64 = 64;
/// Most growth of the file: 16 MiB.
const GROWTH_PAGES_MAX: u64 = 4096;
/// The file grows by this part of itself.
const GROWTH_PART: u64 = 16;
/// Bound of the list of warm pages; those beyond are found in the map.
const WARM_MAX: usize = 1 << 16;
/// Words with at least 2^5, 2^4, ... 2^0 free pages are told apart.
const DENSITIES: [u32; 6] = [32, 16, 8, 4, 2, 1];

/// Chooses pages. Free ones are those that [`Space`] calls free; what is kept here only says where to look first.
///
/// Single pages come from three places, in this order:
/// 1. warm pages: freed lately and still in private memory, where a store costs no page fault;
/// 2. next fit over the map, which passes by words with few free pages as long as there are enough others, so
///    that what a checkpoint writes lies side by side;
/// 3. growth of the file.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    warm: Vec<u64>,
    /// Word that next fit takes pages from, or looks at next.
    word: u64,
    taking: bool,
    /// Words with fewer free pages are passed by.
    free_min: u32,
    /// How many words had at least `DENSITIES[i]` free pages in this pass.
    census: [u64; DENSITIES.len()],
    /// Where the search for consecutive pages begins.
    run_from: u64,
    /// Length of the shortest run that was searched for in vain, and the pages freed since.
    run_missed: Option<(u64, u64)>,
}

impl Allocator {
    /// A free page, growing the file if fewer than `reserve` would be left.
    ///
    /// # Errors
    /// `NoSpace` if the file cannot grow.
    pub fn page(&mut self, space: &Space, store: &Store, reserve: u64) -> PageResult<Pgno> {
        self.make_room(space, store, 1, reserve)?;
        while let Some(pgno) = self.warm.pop() {
            if space.is_free(pgno) {
                return Ok(Pgno::new(pgno));
            }
        }
        self.next_fit(space).map(Pgno::new).ok_or_else(|| no_space(1))
    }

    /// `count` consecutive free pages inside a region.
    ///
    /// # Errors
    /// `NoSpace` if the file cannot grow, or regions are shorter than that.
    pub fn run(&mut self, space: &Space, store: &Store, count: u64, reserve: u64) -> PageResult<PageRange> {
        let region_pages = store.view.region_pages();
        if count > region_pages {
            return Err(no_space(count));
        }
        self.make_room(space, store, count, reserve)?;
        if let Some(first) = self.find_run(space, count, region_pages) {
            return Ok(PageRange::new(first, count));
        }
        let first = grow_for_run(space, store, count, region_pages)?;
        Ok(PageRange::new(first, count))
    }

    /// Pages have become free.
    pub fn give(&mut self, space: &Space, range: PageRange) {
        if let Some((_, freed)) = &mut self.run_missed {
            *freed += range.count();
        }
        for pgno in range.pages().filter(|pgno| space.is_private(*pgno)) {
            if self.warm.len() < WARM_MAX {
                self.warm.push(pgno);
            }
        }
    }

    /// The private memory of free pages has been given back.
    pub fn forget_warm(&mut self) {
        self.warm = Vec::new();
    }

    /// Grows the file if it would be left with fewer than `reserve` free pages, or if free pages are so rare that
    /// looking for them costs more than they are worth.
    fn make_room(&mut self, space: &Space, store: &Store, count: u64, reserve: u64) -> PageResult<()> {
        let free = space.free_pages();
        let rare = self.warm.is_empty() && free < space.word_count() / 64;
        if free >= count + reserve && !rare {
            return Ok(());
        }
        let missing = (count + reserve).saturating_sub(free);
        match grow(space, store, missing.max(1)) {
            Err(_) if missing == 0 => Ok(()),
            grown => grown,
        }
    }

    /// The next free page of the map, by passes over all its words.
    fn next_fit(&mut self, space: &Space) -> Option<u64> {
        let word_count = space.word_count();
        // A pass counts what the next one finds; so the third one finds something, if there is anything.
        for _ in 0..3 * word_count + 1 {
            if self.word >= word_count {
                self.begin_pass(word_count);
            }
            let free = space.free_word(self.word);
            if !self.taking {
                let count = free.count_ones();
                for (words, density) in self.census.iter_mut().zip(DENSITIES) {
                    *words += u64::from(count >= density);
                }
                self.taking = count >= self.free_min.max(1);
            }
            if self.taking && free != 0 {
                return Some(self.word * 64 + u64::from(free.trailing_zeros()));
            }
            self.taking = false;
            self.word += 1;
        }
        None
    }

    /// Starts over, with the greatest density that one word in 64 had in the last pass.
    fn begin_pass(&mut self, word_count: u64) {
        let enough = |words: u64| words > 0 && words >= word_count / 64;
        let dense = self.census.iter().zip(DENSITIES).find(|(words, _)| enough(**words));
        self.free_min = dense.map_or(1, |(_, density)| density);
        self.census = Default::default();
        self.word = 0;
        self.taking = false;
    }

    /// First-fit from where the last search ended. Gives up at once while nothing can have changed since the
    /// last search in vain.
    fn find_run(&mut self, space: &Space, count: u64, region_pages: u64) -> Option<u64> {
        if self.run_missed.is_some_and(|(missed, freed)| count >= missed && freed < missed) {
            return None;
        }
        let end = space.file_pages();
        let from = self.run_from.min(end);
        let found = [(from, end), (0, end)].into_iter().find_map(|(from, end)| {
            let mut runs = runs_of_ones(from, end, |index| space.free_word(index));
            runs.find_map(|run| fit(run.first(), run.end(), count, region_pages))
        });
        match found {
            Some(first) => self.run_from = first + count,
            None => self.run_missed = Some((count, 0)),
        }
        found
    }
}

/// Grows the file until its free end holds a run, whose first page is returned.
fn grow_for_run(space: &Space, store: &Store, count: u64, region_pages: u64) -> PageResult<u64> {
    let first = fit(space.used_end(), u64::MAX, count, region_pages).expect("the end is open");
    grow(space, store, (first + count).saturating_sub(space.file_pages()))?;
    Ok(first)
}

/// Where `count` pages inside a region fit among the free pages `first..end`.
fn fit(first: u64, end: u64, count: u64, region_pages: u64) -> Option<u64> {
    let boundary = (first + 1).next_multiple_of(region_pages);
    let first =
        if first + count > boundary && !first.is_multiple_of(region_pages) { boundary } else { first };
    (first + count <= end).then_some(first)
}

/// Makes the file at least `needed` pages longer; by more, if there is room, so that growth is rare.
///
/// # Errors
/// `NoSpace`; nothing has changed then.
pub(crate) fn grow(space: &Space, store: &Store, needed: u64) -> PageResult<()> {
    let file_pages = space.file_pages();
    let step = (file_pages / GROWTH_PART).clamp(GROWTH_PAGES_MIN, GROWTH_PAGES_MAX).max(needed);
    let grown = match extend(store, file_pages, step) {
        Err(error) if is_full(&error) && step > needed => extend(store, file_pages, needed).map(|()| needed),
        extended => extended.map(|()| step),
    };
    match grown {
        Ok(count) => {
            store.verified.reserve(file_pages + count);
            space.set_file_pages(file_pages + count);
            Ok(())
        }
        Err(error) if is_full(&error) => Err(no_space(needed)),
        Err(error) => Err(PageError::io("extend the data file", error)),
    }
}

fn extend(store: &Store, file_pages: u64, count: u64) -> io::Result<()> {
    let end = file_pages.checked_add(count).filter(|end| *end <= Pgno::MAX.get());
    store.view.reserve(end.ok_or(io::ErrorKind::FileTooLarge)?)?;
    match &store.file {
        Some(file) => {
            let (len, end) = (file.len()?, Pgno::new(file_pages).offset());
            if len < end {
                // To make it longer would fill the gap with zeros.
                let what = format!("it was cut by somebody: {len} bytes are left of {end}");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
            }
            file.allocate(end, count * PAGE_SIZE as u64)
        }
        None => Ok(()),
    }
}

/// Whether an error says that there is no more room, on the disk or in the address space.
fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, OutOfMemory, QuotaExceeded, StorageFull};
    matches!(error.kind(), FileTooLarge | OutOfMemory | QuotaExceeded | StorageFull)
}

fn no_space(page_count: u64) -> PageError {
    PageError::no_space(page_count.saturating_mul(PAGE_SIZE as u64))
}

#[cfg(test)]
mod tests;
