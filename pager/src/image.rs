//! Pages as they are stored, for whoever copies a state page by page; and what makes such a copy a data file again.
//!
//! A copy is laid out in a new file with the identity of the original, looked through, given an identity of its own
//! page by page, and opened with [`crate::Access::Rebuild`], since copies hold no allocation map.

use llmdb_base::{
    ChildRef, Corruption, PAGE_SIZE, PageBytes, PageError, PageResult, Pgno, ReadPages, RunRef, StoreId,
    checksum::crc32c,
    codec::{get_u32, put_u32},
    header,
};
use llmdb_vfs::{File, read_exact_at, write_all_at};

use crate::{
    checkpoint::write_meta,
    map::MapPages,
    meta::{GivenUp, Meta},
    read::ReadGuard,
    roots::RootRecord,
    run::{RunLayout, seed, to_len},
    store::node_checksum,
};

/// Pages of a value copied at once.
const CHUNK_PAGES: u64 = 64;

/// Takes consecutive pages: the number of the first, and their bytes.
pub type TakePages<'a, E> = &'a mut dyn FnMut(Pgno, &[u8]) -> Result<(), E>;

impl ReadGuard {
    /// Identity of the store that the pages belong to.
    pub fn store_id(&self) -> StoreId {
        self.pager().store_id()
    }

    /// The node that `child` names as the data file stores it, with its checksum.
    ///
    /// # Errors
    /// As [`ReadPages::page`]. Corruption if memory does not hold what was verified any more.
    pub fn stored_node(&self, child: ChildRef) -> PageResult<Box<PageBytes>> {
        let pager = self.pager();
        // Pages made in memory have no checksum there, see `view`. Asked before the copy: what is not private is stored
        // already, and stays so.
        let is_made = !pager.store.view.shows_file() || pager.space.is_private(child.pgno().get());
        let mut page = Box::new(*self.page(child)?);
        let (found, expected) = (header::checksum(&page), node_checksum(pager.store.id, child.pgno(), &page));
        if found != expected && !is_made {
            let what = format!("checksum {found:08x}, expected {expected:08x}");
            return Err(Corruption::new(child.pgno(), what).into());
        }
        header::set_checksum(&mut page, expected);
        Ok(page)
    }

    /// The pages of `run` as the data file stores them, its table of checksums included, verified: handed to `take`
    /// piece by piece, in order, with the number of the first page of each.
    ///
    /// # Errors
    /// As [`ReadPages::run`], and those of `take`.
    pub fn stored_run<E: From<PageError>>(&self, run: &RunRef, take: TakePages<'_, E>) -> Result<(), E> {
        let view = &self.pager().store.view;
        // Looks at the bounds, and at the table, before anything is asked for that lies there.
        self.run_part(run, 0, 1)?;
        let layout = RunLayout::checked(run, self.root().page_count, view.region_pages())?;
        let mut index = 0;
        while index < layout.pages {
            let count = CHUNK_PAGES.min(layout.pages - index);
            let start = index * PAGE_SIZE as u64;
            if start < run.len {
                let len = (count * PAGE_SIZE as u64).min(run.len - start);
                self.run_part(run, start, to_len(len))?;
            }
            let first = run.first.plus(index);
            take(first, view.bytes(first.offset(), to_len(count * PAGE_SIZE as u64)))?;
            index += count;
        }
        Ok(())
    }
}

/// Writes the meta pages of both generations for the state `root` of `store`, whose pages `file` holds: without an
/// allocation map. Opens for reading, and for rebuilding.
///
/// # Errors
/// An I/O error.
pub fn write_image_meta(file: &dyn File, store: StoreId, root: &RootRecord) -> PageResult<()> {
    let map_levels = MapPages::new(root.page_count, 0).index_levels();
    for generation in [1, 2] {
        let (map_root, given_up) = (ChildRef::NONE, GivenUp::default());
        let meta = Meta { store, generation, root: *root, map_root, map_levels, log_mark: 0, given_up };
        meta.slots().into_iter().try_for_each(|pgno| write_meta(file, &meta, pgno))?;
    }
    Ok(())
}

/// Gives the node in `page`, of number `pgno`, the checksum that it has in the store `to`.
pub fn reseal_node(page: &mut PageBytes, pgno: Pgno, to: StoreId) {
    let checksum = node_checksum(to, pgno, page);
    header::set_checksum(page, checksum);
}

/// Gives the value in `run` the checksums that it has in the store `to`, and returns the one that its reference must
/// carry then. The value is verified on the way.
///
/// # Errors
/// Corruption if it is not what `run` says; I/O errors.
pub fn reseal_run(file: &dyn File, run: &RunRef, from: StoreId, to: StoreId) -> PageResult<u32> {
    let layout = RunLayout::new(run.first, run.len);
    if !layout.is_long() {
        let mut value = vec![0; to_len(run.len)];
        read(file, &mut value, run.first.offset())?;
        compare(run.first, run.checksum, crc32c(seed(from, run.first, 0), &value))?;
        return Ok(crc32c(seed(to, run.first, 0), &value));
    }
    let mut table = vec![0; to_len(layout.table_len())];
    let table_offset = run.first.offset() + layout.table_start();
    read(file, &mut table, table_offset)?;
    compare(run.first, run.checksum, crc32c(seed(from, run.first, 0), &table))?;
    let mut page = [0; PAGE_SIZE];
    for index in 0..layout.value_pages {
        let (pgno, at) = (run.first.plus(index), to_len(index * 4));
        let bytes = &mut page[..layout.len_in_page(index)];
        read(file, bytes, pgno.offset())?;
        compare(pgno, get_u32(&table, at), crc32c(seed(from, run.first, index), bytes))?;
        put_u32(&mut table, at, crc32c(seed(to, run.first, index), bytes));
    }
    write_all_at(file, &table, table_offset)
        .map_err(|source| PageError::io(format!("write the value at {}", run.first), source))?;
    Ok(crc32c(seed(to, run.first, 0), &table))
}

fn read(file: &dyn File, bytes: &mut [u8], offset: u64) -> PageResult<()> {
    read_exact_at(file, bytes, offset)
        .map_err(|source| PageError::io(format!("read {} bytes at {offset}", bytes.len()), source))
}

fn compare(pgno: Pgno, expected: u32, found: u32) -> PageResult<()> {
    if found == expected {
        return Ok(());
    }
    Err(Corruption::new(pgno, format!("value with checksum {found:08x}, expected {expected:08x}")).into())
}
