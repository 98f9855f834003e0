//! Typed values: a tag of one byte and a payload, checked when they are written. See `docs/format/values.md`.

pub mod edge;
#[cfg(feature = "json")]
mod json;
mod msgpack;
mod protobuf;
pub mod vectors;

use std::fmt;

/// What a payload is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// Any bytes.
    Raw,
    /// One JSON text.
    Json,
    /// One MessagePack object.
    MsgPack,
    /// One Protocol Buffers message, of a type that the store does not know.
    Protobuf,
    /// A link between two keys, see [`edge`].
    Edge,
    /// A block of vectors, see [`vectors`].
    Vectors,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Raw, Self::Json, Self::MsgPack, Self::Protobuf, Self::Edge, Self::Vectors];

    /// The stored tag.
    pub const fn tag(self) -> u8 {
        match self {
            Self::Raw => 0x00,
            Self::Json => 0x01,
            Self::MsgPack => 0x02,
            Self::Protobuf => 0x03,
            Self::Edge => 0x10,
            Self::Vectors => 0x20,
        }
    }

    /// The kind with this tag; `None` if there is none.
    pub fn from_tag(tag: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.tag() == tag)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Json => "JSON",
            Self::MsgPack => "MessagePack",
            Self::Protobuf => "Protobuf",
            Self::Edge => "edge",
            Self::Vectors => "vector block",
        })
    }
}

/// A value: what it is, and its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Value<'a> {
    /// What the payload is.
    pub kind: Kind,
    /// The bytes behind the tag.
    pub payload: &'a [u8],
}

/// Why a value is refused.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ValueError {
    /// What the payload was said to be; `None` for an unknown tag or an empty value.
    pub kind: Option<Kind>,
    /// Where in the payload.
    pub offset: usize,
    /// What is wrong there.
    pub what: String,
}

impl ValueError {
    fn new(kind: Kind, offset: usize, what: impl Into<String>) -> Self {
        Self { kind: Some(kind), offset, what: what.into() }
    }
}

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Some(kind) => write!(f, "not a value of kind {kind}: byte {}: {}", self.offset, self.what),
            None => write!(f, "not a value: {}", self.what),
        }
    }
}

impl std::error::Error for ValueError {}

impl<'a> Value<'a> {
    /// A value of `kind`. Nothing is checked until it is written, or [`Value::check`] is called.
    pub const fn new(kind: Kind, payload: &'a [u8]) -> Self {
        Self { kind, payload }
    }

    /// Any bytes.
    pub const fn raw(payload: &'a [u8]) -> Self {
        Self::new(Kind::Raw, payload)
    }

    /// A JSON text.
    pub const fn json(text: &'a str) -> Self {
        Self::new(Kind::Json, text.as_bytes())
    }

    /// Splits a stored value into tag and payload. The payload was checked when it was written.
    ///
    /// # Errors
    /// [`ValueError`] if there is no byte, or no kind has this tag.
    pub fn decode(stored: &'a [u8]) -> Result<Self, ValueError> {
        let refuse = |what: String| ValueError { kind: None, offset: 0, what };
        let (tag, payload) = stored.split_first().ok_or_else(|| refuse("it has no tag".into()))?;
        let kind = Kind::from_tag(*tag).ok_or_else(|| refuse(format!("no kind has the tag 0x{tag:02x}")))?;
        Ok(Self { kind, payload })
    }

    /// The stored form.
    pub fn encode(&self) -> Vec<u8> {
        let mut stored = Vec::with_capacity(1 + self.payload.len());
        stored.push(self.kind.tag());
        stored.extend_from_slice(self.payload);
        stored
    }

    /// Whether the payload is what the kind says. Cost: one pass over the payload.
    ///
    /// # Errors
    /// [`ValueError`] with the place and the reason.
    pub fn check(&self) -> Result<(), ValueError> {
        match self.kind {
            Kind::Raw => Ok(()),
            #[cfg(feature = "json")]
            Kind::Json => json::check(self.payload),
            #[cfg(not(feature = "json"))]
            Kind::Json => Err(ValueError::new(
                Kind::Json,
                0,
                "this build cannot check JSON: it lacks the feature `json`",
            )),
            Kind::MsgPack => msgpack::check(self.payload),
            Kind::Protobuf => protobuf::check(self.payload),
            Kind::Edge => edge::Edge::decode(self.payload).map(drop),
            Kind::Vectors => vectors::Vectors::decode(self.payload)?.check_finite(),
        }
    }
}
