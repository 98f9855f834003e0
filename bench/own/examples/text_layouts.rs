//! What designs of a text index cost in two times: bytes of the log and of the file for each fact, and queries at two points.
//!
//!     cargo run --release -p llmdb-bench-own --example text_layouts [FACTS] [VERSIONS] [DESIGN]
//!
//! - none: the facts alone; a query reads all of them at the point and cuts them into words.
//! - postings are facts: a collection in two times with a row for each word and fact.
//! - every version's postings: a tree of word, fact, and commit; what is found is compared with the fact at the point.
//! - words ever: the room `llmdb-text`: a tree of word and fact; what is found is read at the point and looked at again.
//!
//! Texts have 10 to 30 words of 20,000, few of them frequent; each version changes a third of them. Times are the median of 15.

use std::{borrow::Cow, collections::HashMap};

use llmdb_bench_own::rows::Random;
use llmdb_engine::{Durability, Engine, Options};
use llmdb_temporal::{
    AsOf, At, Element, Fact, History, Key, RowKey, Rows, Store, Timestamp, Valid, Value, View, WriteTxn,
};
use llmdb_text::{Language, Query, Search, TextIndex, Texts};
use llmdb_vfs::{OsVfs, Vfs};

type Result<T> = std::result::Result<T, llmdb_text::Error>;

const FACTS: &str = "facts";
const POSTINGS: &str = "postings";
const VOCABULARY: usize = 20_000;
const PER_TXN: usize = 100;

/// A word of the vocabulary.
fn spelled(mut number: usize) -> String {
    let mut word = String::new();
    while number > 0 || word.is_empty() {
        word.push(char::from(b"tnsrlmkdpbgvf"[number % 13]));
        word.push(char::from(b"aeiou"[number / 13 % 5]));
        number /= 65;
    }
    word
}

/// A word; those with low numbers are frequent.
fn word(random: &mut Random) -> String {
    // A square of a uniform number leans to 0, its square more so.
    let uniform = random.below(1 << 20) as f64 / f64::from(1 << 20);
    #[expect(clippy::cast_possible_truncation, reason = "a number of the vocabulary")]
    let number = (uniform.powi(4) * VOCABULARY as f64) as usize;
    spelled(number)
}

fn text(random: &mut Random) -> Vec<String> {
    (0..10 + random.below(21)).map(|_| word(random)).collect()
}

fn row(number: usize) -> RowKey {
    RowKey::new(0, Key::of([Element::from("subject"), Element::from(&*format!("fact {number:07}"))]))
}

#[derive(Clone, Copy, PartialEq)]
enum Design {
    None,
    Facts,
    Versions,
    Words,
}

struct Bench {
    facts: usize,
    design: Design,
    index: Option<TextIndex>,
}

impl Bench {
    fn write(&self, txn: &mut WriteTxn<'_>, number: usize, old: &[String], new: &[String]) -> Result<()> {
        let (row, text) = (row(number), new.join(" "));
        txn.collection(FACTS)?.put(&row, Valid::Now, Value::raw(text.as_bytes()))?;
        let counts = |words: &[String]| {
            let mut counts: HashMap<String, u16> = HashMap::new();
            words.iter().for_each(|word| *counts.entry(word.clone()).or_default() += 1);
            counts
        };
        match self.design {
            Design::None => {}
            Design::Facts => {
                let (old, new) = (counts(old), counts(new));
                let mut postings = txn.collection(POSTINGS)?;
                let place =
                    |word: &str| RowKey::new(0, Key::of([Element::from(word), Element::from(number as i64)]));
                for (word, count) in &new {
                    if old.get(word) != Some(count) {
                        postings.put(place(word), Valid::Now, Value::raw(&count.to_le_bytes()))?;
                    }
                }
                for word in old.keys().filter(|word| !new.contains_key(*word)) {
                    postings.delete(place(word), Valid::Now)?;
                }
            }
            Design::Versions => {
                let learned = txn.timestamp().get().to_be_bytes();
                let len = u16::try_from(new.len()).unwrap_or(u16::MAX);
                let mut tree = txn.engine().tree(POSTINGS)?;
                for (word, count) in counts(new) {
                    let key = [word.as_bytes(), &[0], &row.encode(), &learned].concat();
                    tree.put(key, [count.to_le_bytes(), len.to_le_bytes()].concat())?;
                }
            }
            Design::Words => {
                if let Some(index) = &self.index {
                    index.add(txn, &row, &text)?;
                }
            }
        }
        Ok(())
    }

    /// How many facts have one of the words at a point; the best ten are chosen, too.
    fn query(&self, view: &View, words: &[&str], at: At) -> Result<usize> {
        let facts = view.collection(FACTS)?;
        let mut best: Vec<(f64, RowKey)> = Vec::new();
        let mut found = 0;
        let mut offer = |score: f64, row: RowKey| {
            found += 1;
            let is_among = best.len() < 10 || best.last().is_some_and(|last| last.0 < score);
            if is_among {
                best.push((score, row));
                best.sort_by(|a, b| b.0.total_cmp(&a.0));
                best.truncate(10);
            }
        };
        match self.design {
            Design::None => {
                for fact in facts.scan(&Rows::all(), at)? {
                    let fact = fact?;
                    let text = text_of(&fact).unwrap_or_default();
                    let (mut len, mut count) = (0, 0);
                    for found in text.split(' ') {
                        len += 1;
                        count += usize::from(words.contains(&found));
                    }
                    if count > 0 {
                        offer(count as f64 / f64::from(len), fact.row);
                    }
                }
            }
            Design::Facts => {
                let postings = view.collection(POSTINGS)?;
                let mut scores: HashMap<Key, f64> = HashMap::new();
                for word in words {
                    for fact in postings.scan(&Rows::prefix(0, [Element::from(*word)]), at)? {
                        let fact = fact?;
                        *scores.entry(fact.row.key).or_default() += f64::from(fact.value.payload[0]);
                    }
                }
                scores.into_iter().for_each(|(key, score)| offer(score, key.into()));
            }
            Design::Versions => {
                let tree = view.snapshot().tree(POSTINGS)?;
                let mut scores: HashMap<Vec<u8>, f64> = HashMap::new();
                for (word, tree) in words.iter().zip(std::iter::repeat(tree)) {
                    let Some(tree) = tree else { continue };
                    let mut last: Option<(RowKey, Option<Timestamp>)> = None;
                    for entry in tree.prefix([word.as_bytes(), &[0]].concat())? {
                        let (key, value) = entry?;
                        let (row, learned) = key[word.len() + 1..].split_at(key.len() - word.len() - 9);
                        let Some(row) = RowKey::decode(row) else { continue };
                        if last.as_ref().is_none_or(|last| last.0 != row) {
                            let fact = facts.get(&row, at)?;
                            last = Some((row.clone(), fact.map(|fact| fact.learned)));
                        }
                        let learned =
                            learned.try_into().map(|raw| Timestamp::new(i64::from_be_bytes(raw))).ok();
                        if last.as_ref().is_some_and(|last| last.1 == learned) {
                            *scores.entry(row.encode()).or_default() +=
                                f64::from(value[0]) / f64::from(value[2]);
                        }
                    }
                }
                scores
                    .into_iter()
                    .filter_map(|(row, score)| Some((score, RowKey::decode(&row)?)))
                    .for_each(|(score, row)| offer(score, row));
            }
            Design::Words => {
                let texts = Texts::open(view, FACTS)?;
                let query = Query::parse(&words.join(" "))?;
                return Ok(texts.search(&query, &Search::at(at), text_of)?.len());
            }
        }
        Ok(found)
    }
}

fn text_of<'s>(fact: &Fact<'s>) -> Option<Cow<'s, str>> {
    std::str::from_utf8(fact.value.payload).ok().map(Cow::Borrowed)
}

fn run(name: &str, design: Design, facts: usize, versions: usize) -> Result<()> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let engine = Engine::open(folder.path().join("text.llmdb"), Options::default())?;
    let (store, clock) = (Store::new(&engine), OsVfs::new());
    let mut bench = Bench { facts, design, index: None };
    let mut txn = store.begin_write()?;
    txn.create(FACTS, History::default())?;
    match design {
        Design::Facts => txn.create(POSTINGS, History::default())?,
        Design::Words => bench.index = Some(TextIndex::create(&mut txn, FACTS, Language::English)?),
        _ => {}
    }
    let mut last = txn.commit()?;
    let (first, began) = (last.lsn, clock.monotonic_us());
    let (mut random, mut texts) = (Random(9), vec![Vec::new(); bench.facts]);
    let mut moments = Vec::new();
    for version in 0..versions {
        for chunk in (0..bench.facts).collect::<Vec<_>>().chunks(PER_TXN) {
            let mut txn = store.begin_write()?;
            for number in chunk {
                let new = match version {
                    0 => text(&mut random),
                    _ => texts[*number]
                        .iter()
                        .map(
                            |old: &String| if random.below(3) == 0 { word(&mut random) } else { old.clone() },
                        )
                        .collect(),
                };
                bench.write(&mut txn, *number, &texts[*number], &new)?;
                texts[*number] = new;
            }
            last = txn.commit_with(Durability::Off)?;
        }
        moments.push(last.timestamp);
    }
    let writes = (bench.facts * versions) as f64;
    let took = (clock.monotonic_us() - began) as f64 / writes;
    engine.checkpoint()?;
    let stats = engine.stats()?;
    let log = (last.lsn.get() - first.get()) as f64 / writes;
    let live = (stats.pages.live_pages * stats.page_bytes) as f64 / writes;
    print!("| {name} | {log:.0} | {live:.0} | {took:.1} ");
    let view = store.view()?;
    let old = moments[versions / 3];
    for words in [&[15_000][..], &[700], &[15_000, 700, 2], &[2]] {
        let words: Vec<String> = words.iter().map(|number| spelled(*number)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        for at in [At::NOW, At::valid(old).as_of(AsOf::Time(old))] {
            let mut times = Vec::new();
            let mut found = 0;
            for _ in 0..15 {
                let began = clock.monotonic_us();
                found = bench.query(&view, &words, at)?;
                times.push(clock.monotonic_us() - began);
            }
            times.sort_unstable();
            print!("| {} ({found}) ", times[7]);
        }
    }
    println!("|");
    Ok(())
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |default: usize| arguments.next().map_or(default, |text| text.parse().expect("a number"));
    let (facts, versions) = (number(100_000), number(5));
    println!(
        "{facts} facts, {versions} versions each; a query: us, now and as of version {} (rows found, or shown)\n",
        versions / 3 + 1
    );
    println!(
        "| design | log bytes | live bytes | us a write | rare | as of | middling | as of | three words | as of | frequent | as of |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let designs = [
        ("none", Design::None),
        ("postings are facts", Design::Facts),
        ("every version's postings", Design::Versions),
        ("words ever", Design::Words),
    ];
    let wanted = arguments.next();
    for (name, design) in
        designs.into_iter().filter(|design| wanted.as_deref().is_none_or(|wanted| wanted == design.0))
    {
        run(name, design, facts, versions)?;
    }
    Ok(())
}
