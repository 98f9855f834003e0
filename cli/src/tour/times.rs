//! The chapter in which facts have two times: when they held, and when that was known.

use llmdb::{
    Db, Timestamp, TxnId,
    memory::{
        Facts,
        facts::{
            By, Correction, DiffQuery, DifferenceKind, Document, FactKey, HistoryQuery, Point, Recall,
            limits::{BATCH_MAX, RESULTS_MAX},
        },
        when,
    },
    temporal::AsOf,
};
use serde_json::json;

use super::{
    past::{Past, SUBJECT, lines_of},
    story::Story,
};
use crate::{
    failure::Failure,
    figures::{Count, Seconds, each},
    host::Stopwatch,
    interrupt::Interrupt,
};

/// Reads to measure with.
const READS: u64 = 2_000;

/// What the chapter leaves for a later one to ask again.
pub struct Told {
    moment: Timestamp,
    files: u64,
    lines: u64,
    fact: FactKey,
    /// The transaction that corrected a fact, and what it made of it.
    corrected: TxnId,
    text: String,
}

/// Learns the past, asks for it, corrects it, and takes the correction back.
pub fn tell(db: &Db, stop: &Interrupt, story: &mut Story<'_>) -> Result<Told, Failure> {
    story.chapter("Two times")?;
    let past = Past::gather(&std::env::current_dir()?);
    let facts = db.memory().facts();
    learn(&facts, &past, stop, story)?;
    let (moment, files, lines) = ask(&facts, &past, story)?;
    stop.check()?;
    let fact = busiest(&past);
    let (corrected, text) = correct(&facts, &fact, moment, story)?;
    Ok(Told { moment, files, lines, fact, corrected, text })
}

fn learn(facts: &Facts<'_>, past: &Past, stop: &Interrupt, story: &mut Story<'_>) -> Result<(), Failure> {
    let watch = Stopwatch::start();
    for batch in past.facts.chunks(BATCH_MAX) {
        stop.check()?;
        facts.remember(batch)?;
    }
    let seconds = watch.seconds();
    let count = past.facts.len() as u64;
    story.say(format_args!(
        "A fact holds for a time, and is known since another. From {}: {} facts, each how many lines a file had, since when, by \
         whom. Learned in {}, today; they begin to hold between {} and {}.",
        past.origin,
        Count(count),
        Seconds(seconds),
        day(first(past)),
        day(last(past))
    ))?;
    story.figure("learned", json!({ "origin": past.origin, "facts": count, "seconds": seconds }));
    Ok(())
}

/// Asks for the past at a few moments, and compares with a count that no database made.
fn ask(facts: &Facts<'_>, past: &Past, story: &mut Story<'_>) -> Result<(Timestamp, u64, u64), Failure> {
    let mut asked = Vec::new();
    let mut answer = (last(past), 0, 0);
    for quarter in [1, 2, 4] {
        let index = (past.facts.len() * quarter / 4).saturating_sub(1);
        let moment = past.facts.get(index).and_then(|fact| fact.from).unwrap_or_default();
        let (files, lines) = count(facts, Point { valid: Some(moment), known: AsOf::Now })?;
        if (files, lines) != past.count_at(moment) {
            return Err(Failure::damaged(format!(
                "the facts valid at {} are not what was learned",
                when::show(moment)
            )));
        }
        asked.push(format!("on {} {} files of {} lines", day(moment), Count(files), Count(lines)));
        if quarter == 2 {
            answer = (moment, files, lines);
        }
    }
    story.say(format_args!("What was there? {}: as a count without a database says.", asked.join(", ")))?;
    let from = Point { valid: Some(answer.0), known: AsOf::Now };
    let (added, removed, changed) = differences(facts, from)?;
    story.say(format_args!(
        "Since {}: {} files more, {} gone, {} changed.",
        day(answer.0),
        Count(added),
        Count(removed),
        Count(changed)
    ))?;
    let names: Vec<_> = past.facts.iter().map(|fact| fact.key.clone()).collect();
    let read = |point: Point| -> Result<f64, Failure> {
        let watch = Stopwatch::start();
        for number in 0..READS {
            let index = usize::try_from(number * 7_919 % names.len().max(1) as u64).unwrap_or(0);
            if let Some(llmdb::memory::facts::NewKey::Given(key)) = names.get(index) {
                facts.recall(&Recall { point, ..Recall::key(key.clone()) })?;
            }
        }
        Ok(each(watch.seconds(), READS))
    };
    let (now, then) = (read(Point::default())?, read(from)?);
    story.say(format_args!(
        "Recalling one of them takes {} of today, and {} of that day.",
        Seconds(now),
        Seconds(then)
    ))?;
    story.figure(
        "times",
        json!({ "asked": when::show(answer.0), "files": answer.1, "lines": answer.2, "added": added, "removed": removed,
                "changed": changed, "recall_seconds": now, "recall_as_of_seconds": then }),
    );
    Ok(answer)
}

/// Corrects what was known of a day, asks both ways, and takes it back.
fn correct(
    facts: &Facts<'_>,
    key: &FactKey,
    moment: Timestamp,
    story: &mut Story<'_>,
) -> Result<(TxnId, String), Failure> {
    let at = |known| Point { valid: Some(moment), known };
    let before = text(facts, key, at(AsOf::Now))?;
    let recount = "13 lines, by a recount";
    let by = By { agent: Some("the tour".into()), reason: Some("somebody counted again".into()) };
    let day_after = Timestamp::new(moment.get() + 86_400_000_000);
    let correction = Correction {
        key: key.clone(),
        document: Document { value: Some(13.into()), ..Document::new(recount) },
        from: Some(moment),
        to: Some(day_after),
    };
    let done = facts.correct(&[correction], &by)?;
    let corrected = done.learned.txid.0;
    let earlier = TxnId::new(corrected.get() - 1);
    let told = [text(facts, key, at(AsOf::Now))?, text(facts, key, at(AsOf::Transaction(earlier)))?];
    if told != [recount.to_owned(), before.clone()] {
        return Err(Failure::damaged(format!("{key} was corrected, and says {told:?}")));
    }
    story.say(format_args!(
        "Then somebody corrects one day: {key} had, on {}, {recount:?}. Asked now, that is the answer; asked by what was known \
         before, it is still {before:?}.",
        day(moment)
    ))?;
    let why = facts.why(key, at(AsOf::Now))?;
    let reason = why.noted.and_then(|noted| noted.reason).unwrap_or_default();
    facts.undo(corrected, &by)?;
    let versions =
        facts.history(key, &HistoryQuery { results_max: RESULTS_MAX, ..HistoryQuery::default() })?.versions;
    let now = text(facts, key, at(AsOf::Now))?;
    if now != before {
        return Err(Failure::damaged(format!("the correction of {key} was undone, and it says {now:?}")));
    }
    story.say(format_args!(
        "Why? \u{201c}{reason}\u{201d}. It was wrong: one undo, and the answer is {before:?} again. That it was believed otherwise \
         meanwhile stays in its history, which has {} versions now.",
        Count(versions.len() as u64)
    ))?;
    story.figure(
        "corrected",
        json!({ "fact": key.to_string(), "txid": corrected.get(), "versions": versions.len() }),
    );
    Ok((corrected, recount.into()))
}

/// Asks once more what was asked before the crash.
pub fn ask_again(db: &Db, told: &Told, story: &mut Story<'_>) -> Result<(), Failure> {
    let facts = db.memory().facts();
    let found = count(&facts, Point { valid: Some(told.moment), known: AsOf::Now })?;
    let corrected = Point { valid: Some(told.moment), known: AsOf::Transaction(told.corrected) };
    let then = text(&facts, &told.fact, corrected)?;
    if found != (told.files, told.lines) || then != told.text {
        return Err(Failure::damaged("the facts are not what they were before the crash"));
    }
    story.say("The facts of both times are what they were, the one that was taken back too.")
}

/// Files and lines at a point.
fn count(facts: &Facts<'_>, point: Point) -> Result<(u64, u64), Failure> {
    let mut query =
        Recall { point, results_max: RESULTS_MAX, keep_duplicates: true, ..Recall::subject(SUBJECT) };
    let (mut files, mut lines) = (0, 0);
    loop {
        let page = facts.recall(&query)?;
        files += page.facts.len() as u64;
        lines += page.facts.iter().map(|fact| lines_of(&fact.document)).sum::<u64>();
        query.cursor = page.cursor;
        if query.cursor.is_none() {
            return Ok((files, lines));
        }
    }
}

/// How many files came, went and changed since a point.
fn differences(facts: &Facts<'_>, from: Point) -> Result<(u64, u64, u64), Failure> {
    let mut query = DiffQuery { from, results_max: RESULTS_MAX, ..DiffQuery::default() };
    let (mut added, mut removed, mut changed) = (0, 0, 0);
    loop {
        let page = facts.diff(&query)?;
        for difference in &page.differences {
            match difference.kind {
                DifferenceKind::Added => added += 1,
                DifferenceKind::Removed => removed += 1,
                DifferenceKind::Changed => changed += 1,
            }
        }
        query.cursor = page.cursor;
        if query.cursor.is_none() {
            return Ok((added, removed, changed));
        }
    }
}

fn text(facts: &Facts<'_>, key: &FactKey, point: Point) -> Result<String, Failure> {
    let found = facts.recall(&Recall { point, ..Recall::key(key.clone()) })?.facts.pop();
    Ok(found.map_or("nothing".into(), |fact| fact.document.text))
}

/// The file of which most is said.
fn busiest(past: &Past) -> FactKey {
    let mut counts = std::collections::BTreeMap::new();
    for fact in &past.facts {
        if let llmdb::memory::facts::NewKey::Given(key) = &fact.key {
            *counts.entry(key).or_insert(0_u64) += 1;
        }
    }
    let busiest = counts.into_iter().max_by_key(|(_, count)| *count);
    busiest.map(|(key, _)| key.clone()).expect("a past has a fact")
}

fn first(past: &Past) -> Timestamp {
    past.facts.first().and_then(|fact| fact.from).unwrap_or_default()
}

fn last(past: &Past) -> Timestamp {
    past.facts.last().and_then(|fact| fact.from).unwrap_or_default()
}

fn day(moment: Timestamp) -> String {
    when::show(moment).split('T').next().unwrap_or_default().to_owned()
}
