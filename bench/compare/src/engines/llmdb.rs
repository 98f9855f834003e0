//! LLMDB.
//!
//! Every commit is `Durability::Sync`; the pipeline uses asynchronous commits with tickets. Everything else is the
//! default: no hints, no sizes to set.

use std::collections::VecDeque;

use llmdb_engine::{Engine as Store, MAIN_TREE, Options, Snapshot as State, Ticket, TreeRef};

use crate::data::Key;
use crate::engine::{Abilities, Engine, Hint, Outcome, Pair, Peer, Pipeline, Session, Settings, Snapshot};
use crate::rows::Rows;

/// LLMDB with durable commits.
pub const PEER: Peer = Peer {
    name: "llmdb",
    crates: &["llmdb-engine"],
    abilities: Abilities { multi_get: true, append_hint: false, pipeline: true },
    settings: |_| {
        let options = Options::default();
        format!(
            "Durability::Sync; checkpoint every {} MiB of log; private pages up to {} MiB",
            options.checkpoint_log_bytes >> 20,
            options.dirty_bytes_max >> 20
        )
    },
    open,
};

struct Llmdb(Store);

fn open(settings: &Settings) -> Outcome<Box<dyn Engine>> {
    std::fs::create_dir_all(&settings.dir)?;
    Ok(Box::new(Llmdb(Store::open(settings.dir.join("store.llmdb"), Options::default())?)))
}

impl Engine for Llmdb {
    fn session(&self) -> Outcome<Box<dyn Session + '_>> {
        Ok(Box::new(LlmdbSession(&self.0)))
    }

    fn settle(&self) -> Outcome<()> {
        Ok(self.0.checkpoint()?)
    }

    fn close(self: Box<Self>) -> Outcome<()> {
        Ok(self.0.close()?)
    }

    fn pipeline(&self) -> Option<Outcome<Box<dyn Pipeline + '_>>> {
        let pipeline = LlmdbPipeline { store: &self.0, durable: 0, waiting: VecDeque::new() };
        Some(Ok(Box::new(pipeline)))
    }
}

struct LlmdbSession<'e>(&'e Store);

impl Session for LlmdbSession<'_> {
    fn commit(&mut self, pairs: &[Pair<'_>], _: Hint) -> Outcome<()> {
        let mut txn = self.0.begin_write()?;
        let mut tree = txn.tree(MAIN_TREE)?;
        for pair in pairs {
            tree.put(pair.key, pair.value)?;
        }
        txn.commit()?;
        Ok(())
    }

    fn fresh_get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        let state = self.0.snapshot()?;
        get(&state.main()?, key, rows)
    }

    fn snapshot(&mut self, body: &mut dyn FnMut(&mut dyn Snapshot) -> Outcome<()>) -> Outcome<()> {
        let state: State = self.0.snapshot()?;
        let tree = state.main()?;
        body(&mut LlmdbSnapshot(tree))
    }
}

struct LlmdbSnapshot<'s>(TreeRef<'s>);

impl Snapshot for LlmdbSnapshot<'_> {
    fn get(&mut self, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
        get(&self.0, key, rows)
    }

    fn multi_get(&mut self, keys: &[Key], rows: &mut Rows<'_>) -> Outcome<usize> {
        let slices: Vec<&[u8]> = keys.iter().map(|key| &key[..]).collect();
        let found = self.0.multi_get(&slices)?;
        for (key, value) in keys.iter().zip(&found) {
            if let Some(value) = value {
                rows.value(key, value);
            }
        }
        Ok(found.iter().flatten().count())
    }

    fn scan(&mut self, from: Option<&Key>, rows_max: usize, rows: &mut Rows<'_>) -> Outcome<()> {
        let start: &[u8] = from.map_or(&[], |key| key);
        for row in self.0.range(start..)?.take(rows_max) {
            let (key, value) = row?;
            rows.row(key, value);
        }
        Ok(())
    }
}

#[inline]
fn get(tree: &TreeRef<'_>, key: &Key, rows: &mut Rows<'_>) -> Outcome<bool> {
    let value = tree.get(key)?;
    if let Some(value) = value {
        rows.value(key, value);
    }
    Ok(value.is_some())
}

struct LlmdbPipeline<'e> {
    store: &'e Store,
    durable: u64,
    waiting: VecDeque<Ticket>,
}

impl Pipeline for LlmdbPipeline<'_> {
    fn submit(&mut self, pair: &Pair<'_>) -> Outcome<()> {
        let mut txn = self.store.begin_write()?;
        txn.put(pair.key, pair.value)?;
        self.waiting.push_back(txn.commit_async()?);
        Ok(())
    }

    fn durable_count(&mut self) -> Outcome<u64> {
        while self.waiting.front().is_some_and(Ticket::is_durable) {
            self.waiting.pop_front();
            self.durable += 1;
        }
        Ok(self.durable)
    }

    fn wait(&mut self, count: u64) -> Outcome<()> {
        while self.durable < count {
            let Some(ticket) = self.waiting.pop_front() else { break };
            ticket.wait()?;
            self.durable += 1;
        }
        Ok(())
    }
}
