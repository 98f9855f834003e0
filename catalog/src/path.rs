//! Where the documents of the catalog are: rows of one collection, written as paths.

use std::fmt;

use llmdb_temporal::{Element, Key, RowKey};

/// Name of the collection that is the catalog.
pub const META: &str = "_meta";
/// Longest name of a schema or of a migration, in bytes.
pub const NAME_LEN_MAX: usize = 100;

/// A row of the catalog. Printed and read as `_meta/schema/person/2`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum MetaPath {
    /// A version of a schema.
    Schema {
        /// Its name.
        name: String,
        /// From 1 on.
        version: u32,
    },
    /// Which schema a collection has.
    Binding {
        /// The collection.
        collection: String,
    },
    /// A migration, and how far it is.
    Migration {
        /// Its name.
        id: String,
    },
    /// How long the history of a collection is kept.
    Retention {
        /// The collection.
        collection: String,
    },
    /// Stored code.
    Code {
        /// SHA-256 of its bytes, 64 hexadecimal digits.
        sha256: String,
    },
}

/// Whether a schema or a migration may be called so.
pub fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    !name.is_empty() && name.len() <= NAME_LEN_MAX && name.bytes().all(is_plain)
}

fn is_collection(name: &str) -> bool {
    !name.is_empty() && name.len() <= 255
}

fn is_sha256(digits: &str) -> bool {
    digits.len() == 64 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl MetaPath {
    /// The path that is written as `text`, with or without `_meta/` in front.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("_meta/").unwrap_or(text);
        let (kind, rest) = text.split_once('/')?;
        let path = match kind {
            "schema" => {
                let (name, version) = rest.split_once('/')?;
                // One form for each path.
                let version = version.parse().ok().filter(|number: &u32| number.to_string() == version)?;
                Self::Schema { name: name.into(), version }
            }
            "binding" => Self::Binding { collection: rest.into() },
            "migration" => Self::Migration { id: rest.into() },
            "retention" => Self::Retention { collection: rest.into() },
            "code" => Self::Code { sha256: rest.into() },
            _ => return None,
        };
        path.is_sound().then_some(path)
    }

    /// The row of this path in the collection [`META`].
    pub fn row(&self) -> RowKey {
        let key = match self {
            Self::Schema { name, version } => {
                Key::of(["schema".into(), name.as_str().into(), Element::Integer((*version).into())])
            }
            Self::Binding { collection } => Key::of(["binding".into(), collection.as_str().into()]),
            Self::Migration { id } => Key::of(["migration".into(), id.as_str().into()]),
            Self::Retention { collection } => Key::of(["retention".into(), collection.as_str().into()]),
            Self::Code { sha256 } => Key::of(["code".into(), sha256.as_str().into()]),
        };
        RowKey::new(0, key)
    }

    /// The path of a row; `None` if the catalog has no such rows.
    pub fn of(row: &RowKey) -> Option<Self> {
        if row.partition != 0 {
            return None;
        }
        let elements: Vec<Element<'_>> = row.key.elements().collect();
        let path = match elements.as_slice() {
            [Element::Text(kind), Element::Text(name), Element::Integer(version)] if kind == "schema" => {
                Self::Schema { name: name.to_string(), version: u32::try_from(*version).ok()? }
            }
            [Element::Text(kind), Element::Text(name)] => match &**kind {
                "binding" => Self::Binding { collection: name.to_string() },
                "migration" => Self::Migration { id: name.to_string() },
                "retention" => Self::Retention { collection: name.to_string() },
                "code" => Self::Code { sha256: name.to_string() },
                _ => return None,
            },
            _ => return None,
        };
        path.is_sound().then_some(path)
    }

    fn is_sound(&self) -> bool {
        match self {
            Self::Schema { name, version } => is_name(name) && *version > 0,
            Self::Binding { collection } | Self::Retention { collection } => is_collection(collection),
            Self::Migration { id } => is_name(id),
            Self::Code { sha256 } => is_sha256(sha256),
        }
    }
}

impl fmt::Display for MetaPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Schema { name, version } => write!(f, "{META}/schema/{name}/{version}"),
            Self::Binding { collection } => write!(f, "{META}/binding/{collection}"),
            Self::Migration { id } => write!(f, "{META}/migration/{id}"),
            Self::Retention { collection } => write!(f, "{META}/retention/{collection}"),
            Self::Code { sha256 } => write!(f, "{META}/code/{sha256}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_rows_and_texts() {
        let hash = "0123456789abcdef".repeat(4);
        let code = format!("_meta/code/{hash}");
        for text in [
            "_meta/schema/person/2",
            "_meta/binding/people/of/the/north",
            "_meta/migration/2026-11-split.names",
            "_meta/retention/facts",
            &code,
        ] {
            let path = MetaPath::parse(text).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(path.to_string(), text);
            assert_eq!(MetaPath::of(&path.row()), Some(path.clone()));
            assert_eq!(MetaPath::parse(&text["_meta/".len()..]), Some(path));
        }
    }

    #[test]
    fn what_is_no_path_is_none() {
        let long = format!("schema/{}/1", "a".repeat(101));
        for text in [
            "",
            "schema",
            "schema/a",
            "schema/a/0",
            "schema/a/01",
            "schema/a/x",
            "schema/a b/1",
            "schema/a/1/2",
            "other/a",
            "migration/",
            "migration/a/b",
            "code/abc",
            "binding/",
            &long,
        ] {
            assert_eq!(MetaPath::parse(text), None, "{text}");
        }
        for row in [
            RowKey::from("schema"),
            RowKey::from(1),
            RowKey::new(1, MetaPath::Migration { id: "a".into() }.row().key),
        ] {
            assert_eq!(MetaPath::of(&row), None);
        }
    }
}
