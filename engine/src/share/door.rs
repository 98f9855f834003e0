//! The door: who opens or closes the store, or looks whether it is alone, holds it.

use std::sync::{
    Arc,
    atomic::Ordering::{Acquire, SeqCst},
};

use llmdb_base::sync::{MutexGuard, lock};
use llmdb_pager::share::layout;
use llmdb_vfs::{SharedArea, Vfs};

use super::{Company, DOOR, SLICE_US};
use crate::{Error, Result};

/// The door, held.
pub(super) struct Door<'a> {
    area: Arc<dyn SharedArea>,
    /// Threads of one process do not exclude each other by the lock of the area.
    alone: Option<MutexGuard<'a, ()>>,
}

impl Door<'_> {
    /// Waits for the door, in a process that is not there yet.
    ///
    /// # Errors
    /// [`Error::Busy`] after `timeout_us`.
    pub(super) fn wait(area: &Arc<dyn SharedArea>, vfs: &dyn Vfs, timeout_us: u64) -> Result<Self> {
        let began = vfs.monotonic_us();
        loop {
            let seen = area.words()[layout::DOOR_WAIT].load(Acquire);
            if take(&**area)? {
                return Ok(Self { area: Arc::clone(area), alone: None });
            }
            let waited_us = vfs.monotonic_us().saturating_sub(began);
            if waited_us >= timeout_us {
                let holder = "a process that is opening or closing the store".to_owned();
                return Err(Error::Busy { holder, waited_ms: waited_us / 1000 });
            }
            area.wait(layout::DOOR_WAIT, seen, SLICE_US.min(timeout_us - waited_us));
        }
    }
}

impl Company {
    /// Waits for the door.
    ///
    /// # Errors
    /// As [`Door::wait`].
    pub(super) fn wait_for_door(&self, timeout_us: u64) -> Result<Door<'_>> {
        let alone = lock(&self.door);
        let mut door = Door::wait(&self.area, &*self.vfs, timeout_us)?;
        door.alone = Some(alone);
        Ok(door)
    }

    /// The door, if nobody holds it.
    pub(super) fn try_door(&self) -> Result<Option<Door<'_>>> {
        let Ok(alone) = self.door.try_lock() else { return Ok(None) };
        let taken = take(&*self.area)?;
        Ok(taken.then(|| Door { area: Arc::clone(&self.area), alone: Some(alone) }))
    }
}

fn take(area: &dyn SharedArea) -> Result<bool> {
    area.try_lock(DOOR).map_err(|error| Error::io("lock a part of the shared area", error))
}

impl Drop for Door<'_> {
    fn drop(&mut self) {
        // A lock that cannot be given up ends with the process.
        if let Err(error) = self.area.unlock(DOOR) {
            log::warn!("a store that processes share can neither be opened nor closed: {error}");
        }
        self.area.words()[layout::DOOR_WAIT].fetch_add(1, SeqCst);
        self.area.wake(layout::DOOR_WAIT);
    }
}
