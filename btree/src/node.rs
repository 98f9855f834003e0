//! A node as it lies in its page, read with every offset checked where it is used.
//!
//! ```text
//!  0        32                      heap_end            slots start         4068   4096
//!  | header | cell 0 | cell 1 | ... |       free        | slot n-1 ... slot 0 | 28 B |
//!             key bytes, then payload                     head, offset, key_len
//! ```
//!
//! Invariants of a node (`docs/format/tree.md` says the same for readers of bytes):
//!
//! 1. Cells lie in key order from byte 32 on, without holes: cell `i` ends where cell `i + 1` begins, the last one
//!    at `heap_end`. So a scan reads memory upwards, and no length of a value is stored.
//! 2. Slot `i` lies at `4068 - 8 * (i + 1)`.
//! 3. Keys ascend strictly. In a branch the first key is empty and stands for "below all others".
//! 4. `skip_len` is the length of the prefix that all keys share (in a branch: all but the first).
//! 5. A head is the four key bytes behind that prefix as a big-endian number, padded with zeros; the head of the
//!    first slot of a branch is 0.
//! 6. A branch cell's payload is the 8-byte reference of a child whose level is one less.
//! 7. A node has at least one cell.
//!
//! Bytes that break them lead to errors or, if checksums are not verified, to wrong answers; never to a panic, for
//! every slice is taken with `get`, and never to a loop, for levels fall by one with every step down.

use std::cmp::min;

use llmdb_base::{
    ChildRef, Corruption, PageBytes, PageError, PageResult, Pgno, ReadPages, RunRef, TreeId, codec,
    header::{self, PAYLOAD, PAYLOAD_END, PageKind},
};

use crate::value::{self, RUN_REF_LEN, Value};

/// Bytes of a slot.
pub(crate) const SLOT_LEN: usize = 8;
/// Bytes of a page that cells and slots share.
pub(crate) const CAPACITY: usize = PAYLOAD_END - PAYLOAD;
/// Slots that are few enough to be searched side by side: those of a leaf with rows of a quarter of a kilobyte.
pub(crate) const FEW: usize = 16;
/// Longest cell: two of them, with their slots, fit a page. Splitting in two relies on it.
pub(crate) const CELL_LEN_MAX: usize = CAPACITY / 2 - SLOT_LEN;
/// Bytes of the payload of a branch cell.
pub(crate) const CHILD_LEN: usize = 8;
/// Longest key in bytes: a cell can hold it and a run reference.
pub const KEY_LEN_MAX: usize = CELL_LEN_MAX - RUN_REF_LEN;
/// Kind, level and flags, which are checked with one comparison.
const SHAPE: usize = header::CHECKED;
/// Bit of a slot's key length which says that the payload is a run reference.
const RUN_BIT: u16 = 1 << 15;

const _: () = assert!(CAPACITY == 4036 && CELL_LEN_MAX == 2010 && KEY_LEN_MAX == 1978);
const _: () = assert!(KEY_LEN_MAX + CHILD_LEN <= CELL_LEN_MAX);

/// What the payload of a cell is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// The value; in a branch the child reference.
    Inline,
    /// A stored run reference.
    Run,
}

/// A slot: bits 0 to 31 the head, 32 to 47 the offset of the cell, 48 to 62 the key length, 63 set for a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Slot(u64);

impl Slot {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "offsets and key lengths are bounded by the page size"
    )]
    pub(crate) fn new(head: u32, offset: usize, key_len: usize, form: Form) -> Self {
        let run_bit = if form == Form::Run { RUN_BIT } else { 0 };
        Self(u64::from(head) | (offset as u64) << 32 | u64::from(key_len as u16 | run_bit) << 48)
    }

    #[inline]
    pub(crate) fn decode(raw: [u8; SLOT_LEN]) -> Self {
        Self(u64::from_le_bytes(raw))
    }

    pub(crate) fn encode(self) -> [u8; SLOT_LEN] {
        self.0.to_le_bytes()
    }

    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the lower half is wanted")]
    pub(crate) fn head(self) -> u32 {
        self.0 as u32
    }

    #[inline]
    pub(crate) fn offset(self) -> usize {
        (self.0 >> 32 & 0xFFFF) as usize
    }

    #[inline]
    pub(crate) fn key_len(self) -> usize {
        (self.0 >> 48) as usize & !(RUN_BIT as usize)
    }

    /// The length of the key, and of a run more than a page has.
    #[inline]
    fn key_len_or_more(self) -> usize {
        (self.0 >> 48) as usize
    }

    #[inline]
    pub(crate) fn form(self) -> Form {
        if self.0 >> 63 == 1 { Form::Run } else { Form::Inline }
    }

    pub(crate) fn with_head(self, head: u32) -> Self {
        Self(self.0 & !0xFFFF_FFFF | u64::from(head))
    }

    /// The slot of the same cell `distance` bytes further up (modulo 2^16, if the bytes make no sense).
    pub(crate) fn moved(self, distance: usize) -> Self {
        let offset = self.offset().wrapping_add(distance) & 0xFFFF;
        Self(self.0 & !(0xFFFF << 32) | (offset as u64) << 32)
    }
}

/// A cell, taken apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cell<'p> {
    pub(crate) key: &'p [u8],
    pub(crate) payload: &'p [u8],
    pub(crate) form: Form,
}

/// A page that is known to be a node of the expected level, with a plausible header.
#[derive(Clone, Copy)]
pub(crate) struct Node<'p> {
    page: &'p PageBytes,
    /// Slots as they lie in memory: the last slot first.
    slots: &'p [[u8; SLOT_LEN]],
    pgno: Pgno,
}

/// Reads the node `child` of `tree`, which must be `level` levels above the leaves.
#[inline]
pub(crate) fn fetch<P: ReadPages>(
    pages: &P,
    tree: TreeId,
    child: ChildRef,
    level: u8,
) -> PageResult<Node<'_>> {
    match pages.page(child) {
        Ok(page) => Node::new(page, tree, child.pgno(), level),
        Err(error) => Err(error.in_tree(tree)),
    }
}

/// The node `child` of `tree`, a leaf, if it is at hand: see [`ReadPages::ready_page`].
#[inline]
pub(crate) fn ready_leaf<P: ReadPages>(pages: &P, tree: TreeId, child: ChildRef) -> Option<Node<'_>> {
    Node::new(pages.ready_page(child)?, tree, child.pgno(), 0).ok()
}

impl<'p> Node<'p> {
    /// Takes `page` for a node of `tree` at `level`, if its header agrees and it holds at least one cell.
    #[inline]
    pub(crate) fn new(page: &'p PageBytes, tree: TreeId, pgno: Pgno, level: u8) -> PageResult<Self> {
        if codec::get_u32(page, SHAPE) != shape(level) || header::tree(page) != tree {
            return Err(misplaced(page, tree, pgno, level));
        }
        match Self::any(page, pgno) {
            Some(node) if node.count() > 0 => Ok(node),
            _ => Err(implausible(page, pgno)),
        }
    }

    /// Takes `page` for a node of whatever level and tree, as one that was fetched before. It may be empty.
    #[inline]
    pub(crate) fn open(page: &'p PageBytes, pgno: Pgno) -> PageResult<Self> {
        Self::any(page, pgno).ok_or_else(|| implausible(page, pgno))
    }

    /// Slots and cells do not overlap.
    #[inline]
    fn any(page: &'p PageBytes, pgno: Pgno) -> Option<Self> {
        let heap_end = header::heap_end(page);
        let slots_start = PAYLOAD_END.checked_sub(header::count(page) * SLOT_LEN)?;
        if heap_end < PAYLOAD || heap_end > slots_start {
            return None;
        }
        let (slots, _) = page.get(slots_start..PAYLOAD_END)?.as_chunks();
        Some(Self { page, slots, pgno })
    }

    #[inline]
    pub(crate) fn page(&self) -> &'p PageBytes {
        self.page
    }

    #[inline]
    pub(crate) fn pgno(&self) -> Pgno {
        self.pgno
    }

    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn is_branch(&self) -> bool {
        header::level(self.page) > 0
    }

    /// Index of the first cell whose key takes part in comparisons: the first key of a branch does not.
    pub(crate) fn keys_from(&self) -> usize {
        usize::from(self.is_branch())
    }

    /// Slots of the cells from `first` on, as they lie in memory: the last slot first.
    #[inline]
    pub(crate) fn slots_from(&self, first: usize) -> &'p [[u8; SLOT_LEN]] {
        self.slots.get(..self.slots.len().saturating_sub(first)).unwrap_or_default()
    }

    /// The last bytes of the payload as slots, and how many of them are slots of this node, if that is all it has.
    #[inline]
    pub(crate) fn few_slots(&self) -> Option<(&'p [[u8; SLOT_LEN]; FEW], usize)> {
        if self.slots.len() > FEW {
            return None;
        }
        let (few, _) = self.page[PAYLOAD_END - FEW * SLOT_LEN..PAYLOAD_END].as_chunks();
        Some((few.first_chunk()?, self.slots.len()))
    }

    #[inline]
    pub(crate) fn slot(&self, index: usize) -> PageResult<Slot> {
        match self.slots.get(self.slots.len().wrapping_sub(index + 1)) {
            Some(raw) => Ok(Slot::decode(*raw)),
            None => Err(self.damaged("a slot is missing")),
        }
    }

    /// Offset of the first byte behind cell `index`.
    #[inline]
    fn cell_end(&self, index: usize) -> usize {
        match self.slots.get(self.slots.len().wrapping_sub(index + 2)) {
            Some(raw) => Slot::decode(*raw).offset(),
            None => header::heap_end(self.page),
        }
    }

    /// Where cell `index` lies in the page; inside the payload, and not of negative length.
    #[inline]
    pub(crate) fn cell_range(&self, index: usize) -> PageResult<std::ops::Range<usize>> {
        let range = self.slot(index)?.offset()..self.cell_end(index);
        if range.start < PAYLOAD || range.start > range.end || range.end > header::heap_end(self.page) {
            return Err(self.damaged("a cell lies outside the cells"));
        }
        Ok(range)
    }

    #[inline]
    pub(crate) fn cell(&self, index: usize) -> PageResult<Cell<'p>> {
        let slot = self.slot(index)?;
        let bytes = self.page.get(slot.offset()..self.cell_end(index));
        match bytes.and_then(|bytes| bytes.split_at_checked(slot.key_len())) {
            Some((key, payload)) => Ok(Cell { key, payload, form: slot.form() }),
            None => Err(self.damaged("a cell lies outside the page or is shorter than its key")),
        }
    }

    #[inline]
    pub(crate) fn key(&self, index: usize) -> PageResult<&'p [u8]> {
        let slot = self.slot(index)?;
        match self.page.get(slot.offset()..slot.offset() + slot.key_len()) {
            Some(key) => Ok(key),
            None => Err(self.damaged("a key lies outside the page")),
        }
    }

    /// The prefix that all keys from cell `first` on share.
    #[inline]
    pub(crate) fn shared_prefix(&self, first: usize) -> PageResult<&'p [u8]> {
        // Read from where that slot always lies, not through the slice: the load need not wait for the count.
        let start = PAYLOAD_END - SLOT_LEN * (first + 1);
        let offset = match self.page[start..].first_chunk() {
            Some(raw) if first < self.count() => Slot::decode(*raw).offset(),
            _ => return Err(self.damaged("a node without keys")),
        };
        match self.page.get(offset..offset + header::skip_len(self.page)) {
            Some(prefix) => Ok(prefix),
            None => Err(self.damaged("the shared prefix ends outside the page")),
        }
    }

    /// Key and value of entry `index` of a leaf.
    #[inline]
    pub(crate) fn entry(&self, index: usize) -> PageResult<(&'p [u8], Value<'p>)> {
        let cell = self.cell(index)?;
        let value = match cell.form {
            Form::Inline => Value::Inline(cell.payload),
            Form::Run => Value::Run(self.run_in(&cell)?),
        };
        Ok((cell.key, value))
    }

    /// Key and value of entry `index` of a leaf, if there is one and the value stands beside the key. `None` says nothing
    /// about what is wrong.
    #[inline]
    pub(crate) fn inline_entry(&self, index: usize) -> Option<(&'p [u8], &'p [u8])> {
        let (slot, cell) = self.cell_bytes(index)?;
        // A run is taken for a key that is longer than any cell.
        cell.split_at_checked(slot.key_len_or_more())
    }

    /// Slot and bytes of cell `index`, if there is one. `None` says nothing about what is wrong.
    #[inline]
    pub(crate) fn cell_bytes(&self, index: usize) -> Option<(Slot, &'p [u8])> {
        let (slots, _) = self.slots.split_at_checked(self.slots.len().checked_sub(index)?)?;
        let (raw, behind) = slots.split_last()?;
        let slot = Slot::decode(*raw);
        let end =
            behind.last().map_or_else(|| header::heap_end(self.page), |raw| Slot::decode(*raw).offset());
        Some((slot, self.page.get(slot.offset()..end)?))
    }

    /// The run of entry `index` of a leaf, if its value is out of line.
    pub(crate) fn run(&self, index: usize) -> PageResult<Option<RunRef>> {
        let cell = self.cell(index)?;
        if cell.form == Form::Run { self.run_in(&cell).map(Some) } else { Ok(None) }
    }

    #[inline]
    fn run_in(&self, cell: &Cell<'_>) -> PageResult<RunRef> {
        match value::decode_run(cell.payload) {
            Some(run) => Ok(run),
            None => Err(self.damaged("a run reference makes no sense")),
        }
    }

    /// Child `index` of a branch.
    #[inline]
    pub(crate) fn child(&self, index: usize) -> PageResult<ChildRef> {
        let slot = self.slot(index)?;
        let start = slot.offset() + slot.key_len();
        match self.page.get(start..).and_then(<[u8]>::first_chunk) {
            Some(raw) => Ok(ChildRef::from_raw(u64::from_le_bytes(*raw))),
            None => Err(self.damaged("a child reference lies outside the page")),
        }
    }

    /// Bytes that cells and slots take.
    pub(crate) fn used(&self) -> usize {
        header::heap_end(self.page) - PAYLOAD + self.count() * SLOT_LEN
    }

    #[cold]
    pub(crate) fn damaged(&self, what: &str) -> PageError {
        damaged(self.page, self.pgno, what)
    }
}

/// A damaged node, named with the tree that its header shows.
#[cold]
pub(crate) fn damaged(page: &PageBytes, pgno: Pgno, what: &str) -> PageError {
    PageError::from(Corruption::new(pgno, what)).in_tree(header::tree(page))
}

/// Kind, level and flags of a sound node at `level`, as they are stored.
#[inline]
fn shape(level: u8) -> u32 {
    let kind = if level == 0 { PageKind::Leaf } else { PageKind::Branch };
    u32::from_le_bytes([kind as u8, level, 0, 0])
}

#[cold]
fn misplaced(page: &PageBytes, tree: TreeId, pgno: Pgno, level: u8) -> PageError {
    let found =
        format!("kind {:?}, level {}, {}", header::kind(page), header::level(page), header::tree(page));
    PageError::from(Corruption::new(pgno, format!("{found}; expected a node of level {level} of {tree}")))
        .in_tree(tree)
}

#[cold]
fn implausible(page: &PageBytes, pgno: Pgno) -> PageError {
    damaged(page, pgno, &format!("{} cells that end at byte {}", header::count(page), header::heap_end(page)))
}

/// The four bytes of `key` behind the first `skip_len`, as a big-endian number, padded with zeros.
#[inline]
pub(crate) fn head(key: &[u8], skip_len: usize) -> u32 {
    let rest = key.get(skip_len..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => u32::from_be_bytes(*bytes),
        None => short_head(rest),
    }
}

fn short_head(rest: &[u8]) -> u32 {
    rest.iter().chain(&[0; 4]).take(4).fold(0, |head, byte| head << 8 | u32::from(*byte))
}

/// Length of the longest common prefix.
pub(crate) fn common_len(a: &[u8], b: &[u8]) -> usize {
    let len = min(a.len(), b.len());
    let (a_words, b_words) = (a[..len].chunks_exact(8), b[..len].chunks_exact(8));
    let equal = a_words.zip(b_words).take_while(|(a, b)| a == b).count() * 8;
    equal + a[equal..len].iter().zip(&b[equal..len]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use llmdb_base::{Epoch, PAGE_SIZE};

    #[test]
    fn shape_is_what_the_header_stores() {
        for (level, kind) in [(0, PageKind::Leaf), (7, PageKind::Branch)] {
            let mut page = [0; PAGE_SIZE];
            header::init(&mut page, kind, level, TreeId::new(1), Epoch::new(1));
            assert_eq!(codec::get_u32(&page, SHAPE), shape(level));
        }
    }

    #[test]
    fn heads_order_as_keys_do() {
        let keys: [&[u8]; 8] = [b"", b"\0", b"a", b"a\0", b"ab", b"abcd", b"abcde", b"b"];
        for pair in keys.windows(2) {
            assert!(head(pair[0], 0) <= head(pair[1], 0), "{pair:?}");
        }
        assert_eq!(head(b"xyab", 2), 0x6162_0000);
        assert_eq!(head(b"x", 2), 0);
    }

    #[test]
    fn common_len_counts_equal_bytes() {
        let long = [7; 100];
        for len in 0..100 {
            let mut other = long;
            other[len] = 8;
            assert_eq!(common_len(&long, &other), len);
            assert_eq!(common_len(&long, &long[..len]), len);
        }
    }
}
