//! Keys that sort as their values do: a tuple of typed elements as bytes, in the format of `docs/format/keys.md`.
//!
//! Comparing two keys byte by byte is comparing their elements one after the other, and no key is the beginning of
//! another one, so that anything may be appended to a key without disturbing the order of keys.

mod decode;
mod element;
mod encode;

use std::fmt;

pub use decode::{Elements, KeyError};
pub use element::{Element, TUPLE_DEPTH_MAX};

/// The byte that ends a key, and a tuple inside a key. Smaller than every tag.
const END: u8 = 0;
/// Tag of the integer 0; those with `n` bytes of magnitude have the tag `n` above it (negative ones: below it).
const INTEGER: u8 = 0x20;
/// Longest magnitude of an integer, in bytes.
const INTEGER_LEN_MAX: usize = 16;
const FLOAT: u8 = 0x38;
const TEXT: u8 = 0x40;
const BYTES: u8 = 0x48;
const TIMESTAMP: u8 = 0x50;
const UUID: u8 = 0x58;
const TUPLE: u8 = 0x60;
/// Stands before the bytes 0 and 1 of text and bytes, which are written one higher: so 0 is the end and nothing else.
const ESCAPE: u8 = 1;
const _: () = assert!(INTEGER as usize + INTEGER_LEN_MAX < FLOAT as usize);

/// A key: its elements, encoded. Ordered as its elements are.
///
/// # Examples
/// ```
/// use llmdb_base::key::{Element, Key};
///
/// let key = Key::of(["city".into(), 7.into()]);
/// assert!(key < Key::of(["city".into(), 10.into()]));
/// assert_eq!(key.elements().collect::<Vec<_>>(), [Element::from("city"), Element::from(7)]);
/// assert_eq!(key.to_string(), "(\"city\", 7)");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(Vec<u8>);

impl Key {
    /// The key of `elements`.
    ///
    /// # Panics
    /// If a tuple is nested deeper than [`TUPLE_DEPTH_MAX`]. What comes from outside is built by
    /// [`Key::from_encoded`], which refuses such keys.
    pub fn of<'a>(elements: impl IntoIterator<Item = Element<'a>>) -> Self {
        let mut bytes = Self::prefix_of(elements);
        bytes.push(END);
        Self(bytes)
    }

    /// The bytes with which exactly the keys begin that have `elements` as their first elements.
    ///
    /// # Panics
    /// As [`Key::of`].
    pub fn prefix_of<'a>(elements: impl IntoIterator<Item = Element<'a>>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for element in elements {
            encode::append(&mut bytes, &element, 0);
        }
        bytes
    }

    /// A key from its encoded form, which is checked in full.
    ///
    /// # Errors
    /// [`KeyError`] with the offset and the reason, also if bytes follow behind the key.
    pub fn from_encoded(bytes: impl Into<Vec<u8>>) -> Result<Self, KeyError> {
        let bytes = bytes.into();
        let len = decode::key_len(&bytes)?;
        if len < bytes.len() {
            return Err(KeyError::new(len, "bytes follow behind the end of the key"));
        }
        Ok(Self(bytes))
    }

    /// A key from bytes that were found to be one before, by [`Key::len_in`]: they are not checked again.
    ///
    /// Of other bytes it is a key that sorts as they do, and asking for its elements panics.
    pub fn from_checked(bytes: &[u8]) -> Self {
        debug_assert_eq!(decode::key_len(bytes), Ok(bytes.len()), "the bytes were checked");
        Self(bytes.to_vec())
    }

    /// The key with which `bytes` begins, checked in full, and how many bytes it takes.
    ///
    /// # Errors
    /// As [`Key::from_encoded`].
    pub fn split_from(bytes: &[u8]) -> Result<(Self, usize), KeyError> {
        let len = decode::key_len(bytes)?;
        Ok((Self(bytes[..len].to_vec()), len))
    }

    /// Length of the key with which `bytes` begins, which is checked in full.
    ///
    /// # Errors
    /// As [`Key::from_encoded`].
    pub fn len_in(bytes: &[u8]) -> Result<usize, KeyError> {
        decode::key_len(bytes)
    }

    /// The encoded form.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The elements, in order. Copies text and bytes only where they contain a zero byte.
    pub fn elements(&self) -> Elements<'_> {
        Elements::new(&self.0)
    }

    /// The bytes with which exactly the keys begin that have the elements of this key as their first elements, this
    /// key among them.
    pub fn as_prefix(&self) -> &[u8] {
        &self.0[..self.0.len() - 1]
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A key of one element.
impl<'a, T: Into<Element<'a>>> From<T> for Key {
    fn from(element: T) -> Self {
        Self::of([element.into()])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        element::write_list(f, self.elements())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
