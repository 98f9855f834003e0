//! Which facts a call is about, and how they are found.

use std::ops::Bound;

use llmdb_temporal::{At, Collection, Element, Fact, Key, RowKey, Rows, View};

use super::{
    FactKey, TAGS, collection, key::check_subject, limits::NAME_BYTES_MAX, limits::SUBJECT_BYTES_MAX,
    remember::check_count,
};
use crate::{Error, Result};

/// Which facts.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum What {
    /// All of them.
    #[default]
    All,
    /// These.
    Keys(Vec<FactKey>),
    /// All of one subject.
    Subject(String),
    /// All whose keys begin so: `al`, `alice/`, `alice/addr`.
    Prefix(String),
}

impl What {
    /// What a person or a program means by `text`: a key, a subject and a slash, the beginning of a key and a star, or
    /// a subject.
    ///
    /// # Errors
    /// [`Error::Field`].
    pub fn parse(text: &str) -> Result<Self> {
        let what = match (text.strip_suffix('*'), text.strip_suffix('/')) {
            (Some(""), _) => Self::All,
            (Some(prefix), _) => Self::Prefix(prefix.into()),
            (None, Some(subject)) => Self::Subject(subject.into()),
            (None, None) if text.contains('/') => Self::Keys(vec![text.parse()?]),
            (None, None) => Self::Subject(text.into()),
        };
        what.check()?;
        Ok(what)
    }

    pub(super) fn check(&self) -> Result<()> {
        match self {
            Self::All => Ok(()),
            Self::Keys(keys) => check_count("keys", keys.len()),
            Self::Subject(subject) => check_subject(subject),
            Self::Prefix(prefix) if prefix.len() > SUBJECT_BYTES_MAX + 1 + NAME_BYTES_MAX => {
                let what = format!("it has {} bytes, more than any key", prefix.len());
                Err(Error::field("prefix", what, "write less"))
            }
            Self::Prefix(_) => Ok(()),
        }
    }

    pub(super) fn holds(&self, key: &FactKey) -> bool {
        match self {
            Self::All => true,
            Self::Keys(keys) => keys.contains(key),
            Self::Subject(subject) => key.subject() == subject,
            Self::Prefix(prefix) => match prefix.split_once('/') {
                Some((subject, name)) => key.subject() == subject && key.name().starts_with(name),
                None => key.subject().starts_with(prefix.as_str()),
            },
        }
    }

    /// Elements that the first key that may be meant has, or is before.
    fn first(&self) -> Vec<&str> {
        match self {
            Self::All | Self::Keys(_) => Vec::new(),
            Self::Subject(subject) => vec![subject],
            Self::Prefix(prefix) => {
                prefix.split_once('/').map_or(vec![prefix], |(subject, name)| vec![subject, name])
            }
        }
    }

    /// Elements of a key that is behind every key that is meant, and before the next; `None` if there is none. Where the range has no
    /// end, a scan looks through what other subjects have closed.
    fn end(&self) -> Option<Vec<String>> {
        let behind = |subject: &str| vec![format!("{subject}\0")];
        match self {
            Self::All | Self::Keys(_) => None,
            Self::Subject(subject) => Some(behind(subject)),
            Self::Prefix(prefix) => match prefix.split_once('/') {
                Some((subject, name)) => Some(match successor(name) {
                    Some(end) => vec![subject.to_owned(), end],
                    None => behind(subject),
                }),
                None => successor(prefix).map(|end| vec![end]),
            },
        }
    }

    /// The rows from the first that is meant on, or behind `after`, below the elements `lead`. They may go on behind the
    /// last that is meant.
    pub(super) fn rows(&self, lead: &[&str], after: Option<&FactKey>) -> Rows {
        let row = |elements: Vec<&str>| {
            RowKey::new(0, Key::of(lead.iter().copied().chain(elements).map(Element::from)))
        };
        let first = row(match after {
            Some(key) => vec![key.subject(), key.name()],
            None => self.first(),
        });
        let first = if after.is_some() { Bound::Excluded(&first) } else { Bound::Included(&first) };
        let end = self.end().map(|end| row(end.iter().map(String::as_str).collect()));
        Rows::between((first, end.as_ref().map_or(Bound::Unbounded, Bound::Excluded)))
    }
}

/// The first text behind all that begin with `prefix`; `None` if there is none.
fn successor(prefix: &str) -> Option<String> {
    let mut letters: Vec<char> = prefix.chars().collect();
    while let Some(last) = letters.pop() {
        // The numbers of surrogates are no letters.
        let next = if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
        if let Some(next) = next {
            letters.push(next);
            return Some(letters.into_iter().collect());
        }
    }
    None
}

/// The facts that `what` means and that ever had all of `tags`, at a point in both times, behind `after`, in the order of
/// their keys. Whether they have the tags at the point is for the caller to look: it reads the documents anyway.
pub(super) fn facts<'c, 's>(
    view: &'s View,
    facts: &'c Collection<'s>,
    what: &'c What,
    tags: &'c [String],
    at: At,
    after: Option<&FactKey>,
) -> Result<Box<dyn Iterator<Item = Result<Fact<'s>>> + 'c>>
where
    's: 'c,
{
    if let What::Keys(keys) = what {
        let mut keys: Vec<_> = keys.iter().filter(|key| after.is_none_or(|after| *key > after)).collect();
        keys.sort_unstable();
        keys.dedup();
        return Ok(Box::new(keys.into_iter().filter_map(move |key| get(facts, key, at).transpose())));
    }
    match tags.first() {
        None => {
            let scan = facts.scan(&what.rows(&[], after), at)?;
            Ok(Box::new(scan.map(|fact| Ok(fact?)).take_while(move |fact| is_meant(what, fact))))
        }
        Some(tag) => {
            let keys = tagged(view, what, tag, after)?;
            Ok(Box::new(keys.into_iter().filter_map(move |key| get(facts, &key, at).transpose())))
        }
    }
}

fn get<'s>(facts: &Collection<'s>, key: &FactKey, at: At) -> Result<Option<Fact<'s>>> {
    Ok(facts.get(key.row(), at)?)
}

/// Errors are meant too: they end the search.
fn is_meant(what: &What, fact: &Result<Fact<'_>>) -> bool {
    fact.as_ref().map_or(true, |fact| FactKey::of_row(&fact.row).map_or(true, |key| what.holds(&key)))
}

/// Keys of the facts that `what` means and that ever had `tag`.
fn tagged(view: &View, what: &What, tag: &str, after: Option<&FactKey>) -> Result<Vec<FactKey>> {
    let Some(tags) = collection(view, TAGS)? else { return Ok(Vec::new()) };
    let mut keys = Vec::new();
    for row in tags.scan(&what.rows(&[tag], after), At::NOW)? {
        let row = row?.row;
        if row.key.elements().next() != Some(Element::from(tag)) {
            break;
        }
        let key = FactKey::of_elements(&row, 1)?;
        if !what.holds(&key) {
            break;
        }
        keys.push(key);
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_read_from_its_form() {
        let key = |text: &str| text.parse::<FactKey>().unwrap();
        assert_eq!(What::parse("alice/employer").unwrap(), What::Keys(vec![key("alice/employer")]));
        assert_eq!(What::parse("alice").unwrap(), What::Subject("alice".into()));
        assert_eq!(What::parse("alice/").unwrap(), What::Subject("alice".into()));
        assert_eq!(What::parse("alice/addr*").unwrap(), What::Prefix("alice/addr".into()));
        assert_eq!(What::parse("*").unwrap(), What::All);
        assert!(What::parse("").is_err() && What::parse(" x").is_err());
        let prefix = What::Prefix("al".into());
        assert!(prefix.holds(&key("alice/x")) && !prefix.holds(&key("bob/x")));
        let prefix = What::Prefix("alice/e".into());
        assert!(prefix.holds(&key("alice/employer")) && !prefix.holds(&key("alice/name")));
        assert!(!prefix.holds(&key("alicia/employer")));
    }

    #[test]
    fn a_range_holds_what_is_meant_and_ends_before_the_next() {
        let key = |text: &str| text.parse::<FactKey>().unwrap();
        let is_in = |what: &What, text: &str| {
            let (rows, row) = (what.rows(&[], None), key(text).row().encode());
            let (from, to) = rows.bounds();
            from <= &row[..] && to.is_none_or(|to| &row[..] < to)
        };
        let prefix = |text: &str| What::Prefix(text.into());
        for (what, inside, outside) in [
            (What::Subject("al".into()), ["al/a", "al/\u{10ffff}"], ["al!/a", "ak/z"]),
            (prefix("al"), ["al/a", "al\u{10ffff}/a"], ["am/a", "ak/z"]),
            (prefix("a\u{10ffff}"), ["a\u{10ffff}/a", "a\u{10ffff}b/a"], ["b/a", "a/z"]),
            (prefix("al/"), ["al/a", "al/z"], ["al!/a", "ak/z"]),
            (prefix("al/ad\u{d7ff}"), ["al/ad\u{d7ff}", "al/ad\u{d7ff}z"], ["al/ad\u{e000}", "al/ad"]),
        ] {
            assert!(inside.iter().all(|text| is_in(&what, text)), "{what:?}");
            assert!(!outside.iter().any(|text| is_in(&what, text)), "{what:?}");
        }
        assert!(is_in(&prefix("\u{10ffff}"), "\u{10ffff}/a") && is_in(&What::All, "x/y"));
    }
}
