//! Ending facts.

use llmdb_temporal::{AsOf, At, Collection, Timestamp, View};
use serde::Serialize;

use super::{
    By, FACTS, FactKey, Facts, Learned, ShownPeriod, ShownVersion, What,
    assert::Writer,
    collection,
    document::check_collection,
    find, journal,
    limits::BATCH_MAX,
    pieces,
    remember::{period, valid},
};
use crate::{Error, Result};

/// Which facts end, and when.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Forget {
    /// Which facts; of those that hold at `from`, or, for keys, at any moment of the period.
    pub what: What,
    /// The first moment at which they do not hold any more; `None` for now.
    pub from: Option<Timestamp>,
    /// The moment from which on they hold again as they did; `None` for never.
    pub to: Option<Timestamp>,
    /// Who says so, and why.
    pub by: By,
}

/// What [`Facts::forget`] did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Forgotten {
    /// The commit.
    pub learned: Learned,
    /// The period of which nothing is known any more.
    pub valid: ShownPeriod,
    /// What was known of it. It stays in the history.
    pub facts: Vec<ForgottenFact>,
}

/// A fact that ended.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ForgottenFact {
    /// The fact.
    pub key: FactKey,
    /// What was believed of the period.
    pub replaced: Vec<ShownVersion>,
}

impl Facts<'_> {
    /// Ends the validity of facts, in one transaction: from `from` on, nothing is known of them. What held before still
    /// held, and that it was believed stays known.
    ///
    /// # Errors
    /// [`Error::NotFound`]: nothing is known there that could end. [`Error::Field`]: also if more than
    /// [`BATCH_MAX`] facts would end. Nothing was written. [`Error::Temporal`], [`Error::Document`].
    pub fn forget(&self, forget: &Forget) -> Result<Forgotten> {
        forget.what.check()?;
        forget.by.check()?;
        let mut txn = self.store.begin_write()?;
        let before = self.store.view_before(&txn)?;
        let now = txn.timestamp();
        let period = period(forget.from, forget.to, now)?;
        let none = || {
            let mend = "recall what is known; what ended already needs no end";
            Error::not_found("nothing is known there that could be forgotten", mend)
        };
        let facts = collection(&before, FACTS)?.ok_or_else(none)?;
        check_collection(&facts)?;
        let mut ended = Vec::new();
        for key in self.meant(&before, &facts, forget, period.from)? {
            let believed = pieces::believed(&facts, &key.row(), period, AsOf::Now)?;
            let show = |version| ShownVersion::new(&before, &key, version);
            let replaced = believed.iter().map(show).collect::<Result<Vec<_>>>()?;
            if !replaced.is_empty() {
                ended.push(ForgottenFact { key, replaced });
            }
        }
        if ended.is_empty() {
            return Err(none());
        }
        let mut writer = Writer::begin(&mut txn, &before)?;
        for fact in &ended {
            writer.end(&fact.key, valid(period, now))?;
        }
        journal::note(&mut txn, "forget", &forget.by)?;
        let learned = Learned::new(txn.txid(), now);
        txn.commit()?;
        Ok(Forgotten { learned, valid: period.into(), facts: ended })
    }

    fn meant(
        &self,
        before: &View,
        facts: &Collection<'_>,
        forget: &Forget,
        from: Timestamp,
    ) -> Result<Vec<FactKey>> {
        if let What::Keys(keys) = &forget.what {
            let mut keys = keys.clone();
            keys.sort_unstable();
            keys.dedup();
            return Ok(keys);
        }
        let found = find::facts(before, facts, &forget.what, &[], At::valid(from), None)?.take(BATCH_MAX + 1);
        let keys = found.map(|fact| FactKey::of_row(&fact?.row)).collect::<Result<Vec<_>>>()?;
        match keys.len() > BATCH_MAX {
            true => Err(Error::field(
                "what",
                format!("more than {BATCH_MAX} facts would end"),
                "name a smaller part: a subject, or the beginning of a key",
            )),
            false => Ok(keys),
        }
    }
}
