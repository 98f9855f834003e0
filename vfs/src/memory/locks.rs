//! Locks among the users of one disk in memory.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{FileLock, LockError, LockKind};

#[derive(Debug, Default)]
pub(super) struct Locks {
    held: Mutex<HashMap<PathBuf, Held>>,
}

#[derive(Debug)]
struct Held {
    kind: LockKind,
    /// One if exclusive.
    holder_count: usize,
    note: String,
}

#[derive(Debug)]
struct MemoryLock {
    locks: Arc<Locks>,
    path: PathBuf,
}

impl FileLock for MemoryLock {}

impl Locks {
    pub(super) fn take(
        locks: &Arc<Self>,
        path: &Path,
        kind: LockKind,
        note: &str,
    ) -> Result<Box<dyn FileLock>, LockError> {
        let mut all = locks.held();
        match all.get_mut(path) {
            None => {
                all.insert(path.to_owned(), Held { kind, holder_count: 1, note: note.to_owned() });
            }
            Some(held) if kind == LockKind::Shared && held.kind == LockKind::Shared => {
                held.holder_count += 1;
                held.note = note.to_owned();
            }
            Some(held) => return Err(LockError::Held { note: held.note.clone() }),
        }
        Ok(Box::new(MemoryLock { locks: Arc::clone(locks), path: path.to_owned() }))
    }

    fn held(&self) -> MutexGuard<'_, HashMap<PathBuf, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MemoryLock {
    fn drop(&mut self) {
        let mut all = self.locks.held();
        let held = all.get_mut(&self.path).expect("a lock stays in the table until its last holder is gone");
        held.holder_count -= 1;
        if held.holder_count == 0 {
            all.remove(&self.path);
        }
    }
}
