//! Heads in an array of their own: cells upwards as in the chosen layout, `{offset u16, key_len u16}` slots at the
//! page end, the heads in front of them. An insert has to shift two arrays instead of one.

use llmdb_base::{
    PAGE_SIZE, PageBytes, codec,
    header::{PAYLOAD, PAYLOAD_END},
};

use crate::{Layout, fullest};

/// See the module.
pub struct Dense;

const COUNT: usize = 20;
const HEAP_END: usize = 22;
const SKIP_LEN: usize = 24;

fn build<'a>(cells: &[(&'a [u8], &'a [u8])], first: usize) -> Option<PageBytes> {
    let mut page = [0; PAGE_SIZE];
    let (count, mut end) = (cells.len(), PAYLOAD);
    let (heads, slots) = (PAYLOAD_END.checked_sub(8 * count)?, PAYLOAD_END - 4 * count);
    let skip_len = match (cells.get(first), cells.last()) {
        (Some((low, _)), Some((high, _))) => low.iter().zip(*high).take_while(|(a, b)| a == b).count(),
        _ => 0,
    };
    for (index, (key, value)) in cells.iter().enumerate() {
        if end + key.len() + value.len() > heads {
            return None;
        }
        let head = if index < first { 0 } else { head(key, skip_len) };
        codec::put_u32(&mut page, heads + 4 * index, head);
        codec::put_u16(&mut page, slots + 4 * index, u16::try_from(end).ok()?);
        codec::put_u16(&mut page, slots + 4 * index + 2, u16::try_from(key.len()).ok()?);
        page[end..end + key.len()].copy_from_slice(key);
        end += key.len();
        page[end..end + value.len()].copy_from_slice(value);
        end += value.len();
    }
    codec::put_u16(&mut page, COUNT, u16::try_from(count).ok()?);
    codec::put_u16(&mut page, HEAP_END, u16::try_from(end).ok()?);
    codec::put_u16(&mut page, SKIP_LEN, u16::try_from(skip_len).ok()?);
    Some(page)
}

#[inline]
fn head(key: &[u8], skip_len: usize) -> u32 {
    let rest = key.get(skip_len..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => u32::from_be_bytes(*bytes),
        None => rest.iter().chain(&[0; 4]).take(4).fold(0, |head, byte| head << 8 | u32::from(*byte)),
    }
}

struct View<'p> {
    page: &'p PageBytes,
    heads: &'p [[u8; 4]],
    slots: &'p [[u8; 4]],
}

impl<'p> View<'p> {
    #[inline]
    fn new(page: &'p PageBytes) -> Option<Self> {
        let count = usize::from(codec::get_u16(page, COUNT));
        let middle = PAYLOAD_END.checked_sub(4 * count)?;
        let heads = page.get(middle.checked_sub(4 * count)?..middle)?.as_chunks().0;
        Some(Self { page, heads, slots: page.get(middle..PAYLOAD_END)?.as_chunks().0 })
    }

    #[inline]
    fn cell(&self, index: usize) -> Option<(&'p [u8], &'p [u8])> {
        let slot = self.slots.get(index)?;
        let offset = |slot: &[u8; 4]| usize::from(u16::from_le_bytes([slot[0], slot[1]]));
        let end = self.slots.get(index + 1).map_or(usize::from(codec::get_u16(self.page, HEAP_END)), offset);
        let key_len = usize::from(u16::from_le_bytes([slot[2], slot[3]]));
        self.page.get(offset(slot)..end)?.split_at_checked(key_len)
    }

    /// Index of the first cell from `first` on whose key is not below `key`, and whether it is the same.
    #[inline]
    fn locate(&self, first: usize, key: &[u8]) -> Option<(usize, bool)> {
        let skip_len = usize::from(codec::get_u16(self.page, SKIP_LEN));
        let prefix = self.cell(first)?.0.get(..skip_len)?;
        if !key.starts_with(prefix) {
            return Some((if key < prefix { first } else { self.heads.len() }, false));
        }
        let wanted = head(key, skip_len);
        let heads = self.heads.get(first..)?;
        let mut index = first + heads.partition_point(|head| u32::from_le_bytes(*head) < wanted);
        while index < self.heads.len() && u32::from_le_bytes(self.heads[index]) == wanted {
            let found = self.cell(index)?.0;
            if found >= key {
                return Some((index, found == key));
            }
            index += 1;
        }
        Some((index, false))
    }
}

impl Layout for Dense {
    const NAME: &'static str = "heads apart, cells up";

    fn leaf(rows: &[(&[u8], &[u8])]) -> (PageBytes, usize) {
        fullest(rows, |rows| build(rows, 0))
    }

    fn branch(separators: &[&[u8]]) -> (PageBytes, usize) {
        let numbers: Vec<[u8; 8]> = (1..=separators.len() as u64 + 1).map(u64::to_le_bytes).collect();
        fullest(separators, |separators| {
            let keys = [&[][..]].into_iter().chain(separators.iter().copied());
            let cells: Vec<(&[u8], &[u8])> = keys.zip(numbers.iter().map(<[u8; 8]>::as_slice)).collect();
            build(&cells, 1)
        })
    }

    #[inline]
    fn get<'p>(page: &'p PageBytes, key: &[u8]) -> Option<&'p [u8]> {
        let view = View::new(page)?;
        let (index, exact) = view.locate(0, key)?;
        if exact { Some(view.cell(index)?.1) } else { None }
    }

    #[inline]
    fn child(page: &PageBytes, key: &[u8]) -> Option<u64> {
        let view = View::new(page)?;
        let (index, exact) = view.locate(1, key)?;
        let index = if exact { index } else { index - 1 };
        view.cell(index)?.1.first_chunk().map(|raw| u64::from_le_bytes(*raw))
    }

    #[inline]
    fn values(page: &PageBytes, mut each: impl FnMut(&[u8])) {
        if let Some(view) = View::new(page) {
            for index in 0..view.slots.len() {
                if let Some((_, value)) = view.cell(index) {
                    each(value);
                }
            }
        }
    }
}
