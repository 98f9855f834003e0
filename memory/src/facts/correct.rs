//! Correcting what is believed of a period.

use llmdb_temporal::{AsOf, BEGINNING, FOREVER, Period, Timestamp, View};
use serde::Serialize;

use super::{
    By, Document, FACTS, FactKey, Facts, Learned, ShownPeriod, ShownVersion,
    assert::Writer,
    collection,
    document::check_collection,
    journal, pieces,
    remember::{Periods, check_count, period, valid},
};
use crate::{Error, Result};

/// What is believed to be wrong, and what is right.
#[derive(Clone, PartialEq, Debug)]
pub struct Correction {
    /// The fact.
    pub key: FactKey,
    /// What is right.
    pub document: Document,
    /// Since when that holds; `None` for the period of the fact that holds now.
    pub from: Option<Timestamp>,
    /// The first moment at which it does not hold any more; `None` for the end of the fact that holds at `from`, or for
    /// the begin of the next one if none does.
    pub to: Option<Timestamp>,
}

/// What [`Facts::correct`] did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Corrected {
    /// The commit.
    pub learned: Learned,
    /// Each correction, in the order of the call.
    pub facts: Vec<CorrectedFact>,
}

/// What a correction did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CorrectedFact {
    /// The fact.
    pub key: FactKey,
    /// The period that was corrected. What is believed of other moments stays.
    pub valid: ShownPeriod,
    /// What was believed of that period until now. It stays in the history.
    pub replaced: Vec<ShownVersion>,
}

impl Facts<'_> {
    /// Corrects facts of one subject, in one transaction. Nothing is deleted: that it was believed otherwise stays known,
    /// and what is believed of other periods stays as it is.
    ///
    /// # Errors
    /// [`Error::Field`]: also if the facts have several subjects. [`Error::NotFound`]: no period is said, and nothing
    /// holds now. Nothing was written. [`Error::Temporal`], [`Error::Document`].
    pub fn correct(&self, corrections: &[Correction], by: &By) -> Result<Corrected> {
        let jsons = check(corrections, by)?;
        let mut txn = self.store.begin_write()?;
        let before = self.store.view_before(&txn)?;
        let now = txn.timestamp();
        let mut periods = Periods::default();
        let mut done = Vec::with_capacity(corrections.len());
        let mut writer = Writer::begin(&mut txn, &before)?;
        for (index, (correction, json)) in corrections.iter().zip(&jsons).enumerate() {
            let period = meant(&before, correction, now).map_err(|error| error.inside(part(index)))?;
            periods.claim(&correction.key, period).map_err(|error| error.inside(part(index)))?;
            let replaced = replaced(&before, &correction.key, period)?;
            let key = correction.key.clone();
            writer.assert(&key, valid(period, now), &correction.document, json)?;
            done.push(CorrectedFact { key, valid: period.into(), replaced });
        }
        journal::note(&mut txn, "correct", by)?;
        let learned = Learned::new(txn.txid(), now);
        txn.commit()?;
        Ok(Corrected { learned, facts: done })
    }
}

fn part(index: usize) -> String {
    format!("facts[{index}]")
}

/// Checks all that can be checked before the transaction begins, and returns the stored forms.
fn check(corrections: &[Correction], by: &By) -> Result<Vec<String>> {
    check_count("facts", corrections.len())?;
    by.check()?;
    let subject = corrections.first().map(|first| first.key.subject());
    let other = corrections.iter().find(|correction| Some(correction.key.subject()) != subject);
    if let Some(other) = other {
        let what = format!("{} is not about {}", other.key, subject.unwrap_or_default());
        return Err(Error::field("facts", what, "correct one subject in one call"));
    }
    let check = |(index, correction): (usize, &Correction)| {
        let json = correction.document.encode().map_err(|error| error.inside(part(index)))?;
        match (correction.from, correction.to) {
            (None, Some(_)) => Err(Error::field(
                format!("{}.from", part(index)),
                "it is missing, though `to` is there",
                "say since when it was otherwise, or leave both out to correct the fact that holds now",
            )),
            _ => Ok(json),
        }
    };
    corrections.iter().enumerate().map(check).collect()
}

/// The period that a correction is about.
fn meant(before: &View, correction: &Correction, now: Timestamp) -> Result<Period> {
    let (from, to) = match (correction.from, correction.to) {
        (Some(from), Some(to)) => return period(Some(from), Some(to), now),
        (from, to) => (from, to),
    };
    let moment = from.unwrap_or(now);
    let whole = around(before, &correction.key, moment)?;
    match (from, whole) {
        (None, (period, true)) => Ok(period),
        (None, (_, false)) => {
            let mend = "say since when it was otherwise, or remember it as something new";
            Err(Error::not_found(
                format!("nothing is known of {} now that could be corrected", correction.key),
                mend,
            ))
        }
        (Some(from), (whole, _)) => period(Some(from), to.or(Some(whole.to)), now),
    }
}

/// The period around `moment` of which one thing is believed, and whether that is a fact or nothing at all.
fn around(before: &View, key: &FactKey, moment: Timestamp) -> Result<(Period, bool)> {
    let Some(facts) = collection(before, FACTS)? else { return Ok((Period::ALWAYS, false)) };
    check_collection(&facts)?;
    let believed = pieces::believed(&facts, &key.row(), Period::ALWAYS, AsOf::Now)?;
    if let Some(version) = believed.iter().find(|version| version.valid.contains(moment)) {
        return Ok((version.valid, true));
    }
    let ended = believed.iter().map(|version| version.valid.to).filter(|to| *to <= moment).max();
    let next = believed.iter().map(|version| version.valid.from).filter(|from| *from > moment).min();
    Ok((Period::new(ended.unwrap_or(BEGINNING), next.unwrap_or(FOREVER)), false))
}

/// What is believed of `key` for `period`.
fn replaced(before: &View, key: &FactKey, period: Period) -> Result<Vec<ShownVersion>> {
    let Some(facts) = collection(before, FACTS)? else { return Ok(Vec::new()) };
    let believed = pieces::believed(&facts, &key.row(), period, AsOf::Now)?;
    believed.iter().map(|version| ShownVersion::new(before, key, version)).collect()
}
