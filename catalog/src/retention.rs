//! How long history is kept: policies as documents, and what applies them.

use llmdb_temporal::{History, PurgeProgress, Purged, Retention, Valid, View};
use serde::{Deserialize, Serialize};

use crate::{
    Catalog, Error, Result,
    path::{META, MetaPath},
};

/// What a collection keeps of its history, as it is stored: `{"keep":"all"}`, `{"keep":{"versions":10}}`,
/// `{"keep":{"days":90}}`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// What is kept.
    pub keep: Keep,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// What is kept of a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// Everything, for ever.
    All,
    /// Of each row the newest states, so many; what is believed now is one.
    Versions(u32),
    /// What was believed in the last days, so many.
    Days(u32),
    /// What was believed in the last seconds, so many.
    Seconds(u64),
}

impl Keep {
    /// For the store of facts; `None` if nothing is ever purged.
    fn to_retention(self) -> Option<Retention> {
        let span = |seconds: u64| Some(Retention::Span { us: seconds.saturating_mul(1_000_000) });
        match self {
            Self::All => None,
            Self::Versions(count) => Some(Retention::Versions(count)),
            Self::Days(days) => span(u64::from(days) * 86_400),
            Self::Seconds(seconds) => span(seconds),
        }
    }
}

/// Longest span that is kept, other than everything: a thousand years.
const DAYS_MAX: u32 = 365_250;

impl Policy {
    pub(crate) fn check(&self) -> std::result::Result<(), String> {
        match self.keep {
            Keep::Versions(0) => Err("at least 1 version is kept: what is believed now".into()),
            Keep::Days(days) if days == 0 || days > DAYS_MAX => {
                Err(format!("days are 1 to {DAYS_MAX}, or keep all"))
            }
            Keep::Seconds(seconds) if seconds == 0 || seconds > u64::from(DAYS_MAX) * 86_400 => {
                Err(format!("seconds are 1 to {}, or keep all", u64::from(DAYS_MAX) * 86_400))
            }
            _ => Ok(()),
        }
    }
}

impl Catalog<'_> {
    /// Says how long the history of a collection is kept.
    ///
    /// # Errors
    /// [`Error::Policy`]; [`Error::Temporal`].
    pub fn set_retention(&self, collection: &str, policy: &Policy) -> Result<()> {
        policy.check().map_err(Error::Policy)?;
        let mut txn = self.store().begin_write()?;
        let before = self.store().view_before(&txn)?;
        if before.collection(collection)?.history_kind() == History::Plain && policy.keep != Keep::All {
            return Err(Error::Policy(format!("the collection {collection:?} is plain: it has no history")));
        }
        self.ensure_meta(&mut txn)?;
        self.put(&mut txn, &MetaPath::Retention { collection: collection.into() }, policy)?;
        txn.commit()?;
        Ok(())
    }

    /// Applies every policy, one collection after the other: purges what it need not keep, in steps. What an earlier call began, in
    /// whichever process, goes on. `progress` is told the collection and how far it is after each step, and stops it by answering
    /// `false`.
    ///
    /// Cost: as [`llmdb_temporal::Store::purge`].
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Temporal`]: what was removed is removed, call it again.
    pub fn apply_retention(
        &self,
        progress: &mut dyn FnMut(&str, &PurgeProgress) -> bool,
    ) -> Result<Vec<(String, Purged)>> {
        let policies = self.retentions(&self.store().view()?)?;
        let mut applied = Vec::new();
        for (collection, policy) in policies {
            let Some(keep) = policy.keep.to_retention() else { continue };
            let purged = self.store().purge(&collection, keep, &mut |done| progress(&collection, done))?;
            let is_done = purged.is_done;
            applied.push((collection, purged));
            if !is_done {
                break;
            }
        }
        Ok(applied)
    }

    /// Takes the policy from a collection: everything is kept from here on. Answers whether it had one.
    ///
    /// # Errors
    /// [`Error::Temporal`].
    pub fn unset_retention(&self, collection: &str) -> Result<bool> {
        let mut txn = self.store().begin_write()?;
        let before = self.store().view_before(&txn)?;
        if self.retention(&before, collection)?.is_none() {
            return Ok(false);
        }
        txn.collection(META)?
            .delete(MetaPath::Retention { collection: collection.into() }.row(), Valid::Now)?;
        txn.commit()?;
        Ok(true)
    }

    /// How long the history of a collection is kept; `None` if nobody said.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Temporal`].
    pub fn retention(&self, view: &View, collection: &str) -> Result<Option<Policy>> {
        self.get(view, &MetaPath::Retention { collection: collection.into() })
    }

    /// The policies of all collections, in order.
    ///
    /// # Errors
    /// As [`Catalog::retention`].
    pub fn retentions(&self, view: &View) -> Result<Vec<(String, Policy)>> {
        self.list(view, "retention", |path, policy| match path {
            MetaPath::Retention { collection } => Some((collection, policy)),
            _ => None,
        })
    }
}
