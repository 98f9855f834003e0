//! Which free page comes next, and when the file grows.

use std::io;

use llmdb_base::{PAGE_SIZE, PageError, PageResult, Pgno};

use crate::{
    range::{HUGE_PAGES, PageRange, runs_of_ones},
    space::Space,
    store::Store,
};

/// Least growth of the file: 256 KiB.
const GROWTH_PAGES_MIN: u64 = 64;
/// Most growth of the file: 16 MiB.
const GROWTH_PAGES_MAX: u64 = 4096;
/// The file grows by this part of itself: what steady churn may waste is counted in percent.
const GROWTH_PART: u64 = 64;
/// Bound of the list of warm pages; those beyond are found in the map.
const WARM_MAX: usize = 1 << 16;
/// So many pages of the map are searched for the shortest gap: 1 GiB of file, a few microseconds.
const BEST_FIT_PAGES: u64 = 1 << 18;
/// After a run, so many single pages leave its gaps alone.
const RUN_AGE: u32 = 1 << 12;
/// Lone pages are searched for again when this part of the number of words has been freed.
const LONE_PART: u64 = 16;
/// Words with at least 2^5, 2^4, ... 2^0 free pages are told apart.
const DENSITIES: [u32; 6] = [32, 16, 8, 4, 2, 1];

/// Chooses pages. Free ones are those that [`Space`] calls free; what is kept here only says where to look first.
///
/// Single pages come from four places, in this order:
/// 1. warm pages: freed lately and still in private memory, where a store costs no page fault;
/// 2. lone pages between used ones, if runs are being taken, which need the longer gaps;
/// 3. next fit over the map, which passes by words with few free pages as long as there are enough others, so
///    that what a checkpoint writes lies side by side;
/// 4. growth of the file.
///
/// Runs take the shortest gap that holds them. While the file is longer than it has to be there is a ceiling, and pages below it come first, so that the end
/// of the file becomes free and can be cut off.
#[derive(Debug, Default)]
pub(crate) struct Allocator {
    warm: Vec<u64>,
    /// Word that next fit takes pages from, or looks at next.
    word: u64,
    taking: bool,
    /// Words before it have been announced by [`Allocator::announce`] in this pass.
    announced: u64,
    /// Words with fewer free pages are passed by.
    free_min: u32,
    /// How many words had at least `DENSITIES[i]` free pages in this pass.
    census: [u64; DENSITIES.len()],
    /// Gaps of so many pages, and longer ones, are found from that page on.
    gapless: Option<(u64, u64)>,
    /// Single pages to be taken yet before runs are a thing of the past.
    run_age: u32,
    /// Word where the search for lone pages goes on.
    lone_word: u64,
    lone_missed: Missed,
    /// What was searched for in vain below the ceiling, and anywhere.
    low_missed: Missed,
    run_missed: Missed,
    /// Pages below this one come first. Gone when there is none left.
    ceiling: Option<u64>,
}

/// Length of the shortest run that was searched for in vain, and the pages freed since.
#[derive(Clone, Copy, Debug, Default)]
struct Missed(Option<(u64, u64)>);

impl Missed {
    /// Whether a search for `count` pages must be in vain again.
    fn is_known(self, count: u64) -> bool {
        self.0.is_some_and(|(missed, freed)| count >= missed && freed < missed)
    }

    fn note(&mut self, count: u64) {
        self.0 = Some((count, 0));
    }

    fn note_freed(&mut self, count: u64) {
        if let Some((_, freed)) = &mut self.0 {
            *freed += count;
        }
    }
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
        self.next_lone(space).or_else(|| self.next_fit(space)).map(Pgno::new).ok_or_else(|| no_space(1))
    }

    /// Calls `each` with the free pages that next fit will take after those announced before, about `count` of them.
    pub fn announce(&mut self, space: &Space, count: u64, mut each: impl FnMut(PageRange)) {
        let mut left = count;
        let mut word = self.announced.max(self.word);
        while left > 0 && word < space.word_count() {
            let free = space.free_word(word);
            if free.count_ones() >= self.free_min.max(1) {
                for run in runs_of_ones(word * 64, (word + 1) * 64, |_| free) {
                    each(run);
                    left = left.saturating_sub(run.count());
                }
            }
            word += 1;
        }
        self.announced = word;
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
        self.run_age = RUN_AGE;
        if let Some(first) = self.find_run(space, count, region_pages) {
            return Ok(PageRange::new(first, count));
        }
        let first = grow_for_run(space, store, count, region_pages)?;
        Ok(PageRange::new(first, count))
    }

    /// Pages have become free.
    pub fn give(&mut self, space: &Space, range: PageRange) {
        self.lone_missed.note_freed(range.count());
        self.low_missed.note_freed(range.count());
        self.run_missed.note_freed(range.count());
        let ceiling = self.ceiling.unwrap_or(u64::MAX);
        if let Some((_, from)) = &mut self.gapless {
            *from = (*from).min(range.first() & !63);
        }
        // A gap that may hold a run again is not given away page by page. What is private was written in this run of
        // the program, so that it is known what it was.
        if space.raw.contains(range.first()) {
            return;
        }
        for pgno in range.pages().filter(|pgno| *pgno < ceiling && space.is_private(*pgno)) {
            if self.warm.len() < WARM_MAX {
                self.warm.push(pgno);
            }
        }
    }

    /// The private memory of free pages has been given back, or the file has been cut.
    pub fn forget_warm(&mut self) {
        self.gapless = None;
        self.warm = Vec::new();
    }

    /// Pages below `ceiling` come first from now on, as long as there are any; all alike if there is none.
    pub fn set_ceiling(&mut self, ceiling: Option<u64>) {
        self.ceiling = ceiling;
        self.low_missed = Missed::default();
        if let Some(ceiling) = ceiling {
            self.warm.retain(|pgno| *pgno < ceiling);
        }
    }

    /// Whether `count` consecutive pages are free below the ceiling. The next run of that length is taken there.
    pub fn has_low_run(&mut self, space: &Space, count: u64, region_pages: u64) -> bool {
        self.find_low_run(space, count, region_pages).is_some()
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

    /// The next free page of the map: below the ceiling if there is one, else anywhere.
    fn next_fit(&mut self, space: &Space) -> Option<u64> {
        let word_count = space.word_count();
        if let Some(ceiling) = self.ceiling {
            match self.next_fit_in(space, word_count.min(ceiling / 64)) {
                None => self.ceiling = None,
                found => return found,
            }
        }
        self.next_fit_in(space, word_count)
    }

    /// The next free page of the first `word_count` words, by passes over all of them.
    fn next_fit_in(&mut self, space: &Space, word_count: u64) -> Option<u64> {
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
        self.announced = 0;
        self.taking = false;
    }

    /// First-fit from where the last search ended. Gives up at once while nothing can have changed since the
    /// last search in vain.
    fn find_run(&mut self, space: &Space, count: u64, region_pages: u64) -> Option<u64> {
        if let Some(first) = self.find_low_run(space, count, region_pages) {
            return Some(first);
        }
        if self.run_missed.is_known(count) {
            return None;
        }
        let found = self.find_run_below(space, space.file_pages(), count, region_pages);
        if found.is_none() {
            self.run_missed.note(count);
        }
        found
    }

    fn find_low_run(&mut self, space: &Space, count: u64, region_pages: u64) -> Option<u64> {
        let ceiling = self.ceiling.filter(|_| !self.low_missed.is_known(count))?;
        let found = self.find_run_below(space, ceiling.min(space.file_pages()), count, region_pages);
        if found.is_none() {
            self.low_missed.note(count);
        }
        found
    }

    /// The shortest gap that holds the run, so that long gaps stay long; of a large file, the shortest in a window.
    fn find_run_below(&mut self, space: &Space, end: u64, count: u64, region_pages: u64) -> Option<u64> {
        let known = self.gapless.filter(|(least, _)| count >= *least);
        let from = known.map_or(0, |(_, from)| from);
        let mut nearest = None;
        let mut best: Option<(u64, u64)> = None;
        for gap in runs_of_ones(from, end, |index| space.free_word(index)) {
            if nearest.is_some_and(|nearest| gap.first() - nearest > BEST_FIT_PAGES) {
                break;
            }
            let Some(first) = fit(gap.first(), gap.end(), count, region_pages) else { continue };
            nearest.get_or_insert(gap.first());
            if best.is_none_or(|(len, _)| gap.count() < len) {
                best = Some((gap.count(), first));
            }
            if gap.count() == count {
                break;
            }
        }
        if known.is_none_or(|(least, _)| least == count) {
            self.gapless = nearest.map(|nearest| (count, nearest)).or(self.gapless);
        }
        best.map(|(_, first)| first)
    }

    /// A free page between two that are not free. They are looked for while runs need the longer gaps.
    fn next_lone(&mut self, space: &Space) -> Option<u64> {
        if self.run_age == 0 {
            return None;
        }
        self.run_age -= 1;
        let word_count = self.ceiling.map_or(u64::MAX, |ceiling| ceiling / 64).min(space.word_count());
        if self.lone_missed.is_known(1 + word_count / LONE_PART) {
            return None;
        }
        for _ in 0..=word_count {
            self.lone_word = if self.lone_word < word_count { self.lone_word } else { 0 };
            let free = space.free_word(self.lone_word);
            let lone = free & !(free << 1) & !(free >> 1);
            if lone != 0 {
                return Some(self.lone_word * 64 + u64::from(lone.trailing_zeros()));
            }
            self.lone_word += 1;
        }
        self.lone_missed.note(1 + word_count / LONE_PART);
        None
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
    let step = growth(file_pages).max(needed);
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

/// By how many pages a file grows: in long ones, of which a huge page is a small part, to where one ends.
fn growth(file_pages: u64) -> u64 {
    let step = (file_pages / GROWTH_PART).clamp(GROWTH_PAGES_MIN, GROWTH_PAGES_MAX);
    if step < HUGE_PAGES / 2 { step } else { (file_pages + step).next_multiple_of(HUGE_PAGES) - file_pages }
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
            file.allocate(end, count * PAGE_SIZE as u64)?;
            store.view.expect_growth(file_pages, count);
            Ok(())
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
