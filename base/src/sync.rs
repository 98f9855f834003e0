//! The synchronisation that shared-memory code names, so that loom can run it: `std` as a rule, loom's
//! under `--cfg loom`.

#[cfg(loom)]
pub use loom::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, atomic};
#[cfg(loom)]
pub use loom::thread;
#[cfg(not(loom))]
pub use std::sync::{Arc, Condvar, Mutex, MutexGuard, RwLock, atomic};
#[cfg(not(loom))]
pub use std::thread;

/// Locks `mutex`. A thread that panicked while it held the lock left the data as its invariants allow (every
/// critical section restores them before it calls out), so poisoning carries no news here.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
