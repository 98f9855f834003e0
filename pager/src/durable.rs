//! The checkpoints that a crash falls back to.

use llmdb_base::{
    Epoch,
    plant::{Bug, planted},
};

use crate::meta::{Generations, Meta, generation_after};

/// What is durable, or about to be.
///
/// Invariant: every root that recovery might start from is named here, from before its meta page can reach the
/// disk until after the last copy of it has been overwritten.
#[derive(Debug)]
pub(crate) struct Durable {
    pub newest: Meta,
    /// The generation before; the newest itself, if no other is intact.
    pub older: Meta,
    /// A checkpoint under way: its meta page may be on the disk already.
    pub started: Option<Epoch>,
}

impl Durable {
    pub fn new(generations: Generations) -> Self {
        let Generations { newest, older } = generations;
        Self { newest, older: older.unwrap_or(newest), started: None }
    }

    /// The roots that must stay whole.
    pub fn retained(&self) -> impl Iterator<Item = Epoch> {
        let roots = [Some(self.older.root.epoch), Some(self.newest.root.epoch), self.started];
        roots.into_iter().flatten().filter(|_| !planted(Bug::ReuseTooEarly))
    }

    /// The generation to write next: it goes where the older one is.
    pub fn next_generation(&self) -> u64 {
        if planted(Bug::LoseOlderMeta) {
            return self.newest.generation + 2;
        }
        generation_after(self.newest.generation, self.newest.generation)
    }

    /// `meta` is durable.
    pub fn advance(&mut self, meta: Meta) {
        self.older = self.newest;
        self.newest = meta;
    }
}
