//! Rows that may match: what the index knows about the terms of a query, merged in the order of the rows.

use std::{cmp::Reverse, collections::BinaryHeap, ops::Bound};

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
    Ok(first <= system)
}

/// Which terms propose rows, and what all others can add to a score at most.
pub(crate) struct Plan {
    /// Terms that propose rows, and what each adds at most; those that add least come first.
    proposing: Vec<(usize, f64)>,
    /// What the other terms add at most.
    rest: f64,
    /// How many entries the proposing terms have.
    pub entries: u64,
    /// Whether all words of the proposing terms are known.
    pub is_bounded: bool,
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
        let mut plan = Self {
            entries: proposing.iter().map(|term| known[*term].entries).sum(),
            is_bounded: proposing.iter().all(|term| known[*term].words.is_some()),
            proposing: proposing.into_iter().map(|term| (term, most(term))).collect(),
            rest,
        };
        plan.proposing.sort_by(|a, b| a.1.total_cmp(&b.1));
        plan
    }

    /// The terms that propose rows, as bits: a row that has none of them is not found.
    pub(crate) fn needed(&self) -> u64 {
        self.proposing.iter().fold(0, |bits, (term, _)| bits | 1 << term)
    }

    /// The rows that the terms propose, of a range, in order.
    pub(crate) fn rows<'s>(
        &self,
        tree: TreeRef<'s>,
        name: String,
        known: &[Known],
        rows: &Rows,
        system: Timestamp,
    ) -> Result<Candidates<'s>> {
        let mut candidates =
            Candidates { streams: Vec::new(), heads: BinaryHeap::new(), name, system, floor: 0 };
        for (rank, (term, _)) in self.proposing.iter().enumerate() {
            for word in known[*term].words.iter().flatten() {
                let entries = entries(tree, word, rows)?;
                candidates.streams.push(Stream { entries, row_at: word.len() + 1, rank });
                candidates.advance(candidates.streams.len() - 1)?;
            }
        }
        Ok(candidates)
    }

    /// How many of the proposing terms, from the first on, cannot bring a row above `score` even together with all that
    /// propose nothing.
    pub(crate) fn useless(&self, score: f64) -> usize {
        let mut most = self.rest;
        let fits = |(_, adds): &&(usize, f64)| {
            most += adds;
            // Sums in another order may differ in the last bits.
            most * (1.0 + 1e-9) < score
        };
        self.proposing.iter().take_while(fits).count()
    }
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

/// Rows in order, see [`Plan::rows`].
pub(crate) struct Candidates<'s> {
    streams: Vec<Stream<'s>>,
    /// The next row of each stream, the least first.
    heads: BinaryHeap<Reverse<(&'s [u8], usize)>>,
    name: String,
    system: Timestamp,
    /// Streams of a lower rank are at their end.
    floor: usize,
}

struct Stream<'s> {
    entries: Range<'s>,
    row_at: usize,
    rank: usize,
}

impl<'s> Candidates<'s> {
    /// Ends the streams of the first terms.
    pub(crate) fn give_up(&mut self, terms: usize) {
        self.floor = self.floor.max(terms);
    }

    /// The next row that any of the terms proposes.
    pub(crate) fn next(&mut self) -> Result<Option<&'s [u8]>> {
        while let Some(Reverse((row, stream))) = self.heads.pop() {
            let is_live = self.streams[stream].rank >= self.floor;
            if !is_live {
                continue;
            }
            self.advance(stream)?;
            while let Some(Reverse((other, stream))) = self.heads.peek().copied()
                && other == row
            {
                self.heads.pop();
                self.advance(stream)?;
            }
            return Ok(Some(row));
        }
        Ok(None)
    }

    fn advance(&mut self, index: usize) -> Result<()> {
        let stream = &mut self.streams[index];
        if stream.rank < self.floor {
            return Ok(());
        }
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
