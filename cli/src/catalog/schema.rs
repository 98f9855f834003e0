//! `llmdb schema`: what documents should look like.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use llmdb::{Db, temporal::History};
use serde_json::json;

use crate::{
    args::DbArg,
    catalog::text_of,
    failure::{Exit, Failure},
    output::Output,
    store,
    table::Table,
};

/// Say what documents of a collection should look like
#[derive(Debug, Args)]
#[command(after_help = "\
A schema is a JSON Schema. Its versions count from 1, and stay as they are once they are written. Bound to a collection, a
version holds for every write from then on, by whichever program; a document that does not fit is refused with the place.
To move a collection that has documents from one version to the next, see `llmdb migrate --help`.

Examples:
  llmdb schema put person person.json --db my.llmdb       # the next version; prints which
  llmdb schema check person ada.json --db my.llmdb        # does a document fit? exit code 2 if not
  llmdb schema bind people person --create --db my.llmdb
  llmdb schema list --db my.llmdb
  llmdb schema get person --version 1 --db my.llmdb")]
pub struct SchemaArgs {
    #[command(subcommand)]
    command: Schema,
}

#[derive(Debug, Subcommand)]
enum Schema {
    /// Write a version of a schema, from a file or stdin
    Put {
        /// Name of the schema
        name: String,
        /// The JSON Schema; `-` reads it from stdin
        file: PathBuf,
        /// Which version it is [default: the next one]
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        #[command(flatten)]
        db: DbArg,
    },
    /// Print a version of a schema
    Get {
        /// Name of the schema
        name: String,
        /// Which version [default: the newest]
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        #[command(flatten)]
        db: DbArg,
    },
    /// List schemas, their versions, and the collections that have them
    List {
        #[command(flatten)]
        db: DbArg,
    },
    /// Say whether a document fits, and where it does not
    Check {
        /// Name of the schema
        name: String,
        /// The document; `-` reads it from stdin
        file: PathBuf,
        /// Which version [default: the newest]
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        #[command(flatten)]
        db: DbArg,
    },
    /// Give a collection a version of a schema; what is there already has to fit
    Bind {
        /// The collection
        collection: String,
        /// Name of the schema
        name: String,
        /// Which version [default: the newest]
        #[arg(long, value_name = "N")]
        version: Option<u32>,
        /// Make the collection, if it is not there
        #[arg(long)]
        create: bool,
        #[command(flatten)]
        db: DbArg,
    },
    /// Take the schema from a collection: anything may be written then
    Unbind {
        /// The collection
        collection: String,
        #[command(flatten)]
        db: DbArg,
    },
}

pub fn run(args: &SchemaArgs, output: &mut Output) -> Result<Exit, Failure> {
    match &args.command {
        Schema::Put { name, file, version, db } => {
            let text = text_of(file)?;
            let db = store::for_writing(&db.db, true, output)?;
            let version = db.catalog().put_schema(name, *version, &text).map_err(llmdb::Error::from)?;
            db.close()?;
            output.result(&json!({ "schema": name, "version": version }), || {
                format!("{name}, version {version}")
            })?;
            Ok(Exit::Done)
        }
        Schema::Get { name, version, db } => {
            get(name, *version, &store::for_reading(&db.db, output)?, output)
        }
        Schema::List { db } => list(&store::for_reading(&db.db, output)?, output),
        Schema::Check { name, file, version, db } => {
            let text = text_of(file)?;
            check(name, *version, &text, &store::for_reading(&db.db, output)?, output)
        }
        Schema::Bind { collection, name, version, create, db } => {
            let db = store::for_writing(&db.db, false, output)?;
            if *create {
                make(&db, collection)?;
            }
            let bound = db.catalog().bind(collection, name, *version).map_err(llmdb::Error::from)?;
            db.close()?;
            let result = json!({ "collection": collection, "schema": name, "version": bound.version, "documents": bound.documents });
            output.result(&result, || {
                format!(
                    "{collection} has version {} of {name}; {} documents fit",
                    bound.version, bound.documents
                )
            })?;
            Ok(Exit::Done)
        }
        Schema::Unbind { collection, db } => {
            let db = store::for_writing(&db.db, false, output)?;
            let had = db.catalog().unbind(collection).map_err(llmdb::Error::from)?;
            db.close()?;
            output.result(&json!({ "collection": collection, "had_schema": had }), || {
                if had {
                    format!("{collection} has no schema any more")
                } else {
                    format!("{collection} had no schema")
                }
            })?;
            Ok(if had { Exit::Done } else { Exit::NotFound })
        }
    }
}

fn make(db: &Db, collection: &str) -> Result<(), Failure> {
    let view = db.facts().view().map_err(llmdb::Error::from)?;
    if view.collections().map_err(llmdb::Error::from)?.iter().any(|(name, _)| name == collection) {
        return Ok(());
    }
    let mut txn = db.facts().begin_write().map_err(llmdb::Error::from)?;
    txn.create(collection, History::default()).map_err(llmdb::Error::from)?;
    txn.commit().map_err(llmdb::Error::from)?;
    Ok(())
}

fn get(name: &str, version: Option<u32>, db: &Db, output: &mut Output) -> Result<Exit, Failure> {
    let view = db.facts().view().map_err(llmdb::Error::from)?;
    let schema = db.catalog().schema(&view, name, version).map_err(llmdb::Error::from)?;
    let schema = schema.ok_or_else(|| not_found(name, version))?;
    let parsed: serde_json::Value = serde_json::from_str(&schema.text).unwrap_or_default();
    output.result(&json!({ "schema": name, "version": schema.version, "text": parsed }), || {
        schema.text.trim_end().to_owned()
    })?;
    Ok(Exit::Done)
}

fn not_found(name: &str, version: Option<u32>) -> Failure {
    let what = version.map_or_else(
        || format!("schema {name:?}"),
        |version| format!("version {version} of schema {name:?}"),
    );
    Failure::not_found(what).advise("list the schemas with `llmdb schema list`")
}

fn list(db: &Db, output: &mut Output) -> Result<Exit, Failure> {
    let view = db.facts().view().map_err(llmdb::Error::from)?;
    let schemas = db.catalog().schemas(&view).map_err(llmdb::Error::from)?;
    if output.json {
        let all: Vec<_> = schemas
            .iter()
            .map(|schema| {
                json!({ "schema": schema.name, "version": schema.version, "bound_to": schema.bound_to, "written_us": schema.written_us })
            })
            .collect();
        output.line(json!({ "schemas": all }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["SCHEMA", "VERSION", "BOUND TO"], 2);
    for schema in schemas {
        table.row(vec![schema.name, schema.version.to_string(), schema.bound_to.join(", ")]);
    }
    table.print(output)?;
    Ok(Exit::Done)
}

fn check(
    name: &str,
    version: Option<u32>,
    text: &str,
    db: &Db,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let view = db.facts().view().map_err(llmdb::Error::from)?;
    if db.catalog().schema(&view, name, version).map_err(llmdb::Error::from)?.is_none() {
        return Err(not_found(name, version));
    }
    let violations = db.catalog().check(&view, name, version, text.as_bytes()).map_err(llmdb::Error::from)?;
    let told: Vec<_> = violations
        .iter()
        .map(|found| json!({ "path": found.path, "expected": found.expected, "schema_path": found.schema_path }))
        .collect();
    output.result(&json!({ "ok": violations.is_empty(), "violations": told }), || {
        if violations.is_empty() {
            return "it fits".to_owned();
        }
        let line = |found: &llmdb::catalog::Violation| match found.path.as_str() {
            "" => found.expected.clone(),
            path => format!("{path}: {}", found.expected),
        };
        violations.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    Ok(if violations.is_empty() { Exit::Done } else { Exit::Usage })
}
