//! One checkpoint at a time.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use llmdb_base::sync::{Mutex, MutexGuard, lock};

/// Held while a checkpoint is under way, or while there must be none. Tells whether somebody waits for it.
#[derive(Debug, Default)]
pub(crate) struct Turnstile {
    one: Mutex<()>,
    waiting: AtomicUsize,
}

impl Turnstile {
    pub fn enter(&self) -> MutexGuard<'_, ()> {
        self.waiting.fetch_add(1, Relaxed);
        let entered = lock(&self.one);
        self.waiting.fetch_sub(1, Relaxed);
        entered
    }

    /// Whether whoever is inside holds somebody up. A hint.
    pub fn is_awaited(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }
}
