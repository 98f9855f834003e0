//! Facts with real dates: how many lines each file had since when, as git tells.

use std::{collections::BTreeMap, path::Path};

use llmdb::{
    Timestamp,
    memory::facts::{Document, FactKey, NewFact},
};

use super::input::git;

/// The subject of what is said of files.
pub const SUBJECT: &str = "lines";
/// Commits and facts that the tour takes, so that it stays short wherever it is started.
const COMMITS_MAX: usize = 5_000;
const FACTS_MAX: usize = 10_000;

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;

/// What happened to a file.
struct Event {
    at: i64,
    path: String,
    lines: u64,
    author: String,
    commit: String,
}

/// What is said of files, and where that comes from.
pub struct Past {
    pub origin: String,
    /// In the order of the time in which they begin to hold. No two of one file hold at the same time.
    pub facts: Vec<NewFact>,
}

impl Past {
    /// The past of `folder`, or a made one if nobody tells it.
    pub fn gather(folder: &Path) -> Self {
        let events = events(folder);
        let dates: std::collections::BTreeSet<_> = events.iter().map(|event| event.at / DAY).collect();
        match dates.len() {
            // One day is no past: a copy without history, or with the newest commit alone.
            0 | 1 => Self { origin: "a past made on the spot".into(), facts: facts(made()) },
            _ => Self {
                origin: "the history of this checkout, with the dates of its commits".into(),
                facts: facts(events),
            },
        }
    }

    /// How many files had how many lines at a moment, counted without a database.
    pub fn count_at(&self, moment: Timestamp) -> (u64, u64) {
        let holds = |fact: &&NewFact| {
            fact.from.is_some_and(|from| from <= moment) && fact.to.is_none_or(|to| moment < to)
        };
        let held = self.facts.iter().filter(holds);
        held.fold((0, 0), |(files, lines), fact| (files + 1, lines + lines_of(&fact.document)))
    }
}

/// The number of lines that a document tells.
pub fn lines_of(document: &Document) -> u64 {
    document.value.as_ref().and_then(serde_json::Value::as_u64).unwrap_or(0)
}

/// What git tells of each file along the main line, oldest first.
fn events(folder: &Path) -> Vec<Event> {
    let arguments = [
        "log",
        "--first-parent",
        "-m",
        "--reverse",
        "--no-renames",
        "--numstat",
        "--format=%x01%at%x1f%h%x1f%an",
    ];
    let text = git(folder, &[&["-c", "core.quotePath=off"], &arguments[..]].concat()).unwrap_or_default();
    let mut lines_of: BTreeMap<&str, u64> = BTreeMap::new();
    let mut events = Vec::new();
    let (mut at, mut author, mut commit, mut commits) = (0, "", "", 0);
    for line in text.lines() {
        if let Some(head) = line.strip_prefix('\u{1}') {
            let mut fields = head.splitn(3, '\u{1f}');
            let seconds: i64 = fields.next().and_then(|text| text.parse().ok()).unwrap_or(0);
            // Who rewrites commits may leave dates that go back; what was there before was there before.
            at = (seconds.saturating_mul(SECOND)).max(at);
            (commit, author) = (fields.next().unwrap_or(""), fields.next().unwrap_or(""));
            commits += 1;
            if commits > COMMITS_MAX {
                break;
            }
            continue;
        }
        let mut fields = line.splitn(3, '\t');
        let numbers = (fields.next().and_then(number), fields.next().and_then(number));
        let ((Some(added), Some(deleted)), Some(path)) = (numbers, fields.next()) else { continue };
        let lines = lines_of.entry(path).or_default();
        *lines = (*lines + added).saturating_sub(deleted);
        let (path, author, commit) = (path.to_owned(), author.to_owned(), commit.to_owned());
        events.push(Event { at, path, lines: *lines, author, commit });
    }
    events
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok()
}

/// Each event as a fact that holds until the next of its file. A file without lines is not there.
fn facts(events: Vec<Event>) -> Vec<NewFact> {
    let mut open: BTreeMap<String, usize> = BTreeMap::new();
    let mut facts: Vec<NewFact> = Vec::new();
    for event in events {
        let from = Some(Timestamp::new(event.at));
        if let Some(index) = open.remove(&event.path) {
            facts[index].to = from;
        }
        let Ok(key) = FactKey::new(SUBJECT, event.path.as_str()) else { continue };
        if event.lines > 0 && facts.len() < FACTS_MAX {
            open.insert(event.path, facts.len());
            let document = Document {
                text: format!("{} lines", event.lines),
                value: Some(event.lines.into()),
                source: Some(format!("commit {}", event.commit)),
                agent: Some(event.author).filter(|author| !author.trim().is_empty()),
                ..Document::default()
            };
            facts.push(NewFact { key: key.into(), document, from, to: None });
        }
    }
    // Two commits of one second leave nothing between them.
    facts.retain(|fact| fact.from != fact.to);
    facts
}

/// A past of two years, for where there is none.
fn made() -> Vec<Event> {
    const JANUARY_1_2024: i64 = 1_704_067_200 * SECOND;
    let event = |number: u64| {
        let days = i64::try_from(number * 7 % 730).unwrap_or(0);
        Event {
            at: JANUARY_1_2024 + days * DAY,
            path: format!("chapter-{:02}.txt", number * 5 % 24),
            lines: 20 + number * 37 % 400,
            author: ["Ada", "Grace", "Edsger"][usize::try_from(number % 3).unwrap_or(0)].to_owned(),
            commit: format!("{:07x}", number * 7_654_321 % 0x0FFF_FFFF),
        }
    };
    let mut events: Vec<_> = (0..600).map(event).collect();
    events.sort_by_key(|event| event.at);
    events
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_file_ends_where_the_next_begins() {
        let event = |at, path: &str, lines| Event {
            at,
            path: path.into(),
            lines,
            author: "A".into(),
            commit: "c".into(),
        };
        let facts = facts(vec![
            event(1, "a", 10),
            event(2, "b", 5),
            event(3, "a", 12),
            event(3, "a", 13),
            event(4, "b", 0),
            event(5, "tab\there", 1),
        ]);
        let told: Vec<_> = facts
            .iter()
            .map(|fact| {
                (lines_of(&fact.document), fact.from.map(Timestamp::get), fact.to.map(Timestamp::get))
            })
            .collect();
        assert_eq!(told, [(10, Some(1), Some(3)), (5, Some(2), Some(4)), (13, Some(3), None)]);
        let past = Past { origin: String::new(), facts };
        assert_eq!(past.count_at(Timestamp::new(2)), (2, 15));
        assert_eq!(past.count_at(Timestamp::new(4)), (1, 13));
    }

    #[test]
    fn a_made_past_can_be_remembered() {
        let past = Past { origin: String::new(), facts: facts(made()) };
        assert!(
            past.facts.len() > 100 && past.facts.iter().all(|fact| fact.from < fact.to || fact.to.is_none())
        );
    }
}
