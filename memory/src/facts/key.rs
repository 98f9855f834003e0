//! Keys of facts: a subject, and the name of what is said of it.

use std::{fmt, str::FromStr};

use llmdb_temporal::{Element, Key, RowKey, Timestamp};
use serde::{Serialize, Serializer};

use super::limits::{NAME_BYTES_MAX, SUBJECT_BYTES_MAX};
use crate::{Error, Result};

/// Subject of facts that were given none.
const NOTE: &str = "note";

/// What a fact is about, and which fact of it: `alice/employer`. Corrections stay within one subject.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub struct FactKey {
    subject: String,
    name: String,
}

impl FactKey {
    /// The key of `name`, said of `subject`.
    ///
    /// # Errors
    /// [`Error::Field`]: a part is empty, too long, begins or ends with a space, or holds a control character; the
    /// subject holds a slash.
    pub fn new(subject: impl Into<String>, name: impl Into<String>) -> Result<Self> {
        let key = Self { subject: subject.into(), name: name.into() };
        check_subject(&key.subject)?;
        check_part("name", &key.name, NAME_BYTES_MAX)?;
        Ok(key)
    }

    /// What the fact is about.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Which fact of the subject it is. May hold slashes.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The row of the collection of facts.
    pub fn row(&self) -> RowKey {
        RowKey::new(0, Key::of([Element::from(self.subject.as_str()), Element::from(self.name.as_str())]))
    }

    /// The key of a row of the collection of facts.
    ///
    /// # Errors
    /// [`Error::Document`]: it is no row of facts.
    pub fn of_row(row: &RowKey) -> Result<Self> {
        Self::of_elements(row, 0)
    }

    /// The key that the elements of a row behind the first `skipped` are.
    pub(super) fn of_elements(row: &RowKey, skipped: usize) -> Result<Self> {
        let mut elements = row.key.elements().skip(skipped);
        match (elements.next(), elements.next(), elements.next()) {
            (Some(Element::Text(subject)), Some(Element::Text(name)), None) => {
                Ok(Self { subject: subject.into_owned(), name: name.into_owned() })
            }
            _ => Err(Error::Document { place: row.to_string(), what: "the row is no key of a fact".into() }),
        }
    }
}

impl FromStr for FactKey {
    type Err = Error;

    /// `subject/name`: what stands before the first slash is the subject.
    fn from_str(text: &str) -> Result<Self> {
        let (subject, name) = text.split_once('/').ok_or_else(|| {
            let what = format!("{text:?} has no name");
            Error::field("key", what, "write subject/name, as in alice/employer")
        })?;
        Self::new(subject, name).map_err(|error| match error {
            Error::Field { what, mend, .. } => Error::field("key", format!("{text:?}: {what}"), mend),
            other => other,
        })
    }
}

impl fmt::Display for FactKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.subject, self.name)
    }
}

impl Serialize for FactKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a new fact is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NewKey {
    /// This.
    Given(FactKey),
    /// Something about this subject, with a name that the store makes.
    Under(String),
    /// A note, with a name that the store makes.
    Generated,
}

impl NewKey {
    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::Under(subject) => check_subject(subject),
            Self::Given(_) | Self::Generated => Ok(()),
        }
    }

    /// The key of the fact with the number `index` of the call whose transaction has `moment`. Moments of transactions
    /// ascend and never repeat, so made names are unique and sort by time.
    pub(super) fn resolve(&self, moment: Timestamp, index: usize) -> FactKey {
        let subject = match self {
            Self::Given(key) => return key.clone(),
            Self::Under(subject) => subject.clone(),
            Self::Generated => NOTE.into(),
        };
        let name = match index {
            0 => base32(moment),
            index => format!("{}-{index}", base32(moment)),
        };
        FactKey { subject, name }
    }
}

impl From<FactKey> for NewKey {
    fn from(key: FactKey) -> Self {
        Self::Given(key)
    }
}

/// A moment as eleven or more digits that sort as moments after 1970 do; no digit is mistaken for another.
fn base32(moment: Timestamp) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let mut rest = moment.get().max(0).cast_unsigned();
    let mut digits = Vec::new();
    while rest > 0 || digits.len() < 11 {
        digits.push(char::from(DIGITS[(rest & 31) as usize]));
        rest >>= 5;
    }
    digits.iter().rev().collect()
}

pub(super) fn check_subject(subject: &str) -> Result<()> {
    check_part("subject", subject, SUBJECT_BYTES_MAX)?;
    match subject.contains('/') {
        true => {
            Err(Error::field("subject", "it holds a slash", "everything behind the first slash is the name"))
        }
        false => Ok(()),
    }
}

/// Checks a part of a key, or a tag: something that stands on one line and looks like what it is.
pub(super) fn check_part(field: &str, part: &str, bytes_max: usize) -> Result<()> {
    let refuse = |what: String, mend: &str| Err(Error::field(field, what, mend));
    if part.is_empty() {
        return refuse("it is empty".into(), "write at least one character");
    }
    if part.len() > bytes_max {
        return refuse(format!("it has {} bytes, more than {bytes_max}", part.len()), "write less");
    }
    if part.trim() != part {
        return refuse("it begins or ends with a space".into(), "leave the space out");
    }
    match part.chars().find(|character| character.is_control()) {
        Some(character) => {
            refuse(format!("it holds the control character {character:?}"), "leave the character out")
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_before_the_first_slash_is_the_subject() {
        let key: FactKey = "alice/address/city".parse().unwrap();
        assert_eq!((key.subject(), key.name()), ("alice", "address/city"));
        assert_eq!(key.to_string().parse::<FactKey>().unwrap(), key);
        assert_eq!(FactKey::of_row(&key.row()).unwrap(), key);
    }

    #[test]
    fn what_is_no_key_is_refused_with_the_field_and_the_mend() {
        for wrong in ["", "alice", "/x", "alice/", " alice/x", "alice/x\n", "a\u{7}/x"] {
            let error = wrong.parse::<FactKey>().unwrap_err().to_string();
            assert!(error.starts_with("key: ") && error.contains("; "), "{wrong:?}: {error}");
        }
        assert!(FactKey::new("a/b", "c").is_err());
        assert!(FactKey::new("a".repeat(257), "c").is_err());
        assert!(FactKey::new("a".repeat(256), "c".repeat(512)).is_ok());
        assert!(FactKey::of_row(&RowKey::from("alice")).is_err());
        assert!(FactKey::of_row(&RowKey::from(7)).is_err());
    }

    #[test]
    fn made_names_sort_by_time() {
        let name = |us, index| NewKey::Generated.resolve(Timestamp::new(us), index).to_string();
        assert_eq!(name(0, 0), "note/00000000000");
        let moments = [1, 31, 32, 1 << 40, 1_764_443_837_000_000, (1 << 55) - 1];
        assert!(moments.windows(2).all(|pair| name(pair[0], 0) < name(pair[1], 0)));
        assert_eq!(name(32, 2), "note/00000000010-2");
    }
}
