//! Taking a transaction back.

use llmdb_temporal::{AsOf, TxnId, View};
use serde::Serialize;

use super::{
    By, FACTS, FactKey, Facts, Learned, ShownPeriod, assert::Writer, collection, journal,
    limits::RESULTS_MAX, shown::Txid,
};
use crate::{Error, Result};

/// What [`Facts::undo`] did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct UndoneFacts {
    /// The commit; `None` if nothing was left to take back, and nothing was written.
    pub learned: Option<Learned>,
    /// The transaction that was taken back.
    pub undone: Txid,
    /// The facts that it had said something of, up to a thousand.
    pub facts: Vec<FactKey>,
    /// Periods of rows, of facts and of whatever else it wrote, of which is believed again what was believed before.
    pub restored: u64,
    /// Periods of facts that stay as they are, for later transactions said something else of them.
    pub kept: Vec<KeptFact>,
    /// How many periods of rows stay so that are not of facts.
    pub kept_others: usize,
}

/// A part of a transaction that could not be taken back.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct KeptFact {
    /// The fact.
    pub key: FactKey,
    /// The period.
    pub valid: ShownPeriod,
}

impl Facts<'_> {
    /// Takes a transaction back: of all that it changed, and that no later one changed, is believed again what was
    /// believed before. Nothing is rewritten: that it was believed meanwhile stays known, and an undo can be undone.
    ///
    /// # Errors
    /// [`Error::NotFound`]: no such transaction wrote facts. [`Error::Field`]; [`Error::Temporal`],
    /// [`Error::Document`]. Nothing was written.
    pub fn undo(&self, txid: TxnId, by: &By) -> Result<UndoneFacts> {
        by.check()?;
        let mut txn = self.store.begin_write()?;
        let before = self.store.view_before(&txn)?;
        let undone = self.store.undo(&mut txn, txid).map_err(|error| match error {
            llmdb_temporal::Error::NoTransaction(txid) => Error::not_found(
                format!("no transaction {txid} wrote facts"),
                "take its number from a history, or from what a call that wrote returned",
            ),
            other => other.into(),
        })?;
        let mut told = UndoneFacts {
            learned: None,
            undone: Txid(txid),
            facts: changed(&before, txid)?,
            restored: undone.restored,
            kept: Vec::new(),
            kept_others: 0,
        };
        for kept in &undone.kept {
            match kept.collection == FACTS {
                true => {
                    told.kept.push(KeptFact { key: FactKey::of_row(&kept.row)?, valid: kept.valid.into() })
                }
                false => told.kept_others += 1,
            }
        }
        if undone.restored == 0 {
            txn.abort();
            return Ok(told);
        }
        Writer::begin(&mut txn, &before)?;
        journal::note(&mut txn, "undo", by)?;
        told.learned = Some(Learned::new(txn.txid(), txn.timestamp()));
        txn.commit()?;
        Ok(told)
    }
}

/// The facts that a transaction said something of.
fn changed(view: &View, txid: TxnId) -> Result<Vec<FactKey>> {
    let Some(facts) = collection(view, FACTS)? else { return Ok(Vec::new()) };
    let before = AsOf::Transaction(TxnId::new(txid.get().saturating_sub(1)));
    let changes = facts.changes(before, AsOf::Transaction(txid))?;
    changes.take(RESULTS_MAX).map(|change| FactKey::of_row(&change?.row)).collect()
}
