//! `llmdb doctor`: looks at everything that can be wrong with a database and the machine below it, and says what to
//! do about it.

mod disk;
mod finding;
mod space;
mod structure;

use clap::Args;
use serde_json::json;

use self::finding::{Finding, Severity};
use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    output::Output,
};

/// Examine a database and the disk below it; say what mends each finding
#[derive(Debug, Args)]
#[command(after_help = "\
Looks at the structure (with --deep, at every page), the space, the readers, the log and the time that the disk takes
for a durable write. Each finding has a severity (good, hint, warning, problem) and, where something can be done, the
command that does it. Exit code 3 if there is a problem, otherwise 0.

Examples:
  llmdb doctor --db my.llmdb
  llmdb doctor --deep --db my.llmdb
  llmdb doctor --json --db my.llmdb | jq '.findings[] | select(.severity != \"good\")'")]
pub struct DoctorArgs {
    #[command(flatten)]
    db: DbArg,
    /// Read and verify every page, as `llmdb check` does
    #[arg(long)]
    deep: bool,
    /// Durable writes to time; 0 leaves the disk alone
    #[arg(long, default_value_t = 200, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(0..=100_000))]
    disk_writes: u32,
}

pub fn run(args: &DoctorArgs, output: &mut Output) -> Result<Exit, Failure> {
    let mut findings = Vec::new();
    let path = &args.db.db;
    if let Some(db) = structure::open(path, &mut findings, output)? {
        structure::examine(&db, args.deep, &mut findings, output)?;
        space::examine(&db.stats()?, &db.readers(), &mut findings);
        db.close()?;
    }
    disk::examine(path, args.disk_writes, &mut findings);
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let worst = findings.first().map_or(Severity::Good, |finding| finding.severity);
    let result = json!({
        "worst": worst.word(),
        "findings": findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
    });
    output.result(&result, || findings.iter().map(Finding::to_text).collect::<Vec<_>>().join("\n"))?;
    Ok(if worst == Severity::Problem { Exit::Damaged } else { Exit::Done })
}
