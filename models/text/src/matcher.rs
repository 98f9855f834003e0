//! How well a text matches: the words of a query in it, counted, and BM25.

use std::collections::HashMap;

use crate::{
    query::Compiled,
    words::{Rules, words_in},
};

/// From how many occurrences on one more says little.
const K1: f64 = 1.2;
/// How much the length of a text counts against it.
const B: f64 = 0.75;
/// Words as they stand in texts whose stems are remembered while a query runs.
const REMEMBERED_MAX: usize = 1 << 14;

/// Looks at texts for one query.
pub(crate) struct Matcher<'q> {
    query: &'q Compiled,
    rules: Rules,
    weights: Vec<f64>,
    mean_len: f64,
    /// Terms of which a text must have one, as bits.
    needed: u64,
    /// First bytes of words of ASCII that may match; `None` if any may.
    beginnings: Option<[bool; 256]>,
    /// Words as they stand in texts, and the terms that they match, as bits.
    remembered: HashMap<Box<str>, u64>,
    counts: Vec<u32>,
    /// The terms at each word of the text, if the query has phrases.
    places: Vec<u64>,
}

/// How much a term says: the fewer of the `rows` know it, the more.
pub(crate) fn weight(rows: u64, knowing: u64) -> f64 {
    let (rows, knowing) = (rows.max(knowing) as f64, knowing as f64);
    ((rows - knowing + 0.5) / (knowing + 0.5)).ln_1p()
}

impl<'q> Matcher<'q> {
    pub(crate) fn new(
        query: &'q Compiled,
        rules: Rules,
        weights: Vec<f64>,
        mean_len: f64,
        needed: u64,
    ) -> Self {
        let counts = vec![0; query.terms.len()];
        let beginnings = rules.keeps_first_letters().then(|| query.first_bytes());
        Self {
            query,
            rules,
            weights,
            mean_len,
            needed,
            beginnings,
            remembered: HashMap::new(),
            counts,
            places: Vec::new(),
        }
    }

    /// More than a term of this weight adds to any score.
    pub(crate) fn most(weight: f64) -> f64 {
        weight * (K1 + 1.0)
    }

    /// The score of a text; `None` if it has none of the words that are needed, or not every phrase.
    pub(crate) fn score(&mut self, text: &str) -> Option<f64> {
        self.counts.fill(0);
        self.places.clear();
        let (mut len, mut found) = (0u32, 0);
        for word in words_in(text) {
            len = len.saturating_add(1);
            let terms = self.terms_of(word);
            if !self.query.phrases.is_empty() {
                self.places.push(terms);
            }
            found |= terms;
            let mut left = terms;
            while left != 0 {
                self.counts[left.trailing_zeros() as usize] += 1;
                left &= left - 1;
            }
        }
        if found & self.needed == 0 || !self.has_phrases() {
            return None;
        }
        let norm = K1 * (1.0 - B + B * f64::from(len) / self.mean_len);
        let terms = self.counts.iter().zip(&self.weights);
        Some(
            terms
                .map(|(count, weight)| weight * f64::from(*count) * (K1 + 1.0) / (f64::from(*count) + norm))
                .sum(),
        )
    }

    fn terms_of(&mut self, word: &str) -> u64 {
        if let (Some(beginnings), Some(first)) = (&self.beginnings, word.bytes().next())
            && first.is_ascii()
            && !beginnings[usize::from(first)]
            && word.is_ascii()
        {
            return 0;
        }
        if let Some(terms) = self.remembered.get(word) {
            return *terms;
        }
        let stem = self.rules.stem(word);
        let matches = self.query.terms.iter().map(|term| !stem.is_empty() && term.matches(&stem));
        let terms = matches.enumerate().fold(0, |bits, (index, matches)| bits | u64::from(matches) << index);
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
        }
        self.remembered.insert(word.into(), terms);
        terms
    }

    fn has_phrases(&self) -> bool {
        self.query.phrases.iter().all(|phrase| {
            self.places
                .windows(phrase.len().max(1))
                .any(|places| places.iter().zip(phrase).all(|(terms, term)| terms >> term & 1 == 1))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Language, Query};

    fn score(query: &str, text: &str) -> Option<f64> {
        let rules = Rules::of(Language::English);
        let compiled = Query::parse(query).and_then(|query| query.compile(&rules)).expect("a query");
        let weights = (0..compiled.terms.len()).map(|index| 1.0 + index as f64).collect();
        Matcher::new(&compiled, rules, weights, 5.0, u64::MAX).score(text)
    }

    #[test]
    fn more_words_rarer_words_and_shorter_texts_score_higher() {
        assert_eq!(score("london", "Ada lives in Paris"), None);
        let one = score("ada london", "Ada lives in London");
        assert!(score("ada london", "Ada lives in Paris") < one);
        assert!(score("ada london", "Ada lives") < score("ada london", "London lives"));
        assert!(score("ada", "Ada and Ada again") > score("ada", "Ada and Bob again"));
        assert!(score("ada", "Ada") > score("ada", "Ada and a hundred others"));
        // A text of average length in which a term occurs once scores its weight.
        assert!((score("ada", "Ada was the first one").unwrap_or_default() - 1.0).abs() < 1e-12);
    }

    #[test]
    fn phrases_must_be_there() {
        assert!(score("\"new york\"", "He moved to New York.").is_some());
        assert_eq!(score("\"new york\"", "York is not new"), None);
        assert_eq!(score("\"new york\" moved", "She moved"), None);
        assert!(score("\"the the end\"", "the the the end").is_some());
        assert!(score("\"ada\" bob", "Ada").is_some());
        assert_eq!(score("\"ada\" bob", "Bob"), None);
    }

    #[test]
    fn beginnings_are_beginnings_of_stems() {
        for (query, text) in
            [("liv*", "living"), ("living*", "lives"), ("lon*", "London"), ("zür*", "Zurich")]
        {
            assert!(score(query, text).is_some(), "{query}");
        }
        assert_eq!(score("don*", "London"), None);
    }

    #[test]
    fn rare_words_weigh_more() {
        assert!(weight(1000, 1) > weight(1000, 10));
        assert!(weight(1000, 1000) > 0.0);
        assert!(weight(0, 5).is_finite());
    }
}
