//! A few words under a sequence lock: whoever reads them takes no lock and writes nothing.
//!
//! As the `seqcount` of Linux, with the reader's fence that H.-J. Boehm gives for languages with a memory model ("Can seqlocks
//! get along with programming language memory models?", MSPC 2012); the writer's is in its stores.

use std::array;

use crate::sync::{
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
    thread,
};

/// `N` words that one thread changes while others read them.
///
/// Invariant: `version` is odd while the words are being changed. Whoever saw the same even version before and after
/// reading the words has read words that belong together.
#[derive(Debug)]
pub struct SeqWords<const N: usize> {
    version: AtomicU64,
    words: [AtomicU64; N],
}

impl<const N: usize> SeqWords<N> {
    /// Holds `words` at first.
    pub fn new(words: [u64; N]) -> Self {
        Self { version: AtomicU64::new(0), words: words.map(AtomicU64::new) }
    }

    /// The current words. Waits while they are being changed, which takes a few stores.
    #[inline]
    pub fn load(&self) -> [u64; N] {
        loop {
            if let Some(words) = self.try_load() {
                return words;
            }
            thread::yield_now();
        }
    }

    /// The current words, unless they are being changed. Never waits.
    #[inline]
    pub fn try_load(&self) -> Option<[u64; N]> {
        let before = self.version.load(Acquire);
        let words = array::from_fn(|index| self.words[index].load(Relaxed));
        // Orders the words before the second look at the version.
        fence(Acquire);
        let is_whole = before.is_multiple_of(2) && self.version.load(Relaxed) == before;
        is_whole.then_some(words)
    }

    /// Word 0, the current one or the one being stored. Whoever sees it sees what was done before it was stored.
    #[inline]
    pub fn first(&self) -> u64 {
        self.words[0].load(Acquire)
    }

    /// Replaces the words. Callers exclude each other.
    pub fn store(&self, words: [u64; N]) {
        let version = self.version.load(Relaxed);
        self.version.store(version.wrapping_add(1), Relaxed);
        for (cell, word) in self.words.iter().zip(words) {
            // Release: whoever sees the word sees the odd version behind his fence, and, if it is the first, what was done
            // before.
            cell.store(word, Release);
        }
        self.version.store(version.wrapping_add(2), Release);
    }
}

/// Every order of the steps of a writer and a reader. Run with
/// `RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test -p llmdb-base --lib --release loom`.
#[cfg(all(test, loom))]
mod loom_model {
    use super::*;
    use crate::sync::Arc;

    /// Runs `read` beside a writer that stores once.
    fn beside_a_writer(read: fn(&SeqWords<2>)) {
        loom::model(move || {
            let cell = Arc::new(SeqWords::new([0, 0]));
            let writer = {
                let cell = Arc::clone(&cell);
                thread::spawn(move || cell.store([1, 10]))
            };
            read(&cell);
            writer.join().unwrap();
            assert_eq!(cell.load(), [1, 10]);
        });
    }

    #[test]
    fn words_belong_together() {
        beside_a_writer(|cell| {
            let mut last = 0;
            for [first, second] in [cell.try_load(), cell.try_load()].into_iter().flatten() {
                assert_eq!(second, first * 10);
                assert!(first >= last, "it goes up for one who looks twice");
                last = first;
            }
            assert!(cell.first() >= last);
        });
    }

    #[test]
    fn whoever_waits_gets_words_that_belong_together() {
        beside_a_writer(|cell| {
            let [first, second] = cell.load();
            assert_eq!(second, first * 10);
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn readers_never_see_halves_of_two_stores() {
        const LAST: u64 = 20_000;
        let cell = SeqWords::new([0; 5]);
        std::thread::scope(|scope| {
            scope.spawn(|| (1..=LAST).for_each(|number| cell.store([number; 5])));
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut last = 0;
                    while last < LAST {
                        let words = cell.load();
                        assert!(words.iter().all(|word| *word == words[0]) && words[0] >= last, "{words:?}");
                        last = words[0];
                    }
                });
            }
        });
        assert_eq!((cell.try_load(), cell.first()), (Some([LAST; 5]), LAST));
    }
}
