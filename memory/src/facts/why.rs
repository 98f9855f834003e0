//! Provenance: how a fact came to be known, what it took the place of, and what took its place.

use llmdb_temporal::{AsOf, Collection, FOREVER, Period, Timestamp, Version, View};
use serde::Serialize;

use super::{
    FACTS, FactKey, Facts, Learned, Noted, Point, ShownPeriod, ShownVersion, collection,
    history::{unknown, versions},
    journal, pieces,
};
use crate::{Error, Result};

/// How a fact came to be known.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Why {
    /// The fact.
    pub key: FactKey,
    /// Whether it holds at the point that was asked about. If not, what is told is the last that was learned of it.
    pub holds: bool,
    /// What was asserted, for which period, and when; believed until `known.to` of that, if it is not any more.
    pub asserted: ShownVersion,
    /// What the journal says of the commit: a correction, for instance, and why.
    pub noted: Option<Noted>,
    /// What had been believed of that period.
    pub replaced: Vec<ShownVersion>,
    /// What took its place, and of which part of the period.
    pub replaced_by: Vec<Replacement>,
}

/// The end of a belief.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Replacement {
    /// The part of valid time of which it is no longer believed.
    pub valid: ShownPeriod,
    /// The commit since which it is not.
    pub learned: Learned,
    /// What the journal says of that commit.
    pub noted: Option<Noted>,
    /// What was believed of that period from then on; nothing if it was forgotten, or the assertion undone.
    pub by: Vec<ShownVersion>,
}

impl Facts<'_> {
    /// How the fact that holds at `point` came to be known; if none does, the last that was known of it.
    ///
    /// Cost: the history of the fact.
    ///
    /// # Errors
    /// [`crate::Error::NotFound`]: nothing was ever known of it. [`crate::Error::Temporal`],
    /// [`crate::Error::Document`].
    pub fn why(&self, key: &FactKey, point: Point) -> Result<Why> {
        let view = self.store.view()?;
        let point = point.resolve(&view)?;
        let facts = collection(&view, FACTS)?.ok_or_else(|| unknown(key))?;
        let versions = versions(&facts, key, view.snapshot().timestamp())?;
        let fact = facts.get(key.row(), point.at)?;
        let known = versions.iter().filter(|version| version.system.from <= point.known);
        // What was believed of that moment last; if nothing ever was, what was learned last.
        let last = known.max_by_key(|version| {
            (
                version.valid.contains(point.valid),
                version.system.to.min(point.known),
                version.system.from,
                version.valid.from,
            )
        });
        let (learned, valid) = match (&fact, last) {
            (Some(fact), _) => (fact.learned, point.valid),
            (None, Some(last)) if last.valid.contains(point.valid) => (last.system.from, point.valid),
            (None, Some(last)) => (last.system.from, last.valid.from),
            (None, None) => return Err(unknown(key)),
        };
        let asserted = asserted(&facts, key, learned, valid)?.ok_or_else(|| unknown(key))?;
        let told = Teller { view: &view, facts: &facts, key };
        let shown = ShownVersion { valid: asserted.valid.into(), ..told.show(&asserted)? };
        Ok(Why {
            key: key.clone(),
            holds: fact.is_some(),
            noted: journal::of(&view, shown.learned.txid.0)?,
            asserted: shown,
            replaced: told.replaced(asserted.valid, learned)?,
            replaced_by: told.replacements(&versions, &asserted)?,
        })
    }
}

/// What the commit at `learned` asserted of the moment `valid`: the document and the whole period, as it was believed then.
fn asserted<'s>(
    facts: &Collection<'s>,
    key: &FactKey,
    learned: Timestamp,
    valid: Timestamp,
) -> Result<Option<Version<'s>>> {
    let believed = pieces::believed(facts, &key.row(), Period::ALWAYS, AsOf::Time(learned))?;
    Ok(believed.into_iter().find(|version| version.valid.contains(valid)))
}

struct Teller<'a, 's> {
    view: &'s View,
    facts: &'a Collection<'s>,
    key: &'a FactKey,
}

impl<'s> Teller<'_, 's> {
    fn show(&self, version: &Version<'_>) -> Result<ShownVersion> {
        ShownVersion::new(self.view, self.key, version)
    }

    /// What had been believed of `valid` when something else was learned of it; nothing if that is not kept any more.
    fn replaced(&self, valid: Period, learned: Timestamp) -> Result<Vec<ShownVersion>> {
        match self.believed(valid, Timestamp::new(learned.get().saturating_sub(1))) {
            Err(Error::Temporal(llmdb_temporal::Error::NotKept { .. })) => Ok(Vec::new()),
            believed => believed,
        }
    }

    /// What was believed of `valid` at `known`, cut to it.
    fn believed(&self, valid: Period, known: Timestamp) -> Result<Vec<ShownVersion>> {
        let believed = pieces::believed(self.facts, &self.key.row(), valid, AsOf::Time(known))?;
        believed.iter().map(|version| self.show(version)).collect()
    }

    /// The ends of all parts of `asserted`, in the order in which they were learned.
    fn replacements(&self, versions: &[Version<'s>], asserted: &Version<'s>) -> Result<Vec<Replacement>> {
        let is_part = |version: &&Version<'_>| {
            version.system.from == asserted.system.from
                && version.value == asserted.value
                && version.valid.overlaps(asserted.valid)
                && version.system.to < FOREVER
        };
        let mut ended: Vec<_> = versions.iter().filter(is_part).collect();
        ended.sort_by_key(|version| (version.system.to, version.valid.from));
        let replacement = |version: &Version<'_>| {
            let learned = Learned::at(self.view, version.system.to)?;
            Ok(Replacement {
                valid: version.valid.into(),
                noted: journal::of(self.view, learned.txid.0)?,
                by: self.believed(version.valid, version.system.to)?,
                learned,
            })
        };
        ended.into_iter().map(replacement).collect()
    }
}
