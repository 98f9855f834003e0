//! The last published roots, one of which is current.
//!
//! ```text
//!   published = 18        17        18        3         4    ...
//!                     [ root   |  root   |  root   |  root  ]      root n stands in place n modulo the length
//! ```
//!
//! Invariants:
//! 1. Only the holder of the turn stores here. Root n + 1 is stored, then `published` becomes n + 1.
//! 2. The sequence number of a place is 0 while its words are being changed. Whoever saw the same number before and
//!    after reading the words has read words that belong together; the checksum says that they were not damaged.
//! 3. A place is stored to again only when as many more roots as there are places were published: who is overtaken
//!    sees another number, and looks for the current root again.

use std::array;

use llmdb_base::{
    checksum::crc32c,
    sync::{
        atomic::{
            Ordering::{Acquire, Relaxed, Release},
            fence,
        },
        thread,
    },
};

use super::word::Word;

/// How often a reader looks before it says that the area is damaged. A writer that is interrupted in the middle of a
/// publication does not count: its root is not current yet.
const LOOKS_MAX: usize = 10_000;
/// Loom has to be told of every wait.
const LOOKS_BETWEEN_YIELDS: usize = if cfg!(loom) { 1 } else { 16 };

/// The current root cannot be read: somebody else has written to the area.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Unreadable;

/// Roots of `N` words each. `S` is the distance of two places.
#[derive(Debug)]
pub(crate) struct Ring<'a, W, const N: usize, const S: usize> {
    pub published: &'a W,
    pub places: &'a [W],
}

impl<W: Word, const N: usize, const S: usize> Ring<'_, W, N, S> {
    /// The current root, and how many were published up to it.
    pub fn load(&self) -> Result<(u64, [u64; N]), Unreadable> {
        for look in 0..LOOKS_MAX {
            // Acquire: the root, and everything that it names, was stored before.
            let number = self.published.load(Acquire);
            if let Some(words) = self.read(number) {
                return Ok((number, words));
            }
            if look % LOOKS_BETWEEN_YIELDS == LOOKS_BETWEEN_YIELDS - 1 {
                thread::yield_now();
            }
        }
        Err(Unreadable)
    }

    /// Number of the current root.
    pub fn current(&self) -> u64 {
        self.published.load(Acquire)
    }

    fn read(&self, number: u64) -> Option<[u64; N]> {
        let place = self.place(number);
        let before = place[0].load(Acquire);
        let words: [u64; N] = array::from_fn(|index| place[index + 1].load(Relaxed));
        let checksum = place[N + 1].load(Relaxed);
        // Orders the words before the second look at the number (2).
        fence(Acquire);
        let whole = before == number && number != 0 && place[0].load(Relaxed) == number;
        (whole && checksum == checksum_of(number, &words)).then_some(words)
    }

    /// Makes a root the current one.
    pub fn publish(&self, words: &[u64; N], step: impl Fn()) {
        let number = self.published.load(Relaxed).wrapping_add(1).max(1);
        let place = self.place(number);
        place[0].store(0, Relaxed);
        // Orders the zero before the words (2).
        fence(Release);
        step();
        for (cell, word) in place[1..].iter().zip(words) {
            cell.store(*word, Relaxed);
        }
        place[N + 1].store(checksum_of(number, words), Relaxed);
        step();
        place[0].store(number, Release);
        step();
        self.published.store(number, Release);
    }

    fn place(&self, number: u64) -> &[W] {
        let count = self.places.len() / S;
        let index = usize::try_from(number % count as u64).unwrap_or(0);
        &self.places[index * S..][..S]
    }
}

fn checksum_of<const N: usize>(number: u64, words: &[u64; N]) -> u64 {
    let seed = crc32c(0, &number.to_le_bytes());
    words.iter().fold(seed, |seed, word| crc32c(seed, &word.to_le_bytes())).into()
}

#[cfg(not(loom))]
#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU64;

    use super::*;

    fn words<const N: usize>() -> [AtomicU64; N] {
        array::from_fn(|_| AtomicU64::new(0))
    }

    #[test]
    fn readers_get_whole_roots_while_they_are_overtaken() {
        let (published, places) = (AtomicU64::new(0), words::<32>());
        let ring = || Ring::<_, 6, 8> { published: &published, places: &places };
        ring().publish(&[1; 6], || ());
        std::thread::scope(|scope| {
            scope.spawn(|| (2..20_000).for_each(|epoch| ring().publish(&[epoch; 6], || ())));
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < 19_999 {
                        let (number, words) = ring().load().unwrap();
                        assert_eq!(words, [number; 6]);
                        assert!(number >= last);
                        last = number;
                    }
                });
            }
        });
    }

    #[test]
    fn damage_is_noticed() {
        let (published, places) = (AtomicU64::new(0), words::<32>());
        let ring = Ring::<_, 6, 8> { published: &published, places: &places };
        assert_eq!(ring.load(), Err(Unreadable), "nothing was published");
        ring.publish(&[7; 6], || ());
        assert_eq!(ring.load(), Ok((1, [7; 6])));
        for (index, word) in places[8..16].iter().enumerate() {
            let good = word.load(Relaxed);
            word.store(good ^ 4, Relaxed);
            assert_eq!(ring.load(), Err(Unreadable), "word {index}");
            word.store(good, Relaxed);
        }
        published.store(2, Relaxed);
        assert_eq!(ring.load(), Err(Unreadable));
    }
}
