//! Everything that was ever believed of a fact.

use llmdb_temporal::{Collection, FOREVER, Timestamp, Version};
use serde::Serialize;

use super::{
    FACTS, FactKey, Facts, ShownVersion, collection, document::check_collection, limits::RESULTS_DEFAULT,
    pieces, recall::check_results_max,
};
use crate::{Error, Result};

/// How much of a history is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryQuery {
    /// Most versions of the answer; at least 1, at most [`super::limits::RESULTS_MAX`].
    pub results_max: usize,
    /// Where an earlier answer ended.
    pub cursor: Option<String>,
}

impl Default for HistoryQuery {
    fn default() -> Self {
        Self { results_max: RESULTS_DEFAULT, cursor: None }
    }
}

/// The versions of a fact, in the order in which they were learned, then of the time in which they held.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct FactHistory {
    /// The fact.
    pub key: FactKey,
    /// What was believed of it.
    pub versions: Vec<ShownVersion>,
    /// Where to go on; `None` if that is all.
    pub cursor: Option<String>,
}

impl Facts<'_> {
    /// Every version of a fact with both of its periods. No two share a point of both times.
    ///
    /// Cost: the versions of the fact, and a seek for each epoch of the collection.
    ///
    /// # Errors
    /// [`Error::NotFound`]: nothing was ever known of it. [`Error::Field`]; [`Error::Temporal`], [`Error::Document`].
    pub fn history(&self, key: &FactKey, query: &HistoryQuery) -> Result<FactHistory> {
        check_results_max(query.results_max)?;
        let view = self.store.view()?;
        let place = query.cursor.as_deref().map(read).transpose()?;
        let (skipped, known) = place.unwrap_or((0, view.snapshot().timestamp()));
        let facts = collection(&view, FACTS)?.ok_or_else(|| unknown(key))?;
        let versions = versions(&facts, key, known)?;
        if versions.is_empty() {
            return Err(unknown(key));
        }
        let page = versions.iter().skip(skipped).take(query.results_max);
        let shown = page.map(|version| ShownVersion::new(&view, key, version)).collect::<Result<Vec<_>>>()?;
        let next = skipped.saturating_add(shown.len());
        let cursor = (next < versions.len()).then(|| format!("{next}.{}", known.get()));
        Ok(FactHistory { key: key.clone(), versions: shown, cursor })
    }
}

/// What was ever believed of a fact up to `known`, joined.
pub(super) fn versions<'s>(
    facts: &Collection<'s>,
    key: &FactKey,
    known: Timestamp,
) -> Result<Vec<Version<'s>>> {
    check_collection(facts)?;
    let mut versions = facts.history(key.row())?;
    versions.retain(|version| version.system.from <= known);
    for version in &mut versions {
        if version.system.to > known {
            version.system.to = FOREVER;
        }
    }
    Ok(pieces::join(versions))
}

pub(super) fn unknown(key: &FactKey) -> Error {
    let mend = "recall what is known of the subject for the names that there are";
    Error::not_found(format!("nothing was ever known of {key}"), mend)
}

fn read(cursor: &str) -> Result<(usize, Timestamp)> {
    let place = cursor
        .split_once('.')
        .and_then(|(skipped, known)| Some((skipped.parse().ok()?, Timestamp::new(known.parse().ok()?))));
    place.ok_or_else(|| {
        Error::field("cursor", "it is not one that an answer gave", "give it as it was, for the same fact")
    })
}
