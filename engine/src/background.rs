//! Threads for the work that no caller waits for: syncs of asynchronous commits, and checkpoints.

use std::{
    sync::{Arc, OnceLock, PoisonError, Weak},
    thread::JoinHandle,
    time::Duration,
};

use llmdb_base::sync::{Condvar, Mutex, lock};

use crate::engine::Shared;

/// Three workers, started when first asked for, so that a program that only reads has no thread of ours.
#[derive(Debug)]
pub(crate) struct Workers {
    allowed: bool,
    shared: OnceLock<Weak<Shared>>,
    sync: Worker,
    checkpoint: Worker,
    room: Worker,
}

impl Workers {
    pub(crate) fn new(allowed: bool) -> Self {
        Self {
            allowed,
            shared: OnceLock::new(),
            sync: Worker::default(),
            checkpoint: Worker::default(),
            room: Worker::default(),
        }
    }

    /// Tells the workers whom they work for.
    pub(crate) fn attach(&self, shared: &Arc<Shared>) {
        self.shared.get_or_init(|| Arc::downgrade(shared));
    }

    /// Whom the workers work for, if there may be threads.
    pub(crate) fn employer(&self) -> Option<Weak<Shared>> {
        self.shared.get().filter(|_| self.allowed).cloned()
    }

    /// Asks for everything committed so far to be made durable soon.
    pub(crate) fn request_sync(&self) {
        self.request(&self.sync, "llmdb-sync", |shared| {
            let tip = shared.pager.tip();
            if shared.check_poison().is_ok()
                && let Err(error) = shared.sync_to(tip.lsn)
            {
                log::warn!("sync of {}: {error}", shared.path.display());
            }
            None
        });
    }

    /// Asks for a checkpoint. `false` if the caller has to see to it.
    pub(crate) fn request_checkpoint(&self) -> bool {
        self.request(&self.checkpoint, "llmdb-checkpoint", |shared| shared.checkpoint_while_due())
    }

    /// Asks for a look whether the file can be shortened, when things are calm.
    pub(crate) fn request_room(&self) {
        self.request(&self.room, "llmdb-room", Shared::look_for_room);
    }

    fn request(&self, worker: &Worker, name: &str, work: Work) -> bool {
        let shared = self.shared.get().filter(|_| self.allowed);
        shared.is_some_and(|shared| worker.request(shared, name, work))
    }

    /// Ends the threads, after the work that they are doing.
    pub(crate) fn stop(&self) {
        self.sync.stop();
        self.checkpoint.stop();
        self.room.stop();
    }
}

/// A kind of work; says after what time it wants to be done again unasked.
type Work = fn(&Arc<Shared>) -> Option<Duration>;

/// A thread that does one kind of work; requests that come while it is at it are one request.
#[derive(Debug, Default)]
struct Worker {
    thread: Mutex<Option<JoinHandle<()>>>,
    desk: Arc<Desk>,
}

#[derive(Debug, Default)]
struct Desk {
    state: Mutex<DeskState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct DeskState {
    requested: bool,
    stopping: bool,
    running: bool,
}

impl Worker {
    /// Leaves a request. `false` if there can be no thread.
    fn request(&self, shared: &Weak<Shared>, name: &str, work: Work) -> bool {
        let mut state = lock(&self.desk.state);
        if state.stopping {
            return false;
        }
        let news = !std::mem::replace(&mut state.requested, true);
        let start = !std::mem::replace(&mut state.running, true);
        drop(state);
        if start {
            return self.start(shared.clone(), name, work);
        }
        if news {
            self.desk.changed.notify_one();
        }
        true
    }

    fn start(&self, shared: Weak<Shared>, name: &str, work: Work) -> bool {
        let desk = Arc::clone(&self.desk);
        let spawned = std::thread::Builder::new().name(name.into()).spawn(move || desk.serve(&shared, work));
        match spawned {
            Ok(thread) => {
                *lock(&self.thread) = Some(thread);
                true
            }
            Err(error) => {
                log::warn!("no thread for {name}: {error}");
                lock(&self.desk.state).running = false;
                false
            }
        }
    }

    fn stop(&self) {
        lock(&self.desk.state).stopping = true;
        self.desk.changed.notify_one();
        // A worker that drops the last reference to the store closes it, and must not wait for itself.
        let thread = lock(&self.thread).take();
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            // A panic in a worker has been printed by the panic hook; the store closes all the same.
            let _ = thread.join();
        }
    }
}

impl Desk {
    fn serve(&self, shared: &Weak<Shared>, work: Work) {
        let mut again = None;
        while self.next_request(again) {
            let Some(shared) = shared.upgrade() else { return };
            again = work(&shared);
        }
    }

    /// Waits for a request, `at_most` so long. `false` if it is time to stop.
    fn next_request(&self, at_most: Option<Duration>) -> bool {
        let mut state = lock(&self.state);
        while !state.requested && !state.stopping {
            let Some(at_most) = at_most else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            state = self.changed.wait_timeout(state, at_most).unwrap_or_else(PoisonError::into_inner).0;
            break;
        }
        state.requested = false;
        !state.stopping
    }
}
