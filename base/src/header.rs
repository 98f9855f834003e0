//! The header that every page of a tree or of the allocation map begins with.
//!
//! ```text
//! offset size name
//!      0    4 checksum   CRC32C of bytes 4.., seeded with store id and page number
//!      4    1 kind       see [`PageKind`]
//!      5    1 level      0 for leaves; a branch is one above its children
//!      6    2 flags      zero
//!      8    8 birth      epoch that wrote the page
//!     16    4 tree       id of the tree that the page belongs to; 0 for the catalog and the map
//!     20    2 count      entries
//!     22    2 heap_end   first unused byte behind the cells (nodes)
//!     24    2 skip_len   bytes at the start of every key that its head leaves out (nodes)
//!     26    2 ascent     where the last insert went, and how many before it went up to there (leaves; a hint)
//!     28    4 reserved   zero
//!     32      payload
//!   4068   28 reserved   zero; room for the nonce and tag of authenticated encryption
//! ```

use crate::{Epoch, PageBytes, TreeId, codec};

/// Offset of the checksum; it covers everything behind itself.
pub const CHECKSUM: usize = 0;
/// Offset of the first byte that the checksum covers.
pub const CHECKED: usize = CHECKSUM + 4;
const KIND: usize = CHECKED;
const LEVEL: usize = KIND + 1;
const FLAGS: usize = LEVEL + 1;
const BIRTH: usize = FLAGS + 2;
const TREE: usize = BIRTH + 8;
const COUNT: usize = TREE + 4;
const HEAP_END: usize = COUNT + 2;
const SKIP_LEN: usize = HEAP_END + 2;
const ASCENT: usize = SKIP_LEN + 2;
const RESERVED: usize = ASCENT + 2;
/// Offset of the payload.
pub const PAYLOAD: usize = RESERVED + 4;
/// First byte behind the payload; from here on room for authenticated encryption.
pub const PAYLOAD_END: usize = crate::PAGE_SIZE - 28;

const _: () = assert!(PAYLOAD == 32);

/// What a page holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum PageKind {
    /// Keys and values of a tree.
    Leaf = 1,
    /// Separators and child references of a tree.
    Branch = 2,
    /// A piece of the allocation map.
    Map = 3,
    /// References to pieces of the allocation map.
    MapIndex = 4,
}

impl PageKind {
    /// The kind a stored byte stands for, if any.
    pub fn decode(raw: u8) -> Option<Self> {
        [Self::Leaf, Self::Branch, Self::Map, Self::MapIndex].into_iter().find(|kind| *kind as u8 == raw)
    }
}

/// Makes `page` an empty page: header as given, everything else zero.
pub fn init(page: &mut PageBytes, kind: PageKind, level: u8, tree: TreeId, birth: Epoch) {
    page.fill(0);
    page[KIND] = kind as u8;
    page[LEVEL] = level;
    codec::put_u32(page, TREE, tree.get());
    set_birth(page, birth);
}

/// The stored checksum.
pub fn checksum(page: &PageBytes) -> u32 {
    codec::get_u32(page, CHECKSUM)
}

/// Stores the checksum.
pub fn set_checksum(page: &mut PageBytes, checksum: u32) {
    codec::put_u32(page, CHECKSUM, checksum);
}

/// Kind of the page, `None` if the byte stands for none.
#[inline]
pub fn kind(page: &PageBytes) -> Option<PageKind> {
    PageKind::decode(page[KIND])
}

/// Height of the page above the leaves.
#[inline]
pub fn level(page: &PageBytes) -> u8 {
    page[LEVEL]
}

/// Epoch that wrote the page.
#[inline]
pub fn birth(page: &PageBytes) -> Epoch {
    Epoch::new(codec::get_u64(page, BIRTH))
}

/// Stores the epoch that wrote the page.
pub fn set_birth(page: &mut PageBytes, birth: Epoch) {
    codec::put_u64(page, BIRTH, birth.get());
}

/// Tree that the page belongs to.
pub fn tree(page: &PageBytes) -> TreeId {
    TreeId::new(codec::get_u32(page, TREE))
}

/// Number of entries.
#[inline]
pub fn count(page: &PageBytes) -> usize {
    usize::from(codec::get_u16(page, COUNT))
}

/// Stores the number of entries. `count` must fit 16 bits; no payload has room for more.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "bounded by the page size")]
pub fn set_count(page: &mut PageBytes, count: usize) {
    debug_assert!(count <= crate::PAGE_SIZE);
    codec::put_u16(page, COUNT, count as u16);
}

/// First unused byte behind the cells of a node.
#[inline]
pub fn heap_end(page: &PageBytes) -> usize {
    usize::from(codec::get_u16(page, HEAP_END))
}

/// Stores the first unused byte behind the cells of a node.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "bounded by the page size")]
pub fn set_heap_end(page: &mut PageBytes, heap_end: usize) {
    debug_assert!(heap_end <= PAYLOAD_END);
    codec::put_u16(page, HEAP_END, heap_end as u16);
}

/// Bytes at the start of every key of a node that its head leaves out.
#[inline]
pub fn skip_len(page: &PageBytes) -> usize {
    usize::from(codec::get_u16(page, SKIP_LEN))
}

/// Stores the bytes at the start of every key of a node that its head leaves out.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "bounded by the page size")]
pub fn set_skip_len(page: &mut PageBytes, skip_len: usize) {
    debug_assert!(skip_len <= crate::PAGE_SIZE);
    codec::put_u16(page, SKIP_LEN, skip_len as u16);
}

/// Hint of a leaf about ascending inserts; the tree's business.
#[inline]
pub fn ascent(page: &PageBytes) -> u16 {
    codec::get_u16(page, ASCENT)
}

/// Stores the hint of a leaf about ascending inserts.
#[inline]
pub fn set_ascent(page: &mut PageBytes, ascent: u16) {
    codec::put_u16(page, ASCENT, ascent);
}

/// Whether every byte that must be zero is zero.
pub fn reserved_is_zero(page: &PageBytes) -> bool {
    let zero = |bytes: &[u8]| bytes.iter().all(|byte| *byte == 0);
    zero(&page[FLAGS..BIRTH]) && zero(&page[RESERVED..PAYLOAD]) && zero(&page[PAYLOAD_END..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_matches_annotated_bytes() {
        let mut page = [0xFF; crate::PAGE_SIZE];
        init(&mut page, PageKind::Branch, 3, TreeId::new(5), Epoch::new(0x0807_0605_0403_0201));
        set_count(&mut page, 0x0A0B);
        set_heap_end(&mut page, 0x0C0D);
        set_skip_len(&mut page, 2);
        set_ascent(&mut page, 0x0E0F);
        set_checksum(&mut page, 0xDDCC_BBAA);
        #[rustfmt::skip]
        assert_eq!(page[..PAYLOAD], [
            0xAA, 0xBB, 0xCC, 0xDD,                         // checksum
            2, 3, 0, 0,                                     // kind, level, flags
            0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, // birth
            5, 0, 0, 0,                                     // tree
            0x0B, 0x0A, 0x0D, 0x0C, 2, 0,                   // count, heap_end, skip_len
            0x0F, 0x0E,                                     // ascent
            0, 0, 0, 0,                                     // reserved
        ]);
        assert!(reserved_is_zero(&page));
        assert_eq!(kind(&page), Some(PageKind::Branch));
        page[PAYLOAD_END] = 1;
        assert!(!reserved_is_zero(&page));
    }
}
