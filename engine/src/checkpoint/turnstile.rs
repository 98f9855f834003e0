//! One checkpoint at a time.

use std::{
    sync::{
        PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use llmdb_base::sync::{Condvar, Mutex, MutexGuard, lock};

/// Held while a checkpoint is under way, or while there must be none. Whoever is inside can tell whether somebody waits.
#[derive(Debug, Default)]
pub(crate) struct Turnstile {
    one: Mutex<()>,
    waiting: AtomicUsize,
    pausing: Mutex<()>,
    /// Signalled when somebody comes.
    came: Condvar,
}

impl Turnstile {
    pub fn enter(&self) -> MutexGuard<'_, ()> {
        self.waiting.fetch_add(1, SeqCst);
        drop(lock(&self.pausing));
        self.came.notify_all();
        let entered = lock(&self.one);
        self.waiting.fetch_sub(1, SeqCst);
        entered
    }

    /// Whether whoever is inside holds somebody up.
    pub fn is_awaited(&self) -> bool {
        self.waiting.load(SeqCst) > 0
    }

    /// Waits, inside, until somebody comes, `at_most` so long.
    pub fn pause(&self, at_most: Duration) {
        let pausing = lock(&self.pausing);
        if !self.is_awaited() {
            drop(self.came.wait_timeout(pausing, at_most).unwrap_or_else(PoisonError::into_inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_when_somebody_comes() {
        let turnstile = Turnstile::default();
        let inside = turnstile.enter();
        assert!(!turnstile.is_awaited());
        std::thread::scope(|scope| {
            scope.spawn(|| drop(turnstile.enter()));
            while !turnstile.is_awaited() {
                // An hour, if nobody were to say that he has come.
                turnstile.pause(Duration::from_secs(3_600));
            }
            drop(inside);
        });
        assert!(!turnstile.is_awaited());
    }
}
