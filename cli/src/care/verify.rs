//! `llmdb verify`: whether a backup set, and an archive, are what they were.

use std::path::PathBuf;

use clap::Args;
use llmdb::{Db, SetBackup, TxnId};
use serde_json::json;

use crate::{
    care::backup::to_json,
    failure::{Exit, Failure},
    figures::{Bytes, Count},
    interrupt::Interrupt,
    moment,
    output::Output,
    progress,
};

/// Read a backup set, and compare every byte with its checksums
#[derive(Debug, Args)]
#[command(after_help = "\
Each manifest is compared with its own checksum and with the backup that it stands on, each file of pages with its
manifest. What is missing, changed, renamed or from another database is named, and the exit code is 3. With
--archive, the archived log is read as well, and gaps in it are found.

A restore verifies besides that the pages fit each other; to be sure that a set can be restored, restore it.

Examples:
  llmdb verify backups/november
  llmdb verify backups/november --archive backups/log --json")]
pub struct VerifyArgs {
    /// The folder of the set
    set: PathBuf,
    /// The folder of the archive
    #[arg(long, value_name = "FOLDER")]
    archive: Option<PathBuf>,
}

pub fn run(args: &VerifyArgs, output: &mut Output) -> Result<Exit, Failure> {
    let stop = Interrupt::listen()?;
    let bar = progress::pages(0, "verify", output);
    let backups = Db::verify_backups(&args.set, &mut |done, all| {
        bar.set_length(all);
        bar.set_position(done);
        !stop.is_asked()
    })?;
    bar.finish_and_clear();
    let mut result = json!({ "ok": true, "backups": backups.iter().map(to_json).collect::<Vec<_>>() });
    let mut lines: Vec<_> = backups.iter().map(to_text).collect();
    if let (Some(folder), Some(newest)) = (&args.archive, backups.last()) {
        let span = Db::verify_archive(folder, newest.store)?;
        result["archive"] =
            json!({ "from": span.from.to_string(), "to": span.end.to_string(), "parts": span.part_count });
        lines.push(format!("{}: log from {} to {}, without a gap", folder.display(), span.from, span.end));
        if span.from > newest.commit.lsn || span.end < newest.commit.lsn {
            lines.push(format!(
                "  the newest backup is at {}: this archive does not lead on from it",
                newest.commit.lsn
            ));
        }
    }
    let noted = Db::noted_erasures(&args.set)?;
    let before = |txid: TxnId| backups.iter().filter(|backup| backup.commit.txid < txid).count();
    if let Some(last) = noted.iter().map(|note| note.txid).max() {
        result["erasures"] = json!({ "count": noted.len(), "backups_before": before(last) });
        lines.push(format!(
            "{} erasures are noted: {} of these backups were taken before the last of them, and hold in their files what \
             it erased; restoring erases it again",
            noted.len(),
            before(last)
        ));
    }
    output.result(&result, || lines.join("\n"))?;
    Ok(Exit::Done)
}

fn to_text(backup: &SetBackup) -> String {
    format!(
        "{}: {}, {}, {} pages, {}",
        backup.manifest.display(),
        backup.commit.txid,
        moment::show(backup.commit.timestamp.get()),
        Count(backup.page_count),
        Bytes(backup.file_bytes)
    )
}
