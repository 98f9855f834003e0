//! Telling an index which words a row has, in the transaction that gives it the text.

use std::collections::BTreeSet;

use llmdb_base::plant::{Bug, planted};
use llmdb_temporal::{RowKey, RowsIn, Timestamp, WriteTxn};

use crate::{
    Error, Language, Result, statistics,
    stored::{self, Info, META, ROW_LEN_MAX},
    words::{Rules, words_in},
};

/// Longest text in bytes that an index takes.
pub const TEXT_LEN_MAX: usize = 5 << 20;

/// The index of the texts of a collection, to write to.
///
/// Tell it every text that is put into the collection, by [`TextIndex::add`] in the same transaction. Nothing need be told
/// of deletions, of periods, or of a transaction that is undone: what was believed before was told before.
#[derive(Clone, Debug)]
pub struct TextIndex {
    pub(crate) collection: String,
    pub(crate) info: Info,
}

impl TextIndex {
    /// Makes the index of a collection that has no texts yet. For one that has, see [`TextIndex::build`].
    ///
    /// # Errors
    /// [`Error::IndexExists`]; [`Error::Temporal`], among others for a collection that is not there.
    pub fn create(txn: &mut WriteTxn<'_>, collection: &str, language: Language) -> Result<Self> {
        Self::register(txn, collection, language, None)
    }

    pub(crate) fn register(
        txn: &mut WriteTxn<'_>,
        collection: &str,
        language: Language,
        built: Option<Vec<u8>>,
    ) -> Result<Self> {
        txn.collection(collection)?;
        let mut meta = txn.engine().tree(META)?;
        if meta.get(stored::index_key(collection))?.is_some() {
            return Err(Error::IndexExists(collection.into()));
        }
        let next_id = stored::next_id_key();
        let last = match meta.get(next_id)? {
            None => 0,
            Some(bytes) => u32::from_le_bytes(bytes.try_into().map_err(|_| Error::damaged(META, &next_id))?),
        };
        let info = Info { id: last + 1, rules: Rules::of(language), built };
        meta.put(next_id, info.id.to_le_bytes())?;
        let index = Self { collection: collection.into(), info };
        index.store(txn)?;
        let trees =
            [(index.info.words_tree(), RowsIn::KeysBehindWords), (index.info.rows_tree(), RowsIn::Keys)];
        for (tree, rows) in trees {
            txn.engine().tree(&tree)?;
            txn.keep_beside(collection, &tree, rows)?;
        }
        Ok(index)
    }

    pub(crate) fn store(&self, txn: &mut WriteTxn<'_>) -> Result<()> {
        txn.engine().tree(META)?.put(stored::index_key(&self.collection), self.info.encode())?;
        Ok(())
    }

    /// The index of a collection, in a transaction; `None` if it has none.
    ///
    /// # Errors
    /// [`Error::OtherRules`], [`Error::Temporal`].
    pub fn open(txn: &mut WriteTxn<'_>, collection: &str) -> Result<Option<Self>> {
        let Some(meta) = txn.engine().open_tree(META)? else { return Ok(None) };
        let Some(bytes) = meta.get(stored::index_key(collection))? else { return Ok(None) };
        let info = Info::decode(collection, bytes)?;
        Ok(Some(Self { collection: collection.into(), info }))
    }

    /// Drops the index of a collection, whatever its rules are. Returns whether there was one.
    ///
    /// # Errors
    /// [`Error::Temporal`].
    pub fn drop(txn: &mut WriteTxn<'_>, collection: &str) -> Result<bool> {
        let Some(mut meta) = txn.engine().open_tree(META)? else { return Ok(false) };
        let key = stored::index_key(collection);
        let Some(bytes) = meta.get(&key)? else { return Ok(false) };
        let id = bytes
            .first_chunk()
            .map(|raw| u32::from_le_bytes(*raw))
            .ok_or_else(|| Error::damaged(META, &key))?;
        meta.delete(&key)?;
        meta.delete(stored::counters_key(id))?;
        meta.delete_range(
            stored::sample_key(id, llmdb_temporal::BEGINNING)
                ..stored::sample_key(id, llmdb_temporal::FOREVER),
        )?;
        let info = Info { id, rules: Rules::of(Language::None), built: None };
        for tree in [info.words_tree(), info.rows_tree(), info.sweep_tree()] {
            txn.engine().drop_tree(&tree)?;
            txn.forget_beside(collection, &tree)?;
        }
        Ok(true)
    }

    /// The language whose words it knows.
    pub fn language(&self) -> Language {
        self.info.rules.language()
    }

    /// Tells that `row` has the text `text`, for whichever period. To tell it again changes nothing but statistics.
    ///
    /// Cost: a put for each word that no text of the row had, one for the row, one for the counters.
    ///
    /// # Errors
    /// [`Error::TextTooLong`], [`Error::RowTooLong`]: nothing was written. [`Error::Temporal`]: abort.
    pub fn add(&self, txn: &mut WriteTxn<'_>, row: &RowKey, text: &str) -> Result<()> {
        let now = txn.timestamp();
        self.add_from(txn, row, text, now)
    }

    /// The same for a text that was learned at `first`.
    pub(crate) fn add_from(
        &self,
        txn: &mut WriteTxn<'_>,
        row: &RowKey,
        text: &str,
        first: Timestamp,
    ) -> Result<()> {
        let row = encode_row(row)?;
        let (words, len) = self.words_of(text)?;
        let tree = txn.engine().tree(&self.info.rows_tree())?;
        let known = tree.get(&row)?.map(<[u8]>::to_vec);
        let is_known = known.is_some();
        let known = known.unwrap_or_default();
        let known =
            stored::decode_words(&known).ok_or_else(|| Error::damaged(&self.info.rows_tree(), &row))?;
        let is_new = |word: &&String| known.binary_search(&word.as_str()).is_err();
        let new: Vec<&String> = words.iter().filter(is_new).collect();
        self.put_words(txn, &row, &new, first)?;
        if !is_known || !new.is_empty() {
            let all: BTreeSet<&str> = known.iter().copied().chain(words.iter().map(String::as_str)).collect();
            txn.engine().tree(&self.info.rows_tree())?.put(&row, stored::encode_words(all))?;
        }
        if self.info.built.is_some() {
            // The other words may have been told by a writer that came before the builder.
            let old = words.iter().filter(|word| !is_new(word));
            let later = self.told_later(txn, &row, old, first)?;
            self.put_words(txn, &row, &later, first)?;
        }
        statistics::change(txn, self.info.id, |statistics| {
            statistics.rows += u64::from(!is_known);
            statistics.texts += 1;
            statistics.words += len;
        })
    }

    fn words_of(&self, text: &str) -> Result<(BTreeSet<String>, u64)> {
        if text.len() > TEXT_LEN_MAX {
            return Err(Error::TextTooLong { len: text.len() });
        }
        let mut words = BTreeSet::new();
        let mut len = 0;
        for word in words_in(text) {
            words.insert(self.info.rules.stem(word));
            len += 1;
        }
        words.remove("");
        Ok((words, len))
    }

    fn put_words(
        &self,
        txn: &mut WriteTxn<'_>,
        row: &[u8],
        words: &[&String],
        first: Timestamp,
    ) -> Result<()> {
        let mut tree = txn.engine().tree(&self.info.words_tree())?;
        for word in words {
            tree.put(stored::word_key(word, row), first.get().to_le_bytes())?;
        }
        Ok(())
    }

    /// Of words that are told already, those that were told later than at `first`.
    fn told_later<'w>(
        &self,
        txn: &mut WriteTxn<'_>,
        row: &[u8],
        words: impl Iterator<Item = &'w String>,
        first: Timestamp,
    ) -> Result<Vec<&'w String>> {
        let tree = txn.engine().tree(&self.info.words_tree())?;
        let mut later = Vec::new();
        for word in words {
            let told = tree.get(stored::word_key(word, row))?.and_then(stored::decode_first);
            if told.is_none_or(|told| told > first) {
                later.push(word);
            }
        }
        Ok(later)
    }

    /// Forgets every word of a row. [`llmdb_temporal::Store::erase`] does so by itself. Returns how many words it had.
    ///
    /// # Errors
    /// [`Error::Temporal`]: abort.
    pub fn erase(&self, txn: &mut WriteTxn<'_>, row: &RowKey) -> Result<u64> {
        self.keep(txn, row, [])
    }

    /// Forgets the words of a row that none of `texts` has: those that are left of it after a purge. Returns how many.
    ///
    /// # Errors
    /// [`Error::TextTooLong`]: nothing was written. [`Error::Temporal`]: abort.
    pub fn keep<'t>(
        &self,
        txn: &mut WriteTxn<'_>,
        row: &RowKey,
        texts: impl IntoIterator<Item = &'t str>,
    ) -> Result<u64> {
        let row = encode_row(row)?;
        let mut kept = BTreeSet::new();
        for text in texts {
            kept.append(&mut self.words_of(text)?.0);
        }
        let name = self.info.rows_tree();
        let Some(known) = txn.engine().tree(&name)?.get(&row)?.map(<[u8]>::to_vec) else { return Ok(0) };
        let known = stored::decode_words(&known).ok_or_else(|| Error::damaged(&name, &row))?;
        let (left, gone): (Vec<&str>, Vec<&str>) = known.iter().partition(|word| kept.contains(**word));
        let mut tree = txn.engine().tree(&self.info.words_tree())?;
        for word in gone.iter().filter(|_| !planted(Bug::KeepPurgedWords)) {
            tree.delete(stored::word_key(word, &row))?;
        }
        let mut tree = txn.engine().tree(&name)?;
        if left.is_empty() {
            tree.delete(&row)?;
            statistics::change(txn, self.info.id, |statistics| {
                statistics.rows = statistics.rows.saturating_sub(1)
            })?;
        } else if !gone.is_empty() {
            tree.put(&row, stored::encode_words(left))?;
        }
        Ok(gone.len() as u64)
    }
}

fn encode_row(row: &RowKey) -> Result<Vec<u8>> {
    let bytes = row.encode();
    match bytes.len() > ROW_LEN_MAX {
        true => Err(Error::RowTooLong { len: bytes.len() }),
        false => Ok(bytes),
    }
}
