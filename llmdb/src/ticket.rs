//! Commits that may not be durable yet.

use llmdb_engine as engine;

use crate::{Commit, Result};

/// A receipt for a commit that may not be durable yet, see [`crate::WriteTxn::commit_async`]. Keeps the database
/// open.
#[derive(Clone, Debug)]
pub struct Ticket(pub(crate) engine::Ticket);

impl Ticket {
    /// The commit.
    pub fn commit(&self) -> Commit {
        self.0.commit()
    }

    /// Whether the commit survives a crash from here on. Cost: one atomic load.
    pub fn is_durable(&self) -> bool {
        self.0.is_durable()
    }

    /// Waits until the commit is durable. Cost: at most one sync, shared with others.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Io`], [`crate::ErrorKind::Poisoned`]: the commit may or may not be there after the
    /// next opening.
    pub fn wait(&self) -> Result<Commit> {
        Ok(self.0.wait()?)
    }
}
