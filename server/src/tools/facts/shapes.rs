//! The shapes of arguments and results that the tools for facts have in common.

use serde_json::{Value, json};

use crate::tools::{closed, list_of, shape, text};

pub(super) fn new_fact() -> Value {
    let subject = text("Where to file a fact that has no key of its own");
    closed(document_with(json!({ "key": key(), "subject": subject })), &["text"])
}

/// The members of a fact that is told, after those of `first`.
pub(super) fn document_with(mut first: Value) -> Value {
    let document = json!({
        "text": { "type": "string", "minLength": 1, "description": "What is the case, in a short statement" },
        "value": { "description": "The same for programs: any JSON" },
        "from": text("Since when it holds: \"2024-03-01\", \"yesterday\", RFC 3339; now if left out"),
        "to": text("The first moment at which it does not hold any more; left out if no end is known"),
        "source": text("Where it is known from"),
        "confidence": { "type": "number", "minimum": 0, "maximum": 1, "description": "How sure, from 0 to 1" },
        "tags": list_of(text("A word to find it by")),
    });
    if let (Value::Object(first), Value::Object(document)) = (&mut first, document) {
        first.extend(document);
    }
    first
}

pub(super) fn key() -> Value {
    text("subject/name, as in alice/employer")
}

pub(super) fn subject() -> Value {
    text("All facts of this subject: what stands before the slash of keys")
}

pub(super) fn agent() -> Value {
    text("Who says so; the name of the client if left out")
}

pub(super) fn reason() -> Value {
    text("Why, for whoever asks later")
}

pub(super) fn when_valid() -> Value {
    text("A time in the world: \"2024-06-01\", \"3 days ago\", RFC 3339; always UTC")
}

pub(super) fn when_known() -> Value {
    text("A time, or a transaction (\"tx42\"): what was known then")
}

pub(super) fn results() -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": 1000, "description": "Most results, 50 if left out" })
}

pub(super) fn cursor() -> Value {
    text("The cursor of the last answer, for what comes behind it")
}

pub(super) fn next() -> Value {
    json!({ "type": ["string", "null"], "description": "Where to go on; null if that is all" })
}

pub(super) fn flag() -> Value {
    json!({ "type": "boolean" })
}

pub(super) fn anything() -> Value {
    json!({ "type": "object" })
}

pub(super) fn or_null(mut schema: Value) -> Value {
    schema["type"] = json!([schema["type"], "null"]);
    schema
}

pub(super) fn moment() -> Value {
    json!({ "type": ["string", "null"] })
}

pub(super) fn period() -> Value {
    shape(json!({ "from": moment(), "to": moment() }), &["from", "to"])
}

pub(super) fn commit() -> Value {
    shape(json!({ "txid": { "type": "integer" }, "at": { "type": "string" } }), &["txid", "at"])
}

pub(super) fn point() -> Value {
    shape(json!({ "valid": { "type": "string" }, "known": or_null(commit()) }), &["valid", "known"])
}

pub(super) fn fact() -> Value {
    shape(
        json!({ "key": key(), "text": { "type": "string" }, "valid": period(), "learned": { "type": "string" } }),
        &["key", "text", "valid", "learned"],
    )
}

pub(super) fn version() -> Value {
    shape(
        json!({ "text": { "type": "string" }, "valid": period(), "known": period(), "learned": commit() }),
        &["text", "valid", "known", "learned"],
    )
}
