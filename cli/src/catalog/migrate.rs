//! `llmdb migrate`: documents become what a newer version of their schema wants.

use std::path::Path;

use clap::{Args, Subcommand};
use llmdb::{
    Db,
    catalog::{Chunk, Definition, Migration, Plan, State},
};
use serde_json::{Value, json};

use crate::{
    args::DbArg,
    catalog::text_of,
    failure::{Exit, Failure},
    interrupt::Interrupt,
    output::Output,
    progress, store,
    table::Table,
};

/// Rewrite the documents of a collection, in the background, in steps
#[derive(Debug, Args)]
#[command(after_help = "\
A migration is a JSON document that says which documents of a collection are rewritten, and how:

  {\"collection\": \"people\", \"schema\": \"person\", \"from\": 1, \"to\": 2,
   \"where\": {\"expression\": \"doc.name is defined\"},
   \"up\":   {\"set\": {\"fields\": {\"first\": \"doc.name|split(' ')|first\"}, \"remove\": [\"name\"]}},
   \"down\": {\"set\": {\"fields\": {\"name\": \"doc.first\"}, \"remove\": [\"first\"]}}}

`up` and `down` are one of `set`, `patch` (JSON Patch), `merge` (JSON Merge Patch) and `expression`. Other programs go on reading and
writing meanwhile; what they write has to fit the new version. Ctrl-C, a crash or a power failure lose nothing: the same
command goes on. docs/guide/schema.md shows all of it.

Examples:
  llmdb migrate plan people-2.json --db my.llmdb          # a dry run: what would change, and what would fail
  llmdb migrate apply people-2.json --db my.llmdb         # under the name `people-2`
  llmdb migrate status --db my.llmdb
  llmdb migrate pause people-2 --db my.llmdb              # from another terminal; `apply people-2` goes on
  llmdb migrate rollback people-2 --db my.llmdb")]
pub struct MigrateArgs {
    #[command(subcommand)]
    command: Migrate,
}

#[derive(Debug, Args)]
struct Steps {
    /// Rows of one step, which is one transaction
    #[arg(long, default_value_t = Chunk::default().rows, value_name = "ROWS", value_parser = clap::value_parser!(u64).range(1..))]
    step_rows: u64,
    #[command(flatten)]
    db: DbArg,
}

#[derive(Debug, Subcommand)]
enum Migrate {
    /// Say what a migration would do, and write nothing
    Plan {
        /// A file with the migration, `-` for stdin, or the name of one that is stored
        what: String,
        #[command(flatten)]
        db: DbArg,
    },
    /// Begin a migration, or go on with one, until it is done
    Apply {
        /// A file with the migration, or the name of one that is stored
        what: String,
        /// What to call it [default: the name of the file, without its ending]
        #[arg(long, value_name = "NAME")]
        id: Option<String>,
        #[command(flatten)]
        steps: Steps,
    },
    /// Say how far migrations are
    Status {
        /// Only this one
        id: Option<String>,
        #[command(flatten)]
        db: DbArg,
    },
    /// Stop a migration after the step that is being made, whoever makes it
    Pause {
        /// Its name
        id: String,
        #[command(flatten)]
        db: DbArg,
    },
    /// Withdraw a migration that has not begun
    Cancel {
        /// Its name
        id: String,
        #[command(flatten)]
        db: DbArg,
    },
    /// Take a migration back: documents become what they were
    Rollback {
        /// Its name
        id: String,
        #[command(flatten)]
        steps: Steps,
    },
}

pub fn run(args: &MigrateArgs, output: &mut Output) -> Result<Exit, Failure> {
    match &args.command {
        Migrate::Plan { what, db } => plan(what, &store::for_reading(&db.db, output)?, output),
        Migrate::Apply { what, id, steps } => apply(what, id.as_deref(), steps, output),
        Migrate::Status { id, db } => status(id.as_deref(), &store::for_reading(&db.db, output)?, output),
        Migrate::Pause { id, db } => change(db, output, |db| db.catalog().pause(id)),
        Migrate::Cancel { id, db } => change(db, output, |db| db.catalog().cancel(id)),
        Migrate::Rollback { id, steps } => {
            let db = store::for_writing(&steps.db.db, false, output)?;
            let stored = find(&db, id)?.ok_or_else(|| not_found(id))?;
            if matches!(stored.stored.state, State::Running | State::Paused | State::Failed | State::Done) {
                db.catalog().roll_back(id).map_err(llmdb::Error::from)?;
            }
            make_steps(db, id, steps, output)
        }
    }
}

fn plan(what: &str, db: &Db, output: &mut Output) -> Result<Exit, Failure> {
    let definition = match find(db, what)? {
        Some(stored) => stored.stored.definition,
        None => definition_in(what)?,
    };
    let stop = Interrupt::listen()?;
    let bar = progress::rows(0, "plan", output);
    let planned = db.catalog().plan(&definition, &mut |plan| {
        bar.set_length(plan.rows);
        bar.set_position(plan.rows);
        !stop.is_asked()
    });
    let plan = planned.map_err(llmdb::Error::from)?;
    bar.finish_and_clear();
    stop.check()?;
    output.result(&to_json(&plan)?, || show_plan(&plan))?;
    Ok(if plan.failed == 0 && plan.obstacles.is_empty() { Exit::Done } else { Exit::Usage })
}

fn show_plan(plan: &Plan) -> String {
    let mut text = format!(
        "{} rows, {} documents: {} would change, {} would fail",
        plan.rows, plan.documents, plan.changed, plan.failed
    );
    for sample in &plan.samples {
        text.push_str(&format!("\n\n{}\n  - {}\n  + {}", sample.row, sample.before, sample.after));
    }
    for failure in &plan.failures {
        text.push_str(&format!("\n\n{}\n  ! {}", failure.row, failure.what));
    }
    for obstacle in &plan.obstacles {
        text.push_str(&format!("\n\nit could not begin now: {obstacle}"));
    }
    text
}

fn apply(what: &str, id: Option<&str>, steps: &Steps, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_writing(&steps.db.db, false, output)?;
    let stem = Path::new(what).file_stem().and_then(|stem| stem.to_str());
    let id = match (id, find(&db, what)?) {
        (None, Some(_)) => what,
        (Some(id), _) => propose(&db, id, what)?,
        (None, None) => {
            let id = stem.filter(|_| what != "-");
            propose(&db, id.ok_or_else(|| Failure::usage("name it with --id"))?, what)?
        }
    };
    make_steps(db, id, steps, output)
}

fn propose<'a>(db: &Db, id: &'a str, what: &str) -> Result<&'a str, Failure> {
    db.catalog().propose(id, &definition_in(what)?).map_err(llmdb::Error::from)?;
    Ok(id)
}

fn definition_in(what: &str) -> Result<Definition, Failure> {
    let text = text_of(Path::new(what))
        .map_err(|failure| failure.advise("it is neither a migration that is stored nor a file"))?;
    Ok(Definition::parse(text.as_bytes()).map_err(llmdb::Error::from)?)
}

fn make_steps(db: Db, id: &str, steps: &Steps, output: &mut Output) -> Result<Exit, Failure> {
    let stop = Interrupt::listen()?;
    let chunk = Chunk { rows: steps.step_rows, ..Chunk::default() };
    let bar = progress::rows(0, id, output);
    let ended = db.catalog().run(id, chunk, &mut |migration| {
        bar.set_length(migration.stored.progress.rows_in_all.max(migration.stored.progress.rows));
        bar.set_position(migration.stored.progress.rows);
        !stop.is_asked()
    });
    bar.finish_and_clear();
    let migration = ended.map_err(llmdb::Error::from)?;
    db.close()?;
    tell(&migration, output)?;
    Ok(match migration.stored.state {
        State::Failed | State::RollbackFailed => Exit::Usage,
        State::Running | State::RollingBack => Exit::Interrupted,
        _ => Exit::Done,
    })
}

fn change(
    db: &DbArg,
    output: &mut Output,
    change: impl FnOnce(&Db) -> llmdb::catalog::Result<Migration>,
) -> Result<Exit, Failure> {
    let db = store::for_writing(&db.db, false, output)?;
    let migration = change(&db).map_err(llmdb::Error::from)?;
    db.close()?;
    tell(&migration, output)?;
    Ok(Exit::Done)
}

fn tell(migration: &Migration, output: &mut Output) -> Result<(), Failure> {
    output.result(&to_json(migration)?, || {
        let progress = &migration.stored.progress;
        let mut text = format!(
            "{}: {}, {:.0} %; {} rows, {} documents, {} changed",
            migration.id,
            migration.stored.state.name(),
            migration.fraction * 100.0,
            progress.rows,
            progress.documents,
            progress.changed
        );
        if let Some(failure) = &progress.failure {
            text.push_str(&format!("\n{}: {}", failure.row, failure.what));
            text.push_str("\ncorrect that row and run the same command again, or take everything back with `llmdb migrate rollback`");
        }
        text
    })
}

fn status(id: Option<&str>, db: &Db, output: &mut Output) -> Result<Exit, Failure> {
    if let Some(id) = id {
        tell(&find(db, id)?.ok_or_else(|| not_found(id))?, output)?;
        return Ok(Exit::Done);
    }
    let view = db.facts().view().map_err(llmdb::Error::from)?;
    let all = db.catalog().migrations(&view).map_err(llmdb::Error::from)?;
    if output.json {
        output.line(json!({ "migrations": to_json(&all)? }))?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["MIGRATION", "COLLECTION", "STATE", "DONE", "ROWS"], 0);
    for migration in all {
        let stored = &migration.stored;
        table.row(vec![
            migration.id.clone(),
            stored.definition.collection.clone(),
            stored.state.name().to_owned(),
            format!("{:.0} %", migration.fraction * 100.0),
            format!("{} of {}", stored.progress.rows, stored.progress.rows_in_all),
        ]);
    }
    table.print(output)?;
    Ok(Exit::Done)
}

fn find(db: &Db, id: &str) -> Result<Option<Migration>, Failure> {
    let view = db.facts().view().map_err(llmdb::Error::from)?;
    Ok(db.catalog().migration(&view, id).map_err(llmdb::Error::from)?)
}

fn not_found(id: &str) -> Failure {
    Failure::not_found(format!("migration {id:?}")).advise("list them with `llmdb migrate status`")
}

fn to_json(value: &impl serde::Serialize) -> Result<Value, Failure> {
    Ok(serde_json::to_value(value)?)
}
