//! `llmdb stat`: numbers about a database.

use clap::Args;
use llmdb::Stats;
use serde_json::{Value, json};

use crate::{
    args::DbArg,
    failure::{Exit, Failure},
    figures::{Bytes, Count},
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
        format!("  last commit   {}, {}", stats.txid, time(stats.timestamp.get())),
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

/// A time in microseconds since 1970 as a date: civil from days, by era of 400 years.
fn time(us: i64) -> String {
    if us == 0 {
        return "never".into();
    }
    let (days, second) = (us.div_euclid(86_400_000_000), us.div_euclid(1_000_000).rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", second / 3_600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    #[test]
    fn dates_are_right_at_the_edges() {
        assert_eq!(super::time(1), "1970-01-01 00:00:00 UTC");
        assert_eq!(super::time(951_782_400_000_000), "2000-02-29 00:00:00 UTC");
        assert_eq!(super::time(1_709_251_199_000_000), "2024-02-29 23:59:59 UTC");
        assert_eq!(super::time(4_107_542_400_000_000), "2100-03-01 00:00:00 UTC");
    }
}
