//! Whether the bytes are what they must be.

use std::path::Path;

use llmdb::{Db, ErrorKind};

use super::finding::{Finding, Severity};
use crate::{
    care::check,
    failure::Failure,
    figures::{Bytes, Count},
    output::Output,
    store,
};

const AREA: &str = "structure";

/// Opens the database. What keeps it from being opened is a finding, unless there is no such file.
pub fn open(path: &Path, findings: &mut Vec<Finding>, output: &Output) -> Result<Option<Db>, Failure> {
    let error = match store::open_for_reading(path, output) {
        Ok(db) => return Ok(Some(db)),
        Err(error) => error,
    };
    let finding = match error.kind() {
        ErrorKind::Locked => {
            Finding::new(Severity::Warning, AREA, "in_use", format!("could not be examined: {error}"))
                .mend("run the doctor when the other program has closed it")
        }
        ErrorKind::Corruption => {
            Finding::new(Severity::Problem, AREA, "cannot_open", format!("cannot be opened: {error}")).mend(
                format!("restore a backup, or save what can be read: llmdb recover {} NEW", path.display()),
            )
        }
        _ => return Err(error.into()),
    };
    findings.push(finding);
    Ok(None)
}

/// Looks at what opening found, and with `deep` at every page.
pub fn examine(db: &Db, deep: bool, findings: &mut Vec<Finding>, output: &Output) -> Result<(), Failure> {
    let recovery = db.recovery();
    if recovery.replayed_txns > 0 {
        findings.push(Finding::new(
            Severity::Hint,
            AREA,
            "recovered",
            format!(
                "it had not been closed; {} transactions ({} of log) were recovered just now",
                Count(recovery.replayed_txns),
                Bytes(recovery.replayed_bytes)
            ),
        ));
    }
    for what in &recovery.damaged_meta_pages {
        let text = format!("a meta page was damaged, and the other copies had what was needed: {what}");
        findings.push(
            Finding::new(Severity::Warning, AREA, "meta_damaged", text)
                .mend("look whether the disk is failing (smartctl, dmesg), and take a backup"),
        );
    }
    if deep { every_page(db, findings, output) } else { Ok(()) }
}

fn every_page(db: &Db, findings: &mut Vec<Finding>, output: &Output) -> Result<(), Failure> {
    let report = check::every_page(db, output)?;
    for problem in &report.problems {
        findings.push(Finding::new(Severity::Problem, AREA, "damage", check::describe(problem)).mend(format!(
            "llmdb mend; where that does not help, restore a backup, or save what can be read: llmdb recover {} NEW",
            db.path().display()
        )));
    }
    if report.problems.is_empty() {
        let text = format!("every page was read and is as it must be ({} keys)", Count(report.key_count));
        findings.push(Finding::new(Severity::Good, AREA, "sound", text));
    }
    Ok(())
}
