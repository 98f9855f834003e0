//! Opening a database for a command.

use std::path::Path;

use llmdb::{Db, Error, ErrorKind, Options, Sharing, Snapshot, Tree};

use crate::{failure::Failure, output::Output};

/// How commands open a database: together with whatever other processes have it open, where the system can do that,
/// and unless the environment says otherwise.
pub fn options() -> Options {
    let alone = std::env::var_os("LLMDB_SHARING").is_some_and(|value| value == "exclusive");
    let sharing = if alone || !cfg!(target_os = "linux") { Sharing::Exclusive } else { Sharing::Shared };
    Options::new().sharing(sharing)
}

/// Opens for reading. A database that was not closed is recovered first, which is said on stderr.
pub fn for_reading(path: &Path, output: &Output) -> Result<Db, Failure> {
    Ok(open_for_reading(path, output)?)
}

/// As [`for_reading`], for a caller that judges the error.
pub fn open_for_reading(path: &Path, output: &Output) -> Result<Db, Error> {
    match Db::open(path, options().create(false).read_only(true)) {
        Err(error) if error.kind() == ErrorKind::ReadOnly => open_for_writing(path, false, output),
        opened => opened,
    }
}

/// Opens for writing; whether a missing database is made is the command's to say.
pub fn for_writing(path: &Path, create: bool, output: &Output) -> Result<Db, Failure> {
    Ok(open_for_writing(path, create, output)?)
}

fn open_for_writing(path: &Path, create: bool, output: &Output) -> Result<Db, Error> {
    open_and_tell(path, create, |text| output.note(text))
}

/// Opens for a server, which makes a missing database and has no output of its own to tell things with.
#[cfg(feature = "server")]
pub fn for_serving(path: &Path, tell: impl Fn(&str)) -> Result<Db, Failure> {
    Ok(open_and_tell(path, true, tell)?)
}

fn open_and_tell(path: &Path, create: bool, tell: impl Fn(&str)) -> Result<Db, Error> {
    let db = Db::open(path, with_archive(options().create(create)))?;
    let (recovery, path) = (db.recovery(), path.display());
    if recovery.replayed_txns > 0 {
        let (txns, bytes) = (recovery.replayed_txns, recovery.replayed_bytes);
        tell(&format!("{path} was not closed; recovered {txns} transactions from {bytes} bytes of log"));
    }
    for what in &recovery.mended {
        tell(&format!("{path}: {what}"));
    }
    for what in &recovery.damaged_meta_pages {
        tell(&format!("{path}: a meta page was damaged and has been replaced: {what}"));
    }
    Ok(db)
}

/// Options with the archive that the environment names: whoever opens the database for writing must name it, or the
/// archive gets a gap.
fn with_archive(options: Options) -> Options {
    match std::env::var_os("LLMDB_ARCHIVE").filter(|folder| !folder.is_empty()) {
        Some(folder) => options.archive(folder),
        None => options,
    }
}

/// The tree called `name`, or a failure that lists the trees that there are.
pub fn tree<'s>(snapshot: &'s Snapshot, name: &str) -> Result<Tree<'s>, Failure> {
    if let Some(tree) = snapshot.tree(name)? {
        return Ok(tree);
    }
    let names: Vec<_> = snapshot.trees()?.into_iter().map(|(name, _)| name).collect();
    let advice = if names.is_empty() {
        "the database is empty".into()
    } else {
        format!("trees: {}", names.join(", "))
    };
    Err(Failure::not_found(format_args!("tree {name:?}")).advise(advice))
}
