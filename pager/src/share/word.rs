//! Words that threads share, as the protocols below need them: those of the area, and those that loom watches.

use llmdb_base::sync::atomic::Ordering;

/// A word of 64 bits.
pub(crate) trait Word {
    fn load(&self, order: Ordering) -> u64;
    fn store(&self, value: u64, order: Ordering);
    /// Replaces `from` by `to`; whether that worked.
    fn replace(&self, from: u64, to: u64) -> bool;
    fn raise(&self, value: u64);
}

macro_rules! word {
    ($word:ty) => {
        impl Word for $word {
            #[inline]
            fn load(&self, order: Ordering) -> u64 {
                <$word>::load(self, order)
            }

            #[inline]
            fn store(&self, value: u64, order: Ordering) {
                <$word>::store(self, value, order);
            }

            #[inline]
            fn replace(&self, from: u64, to: u64) -> bool {
                self.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            }

            #[inline]
            fn raise(&self, value: u64) {
                self.fetch_max(value, Ordering::AcqRel);
            }
        }
    };
}

word!(std::sync::atomic::AtomicU64);
#[cfg(loom)]
word!(llmdb_base::sync::atomic::AtomicU64);
