//! Edges: a link from one key to another, with a label and properties.

use llmdb_base::{codec, key::Key};

use super::{Kind, Value, ValueError};

/// Most bytes of a label.
pub const LABEL_LEN_MAX: usize = u16::MAX as usize;

/// An edge. Its own key is that of the row it stands in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Edge<'a> {
    /// Where it begins.
    pub source: Key,
    /// Where it ends.
    pub target: Key,
    /// What it says; not empty.
    pub label: &'a str,
    /// Properties: a value of any kind but edge and vector block.
    pub properties: Option<Value<'a>>,
}

impl<'a> Edge<'a> {
    /// The payload of a value of kind [`Kind::Edge`].
    ///
    /// # Errors
    /// [`ValueError`] if the label is empty or too long, or if the properties are not what they say.
    pub fn encode(&self) -> Result<Vec<u8>, ValueError> {
        let label_len = u16::try_from(self.label.len()).map_err(|_| {
            ValueError::new(Kind::Edge, 0, format!("the label is longer than {LABEL_LEN_MAX} bytes"))
        })?;
        let mut payload = label_len.to_le_bytes().to_vec();
        payload.extend_from_slice(self.label.as_bytes());
        payload.extend_from_slice(self.source.as_bytes());
        payload.extend_from_slice(self.target.as_bytes());
        if let Some(properties) = &self.properties {
            payload.extend(properties.encode());
        }
        Edge::decode(&payload)?;
        Ok(payload)
    }

    /// Reads and checks a payload.
    ///
    /// # Errors
    /// [`ValueError`] with the place and the reason.
    pub fn decode(payload: &'a [u8]) -> Result<Self, ValueError> {
        let (label, mut offset) = label(payload)?;
        let source = key(payload, &mut offset)?;
        let target = key(payload, &mut offset)?;
        let properties = match &payload[offset..] {
            [] => None,
            stored => Some(properties(stored, offset)?),
        };
        Ok(Self { source, target, label, properties })
    }
}

fn error(offset: usize, what: impl Into<String>) -> ValueError {
    ValueError::new(Kind::Edge, offset, what)
}

fn label(payload: &[u8]) -> Result<(&str, usize), ValueError> {
    if payload.len() < 2 {
        return Err(error(payload.len(), "it ends too early"));
    }
    let end = 2 + usize::from(codec::get_u16(payload, 0));
    let bytes = payload.get(2..end).ok_or_else(|| error(payload.len(), "it ends too early"))?;
    match std::str::from_utf8(bytes) {
        Ok("") => Err(error(0, "the label is empty")),
        Ok(label) => Ok((label, end)),
        Err(utf8) => Err(error(2 + utf8.valid_up_to(), "the label is not UTF-8")),
    }
}

fn key(payload: &[u8], offset: &mut usize) -> Result<Key, ValueError> {
    let (key, len) =
        Key::split_from(&payload[*offset..]).map_err(|key| error(*offset + key.offset, key.to_string()))?;
    *offset += len;
    Ok(key)
}

fn properties(stored: &[u8], offset: usize) -> Result<Value<'_>, ValueError> {
    let value = Value::decode(stored).map_err(|value| error(offset, value.to_string()))?;
    if matches!(value.kind, Kind::Edge | Kind::Vectors) {
        return Err(error(offset, format!("properties cannot be of kind {}", value.kind)));
    }
    value.check().map_err(|value| error(offset + 1 + value.offset, value.to_string()))?;
    Ok(value)
}
