//! The classical layout: cells from the page end downwards, a `u16` slot for each behind the header, no heads. A cell
//! is `{key_len u16, value_len u16, key, value}`; a search compares keys only.

use llmdb_base::{PAGE_SIZE, PageBytes, codec, header::PAYLOAD};

use crate::{Layout, fullest};

/// See the module.
pub struct Classic;

const COUNT: usize = 20;

fn build<'a>(cells: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>) -> Option<PageBytes> {
    let mut page = [0; PAGE_SIZE];
    let (count, mut start) = (cells.len(), PAGE_SIZE);
    codec::put_u16(&mut page, COUNT, u16::try_from(count).ok()?);
    for (index, (key, value)) in cells.enumerate() {
        start = start.checked_sub(4 + key.len() + value.len())?;
        if start < PAYLOAD + 2 * count {
            return None;
        }
        codec::put_u16(&mut page, start, u16::try_from(key.len()).ok()?);
        codec::put_u16(&mut page, start + 2, u16::try_from(value.len()).ok()?);
        page[start + 4..][..key.len()].copy_from_slice(key);
        page[start + 4 + key.len()..][..value.len()].copy_from_slice(value);
        codec::put_u16(&mut page, PAYLOAD + 2 * index, u16::try_from(start).ok()?);
    }
    Some(page)
}

#[inline]
fn slots(page: &PageBytes) -> Option<&[[u8; 2]]> {
    let count = usize::from(codec::get_u16(page, COUNT));
    Some(page.get(PAYLOAD..PAYLOAD + 2 * count)?.as_chunks().0)
}

#[inline]
fn cell(page: &PageBytes, slot: [u8; 2]) -> Option<(&[u8], &[u8])> {
    let cell = page.get(usize::from(u16::from_le_bytes(slot))..)?;
    let lens: &[u8; 4] = cell.first_chunk()?;
    let (key_len, value_len) =
        (u16::from_le_bytes([lens[0], lens[1]]), u16::from_le_bytes([lens[2], lens[3]]));
    let (key, rest) = cell[4..].split_at_checked(usize::from(key_len))?;
    Some((key, rest.get(..usize::from(value_len))?))
}

/// Index of the first cell from `low` on whose key is not below `key`.
#[inline]
fn lower_bound(page: &PageBytes, slots: &[[u8; 2]], mut low: usize, key: &[u8]) -> Option<usize> {
    let mut high = slots.len();
    while low < high {
        let middle = low.midpoint(high);
        if cell(page, slots[middle])?.0 < key { low = middle + 1 } else { high = middle }
    }
    Some(low)
}

impl Layout for Classic {
    const NAME: &'static str = "no heads, cells down";

    fn leaf(rows: &[(&[u8], &[u8])]) -> (PageBytes, usize) {
        fullest(rows, |rows| build(rows.iter().copied()))
    }

    fn branch(separators: &[&[u8]]) -> (PageBytes, usize) {
        let numbers: Vec<[u8; 8]> = (1..=separators.len() as u64 + 1).map(u64::to_le_bytes).collect();
        fullest(separators, |separators| {
            let keys = [&[][..]].into_iter().chain(separators.iter().copied());
            let cells: Vec<(&[u8], &[u8])> = keys.zip(numbers.iter().map(<[u8; 8]>::as_slice)).collect();
            build(cells.into_iter())
        })
    }

    #[inline]
    fn get<'p>(page: &'p PageBytes, key: &[u8]) -> Option<&'p [u8]> {
        let slots = slots(page)?;
        let (found, value) = cell(page, *slots.get(lower_bound(page, slots, 0, key)?)?)?;
        (found == key).then_some(value)
    }

    #[inline]
    fn child(page: &PageBytes, key: &[u8]) -> Option<u64> {
        let slots = slots(page)?;
        let mut index = lower_bound(page, slots, 1, key)?;
        if slots.get(index).and_then(|slot| cell(page, *slot)).is_none_or(|(found, _)| found != key) {
            index -= 1;
        }
        cell(page, *slots.get(index)?)?.1.first_chunk().map(|raw| u64::from_le_bytes(*raw))
    }

    #[inline]
    fn values(page: &PageBytes, mut each: impl FnMut(&[u8])) {
        for slot in slots(page).unwrap_or_default() {
            if let Some((_, value)) = cell(page, *slot) {
                each(value);
            }
        }
    }
}
