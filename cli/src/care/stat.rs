//! `llmdb stat`: numbers about a database.

use clap::Args;
use llmdb::Stats;
use serde_json::{Value, json};

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::{Bytes, Count},
    moment,
    output::Output,
    store,
    text::{Keep, escape},
};

/// Show what a database holds, and how large it is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  llmdb stat --db my.llmdb
  llmdb stat --json --db my.llmdb | jq .file_bytes")]
pub struct StatArgs {
    #[command(flatten)]
    db: DbArg,
}

pub fn run(args: &StatArgs, output: &mut Output) -> Result<Exit, Failure> {
    let db = store::for_reading(&args.db.db, output)?;
    let (stats, trees) = (db.stats()?, db.snapshot()?.trees()?);
    output.result(&to_json(&stats, &trees), || to_text(&args.db.db.display().to_string(), &stats, &trees))?;
    Ok(Exit::Done)
}

fn to_json(stats: &Stats, trees: &[(String, u64)]) -> Value {
    let trees: Vec<_> = trees.iter().map(|(name, keys)| json!({ "name": name, "keys": keys })).collect();
    json!({
        "store": stats.store.to_string(),
        "txid": stats.txid.get(),
        "committed_us": stats.timestamp.get(),
        "trees": trees,
        "key_count": stats.key_count,
        "file_bytes": stats.file_bytes,
        "live_bytes": stats.live_bytes,
        "free_bytes": stats.free_bytes,
        "held_bytes": stats.held_bytes,
        "page_bytes": stats.page_bytes,
        "log_bytes": stats.log_bytes,
        "replay_bytes": stats.replay_bytes,
        "replay_ops": stats.replay_ops,
        "replay_estimate_us": stats.replay_estimate_us,
        "settling_bytes": stats.settling_bytes,
    })
}

fn to_text(name: &str, stats: &Stats, trees: &[(String, u64)]) -> String {
    let mut lines = vec![
        format!("{name}: {} keys in {} trees", Count(stats.key_count), trees.len()),
        format!("  last commit   {}, {}", stats.txid, moment::show(stats.timestamp.get())),
        format!("  data file     {}", Bytes(stats.file_bytes)),
        format!("    in use      {}", Bytes(stats.live_bytes)),
        format!("    free        {} (used again before the file grows)", Bytes(stats.free_bytes)),
        format!(
            "  log to replay {}, in about {} ms",
            Bytes(stats.replay_bytes),
            stats.replay_estimate_us.div_ceil(1_000)
        ),
        format!("  identity      {}", stats.store),
    ];
    if !trees.is_empty() {
        lines.push("  trees".into());
    }
    for (name, keys) in trees {
        lines.push(format!(
            "    {:<24} {:>14} keys",
            escape(name.as_bytes(), Keep::Line),
            Count(*keys).to_string()
        ));
    }
    lines.join("\n")
}
