//! Rows that may match: what the index knows about the terms of a query, merged in the order of the rows.

use std::{cmp::Reverse, collections::BinaryHeap, ops::Bound};

use llmdb_base::plant::{Bug, planted};
use llmdb_engine::{Range, TreeRef};
use llmdb_temporal::{Rows, Timestamp};

use crate::{
    Error, Result,
    matcher::{Matcher, weight},
    query::{Compiled, Term},
    stored::{self, WORD_END},
};

/// Most words that the beginnings of a query are followed to; beyond, every row is looked at.
const WORDS_MAX: usize = 256;
/// With fewer rows than this no word counts as common.
const COMMON_ROWS_MIN: u64 = 64;

/// What the index knows of a term.
pub(crate) struct Known {
    /// The words that it stands for, if they are few.
    words: Option<Vec<String>>,
    /// How many entries they have, of those that were there at the moment asked for.
    pub entries: u64,
}

/// Entries of a word or of all words that begin alike, up to a moment.
pub(crate) fn known(tree: TreeRef<'_>, name: &str, term: &Term, system: Timestamp) -> Result<Known> {
    match term {
        Term::Word(stem) => {
            let entries = count(tree, name, stem, system)?;
            Ok(Known { words: Some(vec![stem.clone()]), entries })
        }
        Term::Beginning { of, stem } => beginning(tree, name, of, stem, system),
    }
}

fn count(tree: TreeRef<'_>, name: &str, word: &str, system: Timestamp) -> Result<u64> {
    let mut entries = 0;
    for entry in tree.prefix(stored::word_key(word, &[]))? {
        let (key, value) = entry?;
        entries += u64::from(is_known(name, key, value, system)?);
    }
    Ok(entries)
}

fn beginning(tree: TreeRef<'_>, name: &str, of: &str, stem: &str, system: Timestamp) -> Result<Known> {
    let (mut words, mut entries): (Vec<String>, u64) = (Vec::new(), 0);
    for entry in tree.prefix(of)? {
        let (key, value) = entry?;
        let (word, _) = stored::split_word_key(key).ok_or_else(|| Error::damaged(name, key))?;
        if is_known(name, key, value, system)? {
            entries += 1;
            if words.last().is_none_or(|last| last != word) && words.len() <= WORDS_MAX {
                words.push(word.to_owned());
            }
        }
    }
    if !stem.is_empty() && !stem.starts_with(of) {
        entries += count(tree, name, stem, system)?;
        words.push(stem.to_owned());
    }
    Ok(Known { words: (words.len() <= WORDS_MAX).then_some(words), entries })
}

fn is_known(tree: &str, key: &[u8], value: &[u8], system: Timestamp) -> Result<bool> {
    let first = stored::decode_first(value).ok_or_else(|| Error::damaged(tree, key))?;
    Ok(first <= system || planted(Bug::KnowWordsTooEarly))
}

/// Which terms propose rows, and what all others can add to a score at most.
pub(crate) struct Plan {
    /// Terms that propose rows, those that add most first, and what each adds at most.
    proposing: Vec<(usize, f64)>,
    /// What the other terms add at most.
    rest: f64,
}

impl Plan {
    /// A row must have all words of a phrase, so the rarest of them proposes. Without a phrase, all but common words do: one that more
    /// than half of the rows know says little.
    pub(crate) fn new(query: &Compiled, known: &[Known], rows: u64) -> Self {
        let phrase = query.phrases.iter().flatten().min_by_key(|term| known[**term].entries);
        let is_common = |entries: u64| rows >= COMMON_ROWS_MIN && entries > rows / 2;
        // A word that the index does not know is in no text.
        let all = (0..known.len()).filter(|term| known[*term].entries > 0);
        let rare: Vec<usize> = all.clone().filter(|term| !is_common(known[*term].entries)).collect();
        let proposing: Vec<usize> = match phrase {
            Some(term) => vec![*term],
            None if rare.is_empty() => all.clone().collect(),
            None => rare,
        };
        let most = |term: usize| Matcher::most(weight(rows, known[term].entries));
        let rest = all.filter(|term| !proposing.contains(term)).map(most).sum();
        let mut proposing: Vec<(usize, f64)> = proposing.into_iter().map(|term| (term, most(term))).collect();
        proposing.sort_by(|a, b| b.1.total_cmp(&a.1));
        Self { proposing, rest }
    }

    /// The terms that propose rows, those that add most first.
    pub(crate) fn proposing(&self) -> impl Iterator<Item = usize> {
        self.proposing.iter().map(|(term, _)| *term)
    }

    /// What a row can score that has none of the first `terms` proposing terms; a bit more, since sums in another order may
    /// differ in the last bits.
    pub(crate) fn most_without(&self, terms: usize) -> f64 {
        let left = self.proposing.iter().skip(terms).map(|(_, adds)| adds).sum::<f64>();
        (left + self.rest) * (1.0 + 1e-9)
    }
}

/// The rows that a term proposes, of a range, in order; `None` if its words are too many.
pub(crate) fn rows<'s>(
    tree: TreeRef<'s>,
    name: &str,
    known: &Known,
    rows: &Rows,
    system: Timestamp,
) -> Result<Option<Candidates<'s>>> {
    let Some(words) = &known.words else { return Ok(None) };
    let streams =
        words.iter().map(|word| Ok(Stream { entries: entries(tree, word, rows)?, row_at: word.len() + 1 }));
    let streams = streams.collect::<Result<Vec<_>>>()?;
    let mut candidates = Candidates { streams, heads: BinaryHeap::new(), name: name.into(), system };
    for stream in 0..candidates.streams.len() {
        candidates.advance(stream)?;
    }
    Ok(Some(candidates))
}

fn entries<'s>(tree: TreeRef<'s>, word: &str, rows: &Rows) -> Result<Range<'s>> {
    let (from, to) = rows.bounds();
    let from = stored::word_key(word, from);
    let to = match to {
        Some(to) => stored::word_key(word, to),
        None => [word.as_bytes(), &[WORD_END + 1]].concat(),
    };
    Ok(tree.range((Bound::Included(from), Bound::Excluded(to)))?)
}

/// Rows in order, see [`rows`].
pub(crate) struct Candidates<'s> {
    streams: Vec<Stream<'s>>,
    /// The next row of each stream, the least first.
    heads: BinaryHeap<Reverse<(&'s [u8], usize)>>,
    name: String,
    system: Timestamp,
}

struct Stream<'s> {
    entries: Range<'s>,
    row_at: usize,
}

impl<'s> Candidates<'s> {
    /// The next row that any of the words proposes.
    pub(crate) fn next(&mut self) -> Result<Option<&'s [u8]>> {
        let Some(Reverse((row, stream))) = self.heads.pop() else { return Ok(None) };
        self.advance(stream)?;
        while let Some(Reverse((other, stream))) = self.heads.peek().copied()
            && other == row
        {
            self.heads.pop();
            self.advance(stream)?;
        }
        Ok(Some(row))
    }

    fn advance(&mut self, index: usize) -> Result<()> {
        let stream = &mut self.streams[index];
        for entry in &mut stream.entries {
            let (key, value) = entry?;
            if is_known(&self.name, key, value, self.system)? {
                let row = key.get(stream.row_at..).ok_or_else(|| Error::damaged(&self.name, key))?;
                self.heads.push(Reverse((row, index)));
                return Ok(());
            }
        }
        Ok(())
    }
}
