//! Answers as plain data: what serde prints, with times in RFC 3339 and open ends as null.

use llmdb_temporal::{BEGINNING, Collection, FOREVER, Fact, Period, Timestamp, TxnId, Version, View};
use serde::{Serialize, Serializer};

use super::{Document, FactKey, pieces, point::Resolved};
use crate::{Result, when};

/// A moment, printed as RFC 3339 in UTC.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment(pub Timestamp);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_str(&when::show(self.0))
    }
}

/// The number of a transaction, printed as a number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Txid(pub TxnId);

impl Serialize for Txid {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0.get())
    }
}

/// A commit: its number and its moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Learned {
    /// Number of the transaction; what [`super::Facts::undo`] takes.
    pub txid: Txid,
    /// When it was committed.
    pub at: Moment,
}

impl Learned {
    pub(super) fn new(txid: TxnId, at: Timestamp) -> Self {
        Self { txid: Txid(txid), at: Moment(at) }
    }

    /// The last commit of facts up to `moment`; the number 0 and the beginning of time if there is none.
    pub(super) fn at(view: &View, moment: Timestamp) -> Result<Self> {
        let (txid, at) = view.transaction_at(moment)?.unwrap_or((TxnId::new(0), BEGINNING));
        Ok(Self::new(txid, at))
    }
}

/// A period of either time: `from` is in it, `to` is not; `None` for no beginning, or no end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct ShownPeriod {
    /// First moment.
    pub from: Option<Moment>,
    /// First moment behind it.
    pub to: Option<Moment>,
}

impl From<Period> for ShownPeriod {
    fn from(Period { from, to }: Period) -> Self {
        Self { from: (from > BEGINNING).then_some(Moment(from)), to: (to < FOREVER).then_some(Moment(to)) }
    }
}

/// A fact at a point in both times.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ShownFact {
    /// Subject and name.
    pub key: FactKey,
    /// What it says.
    #[serde(flatten)]
    pub document: Document,
    /// When it holds, around the moment that was asked about.
    pub valid: ShownPeriod,
    /// When it was learned.
    pub learned: Moment,
    /// Other keys that say the same, up to twenty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub same_as: Vec<FactKey>,
    /// How well it fits the words that were asked for; comparable within one question.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    /// Whether the text was shortened and the value left out, for the budget of the answer.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl ShownFact {
    pub(super) fn new(collection: &Collection<'_>, fact: &Fact<'_>, point: &Resolved) -> Result<Self> {
        let document = Document::decode(&fact.value, &fact.row)?;
        Self::with(collection, fact, point, document)
    }

    pub(super) fn with(
        collection: &Collection<'_>,
        fact: &Fact<'_>,
        point: &Resolved,
        document: Document,
    ) -> Result<Self> {
        Ok(Self {
            key: FactKey::of_row(&fact.row)?,
            document,
            valid: pieces::holding(collection, fact, point)?.into(),
            learned: Moment(fact.learned),
            same_as: Vec::new(),
            score: None,
            cut: false,
        })
    }
}

/// What was once believed: a document, when it held, when that was believed, and who learned it when.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ShownVersion {
    /// What it says.
    #[serde(flatten)]
    pub document: Document,
    /// When it held.
    pub valid: ShownPeriod,
    /// When that was believed; open if it still is.
    pub known: ShownPeriod,
    /// The commit that asserted it.
    pub learned: Learned,
}

impl ShownVersion {
    pub(super) fn new(view: &View, key: &FactKey, version: &Version<'_>) -> Result<Self> {
        Ok(Self {
            document: Document::decode(&version.value, &key.row())?,
            valid: version.valid.into(),
            known: version.system.into(),
            learned: Learned::at(view, version.system.from)?,
        })
    }
}
