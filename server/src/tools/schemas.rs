//! The tools for schemas and migrations: what documents of a collection have to look like, and how to bring them there.

use std::time::{Duration, Instant};

use llmdb::{
    catalog::{Chunk, Definition},
    temporal::{At, Rows},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Answer, Call, Effect, Tool, arguments, closed, list_of, shape, text, told};

/// Documents that are named when they do not fit.
const SAMPLES_MAX: usize = 10;
/// How long one call works at a migration. The next one goes on.
const WORK_WITHIN: Duration = Duration::from_secs(20);

pub(super) static TOOLS: &[Tool] = &[
    Tool {
        name: "list_schemas",
        title: "List Schemas",
        description: "Tells which JSON Schemas the memory has, which collections have to obey them, and which migrations there are. With a name, also \
            the text of that schema. Look here before you store documents of a kind that programs read, and before \
            propose_schema. Example: {} or {\"name\": \"person\"}",
        effect: Effect::Reads,
        input: || {
            let version = json!({ "type": "integer", "minimum": 1, "description": "Which version; the newest if left out" });
            closed(json!({ "name": text("The schema whose text is wanted"), "version": version }), &[])
        },
        output: || {
            shape(
                json!({ "schemas": list_of(json!({ "type": "object" })), "migrations": list_of(json!({ "type": "object" })),
                    "schema": { "type": ["object", "null"] } }),
                &["schemas", "migrations"],
            )
        },
        run: list_schemas,
    },
    Tool {
        name: "propose_schema",
        title: "Propose Schema",
        description: "Writes down the next version of a JSON Schema (draft 2020-12, no $ref to other places). Nothing has to obey it yet. Name a \
            collection to learn which of its documents would not fit (unfit, with the place and what was expected), and set bind to \
            have everything that is written there obey it from then on: that is refused while documents do not fit; mend them, or \
            use apply_migration. Example: {\"name\": \"person\", \"schema\": {\"type\": \"object\", \"required\": [\"text\"]}, \
            \"collection\": \"facts\"}",
        effect: Effect::Adds,
        input: || {
            closed(
                json!({
                    "name": text("Name of the schema"),
                    "schema": { "type": "object", "description": "The JSON Schema" },
                    "collection": text("The collection whose documents are looked at"),
                    "bind": { "type": "boolean", "description": "Whether the collection has to obey it from now on; false if left out" },
                }),
                &["name", "schema"],
            )
        },
        output: || {
            let count = json!({ "type": "integer" });
            shape(
                json!({ "name": { "type": "string" }, "version": count, "documents": count, "unfit_count": count,
                    "unfit": list_of(json!({ "type": "object" })), "bound": { "type": "boolean" } }),
                &["name", "version", "documents", "unfit_count", "unfit", "bound"],
            )
        },
        run: propose_schema,
    },
    Tool {
        name: "apply_migration",
        title: "Apply Migration",
        description: "Rewrites the documents of a collection, by a JSON Patch (patch), a Merge Patch (merge) or a script, for instance to bring them \
            to a new version of a schema. First as it is: a dry run, which writes nothing and answers how many documents it would change, samples of \
            before and after, and failures. Look at them, then call again with dry_run false. What was before stays in the history, and a \
            migration can be rolled back. If it is not done after a while, the answer says how far it is: call again with the same id to go on. \
            Example: {\"id\": \"add-kind\", \"migration\": {\"collection\": \"facts\", \"up\": {\"merge\": {\"kind\": \"note\"}}}}",
        effect: Effect::Adds,
        input: || {
            closed(
                json!({
                    "id": text("Name of the migration: letters, digits, dots, - and _"),
                    "migration": { "type": "object", "description": "collection; schema, from, to (versions) if it moves to another one; where; up; down; note" },
                    "dry_run": { "type": "boolean", "description": "Only look; true if left out" },
                }),
                &["id"],
            )
        },
        output: || json!({ "type": "object", "properties": { "dry_run": { "type": "boolean" } }, "required": ["dry_run"] }),
        run: apply_migration,
    },
];

fn refused(error: impl Into<llmdb::Error>) -> String {
    told(&error.into())
}

fn list_schemas(mut call: Call<'_>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Arguments {
        name: Option<String>,
        version: Option<u32>,
    }
    let Arguments { name, version } = arguments(&mut call)?;
    let catalog = call.db.catalog();
    let view = call.db.facts().view().map_err(refused)?;
    let schemas = catalog.schemas(&view).map_err(refused)?;
    let migrations = catalog.migrations(&view).map_err(refused)?;
    let schema = match &name {
        Some(name) => {
            let schema = catalog.schema(&view, name, version).map_err(refused)?;
            let missing = || {
                format!(
                    "name: there is no schema {name:?} of this version; leave the name out to see which there are"
                )
            };
            Some(schema.ok_or_else(missing)?)
        }
        None => None,
    };
    Answer::data(&json!({ "schemas": schemas, "migrations": migrations, "schema": schema }))
}

fn propose_schema(mut call: Call<'_>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Arguments {
        name: String,
        schema: Value,
        collection: Option<String>,
        #[serde(default)]
        bind: bool,
    }
    let given: Arguments = arguments(&mut call)?;
    if given.bind && given.collection.is_none() {
        return Err("collection: say which one shall obey the schema, or leave bind out".into());
    }
    let catalog = call.db.catalog();
    let version = catalog.put_schema(&given.name, None, &given.schema.to_string()).map_err(refused)?;
    let (mut documents, mut unfit_count, mut unfit) = (0, 0, Vec::new());
    if let Some(name) = &given.collection {
        let view = call.db.facts().view().map_err(refused)?;
        let collection = view.collection(name).map_err(refused)?;
        for fact in collection.scan(&Rows::all(), At::NOW).map_err(refused)? {
            let fact = fact.map_err(refused)?;
            documents += 1;
            let violations =
                catalog.check(&view, &given.name, Some(version), fact.value.payload).map_err(refused)?;
            unfit_count += u64::from(!violations.is_empty());
            if !violations.is_empty() && unfit.len() < SAMPLES_MAX {
                unfit.push(json!({ "row": fact.row.to_string(), "violations": violations }));
            }
        }
        if given.bind {
            catalog.bind(name, &given.name, Some(version)).map_err(refused)?;
        }
    }
    Answer::data(&json!({
        "name": given.name, "version": version, "documents": documents, "unfit_count": unfit_count, "unfit": unfit,
        "bound": given.bind,
    }))
}

fn apply_migration(mut call: Call<'_>) -> Result<Answer, String> {
    #[derive(Deserialize)]
    struct Arguments {
        id: String,
        migration: Option<Value>,
        #[serde(default = "yes")]
        dry_run: bool,
    }
    let given: Arguments = arguments(&mut call)?;
    let catalog = call.db.catalog();
    let view = call.db.facts().view().map_err(refused)?;
    let known = catalog.migration(&view, &given.id).map_err(refused)?;
    let definition = match (&given.migration, &known) {
        (Some(definition), _) => Definition::parse(definition.to_string().as_bytes()).map_err(refused)?,
        (None, Some(known)) => known.stored.definition.clone(),
        (None, None) => {
            return Err(format!("migration: there is none called {:?} yet; say what it does", given.id));
        }
    };
    if given.dry_run {
        let plan = catalog.plan(&definition, &mut |_| true).map_err(refused)?;
        return Answer::data(&json!({ "dry_run": true, "plan": plan }));
    }
    match &known {
        Some(known) if known.stored.definition != definition => {
            return Err(format!("id: {:?} is another migration already; take another name", given.id));
        }
        Some(_) => {}
        None => {
            catalog.propose(&given.id, &definition).map_err(refused)?;
        }
    }
    let until = clock() + WORK_WITHIN;
    let migration = catalog.run(&given.id, Chunk::default(), &mut |_| clock() < until).map_err(refused)?;
    Answer::data(&json!({ "dry_run": false, "migration": migration }))
}

#[expect(clippy::disallowed_methods, reason = "how long a call may take is no time that is stored")]
fn clock() -> Instant {
    Instant::now()
}

const fn yes() -> bool {
    true
}
