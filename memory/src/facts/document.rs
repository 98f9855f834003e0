//! What a fact says: a document of JSON.

use llmdb_temporal::{Collection, RowKey, Value};
use serde::{Deserialize, Serialize};

use super::{
    key::check_part,
    limits::{DOCUMENT_BYTES_MAX, LABEL_BYTES_MAX, TAG_BYTES_MAX, TAGS_MAX, TEXT_BYTES_MAX},
};
use crate::{Error, Result};

/// What is said, and where that comes from. Members that are not there are left out of the JSON.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Document {
    /// The fact in words.
    pub text: String,
    /// The fact as data, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<serde_json::Value>,
    /// Where it comes from: a person, a page, a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// How sure that is, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Words to find it by; kept in order, each once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Who wrote it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
}

impl Document {
    /// A document that says `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// The stored form, after everything was checked.
    pub(super) fn encode(&self) -> Result<String> {
        self.check()?;
        let mut sorted = self.clone();
        sorted.tags.sort_unstable();
        sorted.tags.dedup();
        let json = serde_json::to_string(&sorted)
            .map_err(|error| Error::field("value", error.to_string(), "give JSON"))?;
        match json.len() > DOCUMENT_BYTES_MAX {
            true => Err(Error::field(
                "value",
                format!("the fact has {} bytes as JSON, more than {DOCUMENT_BYTES_MAX}", json.len()),
                "keep what is large elsewhere, and remember where",
            )),
            false => Ok(json),
        }
    }

    fn check(&self) -> Result<()> {
        if self.text.trim().is_empty() {
            return Err(Error::field("text", "it is empty", "say the fact in words"));
        }
        check_len("text", &self.text, TEXT_BYTES_MAX)?;
        for (field, label) in [("source", &self.source), ("agent", &self.agent)] {
            label.as_deref().map_or(Ok(()), |label| check_label(field, label))?;
        }
        if self.confidence.is_some_and(|confidence| !(0.0..=1.0).contains(&confidence)) {
            let what = format!("{} is not between 0 and 1", self.confidence.unwrap_or_default());
            return Err(Error::field("confidence", what, "write for instance 0.8"));
        }
        if self.tags.len() > TAGS_MAX {
            let what = format!("there are {}, more than {TAGS_MAX}", self.tags.len());
            return Err(Error::field("tags", what, "keep those that you will ask for"));
        }
        self.tags.iter().try_for_each(|tag| check_part("tags", tag, TAG_BYTES_MAX))
    }

    /// The document of a value of `row`.
    pub(super) fn decode(value: &Value<'_>, row: &RowKey) -> Result<Self> {
        serde_json::from_slice(value.payload)
            .map_err(|error| Error::Document { place: format!("facts {row}"), what: error.to_string() })
    }
}

/// Checks a text that may have several lines.
fn check_len(field: &str, text: &str, bytes_max: usize) -> Result<()> {
    match text.len() > bytes_max {
        true => {
            let what = format!("it has {} bytes, more than {bytes_max}", text.len());
            Err(Error::field(field, what, "keep what is large elsewhere, and remember where"))
        }
        false => Ok(()),
    }
}

/// Checks the name of a source or an agent, or a reason.
pub(super) fn check_label(field: &str, label: &str) -> Result<()> {
    check_len(field, label, LABEL_BYTES_MAX)?;
    match label.trim().is_empty() {
        true => Err(Error::field(field, "it is empty", "leave it out instead")),
        false => Ok(()),
    }
}

/// Whether `collection` is of documents that this room can read: anybody may have made one of this name.
pub(super) fn check_collection(collection: &Collection<'_>) -> Result<()> {
    match collection.history_kind() {
        llmdb_temporal::History::Plain => Err(Error::Document {
            place: format!("the collection {:?}", collection.name()),
            what: "it is a plain one, made by somebody else".into(),
        }),
        llmdb_temporal::History::Bitemporal { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_said_is_stored_and_tags_are_in_order() {
        let mut document = Document::new("Acme Corp");
        assert_eq!(document.encode().unwrap(), r#"{"text":"Acme Corp"}"#);
        document.tags = vec!["work".into(), "employer".into(), "work".into()];
        document.confidence = Some(0.5);
        let json = document.encode().unwrap();
        assert_eq!(json, r#"{"text":"Acme Corp","confidence":0.5,"tags":["employer","work"]}"#);
        let row = RowKey::from("x");
        let read = Document::decode(&Value::json(&json), &row).unwrap();
        assert_eq!(read.tags, ["employer", "work"]);
        assert!(Document::decode(&Value::raw(b"\xff"), &row).is_err());
        assert!(Document::decode(&Value::json("{}"), &row).is_err());
    }

    #[test]
    fn each_field_is_checked_and_named() {
        let base = || Document::new("x");
        let cases = [
            ("text", Document::new("  ")),
            ("text", Document::new("x".repeat(TEXT_BYTES_MAX + 1))),
            ("source", Document { source: Some(String::new()), ..base() }),
            ("agent", Document { agent: Some("a".repeat(1_025)), ..base() }),
            ("confidence", Document { confidence: Some(1.5), ..base() }),
            ("confidence", Document { confidence: Some(f64::NAN), ..base() }),
            ("tags", Document { tags: vec!["x".into(); 33], ..base() }),
            ("tags", Document { tags: vec!["a\tb".into()], ..base() }),
            ("value", Document { value: Some("x".repeat(DOCUMENT_BYTES_MAX).into()), ..base() }),
        ];
        for (field, document) in cases {
            let error = document.encode().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{field}: ")), "{error}");
        }
    }
}
