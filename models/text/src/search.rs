//! Searching: the best rows for a query at a point of both times.

use std::{
    borrow::Cow,
    cmp::Ordering,
    collections::{BinaryHeap, HashSet},
};

use llmdb_base::plant::{Bug, planted};
use llmdb_engine::TreeRef;
use llmdb_temporal::{AsOf, At, Collection, Fact, RowKey, Rows, Timestamp, View};

use crate::{
    Error, Language, Query, Result, Statistics,
    candidates::{self, Candidates, Known, Plan},
    matcher::{Matcher, weight},
    statistics,
    stored::{self, Info, META},
};

/// Most hits of a search.
pub const LIMIT_MAX: usize = 10_000;
/// If more than one of this many rows may match, reading all in order is faster than each by itself.
const SCAN_SHARE: u64 = 4;

/// The texts of a collection, in a view.
#[derive(Debug)]
pub struct Texts<'s> {
    view: &'s View,
    collection: Collection<'s>,
    info: Info,
    meta: TreeRef<'s>,
    words: TreeRef<'s>,
}

/// What is asked beside the query.
#[derive(Clone, Debug)]
pub struct Search {
    /// The point of both times.
    pub at: At,
    /// The rows that may be found.
    pub rows: Rows,
    /// How many are wanted at most; not more than [`LIMIT_MAX`] come.
    pub limit: usize,
    /// Only what comes behind this hit of the same search.
    pub after: Option<Mark>,
}

impl Search {
    /// The ten best of all rows at a point.
    pub const fn at(at: At) -> Self {
        Self { at, rows: Rows::all(), limit: 10, after: None }
    }
}

/// A row that was found.
#[derive(Clone, PartialEq, Debug)]
pub struct Hit<'s> {
    /// The row at the point that was asked for.
    pub fact: Fact<'s>,
    /// How well its text matches; comparable within one search.
    pub score: f64,
}

impl Hit<'_> {
    /// Where the next page begins.
    pub fn mark(&self) -> Mark {
        Mark { score: self.score, row: self.fact.row.clone() }
    }
}

/// A place in the order of the hits of a search: by score, the best first, then by row.
#[derive(Clone, PartialEq, Debug)]
pub struct Mark {
    /// Score of the hit.
    pub score: f64,
    /// Its row.
    pub row: RowKey,
}

/// Whether a hit stands before another one.
fn order(a: (f64, &RowKey), b: (f64, &RowKey)) -> Ordering {
    b.0.total_cmp(&a.0).then_with(|| a.1.cmp(b.1))
}

/// A hit in a heap whose greatest element is the last in order.
struct Ranked<'s>(Hit<'s>);

impl Ord for Ranked<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        order((self.0.score, &self.0.fact.row), (other.0.score, &other.0.fact.row))
    }
}

impl PartialOrd for Ranked<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ranked<'_> {}

impl<'s> Texts<'s> {
    /// The indexed texts of a collection.
    ///
    /// # Errors
    /// [`Error::NoIndex`], [`Error::Building`], [`Error::OtherRules`]; [`Error::Temporal`].
    pub fn open(view: &'s View, collection: &str) -> Result<Self> {
        let none = || Error::NoIndex(collection.into());
        let meta = view.snapshot().tree(META)?.ok_or_else(none)?;
        let info = Info::decode(collection, meta.get(stored::index_key(collection))?.ok_or_else(none)?)?;
        if info.built.is_some() {
            return Err(Error::Building(collection.into()));
        }
        let name = info.words_tree();
        let words = view.snapshot().tree(&name)?.ok_or_else(|| Error::damaged(&name, b""))?;
        Ok(Self { view, collection: view.collection(collection)?, info, meta, words })
    }

    /// The collection.
    pub fn collection(&self) -> &Collection<'s> {
        &self.collection
    }

    /// The language whose words are known.
    pub fn language(&self) -> Language {
        self.info.rules.language()
    }

    /// The figures by which relevance is measured in a state.
    ///
    /// # Errors
    /// [`Error::Temporal`].
    pub fn statistics(&self, as_of: AsOf) -> Result<Statistics> {
        statistics::sampled(self.meta, self.info.id, self.view.resolve(as_of)?)
    }

    /// The best rows for a query, best first; rows with the same score in their order.
    ///
    /// `text` says what the text of a fact is: what was told to [`crate::TextIndex::add`]. `None` leaves the row out, so it is the
    /// place for other conditions.
    ///
    /// Cost: the entries of the query's words; and for each row that a word proposes, a read of it at the point asked for
    /// and a look through its text. If the words propose more than a quarter of all rows, one scan. The rarest words come first, and what
    /// the others alone cannot bring among the best is not looked at. The memory of `limit` hits.
    ///
    /// # Errors
    /// [`Error::Query`]; [`Error::Temporal`], among others for a point in time of a plain collection.
    pub fn search(
        &self,
        query: &Query,
        search: &Search,
        text: impl FnMut(&Fact<'s>) -> Option<Cow<'s, str>>,
    ) -> Result<Vec<Hit<'s>>> {
        let compiled = query.compile(&self.info.rules)?;
        let best = Best {
            limit: search.limit.min(LIMIT_MAX),
            after: search.after.as_ref(),
            hits: BinaryHeap::new(),
            rows: HashSet::new(),
        };
        if best.limit == 0 {
            return Ok(Vec::new());
        }
        let system = self.view.resolve(search.at.system)?;
        let statistics = self.statistics(search.at.system)?;
        let tree = self.info.words_tree();
        let known = compiled.terms.iter().map(|term| candidates::known(self.words, &tree, term, system));
        let known = known.collect::<Result<Vec<_>>>()?;
        let plan = Plan::new(&compiled, &known, statistics.rows);
        let weights = known.iter().map(|known| weight(statistics.rows, known.entries)).collect();
        let needed = plan.proposing().fold(0, |bits, term| bits | 1 << term);
        let matcher = Matcher::new(&compiled, self.info.rules, weights, statistics.mean_len(), needed);
        let mut run = Run {
            texts: self,
            search,
            tree,
            system,
            rows: statistics.rows,
            known,
            plan,
            matcher,
            text,
            best,
        };
        run.collect()?;
        Ok(run.best.hits.into_sorted_vec().into_iter().map(|ranked| ranked.0).collect())
    }
}

/// A search under way.
struct Run<'q, 's, F> {
    texts: &'q Texts<'s>,
    search: &'q Search,
    /// Name of the tree of the words.
    tree: String,
    system: Timestamp,
    /// How many rows there are.
    rows: u64,
    known: Vec<Known>,
    plan: Plan,
    matcher: Matcher<'q>,
    text: F,
    best: Best<'q, 's>,
}

impl<'s, F: FnMut(&Fact<'s>) -> Option<Cow<'s, str>>> Run<'_, 's, F> {
    /// Looks at what each term proposes, the weightiest first. A row may be looked at for several of them.
    fn collect(&mut self) -> Result<()> {
        let terms: Vec<usize> = self.plan.proposing().collect();
        for (rank, term) in terms.iter().enumerate() {
            if self.is_useless(rank) {
                return Ok(());
            }
            let (texts, rows) = (self.texts, &self.search.rows);
            let candidates =
                candidates::rows(texts.words, &self.tree, &self.known[*term], rows, self.system)?;
            match candidates.filter(|_| !self.is_scan_faster(&terms[rank..])) {
                Some(candidates) => self.look_at(candidates, rank)?,
                // Whatever the other terms propose is seen in the same scan.
                None => return self.scan(),
            }
        }
        Ok(())
    }

    /// Whether rows without the first terms cannot come among the best any more.
    fn is_useless(&self, terms: usize) -> bool {
        self.best.worst().is_some_and(|worst| self.plan.most_without(terms) < worst)
    }

    fn is_scan_faster(&self, terms: &[usize]) -> bool {
        let entries = terms.iter().map(|term| self.known[*term].entries).sum::<u64>();
        self.search.rows == Rows::all() && entries > self.rows / SCAN_SHARE
    }

    fn look_at(&mut self, mut candidates: Candidates<'s>, rank: usize) -> Result<()> {
        while let Some(row) = candidates.next()? {
            let row = RowKey::decode(row).ok_or_else(|| Error::damaged(&self.tree, row))?;
            let Some(fact) = self.texts.collection.get(row, self.at())? else { continue };
            self.consider(fact);
            if self.is_useless(rank) {
                break;
            }
        }
        Ok(())
    }

    fn scan(&mut self) -> Result<()> {
        for fact in self.texts.collection.scan(&self.search.rows, self.at())? {
            self.consider(fact?);
        }
        Ok(())
    }

    fn at(&self) -> At {
        if planted(Bug::SearchThePresent) { At::NOW } else { self.search.at }
    }

    fn consider(&mut self, fact: Fact<'s>) {
        let score = (self.text)(&fact).and_then(|text| self.matcher.score(&text));
        if let Some(score) = score {
            self.best.offer(Hit { fact, score });
        }
    }
}

/// The best hits so far.
struct Best<'a, 's> {
    limit: usize,
    after: Option<&'a Mark>,
    hits: BinaryHeap<Ranked<'s>>,
    /// The rows of the hits. One that comes again has the same score, so if it went it goes again.
    rows: HashSet<RowKey>,
}

impl<'s> Best<'_, 's> {
    fn offer(&mut self, hit: Hit<'s>) {
        let place = (hit.score, &hit.fact.row);
        if self.after.is_some_and(|mark| order(place, (mark.score, &mark.row)).is_le()) {
            return;
        }
        let is_last = |worst: &Ranked<'_>| order(place, (worst.0.score, &worst.0.fact.row)).is_ge();
        if self.hits.len() == self.limit && self.hits.peek().is_some_and(is_last) {
            return;
        }
        if self.rows.insert(hit.fact.row.clone()) {
            self.hits.push(Ranked(hit));
        }
        if self.hits.len() > self.limit
            && let Some(Ranked(worst)) = self.hits.pop()
        {
            self.rows.remove(&worst.fact.row);
        }
    }

    /// The score of the last hit, once there are as many as are wanted.
    fn worst(&self) -> Option<f64> {
        if self.hits.len() < self.limit {
            return None;
        }
        self.hits.peek().map(|ranked| ranked.0.score)
    }
}
