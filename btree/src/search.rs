//! Search inside a node: over the heads first, which lie side by side in the slots, then over the keys of those
//! few cells whose heads tie.

use std::{cmp::Ordering, ops::RangeInclusive};

use llmdb_base::{PageResult, header};

use crate::node::{FEW, Node, SLOT_LEN, Slot, head};

/// Where a key is, or would be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    /// Index of the first cell whose key is not below the key that was looked for.
    pub(crate) index: usize,
    /// Whether that cell has the very key.
    pub(crate) exact: bool,
}

impl Place {
    const fn before(index: usize) -> Self {
        Self { index, exact: false }
    }
}

/// Looks for `key` in a leaf.
#[inline]
pub(crate) fn find(leaf: &Node<'_>, key: &[u8]) -> PageResult<Place> {
    locate(leaf, 0, key)
}

/// Index of the child of a branch in whose range `key` falls.
#[inline]
pub(crate) fn child_index(branch: &Node<'_>, key: &[u8]) -> PageResult<usize> {
    let place = locate(branch, 1, key)?;
    Ok(if place.exact { place.index } else { place.index.saturating_sub(1) })
}

/// Looks for `key` among the cells from `first` on. Cost: one probe of a head per halving, and as a
/// rule one comparison of keys.
#[inline]
pub(crate) fn locate(node: &Node<'_>, first: usize, key: &[u8]) -> PageResult<Place> {
    guess(node, first, key)?.settle(node, key)
}

/// What the slots alone say about the place of a key.
#[derive(Clone, Copy)]
pub(crate) enum Guess {
    /// No key of the node has the shared prefix or the head of the key.
    Sure(Place),
    /// Cell `index` has the same head as the key, `wanted`; those before it are below.
    Tied { index: usize, wanted: u32 },
}

/// Looks for `key` among the cells from `first` on, without looking into any cell but the first.
#[inline]
pub(crate) fn guess(node: &Node<'_>, first: usize, key: &[u8]) -> PageResult<Guess> {
    let slots = node.slots_from(first);
    if slots.is_empty() {
        return Ok(Guess::Sure(Place::before(first)));
    }
    let prefix = node.shared_prefix(first)?;
    if !key.starts_with(prefix) {
        return Ok(Guess::Sure(Place::before(if key < prefix { first } else { first + slots.len() })));
    }
    let wanted = head(key, prefix.len());
    let below = match node.few_slots() {
        Some((few, count)) => few_below(few, first, count, wanted),
        None => many_below(slots, wanted),
    };
    let index = first + below;
    if below == slots.len() || node.slot(index)?.head() != wanted {
        return Ok(Guess::Sure(Place::before(index)));
    }
    Ok(Guess::Tied { index, wanted })
}

impl Guess {
    /// The place of `key` in `node`, of which this is a guess.
    #[inline]
    pub(crate) fn settle(self, node: &Node<'_>, key: &[u8]) -> PageResult<Place> {
        let (index, wanted) = match self {
            Self::Sure(place) => return Ok(place),
            Self::Tied { index, wanted } => (index, wanted),
        };
        match node.key(index)?.cmp(key) {
            Ordering::Equal => Ok(Place { index, exact: true }),
            Ordering::Greater => Ok(Place::before(index)),
            Ordering::Less => {
                let slots = node.slots_from(index);
                let ties = slots.len() - slots.partition_point(|slot| stored_head(slot) > wanted);
                let (low, high) = narrow(node, index + 1, index + ties, key)?;
                halve(node, low, high, key)
            }
        }
    }
}

/// How many of the slots `first..count` have a head below `wanted`. `few` lies at a fixed place of its page and is
/// read in full whatever `count` is: so all loads begin at once, even before the header has arrived from memory.
#[inline]
fn few_below(few: &[[u8; SLOT_LEN]; FEW], first: usize, count: usize, wanted: u32) -> usize {
    few.iter().rev().take(count).skip(first).filter(|slot| stored_head(slot) < wanted).count()
}

/// How many of `slots`, which lie in descending order, have a head below `wanted`: by halves, and the last few side by
/// side.
///
/// The halving branches on the data on purpose: the processor guesses, and goes ahead into the cells and the next
/// page. With conditional moves a lookup in a tree larger than the caches took 5 to 10 % longer.
#[inline]
fn many_below(slots: &[[u8; SLOT_LEN]], wanted: u32) -> usize {
    let mut rest = slots;
    let mut below = 0;
    while rest.len() > FEW / 2 {
        let (high, low) = rest.split_at(rest.len() / 2);
        let low_is_below = low.first().is_some_and(|slot| stored_head(slot) < wanted);
        below += if low_is_below { low.len() } else { 0 };
        rest = if low_is_below { high } else { low };
    }
    below + rest.iter().filter(|slot| stored_head(slot) < wanted).count()
}

#[inline]
fn stored_head(slot: &[u8; SLOT_LEN]) -> u32 {
    Slot::decode(*slot).head()
}

/// Of the cells `low..high`, whose heads tie with that of `key`, those whose next bytes tie too; those before are below.
///
/// Halving would wait for one cell after the other to arrive from memory: the next bytes of all are read at once.
fn narrow(node: &Node<'_>, low: usize, high: usize, key: &[u8]) -> PageResult<(usize, usize)> {
    if !NARROWED.contains(&high.saturating_sub(low)) {
        return Ok((low, high));
    }
    let behind_head = header::skip_len(node.page()) + size_of::<u32>();
    let wanted = word(key, behind_head);
    let (mut below, mut tied) = (0, 0);
    for index in low..high {
        let next = word(node.key(index)?, behind_head);
        below += usize::from(next < wanted);
        tied += usize::from(next == wanted);
    }
    Ok((low + below, low + below + tied))
}

/// How many cells are looked at side by side: fewer are as soon halved, and more take longer than they save.
const NARROWED: RangeInclusive<usize> = 3..=32;

/// The eight bytes of `key` behind the first `skip_len`, as a big-endian number, padded with zeros.
#[inline]
fn word(key: &[u8], skip_len: usize) -> u64 {
    let rest = key.get(skip_len..).unwrap_or_default();
    match rest.first_chunk() {
        Some(bytes) => u64::from_be_bytes(*bytes),
        None => rest.iter().chain(&[0; 8]).take(8).fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// Looks for `key` among the cells `low..high` by their keys alone.
fn halve(node: &Node<'_>, mut low: usize, mut high: usize, key: &[u8]) -> PageResult<Place> {
    while low < high {
        let middle = low.midpoint(high);
        match node.key(middle)?.cmp(key) {
            Ordering::Less => low = middle + 1,
            Ordering::Equal => return Ok(Place { index: middle, exact: true }),
            Ordering::Greater => high = middle,
        }
    }
    Ok(Place::before(low))
}

/// The plain version of [`locate`], without heads: what the tuned one must agree with.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn locate_plain(node: &Node<'_>, first: usize, key: &[u8]) -> PageResult<Place> {
    halve(node, first, node.count(), key)
}

/// Length of the prefix that the keys of a node share, from its first and last key.
pub(crate) fn shared_len(node: &Node<'_>) -> PageResult<usize> {
    let first = node.keys_from();
    if node.count() <= first {
        return Ok(0);
    }
    Ok(crate::node::common_len(node.key(first)?, node.key(node.count() - 1)?))
}

/// Whether the stored prefix length is the one that the keys share.
pub(crate) fn skip_len_is_exact(node: &Node<'_>) -> PageResult<bool> {
    Ok(shared_len(node)? == header::skip_len(node.page()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::layout;
    use llmdb_base::{PageBytes, Pgno};

    fn open(page: &PageBytes) -> Node<'_> {
        Node::open(page, Pgno::new(1)).unwrap()
    }

    /// Every key of every set, what is just below and above it, and what is far away.
    fn probes(keys: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let mut probes = vec![vec![], vec![0], vec![0xFF; 40]];
        for key in keys {
            probes.extend([key.clone(), key[..key.len() / 2].to_vec(), [&key[..], &[0]].concat()]);
            let mut other = key.clone();
            if let Some(last) = other.last_mut() {
                *last ^= 1;
            }
            probes.push(other);
        }
        probes
    }

    /// Key sets with few and many keys, shared prefixes, ties of heads, zero bytes, one key inside another.
    fn key_sets() -> Vec<Vec<Vec<u8>>> {
        let numbers = |prefix: &[u8], count: u32, step: u32| -> Vec<Vec<u8>> {
            (0..count).map(|number| [prefix, &(number * step).to_be_bytes()].concat()).collect()
        };
        let mut tied = numbers(b"aaaaaaaa", 60, 3);
        tied.extend(numbers(b"aaab", 5, 1));
        tied.extend(numbers(b"b", 1, 1));
        let mut twice_tied = numbers(b"tied\0\0\0\0\0\0", 9, 5);
        twice_tied.extend(numbers(b"tied\0\0\0\x01", 9, 7));
        twice_tied.extend([b"tied".to_vec(), b"tied\0".to_vec(), b"x".to_vec()]);
        twice_tied.sort();
        let zeros = (0..12).map(|len| vec![0; len]).collect();
        let nested = (1..60).map(|len| vec![b'n'; len]).collect();
        let mut sets: Vec<_> = (1..40).map(|count| numbers(b"shared prefix", count, 0x01_0101)).collect();
        sets.extend([numbers(b"", 200, 0x0101_0101 / 4), tied, twice_tied, zeros, nested, vec![vec![]]]);
        sets
    }

    #[test]
    fn tuned_search_agrees_with_the_plain_one() {
        for keys in key_sets() {
            let rows: Vec<(&[u8], &[u8])> = keys.iter().map(|key| (&key[..], &b"v"[..])).collect();
            let page = layout::leaf(&rows).unwrap();
            let separators: Vec<&[u8]> =
                keys.iter().map(Vec::as_slice).filter(|key| !key.is_empty()).collect();
            let branch = layout::branch(&separators[..separators.len().min(100)]).unwrap();
            for probe in probes(&keys) {
                for (page, first) in [(&page, 0), (&branch, 1)] {
                    let node = open(page);
                    let expected = locate_plain(&node, first, &probe).unwrap();
                    assert_eq!(locate(&node, first, &probe).unwrap(), expected, "{probe:?} in {keys:?}");
                }
            }
        }
    }
}
