//! Facts, periods and commits as people read them.

use llmdb::memory::{
    facts::{Document, Learned, Moment, Noted, ShownFact, ShownPeriod, ShownPoint, ShownVersion},
    when,
};

use crate::{
    failure::Failure,
    output::Output,
    table::Table,
    text::{Keep, escape},
};

/// Longest text in a sentence, in characters.
const QUOTED_MAX: usize = 200;

/// Stored text on one line, with nothing in it that a terminal would obey.
pub fn line(text: &str) -> String {
    escape(text.as_bytes(), Keep::Line)
}

/// A text inside a sentence.
pub fn quoted(document: &Document) -> String {
    let text = line(&document.text);
    match text.char_indices().nth(QUOTED_MAX) {
        Some((len, _)) => format!("{}\u{2026}", &text[..len]),
        None => text,
    }
}

/// A moment: the day alone if it is the first moment of one, else up to the second.
pub fn moment(moment: Moment) -> String {
    let text = when::show(moment.0);
    match text.trim_end_matches('Z').split_once('T') {
        Some((day, "00:00:00")) => day.into(),
        Some((day, time)) => format!("{day} {}", time.get(..8).unwrap_or(time)),
        None => text,
    }
}

/// One end of a period in a table.
pub fn end(end: Option<Moment>) -> String {
    end.map_or("-".into(), moment)
}

/// A period in a sentence.
pub fn period(period: ShownPeriod) -> String {
    match (period.from, period.to) {
        (None, None) => "for all time".into(),
        (None, Some(to)) => format!("until {}", moment(to)),
        (Some(from), None) => format!("from {} on", moment(from)),
        (Some(from), Some(to)) => format!("from {} to {}", moment(from), moment(to)),
    }
}

pub fn commit(learned: Learned) -> String {
    format!("{} ({})", moment(learned.at), learned.txid.0)
}

/// Who did something, and why, behind what was done.
pub fn noted(noted: Option<&Noted>) -> String {
    let Some(noted) = noted else { return String::new() };
    let by = noted.agent.as_deref().map_or(String::new(), |agent| format!(" by {}", line(agent)));
    let why = noted.reason.as_deref().map_or(String::new(), |reason| format!(": {}", line(reason)));
    format!(", {}{by}{why}", line(&noted.op))
}

/// The point that was answered for.
pub fn point(point: &ShownPoint) -> String {
    let known = point
        .known
        .map_or("before anything was known".into(), |known| format!("known since {}", commit(known)));
    format!("valid at {}, {known}", moment(point.valid))
}

/// Facts as a table.
pub fn facts(facts: &[ShownFact], output: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&["KEY", "SAYS", "VALID FROM", "TO", "LEARNED", "TAGS"], 1);
    for fact in facts {
        let same = match fact.same_as.as_slice() {
            [] => String::new(),
            same => {
                format!("  (also {})", same.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
            }
        };
        table.row(vec![
            fact.key.to_string(),
            format!("{}{same}", line(&fact.document.text)),
            end(fact.valid.from),
            end(fact.valid.to),
            moment(fact.learned),
            line(&fact.document.tags.join(", ")),
        ]);
    }
    if table.is_empty() { Ok(()) } else { table.print(output) }
}

/// What was believed until now, one line each.
pub fn replaced(versions: &[ShownVersion], output: &mut Output) -> Result<(), Failure> {
    let line = |version: &ShownVersion| {
        format!("  instead of {:?}, {}", quoted(&version.document), period(version.valid))
    };
    versions.iter().try_for_each(|version| output.line(line(version)))
}

/// Where an answer goes on, if it does.
pub fn more(cursor: Option<&str>, output: &Output) {
    if let Some(cursor) = cursor {
        output.note(format_args!("there is more: the same again with --cursor '{cursor}'"));
    }
}
