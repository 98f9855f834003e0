//! The command line as a whole; the arguments of each command stand beside what it does.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

#[cfg(feature = "server")]
use crate::serve;
use crate::{
    care, catalog, chaos, doctor, export, feed, graph, import, measure, memory, restore, rows, text::Form,
    tour,
};

/// An embedded database in one file: named trees, transactions that survive crashes, snapshots that copy nothing.
#[derive(Debug, Parser)]
#[command(name = "llmdb", version, arg_required_else_help = true, after_help = OVERVIEW)]
pub struct Cli {
    /// Print JSON: one object for a result, one object per line for rows; errors too, on stderr
    #[arg(long, global = true)]
    pub json: bool,

    #[command(subcommand)]
    pub command: Command,
}

const OVERVIEW: &str = "\
New here? See it work, in under a minute, in a temporary folder:
  llmdb tour

A first database:
  llmdb put greeting 'hello, world' --db my.llmdb
  llmdb get greeting --db my.llmdb
  llmdb import ./notes --db my.llmdb        # a folder of files, into the tree \"files\"
  llmdb scan --tree files --db my.llmdb
  export LLMDB_DB=my.llmdb                  # instead of --db

A memory, in two times:
  llmdb remember alice/employer 'Acme Corp' --from 2024-03-01 --db my.llmdb
  llmdb recall alice --at yesterday --db my.llmdb

Exit codes:
    0  done
    1  the key or the tree is not there
    2  the command line, or what it asks for, makes no sense; a schema refuses a document
    3  damage: in the database, or in a backup
    4  the system refused: permissions, I/O
    5  no space left
    6  the database is open elsewhere
    7  not a database, or one of a later version
    8  there is no such file
    9  what was asked for is not kept: changes that are gone, a commit that no backup reaches
  130  stopped by Ctrl-C; what was acknowledged is safe";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    Tour(tour::TourArgs),
    #[command(hide = true)]
    TourWriter(tour::WriterArgs),
    Import(import::ImportArgs),
    Export(export::ExportArgs),
    Put(rows::put::PutArgs),
    Get(rows::get::GetArgs),
    Del(rows::del::DelArgs),
    Scan(rows::scan::ScanArgs),
    Remember(memory::remember::RememberArgs),
    Recall(memory::recall::RecallArgs),
    History(memory::history::HistoryArgs),
    Why(memory::why::WhyArgs),
    Correct(memory::correct::CorrectArgs),
    Forget(memory::forget::ForgetArgs),
    Diff(memory::diff::DiffArgs),
    Undo(memory::undo::UndoArgs),
    TimeTravel(memory::travel::TravelArgs),
    Stat(care::stat::StatArgs),
    Check(care::check::CheckArgs),
    Doctor(doctor::DoctorArgs),
    Compact(care::compact::CompactArgs),
    Erase(care::erase::EraseArgs),
    Purge(care::purge::PurgeArgs),
    Mend(care::mend::MendArgs),
    Recover(care::recover::RecoverArgs),
    Backup(care::backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Verify(care::verify::VerifyArgs),
    Archive(care::archive::ArchiveArgs),
    Changes(feed::ChangesArgs),
    Graph(graph::GraphArgs),
    #[cfg(feature = "server")]
    Mcp(serve::McpArgs),
    Schema(catalog::schema::SchemaArgs),
    Migrate(catalog::migrate::MigrateArgs),
    Retention(catalog::retention::RetentionArgs),
    Bench(measure::BenchArgs),
    #[command(hide = true)]
    ChaosProcess(chaos::ProcessArgs),
}

/// Which database.
#[derive(Debug, Args)]
pub struct DbArg {
    /// The database file
    #[arg(long, short, env = "LLMDB_DB", value_name = "FILE")]
    pub db: PathBuf,
}

/// How keys and values are written on the command line.
#[derive(Clone, Copy, Debug, Args)]
pub struct FormArgs {
    /// Keys and values on the command line are hexadecimal; show them so, too
    #[arg(long, conflicts_with = "text")]
    pub hex: bool,
    /// Keys and values on the command line are taken as they stand, even if they begin with 0x
    #[arg(long)]
    pub text: bool,
}

impl FormArgs {
    pub fn form(self) -> Form {
        match (self.hex, self.text) {
            (true, _) => Form::Hex,
            (_, true) => Form::Text,
            _ => Form::Auto,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
