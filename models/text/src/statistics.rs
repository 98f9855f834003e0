//! How many texts there are, and how long they are: what relevance is measured by.
//!
//! A question to an old state must be answered by the figures of that time, or the order of its answers would change with
//! what was written since. So samples of the counters are kept, one for each sixteenth by which they grow.

use llmdb_engine::TreeRef;
use llmdb_temporal::{BEGINNING, Timestamp, WriteTxn};

use crate::{Error, Result, stored};

/// Counters of an index.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Rows that have or had a text.
    pub rows: u64,
    /// Texts that were told to the index.
    pub texts: u64,
    /// Words in them.
    pub words: u64,
}

const LEN: usize = 3 * 8;

impl Statistics {
    /// Words of a text, on the average; at least 1.
    pub fn mean_len(&self) -> f64 {
        (self.words as f64 / self.texts.max(1) as f64).max(1.0)
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        [self.rows, self.texts, self.words].map(u64::to_le_bytes).concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (numbers, []) = bytes.as_chunks::<8>() else { return None };
        match numbers {
            [rows, texts, words] if bytes.len() == LEN => {
                let [rows, texts, words] = [rows, texts, words].map(|raw| u64::from_le_bytes(*raw));
                Some(Self { rows, texts, words })
            }
            _ => None,
        }
    }

    /// Whether the counters are far enough from their last sample for another one.
    fn is_far_from(self, sample: Self) -> bool {
        let is_far = |new: u64, old: u64| new.abs_diff(old) > old / 16;
        is_far(self.rows, sample.rows) || is_far(self.texts, sample.texts) || is_far(self.words, sample.words)
    }
}

/// Changes the counters in `txn`.
pub(crate) fn change(txn: &mut WriteTxn<'_>, id: u32, change: impl FnOnce(&mut Statistics)) -> Result<()> {
    let now = txn.timestamp();
    let mut meta = txn.engine().tree(stored::META)?;
    let key = stored::counters_key(id);
    let mut statistics = match meta.get(&key)? {
        None => Statistics::default(),
        Some(bytes) => Statistics::decode(bytes).ok_or_else(|| Error::damaged(stored::META, &key))?,
    };
    change(&mut statistics);
    let last = meta.range(stored::sample_key(id, BEGINNING)..=stored::sample_key(id, now))?.next_back();
    let last = last.transpose()?.map(|(key, value)| decode_sample(key, value)).transpose()?;
    meta.put(&key, statistics.encode())?;
    if last.is_none_or(|last| statistics.is_far_from(last)) {
        meta.put(stored::sample_key(id, now), statistics.encode())?;
    }
    Ok(())
}

/// The counters as they were sampled last, up to `system`.
pub(crate) fn sampled(meta: TreeRef<'_>, id: u32, system: Timestamp) -> Result<Statistics> {
    let last = meta.range(stored::sample_key(id, BEGINNING)..=stored::sample_key(id, system))?.next_back();
    let last = last.transpose()?.map(|(key, value)| decode_sample(key, value)).transpose()?;
    Ok(last.unwrap_or_default())
}

fn decode_sample(key: &[u8], value: &[u8]) -> Result<Statistics> {
    Statistics::decode(value).ok_or_else(|| Error::damaged(stored::META, key))
}
