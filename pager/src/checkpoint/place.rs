//! Storing the allocation map: which of its pages must be written anew, and where.
//!
//! The map says which pages are live, and the map's own pages are among them. Storing a changed piece frees a page
//! and takes another one, which may change further pieces. That ends, because a piece that has a new page is filled
//! in last and needs no other.

use std::collections::BTreeSet;

use llmdb_base::{PageResult, TreeId, WritePages, header::PageKind};

use crate::{
    map::{FAN_OUT, MapPage, MapPages, encode_piece, piece_is_used},
    range::{PageRange, runs_of_ones},
    txn::PageTxn,
};

/// Stores what has changed of the allocation map in new pages of `txn`, and returns where the whole map is then.
///
/// # Errors
/// `NoSpace`. The transaction must be aborted, and what had changed counts as changed still.
pub(crate) fn store_map(txn: &mut PageTxn) -> PageResult<MapPages> {
    let mut placing =
        Placing { map: txn.map().clone(), changed: Vec::new(), placed: Vec::new(), seen: BTreeSet::new() };
    if let Err(error) = placing.run(txn) {
        let changed = &txn.pager().space.changed_pieces;
        for piece in placing.seen {
            changed.insert(piece as u64);
        }
        return Err(error);
    }
    Ok(placing.map)
}

struct Placing {
    map: MapPages,
    /// Per level, what must be looked at.
    changed: Vec<BTreeSet<usize>>,
    /// Per level, what has a new page.
    placed: Vec<BTreeSet<usize>>,
    /// Every piece that was found changed.
    seen: BTreeSet<usize>,
}

impl Placing {
    fn run(&mut self, txn: &mut PageTxn) -> PageResult<()> {
        loop {
            self.note_changes(txn);
            let next =
                self.changed.iter_mut().enumerate().find_map(|(level, set)| Some((level, set.pop_first()?)));
            match next {
                Some((level, index)) => self.place(txn, level, index)?,
                None => break,
            }
        }
        self.fill(txn)
    }

    /// Takes over which pieces have changed since it was last asked, and makes room for a file that has grown.
    fn note_changes(&mut self, txn: &PageTxn) {
        let space = &txn.pager().space;
        let grew_a_level = self.map.grow(space.file_pages());
        self.changed.resize_with(self.map.levels.len(), BTreeSet::new);
        self.placed.resize_with(self.map.levels.len(), BTreeSet::new);
        if grew_a_level {
            // What used to be the root is a child now.
            self.changed[1..].iter_mut().for_each(|changed| changed.extend([0]));
        }
        let pieces =
            runs_of_ones(0, self.map.levels[0].len() as u64, |index| space.changed_pieces.word(index));
        for piece in pieces.flat_map(PageRange::pages).collect::<Vec<_>>() {
            space.changed_pieces.remove(piece);
            let piece = usize::try_from(piece).expect("a piece of a map in memory");
            self.seen.insert(piece);
            self.changed[0].insert(piece);
        }
    }

    /// Gives a changed page of the map a new place, or none if nothing is in it.
    fn place(&mut self, txn: &mut PageTxn, level: usize, index: usize) -> PageResult<()> {
        if self.placed[level].contains(&index) {
            return Ok(());
        }
        let is_used = match level {
            0 => piece_is_used(&txn.pager().space.live, index as u64),
            _ => self.map.children(level, index).iter().any(Option::is_some),
        };
        // First the new page, so that an error leaves the old one in place.
        let new = if is_used { Some(allocate(txn, level)?) } else { None };
        let old = std::mem::replace(&mut self.map.levels[level][index], new);
        if let Some(old) = old {
            txn.free_map_page(old.pgno, old.born)?;
        }
        if new.is_some() {
            self.placed[level].insert(index);
        }
        if level + 1 < self.map.levels.len() {
            self.changed[level + 1].insert(index / FAN_OUT);
        }
        Ok(())
    }

    /// Fills in the new pages. Nothing is allocated or freed from here on.
    fn fill(&self, txn: &mut PageTxn) -> PageResult<()> {
        for (level, placed) in self.placed.iter().enumerate() {
            for index in placed {
                let page = self.map.levels[level][*index].expect("what was placed has a page");
                let pager = std::sync::Arc::clone(txn.pager());
                let bytes = txn.page_mut(page.child_ref())?;
                match level {
                    0 => encode_piece(&pager.space.live, *index as u64, bytes),
                    _ => self.map.encode_index(level, *index, bytes),
                }
            }
        }
        Ok(())
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a map has four levels at most")]
fn allocate(txn: &mut PageTxn, level: usize) -> PageResult<MapPage> {
    let kind = if level == 0 { PageKind::Map } else { PageKind::MapIndex };
    let child = txn.allocate(kind, level as u8, TreeId::new(0))?;
    Ok(MapPage { pgno: child.pgno(), born: txn.epoch() })
}
