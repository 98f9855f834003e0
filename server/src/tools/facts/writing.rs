//! The tools that write facts down, and set right what was wrong.

use llmdb::memory::facts::By;
use serde::Deserialize;
use serde_json::json;

use super::{
    shapes::{agent, commit, document_with, flag, key, new_fact, or_null, period, reason, version},
    told::Told,
};
use crate::tools::{Answer, Call, Effect, Tool, arguments, closed, list_of, said, shape};

pub(super) static REMEMBER: Tool = Tool {
    name: "remember",
    title: "Remember",
    description: "Writes facts down, each as something said of a subject: key \"alice/employer\", text \"Acme Corp\". Use it as \
        soon as you learn something that will matter later. Say since when it holds (from) if that was not just now, and \
        where you have it from (source). The same key again means that it changed: what was said before stays in the history, \
        and is answered in replaced. Leave the key out for a note that has none; give a subject to file it there. Example: \
        {\"facts\": [{\"key\": \"alice/employer\", \"text\": \"Acme Corp\", \"from\": \"2024-03-01\", \"source\": \"her email of 2 \
        March\", \"confidence\": 0.9, \"tags\": [\"work\"]}]}. If you learn that what you wrote about the past was wrong, use \
        correct. On an error nothing was written: mend the field that it names, and send all of them again.",
    effect: Effect::Adds,
    input: || closed(json!({ "facts": list_of(new_fact()), "agent": agent() }), &["facts"]),
    output: || {
        let fact = shape(
            json!({ "key": key(), "valid": period(), "unchanged": flag(), "replaced": list_of(version()) }),
            &["key", "valid", "unchanged", "replaced"],
        );
        shape(json!({ "learned": or_null(commit()), "facts": list_of(fact) }), &["learned", "facts"])
    },
    run: remember,
};

pub(super) static CORRECT: Tool = Tool {
    name: "correct",
    title: "Correct",
    description: "Says that what was believed was wrong, and what is right, for facts of one subject. Nothing is deleted: the mistake \
        stays in the history, with your reason. Without from and to, the period of the fact that holds now is corrected. Use remember \
        instead when something changed in the world. Example: {\"corrections\": [{\"key\": \"alice/employer\", \"text\": \"Acme \
        Inc\", \"from\": \"2024-03-01\"}], \"reason\": \"misread her email\"}. On an error nothing was written.",
    effect: Effect::Adds,
    input: || {
        let correction = closed(document_with(json!({ "key": key() })), &["key", "text"]);
        closed(
            json!({ "corrections": list_of(correction), "reason": reason(), "agent": agent() }),
            &["corrections"],
        )
    },
    output: || {
        let fact = shape(
            json!({ "key": key(), "valid": period(), "replaced": list_of(version()) }),
            &["key", "valid", "replaced"],
        );
        shape(json!({ "learned": commit(), "facts": list_of(fact) }), &["learned", "facts"])
    },
    run: correct,
};

fn remember(mut call: Call<'_>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Arguments {
        facts: Vec<Told>,
        agent: Option<String>,
    }
    let Arguments { facts, agent } = arguments(&mut call)?;
    let (agent, now) = (call.agent(agent), call.now()?);
    let facts = facts.into_iter().enumerate();
    let facts =
        facts.map(|(index, told)| told.fact(index, agent.clone(), now)).collect::<Result<Vec<_>, _>>()?;
    Answer::data(&call.facts().remember(&facts).map_err(said)?)
}

fn correct(mut call: Call<'_>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Arguments {
        corrections: Vec<Told>,
        reason: Option<String>,
        agent: Option<String>,
    }
    let Arguments { corrections, reason, agent } = arguments(&mut call)?;
    let (agent, now) = (call.agent(agent), call.now()?);
    let corrections = corrections.into_iter().enumerate();
    let corrections = corrections
        .map(|(index, told)| told.correction(index, agent.clone(), now))
        .collect::<Result<Vec<_>, _>>()?;
    Answer::data(&call.facts().correct(&corrections, &By { agent, reason }).map_err(said)?)
}
