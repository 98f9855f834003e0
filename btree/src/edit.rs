//! Changing a node in place: cells and slots are shifted, so that cells stay in key order without holes.
//!
//! What was removed leaves no byte behind: space between cells and slots that held something is zero again, so that a
//! page written later does not carry what nobody can read any more.
//!
//! Heads are kept right: an insert or removal at either end may change the prefix that all keys share, and then
//! all heads are computed anew. In between it cannot, for every key between two others shares what those share.

use std::ops::Range;

use llmdb_base::{
    ChildRef, PageBytes, PageError, PageResult, Pgno,
    header::{self, PAYLOAD, PAYLOAD_END},
};

use crate::{
    node::{self, CAPACITY, CHILD_LEN, Form, Node, SLOT_LEN, Slot, head},
    search,
};

/// A node that is being changed. Bytes that make no sense lead to errors, as in [`Node`].
pub(crate) struct NodeMut<'a> {
    page: &'a mut PageBytes,
    pgno: Pgno,
}

impl<'a> NodeMut<'a> {
    /// Takes `page`, which may be empty, for a node.
    pub(crate) fn new(page: &'a mut PageBytes, pgno: Pgno) -> PageResult<Self> {
        if header::count(page) == 0 {
            header::set_heap_end(page, PAYLOAD);
        }
        Node::open(page, pgno)?;
        Ok(Self { page, pgno })
    }

    pub(crate) fn view(&self) -> PageResult<Node<'_>> {
        Node::open(self.page, self.pgno)
    }

    pub(crate) fn page_mut(&mut self) -> &mut PageBytes {
        self.page
    }

    pub(crate) fn count(&self) -> usize {
        header::count(self.page)
    }

    /// Bytes between cells and slots.
    pub(crate) fn free(&self) -> usize {
        CAPACITY.saturating_sub(header::heap_end(self.page) - PAYLOAD + self.count() * SLOT_LEN)
    }

    fn damaged(&self, what: &str) -> PageError {
        node::damaged(self.page, self.pgno, what)
    }

    /// Inserts a cell as number `index`. The caller has made sure that it fits and where it belongs.
    pub(crate) fn insert(&mut self, index: usize, key: &[u8], payload: &[u8], form: Form) -> PageResult<()> {
        let len = key.len() + payload.len();
        let count = self.count();
        if self.free() < len + SLOT_LEN || index > count {
            return Err(self.damaged("a cell does not fit the page"));
        }
        let offset = self.open_gap(index, len)?;
        self.page[offset..offset + key.len()].copy_from_slice(key);
        self.page[offset + key.len()..offset + len].copy_from_slice(payload);
        self.open_slot(index, len);
        let is_compared = index > 0 || header::level(self.page) == 0;
        let head = if is_compared { head(key, header::skip_len(self.page)) } else { 0 };
        self.put_slot(index, Slot::new(head, offset, key.len(), form));
        header::set_count(self.page, count + 1);
        if index <= 1 || index == count { self.settle_heads() } else { Ok(()) }
    }

    /// Makes room for `len` bytes where cell `index` begins; returns that offset.
    fn open_gap(&mut self, index: usize, len: usize) -> PageResult<usize> {
        let heap_end = header::heap_end(self.page);
        let offset = if index == self.count() { heap_end } else { self.view()?.cell_range(index)?.start };
        self.page.copy_within(offset..heap_end, offset + len);
        header::set_heap_end(self.page, heap_end + len);
        Ok(offset)
    }

    /// Makes room for slot `index`, and tells the slots behind it that their cells are `len` bytes further up.
    fn open_slot(&mut self, index: usize, len: usize) {
        let (start, end) = (slot_offset(self.count()) + SLOT_LEN, slot_offset(index) + SLOT_LEN);
        self.page.copy_within(start..end, start - SLOT_LEN);
        move_cells(&mut self.page[start - SLOT_LEN..end - SLOT_LEN], len);
    }

    /// Removes the cells in `range`.
    pub(crate) fn remove(&mut self, range: Range<usize>) -> PageResult<()> {
        let count = self.count();
        if range.start >= range.end || range.end > count {
            return if range.is_empty() { Ok(()) } else { Err(self.damaged("a cell is missing")) };
        }
        let view = self.view()?;
        let (start, end) = (view.cell_range(range.start)?.start, view.cell_range(range.end - 1)?.end);
        if start > end {
            return Err(self.damaged("cells do not ascend"));
        }
        let heap_end = header::heap_end(self.page);
        self.page.copy_within(end..heap_end, start);
        self.end_heap_at(heap_end - (end - start));
        self.close_slots(range.clone(), end - start);
        header::set_count(self.page, count - range.len());
        if range.start <= 1 || range.end == count { self.settle_heads() } else { Ok(()) }
    }

    /// Closes the gap of the slots in `range`; the cells behind them have moved down by `len` bytes.
    fn close_slots(&mut self, range: Range<usize>, len: usize) {
        let (start, end) = (slot_offset(self.count()) + SLOT_LEN, slot_offset(range.end) + SLOT_LEN);
        let shift = range.len() * SLOT_LEN;
        self.page.copy_within(start..end, start + shift);
        self.page[start..start + shift].fill(0);
        move_cells(&mut self.page[start + shift..end + shift], len.wrapping_neg());
    }

    /// The heap has become shorter: what it held behind its new end is gone.
    fn end_heap_at(&mut self, new_end: usize) {
        let old_end = header::heap_end(self.page);
        self.page[new_end..old_end].fill(0);
        header::set_heap_end(self.page, new_end);
    }

    /// Whether the payload of cell `index` can be replaced by one of `len` bytes.
    pub(crate) fn fits_replaced(&self, index: usize, len: usize) -> PageResult<bool> {
        Ok(self.free() + self.view()?.cell(index)?.payload.len() >= len)
    }

    /// Replaces the payload of cell `index`, which must fit. In place if the length stays.
    pub(crate) fn replace(&mut self, index: usize, payload: &[u8], form: Form) -> PageResult<()> {
        let view = self.view()?;
        let (range, slot, count) = (view.cell_range(index)?, view.slot(index)?, self.count());
        let (start, heap_end) = (range.start + slot.key_len(), header::heap_end(self.page));
        if start > range.end || self.free() + (range.end - start) < payload.len() {
            return Err(self.damaged("a payload does not fit the page"));
        }
        let end = start + payload.len();
        if end != range.end {
            self.page.copy_within(range.end..heap_end, end);
            let new_end = heap_end - range.end + end;
            if new_end < heap_end {
                self.end_heap_at(new_end);
            } else {
                header::set_heap_end(self.page, new_end);
            }
            let behind = slot_offset(count) + SLOT_LEN..slot_offset(index);
            move_cells(&mut self.page[behind], end.wrapping_sub(range.end));
        }
        self.page[start..end].copy_from_slice(payload);
        self.put_slot(index, Slot::new(slot.head(), range.start, slot.key_len(), form));
        Ok(())
    }

    /// Names another page as child `index` of a branch.
    pub(crate) fn set_child(&mut self, index: usize, child: ChildRef) -> PageResult<()> {
        let view = self.view()?;
        let (range, key_len) = (view.cell_range(index)?, view.slot(index)?.key_len());
        if range.len() != key_len + CHILD_LEN {
            return Err(self.damaged("a branch cell has the wrong length"));
        }
        self.page[range.start + key_len..range.end].copy_from_slice(&child.raw().to_le_bytes());
        Ok(())
    }

    /// Removes the children in `range` of a branch, with the separators on their left. The child that is first
    /// afterwards loses its separator.
    pub(crate) fn remove_children(&mut self, range: Range<usize>) -> PageResult<()> {
        let becomes_first = range.start == 0 && range.end < self.count();
        self.remove(range)?;
        if becomes_first { self.clear_first_key() } else { Ok(()) }
    }

    /// Makes the first key of a branch the empty one. It is not compared, so the heads stay.
    fn clear_first_key(&mut self) -> PageResult<()> {
        let view = self.view()?;
        let (range, key_len) = (view.cell_range(0)?, view.slot(0)?.key_len());
        if range.len() < key_len {
            return Err(self.damaged("a cell is shorter than its key"));
        }
        let heap_end = header::heap_end(self.page);
        self.page.copy_within(range.start + key_len..heap_end, range.start);
        self.end_heap_at(heap_end - key_len);
        let behind = slot_offset(self.count()) + SLOT_LEN..slot_offset(0);
        move_cells(&mut self.page[behind], key_len.wrapping_neg());
        self.put_slot(0, Slot::new(0, range.start, 0, Form::Inline));
        Ok(())
    }

    /// Appends the cells in `range` of `source`, the first of them under `first_key` if that is given. Heads are
    /// wrong until [`NodeMut::reset_heads`].
    pub(crate) fn append(
        &mut self,
        source: &Node<'_>,
        range: Range<usize>,
        first_key: Option<&[u8]>,
    ) -> PageResult<()> {
        let mut rest = range;
        if let (Some(key), false) = (first_key, rest.is_empty()) {
            let cell = source.cell(rest.start)?;
            self.append_cell(key, cell.payload, cell.form)?;
            rest.start += 1;
        }
        if rest.is_empty() {
            return Ok(());
        }
        let bytes = source.cell_range(rest.start)?.start..source.cell_range(rest.end - 1)?.end;
        let (count, heap_end) = (self.count(), header::heap_end(self.page));
        let new_end = heap_end + bytes.len();
        if bytes.start > bytes.end || self.free() < bytes.len() + rest.len() * SLOT_LEN {
            return Err(self.damaged("moved cells do not fit the page"));
        }
        self.page[heap_end..new_end].copy_from_slice(&source.page()[bytes.clone()]);
        for (index, slot_index) in rest.clone().zip(count..) {
            self.put_slot(slot_index, source.slot(index)?.moved(heap_end.wrapping_sub(bytes.start)));
        }
        header::set_heap_end(self.page, new_end);
        header::set_count(self.page, count + rest.len());
        Ok(())
    }

    /// Appends a cell. Heads are wrong until [`NodeMut::reset_heads`].
    pub(crate) fn append_cell(&mut self, key: &[u8], payload: &[u8], form: Form) -> PageResult<()> {
        let (count, offset) = (self.count(), header::heap_end(self.page));
        let end = offset + key.len() + payload.len();
        if self.free() < end - offset + SLOT_LEN {
            return Err(self.damaged("a moved cell does not fit the page"));
        }
        self.page[offset..offset + key.len()].copy_from_slice(key);
        self.page[offset + key.len()..end].copy_from_slice(payload);
        self.put_slot(count, Slot::new(0, offset, key.len(), form));
        header::set_heap_end(self.page, end);
        header::set_count(self.page, count + 1);
        Ok(())
    }

    /// Removes all cells.
    pub(crate) fn clear(&mut self) {
        self.page[PAYLOAD..PAYLOAD_END].fill(0);
        header::set_count(self.page, 0);
        header::set_heap_end(self.page, PAYLOAD);
        header::set_skip_len(self.page, 0);
    }

    /// Computes the shared prefix, and the heads if it has changed.
    fn settle_heads(&mut self) -> PageResult<()> {
        let shared_len = search::shared_len(&self.view()?)?;
        if shared_len == header::skip_len(self.page) { Ok(()) } else { self.write_heads(shared_len) }
    }

    /// Computes the shared prefix and all heads.
    pub(crate) fn reset_heads(&mut self) -> PageResult<()> {
        let shared_len = search::shared_len(&self.view()?)?;
        self.write_heads(shared_len)
    }

    fn write_heads(&mut self, shared_len: usize) -> PageResult<()> {
        header::set_skip_len(self.page, shared_len);
        let keys_from = self.view()?.keys_from();
        for index in 0..self.count() {
            let view = self.view()?;
            let head = if index < keys_from { 0 } else { head(view.key(index)?, shared_len) };
            let slot = view.slot(index)?.with_head(head);
            self.put_slot(index, slot);
        }
        Ok(())
    }

    fn put_slot(&mut self, index: usize, slot: Slot) {
        let offset = slot_offset(index);
        self.page[offset..offset + SLOT_LEN].copy_from_slice(&slot.encode());
    }
}

/// Offset of slot `index`. The callers keep `index` below the number of slots that fit a page.
fn slot_offset(index: usize) -> usize {
    PAYLOAD_END - SLOT_LEN * (index + 1)
}

/// Adds `distance` to the offset in each of `slots`.
fn move_cells(slots: &mut [u8], distance: usize) {
    let (slots, _) = slots.as_chunks_mut::<SLOT_LEN>();
    for raw in slots {
        *raw = Slot::decode(*raw).moved(distance).encode();
    }
}
