//! What the arguments of calls say: facts, keys, moments, and which facts are meant.

use llmdb::{
    memory::{
        Facts,
        facts::{Correction, Document, FactKey, NewFact, NewKey, What},
        when,
    },
    temporal::{AsOf, Timestamp, TxnId},
};
use serde::Deserialize;
use serde_json::Value;

use crate::tools::{Call, said};

/// What a fact that is told says.
#[derive(Deserialize)]
pub(super) struct Told {
    key: Option<String>,
    subject: Option<String>,
    text: String,
    value: Option<Value>,
    from: Option<String>,
    to: Option<String>,
    source: Option<String>,
    confidence: Option<f64>,
    #[serde(default)]
    tags: Vec<String>,
}

impl Told {
    fn document(&mut self, agent: Option<String>) -> Document {
        let mut document = Document::new(std::mem::take(&mut self.text));
        document.value = self.value.take();
        document.source = self.source.take();
        document.confidence = self.confidence;
        document.tags = std::mem::take(&mut self.tags);
        document.agent = agent;
        document
    }

    pub fn fact(mut self, index: usize, agent: Option<String>, now: Timestamp) -> Result<NewFact, String> {
        let place = format!("facts[{index}].");
        let key = match (&self.key, &self.subject) {
            (Some(_), Some(_)) => {
                return Err(format!("{place}subject: there is a key already; leave one of the two out"));
            }
            (Some(key), None) => NewKey::Given(parse_key(key, &place)?),
            (None, Some(subject)) => NewKey::Under(subject.clone()),
            (None, None) => NewKey::Generated,
        };
        let (from, to) = self.period(&place, now)?;
        Ok(NewFact { key, document: self.document(agent), from, to })
    }

    pub fn correction(
        mut self,
        index: usize,
        agent: Option<String>,
        now: Timestamp,
    ) -> Result<Correction, String> {
        let place = format!("corrections[{index}].");
        let key = parse_key(self.key.as_deref().unwrap_or_default(), &place)?;
        let (from, to) = self.period(&place, now)?;
        Ok(Correction { key, document: self.document(agent), from, to })
    }

    fn period(&self, place: &str, now: Timestamp) -> Result<(Option<Timestamp>, Option<Timestamp>), String> {
        let from = moment_of(self.from.as_deref(), &format!("{place}from"), now)?;
        Ok((from, moment_of(self.to.as_deref(), &format!("{place}to"), now)?))
    }
}

pub(super) fn parse_key(text: &str, place: &str) -> Result<FactKey, String> {
    text.parse().map_err(|error: llmdb::memory::Error| format!("{place}{error}"))
}

pub(super) fn keys(texts: &[String]) -> Result<Vec<FactKey>, String> {
    let parsed = texts.iter().enumerate();
    parsed.map(|(index, text)| parse_key(text, &format!("keys[{index}]."))).collect()
}

pub(super) fn moment_of(
    text: Option<&str>,
    field: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, String> {
    text.map(|text| when::parse(text, now)).transpose().map_err(|error| format!("{field}: {error}"))
}

pub(super) fn known(text: Option<&str>, field: &str, now: Timestamp) -> Result<AsOf, String> {
    match text {
        None => Ok(AsOf::Now),
        Some(text) => match text.strip_prefix("tx").and_then(|number| number.parse().ok()) {
            Some(txid) => Ok(AsOf::Transaction(TxnId::new(txid))),
            None => Ok(moment_of(Some(text), field, now)?.map_or(AsOf::Now, AsOf::Time)),
        },
    }
}

/// Which facts, if at most one way to say it is used.
pub(super) fn which(
    keys_given: &[String],
    subject: Option<String>,
    prefix: Option<String>,
) -> Result<What, String> {
    match (keys_given, subject, prefix) {
        ([], None, None) => Ok(What::All),
        ([_, ..], None, None) => Ok(What::Keys(keys(keys_given)?)),
        ([], Some(subject), None) => Ok(What::Subject(subject)),
        ([], None, Some(prefix)) => Ok(What::Prefix(prefix)),
        _ => Err("keys, subject, prefix: these are ways to say which facts; use one of them".into()),
    }
}

impl Call<'_> {
    pub(super) fn facts(&self) -> Facts<'_> {
        self.db.memory().facts()
    }

    pub(super) fn now(&self) -> Result<Timestamp, String> {
        self.facts().now().map_err(said)
    }

    /// Who says so: as the call names it, else as the client named itself.
    pub(super) fn agent(&self, given: Option<String>) -> Option<String> {
        given.or_else(|| self.agent.clone())
    }
}
