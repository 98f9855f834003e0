//! Bytes to elements. Every byte string is either a key, in the one form that a key has, or refused.

use std::{borrow::Cow, fmt};

use super::{
    BYTES, END, ESCAPE, Element, FLOAT, INTEGER, INTEGER_LEN_MAX, TEXT, TIMESTAMP, TUPLE, TUPLE_DEPTH_MAX,
    UUID, encode,
};
use crate::Timestamp;

/// Why bytes are not a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyError {
    /// Offset of the offending byte.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

impl KeyError {
    pub(super) fn new(offset: usize, what: &'static str) -> Self {
        Self { offset, what }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a key: byte {}: {}", self.offset, self.what)
    }
}

impl std::error::Error for KeyError {}

/// Length of the key with which `bytes` begins.
pub(super) fn key_len(bytes: &[u8]) -> Result<usize, KeyError> {
    let mut reader = Reader { bytes, offset: 0 };
    while reader.element(0)?.is_some() {}
    Ok(reader.offset)
}

/// The elements of a key, see [`super::Key::elements`].
#[derive(Clone, Debug)]
pub struct Elements<'a>(Reader<'a>);

impl<'a> Elements<'a> {
    /// `bytes` are those of a checked key.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(Reader { bytes, offset: 0 })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = Element<'a>;

    fn next(&mut self) -> Option<Element<'a>> {
        if self.0.offset == self.0.bytes.len() {
            return None;
        }
        self.0.element(0).expect("a key was checked when it was made")
    }
}

#[derive(Clone, Debug)]
struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    /// The next element; `None` at the end mark, which is consumed.
    fn element(&mut self, depth: usize) -> Result<Option<Element<'a>>, KeyError> {
        let start = self.offset;
        let element = match self.take(1)?[0] {
            END => return Ok(None),
            FLOAT => Element::Float(self.float()?),
            TEXT => Element::Text(self.text()?),
            BYTES => Element::Bytes(self.escaped()?),
            TIMESTAMP => Element::Timestamp(Timestamp::new(
                (u64::from_be_bytes(self.array()?) ^ 1 << 63).cast_signed(),
            )),
            UUID => Element::Uuid(u128::from_be_bytes(self.array()?)),
            TUPLE if depth == TUPLE_DEPTH_MAX => {
                return Err(KeyError::new(start, "tuples are nested too deep"));
            }
            TUPLE => {
                let mut elements = Vec::new();
                while let Some(element) = self.element(depth + 1)? {
                    elements.push(element);
                }
                Element::Tuple(elements)
            }
            tag if usize::from(tag.abs_diff(INTEGER)) <= INTEGER_LEN_MAX => {
                Element::Integer(self.integer(tag)?)
            }
            _ => return Err(KeyError::new(start, "no element has this tag")),
        };
        Ok(Some(element))
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], KeyError> {
        let rest = self.bytes.get(self.offset..).unwrap_or_default();
        let taken = rest.get(..len).ok_or(KeyError::new(self.bytes.len(), "the key ends too early"))?;
        self.offset += len;
        Ok(taken)
    }

    fn array<const LEN: usize>(&mut self) -> Result<[u8; LEN], KeyError> {
        let mut array = [0; LEN];
        array.copy_from_slice(self.take(LEN)?);
        Ok(array)
    }

    fn integer(&mut self, tag: u8) -> Result<i128, KeyError> {
        let (start, negative) = (self.offset, tag < INTEGER);
        let len = usize::from(tag.abs_diff(INTEGER));
        let mut digits = [0; INTEGER_LEN_MAX];
        for (digit, byte) in digits[INTEGER_LEN_MAX - len..].iter_mut().zip(self.take(len)?) {
            *digit = if negative { !byte } else { *byte };
        }
        if len > 0 && digits[INTEGER_LEN_MAX - len] == 0 {
            return Err(KeyError::new(start, "an integer has a leading zero"));
        }
        let magnitude = u128::from_be_bytes(digits);
        let value =
            if negative { 0i128.checked_sub_unsigned(magnitude) } else { i128::try_from(magnitude).ok() };
        value.ok_or(KeyError::new(start, "an integer is out of range"))
    }

    fn float(&mut self) -> Result<f64, KeyError> {
        let start = self.offset;
        let raw = u64::from_be_bytes(self.array()?);
        let value = f64::from_bits(if raw >> 63 == 1 { raw ^ 1 << 63 } else { !raw });
        if encode::ordered_bits(value) != raw {
            return Err(KeyError::new(start, "a number that is never stored: negative zero, or another NaN"));
        }
        Ok(value)
    }

    fn text(&mut self) -> Result<Cow<'a, str>, KeyError> {
        let start = self.offset;
        let not_utf8 = KeyError::new(start, "text is not UTF-8");
        match self.escaped()? {
            Cow::Borrowed(bytes) => std::str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| not_utf8),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned).map_err(|_| not_utf8),
        }
    }

    /// Bytes up to the zero that ends them.
    fn escaped(&mut self) -> Result<Cow<'a, [u8]>, KeyError> {
        let start = self.offset;
        let rest = self.bytes.get(start..).unwrap_or_default();
        let len = rest.iter().position(|byte| *byte == END);
        let raw = self.take(len.unwrap_or(rest.len()))?;
        self.take(1)?;
        if !raw.contains(&ESCAPE) {
            return Ok(Cow::Borrowed(raw));
        }
        let mut value = Vec::with_capacity(raw.len());
        let mut bytes = raw.iter().zip(start..);
        while let Some((byte, offset)) = bytes.next() {
            value.push(match (*byte, (*byte == ESCAPE).then(|| bytes.next())) {
                (byte, None) => byte,
                (_, Some(Some((escaped @ 1..=2, _)))) => escaped - 1,
                _ => return Err(KeyError::new(offset, "an escape stands before neither 1 nor 2")),
            });
        }
        Ok(Cow::Owned(value))
    }
}
