//! The tools that let go of facts: for the future, for good, and of what one transaction wrote.

use std::collections::BTreeSet;

use llmdb::{
    memory::{
        facts::{By, Forget, HistoryQuery, What},
        when,
    },
    temporal::TxnId,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    shapes::{agent, commit, flag, key, or_null, period, reason, subject, version},
    told::{keys, moment_of, which},
};
use crate::tools::{Answer, Call, Effect, Tool, arguments, closed, list_of, said, shape, text};

pub(super) static FORGET: Tool = Tool {
    name: "forget",
    title: "Forget",
    description: "Says that facts do not hold any more, from now or from another time on. They stay in the history and can be asked for \
        as of before. Name keys, or a subject for all of it. To remove something from the history as well, use erase. Example: \
        {\"keys\": [\"alice/employer\"], \"from\": \"2025-01-01\", \"reason\": \"she left\"}",
    effect: Effect::Removes,
    input: || {
        closed(
            json!({ "keys": list_of(key()), "subject": subject(), "from": text("Since when they do not hold; now if left out"),
                "reason": reason(), "agent": agent() }),
            &[],
        )
    },
    output: || {
        let fact = shape(json!({ "key": key(), "replaced": list_of(version()) }), &["key", "replaced"]);
        shape(
            json!({ "learned": commit(), "valid": period(), "facts": list_of(fact) }),
            &["learned", "valid", "facts"],
        )
    },
    run: forget,
};

pub(super) static ERASE: Tool = Tool {
    name: "erase",
    title: "Erase",
    description: "Destroys facts with their whole history, in both times, in the file and its log. Nobody can ask for them any more, nor \
        undo it; only a note without content stays, that something was erased. Use it only when somebody wants something not to be \
        kept: a secret, a personal detail. What is merely no longer true is for forget, what was wrong for correct. Backups made \
        before still hold it. Example: {\"keys\": [\"alice/password\"]}. It reads the whole file and may take a while.",
    effect: Effect::Removes,
    input: || closed(json!({ "keys": list_of(key()) }), &["keys"]),
    output: || {
        let erased = shape(
            json!({ "key": key(), "erasure": { "type": "integer" }, "at": { "type": "string" }, "complete": flag() }),
            &["key", "erasure", "at", "complete"],
        );
        shape(json!({ "erased": list_of(erased) }), &["erased"])
    },
    run: erase,
};

pub(super) static UNDO: Tool = Tool {
    name: "undo",
    title: "Undo",
    description: "Takes back everything that one transaction wrote, as far as nothing later changed it. Its number is txid in the answer of the \
        tool that wrote, and in history and why. That it was believed meanwhile stays known, and an undo can be undone. \
        Example: {\"txid\": 42, \"reason\": \"wrong person\"}",
    effect: Effect::Removes,
    input: || {
        let txid = json!({ "type": "integer", "minimum": 1, "description": "Number of the transaction" });
        closed(json!({ "txid": txid, "reason": reason(), "agent": agent() }), &["txid"])
    },
    output: || {
        let kept = shape(json!({ "key": key(), "valid": period() }), &["key", "valid"]);
        let count = json!({ "type": "integer" });
        shape(
            json!({ "learned": or_null(commit()), "undone": count, "facts": list_of(key()), "restored": count,
                "kept": list_of(kept), "kept_others": count }),
            &["learned", "undone", "facts", "restored", "kept"],
        )
    },
    run: undo,
};

fn forget(mut call: Call<'_>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Arguments {
        #[serde(default)]
        keys: Vec<String>,
        subject: Option<String>,
        from: Option<String>,
        reason: Option<String>,
        agent: Option<String>,
    }
    let given: Arguments = arguments(&mut call)?;
    let what = which(&given.keys, given.subject, None)?;
    if what == What::All {
        return Err("keys, subject: say which facts; everything at once is not forgotten".into());
    }
    let from = moment_of(given.from.as_deref(), "from", call.now()?)?;
    let by = By { agent: call.agent(given.agent), reason: given.reason };
    Answer::data(&call.facts().forget(&Forget { what, from, to: None, by }).map_err(said)?)
}

fn erase(mut call: Call<'_>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Arguments {
        keys: Vec<String>,
    }
    let given: Arguments = arguments(&mut call)?;
    let keys: BTreeSet<_> = keys(&given.keys)?.into_iter().collect();
    if keys.is_empty() {
        return Err("keys: there are none; give at least one".into());
    }
    let facts = call.facts();
    // Looked at before anything is destroyed.
    let one = HistoryQuery { results_max: 1, ..HistoryQuery::default() };
    keys.iter().try_for_each(|key| facts.history(key, &one).map(drop).map_err(said))?;
    let erased = keys.iter().map(|key| facts.erase(key, &mut |_, _| false).map_err(said));
    let erased = erased.collect::<Result<Vec<_>, _>>()?;
    // The bytes of all of them in one go.
    let scrub = call.db.facts().finish_erasures(&mut |_, _| true).map_err(|error| said(error.into()))?;
    let told = erased.iter().map(|fact| {
        let erasure = &fact.report.erasure;
        json!({ "key": fact.key, "erasure": erasure.number, "at": when::show(erasure.timestamp), "complete": scrub.is_complete() })
    });
    Answer::data(&json!({ "erased": told.collect::<Vec<Value>>() }))
}

fn undo(mut call: Call<'_>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Arguments {
        txid: u64,
        reason: Option<String>,
        agent: Option<String>,
    }
    let given: Arguments = arguments(&mut call)?;
    let by = By { agent: call.agent(given.agent), reason: given.reason };
    Answer::data(&call.facts().undo(TxnId::new(given.txid), &by).map_err(said)?)
}
