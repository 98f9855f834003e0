//! Consumers: names with positions that outlive crashes, kept as rows of the tree [`CONSUMERS_TREE`].

use llmdb_base::{Lsn, Timestamp, TxnId};
use llmdb_pager::{ReadGuard, Visible};
use serde_json::{Value, json};

use super::{Changes, FeedFrom, Position};
use crate::{
    Engine, Error, Result, TreeRef,
    catalog::{Catalog, check_name},
};

/// The tree that holds the positions of consumers: under each name an object of JSON. The feed does not show it.
pub const CONSUMERS_TREE: &str = "_consumers";

/// A reader of the feed that the store knows by name.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Consumer {
    /// Its name.
    pub name: String,
    /// The log is kept from here on.
    pub position: Position,
    /// When it was here.
    pub seen: Timestamp,
    /// Bytes of log between its position and the last commit.
    pub behind_bytes: u64,
}

impl Engine {
    /// Makes a consumer called `name`, which begins at `from`. From now on the log is kept for it, within the limits
    /// of [`crate::Options::feed_log_bytes`] and [`crate::Options::feed_log_us`]. Durable on return.
    ///
    /// # Errors
    /// [`Error::Misuse`] if there is one of that name; those of [`Engine::changes`]; those of a commit.
    pub fn create_consumer(&self, name: &str, from: FeedFrom) -> Result<Position> {
        check_name(name).map_err(|error| Error::Misuse(format!("the name of a consumer: {error}")))?;
        let position = self.position_of(from)?;
        let mut txn = self.begin_write()?;
        if txn.tree(CONSUMERS_TREE)?.get(name)?.is_some() {
            return Err(Error::Misuse(format!("there is a consumer {name:?} already")));
        }
        let seen = self.shared.vfs.now();
        txn.tree(CONSUMERS_TREE)?.put(name, encode(position, seen))?;
        txn.commit_with(crate::Durability::Sync)?;
        Ok(position)
    }

    /// Stores how far a consumer has come; the log before is not kept for it any more. Durable on return.
    ///
    /// Whoever does something with a transaction and then stores its position may, after a crash in between, see the
    /// transaction again; who stores the position together with what it makes of it sees each exactly once.
    ///
    /// # Errors
    /// [`Error::Misuse`] if there is no such consumer, or it was further on already; those of a commit.
    pub fn advance_consumer(&self, name: &str, position: Position) -> Result<()> {
        let mut txn = self.begin_write()?;
        let stored = match txn.tree(CONSUMERS_TREE)?.get(name)? {
            Some(row) => decode(name, row)?.0,
            None => return Err(Error::Misuse(format!("there is no consumer {name:?}"))),
        };
        if position.txid < stored.txid {
            let (there, wanted) = (stored.txid, position.txid);
            return Err(Error::Misuse(format!(
                "consumer {name:?} is at {there}, and cannot go back to {wanted}"
            )));
        }
        if position == stored {
            return Ok(());
        }
        let seen = self.shared.vfs.now();
        txn.tree(CONSUMERS_TREE)?.put(name, encode(position, seen))?;
        txn.commit_with(crate::Durability::Sync).map(drop)
    }

    /// Forgets a consumer. `false` if there is none of that name.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn remove_consumer(&self, name: &str) -> Result<bool> {
        let mut txn = self.begin_write()?;
        let Some(mut tree) = txn.open_tree(CONSUMERS_TREE)? else { return Ok(false) };
        let found = tree.delete(name)?;
        txn.commit_with(crate::Durability::Sync)?;
        Ok(found)
    }

    /// The consumers, by name.
    ///
    /// # Errors
    /// [`Error::Corruption`]; [`Error::Unopenable`] if a row of [`CONSUMERS_TREE`] is not one of ours.
    pub fn consumers(&self) -> Result<Vec<Consumer>> {
        let pages = self.shared.pager.try_begin_read(Visible::Published)?;
        let end = pages.root().lsn;
        let consumer = |(name, (position, seen)): (String, (Position, Timestamp))| {
            let behind_bytes = end.get().saturating_sub(position.lsn.get());
            Consumer { name, position, seen, behind_bytes }
        };
        Ok(stored(&pages)?.into_iter().map(consumer).collect())
    }

    /// The transactions behind the position of a consumer. Reading does not move it: [`Engine::advance_consumer`]
    /// does.
    ///
    /// # Errors
    /// [`Error::Misuse`] if there is no such consumer; those of [`Engine::changes`].
    pub fn changes_for(&self, name: &str) -> Result<Changes> {
        let consumers = self.consumers()?;
        let found = consumers.iter().find(|consumer| consumer.name == name);
        let found = found.ok_or_else(|| Error::Misuse(format!("there is no consumer {name:?}")))?;
        self.changes(FeedFrom::After(found.position))
    }

    /// The position that reading from `from` begins at.
    fn position_of(&self, from: FeedFrom) -> Result<Position> {
        match from {
            FeedFrom::After(position) => {
                // Whether it can be read from there must be known now.
                self.changes(from)?.next_txn().map(|_| position)
            }
            _ => {
                let mut changes = self.changes(from)?;
                match changes.position() {
                    Some(position) => Ok(position),
                    None => changes.start_position(),
                }
            }
        }
    }
}

/// The positions that a state shows, by name.
pub(crate) fn stored(pages: &ReadGuard) -> Result<Vec<(String, (Position, Timestamp))>> {
    let catalog = Catalog::decode(&pages.root().roots)?;
    let Some(tree) = catalog.find(pages, CONSUMERS_TREE)? else { return Ok(Vec::new()) };
    let rows = TreeRef::new(pages, tree).iter()?.map(|row| {
        let (name, value) = row?;
        let name = String::from_utf8_lossy(name).into_owned();
        decode(&name, value).map(|position| (name, position))
    });
    rows.collect()
}

fn encode(position: Position, seen: Timestamp) -> String {
    json!({ "txid": position.txid.get(), "lsn": position.lsn.get(), "seen_us": seen.get() }).to_string()
}

fn decode(name: &str, row: &[u8]) -> Result<(Position, Timestamp)> {
    let value: Option<Value> = serde_json::from_slice(row).ok();
    let number = |field: &str| value.as_ref().and_then(|value| value.get(field)).and_then(Value::as_u64);
    let seen = value.as_ref().and_then(|value| value.get("seen_us")).and_then(Value::as_i64);
    match (number("txid"), number("lsn"), seen) {
        (Some(txid), Some(lsn), Some(seen)) => {
            Ok((Position { txid: TxnId::new(txid), lsn: Lsn::new(lsn) }, Timestamp::new(seen)))
        }
        _ => Err(Error::Unopenable(format!(
            "the row of consumer {name:?} in the tree {CONSUMERS_TREE} is none of ours"
        ))),
    }
}
