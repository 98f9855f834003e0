//! `llmdb diff`: how the memory differs between two moments.

use clap::{Args, ValueEnum};
use llmdb::{
    Timestamp,
    memory::facts::{DiffQuery, DifferenceKind, Point, limits::RESULTS_DEFAULT},
};

use super::{both, now, show, what};
use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    output::Output,
    store,
    table::Table,
};

/// Show how the memory differs between two moments
#[derive(Debug, Args)]
#[command(after_help = "\
Each moment is a time, or a transaction (tx42). By default both times differ: what was known then about then. With --only known,
what we knew at each of the two about now; with --only valid, what held at each of the two by what we know now.

Examples:
  llmdb diff yesterday                        # from then to now
  llmdb diff 2024-01-01 2025-01-01 --what alice
  llmdb diff 'last monday' --only known       # what we learned since
  llmdb diff tx41 tx42 --json                 # what a transaction did")]
pub struct DiffArgs {
    /// The first moment
    from: String,
    /// The second moment
    #[arg(default_value = "now")]
    to: String,
    /// A subject, a key, or the beginning of keys and a star [default: everything]
    #[arg(long, value_name = "WHAT")]
    what: Option<String>,
    /// Let only one of the two times differ
    #[arg(long, value_name = "TIME")]
    only: Option<Axis>,
    /// At most so many differences
    #[arg(long, short = 'n', value_name = "FACTS", default_value_t = RESULTS_DEFAULT)]
    limit: usize,
    /// Go on where an answer to the same question ended
    #[arg(long, value_name = "CURSOR", allow_hyphen_values = true)]
    cursor: Option<String>,
    #[command(flatten)]
    db: DbArg,
}

/// One of the two times.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Axis {
    /// When it was believed.
    Known,
    /// When it held.
    Valid,
}

pub fn run(args: &DiffArgs, output: &mut Output) -> Result<Exit, Failure> {
    let what = what(args.what.as_deref())?;
    let db = store::for_reading(&args.db.db, output)?;
    let facts = db.memory().facts();
    let now = now(&facts)?;
    let (results_max, cursor) = (args.limit, args.cursor.clone());
    let (from, to) = (point("FROM", &args.from, args.only, now)?, point("TO", &args.to, args.only, now)?);
    let diff = facts.diff(&DiffQuery { what, from, to, results_max, cursor })?;
    if output.json {
        output.line(serde_json::to_value(&diff)?)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(&["", "KEY", "BEFORE", "AFTER"], 2);
    for difference in &diff.differences {
        let sign = match difference.kind {
            DifferenceKind::Added => "+",
            DifferenceKind::Removed => "-",
            DifferenceKind::Changed => "~",
        };
        let says = [&difference.before, &difference.after]
            .map(|fact| fact.as_ref().map_or(String::new(), |fact| show::quoted(&fact.document)));
        let [before, after] = says;
        table.row(vec![sign.into(), difference.key.to_string(), before, after]);
    }
    if table.is_empty() {
        output.note("no difference");
    } else {
        table.print(output)?;
    }
    show::more(diff.cursor.as_deref(), output);
    Ok(Exit::Done)
}

fn point(argument: &str, text: &str, only: Option<Axis>, now: Timestamp) -> Result<Point, Failure> {
    if text == "now" {
        return Ok(Point::default());
    }
    let point = both(argument, text, now)?;
    match (only, point.valid) {
        (None, _) => Ok(point),
        (Some(Axis::Known), _) => Ok(Point { valid: None, ..point }),
        (Some(Axis::Valid), Some(_)) => Ok(Point { known: Default::default(), ..point }),
        (Some(Axis::Valid), None) => {
            let failure = Failure::usage(format!("{argument}: a transaction is a moment of what is known"));
            Err(failure.advise("write a time with --only valid"))
        }
    }
}
