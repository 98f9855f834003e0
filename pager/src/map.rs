//! The stored allocation map: pieces of one bit per page under a radix of index pages. The layout is described
//! in `docs/format/file.md`.

use llmdb_base::{
    ChildRef, Corruption, Epoch, PageBytes, Pgno, StoreId, checksum,
    codec::{get_u64, put_u64},
    header::{self, PageKind},
};

use crate::{page_set::PageSet, range::PageRange};

const PIECE_BYTES: usize = header::PAYLOAD_END - header::PAYLOAD;
/// Pages that one piece of the map covers: 126 MiB of file.
pub(crate) const PIECE_PAGES: u64 = PIECE_BYTES as u64 * 8;
/// Pieces, or index pages, that one index page refers to.
pub(crate) const FAN_OUT: usize = PIECE_BYTES / 8;
/// Three levels of index pages reach to the largest page number.
pub(crate) const INDEX_LEVELS_MAX: u8 = 3;

const _: () = assert!(PIECE_PAGES == 32_288 && FAN_OUT == 504 && PIECE_BYTES.is_multiple_of(4));
const _: () = assert!(FAN_OUT.pow(INDEX_LEVELS_MAX as u32) as u64 > Pgno::MAX.get() / PIECE_PAGES);

/// A page of the stored map, with its full birth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct MapPage {
    pub pgno: Pgno,
    pub born: Epoch,
}

impl MapPage {
    pub fn child_ref(self) -> ChildRef {
        ChildRef::new(self.pgno, self.born)
    }
}

/// The pages of a stored map. Level 0 holds the pieces, every level above the index pages over the one below, and
/// the last level a single page. `None` stands for a page that would be all zero.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct MapPages {
    pub levels: Vec<Vec<Option<MapPage>>>,
}

impl MapPages {
    /// An empty map with room for `page_count` pages and at least `index_levels` levels of index pages.
    pub fn new(page_count: u64, index_levels: u8) -> Self {
        let mut map = Self { levels: vec![Vec::new(); usize::from(index_levels) + 1] };
        map.grow(page_count);
        map
    }

    /// Makes room for `page_count` pages; whether that took another level.
    pub fn grow(&mut self, page_count: u64) -> bool {
        let depth = self.levels.len();
        let mut len = usize::try_from(page_count.div_ceil(PIECE_PAGES)).expect("a map fits in memory");
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let nodes = &mut self.levels[level];
            len = len.max(nodes.len()).max(1);
            nodes.resize(len, None);
            if len == 1 && level + 1 >= depth {
                break;
            }
            len = len.div_ceil(FAN_OUT);
        }
        self.levels.len() > depth
    }

    /// The page under which all others are found.
    pub fn root(&self) -> ChildRef {
        child_ref(self.levels.last().and_then(|level| level[0]))
    }

    /// Levels of index pages above the pieces.
    #[expect(clippy::cast_possible_truncation, reason = "at most INDEX_LEVELS_MAX")]
    pub fn index_levels(&self) -> u8 {
        (self.levels.len() - 1) as u8
    }

    /// How many pages the stored map takes.
    pub fn page_count(&self) -> u64 {
        self.levels.iter().flatten().flatten().count() as u64
    }

    /// Level and index of the pages at `pgno` or behind it.
    pub fn pages_from(&self, pgno: u64) -> Vec<(usize, usize)> {
        let pages = self.levels.iter().enumerate().flat_map(|(level, pages)| {
            pages.iter().enumerate().map(move |(index, page)| (level, index, page))
        });
        let far = pages.filter(|(.., page)| page.is_some_and(|page| page.pgno.get() >= pgno));
        far.map(|(level, index, _)| (level, index)).collect()
    }

    /// The first piece that is stored below a page of the map.
    pub fn first_piece(&self, level: usize, index: usize) -> Option<u64> {
        match level {
            0 => Some(index as u64),
            _ => {
                let below = self.children(level, index).iter().position(Option::is_some)?;
                self.first_piece(level - 1, index * FAN_OUT + below)
            }
        }
    }

    /// The entries of an index page: its children on the level below.
    pub fn children(&self, level: usize, index: usize) -> &[Option<MapPage>] {
        let below = &self.levels[level - 1];
        &below[(index * FAN_OUT).min(below.len())..((index + 1) * FAN_OUT).min(below.len())]
    }

    /// Fills in the payload of an index page.
    pub fn encode_index(&self, level: usize, index: usize, page: &mut PageBytes) {
        for (slot, child) in self.children(level, index).iter().enumerate() {
            put_u64(page, header::PAYLOAD + slot * 8, child_ref(*child).raw());
        }
    }
}

fn child_ref(page: Option<MapPage>) -> ChildRef {
    page.map_or(ChildRef::NONE, MapPage::child_ref)
}

/// Fills in the payload of a piece from the set of live pages. A piece begins and ends at half a word.
pub(crate) fn encode_piece(live: &PageSet, piece: u64, page: &mut PageBytes) {
    let first_half = piece * (PIECE_BYTES as u64 / 4);
    for (half, bytes) in (first_half..).zip(page[header::PAYLOAD..header::PAYLOAD_END].chunks_exact_mut(4)) {
        let word = live.word(half / 2).to_le_bytes();
        bytes.copy_from_slice(if half % 2 == 0 { &word[..4] } else { &word[4..] });
    }
}

/// Whether any page of a piece is live.
pub(crate) fn piece_is_used(live: &PageSet, piece: u64) -> bool {
    PageRange::new(piece * PIECE_PAGES, PIECE_PAGES).words().any(|(word, mask)| live.word(word) & mask != 0)
}

/// The runs of ones in a piece, as page numbers.
pub(crate) fn piece_runs(page: &PageBytes, piece: u64) -> impl Iterator<Item = PageRange> {
    let payload = &page[header::PAYLOAD..header::PAYLOAD_END];
    let word = move |index: u64| {
        let start = usize::try_from(index * 8).expect("an index into a page");
        let mut raw = [0; 8];
        let bytes = &payload[start..payload.len().min(start + 8)];
        raw[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(raw)
    };
    let first = piece * PIECE_PAGES;
    crate::range::runs_of_ones(0, PIECE_PAGES, word)
        .map(move |run| PageRange::new(first + run.first(), run.count()))
}

/// The entries of an index page.
pub(crate) fn index_entries(page: &PageBytes) -> impl Iterator<Item = ChildRef> {
    (0..FAN_OUT).map(|slot| ChildRef::from_raw(get_u64(page, header::PAYLOAD + slot * 8)))
}

/// Checks that `page`, read from where `child` points, is the map page that is expected there.
pub(crate) fn verify(store: StoreId, child: ChildRef, level: u8, page: &PageBytes) -> Result<(), Corruption> {
    let damage = |what: String| Err(Corruption::new(child.pgno(), what));
    let found = header::checksum(page);
    let expected = checksum::crc32c(checksum::page_seed(store, child.pgno()), &page[header::CHECKED..]);
    if found != expected {
        return damage(format!("checksum {found:08x}, expected {expected:08x}"));
    }
    let kind = if level == 0 { PageKind::Map } else { PageKind::MapIndex };
    if header::kind(page) != Some(kind) || header::level(page) != level {
        let (found, at) = (header::kind(page), header::level(page));
        return damage(format!("{found:?} of level {at}, expected {kind:?} of level {level}"));
    }
    if header::birth(page).tag() != child.tag() {
        return damage(format!("born in {}, expected tag {:06x}", header::birth(page), child.tag()));
    }
    if !header::reserved_is_zero(page) {
        return damage("reserved bytes are not zero".into());
    }
    // The last four bytes of an index page's payload name nothing.
    let end = header::PAYLOAD + FAN_OUT * 8;
    if level > 0 && page[end..header::PAYLOAD_END].iter().any(|byte| *byte != 0) {
        return damage("bytes behind the last reference are not zero".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use llmdb_base::PAGE_SIZE;

    use super::*;

    #[test]
    fn a_map_grows_by_pieces_and_levels() {
        let mut map = MapPages::new(1, 0);
        assert_eq!((map.levels.len(), map.levels[0].len()), (1, 1));
        assert!(!map.grow(PIECE_PAGES));
        assert!(map.grow(PIECE_PAGES + 1));
        assert_eq!(map.levels.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        assert!(map.grow(PIECE_PAGES * 505));
        assert_eq!(map.levels.iter().map(Vec::len).collect::<Vec<_>>(), [505, 2, 1]);
        assert!(!map.grow(1), "a map never shrinks");
        assert_eq!(map.index_levels(), 2);
        assert_eq!(MapPages::new(1, 2).levels.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
    }

    #[test]
    fn a_piece_comes_back_as_it_was_stored() {
        let live = PageSet::default();
        let runs =
            [PageRange::new(PIECE_PAGES - 3, 3), PageRange::new(PIECE_PAGES, 70), PageRange::new(64_575, 1)];
        runs.into_iter().for_each(|run| live.insert_range(run));
        let mut page = [0; PAGE_SIZE];
        encode_piece(&live, 1, &mut page);
        assert_eq!(piece_runs(&page, 1).collect::<Vec<_>>(), runs[1..]);
        assert!(piece_is_used(&live, 0) && piece_is_used(&live, 1) && !piece_is_used(&live, 2));
        encode_piece(&live, 0, &mut page);
        assert_eq!(piece_runs(&page, 0).collect::<Vec<_>>(), runs[..1]);
    }
}
