//! Contents of a file as pages shared between disks: taking a copy costs a pointer per 64 pages, and a write
//! copies what it touches.

use std::sync::Arc;

/// Bytes of a page; also the unit in which space is taken.
pub(super) const PAGE: usize = 4096;
/// Bytes of a sector: what the media writes whole or not at all.
pub(super) const SECTOR: usize = 512;
/// Sectors of a page: one bit each fits a byte.
pub(super) const SECTORS: usize = PAGE / SECTOR;
/// Pages that are copied together when one of them changes.
const CHUNK: usize = 64;

/// The bytes of a page at some moment; never changed once shared.
pub(super) type Page = [u8; PAGE];
type Chunk = [Option<Arc<Page>>; CHUNK];

/// What a page without space reads as.
pub(super) static ZEROS: Page = [0; PAGE];

/// Pages by their index in the file. A page that was never written nor allocated reads as zeros and takes no
/// space.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    chunks: Vec<Option<Arc<Chunk>>>,
}

impl Image {
    /// The page at `index`.
    pub(super) fn page(&self, index: usize) -> &Page {
        self.shared(index).map_or(&ZEROS, |page| page)
    }

    /// The page at `index` as it is kept; `None` if it takes no space.
    pub(super) fn shared(&self, index: usize) -> Option<&Arc<Page>> {
        self.chunks.get(index / CHUNK)?.as_ref()?[index % CHUNK].as_ref()
    }

    /// Replaces the page at `index`. Returns whether it takes space now and did not before.
    pub(super) fn set(&mut self, index: usize, page: Arc<Page>) -> bool {
        self.slot(index).replace(page).is_none()
    }

    /// Copies the sectors that `sectors` has a bit for from `source` into the page at `index`.
    pub(super) fn set_sectors(&mut self, index: usize, sectors: u8, source: &Arc<Page>) {
        if sectors == 0 {
            return;
        }
        let slot = self.slot(index);
        if sectors == u8::MAX {
            *slot = Some(Arc::clone(source));
            return;
        }
        let mut page = slot.take().unwrap_or_else(|| Arc::new(ZEROS));
        copy_sectors(Arc::make_mut(&mut page), sectors, source);
        // One copy in memory is enough for a page that the process and the media see alike.
        *slot = Some(if *page == **source { Arc::clone(source) } else { page });
    }

    /// Takes space for the page at `index`, if it has none. Returns whether it did.
    pub(super) fn allocate(&mut self, index: usize) -> bool {
        let missing = self.shared(index).is_none();
        if missing {
            self.set(index, Arc::new(ZEROS));
        }
        missing
    }

    /// Cuts everything from byte `len` on; it reads as zeros from here on.
    pub(super) fn cut(&mut self, len: u64) {
        let len = index_of(len);
        let whole = len.div_ceil(PAGE);
        self.chunks.truncate(whole.div_ceil(CHUNK));
        if !whole.is_multiple_of(CHUNK)
            && let Some(Some(chunk)) = self.chunks.get_mut(whole / CHUNK)
            && chunk[whole % CHUNK..].iter().any(Option::is_some)
        {
            Arc::make_mut(chunk)[whole % CHUNK..].fill(None);
        }
        if !len.is_multiple_of(PAGE)
            && let Some(page) = self.shared(len / PAGE)
            && page[len % PAGE..].iter().any(|byte| *byte != 0)
        {
            let mut page = **page;
            page[len % PAGE..].fill(0);
            self.set(len / PAGE, Arc::new(page));
        }
    }

    /// Number of pages that take space.
    pub(super) fn used_pages(&self) -> u64 {
        let chunks = self.chunks.iter().flatten();
        chunks.map(|chunk| chunk.iter().flatten().count() as u64).sum()
    }

    fn slot(&mut self, index: usize) -> &mut Option<Arc<Page>> {
        let chunk = index / CHUNK;
        if chunk >= self.chunks.len() {
            self.chunks.resize(chunk + 1, None);
        }
        let chunk = self.chunks[chunk].get_or_insert_with(|| Arc::new([const { None }; CHUNK]));
        &mut Arc::make_mut(chunk)[index % CHUNK]
    }
}

/// Copies the sectors that `sectors` has a bit for.
pub(super) fn copy_sectors(page: &mut Page, sectors: u8, source: &Page) {
    for range in (0..SECTORS).filter(|sector| sectors & 1 << sector != 0).map(sector_range) {
        page[range.clone()].copy_from_slice(&source[range]);
    }
}

/// Bytes of a page that its sector `index` covers.
pub(super) fn sector_range(index: usize) -> std::ops::Range<usize> {
    index * SECTOR..(index + 1) * SECTOR
}

/// A file offset as an index into memory, where all files of this disk are.
pub(super) fn index_of(offset: u64) -> usize {
    usize::try_from(offset).expect("the files of a crashable disk fit into memory")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_does_not_see_later_changes() {
        let mut image = Image::default();
        assert!(image.set(70, Arc::new([7; PAGE])));
        let copy = image.clone();
        assert!(!image.set(70, Arc::new([8; PAGE])));
        assert_eq!((copy.page(70)[0], image.page(70)[0], image.page(71)[0]), (7, 8, 0));
    }

    #[test]
    fn cutting_zeroes_the_rest_of_the_page_and_gives_space_back() {
        let mut image = Image::default();
        for index in 0..130 {
            image.set(index, Arc::new([1; PAGE]));
        }
        image.cut(66 * 4096 + 10);
        assert_eq!(image.used_pages(), 67);
        assert_eq!((image.page(66)[9], image.page(66)[10], image.page(67)[0]), (1, 0, 0));
        image.cut(0);
        assert_eq!(image.used_pages(), 0);
    }
}
