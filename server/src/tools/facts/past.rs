//! The tools that tell what was said before, where it comes from, and what has changed.

use llmdb::memory::facts::{DiffQuery, HistoryQuery, Point};
use serde::Deserialize;
use serde_json::json;

use super::{
    shapes::{
        anything, cursor, fact, flag, key, next, or_null, point, results, subject, version, when_known,
        when_valid,
    },
    told::{known, moment_of, parse_key, which},
};
use crate::tools::{Answer, Call, Effect, Tool, arguments, closed, list_of, said, shape, text};

pub(super) static HISTORY: Tool = Tool {
    name: "history",
    title: "History",
    description: "Tells everything that was ever said of one fact: each version with when it held (valid), when that was believed (known; \
        open if it still is) and the commit that said so. Use it when something seems to have changed, or before you correct. \
        Example: {\"key\": \"alice/employer\"}. An error says if nothing was ever known: look for the key with recall and a prefix.",
    effect: Effect::Reads,
    input: || closed(json!({ "key": key(), "max_results": results(), "cursor": cursor() }), &["key"]),
    output: || {
        shape(
            json!({ "key": key(), "versions": list_of(version()), "cursor": next() }),
            &["key", "versions", "cursor"],
        )
    },
    run: history,
};

pub(super) static WHY: Tool = Tool {
    name: "why",
    title: "Why",
    description: "Tells where a fact comes from: what was asserted, when, by whom, from which source, what it took the place of, and what took \
        its place. Use it when you are asked how you know, or when two facts disagree. Example: {\"key\": \"alice/employer\"}. With \
        as_of_valid and as_of_known it explains what held, and was known, at another time.",
    effect: Effect::Reads,
    input: || {
        closed(json!({ "key": key(), "as_of_valid": when_valid(), "as_of_known": when_known() }), &["key"])
    },
    output: || {
        shape(
            json!({ "key": key(), "holds": flag(), "asserted": version(), "noted": or_null(anything()),
                "replaced": list_of(version()), "replaced_by": list_of(anything()) }),
            &["key", "holds", "asserted", "noted", "replaced", "replaced_by"],
        )
    },
    run: why,
};

pub(super) static DIFF: Tool = Tool {
    name: "diff",
    title: "Diff",
    description: "Tells how facts differ between two points in time: what was added, removed or changed. known_from and known_to compare \
        what was known (\"what have I learned since yesterday\"), valid_from and valid_to what held. What is left out is now. Example: \
        {\"subject\": \"alice\", \"known_from\": \"yesterday\"}",
    effect: Effect::Reads,
    input: || {
        closed(
            json!({
                "subject": subject(), "prefix": text("What keys begin with"), "known_from": when_known(), "known_to": when_known(),
                "valid_from": when_valid(), "valid_to": when_valid(), "max_results": results(), "cursor": cursor(),
            }),
            &[],
        )
    },
    output: || {
        let kind = json!({ "type": "string", "enum": ["added", "removed", "changed"] });
        let difference = shape(
            json!({ "key": key(), "kind": kind, "before": or_null(fact()), "after": or_null(fact()) }),
            &["key", "kind"],
        );
        shape(
            json!({ "from": point(), "to": point(), "differences": list_of(difference), "cursor": next() }),
            &["from", "to", "differences", "cursor"],
        )
    },
    run: diff,
};

fn history(mut call: Call<'_>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Arguments {
        key: String,
        max_results: Option<usize>,
        cursor: Option<String>,
    }
    let given: Arguments = arguments(&mut call)?;
    let mut query = HistoryQuery { cursor: given.cursor, ..HistoryQuery::default() };
    query.results_max = given.max_results.unwrap_or(query.results_max);
    Answer::data(&call.facts().history(&parse_key(&given.key, "")?, &query).map_err(said)?)
}

fn why(mut call: Call<'_>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Arguments {
        key: String,
        as_of_valid: Option<String>,
        as_of_known: Option<String>,
    }
    let given: Arguments = arguments(&mut call)?;
    let now = call.now()?;
    let point = Point {
        valid: moment_of(given.as_of_valid.as_deref(), "as_of_valid", now)?,
        known: known(given.as_of_known.as_deref(), "as_of_known", now)?,
    };
    Answer::data(&call.facts().why(&parse_key(&given.key, "")?, point).map_err(said)?)
}

fn diff(mut call: Call<'_>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Arguments {
        subject: Option<String>,
        prefix: Option<String>,
        known_from: Option<String>,
        known_to: Option<String>,
        valid_from: Option<String>,
        valid_to: Option<String>,
        max_results: Option<usize>,
        cursor: Option<String>,
    }
    let given: Arguments = arguments(&mut call)?;
    let now = call.now()?;
    let point = |valid: &Option<String>, known_at: &Option<String>, names: [&str; 2]| {
        let valid = moment_of(valid.as_deref(), names[0], now)?;
        Ok::<_, String>(Point { valid, known: known(known_at.as_deref(), names[1], now)? })
    };
    let mut query = DiffQuery {
        what: which(&[], given.subject, given.prefix)?,
        from: point(&given.valid_from, &given.known_from, ["valid_from", "known_from"])?,
        to: point(&given.valid_to, &given.known_to, ["valid_to", "known_to"])?,
        cursor: given.cursor,
        ..DiffQuery::default()
    };
    query.results_max = given.max_results.unwrap_or(query.results_max);
    Answer::data(&call.facts().diff(&query).map_err(said)?)
}
