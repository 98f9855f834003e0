//! `llmdb graph`: the knowledge graph in the file format of the reference memory server.

use std::{
    io::{BufRead, BufReader, BufWriter, Write, stdin},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use llmdb::temporal::{AsOf, At, Timestamp};
use serde_json::json;

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::Count,
    host::{self, Draft},
    moment,
    output::Output,
    store,
};

/// Bring a knowledge graph from, or to, the memory.jsonl of the reference MCP memory server
#[derive(Debug, Args)]
#[command(after_help = "\
`llmdb mcp` serves the same graph. An import is one transaction: all of it, or, if a line is wrong, nothing. Entities
that are there already keep their type and get the observations that they lack.

Examples:
  llmdb graph import memory.jsonl --db memory.llmdb
  llmdb graph export --db memory.llmdb > memory.jsonl
  llmdb graph export --to then.jsonl --at '2026-11-01 12:00' --db memory.llmdb   # as it was known then")]
pub struct GraphArgs {
    #[command(subcommand)]
    command: GraphCommand,
}

#[derive(Debug, Subcommand)]
enum GraphCommand {
    /// Take the lines of a memory.jsonl into the graph
    Import(ImportArgs),
    /// Write the graph as a memory.jsonl
    Export(ExportArgs),
}

#[derive(Debug, Args)]
struct ImportArgs {
    /// The file; `-` reads stdin
    file: PathBuf,
    #[command(flatten)]
    db: DbArg,
}

#[derive(Debug, Args)]
struct ExportArgs {
    /// The file to write [default: stdout]
    #[arg(long, value_name = "PATH")]
    to: Option<PathBuf>,
    /// Overwrite a file that is there
    #[arg(long)]
    force: bool,
    /// The graph as it was known at this time
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    at: Option<i64>,
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &GraphArgs, output: &mut Output) -> Result<Exit, Failure> {
    match &args.command {
        GraphCommand::Import(args) => import(args, output),
        GraphCommand::Export(args) => export(args, output),
    }
}

fn import(args: &ImportArgs, output: &mut Output) -> Result<Exit, Failure> {
    let from: Box<dyn BufRead> = match args.file.as_os_str() == "-" {
        true => Box::new(stdin().lock()),
        false => {
            let file = host::open(&args.file).map_err(|error| Failure::file(&args.file, &error))?;
            Box::new(BufReader::with_capacity(1 << 20, file))
        }
    };
    let db = store::for_writing(&args.db.db, true, output)?;
    let imported = db.memory().graph().import(from).map_err(|error| failed(error, &args.file))?;
    db.close()?;
    output.result(&json!(imported), || {
        let (entities, relations) = (Count(imported.entities), Count(imported.relations));
        let (added, known) = (Count(imported.observations), Count(imported.known));
        let other = match imported.other {
            0 => String::new(),
            other => format!("; {} lines are neither entities nor relations", Count(other)),
        };
        format!(
            "{entities} entities and {relations} relations are new, {added} observations went to entities that were there, \
             {known} lines said nothing new{other}"
        )
    })?;
    Ok(Exit::Done)
}

fn export(args: &ExportArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_reading(&args.db.db, output)?;
    let at = match args.at {
        Some(us) => At::valid(Timestamp::new(us)).as_of(AsOf::Time(Timestamp::new(us))),
        None => At::NOW,
    };
    let graph = db.memory().graph();
    let Some(to) = &args.to else {
        let writer = output.writer();
        let (entities, _) =
            graph.export(&mut *writer, at).map_err(|error| failed(error, Path::new("stdout")))?;
        if entities > 0 {
            writer.write_all(b"\n")?;
        }
        return Ok(Exit::Done);
    };
    if to.exists() && !args.force {
        return Err(Failure::usage(format!("{} exists", to.display())).advise("--force overwrites it"));
    }
    let draft = Draft::create(to)?;
    let writer = BufWriter::with_capacity(1 << 20, &draft.file);
    let (entities, relations) = graph.export(writer, at).map_err(|error| failed(error, to))?;
    draft.finish()?;
    let result = json!({ "entities": entities, "relations": relations, "to": to.display().to_string() });
    output.result(&result, || {
        format!("{}: {} entities, {} relations", to.display(), Count(entities), Count(relations))
    })?;
    Ok(Exit::Done)
}

/// The error of an import or an export, with the file that it is about.
fn failed(error: llmdb::memory::Error, file: &Path) -> Failure {
    match error {
        llmdb::memory::Error::Line { number, what } => {
            Failure::bad_input(format!("{}: line {number}: {what}", file.display()))
                .advise("nothing was imported; mend the line, or take it out")
        }
        llmdb::memory::Error::Io(error) => Failure::file(file, &error),
        error => llmdb::Error::from(error).into(),
    }
}
