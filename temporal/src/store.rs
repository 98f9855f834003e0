//! The store of facts, on an engine.

use llmdb_base::TxnId;
use llmdb_engine::Engine;

use crate::{Follower, Guard, Result, Undone, View, WriteTxn, undo};

/// Collections of facts in an engine, beside whatever trees it has.
#[derive(Clone, Copy, Debug)]
pub struct Store<'e> {
    pub(crate) engine: &'e Engine,
    guard: Option<&'e dyn Guard>,
    follower: Option<&'e dyn Follower>,
}

impl<'e> Store<'e> {
    /// The facts of `engine`. Nothing is read or written.
    pub const fn new(engine: &'e Engine) -> Self {
        Self { engine, guard: None, follower: None }
    }

    /// The same facts, where `guard` looks at what is written to guarded collections.
    pub const fn guarded(self, guard: &'e dyn Guard) -> Self {
        Self { guard: Some(guard), ..self }
    }

    /// The same facts, where `follower` is told what is put; `None` for whoever tells it by itself.
    pub const fn followed(self, follower: Option<&'e dyn Follower>) -> Self {
        Self { follower, ..self }
    }

    /// Begins the one write transaction, waiting for others to end. Its moment of system time is fixed now.
    ///
    /// # Errors
    /// [`crate::Error::Engine`].
    pub fn begin_write(&self) -> Result<WriteTxn<'e>> {
        Ok(WriteTxn::begin(self.engine.begin_write()?, self.guard, self.follower))
    }

    /// The newest durable state, and the present.
    ///
    /// # Errors
    /// [`crate::Error::Engine`].
    pub fn view(&self) -> Result<View> {
        Ok(View::new(self.engine.snapshot()?, self.engine.now()))
    }

    /// The state that the open transaction `txn` began with, and its moment as the present. What `txn` wrote is not in it.
    ///
    /// # Errors
    /// [`crate::Error::Engine`].
    pub fn view_before(&self, txn: &WriteTxn<'e>) -> Result<View> {
        // The newest state is the one that the open transaction began with: nobody else can write.
        Ok(View::new(self.engine.snapshot_latest()?, txn.timestamp()))
    }

    /// Undoes a transaction within `txn`: of all that it changed, and that no later one changed, is believed again what
    /// was believed before. Nothing is rewritten: that it was believed meanwhile stays. (A later deletion of what was gone
    /// already changed nothing.)
    ///
    /// Cost: the histories of the rows that it changed.
    ///
    /// What `txn` itself wrote before this call is not looked at.
    ///
    /// # Errors
    /// [`crate::Error::NoTransaction`]: nothing was written. [`crate::Error::Engine`], [`crate::Error::Corruption`]:
    /// abort.
    pub fn undo(&self, txn: &mut WriteTxn<'e>, txid: TxnId) -> Result<Undone> {
        let before = self.view_before(txn)?;
        undo::undo(&before, txn, txid)
    }
}
