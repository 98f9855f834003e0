//! The memory that is served: a database, and the threads on which it is called.

use std::sync::Arc;

use llmdb::Db;
use tokio::sync::Semaphore;

/// Calls that run at the same time, each on a thread of its own. One of them at most writes; the others read, or wait.
const CALLS_MAX: u32 = 8;

/// A handle of the memory. Calls block, so they never run on the thread that talks to clients.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    db: Arc<Db>,
    calls: Arc<Semaphore>,
}

/// A call did not end: it panicked, or the server is closing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lost;

impl Memory {
    pub(crate) fn new(db: Db) -> Self {
        Self { db: Arc::new(db), calls: Arc::new(Semaphore::new(CALLS_MAX as usize)) }
    }

    /// Calls the database. Whoever stops waiting does not stop the call: what it writes is whole.
    pub(crate) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Db) -> T + Send + 'static,
    ) -> Result<T, Lost> {
        let permit = Arc::clone(&self.calls).acquire_owned().await.map_err(|_| Lost)?;
        let db = Arc::clone(&self.db);
        let call = tokio::task::spawn_blocking(move || {
            let result = work(&db);
            drop(db);
            drop(permit);
            result
        });
        call.await.map_err(|_| Lost)
    }

    /// Waits until no call runs, and lets none begin any more.
    pub(crate) async fn finish(&self) {
        if let Ok(all) = self.calls.acquire_many(CALLS_MAX).await {
            all.forget();
        }
        self.calls.close();
    }

    /// Closes the database, if this is the last handle; else the last one does when it goes.
    pub(crate) fn close(self) -> llmdb::Result<()> {
        Arc::into_inner(self.db).map_or(Ok(()), Db::close)
    }
}
