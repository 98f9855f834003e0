//! The naive model: reads every row, cuts texts at spaces, knows the stems of its few words by heart; and random work.

use std::{borrow::Cow, collections::BTreeMap};

use llmdb_temporal::{
    AsOf, At, Fact, History, Period, RowKey, Rows, Store, Timestamp, TxnId, Valid, Value, View,
};
use llmdb_text::{Hit, Language, Statistics, TextIndex, Texts};
use proptest::{collection::vec, prelude::*};

pub const NOTES: &str = "notes";
const STEP_US: i64 = 700;

/// Words as they are written, and their stems.
pub const WORDS: [(&str, &str); 10] = [
    ("Lives", "live"),
    ("living", "live"),
    ("London", "london"),
    ("Paris", "pari"),
    ("city", "citi"),
    ("cities", "citi"),
    ("Zürich", "zurich"),
    ("the", "the"),
    ("город", "город"),
    ("京", "京"),
];

fn stem(word: &str) -> &'static str {
    WORDS.iter().find(|known| known.0 == word).unwrap().1
}

/// Texts in which "the" is in most.
pub fn text() -> impl Strategy<Value = String> {
    vec(prop_oneof![3 => 0..WORDS.len(), 2 => Just(7)], 0..7)
        .prop_map(|words| words.into_iter().map(|word| WORDS[word].0).collect::<Vec<_>>().join(" "))
}

#[derive(Clone, Debug)]
pub enum Part {
    Word(usize),
    Phrase(usize, usize),
    Beginning(&'static str),
}

pub fn query() -> impl Strategy<Value = Vec<Part>> {
    let part = prop_oneof![
        6 => (0..WORDS.len()).prop_map(Part::Word),
        1 => (0..WORDS.len(), 0..WORDS.len()).prop_map(|(first, second)| Part::Phrase(first, second)),
        1 => prop::sample::select(vec!["c", "liv", "l", "t", "z", "гор", "x"]).prop_map(Part::Beginning),
    ];
    vec(part, 1..4)
}

pub fn written(query: &[Part]) -> String {
    let parts = query.iter().map(|part| match part {
        Part::Word(word) => WORDS[*word].0.to_owned(),
        Part::Phrase(first, second) => format!("\"{} {}\"", WORDS[*first].0, WORDS[*second].0),
        Part::Beginning(of) => format!("{of}*"),
    });
    parts.collect::<Vec<_>>().join(" ")
}

/// A term of a query, as a test of stems.
#[derive(Clone, PartialEq)]
enum Term {
    Word(&'static str),
    Beginning(&'static str),
}

impl Term {
    fn matches(&self, stem: &str) -> bool {
        match self {
            Self::Word(word) => stem == *word,
            Self::Beginning(of) => stem.starts_with(of),
        }
    }
}

fn terms(query: &[Part]) -> (Vec<Term>, Vec<[&'static str; 2]>) {
    let (mut terms, mut phrases) = (Vec::new(), Vec::new());
    let mut add = |term: Term| {
        if !terms.contains(&term) {
            terms.push(term);
        }
    };
    for part in query {
        match part {
            Part::Word(word) => add(Term::Word(WORDS[*word].1)),
            Part::Beginning(of) => add(Term::Beginning(of)),
            Part::Phrase(first, second) => {
                let phrase = [WORDS[*first].1, WORDS[*second].1];
                phrase.iter().for_each(|word| add(Term::Word(word)));
                phrases.push(phrase);
            }
        }
    }
    (terms, phrases)
}

/// What was told to the index.
#[derive(Clone, Debug)]
pub struct Told {
    pub row: i64,
    pub text: String,
    pub first: Timestamp,
}

#[derive(Clone, Debug, Default)]
pub struct Model {
    pub told: Vec<Told>,
    pub commits: Vec<(TxnId, Timestamp)>,
    pub edges: Vec<Timestamp>,
}

impl Model {
    /// How many words of rows match a term: for a beginning, each word of a row counts.
    fn entries(&self, term: &Term, system: Timestamp) -> u64 {
        let mut entries: Vec<(i64, &str)> = Vec::new();
        for told in self.told.iter().filter(|told| told.first <= system) {
            entries.extend(
                told.text
                    .split_whitespace()
                    .map(stem)
                    .filter(|stem| term.matches(stem))
                    .map(|stem| (told.row, stem)),
            );
        }
        entries.sort_unstable();
        entries.dedup();
        entries.len() as u64
    }

    /// Rows and scores, best first.
    pub fn search(
        &self,
        view: &View,
        query: &[Part],
        rows: &Rows,
        at: At,
        statistics: Statistics,
    ) -> Vec<(RowKey, f64)> {
        let system = view.resolve(at.system).unwrap();
        let (terms, phrases) = terms(query);
        let entries: Vec<u64> = terms.iter().map(|term| self.entries(term, system)).collect();
        let rows_known = statistics.rows;
        let is_rare: Vec<bool> = entries
            .iter()
            .map(|entries| *entries > 0 && !(rows_known >= 64 && *entries > rows_known / 2))
            .collect();
        let weights: Vec<f64> = entries
            .iter()
            .map(|entries| {
                let (all, some) = (rows_known.max(*entries) as f64, *entries as f64);
                ((all - some + 0.5) / (some + 0.5)).ln_1p()
            })
            .collect();
        let mut found = Vec::new();
        let notes = view.collection(NOTES).unwrap();
        for fact in notes.scan(rows, at).unwrap() {
            let fact = fact.unwrap();
            let Some(text) = text_of(&fact) else { continue };
            let stems: Vec<&str> = text.split_whitespace().map(stem).collect();
            let counts: Vec<usize> =
                terms.iter().map(|term| stems.iter().filter(|stem| term.matches(stem)).count()).collect();
            let has_rare = counts.iter().zip(&is_rare).any(|(count, is_rare)| *count > 0 && *is_rare);
            let has_some = counts.iter().any(|count| *count > 0);
            let has_phrases = phrases.iter().all(|phrase| stems.windows(2).any(|pair| pair == phrase));
            let is_enough = if phrases.is_empty() { has_rare || !is_rare.contains(&true) } else { true };
            if has_some && has_phrases && is_enough {
                let norm = 1.2 * (1.0 - 0.75 + 0.75 * stems.len() as f64 / statistics.mean_len());
                let score = counts
                    .iter()
                    .zip(&weights)
                    .map(|(count, weight)| weight * *count as f64 * (1.2 + 1.0) / (*count as f64 + norm))
                    .sum();
                found.push((fact.row.clone(), score));
            }
        }
        found.sort_by(|a: &(RowKey, f64), b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        found
    }

    /// Every row that the words of the index name, with those words, is one that a told text gives, and the other way round.
    pub fn check_stored(&self, view: &View) {
        let mut expected: BTreeMap<(String, i64), Timestamp> = BTreeMap::new();
        for told in &self.told {
            for word in told.text.split_whitespace() {
                let first = expected.entry((stem(word).into(), told.row)).or_insert(told.first);
                *first = (*first).min(told.first);
            }
        }
        let tree = view.snapshot().tree("_text/1/words").unwrap().unwrap();
        let found = tree.iter().unwrap().map(|entry| {
            let (key, value) = entry.unwrap();
            let end = key.iter().position(|byte| *byte == 0).unwrap();
            let row = RowKey::decode(&key[end + 1..]).unwrap();
            let row = (0..1000).find(|number| RowKey::from(*number) == row).unwrap();
            let first = i64::from_le_bytes(value.try_into().unwrap());
            ((String::from_utf8(key[..end].to_vec()).unwrap(), row), Timestamp::new(first))
        });
        assert_eq!(found.collect::<BTreeMap<_, _>>(), expected);
    }
}

pub fn text_of<'s>(fact: &Fact<'s>) -> Option<Cow<'s, str>> {
    std::str::from_utf8(fact.value.payload).ok().map(Cow::Borrowed)
}

pub fn found(hits: Vec<Hit<'_>>) -> Vec<(RowKey, f64)> {
    hits.into_iter().map(|hit| (hit.fact.row, hit.score)).collect()
}

#[derive(Clone, Debug)]
pub enum When {
    Now,
    Since(i64),
    During(i64, i64),
}

#[derive(Clone, Debug)]
pub enum Write {
    Put(i64, When, String),
    Delete(i64, When),
}

/// Transactions, or the undoing of an earlier one.
#[derive(Clone, Debug)]
pub enum Step {
    Writes(Vec<Write>),
    Undo(prop::sample::Index),
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![
        4 => Just(When::Now),
        1 => (-30i64..30).prop_map(When::Since),
        1 => (-30i64..30, 1i64..30).prop_map(|(from, len)| When::During(from, len)),
    ]
}

pub fn step(rows: i64, writes: usize) -> impl Strategy<Value = Step> {
    let write = prop_oneof![
        16 => (0..rows, when(), text()).prop_map(|(row, when, text)| Write::Put(row, when, text)),
        3 => (0..rows, when()).prop_map(|(row, when)| Write::Delete(row, when)),
    ];
    prop_oneof![
        9 => vec(write, 1..writes).prop_map(Step::Writes),
        1 => any::<prop::sample::Index>().prop_map(Step::Undo),
    ]
}

pub fn create(store: Store<'_>) {
    let mut txn = store.begin_write().unwrap();
    txn.create(NOTES, History::Bitemporal { copy_percent: Some(50) }).unwrap();
    TextIndex::create(&mut txn, NOTES, Language::English).unwrap();
    txn.commit().unwrap();
}

/// Makes a step in the store and in the model.
pub fn make(store: Store<'_>, model: &mut Model, step: &Step) {
    let mut txn = store.begin_write().unwrap();
    let system = txn.timestamp();
    let at = |steps: i64| Timestamp::new(system.get() + steps * STEP_US);
    let valid = |when: &When| match when {
        When::Now => Valid::Now,
        When::Since(from) => Valid::Since(at(*from)),
        When::During(from, len) => Valid::During(Period::new(at(*from), at(from + len))),
    };
    let index = TextIndex::open(&mut txn, NOTES).unwrap().unwrap();
    match step {
        Step::Undo(_) if model.commits.is_empty() => {}
        Step::Undo(which) => {
            let undone = store.undo(&mut txn, which.get(&model.commits).0);
            assert!(matches!(undone, Ok(_) | Err(llmdb_temporal::Error::NoTransaction(_))), "{undone:?}");
        }
        Step::Writes(writes) => {
            for write in writes {
                match write {
                    Write::Put(row, when, text) => {
                        txn.collection(NOTES)
                            .unwrap()
                            .put(*row, valid(when), Value::raw(text.as_bytes()))
                            .unwrap();
                        index.add(&mut txn, &RowKey::from(*row), text).unwrap();
                        model.told.push(Told { row: *row, text: text.clone(), first: system });
                    }
                    Write::Delete(row, when) => {
                        txn.collection(NOTES).unwrap().delete(*row, valid(when)).unwrap()
                    }
                }
            }
        }
    }
    model.edges.extend([-15, 0, 15].map(at));
    let commit = txn.commit().unwrap();
    model.commits.push((commit.txid, system));
}

/// A point in both times.
pub fn at(valid: Timestamp, system: Timestamp) -> At {
    At::valid(valid).as_of(AsOf::Time(system))
}

pub fn check_search(view: &View, model: &Model, query: &[Part], rows: &Rows, at: At) {
    let texts = Texts::open(view, NOTES).unwrap();
    let statistics = texts.statistics(at.system).unwrap();
    let expected = model.search(view, query, rows, at, statistics);
    let parsed = llmdb_text::Query::parse(&written(query)).unwrap();
    let mut search = llmdb_text::Search { rows: rows.clone(), limit: 1000, ..llmdb_text::Search::at(at) };
    let all = found(texts.search(&parsed, &search, text_of).unwrap());
    assert_eq!(all, expected, "{} at {at:?}", written(query));
    search.limit = 3;
    let mut paged = Vec::new();
    loop {
        let hits = texts.search(&parsed, &search, text_of).unwrap();
        let Some(last) = hits.last() else { break };
        search.after = Some(last.mark());
        paged.extend(found(hits));
    }
    assert_eq!(paged, expected, "in pages: {} at {at:?}", written(query));
}
