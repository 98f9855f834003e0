//! What a key is made of.

use std::{borrow::Cow, cmp::Ordering, fmt};

use crate::Timestamp;

/// How deep tuples may be nested inside a key.
pub const TUPLE_DEPTH_MAX: usize = 8;

/// One element of a key.
///
/// Elements of different kinds sort in the order in which the kinds stand here; an integer is never equal to a float.
/// -0.0 is 0.0, and there is one NaN, above infinity.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Element<'a> {
    /// An integer. Takes as many bytes as its magnitude needs, and one.
    Integer(i128),
    /// A number of 64 bits.
    Float(f64),
    /// Text, ordered by the bytes of its UTF-8, which is the order of its code points.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
    /// A moment, in microseconds since 1970 UTC.
    Timestamp(Timestamp),
    /// A UUID, as the number that its 16 bytes are, the first one highest.
    Uuid(u128),
    /// Elements inside an element.
    Tuple(Vec<Element<'a>>),
}

impl Element<'_> {
    /// The same element, owning its text and bytes.
    pub fn into_owned(self) -> Element<'static> {
        match self {
            Self::Integer(value) => Element::Integer(value),
            Self::Float(value) => Element::Float(value),
            Self::Text(text) => Element::Text(Cow::Owned(text.into_owned())),
            Self::Bytes(bytes) => Element::Bytes(Cow::Owned(bytes.into_owned())),
            Self::Timestamp(value) => Element::Timestamp(value),
            Self::Uuid(value) => Element::Uuid(value),
            Self::Tuple(elements) => Element::Tuple(elements.into_iter().map(Element::into_owned).collect()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Integer(_) => 0,
            Self::Float(_) => 1,
            Self::Text(_) => 2,
            Self::Bytes(_) => 3,
            Self::Timestamp(_) => 4,
            Self::Uuid(_) => 5,
            Self::Tuple(_) => 6,
        }
    }
}

/// The one form of a number that is stored: no negative zero, one NaN.
pub(super) fn canonical(value: f64) -> f64 {
    if value.is_nan() {
        f64::NAN.copysign(1.0)
    } else if value == 0.0 {
        0.0
    } else {
        value
    }
}

impl Ord for Element<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => canonical(*a).total_cmp(&canonical(*b)),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Bytes(a), Self::Bytes(b)) => a.cmp(b),
            (Self::Timestamp(a), Self::Timestamp(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::Tuple(a), Self::Tuple(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Element<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Element<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Element<'_> {}

macro_rules! from_integer {
    ($($ty:ty)*) => { $(
        impl From<$ty> for Element<'_> {
            fn from(value: $ty) -> Self {
                Self::Integer(value.into())
            }
        }
    )* };
}

from_integer!(i8 i16 i32 i64 i128 u8 u16 u32 u64);

impl From<f64> for Element<'_> {
    fn from(value: f64) -> Self {
        Self::Float(value)
    }
}

impl<'a> From<&'a str> for Element<'a> {
    fn from(value: &'a str) -> Self {
        Self::Text(Cow::Borrowed(value))
    }
}

impl From<String> for Element<'_> {
    fn from(value: String) -> Self {
        Self::Text(Cow::Owned(value))
    }
}

impl<'a> From<&'a [u8]> for Element<'a> {
    fn from(value: &'a [u8]) -> Self {
        Self::Bytes(Cow::Borrowed(value))
    }
}

impl From<Timestamp> for Element<'_> {
    fn from(value: Timestamp) -> Self {
        Self::Timestamp(value)
    }
}

impl fmt::Display for Element<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Bytes(bytes) => write!(f, "b\"{}\"", bytes.escape_ascii()),
            Self::Timestamp(value) => write!(f, "{value}"),
            Self::Uuid(value) => write_uuid(f, *value),
            Self::Tuple(elements) => write_list(f, elements.iter()),
        }
    }
}

/// Writes elements in parentheses.
pub(super) fn write_list<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    elements: impl IntoIterator<Item = T>,
) -> fmt::Result {
    f.write_str("(")?;
    for (index, element) in elements.into_iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        write!(f, "{comma}{element}")?;
    }
    f.write_str(")")
}

fn write_uuid(f: &mut fmt::Formatter<'_>, value: u128) -> fmt::Result {
    let hex = format!("{value:032x}");
    write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}
