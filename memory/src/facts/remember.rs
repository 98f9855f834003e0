//! Learning facts.

use std::collections::BTreeMap;

use llmdb_base::plant::{Bug, planted};
use llmdb_temporal::{AsOf, Period, Timestamp, Valid, Version, View};
use serde::Serialize;

use super::{
    Document, FACTS, FactKey, Facts, Learned, NewKey, ShownPeriod, ShownVersion, assert::Writer, collection,
    document::check_collection, limits::BATCH_MAX, pieces,
};
use crate::{Error, Result};

/// A fact to remember.
#[derive(Clone, PartialEq, Debug)]
pub struct NewFact {
    /// What it is called.
    pub key: NewKey,
    /// What it says.
    pub document: Document,
    /// Since when it holds; `None` for now.
    pub from: Option<Timestamp>,
    /// The first moment at which it does not hold any more; `None` if no end is known.
    pub to: Option<Timestamp>,
}

impl NewFact {
    /// The fact `key`, as `subject/name`, from now on.
    ///
    /// # Errors
    /// [`Error::Field`]: it is no key.
    pub fn new(key: &str, text: impl Into<String>) -> Result<Self> {
        Ok(Self { key: NewKey::Given(key.parse()?), document: Document::new(text), from: None, to: None })
    }

    /// A note, with a key that the store makes, from now on.
    pub fn note(text: impl Into<String>) -> Self {
        Self { key: NewKey::Generated, document: Document::new(text), from: None, to: None }
    }
}

/// What [`Facts::remember`] did.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Remembered {
    /// The commit; `None` if all of it was known already, and nothing was written.
    pub learned: Option<Learned>,
    /// Each fact, in the order of the call.
    pub facts: Vec<RememberedFact>,
}

/// What became of a fact that was to be remembered.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct RememberedFact {
    /// Its key, made by the store if none was given.
    pub key: FactKey,
    /// For when it was asserted.
    pub valid: ShownPeriod,
    /// Whether the very same was known of that period already: then it was not written again.
    pub unchanged: bool,
    /// What was believed of that period until now, cut to it. It stays in the history.
    pub replaced: Vec<ShownVersion>,
}

impl Facts<'_> {
    /// Remembers facts, all of them in one transaction or none. What was believed of their periods before is no longer
    /// believed from now on; other periods of the same facts stay as they are.
    ///
    /// Cost: a look at what is believed of each fact, and a put.
    ///
    /// # Errors
    /// [`Error::Field`]: nothing was written. [`Error::Temporal`], [`Error::Document`].
    pub fn remember(&self, facts: &[NewFact]) -> Result<Remembered> {
        check_count("facts", facts.len())?;
        let jsons = facts.iter().enumerate().map(|(index, fact)| {
            fact.key.check().and_then(|()| fact.document.encode()).map_err(|error| error.inside(part(index)))
        });
        let jsons = jsons.collect::<Result<Vec<_>>>()?;
        let mut txn = self.store.begin_write()?;
        let before = self.store.view_before(&txn)?;
        let now = txn.timestamp();
        let mut done = Vec::with_capacity(facts.len());
        let mut periods = Periods::default();
        for (index, (fact, json)) in facts.iter().zip(&jsons).enumerate() {
            let key = fact.key.resolve(now, index);
            let period = period(fact.from, fact.to, now).map_err(|error| error.inside(part(index)))?;
            periods.claim(&key, period).map_err(|error| error.inside(part(index)))?;
            done.push(look(&before, key, period, json)?);
        }
        let learned = Learned::new(txn.txid(), now);
        if done.iter().all(|fact| fact.unchanged) {
            txn.abort();
            return Ok(Remembered { learned: None, facts: done });
        }
        let mut writer = Writer::begin(&mut txn, &before)?;
        for ((fact, json), done) in facts.iter().zip(&jsons).zip(&done) {
            if !done.unchanged {
                let period = period(fact.from, fact.to, now)?;
                writer.assert(&done.key, valid(period, now), &fact.document, json)?;
            }
        }
        txn.commit()?;
        Ok(Remembered { learned: Some(learned), facts: done })
    }
}

fn part(index: usize) -> String {
    format!("facts[{index}]")
}

/// Checks how many things a call has.
pub(super) fn check_count(field: &str, count: usize) -> Result<()> {
    match count {
        0 => Err(Error::field(field, "there are none", "give at least one")),
        count if count > BATCH_MAX => {
            let what = format!("there are {count}, more than {BATCH_MAX}");
            Err(Error::field(field, what, "use several calls"))
        }
        _ => Ok(()),
    }
}

/// The period from `from` (now, if nothing is said) up to `to`.
pub(super) fn period(from: Option<Timestamp>, to: Option<Timestamp>, now: Timestamp) -> Result<Period> {
    let period = Period::new(from.unwrap_or(now), to.unwrap_or(llmdb_temporal::FOREVER));
    match period.is_empty() {
        true => Err(Error::field(
            "to",
            format!(
                "it is not after {}",
                if from.is_some() { "`from`" } else { "now, when the fact begins" }
            ),
            "write the first moment at which the fact does not hold any more, or leave it out",
        )),
        false => Ok(period),
    }
}

/// The same period for the store: what begins with the commit follows what was believed until then.
pub(super) fn valid(period: Period, now: Timestamp) -> Valid {
    if period == Period::since(now) { Valid::Now } else { Valid::During(period) }
}

/// The periods that one call says something of.
#[derive(Default)]
pub(super) struct Periods(BTreeMap<FactKey, Vec<Period>>);

impl Periods {
    pub fn claim(&mut self, key: &FactKey, period: Period) -> Result<()> {
        let claimed = self.0.entry(key.clone()).or_default();
        if claimed.iter().any(|other| other.overlaps(period)) {
            let what = format!("{key} is in this call twice, for the same time");
            return Err(Error::field("key", what, "say one thing of each moment, or use two calls"));
        }
        claimed.push(period);
        Ok(())
    }
}

/// What is believed of `key` for `period` before it is told to be `json`.
fn look(before: &View, key: FactKey, period: Period, json: &str) -> Result<RememberedFact> {
    let believed = match collection(before, FACTS)? {
        Some(facts) => {
            check_collection(&facts)?;
            pieces::believed(&facts, &key.row(), period, AsOf::Now)?
        }
        None => Vec::new(),
    };
    let unchanged = covers(&believed, period, json);
    let others = believed.iter().filter(|version| version.value.payload != json.as_bytes());
    let replaced = others.map(|version| ShownVersion::new(before, &key, version)).collect::<Result<_>>()?;
    Ok(RememberedFact { key, valid: period.into(), unchanged, replaced })
}

/// Whether `json` is what is believed of all of `period`.
fn covers(believed: &[Version<'_>], period: Period, json: &str) -> bool {
    let mut reached = period.from;
    for version in believed {
        let is_same = version.value.payload == json.as_bytes() || planted(Bug::TakeForKnown);
        if version.valid.from != reached || !is_same {
            return false;
        }
        reached = version.valid.to;
    }
    reached == period.to && !believed.is_empty()
}
