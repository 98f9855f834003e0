//! What a transaction was for, where the facts that it wrote do not say it: an end of a fact has no document.

use llmdb_temporal::{At, Element, Key, RowKey, TxnId, Valid, Value, View, WriteTxn};
use serde::{Deserialize, Serialize};

use super::{JOURNAL, collection, document::check_label};
use crate::{Error, Result};

/// Who does something, and why.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct By {
    /// Who.
    pub agent: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

impl By {
    pub(super) fn check(&self) -> Result<()> {
        for (field, label) in [("agent", &self.agent), ("reason", &self.reason)] {
            label.as_deref().map_or(Ok(()), |label| check_label(field, label))?;
        }
        Ok(())
    }
}

/// What the journal says of a transaction.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Noted {
    /// `correct`, `forget` or `undo`; another word if another program wrote it.
    pub op: String,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

fn row(txid: TxnId) -> RowKey {
    RowKey::new(0, Key::of([Element::from(txid.get())]))
}

/// Notes what `txn` is for. The collection is there.
pub(super) fn note(txn: &mut WriteTxn<'_>, op: &str, by: &By) -> Result<()> {
    let noted = Noted { op: op.into(), agent: by.agent.clone(), reason: by.reason.clone() };
    let json = serde_json::to_string(&noted)
        .map_err(|error| Error::field("reason", error.to_string(), "write text"))?;
    let row = row(txn.txid());
    Ok(txn.collection(JOURNAL)?.put(row, Valid::Now, Value::json(&json))?)
}

/// What the journal says of the transaction `txid`.
pub(super) fn of(view: &View, txid: TxnId) -> Result<Option<Noted>> {
    let Some(journal) = collection(view, JOURNAL)? else { return Ok(None) };
    let Some(fact) = journal.get(row(txid), At::NOW)? else { return Ok(None) };
    let noted = serde_json::from_slice(fact.value.payload);
    noted
        .map(Some)
        .map_err(|error| Error::Document { place: format!("{JOURNAL} {txid}"), what: error.to_string() })
}
