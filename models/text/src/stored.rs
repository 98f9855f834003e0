//! Trees, keys and values of an index, see `docs/format/text.md`.

use llmdb_temporal::Timestamp;

use crate::{Error, Language, Result, WORD_LEN_MAX, words::Rules};

/// The tree of what all indexes keep about themselves.
pub(crate) const META: &str = "_text";
/// Number of the rules by which texts become words.
pub(crate) const RULES: u8 = 1;
/// Longest row in bytes that leaves room for a word and its end.
pub(crate) const ROW_LEN_MAX: usize = llmdb_engine::KEY_LEN_MAX - WORD_LEN_MAX - 1;

const INDEX: u8 = b'i';
const NEXT_ID: u8 = b'n';
const COUNTERS: u8 = b'c';
const SAMPLE: u8 = b's';
/// Stands behind a word, which has no such byte.
pub(crate) const WORD_END: u8 = 0;

/// An index, as the catalog of indexes knows it.
#[derive(Clone, Debug)]
pub(crate) struct Info {
    pub id: u32,
    pub rules: Rules,
    /// What the building has come to; `None` if the index is complete.
    pub built: Option<Vec<u8>>,
}

const ID: usize = 0;
const RULES_NUMBER: usize = ID + 4;
const LANGUAGE: usize = RULES_NUMBER + 1;
const IS_COMPLETE: usize = LANGUAGE + 1;
const BUILT: usize = IS_COMPLETE + 1;

impl Info {
    pub(crate) fn words_tree(&self) -> String {
        format!("{META}/{}/words", self.id)
    }

    pub(crate) fn rows_tree(&self) -> String {
        format!("{META}/{}/rows", self.id)
    }

    pub(crate) fn sweep_tree(&self) -> String {
        format!("{META}/{}/sweep", self.id)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = self.id.to_le_bytes().to_vec();
        bytes.extend([RULES, self.rules.language().number(), u8::from(self.built.is_none())]);
        bytes.extend_from_slice(self.built.as_deref().unwrap_or_default());
        bytes
    }

    pub(crate) fn decode(collection: &str, bytes: &[u8]) -> Result<Self> {
        let damaged = || Error::damaged(META, &index_key(collection));
        let (head, built) = bytes.split_at_checked(BUILT).ok_or_else(damaged)?;
        if head[RULES_NUMBER] != RULES {
            return Err(Error::OtherRules { collection: collection.into(), stored: head[RULES_NUMBER] });
        }
        let id = head.first_chunk().map(|raw| u32::from_le_bytes(*raw)).ok_or_else(damaged)?;
        let language = Language::from_number(head[LANGUAGE]).ok_or_else(damaged)?;
        let built = match head[IS_COMPLETE] {
            0 => Some(built.to_vec()),
            1 if built.is_empty() => None,
            _ => return Err(damaged()),
        };
        Ok(Self { id, rules: Rules::of(language), built })
    }
}

pub(crate) fn index_key(collection: &str) -> Vec<u8> {
    [&[INDEX][..], collection.as_bytes()].concat()
}

pub(crate) fn next_id_key() -> [u8; 1] {
    [NEXT_ID]
}

pub(crate) fn counters_key(id: u32) -> Vec<u8> {
    [&[COUNTERS][..], &id.to_be_bytes()].concat()
}

pub(crate) fn sample_key(id: u32, moment: Timestamp) -> Vec<u8> {
    let ordinal = moment.get().cast_unsigned() ^ 1 << 63;
    [&[SAMPLE][..], &id.to_be_bytes(), &ordinal.to_be_bytes()].concat()
}

/// Key of the entry of a word and a row.
pub(crate) fn word_key(word: &str, row: &[u8]) -> Vec<u8> {
    [word.as_bytes(), &[WORD_END], row].concat()
}

/// Word and row of an entry.
pub(crate) fn split_word_key(key: &[u8]) -> Option<(&str, &[u8])> {
    let end = key.iter().position(|byte| *byte == WORD_END)?;
    Some((std::str::from_utf8(&key[..end]).ok()?, &key[end + 1..]))
}

/// The moment of an entry.
pub(crate) fn decode_first(value: &[u8]) -> Option<Timestamp> {
    Some(Timestamp::new(i64::from_le_bytes(value.try_into().ok()?)))
}

/// The words of a row, ascending: of each its length (1 byte) and itself.
pub(crate) fn encode_words<'w>(words: impl IntoIterator<Item = &'w str>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in words {
        // Words have at most 64 bytes.
        bytes.push(u8::try_from(word.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(word.as_bytes());
    }
    bytes
}

/// Reads the words of a row; `None` for other bytes.
pub(crate) fn decode_words(mut bytes: &[u8]) -> Option<Vec<&str>> {
    let mut words = Vec::new();
    while let Some((len, rest)) = bytes.split_first() {
        let (word, rest) = rest.split_at_checked(usize::from(*len))?;
        words.push(std::str::from_utf8(word).ok()?);
        bytes = rest;
    }
    words.is_sorted().then_some(words)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_example_of_the_documentation_is_true() {
        let page = include_str!("../../../docs/format/text.md");
        let block = page.rsplit("```text\n").next().and_then(|rest| rest.split("```").next());
        let lines = block.unwrap_or_default().lines().map(|line| {
            let bytes = line[18..].split_whitespace().map(|byte| u8::from_str_radix(byte, 16));
            bytes.collect::<std::result::Result<Vec<u8>, _>>().expect("hexadecimal bytes")
        });
        let row = llmdb_temporal::RowKey::from("ada").encode();
        let info = Info { id: 1, rules: Rules::of(Language::English), built: None };
        let first = Timestamp::new(100);
        let statistics = crate::Statistics { rows: 1, texts: 1, words: 2 };
        let expected = [
            index_key("notes"),
            info.encode(),
            counters_key(1),
            statistics.encode(),
            sample_key(1, first),
            statistics.encode(),
            word_key("live", &row),
            first.get().to_le_bytes().to_vec(),
            word_key("london", &row),
            first.get().to_le_bytes().to_vec(),
            row,
            encode_words(["live", "london"]),
        ];
        assert!(lines.eq(expected));
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_words_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = split_word_key(&bytes);
            let _ = Info::decode("facts", &bytes);
            let _ = crate::Statistics::decode(&bytes);
            if let Some(words) = decode_words(&bytes) {
                prop_assert_eq!(encode_words(words), bytes);
            }
        }
    }
}
